//! `kurier produce`: lines, JSON or samples in, messages out; a line that cannot be sent is named, and
//! the rest goes on.

mod accepting;
mod input;
mod outcome;
mod outgoing;
mod patience;
mod rest;
mod tally;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kurier::{
    CloseReport, DeliveryProfile, DeliveryReport, HealthHandle, MessageProducer, Monitor,
    NotAccepting, ProducerEvent, SendError,
};

use self::accepting::{Accepting, Unaccepted};
use self::input::{Line, Lines, source};
use self::outcome::Outcome;
use self::outgoing::outgoing;
pub use self::patience::Patience;
use self::tally::Tally;
use super::pace::Pace;
use super::{missing, monitored, reach};
use crate::args::{Delivery, Global, Input, ProduceArgs, ReportKind, Sample};
use crate::exit::{Exit, UsageError};
use crate::output;
use crate::signals::Signals;

/// Sends everything, and waits until it is delivered.
///
/// # Errors
/// When the configuration is not right, or the producer can't go on.
pub async fn run(args: ProduceArgs, global: &Global, signals: &Signals) -> anyhow::Result<Exit> {
    let ended = produce(args, global, signals).await;
    let Err(error) = &ended else { return ended };
    let Some(SendError::UnknownTopic { topic }) = error.downcast_ref() else { return ended };
    let admin = super::admin(global)?;
    let told = missing::wanted(&admin, topic).await;
    admin.close().await;
    Err(told.into())
}

async fn produce(args: ProduceArgs, global: &Global, signals: &Signals) -> anyhow::Result<Exit> {
    check(&args)?;
    input::check(&args.files)?;
    let served = monitored::serve(args.metrics.as_deref()).await?;
    // With an outbox a message is safe without a cluster.
    if args.outbox.dir.is_none() {
        reach(global).await?;
    }
    if args.wait_for_topic {
        wait_for_topic(&args.topic, global, signals).await?;
    }
    let begun = Instant::now();
    let has_outbox = args.outbox.dir.is_some();
    let tally = Arc::new(Tally { has_outbox, ..Tally::default() });
    let monitor = served.as_ref().map(|served| &served.monitor);
    let (producer, health) = producer(&args, global, &tally, monitor).await?;
    let mut sending = Sending::new(&args, &tally);
    let patience = Patience::new(signals, has_outbox.then_some(health));
    let sent = tokio::select! {
        sent = sending.all(&producer, signals) => sent,
        () = patience.over() => Ok(()),
    };
    let closed = close(&producer, &patience, global.timeout, &tally).await;
    monitored::close(served).await;
    sent?;
    let left = sending.left().await?;
    let (unsent, kept) = closed.not_delivered(&tally);
    let outcome = Outcome::new(&tally, begun.elapsed(), unsent, kept, left);
    if args.report == ReportKind::Summary {
        output::unless_unread(outcome.print(&args.topic, global.output))?;
    }
    Ok(outcome.exit(signals))
}

/// Where a line stands: its file and its number.
type Place = (Arc<str>, u64);

/// Lines on their way into the producer.
struct Sending<'a> {
    args: &'a ProduceArgs,
    tally: &'a Tally,
    lines: Lines,
    accepting: Accepting,
    /// The line that is at hand, until it is taken.
    next_line: Option<Place>,
}

impl<'a> Sending<'a> {
    fn new(args: &'a ProduceArgs, tally: &'a Arc<Tally>) -> Self {
        let (lines, accepting) = (source(args), Accepting::new(args, tally));
        Self { args, tally, lines, accepting, next_line: None }
    }

    /// Sends every line until there is none, the first signal comes, or nothing more is accepted.
    ///
    /// # Errors
    /// When the producer can't go on.
    async fn all(
        &mut self,
        producer: &MessageProducer,
        signals: &Signals,
    ) -> Result<(), SendError> {
        let (args, tally) = (self.args, self.tally);
        let mut pace = Pace::new(args.rate.map(NonZeroU64::get));
        loop {
            let chunk = tokio::select! {
                biased;
                chunk = next(&mut self.lines, signals, tally) => chunk,
                // Who types nothing would never learn it.
                why = producer.gives_up() => return Err(why.into()),
            };
            let Some(chunk) = chunk else {
                self.accepting.finish().await;
                return Ok(());
            };
            for line in chunk {
                self.next_line = Some((Arc::clone(&line.file), line.number));
                pace.next().await;
                if signals.drain.is_cancelled() {
                    return Ok(());
                }
                match outgoing(args, &line) {
                    Ok(outgoing) => {
                        let sent =
                            self.accepting.send(producer, &args.topic, &outgoing, &line, tally);
                        sent.await?;
                    }
                    Err(reason) => tally.bad(&line.file, line.number, &reason),
                }
                if self.accepting.is_over() {
                    return Ok(());
                }
                self.next_line = None;
            }
        }
    }

    /// The first line that was not accepted because the end came first.
    ///
    /// # Errors
    /// When one was not accepted for another reason.
    async fn left(mut self) -> Result<Option<Place>, SendError> {
        // What was waiting for the disk has its answer by now, unless a report is not read.
        let _ = tokio::time::timeout(LAST_WAIT, self.accepting.finish()).await;
        let unaccepted = match self.accepting.unaccepted() {
            Some(Unaccepted {
                error: SendError::NotAccepting(NotAccepting::Closed),
                file,
                number,
            }) => Some((file, number)),
            Some(Unaccepted { error, .. }) => return Err(error),
            None => None,
        };
        // Only a signal leaves lines behind, and it is the end of samples without end.
        Ok(match (self.args.sample, unaccepted.or(self.next_line)) {
            (Some(Sample::Endless), _) => None,
            (_, Some(place)) => Some(place),
            (_, None) => self.lines.left(|error| self.tally.unread(error)).await,
        })
    }
}

/// What a producer said at its end.
struct ClosedWith {
    /// None when it was not there in time.
    report: Option<CloseReport>,
    /// What had failed before that.
    failed_before: u64,
}

async fn close(
    producer: &MessageProducer,
    patience: &Patience<'_>,
    timeout: Option<Duration>,
    tally: &Tally,
) -> ClosedWith {
    tokio::select! {
        report = producer.close(timeout.unwrap_or(FOR_EVER)) => {
            ClosedWith { report: Some(report), failed_before: 0 }
        }
        // The producer's thread may be held by a report that nobody reads.
        () = patience.over() => {
            let failed_before = tally.failed.load(Ordering::Relaxed);
            let report = tokio::time::timeout(LAST_WAIT, producer.close(Duration::ZERO)).await.ok();
            ClosedWith { report, failed_before }
        }
    }
}

impl ClosedWith {
    /// Messages that were given up, and with an outbox those that it keeps.
    fn not_delivered(self, tally: &Tally) -> (u64, Option<u64>) {
        let (unsent, kept) = match self.report {
            Some(report) => (report.unsent.len() as u64, report.kept),
            // Without a report, what has failed since is on its way into it.
            None if tally.has_outbox => (0, tally.left_over(self.failed_before)),
            None => (tally.left_over(self.failed_before), 0),
        };
        (unsent, tally.has_outbox.then_some(kept))
    }
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

/// Longer than any process lives; a year.
pub(super) const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How long a producer whose time is up may take to say what it could not send.
const LAST_WAIT: Duration = Duration::from_secs(3);

async fn producer(
    args: &ProduceArgs,
    global: &Global,
    tally: &Arc<Tally>,
    monitor: Option<&Monitor>,
) -> anyhow::Result<(MessageProducer, HealthHandle)> {
    let noted = Arc::clone(tally);
    let (tally, each) = (Arc::clone(tally), args.report == ReportKind::Each);
    let mut builder = MessageProducer::builder(global.bootstrap());
    builder.config_mut().client = global.client();
    builder = builder
        .delivery(match args.delivery {
            Delivery::Default => DeliveryProfile::Default,
            Delivery::OneInFlight => DeliveryProfile::OneInFlight,
        })
        .on_delivery(move |report: &DeliveryReport| tally.settle(report, each));
    if let Some(outbox) = args.outbox.config() {
        builder = builder.outbox(outbox).on_event(move |event| {
            let damaged = u64::from(matches!(event, ProducerEvent::OutboxDamaged(_)));
            noted.damaged.fetch_add(damaged, Ordering::Relaxed);
        });
    }
    if let Some(monitor) = monitor {
        builder = builder.monitor(monitor);
    }
    let health = builder.health();
    Ok((builder.build().await?, health))
}

async fn next(lines: &mut Lines, signals: &Signals, tally: &Tally) -> Option<Vec<Line>> {
    loop {
        tokio::select! {
            biased;
            () = signals.drain.cancelled() => return None,
            line = lines.chunks.recv() => match line? {
                Ok(chunk) => return Some(chunk),
                // The other files go on.
                Err(error) => tally.unread(&error),
            },
        }
    }
}
