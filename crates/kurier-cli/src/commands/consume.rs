//! `kurier consume`: prints each message as one JSON object; what is printed is handled, and committed.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kurier::{
    Batch, BatchMessageConsumer, Batches, Closed, ConsumeReport, ConsumerBuilder, ConsumerEvent,
    Context, Decoder, Failure, JsonDecoder, Message, MessageDecoder, RawDecoder, Received,
    RetryPolicy, Single, SingleMessageConsumer, TextDecoder,
};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::reach;
use crate::args::{ConsumeArgs, ConsumeCommand, Decode, Global, OnFailure};
use crate::exit::Exit;
use crate::signals::Signals;

/// Consumes until told to stop.
///
/// # Errors
/// When the configuration is not right, or the cluster refuses.
pub async fn run(
    command: ConsumeCommand,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let decode = match &command {
        ConsumeCommand::Single(args) | ConsumeCommand::Batch { consume: args, .. } => {
            args.view.decode
        }
    };
    reach(global).await?;
    let out = Arc::new(Out::new(signals.drain.clone()));
    let report = match decode {
        Decode::Message => {
            with(command, global, &out, MessageDecoder::<Value>::default(), message).await
        }
        Decode::Json => {
            with(command, global, &out, JsonDecoder::<Value>::default(), |value| {
                ("value", value.clone())
            })
            .await
        }
        Decode::Text => {
            with(command, global, &out, TextDecoder, |text| ("value", json!(text))).await
        }
        Decode::Raw => {
            with(command, global, &out, RawDecoder, |bytes| {
                (
                    if std::str::from_utf8(bytes).is_ok() { "value" } else { "value_base64" },
                    bytes_json(bytes),
                )
            })
            .await
        }
    }?;
    Ok(exit(&report, &out, signals))
}

/// How an item shows: the field's name and its value.
type Shown = (&'static str, Value);

async fn with<D: Decoder>(
    command: ConsumeCommand,
    global: &Global,
    out: &Arc<Out>,
    decoder: D,
    show: fn(&D::Item) -> Shown,
) -> anyhow::Result<ConsumeReport> {
    let shutdown = out.stop.clone();
    let lines = Arc::clone(out);
    Ok(match command {
        ConsumeCommand::Single(args) => {
            let builder = SingleMessageConsumer::builder(global.bootstrap(), args.topics.clone());
            let handler = move |received: Arc<Received<D::Item>>, _: Context| {
                std::future::ready(lines.print(&[&received], show))
            };
            let builder: ConsumerBuilder<Single, D> =
                configured(builder.decoder(decoder), &args, global);
            builder.run(handler, shutdown).await?
        }
        ConsumeCommand::Batch { consume: args, batch_size, batch_wait } => {
            let builder = BatchMessageConsumer::builder(global.bootstrap(), args.topics.clone());
            let handler = move |batch: Arc<Batch<D::Item>>, _: Context| {
                let items: Vec<&Received<D::Item>> =
                    batch.items().iter().map(|item| &**item).collect();
                std::future::ready(lines.print(&items, show).map(|()| batch.all_done()))
            };
            let builder: ConsumerBuilder<Batches, D> =
                configured(builder.decoder(decoder), &args, global);
            builder.batch(batch_size, batch_wait).run(handler, shutdown).await?
        }
    })
}

fn configured<K, D>(
    mut builder: ConsumerBuilder<K, D>,
    args: &ConsumeArgs,
    global: &Global,
) -> ConsumerBuilder<K, D> {
    builder = builder
        .properties(global.properties.iter().cloned())
        .from(args.view.from)
        .exit_at_end(args.exit_at_end)
        .static_membership(args.static_membership)
        .on_event(log);
    if let Some(group) = &args.group {
        builder = builder.group(group);
    }
    if let Some(instance) = &args.instance {
        builder = builder.instance(instance);
    }
    if let Some(silence) = args.idle_exit {
        builder = builder.idle_exit(silence);
    }
    if let Some(interval) = args.commit_interval {
        builder.config_mut().commit_interval = interval;
    }
    if let Some(attempts) = args.retries {
        builder = builder.retry(&RetryPolicy::exponential(attempts, FIRST_PAUSE..=LAST_PAUSE));
    }
    builder.on_failure(match args.on_failure {
        OnFailure::Stop => kurier::OnFailure::Stop,
        OnFailure::Exit => kurier::OnFailure::Exit,
    })
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// The library logs the rest itself.
fn log(event: &ConsumerEvent) {
    if let ConsumerEvent::PartitionStopped(stopped) = event {
        tracing::error!(
            partition = %stopped.partition, offset = stopped.offset.0, reason = stopped.reason,
            "this partition goes no further here: the message is not handled and not committed"
        );
    }
}

/// Standard output, and what to do when nobody reads it.
struct Out {
    closed: AtomicBool,
    stop: CancellationToken,
}

impl Out {
    fn new(stop: CancellationToken) -> Self {
        Self { closed: AtomicBool::new(false), stop }
    }

    /// Writes a line for each, all or an error: only what was written counts as handled.
    fn print<M>(&self, items: &[&Received<M>], show: fn(&M) -> Shown) -> Result<(), Failure> {
        let mut lines = String::new();
        for item in items {
            lines += &line(item, show).to_string();
            lines.push('\n');
        }
        let mut out = io::stdout().lock();
        let written = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| {
            self.closed.store(true, Ordering::Relaxed);
            self.stop.cancel();
            Failure::retry(error)
        })
    }
}

fn line<M>(received: &Received<M>, show: fn(&M) -> Shown) -> Value {
    let mut line = Map::new();
    line.insert("topic".to_owned(), json!(received.topic()));
    line.insert("partition".to_owned(), json!(received.partition().0));
    line.insert("offset".to_owned(), json!(received.offset().0));
    put_bytes(&mut line, "key", received.key().map(|key| &**key));
    line.insert("timestamp".to_owned(), json!(received.timestamp().map(|time| time.to_string())));
    let headers = received.headers().iter().map(|header| {
        let mut one = Map::new();
        one.insert("key".to_owned(), json!(header.name));
        put_bytes(&mut one, "value", header.value.as_deref());
        Value::Object(one)
    });
    line.insert("headers".to_owned(), Value::Array(headers.collect()));
    let (name, value) = match received.value() {
        Some(item) => show(item),
        None => ("message", Value::Null),
    };
    line.insert(name.to_owned(), value);
    Value::Object(line)
}

fn message(message: &Message<Value>) -> Shown {
    // The wire form is JSON that was just read.
    let json = message.to_json().ok().and_then(|json| serde_json::from_str(&json).ok());
    ("message", json.unwrap_or(Value::Null))
}

fn put_bytes(into: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    let is_text = bytes.is_none_or(|bytes| std::str::from_utf8(bytes).is_ok());
    let name = if is_text { name.to_owned() } else { format!("{name}_base64") };
    into.insert(name, bytes.map_or(Value::Null, bytes_json));
}

fn bytes_json(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!(BASE64.encode(bytes)),
    }
}

fn exit(report: &ConsumeReport, out: &Out, signals: &Signals) -> Exit {
    tracing::info!(handled = report.handled, ended = ?report.ended, "done");
    let left = report.outstanding;
    if !report.stopped.is_empty() {
        Exit::Failed
    } else if report.closed != Closed::Clean || !report.uncommitted.is_empty() {
        tracing::error!(outstanding = left, closed = ?report.closed, uncommitted = ?report.uncommitted, "incomplete: these are delivered again");
        Exit::Incomplete
    } else if out.closed.load(Ordering::Relaxed) {
        // Whoever read has had enough; the rest is not committed.
        Exit::Done
    } else {
        signals.exit()
    }
}
