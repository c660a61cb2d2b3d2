//! The checks: one table, and for each row a pure function of the facts.
//!
//! Owns the table and what the checks have in common. Which rows there are for the cluster, its topics
//! and so on is in the files beside it.

mod client;
mod cluster;
mod groups;
mod listeners;
mod retention;
#[cfg(test)]
mod tests;
mod topics;

use std::fmt;

use super::facts::{Facts, Reading, Unread};
use super::finding::{Finding, Mend, Severity, Subject};
use crate::NodeId;

/// One thing that is looked at.
#[non_exhaustive]
pub struct Check {
    /// Its name; never changes.
    pub id: &'static str,
    /// What it looks for, in a few words.
    pub title: &'static str,
    /// What it reads.
    pub reads: &'static str,
    /// What it says when.
    pub finds: &'static str,
    /// Why that endangers at-least-once.
    pub why: &'static str,
    run: fn(&Facts, &mut Says),
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.id).finish()
    }
}

impl PartialEq for Check {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Check {}

/// Every check, in the order in which their findings are told when they are equally bad.
pub const CHECKS: &[Check] = &[
    listeners::ADVERTISED_LISTENERS,
    cluster::BROKERS,
    cluster::CONTROLLER,
    topics::OFFLINE_PARTITIONS,
    topics::IN_SYNC_REPLICAS,
    topics::REPLICATION_FACTOR,
    topics::MIN_INSYNC_REPLICAS,
    topics::UNCLEAN_LEADER_ELECTION,
    cluster::OFFSETS_TOPIC,
    retention::RETENTION_AGAINST_LAG,
    groups::COMMIT_PAST_END,
    retention::RETENTION,
    cluster::OFFSETS_RETENTION,
    groups::IDLE_GROUP,
    topics::MESSAGE_SIZE,
    topics::COMPACTION,
    client::CLIENT_PROPERTIES,
    client::SESSION_TIMEOUT,
    groups::PARTITIONS,
    cluster::AUTO_CREATE_TOPICS,
    cluster::CLOCK_SKEW,
    retention::TIMESTAMPS,
    cluster::EVERYTHING_SEEN,
];

/// What the checks say, the worst first.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in CHECKS {
        let mut says = Says { check, findings: Vec::new() };
        (check.run)(facts, &mut says);
        findings.append(&mut says.findings);
    }
    // Stable: within one severity the order of the table stays.
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// What one check says.
struct Says {
    check: &'static Check,
    findings: Vec<Finding>,
}

impl Says {
    fn say(
        &mut self,
        severity: Severity,
        subject: Subject,
        found: impl Into<String>,
        mends: impl IntoIterator<Item = Mend>,
    ) {
        let (check, found) = (self.check, found.into());
        let mends = mends.into_iter().collect();
        self.findings.push(Finding { check, severity, subject, found, mends });
    }

    fn not_checked(&mut self, subject: Subject, why: &Unread) {
        self.say(Severity::NotChecked, subject, why.to_string(), []);
    }

    /// What was read, or nothing once it is said why not.
    fn read<T>(&mut self, subject: &Subject, reading: Reading<T>) -> Option<T> {
        reading.map_err(|why| self.not_checked(subject.clone(), &why)).ok()
    }
}

fn topic(name: &str) -> Subject {
    Subject::Topic(name.to_owned())
}

fn group(name: &str) -> Subject {
    Subject::Group(name.to_owned())
}

/// `1 partition`, `2 partitions`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// `broker 1`, `brokers 1, 2`.
fn brokers(ids: &[NodeId]) -> String {
    let list = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("broker{} {list}", if ids.len() == 1 { "" } else { "s" })
}

/// At most five names, and how many more there are.
fn some<T: fmt::Display>(names: &[T]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<_> = names.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = names.len().saturating_sub(SHOWN);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    shown.join(", ") + &rest
}

/// A time of Kafka's in the largest unit that says it in whole numbers: `7 d`, `90 min`, `1500 ms`.
fn time(millis: i64) -> String {
    const UNITS: [(i64, &str); 4] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
    let unit = UNITS.iter().find(|(unit, _)| *unit <= millis && millis % unit == 0);
    unit.map_or_else(|| format!("{millis} ms"), |(unit, name)| format!("{} {name}", millis / unit))
}
