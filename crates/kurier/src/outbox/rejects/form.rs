//! How a rejected message lies in its frame. *Pure.*
//!
//! ```text
//! length of the reason  u32, its highest bit is set where a time follows
//! when it was rejected  i64, milliseconds since 1970
//! reason                UTF-8
//! message               as it lay in its segment
//! ```

use jiff::Timestamp;

/// A rejected message as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::outbox) struct Rejection<'a> {
    /// Only the first versions of kurier have not written it down.
    pub(super) at: Option<Timestamp>,
    pub(super) reason: &'a str,
    /// The message's bytes.
    pub(super) body: &'a [u8],
}

const TIMED: u32 = 1 << 31;
/// A reason is a sentence, and what a broker says of it.
const REASON_BYTES_MAX: usize = 1 << 16;

impl<'a> Rejection<'a> {
    /// Appends the bytes that [`read`](Self::read) reads.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut length = self.reason.len().min(REASON_BYTES_MAX);
        while !self.reason.is_char_boundary(length) {
            length -= 1;
        }
        let flag = if self.at.is_some() { TIMED } else { 0 };
        out.extend_from_slice(&(length as u32 | flag).to_le_bytes());
        if let Some(at) = self.at {
            out.extend_from_slice(&at.as_millisecond().to_le_bytes());
        }
        out.extend_from_slice(&self.reason.as_bytes()[..length]);
        out.extend_from_slice(self.body);
    }

    /// Reads what [`write`](Self::write) wrote; `None` when the bytes are something else.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = u32::from_le_bytes(*length);
        let (at, rest) = if length & TIMED == 0 {
            (None, rest)
        } else {
            let (at, rest) = rest.split_first_chunk()?;
            (Some(Timestamp::from_millisecond(i64::from_le_bytes(*at)).ok()?), rest)
        };
        let (reason, body) = rest.split_at_checked((length & !TIMED) as usize)?;
        Some(Self { at, reason: std::str::from_utf8(reason).ok()?, body })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the first versions wrote.
    fn untimed(reason: &str, body: &[u8]) -> Vec<u8> {
        [&(reason.len() as u32).to_le_bytes(), reason.as_bytes(), body].concat()
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_also_without_a_time(
            reason in ".{0,40}",
            body in proptest::collection::vec(any::<u8>(), 0..40),
            ms in proptest::option::of(0_i64..4_000_000_000_000),
        ) {
            let at = ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
            let rejection = Rejection { at, reason: &reason, body: &body };
            let mut bytes = Vec::new();
            rejection.write(&mut bytes);
            prop_assert_eq!(Rejection::read(&bytes), Some(rejection));
            let untimed = untimed(&reason, &body);
            let expected = Rejection { at: None, ..rejection };
            prop_assert_eq!(Rejection::read(&untimed), Some(expected));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Rejection::read(&bytes);
        }
    }

    #[test]
    fn a_reason_without_end_is_cut_where_a_letter_ends() {
        let reason = format!("x{}", "é".repeat(REASON_BYTES_MAX));
        let mut bytes = Vec::new();
        Rejection { at: None, reason: &reason, body: b"body" }.write(&mut bytes);
        let read = Rejection::read(&bytes);
        assert_eq!(
            read.map(|read| (read.reason.len(), read.body)),
            Some((REASON_BYTES_MAX - 1, &b"body"[..]))
        );
    }
}
