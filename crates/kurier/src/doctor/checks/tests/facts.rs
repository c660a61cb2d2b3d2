//! Facts of a cluster that is well, and how to hurt them.

use jiff::Timestamp;

use crate::doctor::facts::{
    Backlog, BrokerFacts, ClientFacts, Facts, GroupFacts, Latest, Reach, Reading, Settings,
    TopicFacts,
};
use crate::{
    Broker, GroupDescription, GroupMember, GroupState, NodeId, Offset, PartitionDescription,
    PartitionId, TopicDescription, TopicPartition,
};

pub(super) fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

pub(super) fn broker(id: i32) -> BrokerFacts {
    let settings = [
        ("auto.create.topics.enable", "false"),
        ("default.replication.factor", "3"),
        ("group.max.session.timeout.ms", "1800000"),
        ("group.min.session.timeout.ms", "6000"),
        ("offsets.retention.minutes", "10080"),
        ("offsets.topic.replication.factor", "3"),
        ("socket.request.max.bytes", "104857600"),
    ];
    BrokerFacts {
        broker: Broker { id: NodeId(id), host: format!("kafka{id}.example"), port: 9092 },
        reach: Reach::Connected,
        settings: Ok(settings.into_iter().collect()),
    }
}

pub(super) fn topic_facts(name: &str, internal: bool) -> TopicFacts {
    let partition = |number| PartitionDescription {
        partition: PartitionId(number),
        leader: Some(NodeId(1)),
        replicas: nodes(&[1, 2, 3]),
        isr: nodes(&[1, 2, 3]),
    };
    let settings = [
        ("cleanup.policy", "delete"),
        ("max.message.bytes", "1048588"),
        ("message.timestamp.before.max.ms", "9223372036854775807"),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.insync.replicas", "2"),
        ("retention.bytes", "-1"),
        ("retention.ms", "604800000"),
        ("unclean.leader.election.enable", "false"),
    ];
    TopicFacts {
        description: TopicDescription {
            name: name.to_owned(),
            internal,
            partitions: vec![partition(0), partition(1)],
        },
        settings: Ok(settings.into_iter().collect()),
        latest: Ok(Latest { of_record: Some(NOW), asked: NOW }),
    }
}

pub(super) const NOW: Timestamp = Timestamp::UNIX_EPOCH;

pub(super) fn member(name: &str, partitions: &[i32]) -> GroupMember {
    let owned = partitions.iter().map(|&at| TopicPartition::new("orders", PartitionId(at)));
    GroupMember {
        id: name.to_owned(),
        client_id: name.to_owned(),
        instance_id: None,
        host: "/127.0.0.1".to_owned(),
        partitions: owned.collect(),
    }
}

/// A group that has 40 of 100 records to handle, of which the oldest 20 have used up half their time.
pub(super) fn workers() -> GroupFacts {
    let row = Backlog {
        partition: TopicPartition::new("orders", PartitionId(0)),
        committed: Offset(60),
        earliest: Ok(Offset(0)),
        end: Ok(Offset(100)),
        bounded: true,
        half: Some(Ok(Offset(20))),
        nearly: Some(Ok(Offset(5))),
    };
    let description = GroupDescription {
        name: "workers".to_owned(),
        state: GroupState::Stable,
        protocol: Some("cooperative-sticky".to_owned()),
        coordinator: None,
        members: vec![member("a", &[0]), member("b", &[1])],
    };
    GroupFacts {
        name: "workers".to_owned(),
        description: Ok(Some(description)),
        backlog: Ok(vec![row]),
    }
}

pub(super) fn healthy() -> Facts {
    let client = |settings: &[(&str, &str)]| settings.iter().copied().collect::<Settings>();
    Facts {
        bootstrap: "kafka.example:9092".to_owned(),
        cluster: Some("id".to_owned()),
        controller: Some(NodeId(1)),
        brokers: [1, 2, 3].map(broker).into(),
        topics: vec![topic_facts("orders", false)],
        internal: vec![topic_facts("__consumer_offsets", true)],
        holders: nodes(&[1, 2, 3]).into_iter().collect(),
        topics_unread: Vec::new(),
        groups: vec![workers()],
        groups_unread: Vec::new(),
        client: ClientFacts {
            problems: Vec::new(),
            producer: client(&[("message.max.bytes", "1000000")]),
            consumer: client(&[
                ("receive.message.max.bytes", "100000000"),
                ("session.timeout.ms", "45000"),
            ]),
        },
        instances: None,
    }
}

/// Another value of one setting.
pub(super) fn put(settings: &mut Reading<Settings>, name: &str, value: &str) {
    let mut changed = settings.clone().unwrap_or_default();
    changed.insert(name, value);
    *settings = Ok(changed);
}

pub(super) fn put_topic(facts: &mut Facts, name: &str, value: &str) {
    put(&mut facts.topics[0].settings, name, value);
}

pub(super) fn put_brokers(facts: &mut Facts, name: &str, value: &str) {
    for broker in &mut facts.brokers {
        put(&mut broker.settings, name, value);
    }
}

pub(super) fn partition(facts: &mut Facts) -> &mut PartitionDescription {
    &mut facts.topics[0].description.partitions[0]
}

pub(super) fn row(facts: &mut Facts) -> &mut Backlog {
    &mut facts.groups[0].backlog.as_mut().expect("read")[0]
}

pub(super) fn group_of(facts: &mut Facts) -> &mut GroupDescription {
    facts.groups[0].description.as_mut().expect("read").as_mut().expect("there")
}

pub(super) fn replicas(topic: &mut TopicFacts, ids: &[i32]) {
    for partition in &mut topic.description.partitions {
        partition.replicas = nodes(ids);
        partition.isr = nodes(ids);
    }
}

/// Another host for the second broker, and what becomes of a connection to it.
pub(super) fn address(facts: &mut Facts, host: &str, reach: Reach) {
    facts.brokers[1].broker.host = host.to_owned();
    facts.brokers[1].reach = reach;
}
