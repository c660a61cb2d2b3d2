//! Instances of a group, and what happens to their partitions when one of them dies.

use std::sync::Arc;
use std::time::Duration;

use kurier::{DeliveryProfile, MessageProducer, Offset, PartitionId, TopicPartition};
use kurier_tests::audit;
use kurier_tests::binary::Kurier;
use kurier_tests::books::Books;
use kurier_tests::cluster::{TestCluster, admin, cluster, create_topic};
use kurier_tests::follow::{Follower, Sampler};
use kurier_tests::load::Load;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::Message as _;

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

async fn sender(cluster: &dyn TestCluster) -> Arc<MessageProducer> {
    let builder = MessageProducer::builder(cluster.bootstrap());
    Arc::new(builder.delivery(DeliveryProfile::Default).build().await.unwrap())
}

/// How an instance is started: `consume KIND`, with a property of its own or none.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    property: &'static [&'static str],
}

const SINGLE: Kind = Kind { name: "single", property: &[] };
const BATCH: Kind = Kind { name: "batch", property: &[] };
/// As in a group with other clients: everybody gives up everything before partitions are handed out anew.
const RANGE: Kind =
    Kind { name: "single", property: &["-X", "partition.assignment.strategy=range"] };

impl Kind {
    fn shown(self) -> String {
        [&[self.name], self.property].concat().join(" ")
    }
}

/// An instance and what follows its lines.
struct Member {
    process: Kurier,
    follower: Follower,
}

impl Member {
    fn start(cluster: &dyn TestCluster, books: &Arc<Books>, kind: Kind, name: &str) -> Self {
        let follower = Follower::new(books, GROUP, name);
        Self { process: instance(cluster, kind.name, name, kind.property), follower }
    }

    fn follow(&mut self) {
        self.follower.enter(&self.process.lines()).unwrap();
    }
}

/// Three processes share three partitions; one is killed under load and the others go on.
async fn one_of_three_is_killed(kind: Kind) {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let books = Arc::new(Books::named(&format!("1 of 3 killed, {}", kind.shown()), &[GROUP]));
    let mut members: Vec<Member> =
        ["1", "2", "3"].iter().map(|name| Member::start(&*cluster, &books, kind, name)).collect();
    within("one partition each", one_partition_each(&*cluster)).await;
    let sampler = Sampler::start(cluster.bootstrap(), &books, GROUP).unwrap();

    let producer = sender(&*cluster).await;
    let load = Load { keys: 32, each: 200, pause: Duration::from_millis(10) };
    let load = load.start(&producer, TOPIC, &books);
    for member in &mut members {
        member.process.wait_for_lines(100).await.unwrap();
        member.follow();
    }
    let Member { mut process, follower } = members.remove(0);
    books.note("instance 1 is killed");
    follower.end(&process.kill().unwrap()).unwrap();
    within("the load", load.finish()).await.unwrap();

    until("the others take over", || {
        members.iter_mut().for_each(Member::follow);
        books.is_complete()
    })
    .await;
    for Member { process, follower } in members {
        let ended = process.stop().await.unwrap();
        assert_eq!(ended.status.code(), Some(143), "{}", ended.talk);
        follower.end(&ended.lines).unwrap();
    }
    within("the last sample", sampler.finish()).await.unwrap();
    audit::enter(&books, cluster.bootstrap(), TOPIC).await.unwrap();
    let verdict = books.judge();
    eprintln!("{:?}, {}, 1 of 3 killed: {verdict}", cluster.kind(), kind.shown());
    books.expect_holds(&verdict);
    assert_eq!(verdict.groups[0].foreign, 0, "{verdict}");
    // Three partitions, each at its end and at least once before.
    assert!(6 <= verdict.groups[0].commits, "hardly a commit was sampled: {verdict:?}");
    assert!(5_000 <= verdict.delivered, "{verdict}");
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
    one_of_three_is_killed(SINGLE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_batch_instances_share_and_take_over_from_a_killed_one() {
    one_of_three_is_killed(BATCH).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_instances_with_the_range_assignor_share_and_take_over_from_a_killed_one() {
    one_of_three_is_killed(RANGE).await;
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
    let follower = Follower::new(&books, GROUP, "1");
    let mut first = instance(&*cluster, "single", "1", &late);
    first.wait_for_lines(100).await.unwrap();
    let before = first.kill().unwrap();
    follower.end(&before).unwrap();
    let follower = Follower::new(&books, GROUP, "2");
    let second = instance(&*cluster, "single", "2", &["--exit-at-end"]);
    let ended = within("the second", second.wait()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.talk);
    follower.end(&ended.lines).unwrap();

    audit::enter(&books, cluster.bootstrap(), TOPIC).await.unwrap();
    let verdict = books.judge();
    books.expect_holds(&verdict);
    let again = verdict.groups[0].duplicates;
    assert_eq!(again, before.len() as u64, "handled and not committed, so all of it comes again");
    assert_eq!(ended.lines.len() as u64, verdict.delivered);
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
    let (partition, offset) = tokio::task::spawn_blocking(move || {
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
                return (PartitionId(record.partition()), Offset(record.offset()));
            }
        }
    })
    .await
    .unwrap();
    let partition = TopicPartition::new(TOPIC, partition);
    books.committed(GROUP, "careless", &partition, offset.next());
    crate::handle_all(cluster.bootstrap(), TOPIC, GROUP, &books).await;
    audit::enter(&books, cluster.bootstrap(), TOPIC).await.unwrap();
    let verdict = books.judge();
    eprintln!("{:?}, control: {partition} committed before handling: {verdict}", cluster.kind());
    assert!(0 < verdict.groups[0].lost, "it lost nothing, so this suite sees no loss: {verdict}");
    assert!(0 < verdict.unhandled() && 0 < verdict.commits_ahead(), "{verdict}");
    assert_eq!(verdict.lost(), 0, "the log has it all: {verdict}");
}
