//! What a ledger found: figures, and the first offenders of each kind.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::Position;

/// What a [`Ledger`](super::Ledger) found.
///
/// As JSON (it is `Serialize`) it has the fields' names, times in milliseconds with names that end in
/// `_ms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// Messages that the producer accepted.
    pub accepted: u64,
    /// Messages that Kafka acknowledged.
    pub delivered: u64,
    /// Messages whose delivery failed, which their sender was told.
    pub failed: u64,
    /// Messages without an outcome yet.
    pub under_way: u64,
    /// Messages that are not what was sent, wherever that was seen: in the log, at a handler, or by an
    /// acknowledged offset that holds another message.
    pub corrupt: u64,
    /// Messages that stand in their partition behind a later message of their key. By the audit where
    /// there was one, else by the acknowledged offsets.
    pub written_out_of_order: u64,
    /// The longest time without an acknowledgement while a message waited for one.
    #[serde(rename = "longest_stall_ms", serialize_with = "millis")]
    pub longest_stall: Duration,
    /// What the topics hold; None without an audit.
    pub log: Option<LogJudgement>,
    /// What each group made of it.
    pub groups: Vec<GroupJudgement>,
    /// The first 20 of each kind.
    pub offences: Vec<Offence>,
}

/// How many offenders of a kind are named; all of them are counted.
pub(super) const OFFENDERS: usize = 20;

/// What the audit of a run's topics found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LogJudgement {
    /// Records in the topics.
    pub records: u64,
    /// Acknowledged messages that are not there.
    pub lost: u64,
    /// How often a message stands there once more.
    pub duplicates: u64,
    /// Messages that are there although their sender was told that they certainly are not.
    pub aborted_reads: u64,
    /// Messages of unknown outcome that are there.
    pub unknown_present: u64,
    /// Messages of unknown outcome that are not there.
    pub unknown_absent: u64,
    /// Records that nobody of this run sent.
    pub foreign: u64,
}

/// What a [`Ledger`](super::Ledger) found for one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupJudgement {
    /// The group's name.
    pub group: String,
    /// Messages handled at least once.
    pub handled: u64,
    /// Messages acknowledged by Kafka and never handled.
    pub lost: u64,
    /// Records that the audit found and that were never handled; 0 without an audit.
    pub unhandled: u64,
    /// Commits that were told.
    pub commits: u64,
    /// Commits that were past a record not handled by then.
    pub commits_ahead: u64,
    /// Commits that went back behind an earlier one.
    pub commit_regressions: u64,
    /// Messages first handled after a later message of their key.
    pub out_of_order: u64,
    /// Records that an instance passed over while it had their partition: a later one was begun while
    /// they were not handled.
    pub skipped: u64,
    /// How often an instance began again at an earlier record of a partition it had all the time,
    /// retries apart.
    pub went_back: u64,
    /// How often a message was handled again.
    pub duplicates: u64,
    /// Messages handled that the ledger never saw accepted.
    pub foreign: u64,
    /// The longest time without a handled message while an acknowledged one waited, from the group's
    /// first sign of life.
    #[serde(rename = "longest_stall_ms", serialize_with = "millis")]
    pub longest_stall: Duration,
}

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

impl Judgement {
    /// Messages lost: acknowledged and not in the log. Without an audit, the sum over groups of what was
    /// acknowledged and never handled, so that one message lost to two groups counts twice.
    pub fn lost(&self) -> u64 {
        match &self.log {
            Some(log) => log.lost,
            None => self.over_groups(|group| group.lost),
        }
    }

    /// Violations of the order per key, in Kafka and at the handlers.
    pub fn order_violations(&self) -> u64 {
        self.written_out_of_order + self.over_groups(|group| group.out_of_order)
    }

    /// Records in the log that a group never handled, summed over groups; 0 without an audit.
    pub fn unhandled(&self) -> u64 {
        self.over_groups(|group| group.unhandled)
    }

    /// Commits past a record that was not handled by then, summed over groups.
    pub fn commits_ahead(&self) -> u64 {
        self.over_groups(|group| group.commits_ahead)
    }

    /// How many of a kind there were.
    pub fn count(&self, kind: OffenceKind) -> u64 {
        let log = |pick: fn(&LogJudgement) -> u64| self.log.as_ref().map_or(0, pick);
        match kind {
            OffenceKind::Lost => self.lost(),
            OffenceKind::Corrupt => self.corrupt,
            OffenceKind::Unhandled => self.unhandled(),
            OffenceKind::CommitAhead => self.commits_ahead(),
            OffenceKind::WrittenOutOfOrder => self.written_out_of_order,
            OffenceKind::HandledOutOfOrder => self.over_groups(|group| group.out_of_order),
            OffenceKind::Skipped => self.over_groups(|group| group.skipped),
            OffenceKind::WentBack => self.over_groups(|group| group.went_back),
            OffenceKind::AbortedRead => log(|log| log.aborted_reads),
            OffenceKind::NoOutcome => self.under_way,
            OffenceKind::WrittenAgain => log(|log| log.duplicates),
            OffenceKind::HandledAgain => self.over_groups(|group| group.duplicates),
            OffenceKind::CommitRegression => self.over_groups(|group| group.commit_regressions),
            OffenceKind::UnknownPresent => log(|log| log.unknown_present),
            OffenceKind::UnknownAbsent => log(|log| log.unknown_absent),
        }
    }

    /// True when nothing is that must not be: see [`OffenceKind::must_not_be`].
    pub fn holds(&self) -> bool {
        self.holds_but_for(&[])
    }

    /// As [`holds`](Self::holds), where these kinds are allowed.
    pub fn holds_but_for(&self, allowed: &[OffenceKind]) -> bool {
        self.broken().all(|kind| allowed.contains(&kind))
    }

    /// The kinds that must not be, and are.
    pub fn broken(&self) -> impl Iterator<Item = OffenceKind> {
        OffenceKind::ALL.into_iter().filter(|kind| kind.must_not_be() && 0 < self.count(*kind))
    }

    fn over_groups(&self, pick: fn(&GroupJudgement) -> u64) -> u64 {
        self.groups.iter().map(pick).sum()
    }
}

/// One line: what was sent, what was found of each kind, the stalls.
impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, delivered, failed, .. } = self;
        write!(f, "accepted {accepted}, delivered {delivered}, failed {failed}")?;
        match &self.log {
            Some(log) => write!(f, ", in the log {}", log.records)?,
            None => f.write_str(", no audit")?,
        }
        for kind in OffenceKind::ALL {
            let count = self.count(kind);
            if 0 < count || kind == OffenceKind::Lost {
                write!(f, "; {kind} {count}")?;
            }
        }
        write!(f, "; longest wait for an acknowledgement {:?}", self.longest_stall)?;
        for GroupJudgement { group, handled, longest_stall, .. } in &self.groups {
            write!(f, "; {group} handled {handled}, longest stall {longest_stall:?}")?;
        }
        Ok(())
    }
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

fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn shown<S: Serializer>(position: &Option<Position>, serializer: S) -> Result<S::Ok, S::Error> {
    match position {
        Some(position) => serializer.collect_str(position),
        None => serializer.serialize_none(),
    }
}
