//! What the sender and the producer's thread share: which message was due when, and what became of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use kurier::DeliveryReport;

use super::figures::{Figures, Window};
use super::sent::Sent;

/// The producer's side of a run.
#[derive(Debug)]
pub(super) struct Meter {
    begun: Instant,
    sent: Sent,
    figures: Mutex<Figures>,
    /// Bytes of each message.
    size: u64,
    /// The place of the next message, in the order of acceptance: a producer's tickets count from 0.
    next: AtomicU64,
    /// Messages before this place are not measured.
    from: AtomicU64,
    /// Whether the cluster does not let this client write.
    denied: AtomicBool,
    told: OnceLock<()>,
}

impl Meter {
    /// For messages of `size` bytes, of which `on_their_way` fit into memory.
    pub(super) fn new(size: usize, on_their_way: usize) -> Self {
        Self {
            begun: Instant::now(),
            sent: Sent::new(on_their_way),
            figures: Mutex::new(Figures::begin(Duration::ZERO)),
            size: size as u64,
            next: AtomicU64::new(0),
            from: AtomicU64::new(0),
            denied: AtomicBool::new(false),
            told: OnceLock::new(),
        }
    }

    /// Begins to measure, with the next message; returns the time. Everything before must have its
    /// outcome.
    pub(super) fn begin(&self) -> Duration {
        let now = self.begun.elapsed();
        self.from.store(self.next_place(), Ordering::Relaxed);
        *self.figures() = Figures::begin(now);
        now
    }

    /// When the run began, which times count from.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// The place of the next message.
    pub(super) fn next_place(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Messages up to here have their places.
    pub(super) fn placed(&self, next: u64) {
        self.next.store(next, Ordering::Relaxed);
    }

    /// A message is to be sent, and was due then; returns the same from the beginning of the run.
    pub(super) fn due(&self, place: u64, due: Instant) -> Duration {
        let due = due.saturating_duration_since(self.begun);
        self.sent.due(place, due);
        due
    }

    /// What became of a message.
    pub(super) fn settle(&self, report: &DeliveryReport) {
        let place = report.ticket.0;
        match &report.outcome {
            Ok(_) if place < self.from.load(Ordering::Relaxed) => {}
            Ok(_) => {
                let (now, due) = (self.begun.elapsed(), self.sent.when(place));
                self.figures().done(now, self.size, due);
            }
            // It is counted where the outbox's content is.
            Err(error) if error.is_kept() => {}
            Err(error) => {
                self.denied.fetch_or(error.is_refused(), Ordering::Relaxed);
                self.figures().failed();
                // All of them are counted; one says why.
                if self.told.set(()).is_ok() {
                    tracing::error!("a message failed: {error}; others are only counted");
                }
            }
        }
    }

    /// Whether the cluster did not let this client write.
    pub(super) fn is_denied(&self) -> bool {
        self.denied.load(Ordering::Relaxed)
    }

    /// Ends a window now.
    pub(super) fn window(&self) -> Option<Window> {
        let now = self.begun.elapsed();
        self.figures().window(now)
    }

    /// The figures.
    pub(super) fn figures(&self) -> MutexGuard<'_, Figures> {
        // They are counters: as good as they were.
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
