//! Whether a group's commits were ever past something it had not handled.
//!
//! Events are numbered, so this is decided in the end: commit `i` of position `o` is ahead when a record
//! before `o`, and not before where the group begins, was first handled after `i`, or never. With the
//! latest first handling of all records up to each one, that is one look for each commit.

use std::collections::HashMap;

use super::super::entry::{MemberNo, PartitionNo, Place, Seq, What};
use super::super::told::Vantage;
use super::super::{Found, OffenceKind};
use super::Case;
use super::handling::Firsts;
use super::offences::{About, Offences};
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
    let latest = latest_firsts(case, group, firsts);
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
        let passed = case.records.before(next);
        if passed.last().is_some_and(|last| Latest::Handled(Some(seq)) < latest[last]) {
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

/// For each record, by its index, the latest first handling of its partition's records up to it.
fn latest_firsts(case: &Case<'_>, group: usize, firsts: &Firsts) -> Vec<Latest> {
    let group = &case.ledger.groups[group];
    let mut latest = (None, Latest::Handled(None));
    let up_to = |(index, record): (usize, &Found)| {
        let Place { partition, offset } = record.place;
        if latest.0.replace(partition) != Some(partition) {
            latest.1 = Latest::Handled(None);
        }
        if group.begins(partition) <= offset {
            let first = firsts.first(index, record);
            latest.1 = latest.1.max(first.map_or(Latest::Never, |it| Latest::Handled(Some(it))));
        }
        latest.1
    };
    case.records.iter().enumerate().map(up_to).collect()
}

/// Names the first record that a commit passed over.
fn passed_over(case: &Case<'_>, commit: About, firsts: &Firsts) -> String {
    let (Some(group), Some(next)) = (commit.group, commit.place) else { return String::new() };
    let begins = case.ledger.groups[group].begins(next.partition);
    let passed = case.records.before(next).map(|index| (case.records.get(index), index));
    let mut owed = passed.filter(|(record, _)| begins <= record.place.offset);
    let first = owed.find_map(|(record, index)| {
        let handled = firsts.first(index, record);
        handled.is_none_or(|handled| commit.event < Some(handled)).then_some((record, handled))
    });
    let Some((record, handled)) = first else { return String::new() };
    let when = match handled {
        Some(handled) => format!("was handled later, by event {}", handled.index()),
        None => "was never handled".to_owned(),
    };
    format!("was committed while offset {} {when}", record.place.offset)
}
