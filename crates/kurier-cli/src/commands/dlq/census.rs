//! Dead letters counted by what they have in common. *Pure.*

use std::collections::HashMap;

use jiff::Timestamp;
use kurier::{DeadLetter, Record, Selection};

use crate::args::By;

/// Kinds that are told apart, of errors and of sources each; what comes after counts as [`OTHERS`].
const KINDS_MAX: usize = 1000;
/// What the rest is called.
const OTHERS: &str = "(others)";

/// The ages that are told apart: below so many seconds, and what that is called.
const AGES: [(i64, &str); 3] =
    [(3600, "under 1 h"), (24 * 3600, "under 1 d"), (7 * 24 * 3600, "under 7 d")];
/// All that is older.
const OLDER: &str = "7 d or more";

/// The counts. Their size is bounded, however many records are counted.
#[derive(Debug)]
pub(super) struct Census {
    selection: Selection,
    now: Timestamp,
    /// All records that were read.
    pub(super) records: u64,
    /// Of them, dead letters that are meant.
    pub(super) letters: u64,
    /// Of them, no dead letters of kurier's.
    pub(super) foreign: u64,
    /// When the first and the last of those meant failed.
    pub(super) failed: Option<(Timestamp, Timestamp)>,
    errors: HashMap<String, u64>,
    sources: HashMap<String, u64>,
    causes: HashMap<String, u64>,
    ages: HashMap<String, u64>,
}

impl Census {
    /// Counts those that are meant; ages are told from `now`.
    pub(super) fn new(selection: Selection, now: Timestamp) -> Self {
        Self {
            selection,
            now,
            records: 0,
            letters: 0,
            foreign: 0,
            failed: None,
            errors: HashMap::new(),
            sources: HashMap::new(),
            causes: HashMap::new(),
            ages: HashMap::new(),
        }
    }

    pub(super) fn count(&mut self, record: Record) {
        self.records += 1;
        let Ok(letter) = DeadLetter::read(record) else {
            self.foreign += 1;
            return;
        };
        if !self.selection.selects(&letter) {
            return;
        }
        self.letters += 1;
        let failed = letter.last_failure;
        let (first, last) = self.failed.unwrap_or((failed, failed));
        self.failed = Some((first.min(failed), last.max(failed)));
        add(&mut self.errors, &letter.error);
        add(&mut self.sources, &letter.source.topic_partition.topic);
        add(&mut self.causes, letter.cause.as_str());
        add(&mut self.ages, age(self.now, failed));
    }

    /// What there is of each kind: most first, ages from the youngest on.
    pub(super) fn rows(&self, by: By) -> Vec<(&str, u64)> {
        let counts = match by {
            By::Error => &self.errors,
            By::Source => &self.sources,
            By::Cause => &self.causes,
            By::Age => &self.ages,
        };
        let mut rows: Vec<_> = counts.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        let place = |kind: &str| AGES.iter().position(|(_, name)| *name == kind).unwrap_or(3);
        match by {
            By::Age => rows.sort_by_key(|(kind, _)| place(kind)),
            _ => rows.sort_by(|(a, more), (b, less)| less.cmp(more).then(a.cmp(b))),
        }
        rows
    }
}

fn add(counts: &mut HashMap<String, u64>, kind: &str) {
    if let Some(count) = counts.get_mut(kind) {
        *count += 1;
    } else {
        let kind = if counts.len() < KINDS_MAX { kind } else { OTHERS };
        *counts.entry(kind.to_owned()).or_default() += 1;
    }
}

/// A clock that is behind makes no age below zero.
fn age(now: Timestamp, failed: Timestamp) -> &'static str {
    let seconds = now.as_second() - failed.as_second();
    AGES.iter().find(|(below, _)| seconds < *below).map_or(OLDER, |(_, name)| name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use kurier::{Headers, Offset, PartitionId};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn letter(error: &str, source: &str, failed: &str) -> Record {
        let mut headers = Headers::new();
        for (name, value) in [
            ("topic", source),
            ("partition", "0"),
            ("offset", "7"),
            ("cause", "rejected"),
            ("error", error),
            ("attempts", "1"),
            ("first-failure", failed),
            ("last-failure", failed),
            ("group", "billing"),
            ("hops", "1"),
        ] {
            headers.push(format!("kurier.dlq.{name}"), Some(value.to_owned().into()));
        }
        Record::new("orders.dlq", PartitionId(0), Offset(0)).with_headers(headers)
    }

    #[test]
    fn counts_by_error_source_and_age() {
        let mut census = Census::new(Selection::default(), at("2026-01-10T12:00:00Z"));
        census.count(letter("no stock", "orders", "2026-01-10T11:30:00Z"));
        census.count(letter("no stock", "orders", "2026-01-10T11:00:00Z"));
        census.count(letter("timeout", "payments", "2026-01-04T12:00:00Z"));
        census.count(letter("timeout", "orders", "2026-01-03T12:00:00Z"));
        census.count(letter("timeout", "orders", "2026-01-10T13:00:00Z"));
        census.count(Record::new("orders.dlq", PartitionId(0), Offset(5)));
        assert_eq!((census.records, census.letters, census.foreign), (6, 5, 1));
        assert_eq!(census.rows(By::Error), [("timeout", 3), ("no stock", 2)]);
        assert_eq!(census.rows(By::Source), [("orders", 4), ("payments", 1)]);
        assert_eq!(census.rows(By::Cause), [("rejected", 5)]);
        let ages = [("under 1 h", 2), ("under 1 d", 1), ("under 7 d", 1), ("7 d or more", 1)];
        assert_eq!(census.rows(By::Age), ages);
        let span = (at("2026-01-03T12:00:00Z"), at("2026-01-10T13:00:00Z"));
        assert_eq!(census.failed, Some(span));
    }

    #[test]
    fn only_what_is_meant_is_counted() {
        let mut selection = Selection::default();
        selection.error = Some("time".to_owned());
        let mut census = Census::new(selection, at("2026-01-10T12:00:00Z"));
        census.count(letter("no stock", "orders", "2026-01-10T11:30:00Z"));
        census.count(letter("timeout", "orders", "2026-01-10T11:30:00Z"));
        assert_eq!((census.records, census.letters), (2, 1));
        assert_eq!(census.rows(By::Error), [("timeout", 1)]);
    }

    #[test]
    fn a_thousand_kinds_are_told_apart_and_the_rest_is_one_more() {
        let mut census = Census::new(Selection::default(), at("2026-01-10T12:00:00Z"));
        for number in 0..3000 {
            census.count(letter(&format!("error {number}"), "orders", "2026-01-10T11:30:00Z"));
        }
        census.count(letter("error 7", "orders", "2026-01-10T11:30:00Z"));
        let rows = census.rows(By::Error);
        assert_eq!(rows.len(), KINDS_MAX + 1);
        assert_eq!(rows[..2], [(OTHERS, 2000), ("error 7", 2)]);
        assert_eq!(rows.iter().map(|(_, count)| count).sum::<u64>(), 3001);
    }
}
