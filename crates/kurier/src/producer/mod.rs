//! The producer: messages in, deliveries out, at least once and in order.
//!
//! `send` checks, waits for room ([`admission`]), takes a slot ([`books`]) and hands the bytes to
//! librdkafka ([`record`]); one thread ([`worker`]) reads its reports and settles the slots. When the
//! client can't go on the thread makes another and sends again what is undelivered ([`remake`]). With an
//! outbox, messages go there first, and from there on the same way ([`keeper`]).

mod admission;
mod books;
mod builder;
mod client;
mod delivery;
mod error;
mod event;
mod keeper;
mod leaders;
mod pauses;
mod record;
mod refusal;
mod remake;
mod replay;
mod silence;
#[cfg(test)]
mod tests;
mod topics;
mod traced;
mod worker;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::producer::Producer;
use tokio::sync::oneshot;

use books::{Accepted, Books, Entry, Granted, Refused, SlotId};
use client::Client;
use keeper::Keeper;
use record::{NotTaken, Parts};
use topics::KnownTopics;
use traced::TraceSource;
use worker::{OnFatal, Stop};

pub use builder::ProducerBuilder;
pub use delivery::{
    Acceptance, Delivery, DeliveryError, DeliveryReport, Outcome, Receipt, Ticket, Unsent,
};
pub use error::{BuildError, CloseReport, FlushError, NotAccepting, SendError};
pub use event::ProducerEvent;
pub use record::OutgoingRecord;

use crate::sys::Persisted;
use crate::{Content, Message, ProducerConfig, sys};

/// Sends messages at least once and in order.
///
/// A message is *accepted* when `send` returns, and *delivered* when its [`Delivery`] says so: every
/// in-sync replica has it. Messages of one key that are sent one after another stand in the log in that
/// order, through retries and changes of leaders. While the cluster is away, accepted messages wait, and
/// `send` waits once they fill the memory; the producer reconnects by itself for as long as it takes.
///
/// # When the client can't go on
///
/// librdkafka's idempotent producer gives up for good when it and a broker disagree about what was
/// written (`OUT_OF_ORDER_SEQUENCE_NUMBER` and the like, [KIP-360]), or when a broker refuses a batch
/// for ever, as going on would change the order. The default profile then makes another client and
/// sends everything undelivered again, in the order of acceptance; `send` waits meanwhile, and
/// [`ProducerEvent::Remaking`] tells. What this means:
///
/// - Whoever reads the log meets the messages of one key in the order they were sent; a message that
///   may have been written before can stand there twice. Among messages without a key, and those with
///   a partition, the same holds in each partition.
/// - A [`Delivery`] resolves once, with what came of the last attempt. If an earlier attempt may have
///   been written, a failure says so.
/// - When a broker refuses one record of a batch ([KIP-467]), only its delivery fails. The others of
///   its batch and what was sent after them are sent again in their order. But Kafka takes any sequence
///   number from a producer that a partition has not seen yet: what is in flight behind the very first
///   batch of a client is written before the others of that batch are sent again.
/// - When a topic that was there vanishes, messages for it wait until it is back, for
///   `topic.metadata.propagation.max.ms` (30 s) in the new client; then they fail.
/// - A delivery deadline counts from the last attempt.
///
/// The classic profile sends nothing again by itself.
///
/// # With an outbox
///
/// [`outbox`](ProducerBuilder::outbox) puts every message on disk before it is accepted, and it stays
/// there until it is delivered: by this producer, or by the next one that opens the folder.
///
/// - What an earlier process has left is sent first, in its order. A message that was delivered just
///   before the process died can be written again.
/// - Memory holds what its budget has room for; the rest of an outage lies on disk alone.
/// - A message that no broker takes (too large, no such topic) fails; it is put aside in the folder, with
///   the reason, and holds up nothing. [`OutboxRejects`](crate::OutboxRejects) shows it, and brings it back
///   once the reason is mended.
/// - Closed or dropped, the producer leaves what is undelivered in the outbox; such a delivery resolves
///   with an error that [is kept](DeliveryError::is_kept).
/// - A [`Ticket`] goes on counting from one process to the next, as long as the folder is not empty: a
///   process that finds everything delivered and accepts nothing leaves none behind to count from.
///
/// [KIP-360]: https://cwiki.apache.org/confluence/display/KAFKA/KIP-360%3A+Improve+handling+of+unknown+producer
/// [KIP-467]: https://cwiki.apache.org/confluence/display/KAFKA/KIP-467%3A+Augment+ProduceResponse+error+messaging+for+specific+culprit+records
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
    on_fatal: OnFatal,
    books: Arc<Books>,
    topics: Arc<KnownTopics>,
    stop: Arc<Stop>,
    trace: TraceSource,
    keeper: Option<Arc<Keeper>>,
    /// What the thread could not send, until someone has asked.
    end: tokio::sync::Mutex<Option<oneshot::Receiver<Vec<Unsent>>>>,
}

impl MessageProducer {
    /// A producer for the cluster at `bootstrap` (`host:port`, several with commas between).
    pub fn builder(bootstrap: impl Into<String>) -> ProducerBuilder {
        ProducerBuilder::new(ProducerConfig::new(bootstrap))
    }

    /// Accepts a message: waits until there is room for it, behind those who came before. The first
    /// message to a topic asks the cluster whether it exists; when no broker answers, it is accepted.
    /// Cancel safe: dropped while it waits, nothing was accepted; with an outbox, dropped while it waits
    /// for the disk, the message may be accepted all the same.
    ///
    /// # Errors
    /// When the message can't be sent as it is, or nothing is accepted any more. Nothing is kept then.
    pub async fn send<T: Content>(
        &self,
        topic: &str,
        message: &Message<T>,
    ) -> Result<Delivery, SendError> {
        self.queue(topic, message).await?.await
    }

    /// As [`send`](Self::send), but only takes the message's place in the order, and leaves it to the
    /// caller to await its acceptance: with an outbox one task so keeps the disk busy, as one `fsync`
    /// serves all that wait. Cancel safe: dropped while it waits for room, nothing was taken.
    ///
    /// # Errors
    /// As [`send`](Self::send), but for what the disk says, which the [`Acceptance`] tells.
    pub async fn queue<T: Content>(
        &self,
        topic: &str,
        message: &Message<T>,
    ) -> Result<Acceptance, SendError> {
        let trace = self.trace.beside(message.headers());
        let topic = self.checked(topic).await?;
        let begun = with_buffer(|buffer| {
            message.write_json(buffer)?;
            let parts = Parts::of_message(&topic, message, buffer).in_trace(trace);
            let begun = self.begin(&parts)?;
            Ok::<_, SendError>(begun.ok_or_else(|| buffer.clone()))
        })?;
        match begun {
            Ok(acceptance) => Ok(acceptance),
            Err(value) => {
                let parts = Parts::of_message(&topic, message, &value).in_trace(trace);
                self.wait(&parts).await
            }
        }
    }

    /// As [`send`](Self::send), but never waits: neither for room nor for word of the topic. Should the
    /// topic not exist, the delivery fails.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendError::Full`]. With an outbox always [`SendError::OutboxWaits`].
    pub fn try_send<T: Content>(
        &self,
        topic: &str,
        message: &Message<T>,
    ) -> Result<Delivery, SendError> {
        self.never_waits()?;
        let trace = self.trace.beside(message.headers());
        let topic = self.topics.unchecked(topic)?;
        with_buffer(|buffer| {
            message.write_json(buffer)?;
            let parts = Parts::of_message(&topic, message, buffer).in_trace(trace);
            self.offer(&parts, None)?.map_err(|_| SendError::Full)
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
        self.queue_record(topic, record).await?.await
    }

    /// Takes the place of a bare record, as [`queue`](Self::queue) does of a message.
    ///
    /// # Errors
    /// As [`queue`](Self::queue).
    pub async fn queue_record(
        &self,
        topic: &str,
        record: &OutgoingRecord,
    ) -> Result<Acceptance, SendError> {
        let trace = self.trace.beside(&record.headers);
        let topic = self.checked(topic).await?;
        let parts = Parts::of_record(&topic, record).in_trace(trace);
        match self.begin(&parts)? {
            Some(acceptance) => Ok(acceptance),
            None => self.wait(&parts).await,
        }
    }

    /// Accepts a bare record without ever waiting, as [`try_send`](Self::try_send) does a message.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send): with an outbox always [`SendError::OutboxWaits`].
    pub fn try_send_record(
        &self,
        topic: &str,
        record: &OutgoingRecord,
    ) -> Result<Delivery, SendError> {
        self.never_waits()?;
        let trace = self.trace.beside(&record.headers);
        let topic = self.topics.unchecked(topic)?;
        let parts = Parts::of_record(&topic, record).in_trace(trace);
        self.offer(&parts, None)?.map_err(|_| SendError::Full)
    }

    /// Waits until nothing is accepted any more, and says why; what was accepted has its outcome by itself.
    /// For those who wait for something to send, and would learn it only then. Cancel safe.
    pub async fn gives_up(&self) -> NotAccepting {
        self.books.refusal().await
    }

    /// Waits until everything that was accepted before is delivered or has failed. Cancel safe.
    ///
    /// # Errors
    /// When `deadline` passes first; what is outstanding goes on being sent.
    pub async fn flush(&self, deadline: Duration) -> Result<(), FlushError> {
        if let Some(keeper) = &self.keeper {
            let before = keeper.outbox.next();
            let _ = tokio::time::timeout(deadline, keeper.settled(before)).await;
            let outstanding = keeper.outbox.undelivered_before(before);
            let outstanding = usize::try_from(outstanding).unwrap_or(usize::MAX);
            let error = FlushError { outstanding, waited: deadline };
            return if outstanding == 0 { Ok(()) } else { Err(error) };
        }
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
    /// says what it was; its deliveries fail. With an outbox the rest stays there, and how many that are is
    /// said. Ends within a few seconds of the deadline. A second call reports nothing. Cancel safe: dropped, the producer goes on refusing messages, and the next call
    /// reports.
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        match &self.keeper {
            Some(keeper) => keeper.refuse(NotAccepting::Closed),
            None => self.books.refuse(NotAccepting::Closed),
        }
        let flushed = self.flush(deadline).await;
        if let Err(error) = flushed {
            tracing::warn!(outstanding = error.outstanding, "closing with messages not delivered");
        }
        // What the outbox still has is not handed over any more.
        self.books.refuse(NotAccepting::Closed);
        self.stop.now();
        let mut end = self.end.lock().await;
        let Some(reported) = end.as_mut() else { return CloseReport::default() };
        let unsent = match reported.await {
            Ok(unsent) => unsent,
            // The thread panicked: what it knew is in the books.
            Err(_) => self.books.unreported().into_iter().map(|(_, unsent)| unsent).collect(),
        };
        *end = None;
        match &self.keeper {
            Some(keeper) => CloseReport { unsent: Vec::new(), kept: keeper.outbox.kept() },
            None => CloseReport { unsent, kept: 0 },
        }
    }

    /// The settings that librdkafka runs with, read back from it; secrets are hidden. Empty once the
    /// producer is closed.
    #[must_use]
    pub fn effective_properties(&self) -> BTreeMap<String, String> {
        let client = self.books.client();
        client.map_or_else(BTreeMap::new, |client| sys::effective_properties(client.client()))
    }

    async fn checked(&self, topic: &str) -> Result<Arc<str>, SendError> {
        let grace = self.config.unknown_topic_grace;
        self.topics.checked(|| self.books.client(), topic, grace).await
    }

    fn never_waits(&self) -> Result<(), SendError> {
        if self.keeper.is_some() { Err(SendError::OutboxWaits) } else { Ok(()) }
    }

    /// Takes a message if there is room for it now.
    fn begin(&self, parts: &Parts<'_>) -> Result<Option<Acceptance>, SendError> {
        match &self.keeper {
            None => Ok(self.offer(parts, None)?.ok().map(Acceptance::of)),
            Some(keeper) => {
                self.check_size(parts)?;
                Ok(keeper.take_now(parts)?.map(Acceptance::stored))
            }
        }
    }

    async fn wait(&self, parts: &Parts<'_>) -> Result<Acceptance, SendError> {
        match &self.keeper {
            None => self.wait_for_memory(parts).await.map(Acceptance::of),
            Some(keeper) => keeper.take(parts).await.map(Acceptance::stored),
        }
    }

    async fn wait_for_memory(&self, parts: &Parts<'_>) -> Result<Delivery, SendError> {
        let mut place = self.books.queue_up(parts.cost());
        loop {
            place.turn().await?;
            match self.offer(parts, Some(place))? {
                Ok(delivery) => return Ok(delivery),
                Err(Some(back)) => place = back,
                Err(None) => unreachable!("whoever comes with room keeps it until it is used"),
            }
        }
    }

    /// Accepts if there is room, or with the room that was waited for, which comes back if the client
    /// is being made again.
    fn offer<'a>(
        &'a self,
        parts: &Parts<'_>,
        granted: Option<Granted<'a>>,
    ) -> Result<Result<Delivery, Option<Granted<'a>>>, SendError> {
        self.check_size(parts)?;
        let cost = parts.cost();
        let entry = |ticket| Entry {
            ticket,
            id: parts.id,
            topic: Arc::clone(parts.topic),
            cost,
            route: parts.route(),
            before: Persisted::No,
        };
        let send = |client: &Client, slot| {
            let taken = parts.hand_over(client, slot);
            taken.map_err(|not_taken| refused(parts.topic, not_taken, self.on_fatal))
        };
        Ok(match self.books.accept(granted, entry, cost, send)? {
            Accepted::At(slot, ticket) => Ok(Delivery::new(Arc::clone(&self.books), slot, ticket)),
            Accepted::NotNow(granted) => Err(granted),
        })
    }

    fn check_size(&self, parts: &Parts<'_>) -> Result<(), SendError> {
        let (found, max) = (parts.bytes(), self.config.message_bytes_max);
        if max < found {
            return Err(SendError::TooLarge { topic: parts.topic.to_string(), found, max });
        }
        Ok(())
    }
}

/// What it means that librdkafka did not take a record.
fn refused(topic: &Arc<str>, not_taken: NotTaken, on_fatal: OnFatal) -> Refused<SendError> {
    let topic = topic.to_string();
    match (not_taken, on_fatal) {
        (NotTaken::Fatal(_), OnFatal::Remake) => Refused::ClientBroke,
        (NotTaken::Fatal(reason), OnFatal::GiveUp | OnFatal::GaveUp) => {
            Refused::Error(NotAccepting::Fatal(reason).into())
        }
        (NotTaken::Code(code), _) if topics::is_unknown(code) => {
            Refused::Error(SendError::UnknownTopic { topic })
        }
        (NotTaken::Code(code), _) => Refused::Error(SendError::Client { topic, code }),
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
        if let Some(keeper) = &self.keeper {
            keeper.refuse(NotAccepting::Closed);
        } else if under_way > 0 {
            tracing::warn!(under_way, "a producer was dropped with messages not delivered");
        }
        self.stop.now();
    }
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
