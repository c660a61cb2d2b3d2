//! Messages that were given up: the copy in a dead-letter topic, and what it says of the original.
//!
//! Owns what a dead letter is ([`DeadLetter`]) and, in `headers`, the names and the form of what is written
//! on it (*pure*); how letters are written (`writer`), and what their topic must be (`topic`). When a message
//! is given up is decided by the consumers.

mod headers;
mod replay;
#[cfg(test)]
mod tests;
mod topic;
mod writer;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

pub(crate) use headers::GivenUp;
pub use topic::DeadLetterTopicError;
pub(crate) use topic::check;
pub(crate) use writer::{DeadLetters, Delay, NotWritten, client};

pub use replay::{
    LeftBehind, Planned, Replay, ReplayEnd, ReplayError, ReplayProgress, ReplayReport, Selection,
    WhyLeft,
};

use crate::{OutgoingRecord, Position, Record};

/// A message that a consumer gave up, as it lies in a dead-letter topic.
///
/// Key and value are the original's, byte for byte, a null value stays null; so are the headers, in their
/// order. Behind them stand kurier's own, which begin with `kurier.dlq.`, a prefix that is kurier's alone:
///
/// | header | value |
/// |---|---|
/// | `kurier.dlq.topic` | the topic it comes from |
/// | `kurier.dlq.partition` | the partition, decimal |
/// | `kurier.dlq.offset` | the offset, decimal |
/// | `kurier.dlq.timestamp` | the original's timestamp in milliseconds since 1970; absent when it has none |
/// | `kurier.dlq.cause` | [`DeadLetterCause`]: `rejected`, `retries-exhausted`, `panicked` or `unreadable` |
/// | `kurier.dlq.error` | what was said last, cut to 1,024 bytes |
/// | `kurier.dlq.attempts` | how often the handler was called, decimal; 0 when the value could not be read |
/// | `kurier.dlq.first-failure` | RFC 3339, UTC, milliseconds |
/// | `kurier.dlq.last-failure` | the same |
/// | `kurier.dlq.group` | the consumer group, cut to 249 bytes |
/// | `kurier.dlq.hops` | how often the message was given up, decimal: 1 the first time |
///
/// A message that comes back and is given up again has each of them once: they are replaced, and only the
/// hops count on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The copy, and where it lies in the dead-letter topic. Its timestamp is the time it was written.
    pub record: Record,
    /// Where the original was.
    pub source: Position,
    /// The original's timestamp, in milliseconds.
    pub source_timestamp: Option<Timestamp>,
    /// Why it was given up.
    pub cause: DeadLetterCause,
    /// What was said of it last.
    pub error: String,
    /// How often the handler was called in the process that gave it up.
    pub attempts: u32,
    /// When it failed first in that process.
    pub first_failure: Timestamp,
    /// When it failed last.
    pub last_failure: Timestamp,
    /// The group that gave it up.
    pub group: String,
    /// How often it was given up, this time included.
    pub hops: u32,
}

/// Why a message was given up. `Display` and `FromStr` are the header's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DeadLetterCause {
    /// The handler said that trying again is of no use.
    Rejected,
    /// The last attempt failed.
    RetriesExhausted,
    /// The last attempt panicked.
    Panicked,
    /// The value could not be read; no handler has seen it.
    Unreadable,
}

/// A record that is not one of kurier's dead letters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: no dead letter of kurier's: header {header}: {reason}")]
pub struct NotADeadLetter {
    /// Where the record is.
    pub position: Position,
    /// The header that is not as it should be.
    pub header: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl DeadLetter {
    /// Reads what is written on `record`.
    ///
    /// # Errors
    /// When one of the headers is missing or can't be read: somebody else has put the record there.
    pub fn read(record: Record) -> Result<Self, NotADeadLetter> {
        headers::read(record)
    }

    /// The message as it was, to be sent again: without kurier's headers but for the hops, which count on
    /// should it be given up again. Its time is that of sending, since a record as old as the original might
    /// fall to the topic's retention at once; its key decides the partition.
    #[must_use]
    pub fn original(&self) -> OutgoingRecord {
        headers::original(self)
    }
}

impl DeadLetterCause {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Rejected, Self::RetriesExhausted, Self::Panicked, Self::Unreadable];

    /// As the header has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::RetriesExhausted => "retries-exhausted",
            Self::Panicked => "panicked",
            Self::Unreadable => "unreadable",
        }
    }
}

impl fmt::Display for DeadLetterCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is no [`DeadLetterCause`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not rejected, retries-exhausted, panicked or unreadable")]
pub struct NoSuchCause;

impl FromStr for DeadLetterCause {
    type Err = NoSuchCause;

    fn from_str(text: &str) -> Result<Self, NoSuchCause> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text).ok_or(NoSuchCause)
    }
}
