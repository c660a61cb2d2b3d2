//! `kurier bench produce`: messages that all in-sync replicas have acknowledged, and how long each took.

use std::sync::Arc;

use serde_json::json;

use super::cost::Cost;
use super::lines;
use super::load::{self, Load, Until};
use super::place::{Place, Use};
use super::producing::Producing;
use super::report::Report;
use crate::args::{BenchProduceArgs, Delivery, Global};
use crate::exit::Exit;
use crate::signals::Signals;

/// Measures it.
///
/// # Errors
/// When the configuration is not right, or the cluster refuses.
pub(super) async fn run(
    args: &BenchProduceArgs,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let load = Load::new(&args.load, None)?;
    let place = Place::open(&args.target.place, Use::writes(args.target.add), global).await?;
    let measured = measure(args, &load, &place, global, signals).await;
    place.close(signals).await;
    measured
}

async fn measure(
    args: &BenchProduceArgs,
    load: &Load,
    place: &Place,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let report = Report::new(&args.report, global)?;
    let outbox = args.outbox.as_deref().map(|dir| (dir, args.outbox_sync));
    let producing = Producing::new(args.load.size, args.delivery, outbox, global, signals).await?;
    if !args.warm_up.is_zero() {
        let until = Until::Time(args.warm_up);
        producing.send((load, args.rate, &place.topic), until).await?;
    }
    let (cost, first) = (Cost::of_this_process(), producing.meter.begin());
    let meter = Arc::clone(&producing.meter);
    let ticking = report.tick(move || meter.window(), lines::producing);
    let until = Until::of(&args.load);
    let sent = producing.send((load, args.rate, &place.topic), until).await;
    let (properties, meter) = (producing.properties(), Arc::clone(&producing.meter));
    let drained = producing.close().await;
    let report = ticking.stop().await?;
    let sent = sent?;
    let mut summary = meter.figures().summary(first);
    summary.failed = drained.failed;
    let acknowledged = meter.next_place().saturating_sub(drained.failed);
    let added = place.added(signals).await;
    let result = json!({
        "command": "produce", "topic": place.described(),
        "load": load::described(&args.load, args.rate),
        "warm_up_seconds": args.warm_up.as_secs_f64(),
        "delivery": match args.delivery {
            Delivery::Default => "default",
            Delivery::OneInFlight => "one-in-flight",
        },
        "outbox": args.outbox.as_ref().map(|_| format!("{:?}", args.outbox_sync)),
        "properties": properties, "acknowledged": summary, "send_delay_ms": sent,
        "undelivered": drained.undelivered, "in_topic": added.as_ref().ok().copied().flatten(),
        "cost": Cost::of_this_process().since(cost),
    });
    report.end(result, &lines::produced(&summary))?;
    if let Some(exit) = drained.exit() {
        return Ok(exit);
    }
    let verdict = added?.and_then(|added| verdict(acknowledged, added));
    Ok(verdict.unwrap_or_else(|| signals.exit()))
}

/// What the topic says of it: the code, if something is missing.
fn verdict(acknowledged: u64, added: u64) -> Option<Exit> {
    if added < acknowledged {
        tracing::error!("{acknowledged} messages were acknowledged, and the topic has {added}");
        return Some(Exit::Loss);
    }
    if acknowledged < added {
        tracing::warn!(
            "the topic has {} more than were acknowledged: written twice, or by others",
            added - acknowledged
        );
    }
    None
}

/// Fills a topic, which is not measured.
///
/// # Errors
/// As [`run`].
pub(super) async fn fill(
    load: &Load,
    (size, until): (usize, Until),
    topic: &str,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Option<Exit>> {
    let producing = Producing::new(size, Delivery::Default, None, global, signals).await?;
    let sent = producing.send((load, None, topic), until).await;
    let drained = producing.close().await;
    sent?;
    Ok(drained.exit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_lost() {
        assert_eq!(verdict(10, 9), Some(Exit::Loss));
        assert_eq!((verdict(10, 10), verdict(10, 11)), (None, None));
    }
}
