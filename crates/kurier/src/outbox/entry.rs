//! What a stored message is made of, as bytes. *Pure.*

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{Headers, PartitionId};

/// A message as an outbox keeps it; its headers are lent when it is written, and owned when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a, H> {
    pub(crate) topic: &'a str,
    pub(crate) id: Option<Uuid>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: H,
    /// `None`: the time of sending.
    pub(crate) timestamp_ms: Option<i64>,
    /// The one that the sender gave.
    pub(crate) partition: Option<PartitionId>,
}

const ID: u8 = 1;
const KEY: u8 = 2;
const VALUE: u8 = 4;
const TIMESTAMP: u8 = 8;
const PARTITION: u8 = 16;
const ACCEPTED: u8 = 32;
/// A length that stands for an absent header value.
const NONE: u32 = u32::MAX;

impl Entry<'_, &Headers> {
    /// Appends the bytes that [`read`](Entry::read) reads, with the time of acceptance if it is to be there.
    pub(super) fn write(&self, accepted: Option<Timestamp>, out: &mut Vec<u8>) {
        let flag = |there: bool, flag| if there { flag } else { 0 };
        out.push(
            flag(self.id.is_some(), ID)
                | flag(self.key.is_some(), KEY)
                | flag(self.value.is_some(), VALUE)
                | flag(self.timestamp_ms.is_some(), TIMESTAMP)
                | flag(self.partition.is_some(), PARTITION)
                | flag(accepted.is_some(), ACCEPTED),
        );
        if let Some(accepted) = accepted {
            out.extend_from_slice(&accepted.as_millisecond().to_le_bytes());
        }
        sized(out, self.topic.as_bytes());
        if let Some(id) = &self.id {
            out.extend_from_slice(id.as_bytes());
        }
        if let Some(timestamp) = self.timestamp_ms {
            out.extend_from_slice(&timestamp.to_le_bytes());
        }
        if let Some(PartitionId(partition)) = self.partition {
            out.extend_from_slice(&partition.to_le_bytes());
        }
        length(out, self.headers.len());
        for header in self.headers.iter() {
            sized(out, header.name.as_bytes());
            match &header.value {
                Some(value) => sized(out, value),
                None => out.extend_from_slice(&NONE.to_le_bytes()),
            }
        }
        if let Some(key) = self.key {
            sized(out, key);
        }
        out.extend_from_slice(self.value.unwrap_or_default());
    }
}

impl<'a> Entry<'a, Headers> {
    /// Reads what [`write`](Entry::write) wrote; `None` when the bytes are something else.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let [flags] = *rest.array()?;
        let has = |flag| flags & flag != 0;
        if has(ACCEPTED) {
            rest.array::<8>()?;
        }
        let topic = std::str::from_utf8(rest.sized()?).ok()?;
        let id = if has(ID) { Some(Uuid::from_bytes(*rest.array()?)) } else { None };
        let timestamp_ms =
            if has(TIMESTAMP) { Some(i64::from_le_bytes(*rest.array()?)) } else { None };
        let partition = if has(PARTITION) {
            Some(PartitionId(i32::from_le_bytes(*rest.array()?)))
        } else {
            None
        };
        let mut headers = Headers::new();
        for _ in 0..rest.number()? {
            let name = std::str::from_utf8(rest.sized()?).ok()?;
            let value = match rest.number()? {
                NONE => None,
                length => Some(Bytes::copy_from_slice(rest.take(length)?)),
            };
            headers.push(name, value);
        }
        let key = if has(KEY) { Some(rest.sized()?) } else { None };
        let value = has(VALUE).then_some(rest.0);
        if value.is_none() && !rest.0.is_empty() {
            return None;
        }
        Some(Self { topic, id, key, value, headers, timestamp_ms, partition })
    }
}

/// When the message of these bytes was accepted, if it is one that says so.
pub(super) fn accepted(bytes: &[u8]) -> Option<Timestamp> {
    let mut rest = Rest(bytes);
    let [flags] = *rest.array()?;
    let millis = (flags & ACCEPTED != 0).then(|| rest.array()).flatten()?;
    Timestamp::from_millisecond(i64::from_le_bytes(*millis)).ok()
}

fn length(out: &mut Vec<u8>, length: usize) {
    // Nothing in a message is longer than the message, which is at most 1 GB.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(NONE - 1).to_le_bytes());
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(first)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.array()?))
    }

    fn take(&mut self, length: u32) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(first)
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Header;

    fn some_bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20))
    }

    fn some_headers() -> impl Strategy<Value = Headers> {
        let header = ("[a-zü]{0,5}", some_bytes())
            .prop_map(|(name, value)| Header { name, value: value.map(Bytes::from) });
        proptest::collection::vec(header, 0..4).prop_map(Headers::from)
    }

    proptest! {
        #[test]
        fn every_message_reads_back_and_no_beginning_of_one_does_as_itself(
            topic in "[a-z.]{1,20}",
            id in proptest::option::of(any::<u128>().prop_map(Uuid::from_u128)),
            key in some_bytes(),
            value in some_bytes(),
            headers in some_headers(),
            timestamp_ms in proptest::option::of(any::<i64>()),
            partition in proptest::option::of(any::<i32>().prop_map(PartitionId)),
            at in proptest::option::of(0..1_i64 << 42),
        ) {
            let (key, value) = (key.as_deref(), value.as_deref());
            let entry = Entry { topic: &topic, id, key, value, headers: &headers, timestamp_ms, partition };
            let mut bytes = Vec::new();
            let at = at.and_then(|millis| Timestamp::from_millisecond(millis).ok());
            entry.write(at, &mut bytes);
            prop_assert_eq!(accepted(&bytes), at);
            let stored = Entry { topic: &topic, id, key, value, headers: headers.clone(), timestamp_ms, partition };
            for length in 0..bytes.len() {
                let cut = Entry::read(&bytes[..length]);
                prop_assert_ne!(cut.as_ref(), Some(&stored));
            }
            prop_assert_eq!(Entry::read(&bytes), Some(stored));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = (Entry::read(&bytes), accepted(&bytes));
        }
    }
}
