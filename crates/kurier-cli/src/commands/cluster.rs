//! `kurier cluster`: an embedded cluster in the foreground, its nodes from outside, and the health of any.

use std::time::Duration;

use kurier::TopicDescription;
use kurier_broker::EmbeddedCluster;
use kurier_broker::control::{Action, Client, ControlError};
use serde_json::json;

use crate::args::{ClusterCommand, Global, Output};
use crate::exit::{Exit, UsageError};
use crate::output;
use crate::signals::Signals;

/// Does what was asked.
///
/// # Errors
/// When it cannot be done.
pub async fn run(
    command: ClusterCommand,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    match command {
        ClusterCommand::Run { nodes, port, topics, memory } => {
            if port != 0 && port.checked_add(nodes - 1).is_none() {
                let reason = format!("--port {port}: {nodes} nodes need ports up to 65535 at most");
                return Err(UsageError(reason).into());
            }
            let builder = EmbeddedCluster::builder().nodes(nodes).port(port);
            let mut builder = builder.bytes_max(memory.saturating_mul(1 << 20));
            for topic in &topics {
                let (name, partitions) = named(topic)?;
                builder = builder.topic(name, partitions);
            }
            serve(builder.start().await?, global, signals).await
        }
        ClusterCommand::Kill { node } => act(Action::Kill, node, global).await,
        ClusterCommand::Stop { node } => act(Action::Stop, node, global).await,
        ClusterCommand::Start { node } => act(Action::Start, node, global).await,
        ClusterCommand::Info => info(global).await,
        ClusterCommand::Health { watch: true } => watch(global, signals).await,
        ClusterCommand::Health { watch: false } => health(global).await,
    }
}

fn named(topic: &str) -> Result<(&str, i32), UsageError> {
    let Some((name, partitions)) = topic.split_once(':') else { return Ok((topic, 3)) };
    let wrong = |_| UsageError(format!("--topic {topic}: expected NAME or NAME:PARTITIONS"));
    Ok((name, partitions.parse().map_err(wrong)?))
}

async fn serve(
    cluster: EmbeddedCluster,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let bootstrap = cluster.bootstrap();
    match global.output {
        Output::Json => output::json(&json!({ "event": "started", "bootstrap": bootstrap }))?,
        Output::Table => output::text(&format!(
            "an embedded cluster listens on {bootstrap}\nin memory: all messages are gone when it ends; Ctrl-C ends it\n"
        ))?,
    }
    signals.drain.cancelled().await;
    cluster.close().await;
    Ok(signals.exit())
}

async fn act(action: Action, node: i32, global: &Global) -> anyhow::Result<Exit> {
    Client::new(global.bootstrap(), global.admin_timeout()).act(action, node).await?;
    tracing::info!(%action, node, "done");
    Ok(Exit::Done)
}

/// An embedded cluster tells of its nodes that are down as well; another Kafka of those that are up.
async fn info(global: &Global) -> anyhow::Result<Exit> {
    match Client::new(global.bootstrap(), global.admin_timeout()).info().await {
        Ok(info) => {
            let state = |up| if up { "up" } else { "down" };
            if global.output == Output::Json {
                let nodes = info.nodes.iter().map(|node| {
                    json!({ "node": node.node, "address": node.address, "up": node.up, "frozen": node.frozen, "leads": node.leads })
                });
                output::json(&json!({
                    "cluster": info.cluster_id, "embedded": true, "nodes": nodes.collect::<Vec<_>>(),
                    "topics": info.topics, "partitions": info.partitions, "bytes": info.bytes,
                }))?;
            } else {
                output::text(&format!(
                    "cluster {} (embedded): {} topics, {} partitions, {} bytes\n",
                    info.cluster_id, info.topics, info.partitions, info.bytes
                ))?;
                let row = |node: &kurier_broker::NodeInfo| {
                    let leads = node.leads.to_string();
                    vec![
                        node.node.to_string(),
                        node.address.clone(),
                        state(node.up).to_owned(),
                        leads,
                    ]
                };
                let rows: Vec<_> = info.nodes.iter().map(row).collect();
                output::table(&["NODE", "ADDRESS", "STATE", "LEADS"], &rows)?;
            }
        }
        Err(ControlError::NotEmbedded(_)) => foreign(global).await?,
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Done)
}

async fn foreign(global: &Global) -> anyhow::Result<()> {
    let info = super::admin(global)?.cluster_info().await?;
    if global.output == Output::Json {
        let nodes = info
            .brokers
            .iter()
            .map(|broker| json!({ "node": broker.id.0, "address": broker.address(), "up": true }));
        output::json(&json!({
            "cluster": info.id, "embedded": false, "controller": info.controller.map(|id| id.0),
            "nodes": nodes.collect::<Vec<_>>(),
        }))?;
    } else {
        output::text(&format!("cluster {}\n", output::known(info.id)))?;
        let row = |broker: &kurier::Broker| {
            let role = if info.controller == Some(broker.id) { "controller" } else { "" };
            vec![broker.id.0.to_string(), broker.address(), role.to_owned()]
        };
        let rows: Vec<_> = info.brokers.iter().map(row).collect();
        output::table(&["NODE", "ADDRESS", "ROLE"], &rows)?;
    }
    Ok(())
}

async fn health(global: &Global) -> anyhow::Result<Exit> {
    let admin = super::admin(global)?;
    let health = Health::of(&admin.list_topics().await?);
    output::unless_unread(health.print(global.output))?;
    admin.close().await;
    Ok(health.exit())
}

/// Prints the health whenever it changes, until a signal; then the exit code is that of the last one. A
/// cluster that does not answer is one more thing that is wrong with it.
async fn watch(global: &Global, signals: &Signals) -> anyhow::Result<Exit> {
    let admin = super::admin(global)?;
    let mut last = None;
    while !signals.drain.is_cancelled() {
        let health = tokio::select! {
            () = signals.drain.cancelled() => break,
            topics = admin.list_topics() => match topics {
                Ok(topics) => Health::of(&topics),
                Err(error) => Health { problems: vec![error.to_string()], ..Health::default() },
            },
        };
        if last.as_ref() != Some(&health) {
            health.print(global.output)?;
            last = Some(health);
        }
        tokio::select! {
            () = signals.drain.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    admin.close().await;
    Ok(match last.as_ref().map(Health::exit) {
        Some(Exit::Done) | None => signals.exit(),
        Some(unhealthy) => unhealthy,
    })
}

/// Time between two looks of `--watch`.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is wrong with a cluster, and how large it is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Health {
    problems: Vec<String>,
    topics: usize,
    partitions: usize,
}

impl Health {
    fn of(topics: &[TopicDescription]) -> Self {
        Self {
            problems: topics.iter().flat_map(ailments).collect(),
            topics: topics.len(),
            partitions: topics.iter().map(|topic| topic.partitions.len()).sum(),
        }
    }

    fn print(&self, form: Output) -> std::io::Result<()> {
        let Self { problems, topics, partitions } = self;
        if form == Output::Json {
            output::json(&json!({ "healthy": problems.is_empty(), "problems": problems }))?;
        } else if problems.is_empty() {
            output::text(&format!(
                "healthy: {topics} topics, {partitions} partitions, every replica in sync\n"
            ))?;
        } else {
            output::text(&format!("{}\n", problems.join("\n")))?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        if self.problems.is_empty() { Exit::Done } else { Exit::Unhealthy }
    }
}

fn ailments(topic: &TopicDescription) -> Vec<String> {
    let ailing = topic.partitions.iter().filter_map(|it| {
        let (name, number) = (&topic.name, it.partition);
        match it.leader {
            None => Some(format!("{name} {number}: no leader")),
            Some(_) if it.isr.len() < it.replicas.len() => Some(format!(
                "{name} {number}: {} of {} replicas in sync",
                it.isr.len(),
                it.replicas.len()
            )),
            Some(_) => None,
        }
    });
    ailing.collect()
}
