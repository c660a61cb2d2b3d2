//! Lost, aborted reads, unknown outcomes, duplicates and order in the log.

use super::*;

#[test]
fn an_acknowledged_message_that_the_log_has_not_is_lost() {
    let ids = ids(3);
    let mut ledger = delivered(&ids);
    handle(&mut ledger, ONE, [0, 1, 2]);
    assert!(ledger.judge(ms(2)).holds(), "without an audit nothing says so");
    audited(&mut ledger, &ids[..2]);
    let judgement = ledger.judge(ms(2));
    assert_eq!(broken(&ledger), [OffenceKind::Lost]);
    assert_eq!(judgement.lost(), 1);
    assert_eq!(judgement.offences[0].message, Some(ids[2]));
    audited(&mut ledger, &ids);
    assert!(ledger.judge(ms(2)).holds(), "the later audit counts");
}

#[test]
fn an_empty_log_has_lost_everything() {
    let ids = ids(2);
    let mut ledger = delivered(&ids);
    ledger.audited("another topic", [], ms(2));
    assert_eq!(ledger.judge(ms(2)).lost(), 0, "it says nothing about this one");
    audited(&mut ledger, &[]);
    assert_eq!(ledger.judge(ms(2)).lost(), 2);
}

#[test]
fn a_failed_delivery_is_no_loss_and_an_open_one_is_not_complete() {
    let ids = ids(3);
    let mut ledger = accepted(&ids);
    ledger.failed(ids[0], FailedDelivery::Definite, ms(1));
    ledger.refused(ids[1], ms(1));
    let judgement = ledger.judge(ms(1));
    assert_eq!((judgement.failed, judgement.under_way, judgement.lost()), (1, 1, 0));
    assert_eq!(broken(&ledger), [OffenceKind::NoOutcome]);
    ledger.delivered(ids[0], None, ms(1));
    assert_eq!(ledger.judge(ms(1)).delivered, 0, "only the first outcome counts");
}

#[test]
fn what_certainly_failed_must_not_be_in_the_log() {
    let ids = ids(4);
    let mut ledger = accepted(&ids[..3]);
    ledger.failed(ids[0], FailedDelivery::Definite, ms(1));
    ledger.failed(ids[1], FailedDelivery::Unknown, ms(1));
    ledger.failed(ids[2], FailedDelivery::Unknown, ms(1));
    ledger.intended(ids[3], &A, None, ms(1));
    ledger.refused(ids[3], ms(1));
    handle(&mut ledger, ONE, 0..3);
    ledger.audited("t", [found(ids[1], 1)], ms(2));
    let judgement = ledger.judge(ms(2));
    let log = judgement.log.clone().unwrap();
    assert!(judgement.holds(), "{judgement:?}");
    assert_eq!((log.aborted_reads, log.unknown_present, log.unknown_absent), (0, 1, 1));

    ledger.audited("t", [found(ids[0], 0), found(ids[1], 1), found(ids[3], 2)], ms(2));
    assert_eq!(broken(&ledger), [OffenceKind::AbortedRead]);
    assert_eq!(ledger.judge(ms(2)).count(OffenceKind::AbortedRead), 2);
}

#[test]
fn a_second_writing_and_a_foreign_record_are_told_and_allowed() {
    let ids = ids(2);
    let mut ledger = delivered(&ids);
    let foreign = Seen { id: Some(Uuid::new_v4()), ..found(ids[0], 3) };
    let nameless = Seen { id: None, ..found(ids[0], 4) };
    let records = [found(ids[0], 0), found(ids[1], 1), found(ids[0], 2), foreign, nameless];
    ledger.audited("t", records, ms(2));
    handle(&mut ledger, ONE, 0..5);
    let judgement = ledger.judge(ms(2));
    let log = judgement.log.clone().unwrap();
    assert!(judgement.holds(), "{judgement:?}");
    assert_eq!((log.records, log.duplicates, log.foreign), (5, 1, 2));
    assert_eq!(judgement.groups[0].duplicates, 1, "and so it was handled twice");
}

#[test]
fn a_later_message_written_before_an_earlier_one_is_a_violation_whichever_report_comes_first() {
    for reports in [[(0, 7), (1, 3)], [(1, 3), (0, 7)]] {
        let ids = ids(2);
        let mut ledger = accepted(&ids);
        for (index, offset) in reports {
            ledger.delivered(ids[index], Some(&place(offset)), ms(1));
        }
        assert_eq!(ledger.judge(ms(1)).written_out_of_order, 1, "{reports:?}");
    }
}

#[test]
fn the_log_has_its_order_from_the_audit_and_a_second_writing_breaks_none() {
    let ids = ids(3);
    let mut ledger = accepted(&ids);
    ids.iter().for_each(|id| ledger.delivered(*id, None, ms(1)));
    let again = |order: &[usize]| -> Vec<Seen> {
        (0..).zip(order).map(|(offset, index)| found(ids[*index], offset)).collect()
    };
    ledger.audited("t", again(&[0, 1, 0, 2]), ms(2));
    assert_eq!(ledger.judge(ms(2)).written_out_of_order, 0);
    ledger.audited("t", again(&[2, 0, 1]), ms(2));
    assert_eq!(ledger.judge(ms(2)).written_out_of_order, 2);
}

#[test]
fn keys_and_partitions_have_no_order_among_each_other() {
    let ids = ids(3);
    let mut ledger = Ledger::new(["g"]);
    for (id, key) in ids.iter().zip([&A, &B, &A]) {
        ledger.intended(*id, key, None, ms(0));
    }
    ledger.delivered(ids[1], Some(&place(0)), ms(1));
    ledger.delivered(ids[0], Some(&place(1)), ms(1));
    // The topic has grown, and the key has moved.
    ledger.delivered(ids[2], Some(&Position::new(partition(1), Offset(0))), ms(1));
    for index in [2, 1, 0] {
        let by = Instance::inside("g", "1");
        ledger.handled(by, &ids[index].into(), ms(1));
    }
    assert!(ledger.judge(ms(1)).holds());
}

mod model {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Violations in one partition's log, the slow way: for each message, at its first place, whether
    /// a later one of its key stands before.
    fn naive(log: &[usize], keys: &[u8]) -> u64 {
        let mut firsts: HashMap<usize, usize> = HashMap::new();
        for (offset, message) in log.iter().enumerate() {
            firsts.entry(*message).or_insert(offset);
        }
        let behind = |message: usize| {
            (message + 1..keys.len()).any(|later| {
                let stands = firsts.get(&later).is_some_and(|there| *there < firsts[&message]);
                keys[later] == keys[message] && stands
            })
        };
        firsts.keys().filter(|message| behind(**message)).count() as u64
    }

    proptest! {
        #[test]
        fn order_in_the_log_agrees_with_the_naive_model(
            keys in prop::collection::vec(0..3_u8, 1..12),
            log in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
        ) {
            let log: Vec<usize> = log.iter().map(|at| at.index(keys.len())).collect();
            let ids = ids(keys.len());
            let mut ledger = Ledger::new(["g"]);
            for (id, key) in ids.iter().zip(&keys) {
                ledger.intended(*id, &Bytes::copy_from_slice(&[*key]), None, ms(0));
            }
            let records = (0..).zip(&log).map(|(offset, message)| found(ids[*message], offset));
            ledger.audited("t", records, ms(1));
            // The same sequence as handlings is judged by the same rule.
            for message in &log {
                ledger.handled(ONE, &ids[*message].into(), ms(1));
            }
            let judgement = ledger.judge(ms(1));
            prop_assert_eq!(judgement.written_out_of_order, naive(&log, &keys));
            prop_assert_eq!(judgement.groups[0].out_of_order, naive(&log, &keys));
        }
    }
}
