//! `kurier bench consume`: messages handled and committed, from what a topic has.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kurier::{Closed, Concurrency, ConsumeReport};
use serde_json::json;

use super::cost::Cost;
use super::figures::{Figures, Summary};
use super::handling::{Count, Handling};
use super::lines;
use super::load::{self, Load, Until};
use super::place::{Place, Use};
use super::produce;
use super::report::Report;
use crate::args::{BenchConsumeArgs, Global};
use crate::commands::scratch::unique;
use crate::exit::{Exit, UsageError};
use crate::signals::Signals;

/// Measures it.
///
/// # Errors
/// When the configuration is not right, or the cluster refuses.
pub(super) async fn run(
    args: &BenchConsumeArgs,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let load = &args.load;
    let is_filled = load.messages.is_some() || load.length.is_some() || load.keys.is_some();
    if args.place.topic.is_some() && is_filled {
        let reason = "--topic is read as it is: --messages, --for and --keys say what a new topic is filled with";
        return Err(UsageError(reason.to_owned()).into());
    }
    let filling = Load::new(load, None)?;
    let place = Place::open(&args.place, Use::Read, global).await?;
    let measured = fill_and_measure(args, &filling, &place, global, signals).await;
    place.close(signals).await;
    measured
}

async fn fill_and_measure(
    args: &BenchConsumeArgs,
    filling: &Load,
    place: &Place,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let mut expected = place.before;
    if args.place.topic.is_none() {
        let what = (args.load.size, Until::of(&args.load));
        let filled = produce::fill(filling, what, &place.topic, global, signals).await?;
        if let Some(exit) = filled {
            return Ok(exit);
        }
        expected = place.added(signals).await?.unwrap_or(0);
        tracing::info!("filled with {expected} messages; now they are consumed");
    }
    let group = unique("kurier-bench");
    let measured = tokio::select! {
        measured = measure(args, (&group, expected), place, global, signals) => measured,
        () = signals.leave.cancelled() => {
            tracing::error!("incomplete: left at once; group {group} stays");
            return Ok(Exit::Incomplete);
        }
    };
    place.forget(&group, signals).await;
    measured
}

async fn measure(
    args: &BenchConsumeArgs,
    (group, expected): (&str, u64),
    place: &Place,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let report = Report::new(&args.report, global)?;
    let handling = Handling {
        topic: place.topic.clone(),
        group: group.to_owned(),
        typed: args.load.typed,
        batch: args.batch.map(|count| (count, args.batch_wait)),
        concurrency: args.concurrency.map_or(Concurrency::PerPartition, Concurrency::PerKey),
        work: args.work,
        to_the_end: true,
    };
    let (cost, count) = (Cost::of_this_process(), Arc::new(Count::new(expected)));
    let figures = Arc::new(Mutex::new(Figures::begin(Duration::ZERO)));
    let (windows, counted) = (Arc::clone(&figures), Arc::clone(&count));
    let window = move || {
        let mut figures = windows.lock().unwrap_or_else(PoisonError::into_inner);
        take(&mut figures, &counted);
        figures.window(counted.elapsed())
    };
    let ticking = report.tick(window, lines::consuming);
    let client = global.client();
    let run = handling.run(&client, Arc::clone(&count), |_| {}, signals.drain.clone());
    let ran = run.await;
    let report = ticking.stop().await?;
    let ran = ran?;
    let joining = count.ends().0;
    let summary = summary(&count);
    let committed: i64 = ran.committed.values().map(|offset| offset.0).sum();
    let result = json!({
        "command": "consume", "topic": place.described(), "group": group,
        "load": args.place.topic.is_none().then(|| load::described(&args.load, None)),
        "typed": args.load.typed, "batch": args.batch, "concurrency": args.concurrency,
        "work_seconds": args.work.as_secs_f64(),
        "properties": global.client().properties, "expected": expected, "handled": summary,
        "committed_to": committed, "joining_seconds": joining.as_secs_f64(),
        "whole_seconds": count.elapsed().as_secs_f64(),
        "cost": Cost::of_this_process().since(cost),
    });
    let last = lines::consumed(report.began(), joining, &summary);
    report.end(result, &format!("{}\n{last}", lines::CONSUMED))?;
    Ok(exit(&ran, signals))
}

/// Takes into the figures what was counted since the last time.
fn take(figures: &mut Figures, count: &Count) {
    let (messages, bytes) = count.counted();
    let (had, had_bytes) = figures.counts();
    figures.counted(count.elapsed(), messages - had, bytes.saturating_sub(had_bytes));
}

/// From the first to the last message: joining and leaving the group are told beside it.
fn summary(count: &Count) -> Summary {
    let (first, last) = count.ends();
    let (messages, bytes) = count.counted();
    let mut figures = Figures::begin(first);
    figures.counted(last, messages, bytes);
    figures.summary(first)
}

/// Says what went wrong, and gives the code.
fn exit(ran: &ConsumeReport, signals: &Signals) -> Exit {
    for stopped in &ran.stopped {
        let (partition, offset) = (&stopped.partition, stopped.offset);
        tracing::error!("{partition} stopped at offset {offset}: {}", stopped.reason);
    }
    if !ran.stopped.is_empty() {
        return Exit::Failed;
    }
    let left = ran.outstanding != 0 || !ran.uncommitted.is_empty() || ran.closed != Closed::Clean;
    if left {
        tracing::error!(
            outstanding = ran.outstanding, uncommitted = ?ran.uncommitted, closed = ?ran.closed,
            "incomplete: not all that was handled is committed"
        );
        return Exit::Incomplete;
    }
    signals.exit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::handling::Tell as _;

    #[test]
    fn windows_take_what_was_counted_since_the_last_one() {
        let (count, mut figures) = (Count::new(3), Figures::begin(Duration::ZERO));
        count.handled(b"abc", None);
        take(&mut figures, &count);
        take(&mut figures, &count);
        count.handled(b"de", None);
        take(&mut figures, &count);
        assert_eq!(figures.counts(), (2, 5));
    }
}
