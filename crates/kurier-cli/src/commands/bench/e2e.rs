//! `kurier bench e2e`: from the time a message was to be sent until it is handled, at a steady rate.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kurier::{Concurrency, ConsumeError, ConsumeReport, ConsumerEvent};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cost::Cost;
use super::figures::{Figures, Window};
use super::handling::{Handling, Tell};
use super::lines;
use super::load::{self, Load, Until};
use super::payload::Stamp;
use super::place::{Place, Use};
use super::producing::Producing;
use super::report::Report;
use super::seen::Seen;
use crate::args::{Delivery, E2eArgs, Global};
use crate::commands::scratch::unique;
use crate::exit::Exit;
use crate::signals::Signals;

/// Longest wait for what was sent to be handled, without any progress.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures it.
///
/// # Errors
/// When the configuration is not right, or the cluster refuses.
pub(super) async fn run(
    args: &E2eArgs,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let (run, group) = (uuid::Uuid::new_v4().as_fields().0, unique("kurier-bench"));
    let load = Load::new(&args.load, Some(run))?;
    let place = Place::open(&args.target.place, Use::writes(args.target.add), global).await?;
    let measured = measure(args, (&load, run), (&place, &group), global, signals).await;
    place.forget(&group, signals).await;
    place.close(signals).await;
    measured
}

async fn measure(
    args: &E2eArgs,
    (load, run): (&Load, u32),
    (place, group): (&Place, &str),
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let report = Report::new(&args.report, global)?;
    let producing =
        Producing::new(args.load.size, Delivery::Default, None, global, signals).await?;
    let arrivals = Arc::new(Arrivals::new(run, producing.meter.begun()));
    let consumer = Consumer::start(args, place, group, global, &arrivals);
    consumer.assigned(place.partitions, signals).await;
    let (cost, first) = (Cost::of_this_process(), producing.meter.begin());
    arrivals.begin(first);
    let handled = Arc::clone(&arrivals);
    let ticking = report.tick(move || handled.window(), lines::producing);
    let until = Until::of(&args.load);
    let sent = producing.send((load, Some(args.rate), &place.topic), until).await;
    let mut acknowledged = producing.meter.figures().summary(first);
    let properties = producing.properties();
    let drained = producing.close().await;
    acknowledged.failed = drained.failed;
    arrivals.settle(acknowledged.messages, signals).await;
    let ran = consumer.end().await;
    let report = ticking.stop().await?;
    let (sent, ran) = (sent?, ran?);
    let (handled, again, arrived) = arrivals.summary(first);
    let missing = acknowledged.messages.saturating_sub(arrived);
    let result = json!({
        "command": "e2e", "topic": place.described(), "group": group,
        "load": load::described(&args.load, Some(args.rate)),
        "work_seconds": args.work.as_secs_f64(), "properties": properties,
        "acknowledged": acknowledged, "handled": handled, "send_delay_ms": sent,
        "handled_again": again, "missing": missing, "undelivered": drained.undelivered,
        "cost": Cost::of_this_process().since(cost),
    });
    tracing::info!("until acknowledged: {}", lines::produced(&acknowledged));
    report.end(result, &lines::produced(&handled))?;
    if let Some(exit) = drained.exit() {
        return Ok(exit);
    }
    if 0 < missing || !ran.stopped.is_empty() {
        tracing::error!(missing, stopped = ?ran.stopped, "incomplete: not all was handled in time");
        return Ok(Exit::Incomplete);
    }
    Ok(signals.exit())
}

/// A consumer that runs beside the producer.
struct Consumer {
    run: JoinHandle<Result<ConsumeReport, ConsumeError>>,
    stop: CancellationToken,
    owned: tokio::sync::watch::Receiver<usize>,
}

impl Consumer {
    fn start(
        args: &E2eArgs,
        place: &Place,
        group: &str,
        global: &Global,
        arrivals: &Arc<Arrivals>,
    ) -> Self {
        let handling = Handling {
            topic: place.topic.clone(),
            group: group.to_owned(),
            typed: args.load.typed,
            batch: None,
            concurrency: Concurrency::PerPartition,
            work: args.work,
            to_the_end: false,
        };
        let (owns, owned) = tokio::sync::watch::channel(0);
        let on_event = move |event: &ConsumerEvent| {
            if let ConsumerEvent::Assigned { owned, .. } = event {
                owns.send_replace(owned.len());
            }
        };
        let (stop, arrivals) = (CancellationToken::new(), Arc::clone(arrivals));
        let (stopped, client) = (stop.clone(), global.client());
        let run = async move { handling.run(&client, arrivals, on_event, stopped).await };
        Self { run: tokio::spawn(run), stop, owned }
    }

    /// Until it has all partitions, or the first signal, or it has ended, which is told later.
    async fn assigned(&self, partitions: usize, signals: &Signals) {
        let mut owned = self.owned.clone();
        tokio::select! {
            _ = owned.wait_for(|owned| *owned == partitions) => {}
            () = signals.drain.cancelled() => {}
        }
    }

    async fn end(self) -> anyhow::Result<ConsumeReport> {
        self.stop.cancel();
        Ok(self.run.await??)
    }
}

/// What has arrived at the handler.
#[derive(Debug)]
struct Arrivals {
    run: u32,
    begun: Instant,
    so_far: Mutex<SoFar>,
    progress: Notify,
}

#[derive(Debug)]
struct SoFar {
    figures: Figures,
    seen: Seen,
}

impl Arrivals {
    fn new(run: u32, begun: Instant) -> Self {
        let so_far = SoFar { figures: Figures::begin(Duration::ZERO), seen: Seen::default() };
        Self { run, begun, so_far: Mutex::new(so_far), progress: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, SoFar> {
        // They are counters: as good as they were.
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, first: Duration) {
        self.lock().figures = Figures::begin(first);
    }

    fn window(&self) -> Option<Window> {
        let now = self.begun.elapsed();
        self.lock().figures.window(now)
    }

    /// Until so many different messages have arrived, there is no progress any more, or the second signal.
    async fn settle(&self, messages: u64, signals: &Signals) {
        while self.lock().seen.different() < messages {
            tokio::select! {
                () = self.progress.notified() => {}
                () = tokio::time::sleep(PATIENCE) => return,
                () = signals.leave.cancelled() => return,
            }
        }
    }

    /// The figures, how many came again, and how many different ones there were.
    fn summary(&self, first: Duration) -> (super::figures::Summary, u64, u64) {
        let so_far = self.lock();
        (so_far.figures.summary(first), so_far.seen.again(), so_far.seen.different())
    }
}

impl Tell for Arrivals {
    fn handled(&self, value: &[u8], content: Option<&str>) {
        let stamped = content.map_or(value, str::as_bytes);
        // Others may write to the topic, too.
        let Some(stamp) = Stamp::read(stamped).filter(|stamp| stamp.run == self.run) else {
            return;
        };
        let now = self.begun.elapsed();
        let mut so_far = self.lock();
        if so_far.seen.first_time(stamp.number) {
            let due = Duration::from_nanos(stamp.due);
            so_far.figures.done(now, value.len() as u64, Some(due));
        }
        drop(so_far);
        self.progress.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_of_this_run_count_and_each_once() {
        let arrivals = Arrivals::new(7, Instant::now());
        let stamped = |run, number| Stamp { run, number, due: 0 }.text();
        for text in [stamped(7, 0), stamped(8, 0), stamped(7, 0), "other".to_owned(), stamped(7, 2)]
        {
            arrivals.handled(text.as_bytes(), None);
        }
        let json = format!("in JSON around {}", stamped(7, 3));
        arrivals.handled(json.as_bytes(), Some(&stamped(7, 3)));
        let (summary, again, different) = arrivals.summary(Duration::ZERO);
        assert_eq!((summary.messages, again, different), (3, 1, 3));
        assert_eq!(summary.bytes, 40 + 40 + json.len() as u64);
    }
}
