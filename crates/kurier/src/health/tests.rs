//! Tables: what is observed, and what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::leaders::Leaders;
use super::*;
use crate::PartitionId;

const STALL: Duration = Duration::from_secs(60);

fn at(number: i32) -> TopicPartition {
    TopicPartition::new("orders", PartitionId(number))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn stopped() -> StoppedPartition {
    let reason = "can't be read".to_owned();
    StoppedPartition { partition: at(1), offset: Offset(17), attempts: 0, reason }
}

/// A consumer that does its work.
fn working(now: Instant) -> Observed {
    Observed {
        phase: Phase::Running,
        stall_after: STALL,
        came_round: Some(now),
        ..Observed::default()
    }
}

fn partition(reading: Reading, hand: Option<Hand>) -> PartitionObserved {
    PartitionObserved { partition: at(0), reached: Some(Offset(5)), reading, hand }
}

#[test]
fn liveness_and_readiness_as_a_table() {
    let begun = Instant::now();
    let now = begun + secs(1000);
    let fenced = || Condition::Fenced { reason: "newer".to_owned() };
    let failed = || Condition::Failed { reason: "no".to_owned() };
    let away = || Some(Absence { since: now - secs(30), reason: "all brokers down".to_owned() });
    let mut behind = Reading::begun(now - STALL);
    behind.ends_at(Offset(9), Some(Offset(5)), now - secs(1));
    let busy = Hand { offset: Offset(4), attempt: 1, since: begun };
    let ended = |ended| Observed { phase: Phase::Ended(ended), ..Observed::default() };
    let base = || working(now);
    // what it is, what was observed, live, ready, in words
    type Row = (&'static str, Observed, bool, bool, &'static str);
    let table: Vec<Row> = vec![
        ("not begun", Observed::default(), true, false, "live, not ready: not started"),
        (
            "before the first assignment",
            Observed { unassigned: true, ..base() },
            true,
            false,
            "live, not ready: the group has not given this member its share yet",
        ),
        ("an empty share", base(), true, true, "live and ready"),
        (
            "partitions",
            Observed { partitions: vec![partition(Reading::begun(now), None)], ..base() },
            true,
            true,
            "live and ready",
        ),
        (
            "a handler at work for long",
            Observed { partitions: vec![partition(Reading::begun(now), Some(busy))], ..base() },
            true,
            true,
            "live and ready; longest in work: orders[0] offset 4, attempt 1, for 1000 s",
        ),
        (
            "draining",
            Observed { phase: Phase::Draining, ..base() },
            true,
            false,
            "live, not ready: draining: the run is ending",
        ),
        (
            "draining, for longer than a thread may be silent",
            Observed { phase: Phase::Draining, came_round: Some(begun), ..base() },
            true,
            false,
            "live, not ready: draining: the run is ending",
        ),
        (
            "a stopped partition",
            Observed { stopped: vec![stopped()], ..base() },
            true,
            false,
            "live, not ready: orders[1] stopped at offset 17: can't be read",
        ),
        (
            "no cluster",
            Observed { cluster_away: away(), ..base() },
            true,
            false,
            "live, not ready: waiting for the cluster for 30 s (all brokers down)",
        ),
        (
            "a client that broke",
            Observed { remaking: away(), ..base() },
            true,
            false,
            "live, not ready: another client is being made for 30 s (all brokers down)",
        ),
        (
            "no cluster yet",
            Observed { cluster_away: away(), unassigned: true, ..base() },
            true,
            false,
            "live, not ready: waiting for the cluster for 30 s (all brokers down); the group has not \
             given this member its share yet",
        ),
        (
            "no topic",
            Observed { topics_missing: ["orders".to_owned()].into(), ..base() },
            true,
            false,
            "live, not ready: waiting for topics: orders",
        ),
        (
            "a partition without a leader",
            Observed { leaderless: [(at(3), now - secs(7))].into(), ..base() },
            true,
            false,
            "live, not ready: no leader for 7 s: orders[3]",
        ),
        (
            "many of them, and the cluster is away",
            Observed { leaderless: leaderless(12, now), cluster_away: away(), ..base() },
            true,
            false,
            "live, not ready: waiting for the cluster for 30 s (all brokers down)",
        ),
        (
            "a partition without a leader when the run is over",
            Observed { leaderless: leaderless(1, now), ..ended(Ended::Shutdown) },
            true,
            false,
            "live, not ready: the run has ended: it was asked to",
        ),
        (
            "a partition that is not read though there is more",
            Observed { partitions: vec![partition(behind, None)], ..base() },
            false,
            false,
            "not live, not ready: nothing was read from orders[0] for 60 s, though it ends at 9 and \
             was read to 5",
        ),
        (
            "the same while the cluster is away",
            Observed { partitions: vec![partition(behind, None)], cluster_away: away(), ..base() },
            true,
            false,
            "live, not ready: waiting for the cluster for 30 s (all brokers down)",
        ),
        (
            "a thread that does not come round",
            Observed { came_round: Some(now - STALL), ..base() },
            false,
            false,
            "not live, not ready: the client's thread has been silent for 60 s",
        ),
        (
            "a thread that nearly did not",
            Observed { came_round: Some(now - STALL + secs(1)), ..base() },
            true,
            true,
            "live and ready",
        ),
        (
            "fenced",
            Observed { phase: Phase::Failed(fenced()), ..base() },
            false,
            false,
            "not live, not ready: fenced: another process has this instance's name",
        ),
        (
            "failed",
            Observed { phase: Phase::Failed(failed()), ..base() },
            false,
            false,
            "not live, not ready: the client can't go on: no",
        ),
        (
            "ended as it was asked to",
            ended(Ended::Shutdown),
            true,
            false,
            "live, not ready: the run has ended: it was asked to",
        ),
        (
            "ended with a partition",
            Observed { stopped: vec![stopped()], ..ended(Ended::PartitionStopped) },
            true,
            false,
            "live, not ready: orders[1] stopped at offset 17: can't be read; the run has ended: a \
             partition stopped",
        ),
    ];
    for (name, observed, live, ready, words) in table {
        let health = observed.health(now);
        assert_eq!((health.is_live(), health.is_ready()), (live, ready), "{name}: {health:?}");
        assert_eq!(health.to_string(), words, "{name}");
        assert_eq!(matches!(health.liveness(), Liveness::Live), live, "{name}");
        assert_eq!(matches!(health.readiness(), Readiness::Ready), ready, "{name}");
        assert!(ready <= live, "{name}: what is not live is not ready");
    }
}

/// The first so many, each for a second longer than the one before it.
fn leaderless(count: i32, now: Instant) -> BTreeMap<TopicPartition, Instant> {
    (0..count).map(|number| (at(number), now - secs(10 + number as u64))).collect()
}

#[test]
fn of_many_partitions_without_a_leader_the_first_are_named_and_the_others_counted() {
    let now = Instant::now() + secs(100);
    let health = Observed { leaderless: leaderless(12, now), ..working(now) }.health(now);
    let [Condition::WithoutLeader { partitions, more, waited }] = &health.conditions[..] else {
        panic!("{health}")
    };
    assert_eq!((partitions.len(), *more, *waited), (10, 2, secs(21)), "{health}");
    assert!(health.to_string().ends_with(", orders[9] and 2 more"), "{health}");
    assert!(health.is_live() && !health.is_ready());
}

#[test]
fn a_leader_is_missing_when_that_is_said_for_longer_than_an_election_takes() {
    let begun = Instant::now();
    let second = |second| begun + secs(second);
    let missing = |leaders: &Leaders, now| leaders.missing(now).into_keys().collect::<Vec<_>>();
    let mut leaders = Leaders::default();
    assert!(leaders.due(secs(15), begun), "at first");
    leaders.asked(begun);
    leaders.heard([at(1)].into(), begun);
    assert_eq!(missing(&leaders, second(4)), [], "an election");
    assert!(!leaders.due(secs(15), begun) && leaders.due(secs(15), second(1)), "asked again soon");
    leaders.heard([at(0), at(1)].into(), second(3));
    assert_eq!(
        missing(&leaders, second(5)),
        [at(1)],
        "said twice, five seconds after the first time"
    );
    assert_eq!(leaders.missing(second(8))[&at(1)], begun);
    leaders.heard([at(0)].into(), second(8));
    assert_eq!(missing(&leaders, second(8)), [at(0)], "the other one has a leader again");
    leaders.heard(BTreeSet::new(), second(9));
    leaders.asked(second(9));
    assert_eq!(missing(&leaders, second(99)), []);
    assert!(
        !leaders.due(secs(15), second(23)) && leaders.due(secs(15), second(24)),
        "asked rarely"
    );
    leaders.heard([at(1)].into(), second(24));
    assert_eq!(missing(&leaders, second(25)), [], "it begins anew");
}

#[test]
fn what_costs_liveness_comes_first() {
    let now = Instant::now();
    let observed = Observed {
        came_round: Some(now - STALL),
        stopped: vec![stopped()],
        topics_missing: ["later".to_owned()].into(),
        ..working(now)
    };
    let health = observed.health(now);
    let grave: Vec<bool> = health.conditions.iter().map(Condition::costs_liveness).collect();
    assert_eq!(grave, [true, false, false], "{health}");
    let Liveness::NotLive(reasons) = health.liveness() else { panic!("{health}") };
    assert_eq!(reasons, [Condition::ThreadSilent { silent: STALL }]);
    assert_eq!(health.readiness(), Readiness::NotReady(health.conditions.clone()));
}

#[test]
fn the_message_that_is_longest_in_work_comes_first() {
    let now = Instant::now() + secs(100);
    let in_hand = |number, since| PartitionObserved {
        partition: at(number),
        hand: Some(Hand { offset: Offset(7), attempt: 2, since: now - since }),
        ..partition(Reading::begun(now), None)
    };
    let partitions = vec![in_hand(0, secs(1)), in_hand(1, secs(50)), in_hand(2, secs(3))];
    let gone = Hand { offset: Offset(7), attempt: 1, since: now - secs(60) };
    let health = Observed { partitions, adrift: vec![(at(3), gone)], ..working(now) }.health(now);
    let order: Vec<(i32, u64, bool)> = (health.in_work.iter())
        .map(|one| (one.partition.partition.0, one.busy.as_secs(), one.adrift))
        .collect();
    assert_eq!(order, [(3, 60, true), (1, 50, false), (2, 3, false), (0, 1, false)]);
    assert!(health.is_ready(), "slow is not ill: {health}");
    let told = "attempt 1, for 60 s, though its partition was taken away";
    assert!(health.to_string().ends_with(told), "{health}");
}

/// What happens to one partition's reading.
#[derive(Debug, Clone, Copy)]
enum Fact {
    /// Something was read, or the lane is full, or the leader does not answer.
    GetsOn,
    /// The leader says: it ends here.
    EndsAt(i64),
}

#[test]
fn reading_has_stalled_when_as_a_table() {
    use Fact::{EndsAt, GetsOn};
    // what it is, facts with their second, how far it was read, the second asked about, the end if stalled
    type Row<'a> = (&'a str, &'a [(u64, Fact)], Option<i64>, u64, Option<i64>);
    let table: &[Row<'_>] = &[
        ("silence without a question proves nothing", &[], Some(5), 1000, None),
        ("an idle topic", &[(15, EndsAt(5)), (900, EndsAt(5))], Some(5), 1000, None),
        ("more for the whole time", &[(15, EndsAt(6)), (45, EndsAt(8))], Some(5), 60, Some(8)),
        ("not for the whole time yet", &[(15, EndsAt(6)), (45, EndsAt(8))], Some(5), 59, None),
        ("more, but not more and more", &[(15, EndsAt(6)), (45, EndsAt(6))], Some(5), 60, Some(6)),
        ("more since the last answer", &[(15, EndsAt(5)), (30, EndsAt(6))], Some(5), 60, None),
        ("and still then", &[(15, EndsAt(5)), (30, EndsAt(6))], Some(5), 75, Some(6)),
        ("read in between", &[(15, EndsAt(6)), (45, GetsOn)], Some(6), 100, None),
        (
            "and then no more",
            &[(15, EndsAt(6)), (45, GetsOn), (60, EndsAt(9))],
            Some(6),
            105,
            Some(9),
        ),
        (
            "idle for long, then one message",
            &[(900, EndsAt(5)), (915, EndsAt(6))],
            Some(5),
            959,
            None,
        ),
        ("nothing was ever read, though there is something", &[(15, EndsAt(1))], None, 60, Some(1)),
        ("nothing was ever there", &[(15, EndsAt(0))], None, 60, None),
        ("the end went back", &[(15, EndsAt(9)), (30, EndsAt(3))], Some(5), 1000, None),
    ];
    for (name, facts, reached, asked, stalled) in table {
        let begun = Instant::now();
        let mut reading = Reading::begun(begun);
        for (second, fact) in *facts {
            let now = begun + secs(*second);
            match fact {
                GetsOn => reading.gets_on(now),
                EndsAt(end) => reading.ends_at(Offset(*end), reached.map(Offset), now),
            }
        }
        let found = reading.stalled(STALL, begun + secs(*asked));
        assert_eq!(found, stalled.map(Offset), "{name}");
    }
}

#[test]
fn a_handle_is_read_from_any_thread_and_outlives_its_writer() {
    let handle = HealthHandle::default();
    assert_eq!(handle.now().conditions, [Condition::NotStarted]);
    let writer = handle.clone();
    let written = std::thread::spawn(move || {
        writer.write(|observed| *observed = working(Instant::now()));
    });
    assert!(written.join().is_ok());
    assert!(handle.now().is_ready());
}
