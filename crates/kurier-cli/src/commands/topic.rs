//! `kurier topic`: create, list, describe, delete. What `tail` does is in `tail`.

use kurier::{NewTopic, NodeId, ReadUntil, TopicReader};
use serde_json::json;

use super::tail;
use crate::args::{Global, Output, TopicCommand};
use crate::exit::Exit;
use crate::output::{self, known};
use crate::signals::Signals;

/// Does what was asked.
///
/// # Errors
/// When it cannot be done.
pub async fn run(
    command: TopicCommand,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let admin = super::admin(global)?;
    let is_json = global.output == Output::Json;
    match command {
        TopicCommand::Create { name, partitions, replication, configs } => {
            let replication = match replication {
                Some(replication) => replication,
                None => u16::try_from(admin.cluster_info().await?.brokers.len().clamp(1, 3))?,
            };
            let mut topic = NewTopic::new(&name).partitions(partitions).replication(replication);
            for (key, value) in configs {
                topic = topic.config(key, value);
            }
            admin.create_topic(&topic).await?;
            if is_json {
                output::json(
                    &json!({ "topic": name, "partitions": partitions, "replication": replication }),
                )?;
            } else {
                output::text(&format!(
                    "created {name}: {partitions} partitions, {replication} replicas\n"
                ))?;
            }
        }
        TopicCommand::List => {
            for topic in admin.list_topics().await?.iter().filter(|topic| !topic.internal) {
                let partitions = topic.partitions.len();
                if is_json {
                    output::json(&json!({ "topic": topic.name, "partitions": partitions }))?;
                } else {
                    output::text(&format!("{}\n", topic.name))?;
                }
            }
        }
        TopicCommand::Describe { name } => describe(&admin, &name, is_json).await?,
        TopicCommand::Delete { name } => {
            admin.delete_topic(&name).await?;
            tracing::info!(topic = name, "deleted");
        }
        TopicCommand::Tail { name, from, decode, exit_at_end } => {
            let until = if exit_at_end { ReadUntil::End } else { ReadUntil::Closed };
            let config = global.client();
            let reader = TopicReader::open(&admin, &config, &name, from, until).await?;
            admin.close().await;
            return tail::run(reader, decode, signals).await;
        }
    }
    admin.close().await;
    Ok(Exit::Done)
}

async fn describe(admin: &kurier::Admin, name: &str, is_json: bool) -> anyhow::Result<()> {
    let topic = admin.describe_topic(name).await?;
    let configs = admin.topic_configs(name).await?;
    // A partition without a leader has no offsets to show; the rest of the picture is still wanted.
    let offsets = admin.watermarks(name).await.unwrap_or_default();
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<_>>();
    if is_json {
        let partitions = topic.partitions.iter().map(|it| {
            let offsets = offsets.get(&it.partition);
            json!({
                "partition": it.partition.0, "leader": it.leader.map(|node| node.0),
                "replicas": ids(&it.replicas), "isr": ids(&it.isr),
                "earliest": offsets.map(|offsets| offsets.earliest.0), "end": offsets.map(|offsets| offsets.end.0),
            })
        });
        let configs: serde_json::Map<_, _> =
            configs.iter().map(|it| (it.name.clone(), json!(it.value))).collect();
        output::json(&json!({
            "topic": name, "partitions": partitions.collect::<Vec<_>>(), "configs": configs,
        }))?;
        return Ok(());
    }
    let list =
        |nodes: &[NodeId]| ids(nodes).iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let rows = topic.partitions.iter().map(|it| {
        let offsets = offsets.get(&it.partition);
        vec![
            it.partition.to_string(),
            known(it.leader.map(|node| node.0)),
            list(&it.replicas),
            list(&it.isr),
            known(offsets.map(|offsets| offsets.earliest.0)),
            known(offsets.map(|offsets| offsets.end.0)),
        ]
    });
    let headings = ["PARTITION", "LEADER", "REPLICAS", "IN SYNC", "EARLIEST", "END"];
    output::table(&headings, &rows.collect::<Vec<_>>())?;
    let set = configs.iter().filter(|it| it.source == kurier::ConfigSource::Topic);
    for config in set {
        output::text(&format!("{}={}\n", config.name, known(config.value.as_ref())))?;
    }
    Ok(())
}
