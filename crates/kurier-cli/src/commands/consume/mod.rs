//! `kurier consume`: prints each message as one JSON object, or hands it to a command or a webhook; what is
//! printed or handled so is committed.
//!
//! It owns the run and its end. What is done with a message is `doing`'s, and `print`'s, `exec`'s and
//! `webhook`'s.

mod answer;
mod children;
mod command;
mod doing;
mod endpoint;
mod errand;
mod exec;
mod print;
mod scarcity;
mod talk;
mod topics;
mod webhook;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kurier::{
    Batch, BatchMessageConsumer, Batches, Closed, Concurrency, ConsumeError, ConsumeReport,
    ConsumerBuilder, Context, Decoder, Ended, Health, JsonDecoder, MessageDecoder, Monitor,
    RawDecoder, Received, Single, SingleMessageConsumer, TextDecoder,
};
use serde_json::value::RawValue;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::doing::Doing;
use self::errand::Payload;
use super::{monitored, reach};
use crate::args::{ConsumeArgs, ConsumeCommand, Decode, Global, OnFailure};
use crate::exit::Exit;
use crate::output::counted;
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
        ConsumeCommand::Single { consume: args, .. }
        | ConsumeCommand::Batch { consume: args, .. } => args,
    };
    let doing = Arc::new(Doing::of(&args.handle, global, signals.drain.clone())?);
    let (decode, served) = (args.decode, monitored::serve(args.metrics.as_deref()).await?);
    let monitor = served.as_ref().map(|served| &served.monitor);
    reach(global).await?;
    if (args.exit_at_end || args.idle_exit.is_some()) && !args.wait_for_topic {
        topics::look_for(&args.topics, global, signals).await?;
    }
    let stop = &signals.drain;
    let consuming = async {
        let ran = match decode {
            Decode::Message => {
                let decoder = MessageDecoder::<Box<RawValue>>::default();
                with(command, global, monitor, &doing, stop, decoder).await
            }
            Decode::Json => {
                let decoder = JsonDecoder::<Box<RawValue>>::default();
                with(command, global, monitor, &doing, stop, decoder).await
            }
            Decode::Text => with(command, global, monitor, &doing, stop, TextDecoder).await,
            Decode::Raw => with(command, global, monitor, &doing, stop, RawDecoder).await,
        };
        doing.end().await;
        ran
    };
    let (consumed, health) = tokio::select! {
        ran = consuming => ran,
        () = signals.leave.cancelled() => {
            doing.leave();
            return Ok(Exit::Incomplete);
        }
    };
    monitored::close(served).await;
    if let Err(ConsumeError::Failed { report, .. }) = &consumed {
        told_incomplete(report);
    }
    match (consumed, Exit::of_health(&health)) {
        (Ok(report), ill) => {
            let ConsumeReport { handled, dead_lettered, .. } = report;
            tracing::info!(handled, dead_lettered, why = %why(&report, &health), "done");
            Ok(exit(&report, ill, &doing, signals))
        }
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
    doing: &Arc<Doing>,
    stop: &CancellationToken,
    decoder: D,
) -> Ran
where
    D: Decoder<Item: Payload>,
{
    let (shutdown, doing) = (stop.clone(), Arc::clone(doing));
    match command {
        ConsumeCommand::Single { consume: args, concurrency } => {
            let builder = SingleMessageConsumer::builder(global.bootstrap(), args.topics.clone());
            let handler = move |received: Arc<Received<D::Item>>, context: Context| {
                let doing = Arc::clone(&doing);
                async move { doing.one(&received, &context).await }
            };
            let mut builder: ConsumerBuilder<Single, D> =
                configured(builder.decoder(decoder), &args, global, monitor);
            if let Some(calls) = concurrency {
                builder = builder.concurrency(Concurrency::PerKey(calls));
            }
            let health = builder.health();
            watched(builder.run(handler, shutdown), || health.now(), stop).await
        }
        ConsumeCommand::Batch { consume: args, batch_size, batch_wait, concurrency: None } => {
            let builder = BatchMessageConsumer::builder(global.bootstrap(), args.topics.clone());
            let handler = move |batch: Arc<Batch<D::Item>>, context: Context| {
                let doing = Arc::clone(&doing);
                async move { doing.all(&batch, &context).await }
            };
            let builder: ConsumerBuilder<Batches, D> =
                configured(builder.decoder(decoder), &args, global, monitor);
            let (health, builder) = (builder.health(), builder.batch(batch_size, batch_wait));
            watched(builder.run(handler, shutdown), || health.now(), stop).await
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
    if let Some(deadline) = args.shutdown_deadline {
        builder = builder.shutdown_deadline(deadline);
    }
    if let Some(attempts) = args.retries {
        builder.config_mut().retry_attempts = attempts as usize;
    }
    if let Some(topic) = &args.dead_letter {
        builder = builder.dead_letter(topic).create_dead_letter(args.create_dead_letter);
    }
    builder.on_failure(match args.on_failure {
        OnFailure::Stop => kurier::OnFailure::Stop,
        OnFailure::Exit => kurier::OnFailure::Exit,
    })
}

/// Why a run ended. The library knows only that it was asked to, also when [`watched`] asked.
fn why(report: &ConsumeReport, health: &Health) -> String {
    match report.ended {
        Ended::Shutdown if !health.is_live() => health.to_string(),
        ended => ended.to_string(),
    }
}

fn exit(report: &ConsumeReport, ill: Option<Exit>, doing: &Doing, signals: &Signals) -> Exit {
    let broken = doing.broken();
    // Whoever read has had enough; the rest is not committed.
    let has_enough = broken.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
    let incomplete = told_incomplete(report);
    // A partition that stopped because nobody reads what it prints did not fail.
    let stopped = report.stopped.iter().any(|stopped| !doing.refused(stopped));
    let ill = ill.filter(|ill| *ill != Exit::Failed);
    if let Some(error) = broken
        && !has_enough
    {
        tracing::error!("standard output: {error}; what was not printed is not committed");
        Exit::Failed
    } else if let Some(ill) = ill {
        ill
    } else if incomplete {
        Exit::Incomplete
    } else if stopped {
        Exit::Failed
    } else if has_enough {
        Exit::Done
    } else {
        signals.exit()
    }
}

/// True when a run left work, which is told.
fn told_incomplete(report: &ConsumeReport) -> bool {
    let ConsumeReport { outstanding, closed, uncommitted, unwritten_letters, .. } = report;
    if !unwritten_letters.is_empty() {
        let messages: Vec<String> = unwritten_letters.iter().map(ToString::to_string).collect();
        let messages = messages.join(", ");
        tracing::error!(messages, "given up, and not known to be in the dead-letter topic");
    }
    let mut left = Vec::new();
    if 0 < *outstanding {
        let messages = counted(*outstanding, "message");
        left.push(format!("{messages} in handlers' hands"));
    }
    if !uncommitted.is_empty() {
        let from =
            uncommitted.iter().map(|(partition, offset)| format!("{partition} from {offset}"));
        left.push(format!("not committed: {}", from.collect::<Vec<_>>().join(", ")));
    }
    if !unwritten_letters.is_empty() {
        left.push(format!("{} given up", counted(unwritten_letters.len() as u64, "message")));
    }
    if !left.is_empty() {
        tracing::error!("incomplete: delivered again are {}", left.join("; "));
    }
    if let Closed::LeftBehind { waiting_for, .. } = closed {
        tracing::error!(
            "incomplete: the group was not left within the deadline, for {waiting_for}; it goes on without this \
             member after the session timeout"
        );
    }
    !left.is_empty() || matches!(closed, Closed::LeftBehind { .. })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

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

    #[test]
    fn a_run_that_was_ended_for_its_health_does_not_say_that_it_was_asked_to() {
        let (mut report, mut health) = (ConsumeReport::default(), Health::default());
        assert_eq!(why(&report, &health), "it was asked to");
        health.conditions = vec![Condition::ThreadSilent { silent: Duration::from_secs(60) }];
        assert!(why(&report, &health).contains("thread has been silent"), "{health}");
        report.ended = Ended::AtEnd;
        assert_eq!(why(&report, &health), "the end was reached");
    }

    #[tokio::test]
    async fn a_run_that_stays_ill_is_ended_and_a_slip_is_not_enough() {
        assert_eq!(looked_at(|look| look == 1 || 3 <= look, 10).await, (4, Some(Exit::Unhealthy)));
        // The last look is the one after the end.
        assert_eq!(looked_at(|look| look == 2, 3).await, (4, None));
    }
}
