//! What a ledger found, in figures.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::offence::{Offence, OffenceKind};

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

fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
