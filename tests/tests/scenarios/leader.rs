//! The leader of a partition is killed under load.

use std::sync::Arc;
use std::time::Duration;

use kurier::{DeliveryProfile, Judgement, MessageProducer, OffenceKind};
use kurier_tests::audit;
use kurier_tests::books::Books;
use kurier_tests::cluster::{Kind, cluster, create_topic, leader};
use kurier_tests::load::Load;
use kurier_tests::trial::careless_acks_1;

use crate::{handle_all, until, within};

const TOPIC: &str = "orders";
const GROUP: &str = "readers";
const LOAD: Load = Load { keys: 16, each: 400, pause: Duration::from_millis(2) };

/// Sends under load, kills the leader of partition 0 amid it and starts it again, and reads all back.
async fn killed_under_load(profile: DeliveryProfile) -> (Arc<Books>, Judgement) {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let books = Arc::new(Books::named(&format!("killed leader, {profile:?}"), &[GROUP]));
    let producer = MessageProducer::builder(cluster.bootstrap()).delivery(profile).build();
    let producer = Arc::new(producer.await.unwrap());

    let load = LOAD.start(&producer, TOPIC, &books);
    until("the load", || 1_000 < books.counts().1).await;
    let killed = leader(&*cluster, TOPIC, 0).await.unwrap();
    books.note(&format!("node {killed} is killed"));
    cluster.kill(killed).await.unwrap();
    let at_the_kill = books.counts().1;
    until("the way on", || at_the_kill + 1_000 < books.counts().1).await;
    cluster.start(killed).await.unwrap();
    books.note(&format!("node {killed} is there again"));
    within("the rest of the load", load.finish()).await.unwrap();
    let producer = Arc::into_inner(producer).unwrap();
    assert!(within("close", producer.close(LIMIT_TO_CLOSE)).await.unsent.is_empty());

    audit::enter(&books, cluster.bootstrap(), TOPIC).await.unwrap();
    handle_all(cluster.bootstrap(), TOPIC, GROUP, &books).await;
    let verdict = books.judge();
    eprintln!("{:?}, {profile:?}, node {killed} killed: {verdict}", cluster.kind());
    assert!(5_000 <= verdict.delivered, "{verdict}");
    (books, verdict)
}

const LIMIT_TO_CLOSE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_costs_the_default_profile_nothing() {
    let (books, verdict) = killed_under_load(DeliveryProfile::Default).await;
    books.expect_holds(&verdict);
    assert_eq!(verdict.failed, 0, "it never gives up");
    assert_eq!(verdict.count(OffenceKind::WrittenAgain), 0, "{verdict}");
    assert_eq!(verdict.count(OffenceKind::HandledAgain), 0, "{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_costs_the_classic_profile_nothing_acknowledged() {
    let (books, verdict) = killed_under_load(DeliveryProfile::OneInFlight).await;
    // It may give up after its retries, and says so: then nothing acknowledged is missing all the same,
    // but a message behind one that failed may be written before it.
    let order = [OffenceKind::WrittenOutOfOrder, OffenceKind::HandledOutOfOrder];
    books.expect_holds_but_for(&verdict, if verdict.failed == 0 { &[] } else { &order });
}

/// The control: `acks=1`, and followers that do not follow when the leader dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_acks_1_loses_what_was_acknowledged() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let books = Arc::new(Books::new(&[]));
    within("the fault", careless_acks_1(&*cluster, TOPIC, &books)).await.unwrap();
    let verdict = books.judge();
    eprintln!("{:?}, control: {verdict}", cluster.kind());
    assert!(0 < verdict.lost(), "acks=1 lost nothing, so this suite sees no loss: {verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_under_test_is_the_one_that_was_asked_for() {
    let asked = std::env::var("KURIER_TEST_CLUSTER").unwrap_or_default();
    let wanted = if asked == "apache-kafka" { Kind::ApacheKafka } else { Kind::Embedded };
    assert_eq!(cluster().await.unwrap().kind(), wanted);
}
