//! Reads a whole topic with plain librdkafka and no group: what is really there, in the log's order.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kurier::{Fingerprint, PartitionId, Position, Seen, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
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
    let metadata = consumer.fetch_metadata(Some(topic), ONE_QUESTION)?;
    let partitions = metadata.topics().first().context("no such topic")?.partitions();
    let mut assignment = TopicPartitionList::new();
    let mut ends = vec![0; partitions.len()];
    for partition in partitions {
        let (low, high) = watermarks(&consumer, topic, partition.id())?;
        ends[usize::try_from(partition.id())?] = if low < high { high } else { 0 };
        assignment.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let mut found = Vec::new();
    let mut open = ends.iter().filter(|end| 0 < **end).count();
    let deadline = Instant::now() + PATIENCE;
    while 0 < open {
        ensure!(Instant::now() < deadline, "the end of {topic} did not come");
        let Some(record) = consumer.poll(Duration::from_millis(100)) else { continue };
        // librdkafka tells of brokers that come and go; the deadline ends what never recovers.
        let Ok(record) = record else { continue };
        let end = ends[usize::try_from(record.partition())?];
        if record.offset() < end {
            found.push(copied(&record));
        }
        open -= usize::from(record.offset() + 1 == end);
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

/// A new leader answers only when it knows its high watermark again (`OFFSET_NOT_AVAILABLE`, KIP-207).
fn watermarks(consumer: &BaseConsumer, topic: &str, partition: i32) -> anyhow::Result<(i64, i64)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match consumer.fetch_watermarks(topic, partition, ONE_QUESTION) {
            Ok(watermarks) => return Ok(watermarks),
            Err(error) if deadline < Instant::now() => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
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
