//! How a `produce` ended: the summary, what is left, the exit code.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::tally::Tally;
use crate::args::Output;
use crate::exit::Exit;
use crate::output::{self, counted};
use crate::signals::Signals;

/// The figures of the end.
#[derive(Debug)]
pub(super) struct Outcome {
    took: Duration,
    delivered: u64,
    /// Given up, beside what was only not sent in time.
    failed: u64,
    bad: u64,
    /// Files that could not be read to their end.
    unread: u64,
    unsent: u64,
    /// With an outbox: safe in it, and not delivered.
    kept: Option<u64>,
    /// Places of the outbox that can't be read.
    damaged: u64,
    /// The first line that was not sent.
    left: Option<(Arc<str>, u64)>,
    refused: bool,
    unprinted: bool,
}

impl Outcome {
    /// Takes the counters as they are now.
    pub(super) fn new(
        tally: &Tally,
        took: Duration,
        unsent: u64,
        kept: Option<u64>,
        left: Option<(Arc<str>, u64)>,
    ) -> Self {
        Self {
            took,
            delivered: tally.delivered.load(Ordering::Relaxed),
            failed: tally.failed.load(Ordering::Relaxed).saturating_sub(unsent),
            bad: tally.bad.load(Ordering::Relaxed),
            unread: tally.unread.load(Ordering::Relaxed),
            unsent,
            kept,
            damaged: tally.damaged.load(Ordering::Relaxed),
            left,
            refused: tally.refused.load(Ordering::Relaxed),
            unprinted: tally.unprinted.load(Ordering::Relaxed),
        }
    }

    /// One line, or one object.
    pub(super) fn print(&self, topic: &str, form: Output) -> io::Result<()> {
        let Self { delivered, failed, bad, unread, unsent, kept, damaged, .. } = self;
        let seconds = self.took.as_secs_f64();
        match form {
            Output::Json => output::json(&json!({
                "event": "summary", "topic": topic, "seconds": seconds, "delivered": delivered,
                "failed": failed, "bad_lines": bad, "unread_files": unread, "unsent": unsent, "kept": kept,
                "damaged": kept.map(|_| damaged),
            })),
            Output::Table => {
                // What failed with an outbox lies there, too.
                let aside = if kept.is_some() && 0 < *failed { " and put aside" } else { "" };
                let kept = kept.map(|kept| format!(", {kept} kept in the outbox"));
                let unread = match unread {
                    0 => String::new(),
                    unread => format!(", {} not read to the end", counted(*unread, "file")),
                };
                let damaged = if 0 < *damaged { ", DAMAGED" } else { "" };
                output::text(&format!(
                    "{} delivered to {topic} in {seconds:.1} s; {failed} failed{aside}, {}{unread}, {unsent} unsent{}{damaged}\n",
                    counted(*delivered, "message"),
                    counted(*bad, "bad line"),
                    kept.unwrap_or_default(),
                ))
            }
        }
    }

    /// Says what is left, and gives the code.
    pub(super) fn exit(&self, signals: &Signals) -> Exit {
        let Self { unsent, left, .. } = self;
        let kept = self.kept.unwrap_or(0);
        if let Some((file, line)) = left {
            tracing::error!(
                "incomplete: stopped before {file}:{line}; nothing from there on was accepted"
            );
        }
        if 0 < *unsent {
            tracing::error!(unsent, "incomplete: these messages were accepted and not delivered");
        }
        if 0 < kept {
            tracing::error!(
                kept,
                "incomplete: these messages are safe in the outbox and not delivered; the next start with it, or `kurier \
                 outbox drain`, sends them"
            );
        }
        if 0 < self.damaged {
            Exit::Loss
        } else if 0 < unsent + kept || left.is_some() {
            Exit::Incomplete
        } else if self.refused {
            Exit::Unauthorized
        } else if 0 < self.failed + self.bad + self.unread || self.unprinted {
            Exit::Failed
        } else {
            signals.exit()
        }
    }
}
