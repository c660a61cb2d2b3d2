//! `kurier dlq list`: reads the topic to its end and counts; no group is joined.

use jiff::Timestamp;
use kurier::{Admin, ReadUntil, Selection, StartFrom, TopicReader};
use serde_json::{Value, json};

use super::census::Census;
use super::no_partition;
use crate::args::{By, Global, ListArgs, Output};
use crate::commands::{self, missing::explained};
use crate::exit::Exit;
use crate::output::{self, counted};
use crate::signals::Signals;

/// Counts up to the end that the topic has now.
///
/// # Errors
/// When the topic is not there or can't be read.
pub(super) async fn run(
    args: ListArgs,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let ListArgs { topic, by, chosen } = args;
    let selection = chosen.selection();
    let admin = commands::admin(global)?;
    let reader = open(&topic, &selection, &admin, global).await;
    admin.close().await;
    let mut reader = reader?;
    let mut census = Census::new(selection, Timestamp::now());
    let whole = loop {
        let record = tokio::select! {
            biased;
            () = signals.drain.cancelled() => break false,
            record = reader.next() => record,
        };
        let Some(record) = record else { break true };
        census.count(record?);
    };
    reader.close().await;
    output::unless_unread(match global.output {
        Output::Json => output::json(&as_json(&topic, &census)),
        Output::Table => output::text(&as_text(&topic, &census, by)),
    })?;
    if !whole {
        tracing::error!("incomplete: stopped before the end of the topic");
        return Ok(Exit::Incomplete);
    }
    Ok(signals.exit())
}

async fn open(
    topic: &str,
    selection: &Selection,
    admin: &Admin,
    global: &Global,
) -> anyhow::Result<TopicReader> {
    if let Some(partition) = selection.partition {
        let found = explained(admin, topic, admin.describe_topic(topic).await).await?;
        if found.partitions.iter().all(|one| one.partition != partition) {
            return Err(no_partition(topic, partition, found.partitions.len()).into());
        }
    }
    let (from, until) = (StartFrom::Earliest, ReadUntil::End);
    let reader = TopicReader::open(admin, &global.client(), topic, from, until).await;
    explained(admin, topic, reader).await
}

/// All counts, each with its name.
const ALL: [(By, &str); 4] =
    [(By::Error, "error"), (By::Source, "source"), (By::Cause, "cause"), (By::Age, "age")];

/// Rows of each count unless one count was asked for.
const ROWS_MAX: usize = 10;

fn as_json(topic: &str, census: &Census) -> Value {
    let counts = ALL.map(|(by, name)| {
        let rows = census.rows(by).into_iter();
        let rows: Vec<_> =
            rows.map(|(kind, count)| json!({ name: kind, "count": count })).collect();
        (format!("by_{name}"), Value::from(rows))
    });
    let mut object = json!({
        "topic": topic, "records": census.records, "dead_letters": census.letters,
        "foreign": census.foreign,
        "first_failure": census.failed.map(|(first, _)| first.to_string()),
        "last_failure": census.failed.map(|(_, last)| last.to_string()),
    });
    if let Value::Object(fields) = &mut object {
        fields.extend(counts);
    }
    object
}

fn as_text(topic: &str, census: &Census, only: Option<By>) -> String {
    let Census { records, letters, foreign, .. } = census;
    let mut text = format!(
        "{topic}: {} of {} read{}\n",
        counted(*letters, "dead letter"),
        counted(*records, "record"),
        match foreign {
            0 => String::new(),
            foreign => format!("; {foreign} not kurier's"),
        },
    );
    if let Some((first, last)) = census.failed {
        text += &format!("failed from {first} to {last}\n");
    }
    for (by, name) in ALL {
        let rows = census.rows(by);
        if rows.is_empty() || only.is_some_and(|only| only != by) {
            continue;
        }
        let shown = if only.is_some() { rows.len() } else { rows.len().min(ROWS_MAX) };
        let cells =
            rows[..shown].iter().map(|(kind, count)| vec![count.to_string(), output::flat(kind)]);
        text += "\n";
        text += &output::tabled(&["COUNT", &name.to_uppercase()], &cells.collect::<Vec<_>>());
        if shown < rows.len() {
            text += &format!("and {} more: --by {name} shows them\n", rows.len() - shown);
        }
    }
    text
}
