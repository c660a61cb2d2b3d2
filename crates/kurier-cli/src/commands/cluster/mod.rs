//! `kurier cluster`: an embedded cluster in the foreground, its nodes from outside, and the health of any.

mod health;

use std::io::ErrorKind;

use kurier_broker::control::{Action, Client, ControlError};
use kurier_broker::{EmbeddedCluster, StartError};
use serde_json::json;

use crate::args::{ClusterCommand, Global, Output};
use crate::exit::{Exit, UsageError};
use crate::output::{self, counted};
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
            if global.settings.is_secured_at_hand() {
                let reason = "the embedded cluster has no TLS, no SASL and no ACLs";
                return Err(UsageError(reason.to_owned()).into());
            }
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
            serve(builder.start().await.map_err(listening)?, global, signals).await
        }
        ClusterCommand::Kill { node } => act(Action::Kill, node, global).await,
        ClusterCommand::Stop { node } => act(Action::Stop, node, global).await,
        ClusterCommand::Start { node } => act(Action::Start, node, global).await,
        ClusterCommand::Info => info(global).await,
        ClusterCommand::Health { watch, exit_when_healthy } => {
            health::run(watch, exit_when_healthy, global, signals).await
        }
    }
}

/// What to do about a port that is taken.
fn listening(error: StartError) -> anyhow::Error {
    let is_taken = matches!(&error, StartError::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse);
    let error = anyhow::Error::from(error);
    if !is_taken {
        return error;
    }
    let message = format!("{error:#}; --port 0 takes free ports, --port PORT others");
    UsageError(message).into()
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
    control(global)?.act(action, node).await?;
    output::unless_unread(match global.output {
        Output::Json => output::json(&json!({ "node": node, "action": action.to_string() })),
        Output::Table => output::text(&format!("node {node}: {action}\n")),
    })?;
    Ok(Exit::Done)
}

/// Speaks to an embedded cluster, once the addresses make sense.
fn control(global: &Global) -> Result<Client, kurier::ConfigProblems> {
    global.client().admin_properties()?;
    Ok(Client::new(global.bootstrap(), global.admin_timeout()))
}

/// An embedded cluster tells of its nodes that are down as well; another Kafka of those that are up.
async fn info(global: &Global) -> anyhow::Result<Exit> {
    match control(global)?.info().await {
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
                    "cluster {} (embedded): {}, {}, {}\n",
                    info.cluster_id,
                    counted(info.topics, "topic"),
                    counted(info.partitions, "partition"),
                    counted(info.bytes, "byte"),
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
