//! Writes dead letters: one producer for a run, and the letters that wait for their acknowledgement.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::headers::{GivenUp, letter};
use crate::{
    BuildError, ClientConfig, ConsumerConfig, DeliveryError, HealthHandle, MessageProducer,
    NotAccepting, OutgoingRecord, ProducerConfig, Receipt, Record, SendError,
};

/// Where a run's dead letters go. Each is awaited by the lane that gave the message up, so no more are
/// under way than lanes hold messages.
pub(crate) struct DeadLetters {
    producer: MessageProducer,
    health: HealthHandle,
    topic: Arc<str>,
    group: String,
    waits: Mutex<Waits>,
}

/// The letters that are under way.
#[derive(Debug, Default)]
struct Waits {
    begun: u64,
    open: BTreeMap<u64, Wait>,
}

#[derive(Debug)]
struct Wait {
    since: Instant,
    /// How many of its batch wait for it to be written before they are.
    behind: usize,
    /// Why it was not written the last time.
    failed: Option<String>,
}

/// Letters that take longer than they should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delay {
    pub(crate) topic: Arc<str>,
    /// How many there are, those included that wait behind one.
    pub(crate) letters: usize,
    /// Since when the first of them waits.
    pub(crate) since: Instant,
    /// What is known of the reason.
    pub(crate) reason: String,
}

/// Why a letter is not written.
#[derive(Debug)]
pub(crate) enum NotWritten {
    /// The run is ending.
    Ending,
    /// It would be refused again: something has to be changed first.
    Refused(String),
}

/// A letter that takes longer than this is said to wait.
const SLOW: Duration = Duration::from_secs(2);
/// The pause after a letter was not written, doubled each time up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_LONGEST: Duration = Duration::from_secs(10);
/// The largest letter: whatever was read. What is too large is said by the topic.
pub(super) const LETTER_BYTES_MAX: usize = 1_000_000_000;
/// Of a consumer's own properties, those that say how brokers are reached; the others are a consumer's.
const FOR_EVERY_CLIENT: &[&str] = &[
    "broker.",
    "client.dns.lookup",
    "connections.",
    "debug",
    "enable.sasl.",
    "enable.ssl.",
    "https.",
    "reconnect.",
    "sasl.",
    "security.",
    "socket.",
    "ssl.",
];

/// What every client beside a consumer is told, and the name of this one.
pub(crate) fn client(config: &ConsumerConfig) -> ClientConfig {
    let mut client = config.client.clone();
    client.client_id = Some(format!("{}-dead-letters", config.effective_client_id()));
    client.properties.retain(|name, _| {
        let name = crate::canonical_name(name);
        FOR_EVERY_CLIENT.iter().any(|known| name.starts_with(known))
    });
    client
}

impl DeadLetters {
    /// Makes the producer. The cluster need not be there.
    ///
    /// # Errors
    /// As [`ProducerBuilder::build`](crate::ProducerBuilder::build).
    pub(crate) async fn open(config: &ConsumerConfig, topic: &str) -> Result<Self, BuildError> {
        let mut builder = MessageProducer::builder(&config.client.bootstrap)
            .linger(Duration::ZERO)
            // So that a letter which the topic refuses takes no other with it.
            .message_bytes_max(LETTER_BYTES_MAX)
            .memory_bytes(2 * LETTER_BYTES_MAX);
        let own: &mut ProducerConfig = builder.config_mut();
        own.client = client(config);
        own.client.properties.insert("batch.num.messages".to_owned(), "1".to_owned());
        let health = builder.health();
        let producer = builder.build().await?;
        let (topic, group) = (Arc::from(topic), config.group.clone());
        Ok(Self { producer, health, topic, group, waits: Mutex::default() })
    }

    /// The dead-letter topic.
    pub(crate) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Writes the copy of a message and waits until all in-sync replicas have it, for as long as it takes.
    /// So many others of its batch are `behind` it, and follow. `waits` is told, at most once, that it takes
    /// long, and why.
    ///
    /// # Errors
    /// When it would be refused for ever, or the run is ending.
    ///
    /// # Cancel safety
    /// Dropped, the copy may be written all the same.
    pub(crate) async fn write(
        &self,
        record: &Record,
        said: &GivenUp,
        behind: usize,
        waits: impl Fn(&str),
    ) -> Result<Receipt, NotWritten> {
        let letter = letter(record, said, &self.group);
        let wait = self.wait(behind);
        let mut writing = std::pin::pin!(self.written(&letter, &wait));
        tokio::select! {
            biased;
            written = &mut writing => return written,
            () = tokio::time::sleep(SLOW) => {}
        }
        let reason = wait.reason();
        let (at, topic) = (record.position(), &self.topic);
        tracing::warn!(%at, %topic, reason, "the partition waits: its dead letter is not acknowledged");
        waits(&reason);
        let written = writing.await;
        if written.is_ok() {
            tracing::info!(%at, %topic, "the dead letter is acknowledged");
        }
        written
    }

    /// The letters that take longer than they should, if there are any at `now`.
    pub(crate) fn delay(&self, now: Instant) -> Option<Delay> {
        let slow = |wait: &&Wait| {
            wait.failed.is_some() || SLOW <= now.saturating_duration_since(wait.since)
        };
        let (letters, since, failed) = {
            let waits = self.waits();
            let mut slow = waits.open.values().filter(slow).peekable();
            let (since, failed) = slow.peek().map(|first| (first.since, first.failed.clone()))?;
            (slow.map(|wait| 1 + wait.behind).sum(), since, failed)
        };
        let reason = failed.unwrap_or_else(|| self.silence());
        Some(Delay { topic: Arc::clone(&self.topic), letters, since, reason })
    }

    /// How many letters are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.waits().open.len()
    }

    /// Gives up what is under way, and closes the producer, for which there is time until `until`.
    pub(crate) async fn close(&self, until: Instant) {
        let closing = self.producer.close(Duration::ZERO);
        match tokio::time::timeout_at(until.into(), closing).await {
            Ok(report) if report.unsent.is_empty() => {}
            Ok(report) => {
                let unsent = report.unsent.len();
                tracing::warn!(unsent, "dead letters were not acknowledged; they may be written");
            }
            Err(_) => tracing::warn!("the producer of dead letters goes on closing"),
        }
    }

    async fn written(
        &self,
        letter: &OutgoingRecord,
        wait: &OpenWait<'_>,
    ) -> Result<Receipt, NotWritten> {
        let mut pause = PAUSE_FIRST;
        loop {
            let reason = match self.producer.send_record(&self.topic, letter).await {
                Err(error) => again_after_send(&error)?,
                Ok(delivery) => match delivery.await {
                    Ok(receipt) => return Ok(receipt),
                    Err(error) => again_after_delivery(&error)?,
                },
            };
            tracing::warn!(topic = %self.topic, reason, ?pause, "a dead letter is not written yet");
            wait.failed(reason);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    fn wait(&self, behind: usize) -> OpenWait<'_> {
        let mut waits = self.waits();
        waits.begun += 1;
        let number = waits.begun;
        waits.open.insert(number, Wait { since: Instant::now(), behind, failed: None });
        OpenWait { letters: self, number }
    }

    /// Why nothing comes, as far as the producer knows: brokers that find too few replicas in sync are
    /// asked again by librdkafka without a word.
    fn silence(&self) -> String {
        let said = self.health.now().conditions.first().map(ToString::to_string);
        said.unwrap_or_else(|| {
            "no acknowledgement of all in-sync replicas yet; are there as many as its min.insync.replicas?"
                .to_owned()
        })
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A letter that is under way.
struct OpenWait<'a> {
    letters: &'a DeadLetters,
    number: u64,
}

impl OpenWait<'_> {
    fn failed(&self, reason: String) {
        if let Some(wait) = self.letters.waits().open.get_mut(&self.number) {
            wait.failed = Some(reason);
        }
    }

    fn reason(&self) -> String {
        let failed = self.letters.waits().open.get(&self.number).and_then(|it| it.failed.clone());
        failed.unwrap_or_else(|| self.letters.silence())
    }
}

impl Drop for OpenWait<'_> {
    fn drop(&mut self) {
        self.letters.waits().open.remove(&self.number);
    }
}

/// Why it is tried again, or else why not.
fn again_after_send(error: &SendError) -> Result<String, NotWritten> {
    use rdkafka::error::RDKafkaErrorCode as Code;
    match error {
        SendError::NotAccepting(NotAccepting::Closed) => Err(NotWritten::Ending),
        SendError::Client { code: Code::TopicAuthorizationFailed, .. } => {
            Err(NotWritten::Refused(error.to_string()))
        }
        error if error.is_retriable() => Ok(error.to_string()),
        error => Err(NotWritten::Refused(error.to_string())),
    }
}

/// The same of one that was accepted.
fn again_after_delivery(error: &DeliveryError) -> Result<String, NotWritten> {
    if error.is_retriable() {
        Ok(error.to_string())
    } else {
        Err(NotWritten::Refused(error.to_string()))
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters")
            .field("topic", &self.topic)
            .field("under_way", &self.under_way())
            .finish_non_exhaustive()
    }
}
