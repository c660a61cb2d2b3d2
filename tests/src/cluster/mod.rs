//! The cluster a scenario runs on: the embedded one, or three real nodes of Apache Kafka.

mod apache;
mod embedded;

use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kurier::{Admin, ClientConfig, NewTopic, NodeId, TopicDescription};

pub use apache::ApacheKafka;
pub use embedded::Embedded;

/// How long anything that a healthy machine does in seconds may take.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What an action on a cluster comes to.
pub type Done<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// Three nodes that can be hurt. Replication 3, two in-sync replicas at least, no unclean election.
pub trait TestCluster: Send + Sync {
    /// What it is, for a scenario that has to say on which kind it ran.
    fn kind(&self) -> Kind;
    /// The addresses of all nodes, dead or alive; they never change.
    fn bootstrap(&self) -> &str;
    /// The node dies at once: SIGKILL. Returns when it is dead.
    fn kill(&self, node: NodeId) -> Done<'_>;
    /// The node hands over what it leads and ends: SIGTERM.
    fn stop(&self, node: NodeId) -> Done<'_>;
    /// Starts a node that was killed or stopped. Returns when it answers.
    fn start(&self, node: NodeId) -> Done<'_>;
    /// Starts nodes that are down at once, which a cluster without a majority needs.
    fn start_all(&self) -> Done<'_>;
    /// The node does nothing any more and its sockets stay open: SIGSTOP. On the embedded cluster its
    /// replicas stop following.
    fn pause(&self, node: NodeId) -> Done<'_>;
    /// A paused node goes on.
    fn resume(&self, node: NodeId) -> Done<'_>;
}

/// What a [`TestCluster`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// kurier's, in this process.
    Embedded,
    /// Three processes of Apache Kafka.
    ApacheKafka,
}

/// The numbers of the nodes.
pub const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// The cluster for one scenario, whole and without topics. `KURIER_TEST_CLUSTER=apache-kafka` runs on
/// three nodes of Apache Kafka, whose jars are in the folder `KURIER_TEST_KAFKA_JARS`; they are started
/// once for a test binary, and scenarios take turns. Anything else is an embedded cluster of its own.
///
/// # Errors
/// When it does not start, or does not recover from the scenario before.
pub async fn cluster() -> anyhow::Result<Box<dyn TestCluster>> {
    match std::env::var("KURIER_TEST_CLUSTER").as_deref() {
        Err(_) | Ok("embedded") => Ok(Box::new(Embedded::start().await?)),
        Ok("apache-kafka") => {
            let jars = std::env::var("KURIER_TEST_KAFKA_JARS")
                .context("KURIER_TEST_KAFKA_JARS must name the folder with Kafka's jars")?;
            Ok(Box::new(apache::turn(jars.as_ref()).await?))
        }
        Ok(other) => bail!("KURIER_TEST_CLUSTER={other}: embedded and apache-kafka are possible"),
    }
}

/// An admin client of the cluster at `bootstrap`.
///
/// # Errors
/// When it can't be made.
pub fn admin(bootstrap: &str) -> anyhow::Result<Admin> {
    Ok(Admin::connect(&ClientConfig::new(bootstrap))?.with_timeout(Duration::from_secs(30)))
}

/// Creates a topic with three replicas and waits until every partition has all of them in sync.
///
/// # Errors
/// When that does not happen.
pub async fn create_topic(
    cluster: &dyn TestCluster,
    name: &str,
    partitions: u32,
) -> anyhow::Result<()> {
    let admin = admin(cluster.bootstrap())?;
    let topic = NewTopic::new(name).partitions(partitions).replication(3);
    admin.create_topic(&topic.config("min.insync.replicas", "2")).await?;
    let whole = wait_until_whole(&admin).await;
    admin.close().await;
    whole
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
    described?.partitions[partition].leader.context("the partition has no leader")
}

/// Waits until every partition of every topic has all its replicas in sync.
///
/// # Errors
/// What is still missing after [`PATIENCE`].
pub async fn wait_until_whole(admin: &Admin) -> anyhow::Result<()> {
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
