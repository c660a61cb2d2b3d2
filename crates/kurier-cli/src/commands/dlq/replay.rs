//! `kurier dlq replay`: dead letters sent again, or shown as they would be.

use std::time::Duration;

use kurier::{Planned, Replay, ReplayEnd, ReplayProgress, ReplayReport, WhyLeft};
use serde_json::{Value, json};

use super::there;
use crate::args::{Global, Output, ReplayArgs};
use crate::exit::Exit;
use crate::output::{self, counted};
use crate::signals::Signals;

/// Sends them, and says what became of them.
///
/// # Errors
/// When it can't begin, or can't go on.
pub(super) async fn run(
    args: ReplayArgs,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let (topic, dry_run) = (args.topic.clone(), args.dry_run);
    let replay = configured(args, global);
    let (form, progress) = (global.output, replay.progress());
    let drain = signals.drain.clone();
    let mut shown = Shown { form, ..Shown::default() };
    let replaying = async {
        if dry_run {
            replay.preview(drain, |planned| shown.print(planned)).await
        } else {
            replay.run(drain).await
        }
    };
    let report = tokio::select! {
        report = replaying => there(&topic, report, global).await?,
        () = tell(&progress) => unreachable!("it goes on"),
        () = signals.leave.cancelled() => {
            let (replayed, left) = (progress.replayed(), progress.left());
            tracing::error!(
                replayed, left,
                "incomplete: left at once; the same command goes on, and may send again what was sent last"
            );
            return Ok(Exit::Incomplete);
        }
    };
    let would = dry_run.then_some(shown.count);
    let written = match shown.written {
        Ok(()) => print(&topic, &report, would, form),
        Err(error) => Err(error),
    };
    output::unless_unread(written)?;
    Ok(exit(&topic, &report, signals))
}

fn configured(args: ReplayArgs, global: &Global) -> Replay {
    let ReplayArgs { topic, chosen, to, rate, max, max_hops, group, restart, .. } = args;
    let mut replay = Replay::of(global.bootstrap(), topic)
        .selection(chosen.selection())
        .hops_max(max_hops)
        .restart(restart)
        .timeout(global.admin_timeout());
    *replay.client_mut() = global.client();
    if let Some(to) = to {
        replay = replay.to(to);
    }
    if let Some(rate) = rate {
        replay = replay.rate(rate);
    }
    if let Some(max) = max {
        replay = replay.max(max.get());
    }
    if let Some(group) = group {
        replay = replay.group(group);
    }
    replay
}

/// Time between two lines of a long replay.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Says how far it is, again and again.
async fn tell(progress: &ReplayProgress) {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let (replayed, left) = (progress.replayed(), progress.left());
        tracing::info!(replayed, passed_over = progress.passed_over(), left, "replaying");
    }
}

/// What a dry run has shown.
struct Shown {
    form: Output,
    count: u64,
    written: std::io::Result<()>,
}

impl Default for Shown {
    fn default() -> Self {
        Self { form: Output::Table, count: 0, written: Ok(()) }
    }
}

impl Shown {
    fn print(&mut self, planned: &Planned) {
        self.count += 1;
        if self.written.is_ok() {
            self.written = match self.form {
                Output::Json => output::json(&as_json(planned)),
                Output::Table => output::text(&as_text(planned)),
            };
        }
    }
}

fn as_json(planned: &Planned) -> Value {
    let (letter, record) = (&planned.letter, &planned.letter.record);
    let key = record.key().map(|key| String::from_utf8_lossy(key).into_owned());
    json!({
        "event": "would-send", "topic": record.topic(), "partition": record.partition().0,
        "offset": record.offset().0, "to": planned.target, "key": key, "error": letter.error,
        "cause": letter.cause.as_str(), "hops": letter.hops,
    })
}

fn as_text(planned: &Planned) -> String {
    let (letter, record) = (&planned.letter, &planned.letter.record);
    let key = record.key().map(|key| String::from_utf8_lossy(key).into_owned());
    let key = key.map_or_else(|| "no key".to_owned(), |key| format!("key {key:?}"));
    let error = output::flat(&letter.error);
    format!("{} -> {} ({key}): {error}\n", record.position(), planned.target)
}

fn print(
    topic: &str,
    report: &ReplayReport,
    would: Option<u64>,
    form: Output,
) -> std::io::Result<()> {
    let ReplayReport { group, before, replayed, passed_over, left, remaining, .. } = report;
    let named = left.first.iter();
    match form {
        Output::Json => {
            let named = named.map(|(position, why)| {
                json!({
                    "partition": position.topic_partition.partition.0, "offset": position.offset.0,
                    "why": why.kind(), "reason": why.to_string(),
                })
            });
            output::json(&json!({
                "event": "summary", "topic": topic, "group": group, "dry_run": would.is_some(),
                "replayed": replayed, "would_send": would, "passed_over": passed_over,
                "left": left.count(), "left_by": left.kinds, "left_first": named.collect::<Vec<_>>(),
                "before": before, "remaining": remaining,
            }))
        }
        Output::Table => {
            let done = match would {
                Some(would) => format!("{} would be sent again", counted(would, "message")),
                None => format!("{} sent again", counted(*replayed, "message")),
            };
            let to_come = match (would, remaining) {
                (Some(_), _) | (None, 0) => String::new(),
                (None, remaining) => format!(", {remaining} not come to yet"),
            };
            let mut text = format!(
                "{topic}: {done}; {passed_over} not meant, {} left{to_come}; the group is {group}\n",
                left.count()
            );
            for (position, why) in named {
                text += &format!("left: {position}: {why}\n");
            }
            output::text(&text)
        }
    }
}

fn exit(topic: &str, report: &ReplayReport, signals: &Signals) -> Exit {
    let ReplayReport { before, replayed, left, remaining, ended, .. } = report;
    if 0 < *before {
        tracing::info!(before, "offsets that this replay had passed before; --restart begins anew");
    }
    if 0 < left.count() {
        let kinds: Vec<_> =
            left.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let again = |why: &WhyLeft| !matches!(why, WhyLeft::Foreign { .. } | WhyLeft::OwnTopic);
        if let Some((position, _)) = left.first.iter().find(|(_, why)| again(why)) {
            let (partition, offset) = (position.topic_partition.partition, position.offset);
            tracing::error!(
                "left: {}; this command does not come back to them. Once the reason is gone, `kurier dlq replay \
                 {topic} --partition {partition} --offsets {offset}` sends such a one alone (with the same --to, \
                 and a higher --max-hops where that was the reason)",
                kinds.join(", ")
            );
        }
    }
    match ended {
        ReplayEnd::Stopped => {
            tracing::error!(
                replayed,
                remaining,
                "incomplete: the same command goes on where this one has stopped"
            );
            Exit::Incomplete
        }
        _ if 0 < left.count() => Exit::Failed,
        _ => signals.exit(),
    }
}
