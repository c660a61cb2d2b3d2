//! The longest waits.

use super::*;

#[test]
fn a_stall_is_a_wait_for_an_acknowledgement_not_an_idle_producer() {
    let ids = ids(3);
    let mut ledger = Ledger::new(["g"]);
    let send = |ledger: &mut Ledger, id, at| {
        ledger.intended(id, &A, None, ms(at));
        ledger.accepted(id, ms(at));
    };
    send(&mut ledger, ids[0], 0);
    ledger.delivered(ids[0], None, ms(10));
    send(&mut ledger, ids[1], 5_000);
    send(&mut ledger, ids[2], 5_001);
    ledger.delivered(ids[1], None, ms(5_200));
    assert_eq!(ledger.judge(ms(5_300)).longest_stall, ms(200));
    assert_eq!(ledger.judge(ms(6_000)).longest_stall, ms(800), "it still lasts");
}

#[test]
fn an_acknowledgement_that_is_faster_than_send_leaves_nothing_waiting() {
    let ids = ids(1);
    let mut ledger = Ledger::new(["g"]);
    ledger.intended(ids[0], &A, None, ms(0));
    ledger.delivered(ids[0], None, ms(1));
    ledger.accepted(ids[0], ms(2));
    let judgement = ledger.judge(ms(5_000));
    assert_eq!((judgement.longest_stall, judgement.under_way), (ms(0), 0));
    assert_eq!(ledger.counts(), (1, 1, 0));
}

#[test]
fn handling_stalls_while_something_acknowledged_waits_and_the_group_lives() {
    let ids = ids(3);
    let mut ledger = accepted(&ids);
    ledger.delivered(ids[0], Some(&place(0)), ms(10));
    assert_eq!(ledger.judge(ms(900)).groups[0].longest_stall, ms(0), "nobody is there yet");
    ledger.assigned(ONE, &[partition(0)], ms(1_000));
    ledger.handled(ONE, &Seen::at(place(0)), ms(1_300));
    assert_eq!(ledger.judge(ms(5_000)).groups[0].longest_stall, ms(300), "then it was idle");
    ledger.delivered(ids[1], Some(&place(1)), ms(6_000));
    ledger.delivered(ids[2], Some(&place(2)), ms(6_100));
    ledger.handled(ONE, &Seen::at(place(1)), ms(6_500));
    assert_eq!(ledger.judge(ms(6_600)).groups[0].longest_stall, ms(500));
    assert_eq!(ledger.judge(ms(7_500)).groups[0].longest_stall, ms(1_000), "one still waits");
}

#[test]
fn what_was_handled_before_its_acknowledgement_waits_for_nobody() {
    let ids = ids(1);
    let mut ledger = accepted(&ids);
    ledger.handled(ONE, &ids[0].into(), ms(1));
    ledger.delivered(ids[0], Some(&place(0)), ms(2));
    assert_eq!(ledger.judge(ms(5_000)).groups[0].longest_stall, ms(0));
    assert!(ledger.is_complete());
}
