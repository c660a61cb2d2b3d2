//! The cluster a scenario runs on: the embedded one, or three real nodes of Apache Kafka.

mod apache;
mod control;
mod embedded;
mod exchange;
mod quorum;
mod roles;
pub mod secured;
mod topics;

use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kurier::{Admin, ClientConfig, NodeId};
use kurier_broker::Faults;

use crate::proxy::Route;

pub use apache::ApacheKafka;
pub use control::Control;
pub use embedded::Embedded;
pub use roles::Role;
pub use secured::Secured;
use topics::wait_until_whole;
pub use topics::{add_partitions, create, create_topic, leader, wait_until_in_sync};

/// How long anything that a healthy machine does in seconds may take.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What a question to a cluster comes to.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = anyhow::Result<T>> + Send + 'a>>;

/// What an action on a cluster comes to.
pub type Done<'a> = Asked<'a, ()>;

/// Three nodes that can be hurt. Replication 3, two in-sync replicas at least, no unclean election.
pub trait TestCluster: Send + Sync {
    /// What it is, for a scenario that has to say on which kind it ran.
    fn kind(&self) -> Kind;
    /// Whose it is and in which version, for the table of results.
    fn version(&self) -> String;
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
    /// The active controller. `None` on the embedded cluster: its nodes share one state, and none of them
    /// is missed as a controller.
    fn controller(&self) -> Asked<'_, Option<NodeId>>;
    /// What a [`Proxy`](crate::proxy::Proxy) before the nodes has to join. Empty on the embedded cluster,
    /// which tells clients its own ports; faults of the network are hooks within it.
    fn routes(&self) -> Vec<Route>;
    /// What the embedded cluster does wrong on request. `None` on Apache Kafka.
    fn faults(&self) -> Option<Faults> {
        None
    }
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
        Ok("apache-kafka") => Ok(Box::new(apache::turn(&jars()?).await?)),
        Ok(other) => bail!("KURIER_TEST_CLUSTER={other}: embedded and apache-kafka are possible"),
    }
}

/// One node of Apache Kafka with TLS, SASL and ACLs, started once for a test binary. `None` where scenarios
/// run on the embedded cluster, which has none of them.
///
/// # Errors
/// When it does not start.
pub async fn secured() -> anyhow::Result<Option<&'static Secured>> {
    static SHARED: tokio::sync::OnceCell<Secured> = tokio::sync::OnceCell::const_new();
    if std::env::var("KURIER_TEST_CLUSTER").as_deref() != Ok("apache-kafka") {
        return Ok(None);
    }
    SHARED.get_or_try_init(async || Secured::start(&jars()?).await).await.map(Some)
}

fn jars() -> anyhow::Result<PathBuf> {
    let jars = std::env::var("KURIER_TEST_KAFKA_JARS")
        .context("KURIER_TEST_KAFKA_JARS must name the folder with Kafka's jars")?;
    Ok(jars.into())
}

/// An admin client of the cluster at `bootstrap`.
///
/// # Errors
/// When it can't be made.
pub fn admin(bootstrap: &str) -> anyhow::Result<Admin> {
    Ok(Admin::connect(&ClientConfig::new(bootstrap))?.with_timeout(Duration::from_secs(30)))
}

/// Asks until the answer is right.
///
/// # Errors
/// What was wrong with the last answer, after [`PATIENCE`].
pub async fn ask_until_right<T>(
    bootstrap: &str,
    question: impl AsyncFn(&Admin) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let admin = admin(bootstrap)?.with_timeout(Duration::from_secs(5));
    let end = Instant::now() + PATIENCE;
    loop {
        match question(&admin).await {
            Ok(answer) => {
                admin.close().await;
                return Ok(answer);
            }
            Err(error) if end < Instant::now() => {
                return Err(error.context(format!("not right after {PATIENCE:?}")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
