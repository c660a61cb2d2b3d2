//! Each kind of offence in a run where it is found and in one where it is not, and the checks against
//! naive models.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod account;
mod assignments;
mod commits;
mod content;
mod handling;
mod sending;
mod stalls;

use super::*;
use crate::{ConsumerEvent, Offset, PartitionId, Position, TopicPartition};
use bytes::Bytes;

const A: Bytes = Bytes::from_static(b"a");
const B: Bytes = Bytes::from_static(b"b");
const ONE: Instance<'_> = Instance { group: "g", name: "1", vantage: Vantage::Inside };
const TWO: Instance<'_> = Instance { group: "g", name: "2", vantage: Vantage::Inside };

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", PartitionId(number))
}

/// A place in partition 0.
fn place(offset: i64) -> Position {
    Position::new(partition(0), Offset(offset))
}

fn ids(n: usize) -> Vec<Uuid> {
    (0..n).map(|_| Uuid::new_v4()).collect()
}

/// What a message of key `a` holds, as it was sent.
fn content(id: Uuid) -> Fingerprint {
    Fingerprint::of(Some(&A), Some(id.as_bytes()))
}

/// The message as the log holds it, at `offset` of partition 0.
fn found(id: Uuid, offset: i64) -> Seen {
    Seen { id: Some(id), position: Some(place(offset)), content: Some(content(id)) }
}

/// A ledger of group `g` with one accepted message of key `a` for each id.
fn accepted(ids: &[Uuid]) -> Ledger {
    let mut ledger = Ledger::new(["g"]);
    for id in ids {
        ledger.intended(*id, &A, Some(content(*id)), ms(0));
        ledger.accepted(*id, ms(0));
    }
    ledger
}

/// As [`delivered`], each message with a key of its own, so that their order is free.
fn delivered_freely(ids: &[Uuid]) -> Ledger {
    let mut ledger = Ledger::new(["g"]);
    for (offset, id) in (0..).zip(ids) {
        ledger.intended(*id, &Bytes::copy_from_slice(id.as_bytes()), None, ms(0));
        ledger.delivered(*id, Some(&place(offset)), ms(1));
    }
    ledger
}

/// As [`accepted`], each acknowledged at the offset that is its index.
fn delivered(ids: &[Uuid]) -> Ledger {
    let mut ledger = accepted(ids);
    for (offset, id) in (0..).zip(ids) {
        ledger.delivered(*id, Some(&place(offset)), ms(1));
    }
    ledger
}

/// The audit finds each message at the offset that is its index.
fn audited(ledger: &mut Ledger, ids: &[Uuid]) {
    ledger.audited("t", (0..).zip(ids).map(|(offset, id)| found(*id, offset)), ms(3));
}

/// An instance handles these offsets of partition 0.
fn handle(ledger: &mut Ledger, by: Instance<'_>, offsets: impl IntoIterator<Item = i64>) {
    for offset in offsets {
        ledger.handled(by, &Seen::at(place(offset)), ms(2));
    }
}

/// The kinds that must not be, and are.
fn broken(ledger: &Ledger) -> Vec<OffenceKind> {
    ledger.judge(ms(10)).broken().collect()
}

#[test]
fn a_run_in_which_every_group_handles_everything_holds() {
    let ids = ids(3);
    let mut ledger = Ledger::new(["single", "batch"]);
    let (single, batch) = (Instance::inside("single", "1"), Instance::inside("batch", "1"));
    for (offset, id) in (0..).zip(&ids) {
        ledger.intended(*id, &A, Some(content(*id)), ms(0));
        ledger.delivered(*id, Some(&place(offset)), ms(1));
        ledger.handled(single, &(*id).into(), ms(2));
        assert!(!ledger.is_complete(), "the other group has not handled it");
        ledger.handled(batch, &Seen::at(place(offset)), ms(2));
        assert!(ledger.is_complete());
    }
    for with_audit in [false, true] {
        if with_audit {
            audited(&mut ledger, &ids);
        }
        let judgement = ledger.judge(ms(2));
        assert!(judgement.holds() && judgement.offences.is_empty(), "{judgement:?}");
        assert_eq!(judgement.groups[1].handled, 3);
        assert_eq!((judgement.accepted, judgement.delivered), (3, 3));
    }
}

#[test]
fn events_of_a_group_that_nobody_asked_about_are_ignored() {
    let ids = ids(1);
    let mut ledger = delivered(&ids);
    ledger.handled(Instance::inside("others", "1"), &ids[0].into(), ms(2));
    ledger.committed(Instance::inside("others", "1"), &partition(0), Offset(1), ms(2));
    assert_eq!(ledger.handled_by("others"), 0);
    assert_eq!(ledger.judge(ms(2)).groups.len(), 1);
}

#[test]
fn what_was_never_accepted_is_foreign_and_a_second_acceptance_counts_once() {
    let id = Uuid::new_v4();
    let mut ledger = accepted(&[id]);
    ledger.intended(id, &A, None, ms(0));
    ledger.accepted(id, ms(0));
    ledger.handled(ONE, &Uuid::new_v4().into(), ms(0));
    let judgement = ledger.judge(ms(0));
    assert_eq!((judgement.accepted, judgement.groups[0].foreign), (1, 1));
    assert_eq!(judgement.groups[0].handled, 0);
}

#[test]
fn the_parts_of_a_message_stay_as_small_as_the_documentation_says() {
    let in_maps = size_of::<(Uuid, MessageNo)>() + size_of::<(Place, MessageNo)>();
    let events = 3 * size_of::<Entry>();
    let message = size_of::<messages::Message>() + events;
    // Maps keep an eighth to nine sixteenths of their places free.
    assert!(message + in_maps * 16 / 7 + 16 <= 350, "{message} and {in_maps} in maps");
    assert!(2 * size_of::<Entry>() + size_of::<u32>() <= 100);
    assert!(size_of::<Found>() <= 40);
}
