//! The network between clients and a node fails without a word; nothing dies. On Apache Kafka only: the
//! embedded cluster tells its clients its own ports, so no proxy stands before it.

use std::sync::Arc;
use std::time::Duration;

use kurier::OffenceKind;
use kurier_tests::audit;
use kurier_tests::books::Books;
use kurier_tests::cluster::{NODES, TestCluster, cluster, create_topic};
use kurier_tests::fleet::Fleet;
use kurier_tests::proxy::{Direction, Flow, Proxy};
use kurier_tests::senders::Sending;
use kurier_tests::waits::LIMIT;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::task::JoinSet;

use crate::{until, within};

const TOPIC: &str = "orders";
const GROUP: &str = "workers";
const NO_PROXY: &str = "the embedded cluster has no addresses for a proxy";

/// Senders and members behind a proxy, under load, while `fault` is done to the network.
async fn behind_a_proxy(fault: impl AsyncFnOnce(&dyn TestCluster, &Proxy, &Books)) {
    let cluster = cluster().await.unwrap();
    if cluster.routes().is_empty() {
        return crate::not_run(NO_PROXY);
    }
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let proxy = Proxy::start(cluster.routes()).await.unwrap();
    let books = Arc::new(Books::new(&[GROUP]));
    let mut fleet = Fleet::new(&proxy.bootstrap(), TOPIC, GROUP, &books);
    fleet.start_many(2).unwrap();
    within("the group", fleet.wait_until_shared(3)).await.unwrap();
    let senders = Sending::default().start(&proxy.bootstrap(), TOPIC, &books).await.unwrap();
    until("the load", || 1_000 < books.counts().1).await;
    fault(&*cluster, &proxy, &books).await;
    proxy.heal().await.unwrap();
    let healed = books.counts().1;
    until("the way on", || healed + 1_000 < books.counts().1).await;
    within("the senders", senders.finish()).await.unwrap();
    within("the rest", fleet.wait_until_handled(books.counts().1)).await.unwrap();
    fleet.close().await.unwrap();
    audit::enter(&books, cluster.bootstrap(), TOPIC).await.unwrap();
    let verdict = books.judge();
    eprintln!("{verdict}");
    books.expect_holds(&verdict);
    let twice = verdict.count(OffenceKind::WrittenAgain);
    assert_eq!((verdict.failed, twice), (0, 0), "failed, or in the log twice: {verdict}");
}

/// Requests arrive and are carried out; the answers never come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_vanish_cost_nothing_and_write_nothing_twice() {
    behind_a_proxy(async |_, proxy, books| {
        swallow_answers(proxy);
        let (accepted, delivered, _) = books.counts();
        until("messages without an answer", || accepted + 2_000 < books.counts().0).await;
        let answered = books.counts().1 - delivered;
        assert!(answered < 500, "answers vanish, and {answered} came");
    })
    .await;
}

/// The control: a producer that is not idempotent writes again what was written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_idempotence_answers_that_vanish_write_twice() {
    let cluster = cluster().await.unwrap();
    if cluster.routes().is_empty() {
        return crate::not_run(NO_PROXY);
    }
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let proxy = Proxy::start(cluster.routes()).await.unwrap();
    let careless: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", proxy.bootstrap())
        .set("enable.idempotence", "false")
        .create()
        .unwrap();
    let send = |number: usize| {
        let text = number.to_string();
        let careless = careless.clone();
        async move {
            let record = FutureRecord::<(), _>::to(TOPIC).partition(0).payload(&text);
            careless.send(record, LIMIT).await.unwrap()
        }
    };
    // To one partition, whose leader it is connected with from now on.
    within("the first", send(0)).await;
    swallow_answers(&proxy);
    let sent: JoinSet<_> = (1..100).map(send).collect();
    let written = || audit::read(cluster.bootstrap(), TOPIC).unwrap().len();
    until("all is carried out", || 100 <= written()).await;
    proxy.heal().await.unwrap();
    assert_eq!(within("the rest", sent.join_all()).await.len(), 99);
    let found = written();
    eprintln!("control: 100 messages, {found} records");
    assert!(100 < found, "nothing was written twice, so this suite sees no lost answer");
}

fn swallow_answers(proxy: &Proxy) {
    for node in NODES {
        proxy.set(node, Direction::ToClient, Flow::Swallow).unwrap();
    }
}

/// Every connection is reset, over and over, while the load goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_reset_again_and_again_cost_nothing_and_no_order() {
    behind_a_proxy(async |_, proxy, books| {
        for round in 0..5 {
            let before = books.counts().1;
            for node in NODES {
                proxy.cut(node).await.unwrap();
            }
            until(&format!("the load after cut {round}"), || before + 200 < books.counts().1).await;
        }
    })
    .await;
}

/// Half a second each way is slow, not broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_costs_nothing_and_no_order() {
    behind_a_proxy(async |_, proxy, books| {
        for node in NODES {
            for direction in [Direction::ToBroker, Direction::ToClient] {
                proxy.set(node, direction, Flow::Delay(Duration::from_millis(500))).unwrap();
            }
        }
        let before = books.counts().1;
        until("the load", || before + 2_000 < books.counts().1).await;
    })
    .await;
}

/// One node can't be reached by clients; the others reach it, so that it keeps what it leads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_refuses_clients_for_a_while_costs_nothing_and_no_order() {
    behind_a_proxy(async |cluster, proxy, books| {
        let hit = kurier_tests::cluster::leader(cluster, TOPIC, 0).await.unwrap();
        proxy.refuse(hit).await.unwrap();
        let before = books.counts().1;
        until("others go on", || before + 1_000 < books.counts().1).await;
    })
    .await;
}
