//! `kurier outbox`: what is in an outbox, sending it, checking it.
//!
//! What becomes of messages that no broker took is `rejects`'s.

mod rejects;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kurier::{DeliveryReport, MessageProducer, OutboxStatus, ProducerEvent};
use serde_json::{Value, json};

use super::produce::{FOR_EVER, Patience};
use crate::args::{Global, OutboxCommand, Output};
use crate::exit::Exit;
use crate::output::{self, counted};
use crate::signals::Signals;

/// Runs one of the commands.
///
/// # Errors
/// When there is no such folder, it can't be read, or another process uses it.
pub async fn run(
    command: OutboxCommand,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    match command {
        OutboxCommand::Status { dir } => {
            OutboxStatus::look_for(&dir)?;
            print(&dir, &OutboxStatus::read(&dir)?, global.output)?;
            Ok(Exit::Done)
        }
        OutboxCommand::Verify { dir } => {
            OutboxStatus::look_for(&dir)?;
            let status = OutboxStatus::read(&dir)?;
            output::unless_unread(print(&dir, &status, global.output))?;
            let whole = status.damaged.is_empty() && status.kept.is_empty();
            Ok(if whole { Exit::Done } else { Exit::Loss })
        }
        OutboxCommand::Drain { dir } => drain(&dir, global, signals).await,
        OutboxCommand::Rejected { dir, chosen } => rejects::list(&dir, chosen, global.output),
        OutboxCommand::Retry { dir, chosen, limit } => {
            rejects::retry(&dir, chosen, limit, global.output)
        }
        OutboxCommand::Discard { dir, chosen, execute } => {
            rejects::discard(&dir, chosen, execute, global.output)
        }
    }
}

async fn drain(dir: &Path, global: &Global, signals: &Signals) -> anyhow::Result<Exit> {
    // A misspelt name must not become a new outbox.
    OutboxStatus::look_for(dir)?;
    let (delivered, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counts = (Arc::clone(&delivered), Arc::clone(&failed));
    let count = move |report: &DeliveryReport| match &report.outcome {
        Ok(_) => drop(counts.0.fetch_add(1, Ordering::Relaxed)),
        Err(error) => {
            counts.1.fetch_add(1, Ordering::Relaxed);
            tracing::error!(ticket = report.ticket.0, "{error}; put aside in the outbox");
        }
    };
    let damaged = Arc::new(AtomicU64::new(0));
    let noted = Arc::clone(&damaged);
    let note = move |event: &ProducerEvent| {
        let damaged = u64::from(matches!(event, ProducerEvent::OutboxDamaged(_)));
        noted.fetch_add(damaged, Ordering::Relaxed);
    };
    let mut builder = MessageProducer::builder(global.bootstrap());
    builder = builder.outbox(dir).on_delivery(count).on_event(note);
    builder.config_mut().client = global.client();
    let patience = Patience::new(signals, Some(builder.health()));
    let producer = builder.build().await?;
    let report = tokio::select! {
        report = producer.close(global.timeout.unwrap_or(FOR_EVER)) => report,
        () = patience.over() => producer.close(std::time::Duration::ZERO).await,
    };
    let (delivered, failed) = (delivered.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    let (kept, damaged) = (report.kept, damaged.load(Ordering::Relaxed));
    output::unless_unread(match global.output {
        Output::Json => output::json(&json!({
            "event": "summary", "delivered": delivered, "failed": failed, "kept": kept,
            "damaged": damaged,
        })),
        Output::Table => output::text(&format!(
            "{} delivered; {failed} failed and put aside, {kept} kept in the outbox{}\n",
            counted(delivered, "message"),
            if 0 < damaged { ", DAMAGED" } else { "" },
        )),
    })?;
    if 0 < kept {
        tracing::error!(kept, "incomplete: these messages stay in the outbox");
    }
    Ok(match (damaged, kept, failed) {
        (0, 0, 0) => signals.exit(),
        (0, 0, _) => Exit::Failed,
        (0, _, _) => Exit::Incomplete,
        // Accepted, and not to be read any more.
        _ => Exit::Loss,
    })
}

fn print(dir: &Path, status: &OutboxStatus, form: Output) -> std::io::Result<()> {
    match form {
        Output::Json => output::json(&as_json(dir, status)),
        Output::Table => output::text(&as_text(dir, status)),
    }
}

fn as_json(dir: &Path, status: &OutboxStatus) -> Value {
    let damaged = status.damaged.iter().map(|damage| {
        json!({
            "file": damage.file, "offset": damage.offset, "bytes": damage.bytes,
            "ticket": damage.ticket, "kept_in": damage.kept_in,
        })
    });
    json!({
        "dir": dir, "used_by": status.used_by, "undelivered": status.undelivered,
        "bytes": status.bytes, "segments": status.segments, "rejected": status.rejected,
        "torn_bytes": status.torn_bytes, "damaged": damaged.collect::<Vec<_>>(),
        "kept_aside": status.kept,
    })
}

fn as_text(dir: &Path, status: &OutboxStatus) -> String {
    let OutboxStatus { undelivered, bytes, segments, rejected, torn_bytes, .. } = status;
    let mut text = format!(
        "{}: {} undelivered, {} in {}\n",
        dir.display(),
        counted(*undelivered, "message"),
        counted(*bytes, "byte"),
        counted(*segments, "segment")
    );
    if let Some(pid) = status.used_by {
        text += &format!("in use by process {pid}\n");
    }
    if 0 < *rejected {
        text += &format!(
            "{} that no broker took, put aside: `kurier outbox rejected` shows them with the reason\n",
            counted(*rejected, "message")
        );
    }
    if 0 < *torn_bytes {
        text += &format!("{} of a message that was not accepted\n", counted(*torn_bytes, "byte"));
    }
    for damage in &status.damaged {
        text += &format!("{damage}\n");
    }
    for file in &status.kept {
        text += &format!("{}: damaged bytes, kept\n", file.display());
    }
    text
}
