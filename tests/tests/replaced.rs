//! Another embedded cluster at the address of one that is gone: what clients still know of the first does not hold them up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kurier::{Context, Failure, Message, MessageProducer, Received, SingleMessageConsumer};
use kurier_broker::EmbeddedCluster;
use kurier_tests::waits::until;
use tokio_util::sync::CancellationToken;

const TOPIC: &str = "orders";

async fn send(producer: &MessageProducer, words: &[&str]) {
    for word in words {
        let message = Message::new(*word).unwrap();
        producer.send(TOPIC, &message).await.unwrap().await.unwrap();
    }
}

/// A cluster that another one can have the ports of, and the first of them.
async fn with_ports_in_a_row() -> (u16, EmbeddedCluster) {
    for port in (20_000..30_000).step_by(3) {
        if let Ok(cluster) = EmbeddedCluster::builder().port(port).topic(TOPIC, 3).start().await {
            return (port, cluster);
        }
    }
    panic!("no three ports in a row are free");
}

/// Leaders of the first cluster have been elected again, so that clients know higher leader epochs than a cluster begins
/// with; and both clusters give the ids of idempotent producers out, to others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_cluster_go_on_with_the_one_that_takes_its_place() {
    let (port, first) = with_ports_in_a_row().await;
    let bootstrap = first.bootstrap();

    let (seen, stop) = (Arc::<Mutex<BTreeSet<String>>>::default(), CancellationToken::new());
    let notes = Arc::clone(&seen);
    let handler = move |message: Arc<Received<Message>>, _: Context| {
        notes.lock().unwrap().insert(message.value().unwrap().content().to_owned());
        std::future::ready(Ok::<(), Failure>(()))
    };
    let run = SingleMessageConsumer::builder(&*bootstrap, TOPIC).run(handler, stop.clone());
    let consumer = tokio::spawn(run);
    let producer = MessageProducer::builder(&*bootstrap).build().await.unwrap();
    send(&producer, &["a", "b", "c"]).await;
    for node in 1..=3 {
        first.kill(node).await.unwrap();
        send(&producer, &["while one is down"]).await;
        first.start(node).await.unwrap();
    }
    let has = |words: &[&str]| words.iter().all(|word| seen.lock().unwrap().contains(*word));
    until("the first cluster's messages", || has(&["a", "b", "c", "while one is down"])).await;
    first.close().await;

    // Leader epochs are told apart by the second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = EmbeddedCluster::builder().port(port).topic(TOPIC, 3).start().await.unwrap();
    assert_eq!(second.bootstrap(), bootstrap);
    let other = MessageProducer::builder(&*bootstrap).build().await.unwrap();
    send(&other, &["d", "e", "f", "g", "h"]).await;
    send(&producer, &["i", "j", "k"]).await;
    until("the second cluster's messages", || has(&["d", "e", "f", "g", "h", "i", "j", "k"])).await;
    stop.cancel();
    consumer.await.unwrap().unwrap();
    second.close().await;
}
