//! From the sender to the log: what of it is there, and in which order.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use super::super::entry::PartitionNo;
use super::super::messages::{Fate, Sent};
use super::super::told::FailedDelivery;
use super::super::{LogJudgement, OffenceKind};
use super::Case;
use super::offences::{About, Offences};

/// Names the messages whose sender was told nothing.
pub(super) fn without_outcome(case: &Case<'_>, offences: &mut Offences<'_>) {
    for (number, message) in case.ledger.messages.iter() {
        if message.fate == Fate::UnderWay {
            let about = About { message: Some(number), ..About::default() };
            offences.add(OffenceKind::NoOutcome, about, || "accepted, and no word since".into());
        }
    }
}

/// Compares what senders were told with what the audit found.
pub(super) fn log(case: &Case<'_>, offences: &mut Offences<'_>) -> Option<LogJudgement> {
    let ledger = case.ledger;
    if ledger.audits.is_empty() {
        return None;
    }
    let mut found = LogJudgement::default();
    let mut times = vec![0_u64; ledger.messages.len()];
    for record in case.records.audited() {
        found.records += 1;
        let sent = record.message.filter(|number| ledger.messages[*number].fate != Fate::Foreign);
        let Some(number) = sent else {
            found.foreign += 1;
            continue;
        };
        times[number.index()] += 1;
        if 1 < times[number.index()] {
            found.duplicates += 1;
            let about =
                About { message: Some(number), place: Some(record.place), ..About::default() };
            offences.add(OffenceKind::WrittenAgain, about, || "stands in the log once more".into());
        }
    }
    for (number, message) in ledger.messages.iter() {
        let is_there = 0 < times[number.index()];
        let place = message.acknowledged;
        let about = About { message: Some(number), place, ..About::default() };
        let mut count = |counter: &mut u64, kind, words: &str| {
            *counter += 1;
            offences.add(kind, about, || words.to_owned());
        };
        match message.fate {
            // A topic that was not audited says nothing.
            Fate::Delivered
                if !is_there && place.is_none_or(|place| case.records.is_audited(place)) =>
            {
                let words = "acknowledged, and not in the log";
                count(&mut found.lost, OffenceKind::Lost, words);
            }
            fate if is_there && fate.is_certain_failure() => {
                let words = "its sender was told that it is not written, and it is in the log";
                count(&mut found.aborted_reads, OffenceKind::AbortedRead, words);
            }
            Fate::Failed(FailedDelivery::Unknown) if is_there => {
                let words = "its sender was not told, and it is in the log";
                count(&mut found.unknown_present, OffenceKind::UnknownPresent, words);
            }
            Fate::Failed(FailedDelivery::Unknown) => {
                let words = "its sender was not told, and it is not in the log";
                count(&mut found.unknown_absent, OffenceKind::UnknownAbsent, words);
            }
            _ => {}
        }
    }
    Some(found)
}

/// Messages that stand behind a later one of their key in the same partition. A key that changes its
/// partition has no order to compare, and of a message that stands there twice the first place counts.
pub(super) fn out_of_order(case: &Case<'_>, offences: &mut Offences<'_>) -> u64 {
    let messages = &case.ledger.messages;
    let mut seen = vec![false; messages.len()];
    let mut latest: HashMap<(usize, PartitionNo), Sent> = HashMap::new();
    let mut count = 0;
    for record in case.records.iter() {
        let Some(number) = record.message else { continue };
        let Some(sent) = messages[number].sent else { continue };
        if std::mem::replace(&mut seen[number.index()], true) {
            continue;
        }
        match latest.entry((sent.key, record.place.partition)) {
            Slot::Occupied(before) if sent.turn < before.get().turn => {
                count += 1;
                let about =
                    About { message: Some(number), place: Some(record.place), ..About::default() };
                offences.add(OffenceKind::WrittenOutOfOrder, about, || {
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

/// What a message of `key` must not come behind.
pub(super) fn behind(case: &Case<'_>, key: usize, later: Sent) -> String {
    let messages = &case.ledger.messages;
    let key = String::from_utf8_lossy(messages.of_key(key)).into_owned();
    let turn = &case.ledger.entries[later.turn.index()];
    let other = turn.what.message().map(|number| messages[number].id.to_string());
    format!("of key {key:?}, behind {}, which was sent later", other.unwrap_or_default())
}
