//! A consumer whose fetches fail while its partition grows: it ends, so that it can be started anew.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::{Duration, Instant};

use kurier::{Message, MessageProducer};
use kurier_broker::{Api, EmbeddedCluster, Fault, FaultAction, ResponseError};
use kurier_tests::binary::Kurier;

const TOPIC: &str = "orders";

/// One process of a group of its own; it ends when it has not got on for 5 s.
async fn consumer(cluster: &EmbeddedCluster, group: &str) -> Kurier {
    let args = ["consume", "single", TOPIC, "--group", group, "--instance", "x"];
    let args: Vec<&str> = args.into_iter().chain(["--stall-after", "5s"]).collect();
    let mut consumer = Kurier::start(&cluster.bootstrap(), &args).unwrap();
    consumer.wait_for_lines(1).await.unwrap();
    consumer
}

/// Only the fetches of one process fail. The other one is the control: the same load, and it is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_whose_fetches_fail_while_its_lag_grows_ends_with_code_10() {
    let cluster = EmbeddedCluster::builder().topic(TOPIC, 1).start().await.unwrap();
    let producer = MessageProducer::builder(cluster.bootstrap()).build().await.unwrap();
    let message = Message::new("hello").unwrap();
    producer.send(TOPIC, &message).await.unwrap().await.unwrap();
    let (ill, mut well) = (consumer(&cluster, "ill").await, consumer(&cluster, "well").await);

    let failing = Fault::on(Api::Fetch).client("ill-x");
    let action = FaultAction::Error(ResponseError::KafkaStorageError);
    let fault = cluster.faults().add(failing, action).unwrap();
    let begun = Instant::now();
    let ended = tokio::spawn(ill.wait());
    let mut sent = 1;
    while !ended.is_finished() {
        producer.send(TOPIC, &message).await.unwrap().await.unwrap();
        sent += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (took, ended) = (begun.elapsed(), ended.await.unwrap().unwrap());
    assert_eq!(ended.status.code(), Some(10), "{}", ended.talk);
    assert!(ended.talk.contains("nothing was read from orders[0]"), "{}", ended.talk);
    assert!(0 < fault.fired() && Duration::from_secs(4) < took, "after {took:?}: {}", ended.talk);

    well.wait_for_lines(sent).await.unwrap();
    let ended = well.stop().await.unwrap();
    assert_eq!(ended.status.code(), Some(143), "{}", ended.talk);
}
