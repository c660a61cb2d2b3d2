//! `kurier cluster health`: whether every partition has a leader and all its replicas.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kurier::{Admin, ClientError, NodeId, TopicDescription};
use serde_json::json;

use crate::args::{Global, Output};
use crate::commands;
use crate::commands::topic::Ailment;
use crate::exit::Exit;
use crate::output::{self, counted};
use crate::signals::Signals;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Prints the health once, or with one of the two whenever it changes, until it is good or for ever.
///
/// # Errors
/// When a single look fails, or standard output cannot be written.
pub async fn run(
    watch: bool,
    exit_when_healthy: bool,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let admin = commands::admin(global)?;
    let exit = if exit_when_healthy {
        // Without --timeout it waits as long as it takes, as one who starts a cluster wants it.
        let end = global.timeout.map(|timeout| Instant::now() + timeout);
        follow(&admin, &Until::Healthy(end), global.output, signals).await?
    } else if watch {
        follow(&admin, &Until::Stopped, global.output, signals).await?
    } else {
        let health = look(&admin).await?;
        output::unless_unread(health.print(global.output))?;
        health.exit()
    };
    admin.close().await;
    Ok(exit)
}

/// How long health is followed, beside signals.
enum Until {
    Stopped,
    /// Or until then.
    Healthy(Option<Instant>),
}

impl Until {
    /// Waits until it is time to end, if there is such a time.
    async fn over(&self) {
        match self {
            Self::Healthy(Some(end)) => tokio::time::sleep_until((*end).into()).await,
            Self::Healthy(None) | Self::Stopped => std::future::pending().await,
        }
    }
}

/// The exit code is that of the last look. A cluster that does not answer is one more thing that is wrong
/// with it.
async fn follow(
    admin: &Admin,
    until: &Until,
    form: Output,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let (mut last, mut is_over) = (None::<Health>, false);
    while !signals.drain.is_cancelled() {
        let health = tokio::select! {
            () = signals.drain.cancelled() => break,
            looked = look(admin) => looked.unwrap_or_else(|error| Health::unknown(&error)),
            // What was seen last stands; a first look has as long as the client waits for any answer.
            () = until.over(), if last.is_some() => break,
        };
        if last.as_ref() != Some(&health) {
            match health.print(form) {
                Err(error) if output::is_unread(&error) => {
                    // Who waits for health need not read of it; who watches has seen enough.
                    is_over = matches!(until, Until::Stopped);
                }
                printed => printed?,
            }
        }
        if matches!(until, Until::Healthy(_)) && health.exit() == Exit::Done {
            return Ok(Exit::Done);
        }
        last = Some(health);
        if is_over {
            break;
        }
        tokio::select! {
            () = signals.drain.cancelled() => {}
            () = until.over() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    Ok(match last.as_ref().map(Health::exit) {
        Some(Exit::Done) | None => signals.exit(),
        Some(unhealthy) => unhealthy,
    })
}

async fn look(admin: &Admin) -> Result<Health, ClientError> {
    let (topics, cluster) = (admin.list_topics().await?, admin.cluster_info().await?);
    let nodes = cluster.brokers.iter().map(|broker| broker.id).collect();
    Ok(Health::of(&topics, &nodes))
}

/// What is wrong with a cluster, and how large it is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Health {
    /// Nodes that hold replicas and are away.
    away: BTreeSet<NodeId>,
    problems: Vec<String>,
    topics: usize,
    partitions: usize,
    /// No broker answered.
    unreachable: bool,
}

impl Health {
    fn of(topics: &[TopicDescription], nodes: &BTreeSet<NodeId>) -> Self {
        let partitions = || topics.iter().flat_map(|topic| &topic.partitions);
        let replicas = partitions().flat_map(|partition| &partition.replicas).copied();
        let away: BTreeSet<NodeId> = replicas.filter(|node| !nodes.contains(node)).collect();
        let absent = away.iter().map(|node| {
            let its = partitions().filter(|partition| partition.replicas.contains(node)).count();
            format!("node {node} is away, with replicas of {}", counted(its, "partition"))
        });
        Self {
            problems: absent.chain(topics.iter().flat_map(ailments)).collect(),
            away,
            topics: topics.len(),
            partitions: topics.iter().map(|topic| topic.partitions.len()).sum(),
            unreachable: false,
        }
    }

    fn unknown(error: &ClientError) -> Self {
        let unreachable = matches!(error, ClientError::Unreachable { .. });
        Self { problems: vec![error.to_string()], unreachable, ..Self::default() }
    }

    fn print(&self, form: Output) -> std::io::Result<()> {
        let Self { problems, topics, partitions, .. } = self;
        if form == Output::Json {
            output::json(&json!({
                "healthy": problems.is_empty(), "problems": problems,
                "nodes_away": self.away.iter().map(|node| node.0).collect::<Vec<_>>(),
                "topics": topics, "partitions": partitions,
            }))?;
        } else if problems.is_empty() {
            let (topics, partitions) =
                (counted(*topics, "topic"), counted(*partitions, "partition"));
            output::text(&format!("healthy: {topics}, {partitions}, every replica in sync\n"))?;
        } else {
            output::text(&format!("{}\n", problems.join("\n")))?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        match (self.unreachable, self.problems.is_empty()) {
            (true, _) => Exit::Unreachable,
            (false, true) => Exit::Done,
            (false, false) => Exit::Unhealthy,
        }
    }
}

fn ailments(topic: &TopicDescription) -> Vec<String> {
    let ailing = topic.partitions.iter().filter_map(|it| {
        let (name, number) = (&topic.name, it.partition);
        if Ailment::Offline.is_of(it, None) {
            return Some(format!("{name} {number}: no leader"));
        }
        Ailment::UnderReplicated.is_of(it, None).then(|| {
            let (in_sync, all) = (it.isr.len(), it.replicas.len());
            let behind = it.replicas.iter().filter(|node| !it.isr.contains(node));
            let behind = behind.map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("{name} {number}: {in_sync} of {all} replicas in sync, not on {behind}")
        })
    });
    ailing.collect()
}
