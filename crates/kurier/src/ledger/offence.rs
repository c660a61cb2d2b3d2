//! What can be wrong with a run, by kind, and one offender, named.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::Position;

/// How many offenders of a kind are named; all of them are counted.
pub(super) const OFFENDERS: usize = 20;

/// Something that a run may have done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OffenceKind {
    /// Acknowledged and not in the log; without an audit, acknowledged and never handled.
    Lost,
    /// Not what was sent.
    Corrupt,
    /// In the log and never handled.
    Unhandled,
    /// Committed past a record that was not handled by then.
    CommitAhead,
    /// In the log behind a later message of its key.
    WrittenOutOfOrder,
    /// First handled after a later message of its key.
    HandledOutOfOrder,
    /// Passed over within an assignment.
    Skipped,
    /// An instance went back within an assignment.
    WentBack,
    /// Certainly not written, as its sender was told, and in the log.
    AbortedRead,
    /// Accepted, and its sender was never told what became of it.
    NoOutcome,
    /// In the log more than once.
    WrittenAgain,
    /// Handled more than once.
    HandledAgain,
    /// A commit went back.
    CommitRegression,
    /// Of unknown outcome, and in the log.
    UnknownPresent,
    /// Of unknown outcome, and not in the log.
    UnknownAbsent,
}

impl OffenceKind {
    /// All of them, those that must not be first.
    pub const ALL: [Self; 15] = [
        Self::Lost,
        Self::Corrupt,
        Self::Unhandled,
        Self::CommitAhead,
        Self::WrittenOutOfOrder,
        Self::HandledOutOfOrder,
        Self::Skipped,
        Self::WentBack,
        Self::AbortedRead,
        Self::NoOutcome,
        Self::WrittenAgain,
        Self::HandledAgain,
        Self::CommitRegression,
        Self::UnknownPresent,
        Self::UnknownAbsent,
    ];

    /// True when a run holds only without it; the others are what at-least-once allows, and are told.
    pub fn must_not_be(self) -> bool {
        self <= Self::NoOutcome
    }

    /// Its name in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Corrupt => "corrupt",
            Self::Unhandled => "unhandled",
            Self::CommitAhead => "committed ahead",
            Self::WrittenOutOfOrder => "written out of order",
            Self::HandledOutOfOrder => "handled out of order",
            Self::Skipped => "skipped",
            Self::WentBack => "went back",
            Self::AbortedRead => "failed for certain and written",
            Self::NoOutcome => "without an outcome",
            Self::WrittenAgain => "written again",
            Self::HandledAgain => "handled again",
            Self::CommitRegression => "commit went back",
            Self::UnknownPresent => "of unknown outcome, written",
            Self::UnknownAbsent => "of unknown outcome, not written",
        }
    }
}

impl fmt::Display for OffenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One offender, named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offence {
    /// What it is.
    pub kind: OffenceKind,
    /// In which group.
    pub group: Option<String>,
    /// Which message.
    pub message: Option<Uuid>,
    /// Which record, or which position was committed.
    #[serde(serialize_with = "shown")]
    pub position: Option<Position>,
    /// The number of the event that shows it, from 0, as in
    /// [`Ledger::write_events`](super::Ledger::write_events).
    pub event: Option<u64>,
    /// What is wrong with it.
    pub words: String,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(group) = &self.group {
            write!(f, " in group {group}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": message {message}")?;
        }
        if let Some(position) = &self.position {
            write!(f, ": {position}")?;
        }
        write!(f, ": {}", self.words)
    }
}

fn shown<S: Serializer>(position: &Option<Position>, serializer: S) -> Result<S::Ok, S::Error> {
    match position {
        Some(position) => serializer.collect_str(position),
        None => serializer.serialize_none(),
    }
}
