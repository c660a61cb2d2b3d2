//! `kurier outbox rejected`, `retry` and `discard`: messages that no broker took.

use std::ops::ControlFlow;
use std::path::Path;

use kurier::{OutboxConfig, OutboxRejects, OutboxRetried, RejectedMessage};
use serde_json::{Value, json};

use crate::args::{Output, RejectsArgs};
use crate::exit::Exit;
use crate::output::{self, counted, known};

/// Shows them, one a line.
///
/// # Errors
/// When there is no outbox, or it can't be read.
pub(super) fn list(dir: &Path, chosen: RejectsArgs, form: Output) -> anyhow::Result<Exit> {
    let count = show(&chosen.rejects(OutboxConfig::new(dir)), form, as_json)?;
    if form == Output::Table && count == 0 {
        output::text("none\n")?;
    }
    Ok(Exit::Done)
}

/// Brings them back.
///
/// # Errors
/// When there is no outbox, a producer uses it, or its disk fails.
pub(super) fn retry(
    dir: &Path,
    chosen: RejectsArgs,
    limit_mb: u64,
    form: Output,
) -> anyhow::Result<Exit> {
    let outbox = OutboxConfig::new(dir).bytes_max(limit_mb << 20);
    let OutboxRetried { messages, no_room, unreadable, damaged, .. } =
        chosen.rejects(outbox).retry()?;
    output::unless_unread(match form {
        Output::Json => output::json(&json!({
            "event": "summary", "retried": messages, "no_room": no_room, "unreadable": unreadable,
            "damaged": damaged.len(),
        })),
        Output::Table => output::text(&format!(
            "{} in line again; the next `produce --outbox` or `kurier outbox drain` sends what is in line\n",
            counted(messages, "message")
        )),
    })?;
    if 0 < no_room {
        tracing::error!(
            no_room,
            "incomplete: these stay aside, for the outbox has no room for them; drain it, or give it a larger \
             --outbox-limit, and retry again"
        );
    }
    if 0 < unreadable {
        tracing::error!(unreadable, "these stay aside: they are no messages");
    }
    Ok(if !damaged.is_empty() {
        // Accepted, and not to be read any more.
        Exit::Loss
    } else if 0 < no_room {
        Exit::Incomplete
    } else if 0 < unreadable {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// Deletes them, or shows which would be.
///
/// # Errors
/// As [`retry`].
pub(super) fn discard(
    dir: &Path,
    chosen: RejectsArgs,
    execute: bool,
    form: Output,
) -> anyhow::Result<Exit> {
    let rejects = chosen.rejects(OutboxConfig::new(dir));
    let count = if execute {
        rejects.discard()?
    } else {
        show(&rejects, form, |message| {
            let mut line = as_json(message);
            line["event"] = "would-discard".into();
            line
        })?
    };
    output::unless_unread(match (form, execute) {
        (Output::Json, true) => output::json(&json!({ "event": "summary", "discarded": count })),
        (Output::Json, false) => {
            output::json(&json!({ "event": "summary", "would_discard": count }))
        }
        (Output::Table, true) => output::text(&format!("{} deleted\n", counted(count, "message"))),
        (Output::Table, false) => output::text(&format!(
            "{} would be deleted for good; --execute does it\n",
            counted(count, "message")
        )),
    })?;
    Ok(Exit::Done)
}

/// Prints each; how many there are.
fn show(
    rejects: &OutboxRejects,
    form: Output,
    as_json: impl Fn(&RejectedMessage) -> Value,
) -> anyhow::Result<u64> {
    let (mut count, mut written) = (0, Ok(()));
    rejects.each(|message| {
        count += 1;
        written = match form {
            Output::Json => output::json(&as_json(&message)),
            Output::Table => output::text(&as_text(&message)),
        };
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    output::unless_unread(written)?;
    Ok(count)
}

fn as_json(message: &RejectedMessage) -> Value {
    let mut line = json!({
        "id": message.id, "topic": message.topic, "partition": message.partition.map(|it| it.0),
        "value_bytes": message.value_bytes, "error": message.error,
        "rejected_at": message.rejected_at.map(|at| at.to_string()), "ticket": message.ticket,
    });
    output::put_bytes(&mut line, "key", message.key.as_deref());
    line
}

fn as_text(message: &RejectedMessage) -> String {
    let key = message.key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned());
    let key = key.map_or_else(|| "no key".to_owned(), |key| format!("key {key:?}"));
    let (at, id, topic) = (known(message.rejected_at), known(message.id), &message.topic);
    format!("{at} {id} -> {topic} ({key}): {}\n", output::flat(&message.error))
}
