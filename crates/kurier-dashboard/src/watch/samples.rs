//! A small cluster in trouble, for tests of what is shown and exported.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::board::{Kept, Slot};
use super::brokers::Brokers;
use super::lag::{Described, GroupLook, GroupSeen, Member};
use super::looks::{ClusterLook, GroupsLook, OffsetsLook, PartitionLook, TopicLook};
use super::offsets::OffsetsTold;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

pub(crate) fn kept<T>(as_of: i64, look: T) -> Kept<T> {
    let slot = Slot::empty("nothing");
    slot.seen(at(as_of), look, None);
    slot.kept()
}

/// Three brokers, of which 3 went at 10. `orders` has two partitions, the second without a leader; its dead
/// letters have one.
pub(crate) fn cluster() -> ClusterLook {
    let listed = |ids: &[i32]| -> BTreeMap<i32, String> {
        ids.iter().map(|id| (*id, format!("kafka{id}:9092"))).collect()
    };
    let mut brokers = Brokers::default();
    brokers.see(at(0), &listed(&[1, 2, 3]), &BTreeMap::new());
    brokers.see(at(10), &listed(&[1, 2]), &BTreeMap::new());
    let partition = |number, leader, replicas: &[i32], in_sync: &[i32]| PartitionLook {
        number,
        leader,
        replicas: replicas.into(),
        in_sync: in_sync.into(),
    };
    let topic = |partitions| TopicLook { partitions, ..Default::default() };
    let orders =
        topic(vec![partition(0, Some(1), &[1, 2], &[1, 2]), partition(1, None, &[3, 2], &[3])]);
    let letters = topic(vec![partition(0, Some(2), &[1, 2], &[2, 1])]);
    let topics = [("orders".into(), orders), ("orders.dlq".into(), letters)];
    ClusterLook {
        id: Some("a-cluster".to_owned()),
        controller: Some(2),
        brokers,
        topics: topics.into(),
    }
}

/// The dead letters were told of at 0 and 10; `orders` at 10 and 20, and nothing of its second partition.
pub(crate) fn offsets() -> OffsetsLook {
    let told = |of: &[(&str, i64, i64)]| {
        let mut told = OffsetsTold::default();
        for (topic, first, next) in of {
            told.first.entry((*topic).into()).or_default().insert(0, *first);
            told.next.entry((*topic).into()).or_default().insert(0, *next);
        }
        told
    };
    let cluster = cluster();
    OffsetsLook::default()
        .seen(at(0), &told(&[("orders.dlq", 0, 3)]), &cluster)
        .seen(at(10), &told(&[("orders.dlq", 0, 3), ("orders", 5, 15)]), &cluster)
        .seen(at(20), &told(&[("orders", 5, 35)]), &cluster)
}

/// `workers`, looked at at 20, has read up to 31 and has one member; `idle` was only listed.
pub(crate) fn groups() -> GroupsLook {
    let member = Member {
        id: "workers-1-id".to_owned(),
        client_id: "workers-1".into(),
        instance_id: None,
        host: "/10.0.0.7".to_owned(),
        owns: vec![("orders".into(), 0)],
    };
    let described = Described {
        state: "Stable",
        protocol: Some("cooperative-sticky".to_owned()),
        coordinator: Some("2 (kafka2:9092)".to_owned()),
        members: vec![member],
    };
    let seen =
        GroupSeen { described: Ok(described), committed: [(("orders".into(), 0), 31)].into() };
    let workers = GroupLook::default().seen(at(20), seen, Some(&offsets()), Some(&cluster()));
    let idle = GroupLook { state: "Empty", ..Default::default() };
    let groups = [("idle".into(), idle.into()), ("workers".into(), workers.into())];
    GroupsLook { groups: groups.into(), ..Default::default() }
}
