//! What the doctor reads is what the cluster and its topics were made with, on a real one too.

use std::sync::Arc;
use std::time::Duration;

use kurier::{Admin, ClientConfig, Diagnosis, Doctor, NewTopic, Severity};
use kurier_tests::books::Books;
use kurier_tests::cluster::{
    Kind, NODES, Role, TestCluster, admin, cluster, create_topic, wait_until_in_sync,
};
use kurier_tests::proxy::Proxy;
use kurier_tests::senders::Sending;
use kurier_tests::waits::within;

use Severity::{Danger, NotChecked, Note, Warning};

const TOPIC: &str = "orders";
const GROUP: &str = "workers";

async fn examine(bootstrap: &str, told: impl Fn(Doctor) -> Doctor) -> Diagnosis {
    let admin = Admin::connect(&ClientConfig::new(bootstrap)).unwrap();
    let doctor = told(Doctor::new(ClientConfig::new(bootstrap)));
    let examined = within("the doctor", doctor.examine(&admin)).await;
    admin.close().await;
    examined.unwrap()
}

fn said(diagnosis: &Diagnosis) -> Vec<(&'static str, Severity)> {
    diagnosis.findings.iter().map(|it| (it.check.id, it.severity)).collect()
}

fn found<'d>(diagnosis: &'d Diagnosis, check: &str) -> &'d str {
    let finding = diagnosis.findings.iter().find(|it| it.check.id == check);
    &finding.unwrap_or_else(|| panic!("{check}: {diagnosis:#?}")).found
}

/// Of the topics as the harness makes them, Apache Kafka's retention of a week by the producers' times is
/// all that is said; the embedded cluster keeps records without regard to time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_cluster_as_it_should_be_everything_is_read_and_nothing_is_in_danger() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let books = Arc::new(Books::new(&[GROUP]));
    let sending = Sending { rate: 500, ..Sending::default() };
    let senders = sending.start(cluster.bootstrap(), TOPIC, &books).await.unwrap();
    crate::until("some messages", || 100 < books.counts().1).await;
    within("the senders", senders.finish()).await.unwrap();
    let read = crate::handle_all(cluster.bootstrap(), TOPIC, GROUP, &books).await;
    assert!(100 < read.handled, "{read:?}");
    let diagnosis = examine(cluster.bootstrap(), |doctor| doctor.topic(TOPIC)).await;
    eprintln!("{:?}: {:#?}", cluster.kind(), diagnosis.findings);
    let expected = match cluster.kind() {
        Kind::Embedded => vec![("idle-group", Note)],
        Kind::ApacheKafka => vec![("idle-group", Note), ("timestamps", Note)],
    };
    assert_eq!(said(&diagnosis), expected);
    assert_eq!(
        found(&diagnosis, "idle-group"),
        "no members, lag 0; its commits are kept for 7 d after that"
    );
    assert_eq!((diagnosis.brokers, &*diagnosis.groups), (3, &[GROUP.to_owned()][..]));
    if cluster.kind() == Kind::ApacheKafka {
        let words = found(&diagnosis, "timestamps");
        assert_eq!(words, "message.timestamp.type=CreateTime with retention.ms=604800000 (7 d)");
    }
}

/// What a topic is made with, and what is then said of it.
#[rustfmt::skip]
const MADE: &[(&str, &str, &str, Severity)] = &[
    ("cleanup.policy", "compact", "compaction", Warning),
    ("max.message.bytes", "500000", "message-size", Danger),
    ("min.insync.replicas", "1", "min-insync-replicas", Danger),
    ("min.insync.replicas", "3", "min-insync-replicas", Warning),
    ("retention.ms", "3600000", "retention", Warning),
    ("unclean.leader.election.enable", "true", "unclean-leader-election", Danger),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_topic_was_made_with_is_what_is_found() {
    let cluster = cluster().await.unwrap();
    let admin = admin(cluster.bootstrap()).unwrap();
    for (number, (name, value, check, severity)) in MADE.iter().enumerate() {
        // The embedded cluster keeps all records whatever their time, and compacts none.
        if cluster.kind() == Kind::Embedded && ["cleanup.policy", "retention.ms"].contains(name) {
            continue;
        }
        let topic = format!("{TOPIC}-{number}");
        let mut new = NewTopic::new(&topic).partitions(2).replication(3);
        if *name != "min.insync.replicas" {
            new = new.config("min.insync.replicas", "2");
        }
        admin.create_topic(&new.config(*name, *value)).await.unwrap();
        within("its leaders", admin.wait_for_topic(&topic, Duration::from_secs(60))).await.unwrap();
        within("in sync", wait_until_in_sync(&*cluster)).await.unwrap();
        let diagnosis = examine(cluster.bootstrap(), |doctor| doctor.topic(&topic)).await;
        let mut said = said(&diagnosis);
        said.retain(|(_, severity)| *severity != Note);
        assert_eq!(said, [(*check, *severity)], "{name}={value}: {diagnosis:#?}");
        let words = found(&diagnosis, check);
        assert!(words.contains(&format!("{name}={value}")), "{words}");
    }
    admin.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_copy_that_dies_is_found_before_and_after() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let admin = admin(cluster.bootstrap()).unwrap();
    let lone =
        NewTopic::new("lone").partitions(1).replication(1).config("min.insync.replicas", "1");
    admin.create_topic(&lone).await.unwrap();
    within("its leader", admin.wait_for_topic("lone", Duration::from_secs(60))).await.unwrap();
    admin.close().await;
    let before = examine(cluster.bootstrap(), |doctor| doctor.topic("lone")).await;
    assert!(said(&before).contains(&("replication-factor", Danger)), "{before:#?}");

    let holder = Role::Leader("lone".to_owned(), 0).holder(&*cluster).await.unwrap().unwrap();
    cluster.kill(holder).await.unwrap();
    let end = tokio::time::Instant::now() + kurier_tests::cluster::PATIENCE;
    let expected =
        [("offline-partitions", Danger), ("in-sync-replicas", Warning), ("brokers", Warning)];
    loop {
        let after = examine(cluster.bootstrap(), |doctor| doctor).await;
        if expected.iter().all(|it| said(&after).contains(it)) {
            let down = format!("2 of 3 brokers up; not up: {holder}");
            assert_eq!(found(&after, "brokers"), down);
            break;
        }
        assert!(tokio::time::Instant::now() < end, "{after:#?}");
        // The controller needs its session timeout to notice.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    cluster.start(holder).await.unwrap();
    within("in sync", wait_until_in_sync(&*cluster)).await.unwrap();
}

/// A node tells clients an address where nobody answers; the others and the way to them are well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_tells_a_wrong_address_is_found_and_the_others_are_read() {
    let cluster: Box<dyn TestCluster> = cluster().await.unwrap();
    if cluster.routes().is_empty() {
        return crate::not_run("the embedded cluster has no addresses for a proxy");
    }
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let proxy = Proxy::start(cluster.routes()).await.unwrap();
    let well = examine(&proxy.bootstrap(), |doctor| doctor.topic(TOPIC)).await;
    assert!(!said(&well).contains(&("advertised-listeners", Danger)), "{well:#?}");
    proxy.refuse(NODES[1]).await.unwrap();
    let ill = examine(&proxy.bootstrap(), |doctor| doctor.topic(TOPIC)).await;
    eprintln!("{:#?}", ill.findings);
    let dangers = ill.findings.iter().filter(|it| it.severity == Danger);
    let dangers: Vec<_> = dangers.map(|it| (it.check.id, it.subject.name())).collect();
    assert_eq!(dangers, [("advertised-listeners", Some(NODES[1].to_string()))]);
    let unread = ill.findings.iter().filter(|it| it.severity == NotChecked);
    for finding in unread.filter(|it| it.subject.kind() == "broker") {
        assert_eq!(finding.subject.name(), Some(NODES[1].to_string()), "{finding:#?}");
    }
    proxy.heal().await.unwrap();
}
