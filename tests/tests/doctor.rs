//! What the doctor says of embedded clusters that are set up wrongly, each in one way.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kurier::{
    Admin, CHECKS, ClientConfig, ClientError, Diagnosis, Doctor, NewTopic, Severity, Subject,
};
use kurier_broker::{Api, Builder, EmbeddedCluster, Fault, FaultAction, ResponseError};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use tokio::net::TcpListener;

use Severity::{Danger, NotChecked, Note, Warning};

const TOPIC: &str = "orders";
const GROUP: &str = "workers";

/// Three nodes, one topic with three partitions and replicas, of which two must be in sync.
fn healthy() -> Builder {
    EmbeddedCluster::builder().topic(TOPIC, 3)
}

/// What a doctor says who was told some more.
async fn examine(cluster: &EmbeddedCluster, told: impl Fn(Doctor) -> Doctor) -> Diagnosis {
    examine_as(&cluster.bootstrap(), &[], told).await.unwrap()
}

async fn examine_as(
    bootstrap: &str,
    properties: &[(&str, &str)],
    told: impl Fn(Doctor) -> Doctor,
) -> Result<Diagnosis, ClientError> {
    let mut config = ClientConfig::new(bootstrap);
    let own = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    config.properties.extend(own);
    let admin = Admin::connect(&ClientConfig::new(bootstrap)).unwrap();
    let admin = admin.with_timeout(Duration::from_secs(10));
    let examined = told(Doctor::new(config)).examine(&admin).await;
    admin.close().await;
    examined
}

/// The checks that said something, and how bad; without what was not checked.
fn said(diagnosis: &Diagnosis) -> Vec<(&'static str, Severity)> {
    let found = diagnosis.findings.iter().filter(|it| it.severity != NotChecked);
    let mut said: Vec<_> = found.map(|it| (it.check.id, it.severity)).collect();
    said.dedup();
    said
}

fn found(diagnosis: &Diagnosis, check: &str) -> String {
    let finding = diagnosis.findings.iter().find(|it| it.check.id == check);
    finding.unwrap_or_else(|| panic!("{check}: {diagnosis:#?}")).found.clone()
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Sends records of these ages in milliseconds to the first partition.
async fn send(cluster: &EmbeddedCluster, ages: impl IntoIterator<Item = i64>) {
    let producer: FutureProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .create()
        .unwrap();
    let value = "x".repeat(500);
    for age in ages {
        let record = FutureRecord::<str, str>::to(TOPIC).partition(0).payload(&value);
        let record = record.timestamp(now_ms() - age);
        producer.send(record, Duration::from_secs(30)).await.unwrap();
    }
}

/// The group has handled all before `offset` of the first partition, and has no members.
async fn commit(cluster: &EmbeddedCluster, offset: i64) {
    let bootstrap = cluster.bootstrap();
    let commit = move || {
        let client: BaseConsumer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", GROUP)
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(TOPIC, 0, Offset::Offset(offset)).unwrap();
        client.commit(&list, CommitMode::Sync).unwrap();
    };
    tokio::task::spawn_blocking(commit).await.unwrap();
}

/// A port of this host on which nobody listens, held until it is dropped.
async fn closed_port() -> (tokio::net::TcpSocket, u16) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_well_has_nothing_to_hear() {
    let cluster = healthy().start().await.unwrap();
    send(&cluster, [0, 0, 0]).await;
    let diagnosis = examine(&cluster, |doctor| doctor.instances(3)).await;
    assert_eq!(diagnosis.findings, []);
    assert_eq!((diagnosis.brokers, diagnosis.topics), (3, vec![TOPIC.to_owned()]));
}

/// What nodes are set to, and the only thing that is said of it.
#[rustfmt::skip]
const SETTINGS: &[(&str, &str, &str, Severity)] = &[
    ("auto.create.topics.enable", "true", "auto-create-topics", Warning),
    ("cleanup.policy", "compact", "compaction", Warning),
    ("group.max.session.timeout.ms", "30000", "session-timeout", Danger),
    ("max.message.bytes", "500000", "message-size", Danger),
    ("min.insync.replicas", "1", "min-insync-replicas", Danger),
    ("min.insync.replicas", "3", "min-insync-replicas", Warning),
    ("offsets.retention.minutes", "60", "offsets-retention", Warning),
    ("offsets.topic.replication.factor", "1", "offsets-topic", Danger),
    ("unclean.leader.election.enable", "true", "unclean-leader-election", Danger),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_setting_that_endangers_is_found_with_its_value() {
    for (name, value, check, severity) in SETTINGS {
        let cluster = healthy().pretend_setting(*name, *value).start().await.unwrap();
        let diagnosis = examine(&cluster, |doctor| doctor).await;
        assert_eq!(said(&diagnosis), [(*check, *severity)], "{name}: {diagnosis:#?}");
        let found = found(&diagnosis, check);
        assert!(found.contains(&format!("{name}={value}")), "{found}");
        cluster.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_retention_is_found_and_that_old_messages_may_go_at_once() {
    let cluster = healthy().pretend_setting("retention.ms", "3600000").start().await.unwrap();
    let diagnosis = examine(&cluster, |doctor| doctor.topic(TOPIC)).await;
    assert_eq!(said(&diagnosis), [("retention", Warning), ("timestamps", Note)]);
    assert!(found(&diagnosis, "retention").contains("retention.ms=3600000 (1 h)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_is_found_and_a_plan_for_three_is_given() {
    let cluster = EmbeddedCluster::builder().start().await.unwrap();
    let admin = Admin::connect(&ClientConfig::new(cluster.bootstrap())).unwrap();
    let topic = NewTopic::new(TOPIC).partitions(2).replication(1);
    admin.create_topic(&topic).await.unwrap();
    admin.wait_for_topic(TOPIC, Duration::from_secs(60)).await.unwrap();
    let diagnosis = examine(&cluster, |doctor| doctor).await;
    assert_eq!(said(&diagnosis), [("replication-factor", Danger)]);
    let plan = diagnosis.findings[0].mends[0].command.clone().unwrap();
    for partition in [0, 1] {
        let described = admin.describe_topic(TOPIC).await.unwrap();
        let first = described.partitions[partition].replicas[0];
        let begins = format!(r#""partition":{partition},"replicas":[{first},"#);
        assert!(plan.contains(&begins), "{begins}: {plan}");
    }
    // With its one broker away the partitions that it leads are offline too.
    let leader = admin.describe_topic(TOPIC).await.unwrap().partitions[0].leader.unwrap();
    cluster.kill(leader.0).await.unwrap();
    let diagnosis = examine(&cluster, |doctor| doctor).await;
    let expected =
        [("offline-partitions", Danger), ("replication-factor", Danger), ("brokers", Warning)];
    assert_eq!(said(&diagnosis), expected, "{diagnosis:#?}");
    assert!(found(&diagnosis, "offline-partitions").starts_with("no leader: 1 partition of 2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_brokers_are_counted_and_then_writes_are_refused() {
    let cluster = healthy().start().await.unwrap();
    cluster.kill(3).await.unwrap();
    let diagnosis = examine(&cluster, |doctor| doctor).await;
    assert_eq!(said(&diagnosis), [("brokers", Warning), ("in-sync-replicas", Warning)]);
    assert_eq!(found(&diagnosis, "brokers"), "2 of 3 brokers up; not up: 3");
    cluster.kill(2).await.unwrap();
    let diagnosis = examine(&cluster, |doctor| doctor).await;
    assert_eq!(said(&diagnosis), [("in-sync-replicas", Danger), ("brokers", Warning)]);
    assert!(found(&diagnosis, "in-sync-replicas").contains("writes are refused: 3 partitions"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_is_away_is_found() {
    let cluster = healthy().pretend_no_controller().start().await.unwrap();
    let diagnosis = examine(&cluster, |doctor| doctor).await;
    assert_eq!(said(&diagnosis), [("controller", Danger)], "{diagnosis:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_nobody_answers_is_found_with_its_usual_cause() {
    let (_held, port) = closed_port().await;
    // The first is known in no network, the second is this host with nobody there.
    let cluster = healthy().advertise(2, "kafka-2.invalid", 9092).advertise(3, "127.0.0.1", port);
    let cluster = cluster.start().await.unwrap();
    let diagnosis = examine(&cluster, |doctor| doctor).await;
    let listeners = diagnosis.findings.iter().filter(|it| it.check.id == "advertised-listeners");
    let listeners: Vec<_> = listeners.collect();
    let about = listeners.iter().map(|it| it.subject.name().unwrap()).collect::<Vec<_>>();
    assert_eq!(about, ["2", "3"], "{diagnosis:#?}");
    let causes = ["the name is not in this host's DNS", "a broker in a container that advertises"];
    for (finding, cause) in listeners.iter().zip(causes) {
        assert_eq!(finding.severity, Danger);
        assert!(finding.found.contains(cause), "{}", finding.found);
        assert!(finding.mends[0].advice.contains("advertised.listeners="));
    }
    // What only they could tell is not passed over in silence.
    let unread = |id: &str| {
        let unread = diagnosis.findings.iter().filter(|it| it.severity == NotChecked);
        unread.filter(|it| it.check.id == id).map(|it| it.subject.name()).collect::<Vec<_>>()
    };
    assert_eq!(unread("auto-create-topics"), [Some("2".to_owned()), Some("3".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_brokers_with_one_address_are_found() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let cluster = healthy().advertise(2, "127.0.0.1", port).advertise(3, "127.0.0.1", port);
    let cluster = cluster.start().await.unwrap();
    let told = |doctor: Doctor| doctor.topic(TOPIC);
    // Nothing but silence comes from there, for each question as long as the timeout.
    let admin = Admin::connect(&ClientConfig::new(cluster.bootstrap())).unwrap();
    let admin = admin.with_timeout(Duration::from_secs(2));
    let doctor = told(Doctor::new(ClientConfig::new(cluster.bootstrap())));
    let diagnosis = doctor.examine(&admin).await.unwrap();
    let finding = diagnosis.findings.iter().find(|it| it.severity == Danger).unwrap();
    assert_eq!((finding.check.id, &finding.subject), ("advertised-listeners", &Subject::Cluster));
    assert!(finding.found.starts_with("brokers 2, 3 tell clients the same address"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_deleted_before_it_was_handled_is_found() {
    let cluster = healthy().bytes_max(8 << 10).start().await.unwrap();
    commit(&cluster, 1).await;
    send(&cluster, [0; 60]).await;
    let diagnosis = examine(&cluster, |doctor| doctor).await;
    let expected = [("retention-against-lag", Danger), ("idle-group", Warning)];
    assert_eq!(said(&diagnosis), expected, "{diagnosis:#?}");
    assert!(
        found(&diagnosis, "retention-against-lag").contains("orders[0] committed 1, kept from ")
    );
    assert_eq!(diagnosis.groups, [GROUP]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_will_delete_next_is_found_by_its_age() {
    const HOUR: i64 = 3_600_000;
    let cluster = healthy().pretend_setting("retention.ms", "360000000").start().await.unwrap();
    send(&cluster, [95 * HOUR, 60 * HOUR, 40 * HOUR, 0]).await;
    let other = [("idle-group", Warning), ("timestamps", Note)];
    for (committed, expected) in [(0, Some(Danger)), (1, Some(Warning)), (2, None)] {
        commit(&cluster, committed).await;
        let diagnosis = examine(&cluster, |doctor| doctor.topic(TOPIC)).await;
        let mut said = said(&diagnosis);
        let about = said.iter().position(|(check, _)| *check == "retention-against-lag");
        let severity = about.map(|at| said.remove(at).1);
        assert_eq!(severity, expected, "{committed}: {diagnosis:#?}");
        assert_eq!(said, other);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_will_delete_next_is_found_by_its_place() {
    let cluster = healthy().bytes_max(8 << 10).start().await.unwrap();
    send(&cluster, [0; 60]).await;
    let admin = Admin::connect(&ClientConfig::new(cluster.bootstrap())).unwrap();
    let kept = admin.watermarks(TOPIC).await.unwrap()[&kurier::PartitionId(0)];
    let all = kept.end.0 - kept.earliest.0;
    assert!(0 < kept.earliest.0 && 10 <= all, "{kept:?}");
    for (committed, expected) in
        [(kept.earliest.0, Danger), (kept.earliest.0 + all * 3 / 10, Warning)]
    {
        commit(&cluster, committed).await;
        let diagnosis = examine(&cluster, |doctor| doctor).await;
        assert!(said(&diagnosis).contains(&("retention-against-lag", expected)), "{diagnosis:#?}");
    }
    commit(&cluster, kept.end.0).await;
    let diagnosis = examine(&cluster, |doctor| doctor).await;
    assert_eq!(said(&diagnosis), [("idle-group", Note)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_past_the_end_is_found() {
    let cluster = healthy().start().await.unwrap();
    commit(&cluster, 7).await;
    let diagnosis = examine(&cluster, |doctor| doctor).await;
    assert_eq!(said(&diagnosis), [("commit-past-end", Danger), ("idle-group", Note)]);
    assert!(found(&diagnosis, "commit-past-end").contains("orders[0] committed 7, ends at 0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_ahead_is_found() {
    let cluster = healthy().start().await.unwrap();
    send(&cluster, [-600_000]).await;
    let diagnosis = examine(&cluster, |doctor| doctor).await;
    assert_eq!(said(&diagnosis), [("clock-skew", Warning)]);
    assert!(found(&diagnosis, "clock-skew").contains("a producer's clock"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_and_instances_without_a_partition_are_found() {
    let cluster = healthy().start().await.unwrap();
    let told = |doctor: Doctor| doctor.instances(4);
    assert_eq!(said(&examine(&cluster, told).await), [("partitions", Warning)]);
    let bootstrap = cluster.bootstrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let members = std::thread::spawn(move || {
        let member = |name: String| -> BaseConsumer {
            let mut config = rdkafka::ClientConfig::new();
            config.set("bootstrap.servers", &bootstrap).set("group.id", GROUP);
            let client: BaseConsumer = config.set("client.id", name).create().unwrap();
            client.subscribe(&[TOPIC]).unwrap();
            client
        };
        let members: Vec<_> = (1..=4).map(|number| member(format!("member-{number}"))).collect();
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            for member in &members {
                member.poll(Duration::from_millis(10));
            }
        }
    });
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    let finding = loop {
        let diagnosis = examine(&cluster, |doctor| doctor).await;
        if said(&diagnosis) == [("partitions", Warning)] {
            break found(&diagnosis, "partitions");
        }
        assert!(tokio::time::Instant::now() < end, "{diagnosis:#?}");
    };
    assert!(finding.starts_with("3 partitions for 4 members: 1 without any (member-"), "{finding}");
    drop(stop);
    tokio::task::spawn_blocking(|| members.join().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_clients_own_properties_would_do_is_found() {
    let cluster = healthy().start().await.unwrap();
    let bootstrap = cluster.bootstrap();
    let cases = [
        ("acks", "1", "client-properties", Danger),
        ("enable.auto.commit", "true", "client-properties", Danger),
        ("message.max.bytes", "2000000", "message-size", Danger),
        ("session.timeout.ms", "9500", "session-timeout", Warning),
    ];
    for (name, value, check, severity) in cases {
        let examined = examine_as(&bootstrap, &[(name, value)], |doctor| doctor).await;
        assert_eq!(said(&examined.unwrap()), [(check, severity)], "{name}={value}");
    }
    let harmless = [("acks", "all"), ("linger.ms", "50"), ("session.timeout.ms", "60000")];
    let examined = examine_as(&bootstrap, &harmless, |doctor| doctor).await;
    assert_eq!(examined.unwrap().findings, []);
}

/// As of a topic that was made a moment ago. To pass it over would be to say that all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_one_answer_knows_and_another_does_not_is_never_passed_over() {
    let cluster = healthy().pretend_setting("min.insync.replicas", "1").start().await.unwrap();
    let mut looked_at = 0;
    // Which of a client's questions come first is librdkafka's business.
    for times in 1..=4 {
        let fault = Fault::on(Api::Metadata).topic(TOPIC).times(times);
        cluster.faults().add(fault, FaultAction::HideTopic).unwrap();
        match examine_as(&cluster.bootstrap(), &[], |doctor| doctor.topic(TOPIC)).await {
            Ok(diagnosis) => {
                assert_eq!(diagnosis.topics, [TOPIC], "{times}");
                assert_eq!(said(&diagnosis), [("min-insync-replicas", Danger)]);
                looked_at += 1;
            }
            Err(error) => assert!(error.to_string().contains("UnknownTopic"), "{error}"),
        }
        cluster.faults().clear_all();
    }
    assert!(0 < looked_at);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_named_and_not_there_is_told() {
    let cluster = healthy().start().await.unwrap();
    let diagnosis = examine(&cluster, |doctor| doctor.topic(TOPIC).group("nobody")).await;
    assert_eq!(said(&diagnosis), [("idle-group", Note)]);
    assert_eq!(diagnosis.groups, ["nobody"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_allowed_to_be_read_is_told_and_a_topic_that_is_not_is_an_error() {
    let cluster = healthy().start().await.unwrap();
    commit(&cluster, 0).await;
    let refuse = |api, error| cluster.faults().add(Fault::on(api), FaultAction::Error(error));
    refuse(Api::DescribeConfigs, ResponseError::ClusterAuthorizationFailed).unwrap();
    refuse(Api::OffsetFetch, ResponseError::GroupAuthorizationFailed).unwrap();
    let diagnosis = examine(&cluster, |doctor| doctor).await;
    assert_eq!(said(&diagnosis), []);
    assert!(diagnosis.findings.iter().all(|it| it.check.id != "everything-seen"));
    let unread: BTreeSet<_> = diagnosis.findings.iter().map(|it| it.check.id).collect();
    let expected = ["auto-create-topics", "compaction", "message-size", "min-insync-replicas"];
    for check in [&expected[..], &["retention-against-lag", "unclean-leader-election"]].concat() {
        assert!(unread.contains(check), "{check}: {diagnosis:#?}");
    }
    let why = found(&diagnosis, "retention-against-lag");
    assert!(why.contains("not authorised"), "{why}");

    refuse(Api::ListGroups, ResponseError::ClusterAuthorizationFailed).unwrap();
    let diagnosis = examine(&cluster, |doctor| doctor).await;
    let why = found(&diagnosis, "everything-seen");
    assert!(why.starts_with("groups other than kurier's own: "), "{why}");

    refuse(Api::Metadata, ResponseError::TopicAuthorizationFailed).unwrap();
    let examined = examine_as(&cluster.bootstrap(), &[], |doctor| doctor.topic(TOPIC)).await;
    assert!(matches!(examined, Err(ClientError::Unauthorized { .. })), "{examined:?}");
    cluster.faults().clear_all();
    let examined = examine_as(&cluster.bootstrap(), &[], |doctor| doctor.topic("nowhere")).await;
    assert!(matches!(examined, Err(ClientError::Kafka { .. })), "{examined:?}");
}

/// A check that no cluster here triggers would be one that nobody has seen at work.
#[test]
fn every_check_is_seen_at_work_above() {
    let this = include_str!("doctor.rs");
    let unseen =
        CHECKS.iter().map(|check| check.id).filter(|id| !this.contains(&format!("\"{id}\"")));
    assert_eq!(unseen.collect::<Vec<_>>(), Vec::<&str>::new());
}
