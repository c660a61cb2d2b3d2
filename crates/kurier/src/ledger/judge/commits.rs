//! Whether a group's commits were ever past something it had not handled.
//!
//! Events are numbered, so this is decided in the end: commit `i` of position `o` is ahead when a record
//! before `o`, and not before where the group begins, was first handled after `i`, or never. With the
//! latest first handling of all records up to each one, that is one look for each commit.

use std::collections::HashMap;

use super::super::entry::{MemberNo, PartitionNo, Seq, What};
use super::super::told::Vantage;
use super::super::{Found, OffenceKind};
use super::Case;
use super::handling::Firsts;
use super::offences::{About, Offences};
use super::records::before;
use crate::Offset;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Commits {
    pub(super) told: u64,
    pub(super) ahead: u64,
    pub(super) regressions: u64,
}

/// When the last of all records up to one was handled first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Latest {
    Handled(Option<Seq>),
    Never,
}

pub(super) fn judge(
    case: &Case<'_>,
    group: usize,
    firsts: &Firsts,
    offences: &mut Offences<'_>,
) -> Commits {
    let mut latest: HashMap<PartitionNo, Vec<Latest>> = HashMap::new();
    for partition in case.records.partitions() {
        let begins = case.ledger.groups[group].begins(partition);
        latest.insert(partition, latest_firsts(case.records.partition(partition), begins, firsts));
    }
    let mut stored: HashMap<(PartitionNo, Option<MemberNo>), Offset> = HashMap::new();
    let mut count = Commits::default();
    for (seq, entry) in case.entries() {
        let What::Committed { by, next } = entry.what else { continue };
        let member = case.ledger.names.of_member(by);
        if member.group != group {
            continue;
        }
        count.told += 1;
        let about =
            About { group: Some(group), message: None, place: Some(next), event: Some(seq) };
        let records = case.records.partition(next.partition);
        let passed = before(records, next.offset).checked_sub(1);
        let known = latest.get(&next.partition).zip(passed).map(|(latest, at)| latest[at]);
        if known.is_some_and(|latest| Latest::Handled(Some(seq)) < latest) {
            count.ahead += 1;
            offences.add(OffenceKind::CommitAhead, about, || passed_over(case, about, firsts));
        }
        // What was sampled from outside is not newer than what was told meanwhile.
        let line = (next.partition, (member.vantage == Vantage::Outside).then_some(by));
        if let Some(before) = stored.insert(line, next.offset)
            && next.offset < before
        {
            count.regressions += 1;
            let words = || format!("{before} was committed before");
            offences.add(OffenceKind::CommitRegression, about, words);
        }
    }
    count
}

fn latest_firsts(records: &[Found], begins: Offset, firsts: &Firsts) -> Vec<Latest> {
    let mut latest = Latest::Handled(None);
    let up_to = |record: &Found| {
        if begins <= record.place.offset {
            let first = firsts.first(record);
            latest = latest.max(first.map_or(Latest::Never, |first| Latest::Handled(Some(first))));
        }
        latest
    };
    records.iter().map(up_to).collect()
}

/// Names the first record that a commit passed over.
fn passed_over(case: &Case<'_>, commit: About, firsts: &Firsts) -> String {
    let (Some(group), Some(next)) = (commit.group, commit.place) else { return String::new() };
    let begins = case.ledger.groups[group].begins(next.partition);
    let records = case.records.partition(next.partition);
    let first = records.iter().find(|record| {
        let handled = firsts.first(record);
        begins <= record.place.offset && handled.is_none_or(|handled| commit.event < Some(handled))
    });
    let Some(record) = first else { return String::new() };
    let when = match firsts.first(record) {
        Some(handled) => format!("was handled later, by event {}", handled.index()),
        None => "was never handled".to_owned(),
    };
    format!("was committed while offset {} {when}", record.place.offset)
}
