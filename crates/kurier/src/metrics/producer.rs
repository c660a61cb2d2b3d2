//! The figures of one producer.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use rdkafka::error::RDKafkaErrorCode;

use super::counts::{Count, Histogram};
use super::statistics::Statistics;
use super::{Page, Watch, table};
use crate::ProducerEvent;
use crate::outbox::DepthGauge;

/// What a producer counts.
#[derive(Debug, Default)]
pub(crate) struct ProducerFigures {
    sent: Count,
    in_flight: Count,
    in_flight_bytes: Count,
    pub(crate) acked: Count,
    pub(crate) admission_waits: Count,
    remakes: Count,
    replayed: Count,
    /// By librdkafka's names of the reasons, of which there are so many and no more.
    failed: Mutex<BTreeMap<String, u64>>,
    latency: Option<Box<Histogram>>,
    outbox: OnceLock<DepthGauge>,
    pub(crate) statistics: Statistics,
}

impl ProducerFigures {
    pub(crate) fn new(watch: Watch) -> Self {
        let latency = (watch == Watch::Someone).then(Box::default);
        Self { latency, ..Self::default() }
    }

    /// The producer has this outbox.
    pub(crate) fn has_outbox(&self, gauge: DepthGauge) {
        // A producer opens one, once.
        self.outbox.get_or_init(|| gauge);
    }

    /// What the books say: how many were accepted so far, and what is under way.
    pub(crate) fn under_way(&self, sent: u64, messages: usize, bytes: usize) {
        self.sent.set(sent);
        self.in_flight.set(messages as u64);
        self.in_flight_bytes.set(bytes as u64);
    }

    /// A message was given up.
    pub(crate) fn failed(&self, code: RDKafkaErrorCode) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        *failed.entry(format!("{code:?}")).or_default() += 1;
    }

    /// Where to note how long acknowledgements take, if anyone wants to know.
    pub(crate) fn latency(&self) -> Option<&Histogram> {
        self.latency.as_deref()
    }

    /// Counts what the producer tells.
    pub(crate) fn note(&self, event: &ProducerEvent) {
        match event {
            ProducerEvent::Remaking { .. } => self.remakes.add(1),
            ProducerEvent::Remade { replayed } => self.replayed.add(*replayed),
            ProducerEvent::WaitingForCluster { .. }
            | ProducerEvent::ClusterBack
            | ProducerEvent::WithoutLeader { .. }
            | ProducerEvent::OutboxNotTaking { .. }
            | ProducerEvent::OutboxTaking
            | ProducerEvent::OutboxReplaying { .. }
            | ProducerEvent::OutboxDamaged(_)
            | ProducerEvent::Fatal { .. } => {}
        }
    }

    pub(super) fn write(&self, client: &str, page: &mut Page) {
        // What has an outcome before what was accepted: no scrape sees more outcomes than messages.
        let acked = self.acked.get();
        for (error, count) in &*self.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            page.put(&table::FAILED, [client, error], count);
        }
        page.put(&table::ACKED, [client], acked);
        page.put(&table::SENT, [client], self.sent.get());
        page.put(&table::IN_FLIGHT, [client], self.in_flight.get());
        page.put(&table::IN_FLIGHT_BYTES, [client], self.in_flight_bytes.get());
        page.put(&table::ADMISSION_WAITS, [client], self.admission_waits.get());
        page.put(&table::REMAKES, [client], self.remakes.get());
        page.put(&table::REPLAYED, [client], self.replayed.get());
        if let Some(latency) = &self.latency {
            page.put_histogram(&table::ACK_LATENCY, [client], latency);
        }
        if let Some(gauge) = self.outbox.get() {
            gauge.read(|depth, writes| {
                page.put(&table::OUTBOX_UNDELIVERED, [client], depth.undelivered);
                page.put_seconds(&table::OUTBOX_OLDEST, [client], depth.oldest.unwrap_or_default());
                page.put(&table::OUTBOX_BYTES, [client], depth.bytes);
                page.put(&table::OUTBOX_BYTES_MAX, [client], depth.bytes_max);
                page.put(&table::OUTBOX_PUT_ASIDE, [client], depth.put_aside);
                page.put_histogram(&table::OUTBOX_WRITE, [client], writes);
            });
        }
    }
}
