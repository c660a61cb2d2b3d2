//! The embedded cluster as a [`TestCluster`].

use std::time::{Duration, Instant};

use anyhow::Context as _;
use kurier::NodeId;
use kurier_broker::{EmbeddedCluster, Faults, NodeError};

use super::{Asked, Done, Kind, PATIENCE, TestCluster};
use crate::proxy::Route;

/// Three nodes in this process.
#[derive(Debug)]
pub struct Embedded {
    cluster: EmbeddedCluster,
    bootstrap: String,
}

impl Embedded {
    /// Starts them on free ports.
    ///
    /// # Errors
    /// When they do not start.
    pub async fn start() -> anyhow::Result<Self> {
        let cluster = EmbeddedCluster::builder().start().await?;
        let bootstrap = cluster.bootstrap();
        Ok(Self { cluster, bootstrap })
    }

    /// Starts a node where it was. A client of another test may have its port for the moment.
    async fn start_again(&self, node: i32) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.cluster.start(node).await {
                Err(NodeError::Listen { .. }) if Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                started => return started.context("start"),
            }
        }
    }
}

impl TestCluster for Embedded {
    fn kind(&self) -> Kind {
        Kind::Embedded
    }

    fn version(&self) -> String {
        "embedded cluster".to_owned()
    }

    fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn kill(&self, node: NodeId) -> Done<'_> {
        Box::pin(async move { self.cluster.kill(node.0).await.context("kill") })
    }

    fn stop(&self, node: NodeId) -> Done<'_> {
        Box::pin(async move { self.cluster.stop(node.0).await.context("stop") })
    }

    fn start(&self, node: NodeId) -> Done<'_> {
        Box::pin(async move { self.start_again(node.0).await })
    }

    fn start_all(&self) -> Done<'_> {
        Box::pin(async move {
            for node in self.cluster.info().nodes.iter().filter(|node| !node.up) {
                self.start_again(node.node).await?;
            }
            Ok(())
        })
    }

    fn pause(&self, node: NodeId) -> Done<'_> {
        Box::pin(async move { self.cluster.freeze(node.0).await.context("freeze") })
    }

    fn resume(&self, node: NodeId) -> Done<'_> {
        Box::pin(async move { self.cluster.thaw(node.0).await.context("thaw") })
    }

    fn controller(&self) -> Asked<'_, Option<NodeId>> {
        Box::pin(async { Ok(None) })
    }

    fn routes(&self) -> Vec<Route> {
        Vec::new()
    }

    fn faults(&self) -> Option<Faults> {
        Some(self.cluster.faults())
    }
}
