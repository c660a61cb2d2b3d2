//! The thread that serves librdkafka: reports by the batch, errors, and the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext, PurgeConfig};
use tokio::sync::oneshot;

use super::books::{Books, Entry};
use super::delivery::{DeliveryError, DeliveryReport, Outcome, Receipt, Unsent};
use super::error::NotAccepting;
use super::event::{Listener, ProducerEvent};
use super::topics::{KnownTopics, is_unknown};
use crate::sys::{self, Persisted, Report, ReportQueue};

/// The client of a producer.
pub(super) type Client = BaseProducer<Callbacks>;

/// What librdkafka says went wrong, written down for the thread, from whose poll all calls come.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    troubles: Mutex<Vec<(RDKafkaErrorCode, String)>>,
}

impl ClientContext for Callbacks {
    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.push((code, reason.to_owned()));
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(?level, facility, "{line}");
    }
}

impl ProducerContext for Callbacks {
    type DeliveryOpaque = usize;

    /// Reports are read from the queue; what rdkafka finds when it drops the client is settled by then.
    fn delivery(&self, _: &DeliveryResult<'_>, _: usize) {}
}

/// Tells the thread to end: what is not sent by now is purged.
#[derive(Debug, Default)]
pub(super) struct Stop(AtomicBool);

impl Stop {
    pub(super) fn now(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What the thread owns.
pub(super) struct Worker {
    pub(super) client: Arc<Client>,
    pub(super) books: Arc<Books>,
    pub(super) topics: Arc<KnownTopics>,
    pub(super) stop: Arc<Stop>,
    pub(super) stall_after: Duration,
    pub(super) on_event: Listener<ProducerEvent>,
    pub(super) on_delivery: Listener<DeliveryReport>,
    /// Gets what could not be sent, when all is over.
    pub(super) ended: oneshot::Sender<Vec<Unsent>>,
}

/// Longest wait for one event; also how late a stop is noticed.
const ROUND: Duration = Duration::from_millis(50);
/// Longest time for librdkafka to report what was purged.
const PURGE_WAIT: Duration = Duration::from_secs(2);
/// Time between two questions whether the cluster is there, while nothing else would tell.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for an answer to one.
const PROBE: Duration = Duration::from_millis(500);

impl Worker {
    /// Serves until stopped, then sees that every accepted message has its outcome.
    pub(super) fn run(self) {
        let queue = ReportQueue::of(&self.client);
        let mut waiting = Waiting::new();
        let mut reports = Vec::new();
        while !self.stop.0.load(Ordering::Acquire) {
            queue.poll(&self.client, ROUND, &mut reports);
            waiting.delivered |= reports.iter().any(|report| report.error.is_none());
            self.settle(&mut reports, None);
            self.troubles(&mut waiting);
            self.watch(&mut waiting);
        }
        let unsent = self.purge(&queue);
        // The queue's reference goes before the client it belongs to.
        drop(queue);
        let Self { client, ended, .. } = self;
        drop(client);
        // Nobody asks when the producer was dropped without being closed.
        let _ = ended.send(unsent);
    }

    fn purge(&self, queue: &ReportQueue) -> Vec<Unsent> {
        self.client.purge(PurgeConfig::default().queue().inflight());
        let unsent = Mutex::new(Vec::new());
        let mut reports = Vec::new();
        let begun = Instant::now();
        while self.books.under_way() > 0 && begun.elapsed() < PURGE_WAIT {
            queue.poll(&self.client, ROUND, &mut reports);
            self.settle(&mut reports, Some(&unsent));
        }
        // What librdkafka did not report in time: nobody knows.
        for (slot, _) in self.books.unreported() {
            reports.push(Report {
                opaque: slot.0,
                partition: crate::PartitionId(-1),
                offset: None,
                timestamp_ms: None,
                error: Some(RDKafkaErrorCode::PurgeInflight),
                persisted: Persisted::Possibly,
            });
        }
        self.settle(&mut reports, Some(&unsent));
        let mut unsent = unsent.into_inner().unwrap_or_else(PoisonError::into_inner);
        unsent.sort_by_key(|unsent: &Unsent| unsent.ticket);
        unsent
    }

    fn settle(&self, reports: &mut Vec<Report>, unsent: Option<&Mutex<Vec<Unsent>>>) {
        if reports.is_empty() {
            return;
        }
        let outcome = |entry: Entry, report: &Report| {
            let (ticket, id) = (entry.ticket, entry.id);
            let outcome = outcome(entry, report);
            if let Err(error) = &outcome {
                if is_unknown(error.code) {
                    self.topics.forget(&error.topic);
                }
                if let Some(unsent) = unsent {
                    let topic = Arc::clone(&error.topic);
                    let may_have_been_written = error.may_have_been_written;
                    let one = Unsent { ticket, id, topic, may_have_been_written };
                    unsent.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                }
            }
            outcome
        };
        self.books.settle(reports, outcome, self.on_delivery.get());
        reports.clear();
    }

    /// Sorts what librdkafka said: wait, end, or just log.
    fn troubles(&self, waiting: &mut Waiting) {
        let callbacks = self.client.client().context();
        let mut troubles = callbacks.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let troubles = std::mem::take(&mut *troubles);
        for (code, reason) in troubles {
            match code {
                // Said late at times, when a broker is back already: looked into below.
                RDKafkaErrorCode::AllBrokersDown => {
                    waiting.suspicion.get_or_insert((Instant::now(), reason));
                }
                RDKafkaErrorCode::Fatal => {
                    tracing::error!(reason, "the producer can't go on");
                    self.books.refuse(NotAccepting::Fatal(reason.clone()));
                    self.on_event.tell(|| ProducerEvent::Fatal { reason });
                }
                _ => tracing::warn!(?code, reason, "librdkafka reports a problem and goes on"),
            }
        }
    }

    /// Notices silence, and its end: with messages waiting by their deliveries, else by asking.
    fn watch(&self, waiting: &mut Waiting) {
        let now = Instant::now();
        let idle = self.books.under_way() == 0;
        let delivered = std::mem::take(&mut waiting.delivered);
        if delivered || (idle && !waiting.said) {
            waiting.since = now;
        }
        if delivered {
            waiting.suspicion = None;
            self.back(waiting);
        }
        let silent = now - waiting.since;
        if !waiting.said && self.stall_after <= silent {
            let reason = waiting.suspicion.take();
            let reason = reason.map(|(_, reason)| reason);
            let reason = reason.unwrap_or_else(|| format!("nothing was delivered for {silent:?}"));
            self.wait_for_cluster(waiting, reason);
        }
        let in_doubt = waiting.said || waiting.suspicion.is_some();
        if in_doubt && idle && PROBE_EVERY <= now - waiting.probed {
            waiting.probed = now;
            let reached = sys::metadata(self.client.client(), &sys::Topics::None, PROBE).is_ok();
            let suspicion = waiting.suspicion.take();
            match suspicion {
                _ if reached => self.back(waiting),
                // One question without an answer may be a slow moment.
                Some((since, _)) if now - since < self.stall_after => waiting.suspicion = suspicion,
                Some((_, reason)) => self.wait_for_cluster(waiting, reason),
                None => {}
            }
        }
    }

    fn wait_for_cluster(&self, waiting: &mut Waiting, reason: String) {
        if !waiting.said {
            waiting.said = true;
            tracing::warn!(reason, "waiting for the cluster");
            self.on_event.tell(|| ProducerEvent::WaitingForCluster { reason });
        }
    }

    fn back(&self, waiting: &mut Waiting) {
        waiting.since = Instant::now();
        if !std::mem::take(&mut waiting.said) {
            return;
        }
        tracing::info!("the cluster is back");
        self.on_event.tell(|| ProducerEvent::ClusterBack);
    }
}

/// What is known of the cluster's silence.
struct Waiting {
    said: bool,
    delivered: bool,
    /// What librdkafka said of brokers being down, until it is looked into.
    suspicion: Option<(Instant, String)>,
    since: Instant,
    probed: Instant,
}

impl Waiting {
    fn new() -> Self {
        let now = Instant::now();
        Self { said: false, delivered: false, suspicion: None, since: now, probed: now }
    }
}

fn outcome(entry: Entry, report: &Report) -> Outcome {
    let topic = entry.topic;
    match report.error {
        None => Ok(Receipt {
            topic,
            partition: report.partition,
            offset: report.offset,
            timestamp: report.timestamp_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        }),
        Some(code) => Err(DeliveryError {
            topic,
            code,
            reason: reason(code),
            may_have_been_written: report.persisted != Persisted::No,
        }),
    }
}

fn reason(code: RDKafkaErrorCode) -> String {
    match code {
        RDKafkaErrorCode::PurgeQueue => "the producer closed before it was sent".to_owned(),
        RDKafkaErrorCode::PurgeInflight => "the producer closed before an answer came".to_owned(),
        RDKafkaErrorCode::MessageTimedOut => "its delivery deadline passed".to_owned(),
        _ => format!("{code} ({code:?})"),
    }
}
