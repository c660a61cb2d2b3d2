//! Sends the earthquakes over and over at a steady rate.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use kurier::{
    Acceptance, DeliveryReport, FailedDelivery, Message, MessageProducer, Monitor, Offset,
    PartitionId, Position, ProducerEvent, TopicPartition,
};
use rdkafka::ClientConfig;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{
    BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::story::Story;
use super::witness::Witness;

/// 1,707 real events: US Geological Survey, first days of February 2018.
const EARTHQUAKES: &str = include_str!("../../../data/earthquakes.ndjson");
/// Messages a second.
const RATE: u64 = 2_000;
/// The message that no handler can handle, by its number.
const POISON: u64 = 3_000;
/// Messages on their way to the disk.
const STORING_MAX: usize = 64;

/// Who sends: kurier's producer, or for the control one as it is often set up.
pub enum Sender {
    /// `acks=all`, idempotent, each message on disk before it counts as accepted.
    Safe { producer: Box<MessageProducer>, outbox: PathBuf },
    /// `acks=1`, which kurier's producer refuses.
    Careless(ThreadedProducer<Careless>),
}

impl Sender {
    /// kurier's producer.
    ///
    /// # Errors
    /// When it cannot be built.
    pub async fn safe(
        bootstrap: &str,
        monitor: &Monitor,
        story: Arc<Story>,
        witness: Arc<Witness>,
    ) -> anyhow::Result<Self> {
        let settle = move |report: &DeliveryReport| match (report.id, &report.outcome) {
            (Some(id), Ok(receipt)) => {
                let partition = TopicPartition::new(Arc::clone(&receipt.topic), receipt.partition);
                let place = receipt.offset.map(|offset| Position::new(partition, offset));
                witness.delivered(id, place.as_ref());
            }
            (Some(id), Err(error)) => witness.failed(id, FailedDelivery::from(error)),
            (None, _) => {}
        };
        let name = Uuid::new_v4().simple().to_string();
        let outbox = std::env::temp_dir().join(format!("kurier-demo-outbox-{}", &name[..8]));
        story.tell(&format!("the producer has an outbox in {}", outbox.display()));
        let producer = MessageProducer::builder(bootstrap)
            .client_id("kurier-demo")
            .outbox(outbox.as_path())
            .monitor(monitor)
            .on_delivery(settle)
            .on_event(move |event| {
                story.tell(match event {
                    ProducerEvent::WaitingForCluster { .. } => "the producer waits for the cluster",
                    ProducerEvent::ClusterBack => "the producer delivers again",
                    _ => "the producer cannot go on",
                });
            })
            .build()
            .await?;
        Ok(Self::Safe { producer: Box::new(producer), outbox })
    }

    /// The control's.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn careless(bootstrap: &str, witness: Arc<Witness>) -> anyhow::Result<Self> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("client.id", "kurier-demo-control")
            .set("acks", "1")
            .set("partitioner", "murmur2_random")
            .create_with_context(Careless { witness })?;
        Ok(Self::Careless(producer))
    }

    /// Sends until told to stop.
    ///
    /// # Errors
    /// When a message is refused.
    pub async fn run(
        &self,
        topic: &str,
        witness: &Witness,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let events = events()?;
        let begun = Instant::now();
        let mut storing = VecDeque::new();
        for (number, (network, event)) in (0_u64..).zip(events.iter().cycle()) {
            let due = begun + Duration::from_micros(number * 1_000_000 / RATE);
            // Finer than a millisecond is not slept.
            if Duration::from_millis(1) < due.saturating_duration_since(Instant::now()) {
                tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => {}
                    () = stop.cancelled() => break,
                }
            } else if stop.is_cancelled() {
                break;
            }
            let message = if number == POISON {
                Message::new(Value::from("no earthquake at all"))?.with_key("poison")
            } else {
                Message::new(event.clone())?.with_key(network.clone())
            };
            witness.intended(&message)?;
            match self.send(topic, &message).await {
                Err(error) => {
                    witness.refused(message.id());
                    return Err(error);
                }
                Ok(acceptance) => storing.push_back((message.id(), acceptance)),
            }
            // One sync of the disk serves all that are on their way to it.
            while storing.len() > STORING_MAX {
                accept(storing.pop_front(), witness).await?;
            }
        }
        while !storing.is_empty() {
            accept(storing.pop_front(), witness).await?;
        }
        Ok(())
    }

    /// Waits until everything has its outcome, and ends.
    pub async fn close(self, patience: Duration) {
        match self {
            Self::Safe { producer, outbox } => {
                let report = producer.close(patience).await;
                let left = report.kept + report.unsent.len() as u64;
                if 0 < left {
                    tracing::warn!(left, outbox = %outbox.display(), "not delivered; it stays in the outbox");
                } else if let Err(error) = std::fs::remove_dir_all(&outbox) {
                    tracing::warn!(%error, outbox = %outbox.display(), "the empty outbox stays");
                }
            }
            Self::Careless(producer) => {
                let flushed = tokio::task::spawn_blocking(move || producer.flush(patience)).await;
                if !matches!(flushed, Ok(Ok(()))) {
                    tracing::warn!(?flushed, "not flushed");
                }
            }
        }
    }

    /// `None`: it is accepted already.
    async fn send(
        &self,
        topic: &str,
        message: &Message<Value>,
    ) -> anyhow::Result<Option<Acceptance>> {
        match self {
            Self::Safe { producer, .. } => return Ok(Some(producer.queue(topic, message).await?)),
            Self::Careless(producer) => {
                let (value, id) = (message.to_json()?, Box::new(message.id()));
                let mut record = BaseRecord::with_opaque_to(topic, id).payload(value.as_bytes());
                record.key = message.key().map(Bytes::as_ref);
                producer.send(record).map_err(|(error, _)| error)?;
            }
        }
        Ok(None)
    }
}

/// Waits until a message is on disk, if it has to be.
async fn accept(
    message: Option<(Uuid, Option<Acceptance>)>,
    witness: &Witness,
) -> anyhow::Result<()> {
    let Some((id, acceptance)) = message else { return Ok(()) };
    if let Some(acceptance) = acceptance {
        match acceptance.await {
            // Its outcome goes to the witness.
            Ok(delivery) => drop(delivery),
            Err(error) => {
                witness.refused(id);
                return Err(error.into());
            }
        }
    }
    witness.accepted(id);
    Ok(())
}

/// Tells the witness what the control's producer is told.
pub struct Careless {
    witness: Arc<Witness>,
}

impl rdkafka::ClientContext for Careless {}

impl ProducerContext<NoCustomPartitioner> for Careless {
    type DeliveryOpaque = Box<Uuid>;

    fn delivery(&self, result: &DeliveryResult<'_>, id: Box<Uuid>) {
        match result {
            Ok(message) => {
                let partition =
                    TopicPartition::new(message.topic(), PartitionId(message.partition()));
                let place = Position::new(partition, Offset(message.offset()));
                self.witness.delivered(*id, Some(&place));
            }
            // What this client was told leaves open whether it is there.
            Err(_) => self.witness.failed(*id, FailedDelivery::Unknown),
        }
    }
}

type Event = (Bytes, Value);

fn events() -> anyhow::Result<Vec<Event>> {
    #[derive(serde::Deserialize)]
    struct Keyed {
        network: String,
    }
    let parse = |(number, line): (usize, &'static str)| {
        let what = || format!("line {} of the events", number + 1);
        let keyed: Keyed = serde_json::from_str(line).with_context(what)?;
        Ok((Bytes::from(keyed.network), serde_json::from_str(line).with_context(what)?))
    };
    EARTHQUAKES.lines().enumerate().map(parse).collect()
}
