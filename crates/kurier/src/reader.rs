//! Reads one topic without a group: nobody's partitions move, and nothing is committed.
//!
//! It owns a client and the thread that reads with it. Where reading begins and ends is asked of an
//! [`Admin`] before.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tokio::sync::mpsc;

use crate::config::native_config;
use crate::sys::{Looked, PartitionFeed, Unread, Wake};
use crate::{
    Admin, ClientConfig, ClientError, ConfigProblems, Offset, Record, StartFrom, TopicPartition,
};

/// How far a [`TopicReader`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadUntil {
    /// To the end that each partition had when reading began.
    End,
    /// On and on, until the reader is closed or dropped.
    Closed,
}

/// The records of one topic, each partition in its order, without a group.
///
/// At most 1,024 records wait in it, of 4 MiB together and what one look at a partition adds, 256 records at most,
/// beside what librdkafka fetches ahead. Dropped, it disconnects on a thread of its own.
#[derive(Debug)]
pub struct TopicReader {
    records: mpsc::Receiver<Result<Record, ClientError>>,
    waiting: Arc<Waiting>,
    ended: mpsc::Receiver<()>,
    stop: Arc<Stop>,
}

/// A topic could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigProblems),
    /// The system gave no thread.
    #[error("start the reader's thread")]
    Thread(#[source] io::Error),
    /// The cluster did not say where the topic begins and ends.
    #[error("open {topic}")]
    Cluster {
        /// The topic.
        topic: String,
        /// Why.
        #[source]
        source: ClientError,
    },
}

impl TopicReader {
    /// Begins to read `topic` at `from`. `admin` is asked where that is, within its own timeout.
    ///
    /// Partitions that are added later are not read. Where the topic no longer has the place that was
    /// reached, reading goes on at its oldest record.
    ///
    /// # Errors
    /// A wrong configuration; a topic that is not there, or a cluster that does not answer.
    ///
    /// # Cancel safety
    /// Dropping it begins nothing.
    pub async fn open(
        admin: &Admin,
        config: &ClientConfig,
        topic: &str,
        from: StartFrom,
        until: ReadUntil,
    ) -> Result<Self, ReadError> {
        // Before the cluster is asked.
        config.admin_properties()?;
        let spans = spans(admin, topic, from, until).await;
        let spans =
            spans.map_err(|source| ReadError::Cluster { topic: topic.to_owned(), source })?;
        Self::read(config, spans)
    }

    /// Begins to read each partition of `spans` from an offset on, up to another one or for ever. Nothing is
    /// asked of the cluster before.
    ///
    /// # Errors
    /// A wrong configuration.
    pub fn read(
        config: &ClientConfig,
        spans: BTreeMap<TopicPartition, (Offset, Option<Offset>)>,
    ) -> Result<Self, ReadError> {
        let mut properties = config.admin_properties()?;
        properties
            .extend(READER_PROPERTIES.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let client: BaseConsumer<Quiet> = native_config(&properties)
            .create_with_context(Quiet)
            .map_err(|error| ConfigProblems::from_kafka(&error, &properties))?;
        let (out, records) = mpsc::channel(WAITING_MAX);
        let (end, ended) = mpsc::channel(1);
        let (stop, waiting) = (Arc::new(Stop::default()), Arc::new(Waiting::default()));
        let (told, room) = (Arc::clone(&stop), Arc::clone(&waiting));
        thread::Builder::new()
            .name("kurier-reader".to_owned())
            .spawn(move || {
                read_all(&Arc::new(client), spans, &told, &room, &out);
                drop(end);
            })
            .map_err(ReadError::Thread)?;
        Ok(Self { records, waiting, ended, stop })
    }

    /// The next record of any partition; `None` at the end. After an error there is nothing more.
    ///
    /// # Errors
    /// When the topic is gone, the cluster does not let it be read, or what comes is damaged: it says at which offset.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn next(&mut self) -> Option<Result<Record, ClientError>> {
        let next = self.records.recv().await;
        if let Some(Ok(record)) = &next
            && self.waiting.taken(record.size())
        {
            self.stop.ring();
        }
        next
    }

    /// Stops reading and waits until the client is gone.
    pub async fn close(mut self) {
        self.stop.now();
        self.records.close();
        // Nothing is ever sent: it ends when the thread does.
        let _ = self.ended.recv().await;
    }
}

impl Drop for TopicReader {
    fn drop(&mut self) {
        self.stop.now();
    }
}

/// Records that wait for [`TopicReader::next`].
const WAITING_MAX: usize = 1024;
/// Bytes of records that wait; while there are more, none is added.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// Events taken from one partition before the next has its turn.
const TURN: usize = 256;
/// Longest wait without a look at everything; librdkafka rings before.
const ROUND: Duration = Duration::from_millis(50);

/// librdkafka wants a group's name even where none is joined.
const READER_PROPERTIES: [(&str, &str); 6] = [
    ("group.id", "kurier-reader"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "earliest"),
    ("check.crcs", "true"),
];

/// The order to stop. Rings the reading thread, once that is there.
#[derive(Debug, Default)]
struct Stop {
    said: AtomicBool,
    reader: std::sync::OnceLock<thread::Thread>,
}

impl Stop {
    fn now(&self) {
        self.said.store(true, Ordering::Release);
        self.ring();
    }

    fn ring(&self) {
        if let Some(reader) = self.reader.get() {
            reader.unpark();
        }
    }
}

/// Bytes of records that wait to be taken: the channel counts records, and they may be large.
#[derive(Debug, Default)]
struct Waiting(AtomicUsize);

impl Waiting {
    fn added(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Whether there is room again, and was none before.
    fn taken(&self, bytes: usize) -> bool {
        let before = self.0.fetch_sub(bytes, Ordering::AcqRel);
        WAITING_BYTES_MAX <= before && before - bytes < WAITING_BYTES_MAX
    }

    fn is_full(&self) -> bool {
        WAITING_BYTES_MAX <= self.0.load(Ordering::Acquire)
    }
}

/// Where reading a partition begins; where it ends, if it does.
type Spans = BTreeMap<TopicPartition, (Offset, Option<Offset>)>;

async fn spans(
    admin: &Admin,
    topic: &str,
    from: StartFrom,
    until: ReadUntil,
) -> Result<Spans, ClientError> {
    let partitions = admin.describe_topic(topic).await?.topic_partitions();
    let starts = admin.starts(&partitions, from).await?;
    let ends = match until {
        ReadUntil::End => admin.starts(&partitions, StartFrom::Latest).await?,
        ReadUntil::Closed => BTreeMap::new(),
    };
    let span = |(partition, start): (TopicPartition, Offset)| {
        let end = ends.get(&partition).copied();
        (partition, (start, end))
    };
    Ok(starts.into_iter().map(span).collect())
}

/// The thread.
fn read_all(
    client: &Arc<BaseConsumer<Quiet>>,
    mut spans: Spans,
    stop: &Stop,
    waiting: &Waiting,
    out: &mpsc::Sender<Result<Record, ClientError>>,
) {
    let me = thread::current();
    // Nobody else sets it.
    let _ = stop.reader.set(me.clone());
    let wake: Wake = Arc::new(move || me.unpark());
    spans.retain(|_, (start, end)| end.is_none_or(|end| *start < end));
    let mut feeds = Vec::new();
    for partition in spans.keys() {
        feeds.extend(PartitionFeed::split(client, partition.clone(), Arc::clone(&wake)));
    }
    if let Err(error) = assign(client, &spans) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        // Nobody takes it only when nobody reads.
        let _ = out.blocking_send(Err(ClientError::from_code("read", code, error.to_string())));
        return;
    }
    let mut records = Vec::new();
    while !spans.is_empty() && !stop.said.load(Ordering::Acquire) {
        let mut idle = true;
        for feed in &mut feeds {
            let Some((_, end)) = spans.get(feed.partition()).copied() else { continue };
            // Whoever takes the records rings, and so does an order to stop.
            while waiting.is_full() && !stop.said.load(Ordering::Acquire) && !out.is_closed() {
                thread::park_timeout(ROUND);
            }
            let looked = feed.take(TURN, &mut records);
            idle &= looked.taken == 0;
            let past = |offset: Offset| end.is_some_and(|end| end <= offset);
            let hole = looked.unread.as_ref().map(|unread| unread.offset);
            let reached = looked.end.max(hole).is_some_and(past)
                || records.last().is_some_and(|last| past(last.offset.next()));
            for record in records.drain(..).filter(|record| !past(record.offset)) {
                waiting.added(record.size());
                if out.blocking_send(Ok(record)).is_err() {
                    return;
                }
            }
            if reached {
                spans.remove(feed.partition());
            } else if let Some(error) = fatal(feed.partition(), looked) {
                // Nobody takes it only when nobody reads.
                let _ = out.blocking_send(Err(error));
                return;
            }
        }
        // The main queue has only news of brokers, which the context logs.
        drop(client.poll(Duration::ZERO));
        if idle {
            thread::park_timeout(ROUND);
        }
    }
}

fn assign(client: &BaseConsumer<Quiet>, spans: &Spans) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    for (partition, (start, _)) in spans {
        let start = KafkaOffset::Offset(start.0);
        list.add_partition_offset(&partition.topic, partition.partition.0, start)?;
    }
    client.assign(&list)
}

/// An error that reading does not get over by itself.
fn fatal(partition: &TopicPartition, looked: Looked) -> Option<ClientError> {
    use RDKafkaErrorCode as C;
    // Behind it librdkafka reads on at a place that it guesses.
    if let Some(Unread { offset, reason }) = looked.unread {
        let doing = format!("read {partition} at offset {offset}");
        return Some(ClientError::Kafka { doing, code: C::BadMessage, reason });
    }
    let (code, reason) = looked.error?;
    let error = ClientError::from_code(format!("read {partition}"), code, reason);
    let gone = matches!(code, C::UnknownTopic | C::UnknownTopicOrPartition | C::UnknownPartition);
    if gone || matches!(error, ClientError::Unauthorized { .. }) {
        return Some(error);
    }
    tracing::warn!(%error, "reading goes on");
    None
}

/// Logs what librdkafka says.
#[derive(Debug)]
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "librdkafka reports a problem and goes on");
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(?level, facility, "{line}");
    }
}

impl ConsumerContext for Quiet {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_wait_up_to_a_number_of_bytes_and_who_adds_them_is_rung_once_there_is_room() {
        let waiting = Waiting::default();
        let half = WAITING_BYTES_MAX / 2;
        waiting.added(half);
        assert!(!waiting.is_full() && !waiting.taken(0));
        waiting.added(half);
        assert!(waiting.is_full(), "as many as may");
        waiting.added(half);
        assert!(!waiting.taken(half) && waiting.is_full(), "still as many");
        assert!(waiting.taken(1) && !waiting.is_full());
        assert!(!waiting.taken(1), "once");
        waiting.taken(2 * half - 2);
        assert!(!waiting.is_full());
        waiting.added(9 * half);
        assert!(waiting.is_full(), "one that is larger than all may be waits alone");
        assert!(waiting.taken(9 * half));
    }
}
