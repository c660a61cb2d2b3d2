//! The topics of a scenario: created, widened, led, in sync.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use kurier::{Admin, NewTopic, NodeId, TopicDescription};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;

use super::{PATIENCE, TestCluster, admin, ask_until_right};

/// Creates a topic with three replicas, two of which must be in sync, and waits as [`create`] does.
///
/// # Errors
/// When that does not happen.
pub async fn create_topic(
    cluster: &dyn TestCluster,
    name: &str,
    partitions: u32,
) -> anyhow::Result<()> {
    let topic = NewTopic::new(name).partitions(partitions).replication(3);
    create(cluster, name, &topic.config("min.insync.replicas", "2")).await
}

/// Creates `topic`, which is called `name`, and waits until all replicas of its partitions are in sync and
/// every node knows of it: a client may ask any.
///
/// # Errors
/// When that does not happen.
pub async fn create(cluster: &dyn TestCluster, name: &str, topic: &NewTopic) -> anyhow::Result<()> {
    let creating = admin(cluster.bootstrap())?;
    creating.create_topic(topic).await?;
    let whole = wait_until_whole(&creating).await;
    creating.close().await;
    whole?;
    for node in cluster.bootstrap().split(',') {
        // Its first question goes to the one node that it has heard of.
        let asking = admin(node)?;
        let known = asking.wait_for_topic(name, PATIENCE).await;
        asking.close().await;
        known?;
    }
    Ok(())
}

/// Who leads a partition.
///
/// # Errors
/// When nobody does.
pub async fn leader(
    cluster: &dyn TestCluster,
    topic: &str,
    partition: usize,
) -> anyhow::Result<NodeId> {
    let admin = admin(cluster.bootstrap())?;
    let described = admin.describe_topic(topic).await;
    admin.close().await;
    let leader = described?.partitions.get(partition).and_then(|partition| partition.leader);
    leader.context("the partition has no leader")
}

/// Gives a topic more partitions, `partitions` in all, and waits until every node knows of them.
///
/// # Errors
/// What the cluster says.
pub async fn add_partitions(
    cluster: &dyn TestCluster,
    name: &str,
    partitions: usize,
) -> anyhow::Result<()> {
    let client: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap()).create()?;
    let wanted = NewPartitions::new(name, partitions);
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    for answer in client.create_partitions([&wanted], &options).await? {
        answer.map_err(|(name, code)| anyhow::anyhow!("add partitions to {name}: {code}"))?;
    }
    for node in cluster.bootstrap().split(',') {
        ask_until_right(node, async |admin| {
            let known = admin.describe_topic(name).await?.partitions.len();
            ensure!(known == partitions, "{node} knows of {known} partitions of {name}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Waits until every partition of every topic has all its replicas in sync.
///
/// # Errors
/// What is still missing after [`PATIENCE`].
pub async fn wait_until_in_sync(cluster: &dyn TestCluster) -> anyhow::Result<()> {
    let admin = admin(cluster.bootstrap())?;
    let whole = wait_until_whole(&admin).await;
    admin.close().await;
    whole
}

/// As [`wait_until_in_sync`], with a client that is there already.
pub(super) async fn wait_until_whole(admin: &Admin) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let missing = match admin.list_topics().await {
            Ok(topics) => match topics.iter().find(|topic| !is_whole(topic)) {
                None => return Ok(()),
                Some(topic) => format!("{topic:?}"),
            },
            Err(error) => error.to_string(),
        };
        if end < Instant::now() {
            bail!("after {PATIENCE:?} the cluster is not whole: {missing}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn is_whole(topic: &TopicDescription) -> bool {
    topic.partitions.iter().all(|it| it.leader.is_some() && it.isr.len() == it.replicas.len())
}
