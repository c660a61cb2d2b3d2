//! `kurier consume`: prints each message as one JSON object; what is printed is handled, and committed.

use std::cell::RefCell;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kurier::{
    Batch, BatchMessageConsumer, Batches, Closed, ConsumeError, ConsumeReport, ConsumerBuilder,
    Context, Decoder, Failure, Health, JsonDecoder, MessageDecoder, Monitor, RawDecoder, Received,
    RetryPolicy, Single, SingleMessageConsumer, StoppedPartition, TextDecoder,
};
use serde_json::value::RawValue;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::line::{self, Show};
use super::{monitored, reach};
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
    let args = match &command {
        ConsumeCommand::Single(args) | ConsumeCommand::Batch { consume: args, .. } => args,
    };
    let (decode, served) = (args.decode, monitored::serve(args.metrics.as_deref()).await?);
    let monitor = served.as_ref().map(|served| &served.monitor);
    reach(global).await?;
    let out = Arc::new(Out::new(signals.drain.clone()));
    let consuming = async {
        match decode {
            Decode::Message => {
                with(command, global, monitor, &out, MessageDecoder::<Box<RawValue>>::default())
                    .await
            }
            Decode::Json => {
                with(command, global, monitor, &out, JsonDecoder::<Box<RawValue>>::default()).await
            }
            Decode::Text => with(command, global, monitor, &out, TextDecoder).await,
            Decode::Raw => with(command, global, monitor, &out, RawDecoder).await,
        }
    };
    let (consumed, health) = tokio::select! {
        ran = consuming => ran,
        () = signals.leave.cancelled() => {
            let printed = out.printed.load(Ordering::Relaxed);
            tracing::error!(
                printed, "incomplete: left at once; what was printed since the last commit comes again"
            );
            return Ok(Exit::Incomplete);
        }
    };
    monitored::close(served).await;
    match (consumed, Exit::of_health(&health)) {
        (Ok(report), ill) => Ok(exit(&report, ill, &out, signals)),
        (Err(error), Some(ill)) => {
            tracing::error!("{:#}; {health}", anyhow::Error::from(error));
            Ok(ill)
        }
        (Err(error), None) => Err(error.into()),
    }
}

/// How a run ended, and how it was before it ended, or in the end.
type Ran = (Result<ConsumeReport, ConsumeError>, Health);

async fn with<D>(
    command: ConsumeCommand,
    global: &Global,
    monitor: Option<&Monitor>,
    out: &Arc<Out>,
    decoder: D,
) -> Ran
where
    D: Decoder<Item: Show>,
{
    let shutdown = out.stop.clone();
    let lines = Arc::clone(out);
    match command {
        ConsumeCommand::Single(args) => {
            let builder = SingleMessageConsumer::builder(global.bootstrap(), args.topics.clone());
            let handler = move |received: Arc<Received<D::Item>>, _: Context| {
                std::future::ready(lines.print([&*received]))
            };
            let builder: ConsumerBuilder<Single, D> =
                configured(builder.decoder(decoder), &args, global, monitor);
            let health = builder.health();
            watched(builder.run(handler, shutdown), || health.now(), &out.stop).await
        }
        ConsumeCommand::Batch { consume: args, batch_size, batch_wait } => {
            let builder = BatchMessageConsumer::builder(global.bootstrap(), args.topics.clone());
            let handler = move |batch: Arc<Batch<D::Item>>, _: Context| {
                let items = batch.items().iter().map(|item| &**item);
                std::future::ready(lines.print(items).map(|()| batch.all_done()))
            };
            let builder: ConsumerBuilder<Batches, D> =
                configured(builder.decoder(decoder), &args, global, monitor);
            let (health, builder) = (builder.health(), builder.batch(batch_size, batch_wait));
            watched(builder.run(handler, shutdown), || health.now(), &out.stop).await
        }
    }
}

/// Time between two looks at the health.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs to the end. A run that is not live is ended: whoever started this process sees its end, and
/// nothing else of it. Two looks in a row must say so, for a process that was frozen and goes on finds
/// everything late at first.
async fn watched(
    run: impl Future<Output = Result<ConsumeReport, ConsumeError>>,
    health: impl Fn() -> Health,
    stop: &CancellationToken,
) -> Ran {
    let mut run = pin!(run);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut suspect = false;
    let ill = loop {
        tokio::select! {
            biased;
            ended = &mut run => return (ended, health()),
            _ = looks.tick() => {}
        }
        let now = health();
        let before = std::mem::replace(&mut suspect, !now.is_live());
        if before && suspect {
            break now;
        }
    };
    tracing::error!("{ill}; this run is ended");
    stop.cancel();
    (run.await, ill)
}

fn configured<K, D>(
    mut builder: ConsumerBuilder<K, D>,
    args: &ConsumeArgs,
    global: &Global,
    monitor: Option<&Monitor>,
) -> ConsumerBuilder<K, D> {
    builder.config_mut().client = global.client();
    builder = builder
        .from(args.from)
        .exit_at_end(args.exit_at_end)
        .static_membership(args.static_membership);
    if let Some(monitor) = monitor {
        builder = builder.monitor(monitor);
    }
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
    if let Some(stall_after) = args.stall_after {
        builder = builder.stall_after(stall_after);
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

/// Standard output, and what to do when nobody reads it.
struct Out {
    /// Messages printed.
    printed: AtomicU64,
    /// Why nothing more can be written.
    broken: OnceLock<io::Error>,
    stop: CancellationToken,
}

impl Out {
    fn new(stop: CancellationToken) -> Self {
        Self { printed: AtomicU64::new(0), broken: OnceLock::new(), stop }
    }

    /// Writes a line for each, all or an error: only what was written counts as handled. Partitions make
    /// their lines at the same time; only the writing is one after another.
    fn print<'a, M: Show + 'a>(
        &self,
        items: impl IntoIterator<Item = &'a Received<M>>,
    ) -> Result<(), Failure> {
        thread_local! {
            /// Kept for its memory.
            static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let mut count = 0;
        let written = LINES.with_borrow_mut(|lines| {
            // Whatever an earlier print left.
            lines.clear();
            for item in items {
                line::write(lines, item)?;
                count += 1;
            }
            let mut out = io::stdout().lock();
            Ok::<_, Failure>(out.write_all(lines).and_then(|()| out.flush()))
        })?;
        if let Err(error) = written {
            let failure = Failure::retry(error.to_string());
            // The first one says it.
            let _ = self.broken.set(error);
            self.stop.cancel();
            return Err(failure);
        }
        self.printed.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    /// True when the message could not be handled because it could not be printed.
    fn refused(&self, stopped: &StoppedPartition) -> bool {
        self.broken.get().is_some_and(|error| error.to_string() == stopped.reason)
    }
}

fn exit(report: &ConsumeReport, ill: Option<Exit>, out: &Out, signals: &Signals) -> Exit {
    tracing::info!(handled = report.handled, ended = ?report.ended, "done");
    let broken = out.broken.get();
    // Whoever read has had enough; the rest is not committed.
    let has_enough = broken.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
    let left = report.outstanding;
    let incomplete = report.closed != Closed::Clean || !report.uncommitted.is_empty() || 0 < left;
    if incomplete {
        tracing::error!(outstanding = left, closed = ?report.closed, uncommitted = ?report.uncommitted, "incomplete: these are delivered again");
    }
    // A partition that stopped because nobody reads what it prints did not fail.
    let stopped = report.stopped.iter().any(|stopped| !out.refused(stopped));
    let ill = ill.filter(|ill| *ill != Exit::Failed);
    if let Some(error) = broken
        && !has_enough
    {
        tracing::error!("standard output: {error}; what was not printed is not committed");
        Exit::Failed
    } else if let Some(ill) = ill {
        ill
    } else if stopped {
        Exit::Failed
    } else if incomplete {
        Exit::Incomplete
    } else if has_enough {
        Exit::Done
    } else {
        signals.exit()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use kurier::Condition;

    use super::*;

    /// A run that goes on until it is stopped, whose health is ill at the looks that `ill` names.
    async fn looked_at(ill: impl Fn(u32) -> bool, looks_max: u32) -> (u32, Option<Exit>) {
        let (looks, stop) = (AtomicU32::new(0), CancellationToken::new());
        let stopped = stop.clone();
        let run = async move {
            stopped.cancelled().await;
            Ok(ConsumeReport::default())
        };
        let health = || {
            let look = looks.fetch_add(1, Ordering::Relaxed) + 1;
            if look == looks_max {
                stop.cancel();
            }
            let mut health = Health::default();
            if ill(look) {
                health.conditions = vec![Condition::ThreadSilent { silent: Duration::ZERO }];
            }
            health
        };
        let (ended, health) = watched(run, health, &stop).await;
        assert!(ended.is_ok());
        (looks.load(Ordering::Relaxed), Exit::of_health(&health))
    }

    #[tokio::test]
    async fn a_run_that_stays_ill_is_ended_and_a_slip_is_not_enough() {
        assert_eq!(looked_at(|look| look == 1 || 3 <= look, 10).await, (4, Some(Exit::Unhealthy)));
        // The last look is the one after the end.
        assert_eq!(looked_at(|look| look == 2, 3).await, (4, None));
    }
}
