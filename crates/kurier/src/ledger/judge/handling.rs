//! From the log to the handlers of one group: what was handled, when first, and in which order.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use super::super::entry::{MemberNo, MessageNo, PartitionNo, Place, Seq, What};
use super::super::messages::{Fate, Sent};
use super::super::told::Vantage;
use super::super::{Found, OffenceKind};
use super::Case;
use super::offences::{About, Offences};
use super::sending::behind;

/// When a group handled each record first.
pub(super) struct Firsts {
    /// By the record's index.
    by_record: Vec<Option<Seq>>,
    /// Of those that were told without their place, by the message's number.
    by_message: Vec<Option<Seq>>,
}

impl Firsts {
    pub(super) fn of(case: &Case<'_>, group: usize) -> Self {
        let mut by_record = vec![None; case.records.len()];
        let mut by_message = vec![None; case.ledger.messages.len()];
        for (seq, handled) in handlings(case, group) {
            let first = match (handled.place, handled.message) {
                (Some(place), _) => case.records.index_of(place).map(|index| &mut by_record[index]),
                (None, Some(message)) => Some(&mut by_message[message.index()]),
                (None, None) => None,
            };
            if let Some(first) = first {
                first.get_or_insert(seq);
            }
        }
        Self { by_record, by_message }
    }

    /// When the record, the `index`th of all, was handled first; None when it never was.
    pub(super) fn first(&self, index: usize, record: &Found) -> Option<Seq> {
        let by_message = record.message.and_then(|message| self.by_message[message.index()]);
        self.by_record[index].into_iter().chain(by_message).min()
    }
}

/// Something that was handled, and what is known of it.
struct Handling {
    by: MemberNo,
    message: Option<MessageNo>,
    place: Option<Place>,
}

/// A group's handlings in their order.
fn handlings(case: &Case<'_>, group: usize) -> impl Iterator<Item = (Seq, Handling)> {
    case.entries().filter_map(move |(seq, entry)| {
        let What::Handled { by, message, place } = entry.what else { return None };
        if case.ledger.names.of_member(by).group != group {
            return None;
        }
        let message = message.or_else(|| case.records.message_at(place?));
        Some((seq, Handling { by, message, place }))
    })
}

/// Acknowledged messages that the group never handled. They are named only without an audit, which
/// tells lost ones from unhandled ones.
pub(super) fn lost(case: &Case<'_>, group: usize, offences: &mut Offences<'_>) -> u64 {
    let ledger = case.ledger;
    let mut count = 0;
    for (number, message) in ledger.messages.iter() {
        if !ledger.groups[group].is_missing(number, &ledger.messages) {
            continue;
        }
        count += 1;
        if ledger.audits.is_empty() {
            let (group, place) = (Some(group), message.acknowledged);
            let about = About { group, message: Some(number), place, event: None };
            offences.add(OffenceKind::Lost, about, || "acknowledged, and never handled".into());
        }
    }
    count
}

/// Records of the audit that the group never handled.
pub(super) fn unhandled(
    case: &Case<'_>,
    group: usize,
    firsts: &Firsts,
    offences: &mut Offences<'_>,
) -> u64 {
    let ledger = case.ledger;
    let mut count = 0;
    for (index, record) in case.records.iter().enumerate() {
        let Found { place, message, .. } = *record;
        let owed = ledger.groups[group].begins(place.partition) <= place.offset;
        if owed && case.records.is_audited(place) && firsts.first(index, record).is_none() {
            count += 1;
            let about = About { group: Some(group), message, place: Some(place), event: None };
            offences.add(OffenceKind::Unhandled, about, || "in the log, and never handled".into());
        }
    }
    count
}

/// How often a message of this run was handled again.
pub(super) fn duplicates(case: &Case<'_>, group: usize, offences: &mut Offences<'_>) -> u64 {
    let ledger = case.ledger;
    let again = |times: u32| u64::from(times.saturating_sub(1));
    let mut count: u64 = ledger.groups[group].unknown().map(again).sum();
    for (number, message) in ledger.messages.iter() {
        let times = ledger.groups[group].times(number);
        if message.fate != Fate::Foreign && 1 < times {
            count += again(times);
            let (group, place) = (Some(group), message.acknowledged);
            let about = About { group, message: Some(number), place, event: None };
            offences.add(OffenceKind::HandledAgain, about, || format!("handled {times} times"));
        }
    }
    count
}

/// Messages first handled after a later one of their key, in the same partition where that is known.
/// What instances do that are watched from outside is compared for each of them alone.
pub(super) fn out_of_order(case: &Case<'_>, group: usize, offences: &mut Offences<'_>) -> u64 {
    let messages = &case.ledger.messages;
    let mut seen = vec![false; messages.len()];
    let mut latest: HashMap<(usize, Option<PartitionNo>, Option<MemberNo>), Sent> = HashMap::new();
    let mut count = 0;
    for (seq, Handling { by, message, place }) in handlings(case, group) {
        let Some(number) = message else { continue };
        let Some(sent) = messages[number].sent else { continue };
        // A message given again goes back in time; the order is that of first handling.
        if std::mem::replace(&mut seen[number.index()], true) {
            continue;
        }
        let place = place.or(messages[number].acknowledged);
        let outside = case.ledger.names.of_member(by).vantage == Vantage::Outside;
        let line = (sent.key, place.map(|place| place.partition), outside.then_some(by));
        match latest.entry(line) {
            Slot::Occupied(before) if sent.turn < before.get().turn => {
                count += 1;
                let about = About { group: Some(group), message, place, event: Some(seq) };
                offences.add(OffenceKind::HandledOutOfOrder, about, || {
                    behind(case, sent.key, *before.get())
                });
            }
            latest => {
                latest.insert_entry(sent);
            }
        }
    }
    count
}
