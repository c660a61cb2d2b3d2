//! Every kind of message, ours and other people's, through every codec.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kurier::{
    Context, Failure, Headers, Message, MessageDecoder, MessageProducer, OutgoingRecord,
    RawDecoder, Received, Record, SingleMessageConsumer,
};
use kurier_tests::audit;
use kurier_tests::cluster::{cluster, create_topic};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::within;

const TOPIC: &str = "orders";

/// A message of each kind that has ever surprised a consumer.
fn kinds() -> Vec<Message<Value>> {
    let long = "x".repeat(200_000);
    let contents = [
        json!("hello"),
        json!("кириллица, 漢字, \u{1f980} and \u{0} and \\ \" \n"),
        json!(long),
        json!({"order": 17, "lines": [{"sku": "a", "n": 1}], "note": null}),
        json!([1, 2, 3]),
        json!(0),
        json!(-1.5e300),
        json!(9_007_199_254_740_993_u64),
        json!(true),
    ];
    let mut messages: Vec<Message<Value>> =
        contents.into_iter().map(|content| Message::new(content).unwrap()).collect();
    messages.push(Message::new(json!("no key")).unwrap());
    messages.push(Message::new(json!("empty key")).unwrap().with_key(""));
    messages.push(Message::new(json!("key of bytes")).unwrap().with_key(vec![0, 159, 146, 150]));
    let headers = Message::new(json!("headers")).unwrap();
    messages.push(headers.with_header("n", "1").with_header("n", "2").with_header("b", vec![255]));
    messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_message_comes_back_as_it_went() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let mut sent = BTreeMap::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer = MessageProducer::builder(cluster.bootstrap());
        let producer = producer.property("compression.type", codec).build().await.unwrap();
        for message in kinds() {
            let message = message.with_header("codec", codec);
            let delivery = producer.send(TOPIC, &message).await.unwrap();
            within("delivery", delivery).await.unwrap();
            sent.insert(message.id(), message);
        }
        assert!(producer.close(Duration::from_secs(30)).await.unsent.is_empty());
    }

    let found: Arc<Mutex<BTreeMap<_, Message<Value>>>> = Arc::default();
    let finding = Arc::clone(&found);
    let handler = move |received: Arc<Received<Message<Value>>>, _: Context| {
        let message = received.value().unwrap().clone();
        finding.lock().unwrap().insert(message.id(), message);
        std::future::ready(Ok::<(), Failure>(()))
    };
    let run = SingleMessageConsumer::builder(cluster.bootstrap(), TOPIC)
        .decoder(MessageDecoder::default())
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    within("reading", run).await.unwrap();
    let found = std::mem::take(&mut *found.lock().unwrap());
    assert_eq!(found.len(), 5 * kinds().len());
    for (id, message) in &sent {
        assert_eq!(&found[id], message);
    }
    let log = audit::read(cluster.bootstrap(), TOPIC).unwrap();
    assert_eq!(log.len(), sent.len(), "each once");
}

fn records() -> Vec<OutgoingRecord> {
    let bytes = |text: &'static str| Some(bytes::Bytes::from_static(text.as_bytes()));
    let mut headers = Headers::new();
    headers.push("n", bytes("1"));
    headers.push("n", bytes("2"));
    headers.push("without a value", None);
    headers.push("empty", bytes(""));
    headers.push("bytes", Some(bytes::Bytes::from_static(&[255, 0, 254])));
    let record = OutgoingRecord::default;
    vec![
        OutgoingRecord { value: bytes("{\"bare\": \"JSON\"}"), ..record() },
        OutgoingRecord { value: bytes("text, not JSON"), key: bytes("k"), ..record() },
        OutgoingRecord { value: Some(vec![0, 255, 254].into()), key: bytes(""), ..record() },
        OutgoingRecord { value: bytes(""), ..record() },
        OutgoingRecord { key: bytes("a tombstone"), ..record() },
        OutgoingRecord { value: bytes("headers"), headers, ..record() },
    ]
}

/// Records that no `Message` made: bytes, nothing at all, and a header without a value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_peoples_records_come_as_they_are() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 1).await.unwrap();
    let producer = MessageProducer::builder(cluster.bootstrap()).build().await.unwrap();
    let records: Vec<OutgoingRecord> = records();
    for record in &records {
        let delivery = producer.send_record(TOPIC, record).await.unwrap();
        within("delivery", delivery).await.unwrap();
    }
    let found: Arc<Mutex<Vec<Record>>> = Arc::default();
    let finding = Arc::clone(&found);
    let handler = move |received: Arc<Received<bytes::Bytes>>, _: Context| {
        assert_eq!(received.is_tombstone(), received.record().value().is_none());
        finding.lock().unwrap().push(received.record().clone());
        std::future::ready(Ok::<(), Failure>(()))
    };
    let run = SingleMessageConsumer::builder(cluster.bootstrap(), TOPIC)
        .decoder(RawDecoder)
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    within("reading", run).await.unwrap();
    let found = std::mem::take(&mut *found.lock().unwrap());
    assert_eq!(found.len(), records.len());
    for (record, found) in records.iter().zip(&found) {
        assert_eq!(record.value.as_deref(), found.value().map(|value| &value[..]));
        assert_eq!(record.key.as_deref(), found.key().map(|key| &key[..]));
        assert_eq!(&record.headers, found.headers());
    }
}

/// Kafka refuses a batch in which one record's time lies more than an hour ahead, with all its neighbours:
/// a message's own time must not get there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_any_time_is_delivered_and_harms_no_neighbour() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 1).await.unwrap();
    // Long enough that all of them go out in one batch.
    let producer = MessageProducer::builder(cluster.bootstrap()).linger(Duration::from_millis(300));
    let producer = producer.build().await.unwrap();
    let mut sent = Vec::new();
    for time in [
        "2020-02-29T12:00:00Z",
        "9999-12-30T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "1950-06-01T00:00:00Z",
        "1969-12-31T23:59:59.999Z",
        "2026-01-01T00:00:00.000001Z",
    ] {
        let message = Message::new(json!(time)).unwrap().with_timestamp(time.parse().unwrap());
        sent.push(message.unwrap());
    }
    let mut deliveries = Vec::new();
    for message in &sent {
        deliveries.push(producer.send(TOPIC, message).await.unwrap());
    }
    for delivery in deliveries {
        within("delivery", delivery).await.unwrap();
    }
    let found: Arc<Mutex<Vec<Received<Message<Value>>>>> = Arc::default();
    let finding = Arc::clone(&found);
    let handler = move |received: Arc<Received<Message<Value>>>, _: Context| {
        finding.lock().unwrap().push(Received::clone(&received));
        std::future::ready(Ok::<(), Failure>(()))
    };
    let run = SingleMessageConsumer::builder(cluster.bootstrap(), TOPIC)
        .decoder(MessageDecoder::default())
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    within("reading", run).await.unwrap();
    let found = std::mem::take(&mut *found.lock().unwrap());
    let messages: Vec<_> = found.iter().map(|found| found.value().unwrap().clone()).collect();
    assert_eq!(messages, sent, "with their own times, in their order");
    assert!(found.iter().all(|found| found.timestamp().is_some()), "{found:?}");
}
