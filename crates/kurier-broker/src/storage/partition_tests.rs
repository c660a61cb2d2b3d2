use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::storage::testing::BatchSpec;

const LAG_MAX: Duration = Duration::from_secs(10);
const CLOCK: Duration = Duration::from_secs(1_000);

fn partition() -> (Partition, Instant) {
    partition_with(Timestamps::Create)
}

fn partition_with(timestamps: Timestamps) -> (Partition, Instant) {
    let settings = PartitionSettings {
        bytes_max: usize::MAX,
        batch_bytes_max: 1 << 20,
        min_in_sync: 2,
        lag_max: LAG_MAX,
        unclean_election: false,
        timestamps,
        ahead_max: Duration::from_secs(60),
    };
    (Partition::new(settings, &[NodeId(1), NodeId(2), NodeId(3)], 0), Instant::now())
}

fn records(n: i32) -> Bytes {
    BatchSpec::of(n).build()
}

#[test]
fn a_topic_that_keeps_the_time_of_appending_writes_it_and_tells_it_again_to_who_asks_again() {
    let (mut it, now) = partition_with(Timestamps::LogAppend);
    let sent = BatchSpec::of(3).at(5).sequenced(7, 0, 0).build();
    let appended = it.append(now, CLOCK, Acks::All, sent.clone()).expect("appended");
    assert_eq!(appended.append_time, Some(1_000_000));
    let again = it.append(now, 2 * CLOCK, Acks::All, sent).expect("a duplicate");
    assert_eq!((again.base_offset, again.append_time), (0, Some(1_000_000)));
    let stamp = |timestamp| it.at_or_after(timestamp).map(|it| (it.offset, it.timestamp));
    assert_eq!(stamp(6), Some((0, 1_000_000)));
    assert_eq!(stamp(1_000_001), None);
    let (mut other, now) = partition();
    let kept = other.append(now, CLOCK, Acks::All, records(1)).expect("appended");
    assert_eq!(kept.append_time, None);
}

#[test]
fn a_producers_time_may_be_ahead_so_far_and_no_further_unless_it_is_not_kept() {
    let far = |millis: i64| BatchSpec::of(1).at(1_000_000 + 60_000 + millis).build();
    let (mut it, now) = partition();
    it.append(now, CLOCK, Acks::All, far(0)).expect("just near enough");
    let refused = it.append(now, CLOCK, Acks::All, far(1));
    assert_eq!(refused, Err(AppendError::Future(Duration::from_secs(60))));
    let (mut it, now) = partition_with(Timestamps::LogAppend);
    it.append(now, CLOCK, Acks::All, far(1)).expect("its time is not looked at");
}

#[test]
fn acknowledged_to_all_survives_the_leader() {
    let (mut it, now) = partition();
    let appended = it.append(now, CLOCK, Acks::All, records(2)).expect("appended");
    assert_eq!(it.ack_state(&appended), AckState::Done);
    it.node_down(now, NodeId(1));
    assert_eq!((it.leader(), it.epoch(), it.high_watermark()), (Some(NodeId(2)), 1, 2));
    assert!(!it.read(0, 1 << 20, true).expect("in range").is_empty());
}

#[test]
fn acknowledged_by_the_leader_alone_is_lost_with_it_when_followers_are_frozen() {
    let (mut it, now) = partition();
    it.append(now, CLOCK, Acks::Leader, records(1)).expect("appended");
    it.set_frozen(now, NodeId(2), true);
    it.set_frozen(now, NodeId(3), true);
    it.append(now, CLOCK, Acks::Leader, records(5)).expect("acknowledged by the leader");
    let waiting = it.append(now, CLOCK, Acks::All, records(1)).expect("appended");
    assert_eq!(it.ack_state(&waiting), AckState::Waiting, "but not acknowledged to all");
    assert_eq!(it.high_watermark(), 1, "and nobody reads it");
    it.node_down(now, NodeId(1));
    assert_eq!(it.ack_state(&waiting), AckState::LeaderMoved);
    assert_eq!(it.log.end(), 1, "five acknowledged records are gone");
    it.node_up(now, NodeId(1));
    assert_eq!(it.replicas.end_of(NodeId(1)), 1, "the old leader forgets them too");
}

#[test]
fn a_truncated_batch_is_no_duplicate_when_it_comes_again() {
    let (mut it, now) = partition();
    let first = BatchSpec::of(1).sequenced(9, 0, 0).build();
    let second = BatchSpec::of(2).sequenced(9, 0, 1).build();
    it.append(now, CLOCK, Acks::All, first.clone()).expect("appended");
    it.set_frozen(now, NodeId(2), true);
    it.set_frozen(now, NodeId(3), true);
    it.append(now, CLOCK, Acks::All, second.clone()).expect("appended");
    it.node_down(now, NodeId(1));
    it.set_frozen(now, NodeId(2), false);
    it.set_frozen(now, NodeId(3), false);
    let again = it.append(now, CLOCK, Acks::All, second).expect("appended");
    assert_eq!((again.base_offset, it.ack_state(&again)), (1, AckState::Done));
    assert_eq!(it.append(now, CLOCK, Acks::All, first).expect("a duplicate").base_offset, 0);
    assert_eq!(it.log.end(), 3);
}

#[test]
fn sequences_are_judged_as_kafka_does() {
    let (mut it, now) = partition();
    let mut send = |epoch, first| {
        it.append(now, CLOCK, Acks::All, BatchSpec::of(2).sequenced(4, epoch, first).build())
    };
    assert_eq!(send(3, 10).map(|it| it.base_offset), Ok(0), "an unknown producer begins anywhere");
    assert_eq!(send(3, 10).map(|it| it.base_offset), Ok(0), "a duplicate has its old place");
    assert_eq!(send(3, 14), Err(AppendError::OutOfOrder), "12 is missing");
    assert_eq!(send(2, 12), Err(AppendError::OldEpoch));
    assert_eq!(send(4, 12), Err(AppendError::OutOfOrder), "a new epoch begins at 0");
    assert_eq!(send(4, 0).map(|it| it.base_offset), Ok(2));
    for (sent, first) in [2, 4, 6, 8, 10].into_iter().enumerate() {
        assert_eq!(send(4, first).map(|it| it.base_offset), Ok(4 + 2 * sent as i64));
    }
    assert_eq!(send(4, 0), Err(AppendError::OutOfOrder), "five are remembered, not six");
    assert_eq!(send(4, 2).map(|it| it.base_offset), Ok(4));
}

#[test]
fn too_few_in_sync_replicas_are_refused_before_and_told_after() {
    let (mut it, now) = partition();
    it.set_frozen(now, NodeId(3), true);
    it.set_frozen(now, NodeId(2), true);
    let appended = it.append(now, CLOCK, Acks::All, records(1)).expect("appended");
    assert_eq!(it.next_deadline(), Some(now + LAG_MAX));
    assert!(!it.tick(now + LAG_MAX - Duration::from_millis(1)));
    assert!(it.tick(now + LAG_MAX));
    assert_eq!(it.ack_state(&appended), AckState::TooFewReplicas);
    assert_eq!(
        it.append(now, CLOCK, Acks::All, records(1)),
        Err(AppendError::NotEnoughReplicas { found: 1, min: 2 })
    );
    assert!(it.append(now, CLOCK, Acks::Leader, records(1)).is_ok());
    it.set_frozen(now, NodeId(2), false);
    assert!(it.append(now, CLOCK, Acks::All, records(1)).is_ok(), "it caught up and counts again");
}

#[test]
fn the_last_in_sync_replica_is_waited_for() {
    let (mut it, now) = partition();
    for node in [2, 3, 1] {
        it.node_down(now, NodeId(node));
    }
    assert_eq!(it.leader(), None);
    it.node_up(now, NodeId(2));
    assert_eq!(it.leader(), None, "it may have less than node 1");
    it.node_up(now, NodeId(1));
    assert_eq!(it.leader(), Some(NodeId(1)));
    assert!(it.append(now, CLOCK, Acks::All, records(1)).is_ok());
}

#[test]
fn leadership_returns_to_the_preferred_replica_without_loss() {
    let (mut it, now) = partition();
    it.node_down(now, NodeId(1));
    it.append(now, CLOCK, Acks::All, records(3)).expect("appended");
    assert!(!it.prefer(now), "it is down");
    it.node_up(now, NodeId(1));
    assert!(it.prefer(now));
    assert_eq!((it.leader(), it.log.end(), it.high_watermark()), (Some(NodeId(1)), 3, 3));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Append { acks_all: bool },
    Down(i32),
    Up(i32),
    Freeze(i32, bool),
    Tick,
}

fn step() -> impl Strategy<Value = Step> {
    let node = 1..=3i32;
    prop_oneof![
        4 => any::<bool>().prop_map(|acks_all| Step::Append { acks_all }),
        1 => node.clone().prop_map(Step::Down),
        2 => node.clone().prop_map(Step::Up),
        1 => (node, any::<bool>()).prop_map(|(node, frozen)| Step::Freeze(node, frozen)),
        1 => Just(Step::Tick),
    ]
}

proptest! {
    #[test]
    fn what_all_replicas_acknowledged_is_never_lost_and_the_watermark_never_goes_back(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let (mut it, mut now) = partition();
        let mut promised: HashSet<(i64, i64)> = HashSet::new();
        let mut waiting: Vec<(Appended, i64)> = Vec::new();
        for (serial, step) in steps.into_iter().enumerate() {
            let watermark = it.high_watermark();
            let stamp = 1_000 * (serial as i64 + 1);
            match step {
                Step::Append { acks_all } if it.leader().is_some() => {
                    let acks = if acks_all { Acks::All } else { Acks::Leader };
                    if let Ok(appended) = it.append(now, CLOCK, acks, BatchSpec::of(1).at(stamp).build())
                        && acks_all
                    {
                        waiting.push((appended, stamp));
                    }
                }
                Step::Append { .. } => {}
                Step::Down(node) => it.node_down(now, NodeId(node)),
                Step::Up(node) => it.node_up(now, NodeId(node)),
                Step::Freeze(node, frozen) => it.set_frozen(now, NodeId(node), frozen),
                Step::Tick => {
                    now += LAG_MAX / 2;
                    it.tick(now);
                }
            }
            waiting.retain(|(appended, stamp)| match it.ack_state(appended) {
                AckState::Waiting => true,
                AckState::Done => {
                    promised.insert((appended.base_offset, *stamp));
                    false
                }
                AckState::LeaderMoved | AckState::TooFewReplicas => false,
            });
            prop_assert!(it.high_watermark() >= watermark);
            prop_assert!(it.high_watermark() <= it.log.end());
            let held: HashSet<_> =
                it.log.batches().map(|batch| (batch.base_offset, batch.base_timestamp)).collect();
            prop_assert!(promised.is_subset(&held), "{:?} of {held:?}", promised.difference(&held));
        }
    }
}
