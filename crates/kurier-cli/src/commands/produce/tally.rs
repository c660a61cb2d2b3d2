//! Counts what becomes of lines and messages, and reports each where that is wanted.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kurier::DeliveryReport;
use serde_json::{Value, json};

use crate::output;

/// The counters; the producer's thread writes them, too.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) accepted: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) bad: AtomicU64,
    /// What no broker takes is put aside in an outbox, with the reason.
    pub(super) has_outbox: bool,
    /// Files that could not be read to their end.
    pub(super) unread: AtomicU64,
    /// Places of the outbox that can't be read: accepted messages that are not delivered.
    pub(super) damaged: AtomicU64,
    /// The cluster does not let this client in, or not write.
    pub(super) refused: AtomicBool,
    /// A report could not be printed though someone reads.
    pub(super) unprinted: AtomicBool,
}

impl Tally {
    /// A line that can't be sent.
    pub(super) fn bad(&self, file: &str, number: u64, reason: &str) {
        self.bad.fetch_add(1, Ordering::Relaxed);
        tracing::error!("{file}:{number}: {reason}");
    }

    /// A file that could not be read to its end.
    pub(super) fn unread(&self, error: &io::Error) {
        self.unread.fetch_add(1, Ordering::Relaxed);
        tracing::error!("{error}");
    }

    /// Accepted, and nobody has told what became of it; what had failed before is not counted.
    pub(super) fn left_over(&self, failed_before: u64) -> u64 {
        let told = self.delivered.load(Ordering::Relaxed) + failed_before;
        self.accepted.load(Ordering::Relaxed).saturating_sub(told)
    }

    /// What became of a message.
    pub(super) fn settle(&self, report: &DeliveryReport, each: bool) {
        let count = if report.outcome.is_ok() { &self.delivered } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = &report.outcome {
            self.refused.fetch_or(error.is_refused(), Ordering::Relaxed);
            let aside = self.has_outbox && !error.is_kept();
            let aside = if aside { "; put aside in the outbox" } else { "" };
            tracing::error!(ticket = report.ticket.0, "{error}{aside}");
        }
        if each {
            self.print(&reported(report));
        }
    }

    /// A line of a report. When nobody reads, the exit code is still right.
    pub(super) fn print(&self, report: &Value) {
        if let Err(error) = output::unless_unread(output::json(report))
            && !self.unprinted.swap(true, Ordering::Relaxed)
        {
            tracing::error!("standard output: {error}; reports are missing");
        }
    }
}

fn reported(report: &DeliveryReport) -> Value {
    match &report.outcome {
        Ok(receipt) => json!({
            "event": "delivered", "id": report.id, "topic": &*receipt.topic,
            "partition": receipt.partition.0, "offset": receipt.offset.map(|offset| offset.0),
        }),
        Err(error) => json!({
            "event": "failed", "id": report.id, "topic": &*error.topic, "reason": error.reason,
            "may_have_been_written": error.may_have_been_written(),
        }),
    }
}
