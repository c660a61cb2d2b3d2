//! The producer: messages in, deliveries out, at least once and in order.
//!
//! `send` checks, waits for room ([`admission`]), takes a slot ([`books`]) and hands the bytes to
//! librdkafka; one thread ([`worker`]) reads its reports and settles the slots.

mod admission;
mod books;
mod builder;
mod delivery;
mod error;
mod event;
#[cfg(test)]
mod tests;
mod topics;
mod worker;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, Producer};
use tokio::sync::oneshot;
use uuid::Uuid;

use books::{Books, Entry, Granted, SlotId};
use topics::KnownTopics;
use worker::{Client, Stop};

pub use builder::ProducerBuilder;
pub use delivery::{Delivery, DeliveryError, DeliveryReport, Outcome, Receipt, Ticket, Unsent};
pub use error::{BuildError, CloseReport, FlushError, NotAccepting, SendError};
pub use event::ProducerEvent;

use crate::config::MESSAGE_OVERHEAD_BYTES;
use crate::{Content, Headers, Message, PartitionId, ProducerConfig, sys};

/// Sends messages at least once and in order.
///
/// A message is *accepted* when `send` returns, and *delivered* when its [`Delivery`] says so: every
/// in-sync replica has it. Messages of one key that are sent one after another stand in the log in that
/// order, through retries and changes of leaders. While the cluster is away, accepted messages wait, and
/// `send` waits once they fill the memory; the producer reconnects by itself for as long as it takes.
///
/// Share it by reference or in an `Arc`. Close it: dropped without, it gives up what is not delivered,
/// and only the deliveries and the log say so.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kurier::{Message, MessageProducer};
///
/// let producer = MessageProducer::builder("127.0.0.1:9092").build().await?;
/// let message = Message::new("hello")?.with_key("greetings");
/// let receipt = producer.send("python-topic", &message).await?.await?;
/// println!("partition {}", receipt.partition);
/// let report = producer.close(std::time::Duration::from_secs(10)).await;
/// assert!(report.unsent.is_empty());
/// # Ok(()) }
/// ```
pub struct MessageProducer {
    config: ProducerConfig,
    client: Arc<Client>,
    books: Arc<Books>,
    topics: Arc<KnownTopics>,
    stop: Arc<Stop>,
    /// What the thread could not send, until someone has asked.
    end: tokio::sync::Mutex<Option<oneshot::Receiver<Vec<Unsent>>>>,
}

/// A bare record, for what is not a [`Message`]: other formats, and tombstones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutgoingRecord {
    /// Decides the partition; `None` lets chance decide.
    pub key: Option<Bytes>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    /// In their order, names may repeat.
    pub headers: Headers,
    /// `None`: the time of sending. A broker refuses one that lies more than an hour ahead (by default,
    /// `message.timestamp.after.max.ms`), and with it every record of the batch it went out in.
    pub timestamp: Option<Timestamp>,
    /// `None`: the key decides.
    pub partition: Option<PartitionId>,
}

impl MessageProducer {
    /// A producer for the cluster at `bootstrap` (`host:port`, several with commas between).
    pub fn builder(bootstrap: impl Into<String>) -> ProducerBuilder {
        ProducerBuilder::new(ProducerConfig::new(bootstrap))
    }

    fn new(
        config: ProducerConfig,
        client: Arc<Client>,
        books: Arc<Books>,
        topics: Arc<KnownTopics>,
        stop: Arc<Stop>,
        end: oneshot::Receiver<Vec<Unsent>>,
    ) -> Self {
        Self { config, client, books, topics, stop, end: tokio::sync::Mutex::new(Some(end)) }
    }

    /// Accepts a message: waits until there is room for it, behind those who came before. The first
    /// message to a topic asks the cluster whether it exists; when no broker answers, it is accepted.
    /// Cancel safe: dropped while it waits, nothing was accepted.
    ///
    /// # Errors
    /// When the message can't be sent as it is, or nothing is accepted any more. Nothing is kept then.
    pub async fn send<T: Content>(
        &self,
        topic: &str,
        message: &Message<T>,
    ) -> Result<Delivery, SendError> {
        let topic = self.checked(topic).await?;
        let offered = with_buffer(|buffer| {
            message.write_json(buffer)?;
            let parts = Parts::of_message(&topic, message, buffer);
            let accepted = self.offer(&parts, None)?;
            Ok::<_, SendError>(accepted.ok_or_else(|| buffer.clone()))
        })?;
        match offered {
            Ok(delivery) => Ok(delivery),
            Err(value) => self.wait(&Parts::of_message(&topic, message, &value)).await,
        }
    }

    /// As [`send`](Self::send), but never waits: neither for room nor for word of the topic. Should the
    /// topic not exist, the delivery fails.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendError::Full`].
    pub fn try_send<T: Content>(
        &self,
        topic: &str,
        message: &Message<T>,
    ) -> Result<Delivery, SendError> {
        let topic = self.topics.unchecked(topic)?;
        with_buffer(|buffer| {
            message.write_json(buffer)?;
            let parts = Parts::of_message(&topic, message, buffer);
            self.offer(&parts, None)?.ok_or(SendError::Full)
        })
    }

    /// Accepts a bare record, as [`send`](Self::send) does a message.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_record(
        &self,
        topic: &str,
        record: &OutgoingRecord,
    ) -> Result<Delivery, SendError> {
        let topic = self.checked(topic).await?;
        let parts = Parts::of_record(&topic, record);
        match self.offer(&parts, None)? {
            Some(delivery) => Ok(delivery),
            None => self.wait(&parts).await,
        }
    }

    /// Accepts a bare record without ever waiting, as [`try_send`](Self::try_send) does a message.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    pub fn try_send_record(
        &self,
        topic: &str,
        record: &OutgoingRecord,
    ) -> Result<Delivery, SendError> {
        let topic = self.topics.unchecked(topic)?;
        self.offer(&Parts::of_record(&topic, record), None)?.ok_or(SendError::Full)
    }

    /// Waits until everything that was accepted before is delivered or has failed. Cancel safe.
    ///
    /// # Errors
    /// When `deadline` passes first; what is outstanding goes on being sent.
    pub async fn flush(&self, deadline: Duration) -> Result<(), FlushError> {
        let before = self.books.next_ticket();
        let settled = async {
            let mut open = SlotId(0);
            loop {
                let mut settled = std::pin::pin!(self.books.settled.notified());
                settled.as_mut().enable();
                match self.books.open_before(before, open) {
                    Some(found) => open = found,
                    None => return,
                }
                settled.await;
            }
        };
        tokio::time::timeout(deadline, settled).await.map_err(|_| {
            let unreported = self.books.unreported();
            let outstanding =
                unreported.iter().filter(|(_, unsent)| unsent.ticket < before).count();
            FlushError { outstanding, waited: deadline }
        })
    }

    /// Accepts nothing more, waits up to `deadline` until everything is delivered, gives up the rest and
    /// says what it was; its deliveries fail. Ends within a few seconds of the deadline. A second call
    /// reports nothing. Cancel safe: dropped, the producer goes on refusing messages, and the next call
    /// reports.
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        self.books.refuse(NotAccepting::Closed);
        let flushed = self.flush(deadline).await;
        if let Err(error) = flushed {
            tracing::warn!(outstanding = error.outstanding, "closing with messages not delivered");
        }
        self.stop.now();
        let mut end = self.end.lock().await;
        let Some(reported) = end.as_mut() else { return CloseReport::default() };
        let unsent = match reported.await {
            Ok(unsent) => unsent,
            // The thread panicked: what it knew is in the books.
            Err(_) => self.books.unreported().into_iter().map(|(_, unsent)| unsent).collect(),
        };
        *end = None;
        CloseReport { unsent }
    }

    /// The settings that librdkafka runs with, read back from it; secrets are hidden.
    #[must_use]
    pub fn effective_properties(&self) -> BTreeMap<String, String> {
        sys::effective_properties(self.client.client())
    }

    async fn checked(&self, topic: &str) -> Result<Arc<str>, SendError> {
        self.topics.checked(&self.client, topic, self.config.unknown_topic_grace).await
    }

    async fn wait(&self, parts: &Parts<'_>) -> Result<Delivery, SendError> {
        let granted = self.books.turn(parts.cost()).await?;
        self.offer(parts, Some(granted))?.ok_or(SendError::Full)
    }

    /// Accepts if there is room, or with the room that was waited for.
    fn offer(
        &self,
        parts: &Parts<'_>,
        granted: Option<Granted<'_>>,
    ) -> Result<Option<Delivery>, SendError> {
        let (found, max) = (parts.bytes(), self.config.message_bytes_max);
        if max < found {
            return Err(SendError::TooLarge { topic: parts.topic.to_string(), found, max });
        }
        let cost = parts.cost();
        let entry = |ticket| Entry { ticket, id: parts.id, topic: Arc::clone(parts.topic), cost };
        let send = |slot| self.hand_over(parts, slot);
        let accepted = self.books.accept(granted, entry, cost, send)?;
        Ok(accepted.map(|(slot, ticket)| Delivery::new(Arc::clone(&self.books), slot, ticket)))
    }

    fn hand_over(&self, parts: &Parts<'_>, slot: SlotId) -> Result<(), SendError> {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(parts.topic, slot.0);
        record.key = parts.key;
        record.payload = parts.value;
        record.partition = parts.partition.map(|partition| partition.0);
        record.timestamp = parts.timestamp_ms;
        if !parts.headers.is_empty() {
            let mut headers = OwnedHeaders::new_with_capacity(parts.headers.len());
            for header in parts.headers.iter() {
                let value = header.value.as_deref();
                headers = headers.insert(rdkafka::message::Header { key: &header.name, value });
            }
            record.headers = Some(headers);
        }
        self.client.send(record).map_err(|(error, _)| {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            let topic = parts.topic.to_string();
            match code {
                RDKafkaErrorCode::Fatal => NotAccepting::Fatal(error.to_string()).into(),
                code if topics::is_unknown(code) => SendError::UnknownTopic { topic },
                code => SendError::Client { topic, code },
            }
        })
    }
}

impl fmt::Debug for MessageProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageProducer").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Drop for MessageProducer {
    fn drop(&mut self) {
        self.books.refuse(NotAccepting::Closed);
        let under_way = self.books.under_way();
        if under_way > 0 {
            tracing::warn!(under_way, "a producer was dropped with messages not delivered");
        }
        self.stop.now();
    }
}

/// One record as it goes out.
struct Parts<'a> {
    topic: &'a Arc<str>,
    id: Option<Uuid>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a Headers,
    timestamp_ms: Option<i64>,
    partition: Option<PartitionId>,
}

impl<'a> Parts<'a> {
    fn of_message<T>(topic: &'a Arc<str>, message: &'a Message<T>, json: &'a [u8]) -> Self
    where
        T: Content,
    {
        Self {
            topic,
            id: Some(message.id()),
            key: message.key().map(Bytes::as_ref),
            value: Some(json),
            headers: message.headers(),
            timestamp_ms: record_time(message.timestamp()),
            partition: None,
        }
    }

    fn of_record(topic: &'a Arc<str>, record: &'a OutgoingRecord) -> Self {
        Self {
            topic,
            id: None,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
            timestamp_ms: record.timestamp.map(Timestamp::as_millisecond),
            partition: record.partition,
        }
    }

    fn bytes(&self) -> usize {
        let of = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        let header = |header: &crate::Header| header.name.len() + of(header.value.as_deref());
        of(self.key) + of(self.value) + self.headers.iter().map(header).sum::<usize>()
    }

    fn cost(&self) -> usize {
        self.bytes() + MESSAGE_OVERHEAD_BYTES
    }
}

/// The record's time for a message of this time. `None`, the time of sending, where Kafka's cannot follow:
/// a broker refuses a record from the future together with its whole batch (KIP-937), and there is no time
/// before 1970.
fn record_time(of_message: Timestamp) -> Option<i64> {
    let usable = Timestamp::UNIX_EPOCH < of_message && of_message <= Timestamp::now();
    usable.then(|| of_message.as_millisecond())
}

/// Lends a buffer that keeps its room from one message to the next.
fn with_buffer<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        write(buffer)
    })
}
