//! Instances of a group, and what happens to their partitions when one of them dies.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kurier::{DeliveryProfile, MessageProducer};
use kurier_tests::binary::Kurier;
use kurier_tests::books::Books;
use kurier_tests::cluster::{TestCluster, admin, cluster, create_topic};
use kurier_tests::load::Load;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::Message as _;
use serde_json::Value;
use uuid::Uuid;

use crate::{until, within};

const TOPIC: &str = "orders";
const GROUP: &str = "workers";

/// Short, so that a dead member is missed soon; 6 s is the least that Apache Kafka allows.
const SHORT_SESSION: [&str; 4] =
    ["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=1000"];

fn instance(cluster: &dyn TestCluster, kind: &str, name: &str, more: &[&str]) -> Kurier {
    let mut args = vec!["consume", kind, TOPIC, "--group", GROUP, "--instance", name];
    args.extend(SHORT_SESSION);
    args.extend(more);
    Kurier::start(cluster.bootstrap(), &args).unwrap()
}

/// What a line of `kurier consume` names.
fn id(line: &Value) -> Uuid {
    line["message"]["id"].as_str().unwrap().parse().unwrap()
}

fn ids(lines: &[Value]) -> HashSet<Uuid> {
    lines.iter().map(id).collect()
}

async fn sender(cluster: &dyn TestCluster) -> Arc<MessageProducer> {
    let builder = MessageProducer::builder(cluster.bootstrap());
    Arc::new(builder.delivery(DeliveryProfile::Default).build().await.unwrap())
}

/// Three processes share three partitions; one is killed under load and the others go on.
async fn one_of_three_is_killed(kind: &str) {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let books = Arc::new(Books::new(&[GROUP]));
    let mut members: Vec<Kurier> =
        ["1", "2", "3"].iter().map(|name| instance(&*cluster, kind, name, &[])).collect();
    within("one partition each", one_partition_each(&*cluster)).await;

    let producer = sender(&*cluster).await;
    let load = Load { keys: 32, each: 200, pause: Duration::from_millis(10) };
    let load = load.start(&producer, TOPIC, &books);
    for member in &mut members {
        member.wait_for_lines(100).await.unwrap();
    }
    let mut printed = members.remove(0).kill().unwrap();
    within("the load", load.finish()).await.unwrap();
    let (_, delivered, _) = books.counts();

    let seen = |members: &[Kurier], printed: &[Value]| {
        let mut seen = ids(printed);
        members.iter().for_each(|member| seen.extend(ids(&member.lines())));
        seen.len() as u64
    };
    until("the others take over", || seen(&members, &printed) == delivered).await;
    for member in members {
        let ended = member.stop().await.unwrap();
        assert_eq!(ended.status.code(), Some(143), "{}", ended.talk);
        printed.extend(ended.lines);
    }
    for line in &printed {
        books.handled(GROUP, id(line));
    }
    let verdict = books.judge();
    let group = &verdict.groups[0];
    eprintln!("{:?}, {kind}, 1 of 3 killed: {group:?}", cluster.kind());
    assert_eq!((group.lost, group.foreign), (0, 0), "{verdict:?}");
    assert!(5_000 <= verdict.delivered, "{verdict:?}");
    within("lag", no_lag(&*cluster)).await;
}

/// Waits until the group is stable and has three members with a partition each.
async fn one_partition_each(cluster: &dyn TestCluster) {
    let admin = admin(cluster.bootstrap()).unwrap();
    loop {
        if let Ok(group) = admin.describe_group(GROUP).await {
            let mut shares = group.members.iter().map(|member| member.partitions.len());
            if group.members.len() == 3 && shares.all(|share| share == 1) {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    admin.close().await;
}

/// What was handled is committed to the end.
async fn no_lag(cluster: &dyn TestCluster) {
    let admin = admin(cluster.bootstrap()).unwrap();
    let lag = admin.lag(GROUP).await.unwrap();
    admin.close().await;
    let rows: Vec<_> = lag.rows.iter().map(kurier::LagRow::lag).collect();
    assert_eq!(rows, [Some(0); 3], "after the end nothing is left to give again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_single_instances_share_and_take_over_from_a_killed_one() {
    one_of_three_is_killed("single").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_batch_instances_share_and_take_over_from_a_killed_one() {
    one_of_three_is_killed("batch").await;
}

/// Killed right after the first lines, long before a commit: the next instance gives them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_handled_and_not_committed_comes_again() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let books = Arc::new(Books::new(&[GROUP]));
    let producer = sender(&*cluster).await;
    let load = Load { keys: 8, each: 50, pause: Duration::ZERO };
    within("sending", load.start(&producer, TOPIC, &books).finish()).await.unwrap();

    let late = ["--commit-interval", "1h"];
    let mut first = instance(&*cluster, "single", "1", &late);
    first.wait_for_lines(100).await.unwrap();
    let before = ids(&first.kill().unwrap());
    let second = instance(&*cluster, "single", "2", &["--exit-at-end"]);
    let ended = within("the second", second.wait()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.talk);

    let again = ids(&ended.lines);
    assert!(before.is_subset(&again), "handled and not committed, so all of it comes again");
    assert_eq!(again.len() as u64, books.counts().1);
}

/// The control: a reader that commits what it was given before it is handled, and dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_commit_before_the_handler_loses() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let books = Arc::new(Books::new(&[GROUP]));
    let producer = sender(&*cluster).await;
    let load = Load { keys: 8, each: 50, pause: Duration::ZERO };
    within("sending", load.start(&producer, TOPIC, &books).finish()).await.unwrap();

    let bootstrap = cluster.bootstrap().to_owned();
    let committed = tokio::task::spawn_blocking(move || {
        let careless: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", GROUP)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        careless.subscribe(&[TOPIC]).unwrap();
        loop {
            if let Some(Ok(record)) = careless.poll(Duration::from_millis(100)) {
                careless.commit_message(&record, CommitMode::Sync).unwrap();
                // It was told to handle this one, has committed it, and dies.
                return (record.partition(), record.offset());
            }
        }
    })
    .await
    .unwrap();
    crate::handle_all(cluster.bootstrap(), TOPIC, GROUP, &books).await;
    let lost = books.judge().groups[0].lost;
    eprintln!(
        "{:?}, control: committed {committed:?} before handling, lost {lost}",
        cluster.kind()
    );
    assert!(0 < lost, "a commit before the handler lost nothing, so this suite sees no loss");
}
