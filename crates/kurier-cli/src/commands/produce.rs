//! `kurier produce`: lines, JSON or samples in, messages out; a line that cannot be sent is named, and
//! the rest goes on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kurier::{
    DeliveryProfile, DeliveryReport, Headers, Message, MessageProducer, OutgoingRecord, SendError,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::reach;
use super::readable::Readable;
use crate::args::{Delivery, Global, Input, Output, ProduceArgs, ReportKind};
use crate::exit::{Exit, UsageError};
use crate::output;
use crate::signals::Signals;

/// Sends everything, and waits until it is delivered.
///
/// # Errors
/// When the configuration is not right, or the producer can't go on.
pub async fn run(args: ProduceArgs, global: &Global, signals: &Signals) -> anyhow::Result<Exit> {
    check(&args)?;
    reach(global).await?;
    let begun = Instant::now();
    let tally = Arc::new(Tally::default());
    let producer = producer(&args, global, &tally).await?;
    let mut lines = source(&args);
    let mut pace = Pace::new(args.rate);
    let mut next_line = None;
    let sending = async {
        while let Some(chunk) = next(&mut lines, signals, &tally).await {
            for line in chunk {
                next_line = Some((Arc::clone(&line.file), line.number));
                pace.next().await;
                if signals.drain.is_cancelled() {
                    return Ok(());
                }
                match outgoing(&args, &line) {
                    Ok(outgoing) => send(&producer, &args.topic, &outgoing, &line, &tally).await?,
                    Err(reason) => tally.bad(&line, &reason),
                }
                next_line = None;
            }
        }
        Ok::<(), SendError>(())
    };
    let sent = tokio::select! {
        sent = sending => sent,
        () = no_more_patience(signals) => Ok(()),
    };
    let report = tokio::select! {
        report = producer.close(global.timeout.unwrap_or(FOR_EVER)) => Some(report),
        // The producer's thread may be held by a report that nobody reads.
        () = no_more_patience(signals) => {
            tokio::time::timeout(LAST_WAIT, producer.close(Duration::ZERO)).await.ok()
        }
    };
    sent?;
    // Only a signal leaves lines behind.
    let left = next_line.or_else(|| first_of(lines.try_recv().ok()?.ok()?));
    let delivered = tally.delivered.load(Ordering::Relaxed);
    let (failed, bad) = (tally.failed.load(Ordering::Relaxed), tally.bad.load(Ordering::Relaxed));
    let reported = delivered + failed;
    let unsent = report.map_or_else(
        || tally.accepted.load(Ordering::Relaxed).saturating_sub(reported),
        |report| report.unsent.len() as u64,
    );
    if args.report == ReportKind::Summary {
        let summary = Summary {
            topic: &args.topic,
            seconds: begun.elapsed().as_secs_f64(),
            delivered,
            failed: failed.saturating_sub(unsent),
            bad,
            unsent,
        };
        output::unless_unread(summary.print(global.output))?;
    }
    if let Some((file, line)) = &left {
        tracing::error!("incomplete: stopped before {file}:{line}; nothing from there on was sent");
    }
    if unsent > 0 {
        tracing::error!(unsent, "incomplete: these messages were accepted and not delivered");
    }
    if unsent > 0 || left.is_some() {
        return Ok(Exit::Incomplete);
    }
    let unprinted = tally.unprinted.load(Ordering::Relaxed);
    Ok(if failed + bad > 0 || unprinted { Exit::Failed } else { signals.exit() })
}

fn check(args: &ProduceArgs) -> Result<(), UsageError> {
    if args.key.is_some() && args.input != Input::Ndjson {
        let reason =
            "--key names a field of JSON: it needs --input ndjson (or use --key-delimiter)";
        return Err(UsageError(reason.to_owned()));
    }
    if args.sample.is_some() && args.input == Input::Ndjson {
        return Err(UsageError(
            "--sample makes text: it does not go with --input ndjson".to_owned(),
        ));
    }
    Ok(())
}

struct Summary<'a> {
    topic: &'a str,
    seconds: f64,
    delivered: u64,
    failed: u64,
    bad: u64,
    unsent: u64,
}

impl Summary<'_> {
    fn print(&self, form: Output) -> io::Result<()> {
        let Self { topic, seconds, delivered, failed, bad, unsent } = self;
        match form {
            Output::Json => output::json(&json!({
                "event": "summary", "topic": topic, "seconds": seconds, "delivered": delivered,
                "failed": failed, "bad_lines": bad, "unsent": unsent,
            })),
            Output::Table => output::text(&format!(
                "{delivered} messages delivered to {topic} in {seconds:.1} s; {failed} failed, {bad} bad lines, {unsent} unsent\n"
            )),
        }
    }
}

/// Longer than any process lives; a year.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How long a producer that was told to end waits for its acknowledgements. Supervisors follow a SIGTERM
/// with a SIGKILL, which could say nothing of what is left.
const SHUTDOWN: Duration = Duration::from_secs(30);
/// How long a producer whose time is up may take to say what it could not send.
const LAST_WAIT: Duration = Duration::from_secs(3);
/// Chunks of lines read ahead.
const AHEAD: usize = 8;
/// Lines in a chunk.
const CHUNK_LINES: usize = 256;
/// Bytes read at once; a chunk holds no more, but for one long line.
const READ_BYTES: usize = 128 * 1024;
/// A longer line cannot be a message: the limit of one is 1,000,000 bytes.
const LINE_BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, Default)]
struct Tally {
    accepted: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    bad: AtomicU64,
    /// A report could not be printed though someone reads.
    unprinted: AtomicBool,
}

impl Tally {
    fn bad(&self, line: &Line, reason: &str) {
        self.bad.fetch_add(1, Ordering::Relaxed);
        tracing::error!("{}:{}: {reason}", line.file, line.number);
    }
}

async fn producer(
    args: &ProduceArgs,
    global: &Global,
    tally: &Arc<Tally>,
) -> anyhow::Result<MessageProducer> {
    let (tally, each) = (Arc::clone(tally), args.report == ReportKind::Each);
    let settle = move |report: &DeliveryReport| {
        let count = if report.outcome.is_ok() { &tally.delivered } else { &tally.failed };
        count.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = &report.outcome {
            tracing::error!(ticket = report.ticket.0, "{error}");
        }
        // When nobody reads, the exit code is still right.
        if each
            && let Err(error) = output::unless_unread(output::json(&reported(report)))
            && !tally.unprinted.swap(true, Ordering::Relaxed)
        {
            tracing::error!("standard output: {error}; reports are missing");
        }
    };
    let producer = MessageProducer::builder(global.bootstrap())
        .properties(global.properties.iter().cloned())
        .delivery(match args.delivery {
            Delivery::Default => DeliveryProfile::Default,
            Delivery::OneInFlight => DeliveryProfile::OneInFlight,
        })
        .on_delivery(settle);
    Ok(producer.build().await?)
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

/// Ends with the second signal, or [`SHUTDOWN`] after the first.
async fn no_more_patience(signals: &Signals) {
    let late = async {
        signals.drain.cancelled().await;
        tokio::time::sleep(SHUTDOWN).await;
    };
    tokio::select! {
        () = late => {}
        () = signals.leave.cancelled() => {}
    }
}

fn first_of(chunk: Vec<Line>) -> Option<(Arc<str>, u64)> {
    chunk.into_iter().next().map(|line| (line.file, line.number))
}

/// A line with where it comes from.
struct Line {
    file: Arc<str>,
    number: u64,
    bytes: Vec<u8>,
    /// It went on beyond [`LINE_BYTES_MAX`]; `bytes` is its beginning.
    cut: bool,
}

/// What goes out for one line.
enum Outgoing {
    Text(Message),
    Json(Message<Box<RawValue>>),
    Bare(OutgoingRecord),
}

async fn send(
    producer: &MessageProducer,
    topic: &str,
    outgoing: &Outgoing,
    line: &Line,
    tally: &Tally,
) -> Result<(), SendError> {
    let sent = match outgoing {
        Outgoing::Text(message) => producer.send(topic, message).await,
        Outgoing::Json(message) => producer.send(topic, message).await,
        Outgoing::Bare(record) => producer.send_record(topic, record).await,
    };
    match sent {
        // Its outcome goes to the tally.
        Ok(delivery) => {
            tally.accepted.fetch_add(1, Ordering::Relaxed);
            drop(delivery);
        }
        Err(error @ (SendError::Message(_) | SendError::TooLarge { .. })) => {
            tally.bad(line, &error.to_string());
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn outgoing(args: &ProduceArgs, line: &Line) -> Result<Outgoing, String> {
    if line.cut {
        return Err(format!("the line is {LINE_BYTES_MAX} bytes or longer"));
    }
    let (key, value) = match &args.key_delimiter {
        Some(delimiter) => {
            let at = find(&line.bytes, delimiter.as_bytes());
            let at = at.ok_or_else(|| format!("there is no key: {delimiter:?} does not occur"))?;
            (Some(line.bytes[..at].to_vec()), &line.bytes[at + delimiter.len()..])
        }
        None => (None, &line.bytes[..]),
    };
    let said = |error: &dyn std::error::Error| error.to_string();
    match args.input {
        Input::Raw => {
            let value = Some(value.to_vec().into());
            let key = key.map(Into::into);
            Ok(Outgoing::Bare(OutgoingRecord {
                key,
                value,
                headers: Headers::new(),
                ..Default::default()
            }))
        }
        Input::Lines => {
            let text = std::str::from_utf8(value).map_err(|error| format!("not UTF-8: {error}"))?;
            let message = Message::new(text).map_err(|error| said(&error))?;
            Ok(Outgoing::Text(match key {
                Some(key) => message.with_key(key),
                None => message,
            }))
        }
        Input::Ndjson => {
            // As it was written: numbers that no float holds, and fields in their order.
            let not_json = |error| format!("not JSON: {error}");
            serde_json::from_slice::<Readable>(value).map_err(not_json)?;
            let json: Box<RawValue> = serde_json::from_slice(value).map_err(not_json)?;
            let fields = fields(&json);
            let key = args.key.as_deref().map(|field| key_of(&fields, field)).transpose()?.or(key);
            let whole =
                ["id", "content", "timestamp"].iter().all(|field| fields.contains_key(*field));
            drop(fields);
            let message = if whole { Message::from_json(value) } else { Message::new(json) };
            let message = message.map_err(|error| said(&error))?;
            Ok(Outgoing::Json(match key {
                Some(key) => message.with_key(key),
                None => message,
            }))
        }
    }
}

type Fields<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

/// The fields of an object; anything else has none.
fn fields(json: &RawValue) -> Fields<'_> {
    serde_json::from_str(json.get()).unwrap_or_default()
}

/// The field's value as a key: a string's text, anything else as its JSON stands there.
fn key_of(json: &Fields<'_>, field: &str) -> Result<Vec<u8>, String> {
    let inside = || fields(json.get("content")?).remove(field);
    let found = json.get(field).copied().or_else(inside).map(RawValue::get);
    match found {
        Some("null") | None => Err(format!("there is no key: it has no field {field:?}")),
        Some(text) if text.starts_with('"') => {
            let key: String = serde_json::from_str(text).map_err(|error| error.to_string())?;
            Ok(key.into_bytes())
        }
        Some(other) => Ok(other.as_bytes().to_vec()),
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    text.windows(wanted.len()).position(|window| window == wanted)
}

async fn next(
    lines: &mut mpsc::Receiver<io::Result<Vec<Line>>>,
    signals: &Signals,
    tally: &Tally,
) -> Option<Vec<Line>> {
    loop {
        tokio::select! {
            biased;
            () = signals.drain.cancelled() => return None,
            line = lines.recv() => match line? {
                Ok(chunk) => return Some(chunk),
                // Said where it happened; the other files go on.
                Err(error) => {
                    tally.bad.fetch_add(1, Ordering::Relaxed);
                    tracing::error!("{error}");
                }
            },
        }
    }
}

/// Lines of the files, of standard input, or samples, read ahead on a thread of their own.
fn source(args: &ProduceArgs) -> mpsc::Receiver<io::Result<Vec<Line>>> {
    let (out, lines) = mpsc::channel(AHEAD);
    let (files, sample, input) = (args.files.clone(), args.sample, args.input);
    // Ends with the input, or when nobody takes its lines; a read of a terminal ends with the process.
    tokio::task::spawn_blocking(move || match sample {
        Some(count) => samples(count, &out),
        None if files.is_empty() => read_file(Path::new("-"), input, &out),
        None => files.iter().for_each(|file: &PathBuf| read_file(file, input, &out)),
    });
    lines
}

type Out = mpsc::Sender<io::Result<Vec<Line>>>;

fn samples(count: u64, out: &Out) {
    let file: Arc<str> = "sample".into();
    let mut numbers = 1..=count;
    loop {
        let line = |number| {
            let bytes = format!("Test message {number}").into_bytes();
            Line { file: Arc::clone(&file), number, bytes, cut: false }
        };
        let chunk: Vec<Line> = numbers.by_ref().take(CHUNK_LINES).map(line).collect();
        if chunk.is_empty() || out.blocking_send(Ok(chunk)).is_err() {
            return;
        }
    }
}

fn read_file(path: &Path, input: Input, out: &Out) {
    let name: Arc<str> = path.display().to_string().into();
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
    let read = || -> io::Result<()> {
        if path == Path::new("-") {
            return read_lines(io::stdin(), input, &name, out);
        }
        read_lines(File::open(path)?, input, &name, out)
    };
    if let Err(error) = read() {
        // Nobody takes it only when the command is ending.
        let _ = out.blocking_send(Err(failed(error)));
    }
}

/// Hands lines on in chunks: whatever whole lines one read gave, so that a slow writer's line goes out
/// at once. Empty lines are no messages.
fn read_lines(from: impl Read, input: Input, name: &Arc<str>, out: &Out) -> io::Result<()> {
    let mut from = BufReader::with_capacity(READ_BYTES, from);
    let mut chunk = Vec::new();
    let mut ended = Ok(());
    for number in 1.. {
        match read_line(&mut from, input) {
            Ok(None) => break,
            Ok(Some((bytes, _))) if bytes.is_empty() => {}
            Ok(Some((bytes, cut))) => {
                chunk.push(Line { file: Arc::clone(name), number, bytes, cut });
            }
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
        let waits = !from.buffer().contains(&b'\n');
        if (waits || chunk.len() == CHUNK_LINES)
            && !chunk.is_empty()
            && out.blocking_send(Ok(std::mem::take(&mut chunk))).is_err()
        {
            return Ok(());
        }
    }
    if !chunk.is_empty() {
        // Nobody takes it only when the command is ending.
        let _ = out.blocking_send(Ok(chunk));
    }
    ended
}

/// One line without its end, and whether it was cut short; `None` after the last. Of raw bytes only the
/// line feed is an end.
fn read_line(from: &mut impl BufRead, input: Input) -> io::Result<Option<(Vec<u8>, bool)>> {
    let mut bytes = Vec::new();
    if from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        bytes.pop_if(|last| *last == b'\r' && input != Input::Raw);
    } else if bytes.len() as u64 == LINE_BYTES_MAX {
        from.skip_until(b'\n')?;
        return Ok(Some((bytes, true)));
    }
    Ok(Some((bytes, false)))
}

/// Holds sends back to a rate.
struct Pace {
    every: Option<Duration>,
    due: Instant,
}

impl Pace {
    fn new(rate: Option<u64>) -> Self {
        let every = rate.map(|rate| Duration::from_secs(1).div_f64(rate as f64));
        Self { every, due: Instant::now() }
    }

    async fn next(&mut self) {
        let Some(every) = self.every else { return };
        // Finer than a millisecond is not slept: the average holds all the same.
        if Duration::from_millis(1) < self.due.saturating_duration_since(Instant::now()) {
            tokio::time::sleep_until(self.due.into()).await;
        }
        self.due += every;
    }
}
