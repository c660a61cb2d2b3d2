//! Which dead letters are meant, and a name for that choice. *Pure.*

use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;

use crate::{DeadLetter, DeadLetterCause, Offset, PartitionId, Record};

/// Which records of a dead-letter topic are meant: those for which all that is set here holds. The default
/// is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selection {
    /// The error contains this text, letter by letter.
    pub error: Option<String>,
    /// Why the message was given up.
    pub cause: Option<DeadLetterCause>,
    /// The topic it comes from.
    pub source: Option<String>,
    /// Its key, whole.
    pub key: Option<Bytes>,
    /// It failed last at this time or later.
    pub from: Option<Timestamp>,
    /// It failed last before this time.
    pub until: Option<Timestamp>,
    /// The partition of the dead-letter topic.
    pub partition: Option<PartitionId>,
    /// The place within the partition, from the first up to, and without, the second.
    pub offsets: Option<Range<Offset>>,
}

impl Selection {
    /// True for a dead letter that is meant.
    #[must_use]
    pub fn selects(&self, letter: &DeadLetter) -> bool {
        self.selects_place(&letter.record)
            && self.error.as_ref().is_none_or(|error| letter.error.contains(error.as_str()))
            && self.cause.is_none_or(|cause| cause == letter.cause)
            && self
                .source
                .as_ref()
                .is_none_or(|topic| *topic == *letter.source.topic_partition.topic)
            && self.from.is_none_or(|from| from <= letter.last_failure)
            && self.until.is_none_or(|until| letter.last_failure < until)
    }

    /// True for a record that is no dead letter of kurier's, unless something is asked for that only a dead
    /// letter says.
    #[must_use]
    pub fn selects_foreign(&self, record: &Record) -> bool {
        let Self { error, cause, source, from, until, .. } = self;
        let of_letters = error.is_some() || cause.is_some() || source.is_some();
        !of_letters && from.is_none() && until.is_none() && self.selects_place(record)
    }

    /// By what every record has.
    fn selects_place(&self, record: &Record) -> bool {
        self.key.as_ref().is_none_or(|key| record.key.as_ref() == Some(key))
            && self.partition.is_none_or(|partition| partition == record.partition())
            && self.offsets.as_ref().is_none_or(|offsets| offsets.contains(&record.offset))
    }

    /// The same for the same selection and target, in every process and version: sixteen hexadecimal digits.
    pub(super) fn digest(&self, to: Option<&str>) -> String {
        let Self { error, cause, source, key, from, until, partition, offsets } = self;
        let mut digest = Digest::default();
        let time = |time: &Option<Timestamp>| time.map(|time| time.as_nanosecond().to_string());
        digest.field(error.as_deref());
        digest.field(cause.map(DeadLetterCause::as_str));
        digest.field(source.as_deref());
        digest.field(key.as_deref());
        digest.field(time(from));
        digest.field(time(until));
        digest.field(partition.map(|partition| partition.to_string()));
        digest.field(offsets.as_ref().map(|range| format!("{}..{}", range.start, range.end)));
        digest.field(to);
        format!("{:016x}", digest.0)
    }
}

/// FNV-1a in 64 bits (draft-eastlake-fnv). Groups are named with it, so it must never change; what the
/// standard library hashes with may.
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// One that is not set differs from an empty one, and none runs into the next.
    fn field(&mut self, field: Option<impl AsRef<[u8]>>) {
        match field {
            None => self.bytes(&[0]),
            Some(field) => {
                let field = field.as_ref();
                self.bytes(&[1]);
                self.bytes(&(field.len() as u64).to_be_bytes());
                self.bytes(field);
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
