//! The librdkafka client of a producer: how it is made, made again, and let go of.

use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, ProducerContext};

use crate::access::{hint, without_count};
use crate::health::LeaderWatch;
use crate::metrics::ProducerFigures;
use crate::sys::ReportQueue;

/// The client of a producer.
pub(super) type Client = BaseProducer<Callbacks>;

/// What librdkafka says went wrong, written down for the thread, from whose poll all calls come.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    troubles: Mutex<Vec<(RDKafkaErrorCode, String)>>,
    hint: Mutex<Option<String>>,
    figures: Arc<ProducerFigures>,
}

impl Callbacks {
    /// What was said since the last time.
    pub(super) fn troubles(&self) -> Vec<(RDKafkaErrorCode, String)> {
        std::mem::take(&mut self.troubles.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What may be set wrong, if a broker ended a connection since the last time.
    pub(super) fn hint(&self) -> Option<String> {
        self.hint.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn note(&self, code: RDKafkaErrorCode, reason: &str) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.push((code, reason.to_owned()));
    }
}

impl ClientContext for Callbacks {
    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        self.note(code, &without_count(reason));
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.figures.statistics.read(statistics);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(?level, facility, "{line}");
        if let Some(hint) = hint(line) {
            let mut hints = self.hint.lock().unwrap_or_else(PoisonError::into_inner);
            *hints = Some(hint);
        }
    }
}

impl ProducerContext for Callbacks {
    type DeliveryOpaque = usize;

    /// Reports are read from the queue; what rdkafka finds when it drops the client is settled by then.
    fn delivery(&self, _: &DeliveryResult<'_>, _: usize) {}
}

/// Makes clients that are all alike.
pub(super) struct Maker(rdkafka::ClientConfig, Arc<ProducerFigures>);

impl Maker {
    /// Of clients with these settings, whose statistics go to `figures`.
    pub(super) fn new(settings: rdkafka::ClientConfig, figures: Arc<ProducerFigures>) -> Self {
        Self(settings, figures)
    }

    /// A new client, which begins to connect.
    ///
    /// # Errors
    /// librdkafka's, when the settings are wrong or the system has no threads to give.
    pub(super) fn make(&self) -> KafkaResult<Client> {
        let figures = Arc::clone(&self.1);
        self.0.create_with_context(Callbacks { figures, ..Callbacks::default() })
    }

    /// What clients are made with.
    pub(super) fn settings(&self) -> &rdkafka::ClientConfig {
        &self.0
    }
}

/// A client with its queue of reports, which must go first.
pub(super) struct Line {
    /// Before the client, as the queue.
    pub(super) leaders: LeaderWatch,
    pub(super) queue: ReportQueue,
    pub(super) client: Arc<Client>,
}

impl Line {
    pub(super) fn new(client: Arc<Client>) -> Self {
        Self { leaders: LeaderWatch::default(), queue: ReportQueue::of(&client), client }
    }
}

/// Closes clients on threads of their own: to drop one joins its threads, and one of these may be
/// looking up a name.
#[derive(Debug)]
pub(super) struct Reaper {
    closing: usize,
    closed: (SyncSender<()>, Receiver<()>),
}

impl Reaper {
    /// Longest wait for clients to be closed.
    const WAIT: Duration = Duration::from_secs(2);

    pub(super) fn new() -> Self {
        Self { closing: 0, closed: std::sync::mpsc::sync_channel(1) }
    }

    /// Closes the client of `line`, once nobody else holds it.
    pub(super) fn take(&mut self, line: Line) {
        self.closing -= self.closed.1.try_iter().count();
        let closed = self.closed.0.clone();
        let close = move || {
            drop(line);
            // Nobody asks when waiting took too long.
            let _ = closed.send(());
        };
        match std::thread::Builder::new().name("kurier-reaper".to_owned()).spawn(close) {
            Ok(_) => self.closing += 1,
            // What the thread would have dropped is dropped by now.
            Err(error) => tracing::warn!(%error, "no thread to close a client on"),
        }
    }

    /// Waits for a while until all are closed.
    pub(super) fn finish(mut self) {
        let until = Instant::now() + Self::WAIT;
        while 0 < self.closing {
            let left = until.saturating_duration_since(Instant::now());
            match self.closed.1.recv_timeout(left) {
                Ok(()) => self.closing -= 1,
                Err(_) => {
                    tracing::warn!(left = self.closing, "clients take long to close and are left");
                    return;
                }
            }
        }
    }
}
