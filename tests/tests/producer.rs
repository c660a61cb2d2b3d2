//! The producer on a cluster that elects, refuses and dies.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kurier::{
    Context, DeliveryProfile, Failure, Message, MessageProducer, ProducerEvent, Received,
    SendError, SingleMessageConsumer, TextDecoder,
};
use kurier_broker::EmbeddedCluster;
use tokio_util::sync::CancellationToken;

const TOPIC: &str = "orders";

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

/// The contents of each key, in the order of the log.
async fn read_by_key(bootstrap: &str) -> BTreeMap<String, Vec<u64>> {
    let seen: Arc<Mutex<BTreeMap<String, Vec<u64>>>> = Arc::default();
    let saw = Arc::clone(&seen);
    let handler = move |message: Arc<Received<Message>>, _: Context| {
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        let number = message.value().unwrap().content().parse().unwrap();
        saw.lock().unwrap().entry(key).or_default().push(number);
        std::future::ready(Ok::<(), Failure>(()))
    };
    let run = SingleMessageConsumer::builder(bootstrap, TOPIC)
        .decoder(kurier::MessageDecoder::default())
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    within("reading", run).await.unwrap();
    std::mem::take(&mut *seen.lock().unwrap())
}

/// Sixteen tasks send at once, each its own key, while leaders die, come back and stop.
async fn order_through_kills(profile: DeliveryProfile) -> (EmbeddedCluster, MessageProducer) {
    const KEYS: u64 = 16;
    const EACH: u64 = 400;
    let cluster = EmbeddedCluster::builder().topic(TOPIC, 3).start().await.unwrap();
    let producer = MessageProducer::builder(cluster.bootstrap()).delivery(profile).build();
    let producer = Arc::new(producer.await.unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for key in 0..KEYS {
        let producer = Arc::clone(&producer);
        tasks.spawn(async move {
            let mut deliveries = Vec::new();
            for number in 0..EACH {
                let message = Message::new(number.to_string()).unwrap();
                let message = message.with_key(format!("key {key}"));
                deliveries.push(producer.send(TOPIC, &message).await.unwrap());
                if number % 20 == 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            for delivery in deliveries {
                delivery.await.unwrap();
            }
        });
    }
    for node in [2, 3, 1] {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cluster.kill(node).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        cluster.start(node).await.unwrap();
    }
    within("sending", async {
        while let Some(done) = tasks.join_next().await {
            done.unwrap()
        }
    })
    .await;
    (cluster, Arc::into_inner(producer).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_key_stands_in_the_log_in_the_order_it_was_sent_through_three_kills() {
    let (cluster, producer) = order_through_kills(DeliveryProfile::Default).await;
    assert_eq!(producer.close(Duration::from_secs(10)).await.unsent, []);
    let found = read_by_key(&cluster.bootstrap()).await;
    assert_eq!(found.len(), 16);
    for (key, numbers) in found {
        assert!(numbers.iter().copied().eq(0..400), "{key}: {numbers:?}");
    }
}

/// The classic profile may write twice, but the first time each message stands there is in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_classic_profile_keeps_order_too_and_may_write_twice() {
    let (cluster, producer) = order_through_kills(DeliveryProfile::OneInFlight).await;
    assert_eq!(producer.close(Duration::from_secs(10)).await.unsent, []);
    for (key, numbers) in read_by_key(&cluster.bootstrap()).await {
        let mut firsts = Vec::new();
        for number in numbers {
            if !firsts.contains(&number) {
                firsts.push(number);
            }
        }
        assert!(firsts.iter().copied().eq(0..400), "{key}: {firsts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_topic_is_refused_and_one_made_in_time_is_not() {
    let cluster = EmbeddedCluster::builder().start().await.unwrap();
    let producer = MessageProducer::builder(cluster.bootstrap()).build().await.unwrap();
    let message = Message::new("x").unwrap();
    let error = within("the refusal", producer.send(TOPIC, &message)).await.unwrap_err();
    assert!(matches!(&error, SendError::UnknownTopic { topic } if topic == TOPIC), "{error}");
    let admin = kurier::Admin::connect(&kurier::ClientConfig::new(cluster.bootstrap())).unwrap();
    let topic = kurier::NewTopic::new(TOPIC).partitions(1).replication(3);
    admin.create_topic(&topic).await.unwrap();
    within("the delivery", producer.send(TOPIC, &message).await.unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_goes_away_is_waited_for_and_both_are_said_once() {
    let cluster = EmbeddedCluster::builder().nodes(1).topic(TOPIC, 1).start().await.unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let producer = MessageProducer::builder(cluster.bootstrap())
        .stall_after(Duration::from_secs(2))
        .on_event(move |event| told.lock().unwrap().push(event.clone()))
        .build()
        .await
        .unwrap();
    let message = Message::new("x").unwrap();
    within("the first", producer.send(TOPIC, &message).await.unwrap()).await.unwrap();
    cluster.kill(1).await.unwrap();
    let waiting = producer.send(TOPIC, &message).await.unwrap();
    let said = async {
        while events.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("the word that it waits", said).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.start(1).await.unwrap();
    within("the second", waiting).await.unwrap();
    within("another", producer.send(TOPIC, &message).await.unwrap()).await.unwrap();
    let _ = producer.close(Duration::from_secs(5)).await;
    let events = events.lock().unwrap();
    let expected = [true, false];
    let kinds: Vec<bool> = events
        .iter()
        .map(|event| matches!(event, ProducerEvent::WaitingForCluster { .. }))
        .collect();
    assert_eq!(kinds, expected, "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_formats_and_tombstones_travel_too() {
    let cluster = EmbeddedCluster::builder().topic(TOPIC, 1).start().await.unwrap();
    let producer = MessageProducer::builder(cluster.bootstrap()).build().await.unwrap();
    let bare = |value: Option<&'static str>| kurier::OutgoingRecord {
        key: Some("k".into()),
        value: value.map(Into::into),
        ..kurier::OutgoingRecord::default()
    };
    for value in [Some("plain text"), None] {
        within("delivery", producer.send_record(TOPIC, &bare(value)).await.unwrap()).await.unwrap();
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let saw = Arc::clone(&seen);
    let handler = move |message: Arc<Received<String>>, _: Context| {
        saw.lock().unwrap().push(message.value().cloned());
        std::future::ready(Ok::<(), Failure>(()))
    };
    let run = SingleMessageConsumer::builder(cluster.bootstrap(), TOPIC)
        .decoder(TextDecoder)
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    within("reading", run).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [Some("plain text".to_owned()), None]);
}
