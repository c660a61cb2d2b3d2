//! `kurier topic create`: a topic that keeps what it acknowledges, unless it was asked for otherwise.

use std::time::Duration;

use kurier::{Admin, ClusterInfo, NewTopic};
use serde_json::{Map, Value, json};

use crate::args::{CreateArgs, Output};
use crate::output::{self, counted};

const MIN_ISR: &str = "min.insync.replicas";
/// With so many replicas two of them must have a message before it is acknowledged: one broker may then
/// be down and another die.
const SAFE_REPLICAS: u16 = 3;

/// How long a broker gets to show its settings.
const ANSWER: Duration = Duration::from_secs(2);

/// Creates it, and says what was set that was not asked for.
///
/// # Errors
/// When it cannot be done.
pub async fn run(args: CreateArgs, admin: &Admin, form: Output) -> anyhow::Result<()> {
    let CreateArgs { name, partitions, replication, mut configs } = args;
    let cluster = admin.cluster_info().await?;
    let replication = match replication {
        Some(replication) => replication,
        None => u16::try_from(cluster.brokers.len().clamp(1, usize::from(SAFE_REPLICAS)))?,
    };
    let given = configs.iter().any(|(key, _)| key == MIN_ISR);
    if SAFE_REPLICAS <= replication && !given && !keeps_two(admin, &cluster).await {
        configs.push((MIN_ISR.to_owned(), "2".to_owned()));
    }
    let topic = NewTopic::new(&name).partitions(partitions).replication(replication);
    let topic = configs.iter().fold(topic, |topic, (key, value)| topic.config(key, value));
    admin.create_topic(&topic).await?;
    match form {
        Output::Json => {
            let set: Map<String, Value> =
                configs.into_iter().map(|(key, value)| (key, value.into())).collect();
            output::json(&json!({
                "topic": name, "partitions": partitions, "replication": replication, "set": set,
            }))?;
        }
        Output::Table => {
            let (partitions, replicas) =
                (counted(partitions, "partition"), counted(replication, "replica"));
            let set = configs.iter().map(|(key, value)| format!(", {key}={value}"));
            let set: String = set.collect();
            output::text(&format!("created {name}: {partitions}, {replicas}{set}\n"))?;
        }
    }
    Ok(())
}

/// Whether the brokers themselves ask for two or more: theirs may be more than we would set. One that
/// does not show its settings, or has just died, is taken to ask for one.
async fn keeps_two(admin: &Admin, cluster: &ClusterInfo) -> bool {
    let Some(broker) = cluster.brokers.first() else { return false };
    let asked = tokio::time::timeout(ANSWER, admin.broker_configs(broker.id)).await;
    let configs = asked.ok().and_then(Result::ok).unwrap_or_default();
    let found = configs.iter().find(|config| config.name == MIN_ISR);
    let value = found.and_then(|config| config.value.as_deref()?.parse::<u32>().ok());
    value.is_some_and(|value| 2 <= value)
}
