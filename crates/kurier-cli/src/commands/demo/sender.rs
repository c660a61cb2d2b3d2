//! Sends the earthquakes over and over at a steady rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use kurier::{
    DeliveryReport, FailedDelivery, Message, MessageProducer, Offset, PartitionId, Position,
    ProducerEvent, TopicPartition,
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

/// Who sends: kurier's producer, or for the control one as it is often set up.
pub enum Sender {
    /// `acks=all`, idempotent.
    Safe(Box<MessageProducer>),
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
        let producer = MessageProducer::builder(bootstrap)
            .client_id("kurier-demo")
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
        Ok(Self::Safe(Box::new(producer)))
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
            let message = Message::new(event.clone())?.with_key(network.clone());
            witness.intended(&message)?;
            if let Err(error) = self.send(topic, &message).await {
                witness.refused(message.id());
                return Err(error);
            }
            witness.accepted(message.id());
        }
        Ok(())
    }

    /// Waits until everything has its outcome, and ends.
    pub async fn close(self, patience: Duration) {
        match self {
            Self::Safe(producer) => {
                let report = producer.close(patience).await;
                if !report.unsent.is_empty() {
                    tracing::warn!(unsent = report.unsent.len(), "not sent");
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

    async fn send(&self, topic: &str, message: &Message<Value>) -> anyhow::Result<()> {
        match self {
            // Its outcome goes to the witness.
            Self::Safe(producer) => drop(producer.send(topic, message).await?),
            Self::Careless(producer) => {
                let (value, id) = (message.to_json()?, Box::new(message.id()));
                let mut record = BaseRecord::with_opaque_to(topic, id).payload(value.as_bytes());
                record.key = message.key().map(Bytes::as_ref);
                producer.send(record).map_err(|(error, _)| error)?;
            }
        }
        Ok(())
    }
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
