//! Lost to a group, unhandled, handled again, order at the handlers.

use super::*;

#[test]
fn without_an_audit_an_acknowledged_message_that_one_group_never_handled_is_lost() {
    let ids = ids(2);
    let mut ledger = Ledger::new(["single", "batch"]);
    for id in &ids {
        ledger.intended(*id, &A, None, ms(0));
        ledger.delivered(*id, None, ms(1));
        ledger.handled(Instance::inside("single", "1"), &(*id).into(), ms(1));
    }
    ledger.handled(Instance::inside("batch", "1"), &ids[1].into(), ms(1));
    let judgement = ledger.judge(ms(2));
    assert_eq!((judgement.groups[0].lost, judgement.groups[1].lost), (0, 1));
    assert_eq!((judgement.lost(), judgement.unhandled()), (1, 0));
    assert!(!judgement.holds() && !ledger.is_complete());
}

#[test]
fn a_record_of_the_log_that_was_never_handled_is_unhandled_whoever_sent_it() {
    let ids = ids(3);
    let mut ledger = delivered(&ids);
    audited(&mut ledger, &ids);
    handle(&mut ledger, ONE, [0, 1]);
    let judgement = ledger.judge(ms(2));
    assert_eq!(broken(&ledger), [OffenceKind::Unhandled]);
    assert_eq!((judgement.unhandled(), judgement.lost()), (1, 0));
    assert_eq!(judgement.offences[0].position, Some(place(2)));

    handle(&mut ledger, TWO, [2]);
    assert!(ledger.judge(ms(2)).holds());
    let foreign = Seen { id: None, ..found(ids[0], 3) };
    let all = (0..).zip(&ids).map(|(offset, id)| found(*id, offset)).chain([foreign]);
    ledger.audited("t", all, ms(2));
    assert_eq!(ledger.judge(ms(2)).unhandled(), 1);
}

#[test]
fn a_group_owes_nothing_before_the_place_where_it_begins() {
    let ids = ids(4);
    let mut ledger = delivered(&ids);
    audited(&mut ledger, &ids);
    ledger.begins_at("g", &place(2));
    assert!(!ledger.is_complete());
    handle(&mut ledger, ONE, [2, 3]);
    ledger.committed(ONE, &partition(0), Offset(2), ms(2));
    ledger.committed(ONE, &partition(0), Offset(4), ms(2));
    let judgement = ledger.judge(ms(2));
    assert!(judgement.holds() && ledger.is_complete(), "{judgement:?}");
    assert_eq!(judgement.groups[0].lost, 0);
}

#[test]
fn places_are_matched_with_messages_whichever_is_told_first() {
    let ids = ids(3);
    let mut ledger = accepted(&ids);
    handle(&mut ledger, ONE, [0, 1, 2, 2]);
    assert_eq!(ledger.handled_by("g"), 0, "nobody knows yet what stands there");
    ledger.delivered(ids[0], Some(&place(0)), ms(2));
    ledger.given(&found(ids[1], 1));
    ledger.delivered(ids[1], Some(&place(1)), ms(2));
    assert_eq!(ledger.handled_by("g"), 2);
    ledger.delivered(ids[2], None, ms(2));
    assert!(!ledger.is_complete());
    audited(&mut ledger, &ids);
    let judgement = ledger.judge(ms(2));
    assert_eq!((judgement.groups[0].handled, judgement.groups[0].duplicates), (3, 1));
    assert!(judgement.holds() && ledger.is_complete(), "{judgement:?}");
}

#[test]
fn only_the_first_handling_has_an_order() {
    let ids = ids(3);
    let mut ledger = accepted(&ids);
    for index in [0, 2, 0, 1, 2] {
        ledger.handled(ONE, &ids[index].into(), ms(1));
    }
    let judgement = ledger.judge(ms(1));
    assert_eq!(judgement.groups[0].duplicates, 2);
    assert_eq!(judgement.groups[0].out_of_order, 1, "message 1 came after message 2");
    let offence = judgement.offences.iter().find(|it| it.kind == OffenceKind::HandledOutOfOrder);
    assert!(offence.unwrap().words.contains(&ids[2].to_string()), "{offence:?}");
}

#[test]
fn instances_watched_from_outside_are_compared_each_with_itself_alone() {
    let ids = ids(2);
    let (one, two) = (Instance::outside("g", "1"), Instance::outside("g", "2"));
    // The pipe of one was read later than that of two.
    let mut ledger = delivered(&ids);
    ledger.handled(two, &found(ids[1], 1), ms(2));
    ledger.handled(one, &found(ids[0], 0), ms(2));
    assert!(ledger.judge(ms(2)).holds());
    let mut ledger = delivered(&ids);
    ledger.handled(one, &found(ids[1], 1), ms(2));
    ledger.handled(one, &found(ids[0], 0), ms(2));
    assert_eq!(broken(&ledger), [OffenceKind::HandledOutOfOrder]);
}
