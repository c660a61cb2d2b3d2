//! `kurier group lag`: how far a group is behind, and what that figure leaves out.

use std::collections::BTreeMap;

use kurier::{Admin, GroupLag, LagRow, TopicPartition};
use serde_json::{Value, json};

use super::{is_missing, rows};
use crate::args::{Global, Watch};
use crate::commands::watch::{self, Sight};
use crate::exit::Exit;
use crate::output::{self, counted, known};
use crate::signals::Signals;

/// Prints it once, or again and again.
///
/// # Errors
/// When it cannot be done.
pub async fn run(
    group: &str,
    every: &Watch,
    admin: &Admin,
    (global, signals): (&Global, &Signals),
) -> anyhow::Result<Exit> {
    watch::look(every, global, signals, is_missing, async || {
        let lag = admin.lag(group).await?;
        let uncounted = uncounted(&lag);
        let total: i64 = lag.rows.iter().filter_map(LagRow::lag).sum();
        let text = if every.watch {
            drawn(&lag, total, &uncounted)
        } else {
            if !uncounted.is_empty() {
                tracing::warn!("{}", left_out(&uncounted));
            }
            format!("{total}\n")
        };
        Ok(Sight { text, objects: vec![object(&lag, total, &uncounted)] })
    })
    .await
}

/// The partitions that are not in the total, and why.
fn uncounted(lag: &GroupLag) -> Vec<(&TopicPartition, &'static str)> {
    let rows = lag.rows.iter().filter(|row| row.lag().is_none());
    let rows = rows.map(|row| match row.committed {
        None => (&row.partition, NO_COMMIT),
        Some(_) => (&row.partition, "whose end is not known"),
    });
    let mut all: Vec<_> = rows.chain(lag.untouched.iter().map(|it| (it, NO_COMMIT))).collect();
    all.sort();
    all
}

/// Where a consumer begins there is its own choice, so that no figure would be true.
const NO_COMMIT: &str = "without a commit";

fn left_out(uncounted: &[(&TopicPartition, &str)]) -> String {
    const NAMED_MAX: usize = 10;
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (partition, reason) in uncounted {
        by_reason.entry(reason).or_default().push(partition.to_string());
    }
    let reasons = by_reason.into_iter().map(|(reason, partitions)| {
        let more = match partitions.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = partitions[..partitions.len().min(NAMED_MAX)].join(", ");
        format!("{} {reason}: {named}{more}", counted(partitions.len(), "partition"))
    });
    format!("not in the total: {}", reasons.collect::<Vec<_>>().join("; "))
}

fn object(lag: &GroupLag, total: i64, uncounted: &[(&TopicPartition, &str)]) -> Value {
    let uncounted = uncounted.iter().map(|(it, reason)| {
        json!({ "topic": &*it.topic, "partition": it.partition.0, "reason": reason })
    });
    json!({
        "group": lag.group.name, "state": lag.group.state.name(), "lag": total, "partitions": rows(lag),
        "uncounted": uncounted.collect::<Vec<_>>(),
    })
}

fn drawn(lag: &GroupLag, total: i64, uncounted: &[(&TopicPartition, &str)]) -> String {
    let row = |row: &LagRow| {
        vec![
            row.partition.topic.to_string(),
            row.partition.partition.to_string(),
            known(row.committed.map(|offset| offset.0)),
            known(row.end.map(|offset| offset.0)),
            known(row.lag()),
            known(row.member.as_ref().map(|member| &member.client_id)),
        ]
    };
    let headings = ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "CLIENT"];
    let table = output::tabled(&headings, &lag.rows.iter().map(row).collect::<Vec<_>>());
    let group = &lag.group;
    let rest = if uncounted.is_empty() { String::new() } else { left_out(uncounted) + "\n" };
    format!("group {}: {}, lag {total}\n{table}{rest}", group.name, group.state)
}
