//! `kurier produce`: lines, JSON or samples in, messages out; a line that cannot be sent is named, and
//! the rest goes on.

mod accepting;
mod input;
mod outgoing;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use kurier::{DeliveryProfile, DeliveryReport, MessageProducer, Monitor, NotAccepting, SendError};
use serde_json::{Value, json};

use self::accepting::{Accepting, Unaccepted};
use self::input::{Line, Lines, source};
use self::outgoing::outgoing;
use super::{monitored, reach};
use crate::args::{Delivery, Global, Input, Output, ProduceArgs, ReportKind, Sample};
use crate::exit::{self, Exit, UsageError};
use crate::output::{self, counted};
use crate::signals::Signals;

/// Sends everything, and waits until it is delivered.
///
/// # Errors
/// When the configuration is not right, or the producer can't go on.
pub async fn run(args: ProduceArgs, global: &Global, signals: &Signals) -> anyhow::Result<Exit> {
    check(&args)?;
    let served = monitored::serve(args.metrics.as_deref()).await?;
    // With an outbox a message is safe without a cluster.
    if args.outbox.dir.is_none() {
        reach(global).await?;
    }
    if args.wait_for_topic {
        wait_for_topic(&args.topic, global, signals).await?;
    }
    let begun = Instant::now();
    let tally = Arc::new(Tally::default());
    let monitor = served.as_ref().map(|served| &served.monitor);
    let producer = producer(&args, global, &tally, monitor).await?;
    let mut lines = source(&args);
    let mut pace = Pace::new(args.rate);
    let mut next_line = None;
    let mut accepting = Accepting::new(&args, &tally);
    let sending = async {
        loop {
            let chunk = tokio::select! {
                biased;
                chunk = next(&mut lines, signals, &tally) => chunk,
                // Who types nothing would never learn it.
                why = producer.gives_up() => return Err(why.into()),
            };
            let Some(chunk) = chunk else {
                accepting.finish().await;
                return Ok(());
            };
            for line in chunk {
                next_line = Some((Arc::clone(&line.file), line.number));
                pace.next().await;
                if signals.drain.is_cancelled() {
                    return Ok::<(), SendError>(());
                }
                match outgoing(&args, &line) {
                    Ok(outgoing) => {
                        accepting.send(&producer, &args.topic, &outgoing, &line, &tally).await?;
                    }
                    Err(reason) => tally.bad(&line.file, line.number, &reason),
                }
                if accepting.is_over() {
                    return Ok(());
                }
                next_line = None;
            }
        }
    };
    let told = OnceLock::new();
    let sent = tokio::select! {
        sent = sending => sent,
        () = no_more_patience(signals, &told) => Ok(()),
    };
    let mut failed_before = 0;
    let report = tokio::select! {
        report = producer.close(global.timeout.unwrap_or(FOR_EVER)) => Some(report),
        // The producer's thread may be held by a report that nobody reads.
        () = no_more_patience(signals, &told) => {
            failed_before = tally.failed.load(Ordering::Relaxed);
            tokio::time::timeout(LAST_WAIT, producer.close(Duration::ZERO)).await.ok()
        }
    };
    monitored::close(served).await;
    sent?;
    // What was waiting for the disk has its answer by now, unless a report is not read.
    let _ = tokio::time::timeout(LAST_WAIT, accepting.finish()).await;
    let unaccepted = match accepting.unaccepted() {
        Some(Unaccepted { error: SendError::NotAccepting(NotAccepting::Closed), file, number }) => {
            Some((file, number))
        }
        Some(Unaccepted { error, .. }) => return Err(error.into()),
        None => None,
    };
    // Only a signal leaves lines behind, and it is the end of samples without end.
    let left = match args.sample {
        Some(Sample::Endless) => None,
        _ => unaccepted.or(next_line).or_else(|| first_of(lines.try_recv().ok()?.ok()?)),
    };
    let delivered = tally.delivered.load(Ordering::Relaxed);
    let (failed, bad) = (tally.failed.load(Ordering::Relaxed), tally.bad.load(Ordering::Relaxed));
    // Without a report, what has failed since is on its way into it.
    let left_over =
        || tally.accepted.load(Ordering::Relaxed).saturating_sub(delivered + failed_before);
    let (unsent, kept) = match report {
        Some(report) => (report.unsent.len() as u64, report.kept),
        None if args.outbox.dir.is_some() => (0, left_over()),
        None => (left_over(), 0),
    };
    if args.report == ReportKind::Summary {
        let summary = Summary {
            topic: &args.topic,
            seconds: begun.elapsed().as_secs_f64(),
            delivered,
            failed: failed.saturating_sub(unsent),
            bad,
            unsent,
            kept: args.outbox.dir.is_some().then_some(kept),
        };
        output::unless_unread(summary.print(global.output))?;
    }
    if let Some((file, line)) = &left {
        tracing::error!("incomplete: stopped before {file}:{line}; nothing from there on was sent");
    }
    if unsent > 0 {
        tracing::error!(unsent, "incomplete: these messages were accepted and not delivered");
    }
    if kept > 0 {
        tracing::error!(
            kept,
            "incomplete: these messages are safe in the outbox and not delivered"
        );
    }
    if unsent + kept > 0 || left.is_some() {
        return Ok(Exit::Incomplete);
    }
    let unprinted = tally.unprinted.load(Ordering::Relaxed);
    if tally.refused.load(Ordering::Relaxed) {
        return Ok(Exit::Unauthorized);
    }
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

/// Until the topic is there and led, or the first signal. A consumer waits the same way by itself.
async fn wait_for_topic(topic: &str, global: &Global, signals: &Signals) -> anyhow::Result<()> {
    let admin = super::admin(global)?;
    tracing::info!(topic, "waiting for the topic");
    let found = tokio::select! {
        found = admin.wait_for_topic(topic, FOR_EVER) => found,
        () = signals.drain.cancelled() => return Ok(()),
    };
    admin.close().await;
    found?;
    tracing::info!(topic, "the topic is there");
    Ok(())
}

struct Summary<'a> {
    topic: &'a str,
    seconds: f64,
    delivered: u64,
    failed: u64,
    bad: u64,
    unsent: u64,
    /// With an outbox.
    kept: Option<u64>,
}

impl Summary<'_> {
    fn print(&self, form: Output) -> io::Result<()> {
        let Self { topic, seconds, delivered, failed, bad, unsent, kept } = self;
        match form {
            Output::Json => output::json(&json!({
                "event": "summary", "topic": topic, "seconds": seconds, "delivered": delivered,
                "failed": failed, "bad_lines": bad, "unsent": unsent, "kept": kept,
            })),
            Output::Table => {
                let kept = kept.map(|kept| format!(", {kept} kept in the outbox"));
                output::text(&format!(
                    "{} delivered to {topic} in {seconds:.1} s; {failed} failed, {}, {unsent} unsent{}\n",
                    counted(*delivered, "message"),
                    counted(*bad, "bad line"),
                    kept.unwrap_or_default(),
                ))
            }
        }
    }
}

/// Longer than any process lives; a year.
pub(super) const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How long a producer that was told to end waits for its acknowledgements. Supervisors follow a SIGTERM
/// with a SIGKILL, which could say nothing of what is left.
const SHUTDOWN: Duration = Duration::from_secs(30);
/// How long a producer whose time is up may take to say what it could not send.
const LAST_WAIT: Duration = Duration::from_secs(3);
#[derive(Debug, Default)]
struct Tally {
    accepted: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    bad: AtomicU64,
    /// The cluster does not let this client in, or not write.
    refused: AtomicBool,
    /// A report could not be printed though someone reads.
    unprinted: AtomicBool,
}

impl Tally {
    fn bad(&self, file: &str, number: u64, reason: &str) {
        self.bad.fetch_add(1, Ordering::Relaxed);
        tracing::error!("{file}:{number}: {reason}");
    }

    /// A line of a report. When nobody reads, the exit code is still right.
    fn print(&self, report: &Value) {
        if let Err(error) = output::unless_unread(output::json(report))
            && !self.unprinted.swap(true, Ordering::Relaxed)
        {
            tracing::error!("standard output: {error}; reports are missing");
        }
    }
}

async fn producer(
    args: &ProduceArgs,
    global: &Global,
    tally: &Arc<Tally>,
    monitor: Option<&Monitor>,
) -> anyhow::Result<MessageProducer> {
    let (tally, each) = (Arc::clone(tally), args.report == ReportKind::Each);
    let settle = move |report: &DeliveryReport| {
        let count = if report.outcome.is_ok() { &tally.delivered } else { &tally.failed };
        count.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = &report.outcome {
            tally.refused.fetch_or(exit::is_refusal(error.code), Ordering::Relaxed);
            tracing::error!(ticket = report.ticket.0, "{error}");
        }
        if each {
            tally.print(&reported(report));
        }
    };
    let mut builder = MessageProducer::builder(global.bootstrap());
    builder.config_mut().client = global.client();
    builder = builder
        .delivery(match args.delivery {
            Delivery::Default => DeliveryProfile::Default,
            Delivery::OneInFlight => DeliveryProfile::OneInFlight,
        })
        .on_delivery(settle);
    if let Some(outbox) = args.outbox.config() {
        builder = builder.outbox(outbox);
    }
    if let Some(monitor) = monitor {
        builder = builder.monitor(monitor);
    }
    Ok(builder.build().await?)
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

/// Ends with the second signal, or [`SHUTDOWN`] after the first, which it notes in `told`: whoever waits
/// again has what is left of that time.
pub(super) async fn no_more_patience(signals: &Signals, told: &OnceLock<Instant>) {
    let late = async {
        signals.drain.cancelled().await;
        let told = *told.get_or_init(Instant::now);
        tokio::time::sleep_until((told + SHUTDOWN).into()).await;
    };
    tokio::select! {
        () = late => {}
        () = signals.leave.cancelled() => {}
    }
}

fn first_of(chunk: Vec<Line>) -> Option<(Arc<str>, u64)> {
    chunk.into_iter().next().map(|line| (line.file, line.number))
}

async fn next(lines: &mut Lines, signals: &Signals, tally: &Tally) -> Option<Vec<Line>> {
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
