//! What is done to facts that are well, and the one thing that is then said.

use std::time::Duration;

use jiff::SignedDuration;

use super::facts::{
    NOW, address, group_of, member, nodes, partition, put, put_brokers, put_topic, replicas, row,
};
use crate::doctor::facts::{Facts, Latest, Reach, Unread};
use crate::doctor::finding::Severity::{self, Danger, NotChecked, Note, Warning};
use crate::{ConfigProblem, GroupState, Offset};

/// What is done, the check that says it, how bad it is, something of what was found, something of how to
/// mend it.
pub(super) type Case = (fn(&mut Facts), &'static str, Severity, &'static str, &'static str);

#[rustfmt::skip]
pub(super) const CLUSTER: &[Case] = &[
    (|it| it.brokers[1].reach = Reach::Unresolved("unknown".into()), "advertised-listeners", Danger, "kafka2.example:9092, which is no name here (unknown): the name is not in this host's DNS", "advertised.listeners=PLAINTEXT://kafka.example:9092"),
    (|it| address(it, "b2f7", Reach::Unresolved("unknown".into())), "advertised-listeners", Danger, "usually a container's", "KAFKA_ADVERTISED_LISTENERS"),
    (|it| address(it, "localhost", Reach::Refused), "advertised-listeners", Danger, "that is this host itself, not the broker's", "PLAINTEXT://kafka.example:9092"),
    (|it| it.brokers[1].reach = Reach::Refused, "advertised-listeners", Danger, "refuses the connection: the broker listens on another port", ""),
    (|it| address(it, "10.0.0.7", Reach::Silent(Duration::from_secs(3))), "advertised-listeners", Danger, "did not answer within 3s: a private address", ""),
    (|it| address(it, "kafka1.example", Reach::Connected), "advertised-listeners", Danger, "brokers 1, 2 tell clients the same address, kafka1.example:9092", "a port or host of its own"),
    (|it| drop(it.brokers.remove(2)), "brokers", Warning, "2 of 3 brokers up; not up: 3", "start broker 3"),
    (|it| it.controller = None, "controller", Danger, "no controller", "start the controllers"),
    (|it| replicas(&mut it.internal[0], &[2]), "offsets-topic", Danger, "replication factor 1", r#"{"topic":"__consumer_offsets","partition":1,"replicas":[2,3,1]}"#),
    (|it| replicas(&mut it.internal[0], &[1, 2]), "offsets-topic", Warning, "replication factor 2", "kafka-reassign-partitions --bootstrap-server kafka.example:9092"),
    (|it| put(&mut it.internal[0].settings, "min.insync.replicas", "1"), "offsets-topic", Warning, "min.insync.replicas=1", "topic alter __consumer_offsets --set min.insync.replicas=2"),
    (|it| { it.internal.clear(); put_brokers(it, "offsets.topic.replication.factor", "1"); }, "offsets-topic", Danger, "offsets.topic.replication.factor=1 on brokers 1, 2, 3", "offsets.topic.replication.factor=3"),
    (|it| put_brokers(it, "offsets.retention.minutes", "1439"), "offsets-retention", Warning, "offsets.retention.minutes=1439", "offsets.retention.minutes=10080"),
    (|it| put_brokers(it, "auto.create.topics.enable", "true"), "auto-create-topics", Warning, "auto.create.topics.enable=true on brokers 1, 2, 3; such topics have default.replication.factor=3", "auto.create.topics.enable=false"),
    (|it| it.topics[0].latest = Ok(Latest { of_record: Some(NOW + SignedDuration::from_millis(2_100)), asked: NOW }), "clock-skew", Warning, "2.1 s ahead of this host's clock: a broker's clock", "chronyc"),
    (|it| it.topics_unread.push(Unread("7 topics".into())), "everything-seen", NotChecked, "7 topics", ""),
    (|it| it.groups_unread.push(Unread("3 groups".into())), "everything-seen", NotChecked, "3 groups", ""),
];

#[rustfmt::skip]
pub(super) const TOPICS: &[Case] = &[
    (|it| { partition(it).leader = None; partition(it).isr.clear(); }, "offline-partitions", Danger, "no leader: 1 partition of 2 (0)", "start a broker that holds them: 1, 2, 3"),
    (|it| partition(it).isr = nodes(&[1, 2]), "in-sync-replicas", Warning, "1 partition of 2 (0)", "start the brokers"),
    (|it| partition(it).isr = nodes(&[1]), "in-sync-replicas", Danger, "fewer than min.insync.replicas=2 in sync, writes are refused: 1 partition (0)", ""),
    (|it| { replicas(&mut it.topics[0], &[1]); put_topic(it, "min.insync.replicas", "1"); }, "replication-factor", Danger, "replication factor 1 (2 partitions of 2)", r#"{"topic":"orders","partition":0,"replicas":[1,2,3]}"#),
    (|it| put_topic(it, "min.insync.replicas", "1"), "min-insync-replicas", Danger, "min.insync.replicas=1 with 3 replicas", "kurier -b kafka.example:9092 topic alter orders --set min.insync.replicas=2"),
    (|it| put_topic(it, "min.insync.replicas", "4"), "min-insync-replicas", Danger, "min.insync.replicas=4 with 3 replicas", "min.insync.replicas=2"),
    (|it| put_topic(it, "min.insync.replicas", "3"), "min-insync-replicas", Warning, "min.insync.replicas=3 with 3 replicas", "min.insync.replicas=2"),
    (|it| put_topic(it, "unclean.leader.election.enable", "true"), "unclean-leader-election", Danger, "=true", "unclean.leader.election.enable=false"),
    (|it| put_topic(it, "max.message.bytes", "999999"), "message-size", Danger, "max.message.bytes=999999, and this client sends up to message.max.bytes=1000000", "max.message.bytes=1048588"),
    (|it| it.client.consumer.insert("receive.message.max.bytes", "1048588"), "message-size", Danger, "does not fit this client's receive.message.max.bytes=1048588", "receive.message.max.bytes=1049100"),
    (|it| put(&mut it.brokers[0].settings, "socket.request.max.bytes", "1048587"), "message-size", Warning, "socket.request.max.bytes=1048587 of broker 1", ""),
    (|it| put_topic(it, "cleanup.policy", "compact,delete"), "compaction", Warning, "cleanup.policy=compact,delete", "cleanup.policy=delete"),
    (|it| put_topic(it, "retention.ms", "86399999"), "retention", Warning, "retention.ms=86399999", "retention.ms=604800000"),
    (|it| put_topic(it, "message.timestamp.type", "CreateTime"), "timestamps", Note, "retention.ms=604800000 (7 d)", "message.timestamp.before.max.ms=604800000"),
    (|it| it.instances = Some(3), "partitions", Warning, "2 partitions for 3 instances", "topic alter orders --partitions 3"),
];

#[rustfmt::skip]
pub(super) const GROUPS_AND_CLIENTS: &[Case] = &[
    (|it| row(it).earliest = Ok(Offset(61)), "retention-against-lag", Danger, "deleted before they were handled: 1 offset (orders[0] committed 60, kept from 61)", "retention.ms=1209600000"),
    (|it| row(it).half = Some(Ok(Offset(61))), "retention-against-lag", Warning, "used up half of retention in 1 partition (orders[0]); orders: retention.ms=604800000", "retention.ms=1209600000"),
    (|it| { row(it).half = Some(Ok(Offset(100))); row(it).nearly = Some(Ok(Offset(61))); }, "retention-against-lag", Danger, "used up nine tenths of retention", "group describe workers"),
    (|it| row(it).earliest = Ok(Offset(21)), "retention-against-lag", Warning, "half of retention", ""),
    (|it| row(it).earliest = Ok(Offset(56)), "retention-against-lag", Danger, "nine tenths of retention", ""),
    (|it| row(it).half = Some(Err(Unread("no".into()))), "retention-against-lag", NotChecked, "no", ""),
    (|it| row(it).end = Ok(Offset(59)), "commit-past-end", Danger, "orders[0] committed 60, ends at 59", "group reset workers --topic orders --to earliest"),
    (|it| { group_of(it).state = GroupState::Empty; group_of(it).members.clear(); }, "idle-group", Warning, "no members, lag 40; its commits are kept for 7 d", "group describe workers"),
    (|it| { group_of(it).state = GroupState::Empty; group_of(it).members.clear(); row(it).end = Ok(Offset(60)); }, "idle-group", Note, "no members, lag 0", ""),
    (|it| { it.groups[0].description = Ok(None); it.groups[0].backlog = Ok(Vec::new()); }, "idle-group", Note, "there is no such group", "check the name"),
    (|it| group_of(it).members.push(member("c", &[])), "partitions", Warning, "2 partitions for 3 members: 1 without any (c)", "topic alter orders --partitions 3"),
    (|it| it.client.problems.push(ConfigProblem::new("acks", "1", "refused: it loses")), "client-properties", Danger, "acks=1: refused: it loses", "take acks out"),
    (|it| put_brokers(it, "group.max.session.timeout.ms", "30000"), "session-timeout", Danger, "session.timeout.ms=45000 is above group.max.session.timeout.ms=30000 of brokers 1, 2, 3", "session.timeout.ms=30000"),
    (|it| put(&mut it.brokers[2].settings, "group.min.session.timeout.ms", "60000"), "session-timeout", Danger, "is below group.min.session.timeout.ms=60000 of broker 3", ""),
    (|it| it.client.consumer.insert("session.timeout.ms", "6000"), "session-timeout", Warning, "session.timeout.ms=6000 (6 s)", "session.timeout.ms=45000"),
];
