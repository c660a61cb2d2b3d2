//! Reads a whole topic with plain librdkafka and no group: what is really there, in the log's order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use kurier::{Fingerprint, PartitionId, Position, Seen, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use uuid::Uuid;

use crate::books::Books;
use crate::cluster::PATIENCE;

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Found {
    /// The record as the ledger wants it.
    pub fn seen(&self, topic: &str) -> Seen {
        let partition = TopicPartition::new(topic, PartitionId(self.partition));
        Seen {
            id: self.id(),
            position: Some(Position::new(partition, kurier::Offset(self.offset))),
            content: Some(Fingerprint::of(self.key.as_deref(), self.value.as_deref())),
        }
    }

    /// The id of a message in the wire form.
    pub fn id(&self) -> Option<Uuid> {
        let value: serde_json::Value = serde_json::from_slice(self.value.as_deref()?).ok()?;
        value.get("id")?.as_str()?.parse().ok()
    }
}

/// Everything in `topic` up to the high watermarks of now, each partition in its order.
///
/// # Errors
/// When the end is not reached within [`PATIENCE`].
pub fn read(bootstrap: &str, topic: &str) -> anyhow::Result<Vec<Found>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "the audit, which never joins")
        .set("enable.auto.commit", "false")
        .set("check.crcs", "true")
        .create()?;
    let partitions = until_answered(|| partitions(&consumer, topic))?;
    let starts = until_answered(|| offsets(&consumer, topic, &partitions, Offset::Beginning))?;
    let mut open = until_answered(|| offsets(&consumer, topic, &partitions, Offset::End))?;
    open.retain(|partition, end| starts[partition] < *end);
    let mut assignment = TopicPartitionList::new();
    for partition in open.keys() {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let mut found = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while !open.is_empty() {
        ensure!(Instant::now() < deadline, "the ends of {topic} did not come: {open:?}");
        let Some(record) = consumer.poll(Duration::from_millis(100)) else { continue };
        // librdkafka tells of brokers that come and go; the deadline ends what never recovers.
        let Ok(record) = record else { continue };
        let Some(end) = open.get(&record.partition()).copied() else { continue };
        found.push(copied(&record));
        if end <= record.offset() + 1 {
            open.remove(&record.partition());
        }
    }
    found.sort_by_key(|record| (record.partition, record.offset));
    Ok(found)
}

/// Reads the topic and enters everything in it: from then on, what was acknowledged and is not there is
/// lost, and what is there has to be handled.
///
/// # Errors
/// As [`read`].
pub async fn enter(books: &Books, bootstrap: &str, topic: &str) -> anyhow::Result<Vec<Found>> {
    let (bootstrap, name) = (bootstrap.to_owned(), topic.to_owned());
    let found = tokio::task::spawn_blocking(move || read(&bootstrap, &name)).await??;
    books.audited(topic, found.iter().map(|record| record.seen(topic)));
    Ok(found)
}

const ONE_QUESTION: Duration = Duration::from_secs(30);

fn until_answered<T>(question: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match question() {
            Ok(answer) => return Ok(answer),
            Err(error) if deadline < Instant::now() => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> anyhow::Result<Vec<i32>> {
    let metadata = consumer.fetch_metadata(Some(topic), ONE_QUESTION)?;
    let named = metadata.topics().first().context("no such topic")?;
    ensure!(named.error().is_none(), "{topic}: {:?}", named.error());
    ensure!(!named.partitions().is_empty(), "{topic} has no partitions");
    Ok(named.partitions().iter().map(MetadataPartition::id).collect())
}

/// Where each of `partitions` begins or ends. A new leader says where only when it knows its high watermark again
/// (`OFFSET_NOT_AVAILABLE`, KIP-207).
///
/// Not by `fetch_watermarks`: of an error in the first of its two answers librdkafka forgets when the second has
/// none, and then calls an offset that it has both ends (2.12.1, `rd_kafka_query_wmark_offsets_resp_cb`).
fn offsets(
    consumer: &BaseConsumer,
    topic: &str,
    partitions: &[i32],
    place: Offset,
) -> anyhow::Result<BTreeMap<i32, i64>> {
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition_offset(topic, *partition, place)?;
    }
    let answer = consumer.offsets_for_times(asked, ONE_QUESTION)?;
    let offset = |one: TopicPartitionListElem<'_>| {
        one.error()?;
        match one.offset() {
            Offset::Offset(offset) => Ok((one.partition(), offset)),
            other => bail!("{topic}[{}]: {other:?}", one.partition()),
        }
    };
    answer.elements().into_iter().map(offset).collect()
}

fn copied(record: &BorrowedMessage<'_>) -> Found {
    let headers = record.headers().map(|headers| {
        headers.iter().map(|it| (it.key.to_owned(), it.value.map(<[u8]>::to_vec))).collect()
    });
    Found {
        partition: record.partition(),
        offset: record.offset(),
        key: record.key().map(<[u8]>::to_vec),
        value: record.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}
