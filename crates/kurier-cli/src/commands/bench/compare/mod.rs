//! `kurier bench compare`: kurier and other people's tools on one cluster in one run, in turns.
//!
//! [`contest`] says who takes part, whose turn it is and what came of it; [`peers`] knows the tools;
//! [`watched`] runs one; [`arena`] has topics and groups ready, and takes them away.

mod arena;
mod contest;
mod peers;
mod watched;

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::arena::Arena;
use self::contest::{Figures, Missing, Row, Side, TARGETS, reached, table, turns};
use self::peers::Contestant;
use super::report;
use crate::args::{CompareArgs, Global, Output};
use crate::exit::{Exit, UsageError};
use crate::output::{self, counted};
use crate::signals::Signals;

/// Compares.
///
/// # Errors
/// When the cluster can't be reached, or what is needed is not there.
pub(super) async fn run(
    args: &CompareArgs,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    if let Some((name, _)) = global.settings.properties().first() {
        return Err(UsageError(format!(
            "{name}: compare gives all the same settings, and can't give this one to everybody: TLS, SASL and \
             librdkafka's properties are left out; --linger and --compression are for all"
        ))
        .into());
    }
    let (mut contestants, missing) = peers::find(args)?;
    if !args.only.is_empty() {
        let wanted = |it: &Contestant| args.only.iter().any(|part| matches(it, part));
        if let Some(nobody) =
            args.only.iter().find(|part| !contestants.iter().any(|it| matches(it, part)))
        {
            return Err(UsageError(format!(
                "--only {nobody}: {}",
                why_not(nobody, &contestants, &missing)
            ))
            .into());
        }
        contestants.retain(wanted);
    }
    for Missing { name, reason } in &missing {
        tracing::warn!("{name} does not take part: {reason}");
    }
    let result = report::result_file(&args.out)?;
    let began = Timestamp::now();
    let mut arena = Arena::open(args, global)?;
    let mut rows: Vec<Row> = contestants.iter().map(row).collect();
    let played = tokio::select! {
        played = play(&mut arena, &contestants, &mut rows, args.rounds, &signals.drain) => played,
        () = signals.leave.cancelled() => Ok(Played::Stopped),
    };
    let cluster = arena.admin.cluster_info().await.ok();
    arena.close().await;
    let played = played?;
    let mut whole = report::common(began);
    let told = json!({
        "command": "compare", "brokers": cluster.map(|cluster| cluster.brokers.len()),
        "messages": args.messages, "size": args.size, "rounds": args.rounds,
        "partitions": args.partitions, "compression": args.compression,
        "linger_ms": u64::try_from(args.linger.as_millis()).unwrap_or(u64::MAX),
        "rows": rows.iter().map(described).collect::<Vec<_>>(), "missing": missing,
        "targets": targets(&rows),
    });
    if let (Some(whole), Value::Object(told)) = (whole.as_object_mut(), told) {
        whole.extend(told);
    }
    report::write_result(&result, &whole)?;
    output::unless_unread(match global.output {
        Output::Json => output::json(&whole),
        Output::Table => output::text(&page(&rows, &missing, &result)),
    })?;
    if played == Played::Stopped {
        tracing::error!("incomplete: stopped before all had their turns");
        return Ok(Exit::Incomplete);
    }
    let failed = rows.iter().any(|row| !row.failures.is_empty());
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// Whether all turns were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Played {
    All,
    Stopped,
}

/// The first signal ends it after the turn that is on, which does not count: a terminal gives it to the
/// tool, too.
async fn play(
    arena: &mut Arena,
    contestants: &[Contestant],
    rows: &mut [Row],
    rounds: u32,
    stop: &CancellationToken,
) -> anyhow::Result<Played> {
    arena.fill(contestants).await?;
    for round in 0..rounds {
        for turn in turns(contestants.len(), round) {
            let (contestant, row) = (&contestants[turn], &mut rows[turn]);
            let (side, name) = (contestant.side.name(), contestant.name);
            let turn = arena.turn(contestant).await;
            if stop.is_cancelled() {
                return Ok(Played::Stopped);
            }
            match turn {
                Ok(run) => {
                    let rate = run.messages_per_second / 1000.0;
                    tracing::info!("round {} of {rounds}: {side} {name}: {rate:.0} k/s", round + 1);
                    row.runs.push(run);
                }
                Err(reason) => {
                    tracing::error!("round {} of {rounds}: {side} {name}: {reason}", round + 1);
                    row.failures.push(reason);
                }
            }
        }
    }
    Ok(Played::All)
}

fn row(contestant: &Contestant) -> Row {
    let Contestant { name, side, .. } = contestant;
    Row { name: (*name).to_owned(), side: *side, runs: Vec::new(), failures: Vec::new() }
}

/// `produce`, `kurier`, or both: `produce kurier`.
fn matches(contestant: &Contestant, part: &str) -> bool {
    format!("{} {}", contestant.side.name(), contestant.name).contains(part)
}

fn why_not(part: &str, there: &[Contestant], missing: &[Missing]) -> String {
    if let Some(Missing { reason, .. }) = missing.iter().find(|it| it.name.contains(part)) {
        return reason.clone();
    }
    let names: Vec<String> =
        there.iter().map(|it| format!("{} {}", it.side.name(), it.name)).collect();
    format!("nobody has it in the name; there are: {}", names.join(", "))
}

fn described(row: &Row) -> Value {
    let mut described = json!(row);
    described["messages_per_second"] = json!(Figures::of(row));
    described
}

fn targets(rows: &[Row]) -> Vec<Value> {
    let told = TARGETS.iter().map(|target| {
        let ratio = reached(target, rows);
        json!({
            "side": target.side, "name": target.name, "beside": target.beside,
            "least": target.least, "ratio": ratio, "met": ratio.map(|ratio| target.least <= ratio),
        })
    });
    told.collect()
}

/// What people read.
fn page(rows: &[Row], missing: &[Missing], result: &Path) -> String {
    let mut page = String::new();
    for side in [Side::Produce, Side::Consume] {
        let (headings, cells) = table(rows, side);
        if !cells.is_empty() {
            page += &(output::tabled(&headings, &cells) + "\n");
        }
    }
    for target in TARGETS {
        if let Some(ratio) = reached(target, rows) {
            let (side, name, beside, least) =
                (target.side.name(), target.name, target.beside, target.least);
            let verdict = if least <= ratio { "met" } else { "MISSED" };
            page += &format!(
                "{side}: {name} / {beside} = {ratio:.2}, at least {least:.2}: {verdict}\n"
            );
        }
    }
    for Missing { name, reason } in missing {
        page += &format!("{name} did not take part: {reason}\n");
    }
    let failures = rows.iter().map(|row| row.failures.len()).sum::<usize>();
    if 0 < failures {
        page += &format!("{} that failed, in no figure\n", counted(failures as u64, "turn"));
    }
    page + &format!("everything is in {}\n", result.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing_and_what_was_missed_is_on_the_page() {
        let run = |rate| contest::Run {
            messages: 1,
            messages_per_second: rate,
            whole_seconds: 1.0,
            cost: super::super::cost::Cost::default(),
        };
        let row = |name: &str, rate| Row {
            name: name.to_owned(),
            side: Side::Produce,
            runs: vec![run(rate)],
            failures: Vec::new(),
        };
        let rows = [row(contest::RDKAFKA, 100.0), row(contest::KURIER, 90.0)];
        let missing = [Missing { name: contest::JAVA, reason: "it is not here".to_owned() }];
        let page = page(&rows, &missing, Path::new("out/result.json"));
        for line in [
            "produce: kurier / rdkafka_performance = 0.90, at least 0.95: MISSED\n",
            "kafka perf test did not take part: it is not here\n",
            "everything is in out/result.json\n",
        ] {
            assert!(page.contains(line), "{page}");
        }
        assert!(!page.contains("failed"), "{page}");
    }
}
