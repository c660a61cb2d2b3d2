//! What an instance does while it has a partition: nothing is passed over, and it does not go back.

use super::*;

/// Starts the handler at an offset of partition 0, at the given attempt.
fn start(ledger: &mut Ledger, by: Instance<'_>, offset: i64, attempt: u32) {
    ledger.started(by, &place(offset), attempt, ms(2));
}

/// A run over five records in which instance 1 does `steps`, and everything is handled in the end.
fn run(steps: impl Fn(&mut Ledger)) -> Judgement {
    let ids = ids(5);
    let mut ledger = delivered_freely(&ids);
    audited(&mut ledger, &ids);
    ledger.assigned(ONE, &[partition(0)], ms(1));
    steps(&mut ledger);
    handle(&mut ledger, TWO, 0..5);
    ledger.judge(ms(2))
}

fn one_by_one(ledger: &mut Ledger, offsets: impl IntoIterator<Item = i64>) {
    for offset in offsets {
        start(ledger, ONE, offset, 1);
        handle(ledger, ONE, [offset]);
    }
}

#[test]
fn one_record_after_the_other_is_no_skip_wherever_the_assignment_begins() {
    let judgement = run(|ledger| one_by_one(ledger, 2..5));
    assert!(judgement.holds(), "{judgement:?}");
}

#[test]
fn a_record_that_was_passed_over_is_found() {
    let judgement = run(|ledger| one_by_one(ledger, [0, 1, 3, 4]));
    assert_eq!(judgement.broken().collect::<Vec<_>>(), [OffenceKind::Skipped]);
    let offence = judgement.offences.iter().find(|it| it.kind == OffenceKind::Skipped).unwrap();
    assert_eq!((offence.position.as_ref(), judgement.groups[0].skipped), (Some(&place(2)), 1));
}

#[test]
fn a_batch_and_its_retries_are_no_skip_and_a_record_left_out_of_them_is() {
    let batch = |left_out: Option<i64>| {
        run(move |ledger| {
            // Of a batch the first record is told; 1 failed and is tried again.
            start(ledger, ONE, 0, 1);
            handle(ledger, ONE, [0, 2]);
            start(ledger, ONE, 1, 2);
            handle(ledger, ONE, [1].into_iter().filter(|it| left_out != Some(*it)));
            start(ledger, ONE, 3, 1);
            handle(ledger, ONE, [3, 4]);
        })
    };
    assert!(batch(None).holds());
    assert_eq!(batch(Some(1)).groups[0].skipped, 1);
}

#[test]
fn offsets_that_the_log_has_not_are_passed_over_by_right() {
    let ids = ids(2);
    let mut ledger = accepted(&ids);
    ledger.delivered(ids[0], Some(&place(3)), ms(1));
    ledger.delivered(ids[1], Some(&place(9)), ms(1));
    ledger.audited("t", [found(ids[0], 3), found(ids[1], 9)], ms(1));
    ledger.assigned(ONE, &[partition(0)], ms(1));
    one_by_one(&mut ledger, [3, 9]);
    assert!(ledger.judge(ms(2)).holds());
}

#[test]
fn a_new_assignment_may_begin_anywhere_and_within_one_nothing_comes_again() {
    let again = |between: fn(&mut Ledger)| {
        run(|ledger| {
            one_by_one(ledger, [0, 1]);
            between(ledger);
            one_by_one(ledger, [0, 1, 2]);
        })
    };
    for end in [
        (|ledger| {
            ledger.revoked(ONE, &[partition(0)], ms(2));
            ledger.assigned(ONE, &[partition(0)], ms(2));
        }) as fn(&mut Ledger),
        |ledger| {
            let lost = ConsumerEvent::Lost { partitions: vec![partition(0)], owned: Vec::new() };
            ledger.saw(ONE, &lost, ms(2));
            ledger.assigned(ONE, &[partition(0)], ms(2));
        },
    ] {
        let judgement = again(end);
        assert!(judgement.holds(), "{judgement:?}");
    }
    let judgement = again(|_| {});
    assert_eq!(judgement.broken().collect::<Vec<_>>(), [OffenceKind::WentBack]);
    assert_eq!(judgement.groups[0].went_back, 2);
}
