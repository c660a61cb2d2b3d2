//! What a ledger is told, in the words of whoever saw it.

use uuid::Uuid;

use crate::{DeliveryError, Position, Record};

/// What a delivery that failed leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedDelivery {
    /// The message is certainly not in the log.
    Definite,
    /// No answer came: the message may stand in the log, see
    /// [`DeliveryError::may_have_been_written`].
    Unknown,
}

impl From<&DeliveryError> for FailedDelivery {
    fn from(error: &DeliveryError) -> Self {
        if error.may_have_been_written() { Self::Unknown } else { Self::Definite }
    }
}

/// A checksum of a record's key and value (CRC-32C, which no flipped byte escapes). Headers and the
/// timestamp are not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u32);

impl Fingerprint {
    /// The checksum of this key and this value. None is not the same as empty, and a byte that moves
    /// from the key to the value changes it.
    pub fn of(key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        let mut sum = 0;
        for part in [key, value] {
            let length = part.map_or(u64::MAX, |bytes| bytes.len() as u64);
            sum = crc32c::crc32c_append(sum, &length.to_be_bytes());
            sum = crc32c::crc32c_append(sum, part.unwrap_or_default());
        }
        Self(sum)
    }
}

/// A record as somebody saw it: a handler, a reader of another process's output, the audit. What was
/// not seen is None; with neither id nor position nothing was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The id of the message in it.
    pub id: Option<Uuid>,
    /// Where it stands.
    pub position: Option<Position>,
    /// What is in it.
    pub content: Option<Fingerprint>,
}

impl Seen {
    /// A record of which only the place is known, as in a consumer's events.
    pub fn at(position: Position) -> Self {
        Self { position: Some(position), ..Self::default() }
    }

    /// The whole record, as it arrived, and the id that was read from it.
    pub fn record(record: &Record, id: Option<Uuid>) -> Self {
        let bytes = |part: Option<&bytes::Bytes>| part.cloned();
        let (key, value) = (bytes(record.key()), bytes(record.value()));
        let content = Fingerprint::of(key.as_deref(), value.as_deref());
        Self { id, position: Some(record.position()), content: Some(content) }
    }
}

impl From<Uuid> for Seen {
    fn from(id: Uuid) -> Self {
        Self { id: Some(id), ..Self::default() }
    }
}

/// A member of a group, and how what it does becomes known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance<'a> {
    /// Its group.
    pub group: &'a str,
    /// Its own name within the group.
    pub name: &'a str,
    /// How its events come.
    pub vantage: Vantage,
}

/// How an instance's events come to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vantage {
    /// Told as they happen: the order among all such instances is the real one.
    Inside,
    /// Read from outside, as the output of another process: in order for each instance, but what two
    /// instances did can't be compared.
    Outside,
}

impl<'a> Instance<'a> {
    /// An instance that tells what it does as it happens.
    pub fn inside(group: &'a str, name: &'a str) -> Self {
        Self { group, name, vantage: Vantage::Inside }
    }

    /// An instance that is watched from outside.
    pub fn outside(group: &'a str, name: &'a str) -> Self {
        Self { group, name, vantage: Vantage::Outside }
    }
}
