//! Commits ahead of the handlers, and commits that go back.

use super::*;

fn commit(ledger: &mut Ledger, offset: i64) {
    ledger.committed(ONE, &partition(0), Offset(offset), ms(2));
}

#[test]
fn a_commit_of_what_is_handled_is_not_ahead_and_one_past_it_is() {
    let ids = ids(3);
    let mut ledger = delivered(&ids);
    audited(&mut ledger, &ids);
    commit(&mut ledger, 0);
    handle(&mut ledger, ONE, [0, 1]);
    commit(&mut ledger, 2);
    handle(&mut ledger, ONE, [2]);
    commit(&mut ledger, 3);
    commit(&mut ledger, 100);
    assert!(ledger.judge(ms(2)).holds(), "the last is past the end, where nothing waits");

    let mut ledger = delivered(&ids);
    audited(&mut ledger, &ids);
    commit(&mut ledger, 1);
    handle(&mut ledger, ONE, [0, 1, 2]);
    commit(&mut ledger, 3);
    assert_eq!(
        broken(&ledger),
        [OffenceKind::CommitAhead],
        "at that moment, though not in the end"
    );
    let judgement = ledger.judge(ms(2));
    assert_eq!(judgement.commits_ahead(), 1);
    let words = &judgement.offences[0].words;
    assert!(words.contains("while offset 0 was handled later"), "{words}");
}

/// What `commit::Tracker` must never do: commit the highest handled offset instead of the end of the
/// contiguous prefix.
#[test]
fn control_a_tracker_that_commits_the_highest_is_found() {
    let completions = [0, 2, 3, 1, 4];
    let run = |position: fn(&[i64]) -> i64| {
        let ids = ids(5);
        let mut ledger = delivered_freely(&ids);
        audited(&mut ledger, &ids);
        for done in 1..=completions.len() {
            handle(&mut ledger, ONE, [completions[done - 1]]);
            commit(&mut ledger, position(&completions[..done]));
        }
        ledger.judge(ms(2))
    };
    let contiguous = |done: &[i64]| (0..).find(|offset| !done.contains(offset)).unwrap_or(0);
    let highest = |done: &[i64]| done.iter().max().map_or(0, |highest| highest + 1);
    assert!(run(contiguous).holds());
    let judgement = run(highest);
    assert_eq!(judgement.broken().collect::<Vec<_>>(), [OffenceKind::CommitAhead]);
    assert_eq!(judgement.commits_ahead(), 2, "when 2 and 3 were done and 1 was not");
}

#[test]
fn a_commit_before_a_handler_that_never_comes_is_ahead_and_unhandled() {
    let ids = ids(2);
    let mut ledger = delivered(&ids);
    audited(&mut ledger, &ids);
    commit(&mut ledger, 1);
    handle(&mut ledger, TWO, [1]);
    assert_eq!(broken(&ledger), [OffenceKind::Unhandled, OffenceKind::CommitAhead]);
}

#[test]
fn a_record_handled_again_after_the_commit_was_handled_before_it() {
    let ids = ids(1);
    let mut ledger = delivered(&ids);
    audited(&mut ledger, &ids);
    handle(&mut ledger, ONE, [0]);
    commit(&mut ledger, 1);
    handle(&mut ledger, TWO, [0]);
    assert!(ledger.judge(ms(2)).holds());
}

#[test]
fn handlings_told_by_id_alone_count_for_commits_too() {
    let ids = ids(1);
    let mut ledger = delivered(&ids);
    audited(&mut ledger, &ids);
    ledger.handled(ONE, &ids[0].into(), ms(2));
    commit(&mut ledger, 1);
    assert!(ledger.judge(ms(2)).holds());
}

#[test]
fn a_commit_that_goes_back_is_told_and_allowed_and_samples_are_compared_among_themselves() {
    let ids = ids(2);
    let mut ledger = delivered(&ids);
    handle(&mut ledger, ONE, [0, 1]);
    let sampler = Instance::outside("g", "as sampled");
    commit(&mut ledger, 2);
    ledger.committed(sampler, &partition(0), Offset(1), ms(2));
    assert_eq!(ledger.judge(ms(2)).groups[0].commit_regressions, 0, "it may be of before");
    ledger.committed(TWO, &partition(0), Offset(1), ms(2));
    ledger.committed(sampler, &partition(0), Offset(0), ms(2));
    let judgement = ledger.judge(ms(2));
    assert_eq!(judgement.groups[0].commit_regressions, 2);
    assert!(judgement.holds());
}

mod model {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Handle(i64),
        Commit(i64),
    }

    fn step(records: i64) -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..records).prop_map(Step::Handle),
            1 => (0..=records + 1).prop_map(Step::Commit),
        ]
    }

    /// Commits ahead, the slow way: at each commit, look whether everything before it is handled.
    fn naive(steps: &[Step], records: &[i64], begins: i64) -> u64 {
        let mut handled = Vec::new();
        let mut ahead = 0;
        for step in steps {
            match step {
                Step::Handle(offset) => handled.push(*offset),
                Step::Commit(next) => {
                    let waits =
                        |it: &&i64| begins <= **it && **it < *next && !handled.contains(*it);
                    ahead += u64::from(records.iter().any(|it| waits(&it)));
                }
            }
        }
        ahead
    }

    proptest! {
        #[test]
        fn commits_ahead_agree_with_the_naive_model(
            steps in prop::collection::vec(step(12), 0..60),
            gaps in prop::collection::vec(any::<bool>(), 12),
            begins in prop_oneof![3 => Just(0_i64), 1 => 0..12_i64],
        ) {
            let records: Vec<i64> = (0..12).zip(&gaps).filter(|(_, gap)| !**gap).map(|it| it.0).collect();
            let ids = ids(12);
            let mut ledger = Ledger::new(["g"]);
            ledger.begins_at("g", &place(begins));
            let mut naive_steps = Vec::new();
            for step in steps {
                match step {
                    Step::Handle(offset) if records.contains(&offset) => {
                        handle(&mut ledger, ONE, [offset]);
                    }
                    Step::Handle(_) => continue,
                    Step::Commit(next) => commit(&mut ledger, next),
                }
                naive_steps.push(step);
            }
            let all = records.iter().map(|offset| {
                found(ids[usize::try_from(*offset).unwrap_or_default()], *offset)
            });
            ledger.audited("t", all, ms(3));
            let wanted = naive(&naive_steps, &records, begins);
            prop_assert_eq!(ledger.judge(ms(3)).commits_ahead(), wanted);
        }
    }
}
