//! The producer against librdkafka's mock cluster: its settings, its room, its end. What needs a
//! cluster that elects, refuses and dies is in the workspace's tests.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod outbox;
mod remake;
mod vanished;

use std::sync::Mutex;
use std::time::Instant;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::*;
use crate::DeliveryProfile;

type Mock = MockCluster<'static, DefaultProducerContext>;

const TOPIC: &str = "orders";

fn mock() -> Mock {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic(TOPIC, 3, 3).unwrap();
    cluster
}

fn message(content: &str) -> Message {
    Message::new(content).unwrap()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(40);
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

/// Read back from librdkafka, not from our own settings.
#[tokio::test]
async fn both_profiles_are_what_librdkafka_runs_with() {
    let cluster = mock();
    let default = MessageProducer::builder(cluster.bootstrap_servers()).build().await.unwrap();
    let effective = default.effective_properties();
    let of = |name: &str| effective.get(name).map(String::as_str);
    assert_eq!(of("enable.idempotence"), Some("true"));
    assert_eq!(of("acks"), Some("-1"));
    assert_eq!(of("retries"), Some("2147483647"));
    assert_eq!(of("delivery.timeout.ms"), Some("0"));
    assert_eq!(of("max.in.flight.requests.per.connection"), Some("5"));
    assert_eq!(of("partitioner"), Some("murmur2_random"));
    let classic = MessageProducer::builder(cluster.bootstrap_servers())
        .delivery(DeliveryProfile::OneInFlight)
        .build()
        .await
        .unwrap();
    let effective = classic.effective_properties();
    let of = |name: &str| effective.get(name).map(String::as_str);
    assert_eq!(of("acks"), Some("-1"));
    assert_eq!(of("retries"), Some("5"));
    assert_eq!(of("retry.backoff.ms"), Some("1000"));
    assert_eq!(of("max.in.flight.requests.per.connection"), Some("1"));
    assert_eq!(of("enable.idempotence"), Some("false"));
}

#[tokio::test]
async fn what_breaks_the_promise_is_refused_by_any_name_and_all_at_once() {
    let built = MessageProducer::builder("127.0.0.1:9092")
        .property("request.required.acks", "1")
        .property("enable.idempotence", "false")
        .property("no.such.property", "1")
        .build()
        .await;
    let error = built.unwrap_err().to_string();
    for name in ["acks", "enable.idempotence", "no.such.property"] {
        assert!(error.contains(name), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_gets_its_place_and_a_dropped_delivery_cancels_nothing() {
    let cluster = mock();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&reports);
    let producer = MessageProducer::builder(cluster.bootstrap_servers())
        .on_delivery(move |report| told.lock().unwrap().push(report.clone()))
        .build()
        .await
        .unwrap();
    let first = message("first").with_key("key");
    let second = message("second").with_key("key");
    let held = producer.send(TOPIC, &first).await.unwrap();
    drop(producer.send(TOPIC, &second).await.unwrap());
    let third = OutgoingRecord { key: Some("key".into()), ..OutgoingRecord::default() };
    let tombstone = producer.send_record(TOPIC, &third).await.unwrap();
    let receipt = within("the first", held).await.unwrap();
    let last = within("the tombstone", tombstone).await.unwrap();
    assert_eq!((receipt.offset, last.offset), (Some(crate::Offset(0)), Some(crate::Offset(2))));
    within("the flush", producer.flush(Duration::from_secs(10))).await.unwrap();
    assert_eq!(producer.close(Duration::from_secs(10)).await, CloseReport::default());
    let ids: Vec<_> = reports.lock().unwrap().iter().map(|report| report.id).collect();
    assert_eq!(ids, [Some(first.id()), Some(second.id()), None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_record_is_taken_without_waiting_while_there_is_room() {
    let cluster = mock();
    let producer = MessageProducer::builder(cluster.bootstrap_servers())
        .memory_messages(1)
        .linger(Duration::from_secs(1))
        .build()
        .await
        .unwrap();
    let record = OutgoingRecord { value: Some("bare".into()), ..OutgoingRecord::default() };
    let taken = producer.try_send_record(TOPIC, &record).unwrap();
    assert!(matches!(producer.try_send_record(TOPIC, &record), Err(SendError::Full)));
    assert_eq!(within("its delivery", taken).await.unwrap().offset, Some(crate::Offset(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_memory_lets_in_first_come_first_served_and_try_send_does_not_wait() {
    let cluster = mock();
    let producer = MessageProducer::builder(cluster.bootstrap_servers())
        .memory_messages(2)
        .linger(Duration::from_secs(1))
        .build()
        .await
        .unwrap();
    let full = |number: usize| message(&number.to_string()).with_key("one key");
    let _first = producer.send(TOPIC, &full(0)).await.unwrap();
    let _second = producer.send(TOPIC, &full(1)).await.unwrap();
    assert!(matches!(producer.try_send(TOPIC, &full(9)), Err(SendError::Full)));
    // Given up while it waits: its place must not stay taken.
    let third = full(9);
    let waits = tokio::time::timeout(Duration::from_millis(20), producer.send(TOPIC, &third));
    assert!(waits.await.is_err());
    let (a, b, c) = (full(2), full(3), full(4));
    let sent = async {
        tokio::join!(producer.send(TOPIC, &a), producer.send(TOPIC, &b), producer.send(TOPIC, &c))
    };
    let (a, b, c) = within("room", sent).await;
    let tickets = [&a, &b, &c].map(|sent| sent.as_ref().unwrap().ticket().0);
    assert_eq!(tickets, [2, 3, 4]);
    let mut offsets = Vec::new();
    for delivery in [a, b, c] {
        offsets.push(within("delivery", delivery.unwrap()).await.unwrap().offset.unwrap().0);
    }
    assert!(offsets.is_sorted(), "{offsets:?}");
    let report = producer.close(Duration::from_secs(10)).await;
    assert_eq!(report.unsent, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_or_misnamed_or_late_is_refused_at_once() {
    let cluster = mock();
    let producer = MessageProducer::builder(cluster.bootstrap_servers())
        .message_bytes_max(1_000)
        .build()
        .await
        .unwrap();
    let error = producer.send(TOPIC, &message(&"x".repeat(2_000))).await.unwrap_err();
    assert!(matches!(error, SendError::TooLarge { max: 1_000, .. }), "{error}");
    let error = producer.send("a topic", &message("x")).await.unwrap_err();
    assert!(matches!(error, SendError::TopicName { .. }), "{error}");
    assert_eq!(producer.close(Duration::from_secs(5)).await.unsent, []);
    let error = producer.send(TOPIC, &message("late")).await.unwrap_err();
    assert_eq!(error.to_string(), "the producer is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_without_a_cluster_ends_and_names_what_is_unsent() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    // Nobody listens there.
    let producer = MessageProducer::builder("127.0.0.1:1")
        .stall_after(Duration::from_millis(300))
        .on_event(move |event| told.lock().unwrap().push(event.clone()))
        .build()
        .await
        .unwrap();
    let (one, two) = (message("one"), message("two"));
    let first = producer.send(TOPIC, &one).await.unwrap();
    let second = producer.send(TOPIC, &two).await.unwrap();
    let begun = Instant::now();
    let report = within("closing", producer.close(Duration::from_secs(1))).await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    let ids: Vec<_> = report.unsent.iter().map(|unsent| unsent.id.unwrap()).collect();
    assert_eq!(ids, [one.id(), two.id()]);
    assert!(report.unsent.iter().all(|unsent| !unsent.may_have_been_written));
    let error = within("the first", first).await.unwrap_err();
    assert!(!error.may_have_been_written() && error.is_retriable(), "{error}");
    assert!(within("the second", second).await.is_err());
    let events = events.lock().unwrap();
    assert!(matches!(events[..], [ProducerEvent::WaitingForCluster { .. }]), "{events:?}");
}

/// Whoever is told of deliveries may be wrong; each has its outcome all the same.
#[tokio::test]
async fn a_listener_that_panics_leaves_no_delivery_hanging() {
    let cluster = mock();
    let producer = MessageProducer::builder(cluster.bootstrap_servers())
        .on_delivery(|report| panic!("told of {report:?}"))
        .build()
        .await
        .unwrap();
    for name in ["the first", "the second"] {
        let delivery = producer.send(TOPIC, &message(name)).await.unwrap();
        assert!(within(name, delivery).await.is_ok());
    }
    assert!(producer.close(Duration::from_secs(5)).await.unsent.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_producer_settles_every_delivery() {
    let producer = MessageProducer::builder("127.0.0.1:1").build().await.unwrap();
    let delivery = producer.send(TOPIC, &message("x")).await.unwrap();
    drop(producer);
    let error = within("the delivery", delivery).await.unwrap_err();
    assert!(!error.may_have_been_written());
}

/// The partition of a key as Java's producer chooses it, written down from Kafka's protocol guide.
fn java_partition(key: &[u8], partitions: i32) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ key.len() as u32;
    let mut chunks = key.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes(chunk.try_into().unwrap()).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    (hash & 0x7fff_ffff) as i32 % partitions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_keys_go_where_java_puts_them() {
    let cluster: Mock = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 12, 1).unwrap();
    let producer = MessageProducer::builder(cluster.bootstrap_servers()).build().await.unwrap();
    let mut deliveries = Vec::new();
    for number in 0..1_000 {
        let key = format!("key-{number}-{}", "é".repeat(number % 7));
        let sent = producer.send(TOPIC, &message("x").with_key(key.clone())).await.unwrap();
        deliveries.push((key, sent));
    }
    for (key, delivery) in deliveries {
        let receipt = within("delivery", delivery).await.unwrap();
        assert_eq!(receipt.partition.0, java_partition(key.as_bytes(), 12), "{key}");
    }
}

/// Six answers in a row say that too few replicas are in sync: one attempt and five retries. kurier does
/// not send the message again, and what is sent afterwards is delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_classic_retries_run_out_the_delivery_fails_and_nothing_is_sent_again() {
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    let cluster = mock();
    let producer = MessageProducer::builder(cluster.bootstrap_servers())
        .delivery(DeliveryProfile::OneInFlight)
        .build()
        .await
        .unwrap();
    let too_few = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    cluster.request_errors(RDKafkaApiKey::Produce, &[too_few; 6]);
    let begun = Instant::now();
    let key = |message: Message| message.with_key("one partition");
    let doomed = producer.send(TOPIC, &key(message("doomed"))).await.unwrap();
    let failed = within("the failure", doomed).await.unwrap_err();
    assert_eq!(failed.code, rdkafka::error::RDKafkaErrorCode::NotEnoughReplicas);
    assert!(failed.is_retriable(), "by the caller, who knows what else was sent");
    assert!(Duration::from_secs(4) < begun.elapsed(), "five retries, about a second apart");

    let next = producer.send(TOPIC, &key(message("next"))).await.unwrap();
    let receipt = within("the next", next).await.unwrap();
    assert_eq!(receipt.offset, Some(crate::Offset(0)), "the failed one was never written");
    assert!(producer.close(Duration::from_secs(10)).await.unsent.is_empty());
}

/// Whoever stops waiting for a close can ask again and gets the report.
#[tokio::test]
async fn a_close_that_was_dropped_reports_when_it_is_asked_again() {
    let producer = MessageProducer::builder("127.0.0.1:1").build().await.unwrap();
    let message = Message::new("waits").unwrap();
    let _delivery = producer.try_send("t", &message).unwrap();
    let report = loop {
        tokio::select! {
            biased;
            report = producer.close(Duration::ZERO) => break report,
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
    };
    assert_eq!(report.unsent.len(), 1, "{report:?}");
    assert!(producer.close(Duration::ZERO).await.unsent.is_empty(), "it is told once");
}
