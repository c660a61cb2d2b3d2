//! Consumers against librdkafka's mock cluster.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod batches;
mod client;
mod ends;
mod failures;
mod health;
mod keyed;
mod letters;
mod rebalances;
mod speed;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use tokio_util::sync::CancellationToken;

pub(super) use health::is_left_unread;

use super::*;
use crate::{Context, Failure, Offset, PartitionId, RawDecoder, Received, TopicPartition};

type Mock = MockCluster<'static, DefaultProducerContext>;
type Message = Arc<Received<bytes::Bytes>>;

const TOPIC: &str = "orders";

fn mock(partitions: i32) -> Mock {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic(TOPIC, partitions, 3).unwrap();
    cluster
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, PartitionId(partition))
}

/// Sends `values` to their partitions and waits until they are all there.
fn produce(bootstrap: &str, values: impl IntoIterator<Item = (i32, String)>) {
    let producer: BaseProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "2")
        .create()
        .unwrap();
    for (partition, value) in values {
        let mut record = BaseRecord::<(), str>::to(TOPIC).partition(partition).payload(&value);
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

fn numbered(partitions: i32, count: usize) -> impl Iterator<Item = (i32, String)> {
    (0..count).map(move |number| ((number as i32) % partitions, number.to_string()))
}

fn committed(bootstrap: &str, group: &str, partitions: i32) -> BTreeMap<i32, i64> {
    let client: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(TOPIC, 0, partitions - 1);
    let found = client.committed_offsets(list, Duration::from_secs(10)).unwrap();
    found
        .elements()
        .iter()
        .filter_map(|element| Some((element.partition(), element.offset().to_raw()?)))
        .filter(|(_, offset)| 0 <= *offset)
        .collect()
}

fn value(message: &Received<bytes::Bytes>) -> u64 {
    std::str::from_utf8(message.value.as_ref().unwrap()).unwrap().parse().unwrap()
}

/// What handlers saw: for each partition the offsets and values in order.
#[derive(Debug, Default)]
struct Seen(Mutex<HashMap<TopicPartition, Vec<(Offset, u64)>>>);

impl Seen {
    fn note(&self, message: &Received<bytes::Bytes>) -> usize {
        let mut seen = self.0.lock().unwrap();
        let record = &message.record;
        let entry = (record.offset, value(message));
        seen.entry(record.partition.clone()).or_default().push(entry);
        seen.values().map(Vec::len).sum()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().values().map(Vec::len).sum()
    }
}

fn single(bootstrap: &str) -> ConsumerBuilder<Single, RawDecoder> {
    SingleMessageConsumer::builder(bootstrap, TOPIC).group("g").decoder(RawDecoder)
}

fn batches(bootstrap: &str) -> ConsumerBuilder<Batches, RawDecoder> {
    BatchMessageConsumer::builder(bootstrap, TOPIC).group("g").decoder(RawDecoder)
}

async fn within<T>(limit: u64, what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(limit), future)
        .await
        .unwrap_or_else(|_| panic!("{what} within {limit} s"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_messages_in_order_and_committed() {
    let cluster = mock(3);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(3, 1_000));
    let seen = Arc::new(Seen::default());
    let shutdown = CancellationToken::new();
    let (notes, stop) = (Arc::clone(&seen), shutdown.clone());
    let handler = move |message: Message, _: Context| {
        if notes.note(&message) == 1_000 {
            stop.cancel();
        }
        async { Ok::<(), Failure>(()) }
    };
    let run = single(&bootstrap).run(handler, shutdown);
    let report = within(60, "a thousand messages", run).await.unwrap();

    assert_eq!(report.handled, 1_000);
    assert_eq!(report.closed, Closed::Clean);
    assert_eq!(report.ended, Ended::Shutdown);
    assert_eq!((report.outstanding, report.uncommitted.len()), (0, 0));
    for (partition, seen) in seen.0.lock().unwrap().iter() {
        let number = partition.partition.0 as u64;
        let expected: Vec<(Offset, u64)> =
            (0..seen.len() as u64).map(|n| (Offset(n as i64), n * 3 + number)).collect();
        assert_eq!(*seen, expected, "{partition}");
    }
    let expected = BTreeMap::from([(0, 334), (1, 333), (2, 333)]);
    assert_eq!(committed(&bootstrap, "g", 3), expected);
    let told: BTreeMap<i32, i64> =
        report.committed.iter().map(|(at, offset)| (at.partition.0, offset.0)).collect();
    assert_eq!(told, expected);
}
