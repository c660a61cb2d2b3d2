//! Faults are aimed at what a node does, not at its number.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use kurier::{Admin, NodeId};

use super::{PATIENCE, TestCluster, ask_until_right};

/// Something that one node at a time does for the others or for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Leads this partition of this topic.
    Leader(String, usize),
    /// Is the active controller.
    Controller,
    /// Coordinates this group.
    Coordinator(String),
}

impl Role {
    /// Who has it; waits while nobody has it just now. `None`: no node of this kind of cluster ever has.
    ///
    /// # Errors
    /// What the cluster says instead after [`PATIENCE`].
    pub async fn holder(&self, cluster: &dyn TestCluster) -> anyhow::Result<Option<NodeId>> {
        let bootstrap = cluster.bootstrap();
        match self {
            Self::Leader(topic, partition) => {
                let ask = async |admin: &Admin| {
                    let described = admin.describe_topic(topic).await?;
                    described.partitions[*partition].leader.context("it has no leader")
                };
                ask_until_right(bootstrap, ask).await.map(Some)
            }
            Self::Controller => cluster.controller().await,
            Self::Coordinator(group) => {
                let ask = async |admin: &Admin| {
                    let described = admin.describe_group(group).await?;
                    Ok(described.coordinator.context("the group has no coordinator")?.id)
                };
                ask_until_right(bootstrap, ask).await.map(Some)
            }
        }
    }

    /// Waits until another node than `before` has it, and says which.
    ///
    /// # Errors
    /// When none has it within [`PATIENCE`], or no node of this kind of cluster ever has it.
    pub async fn passes_on(
        &self,
        cluster: &dyn TestCluster,
        before: NodeId,
    ) -> anyhow::Result<NodeId> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.holder(cluster).await {
                Ok(None) => bail!("nobody is ever {self} here"),
                Ok(Some(now)) if now != before => return Ok(now),
                last => ensure!(Instant::now() < end, "{self} does not leave {before}: {last:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader(topic, partition) => write!(f, "leader of {topic}/{partition}"),
            Self::Controller => f.write_str("controller"),
            Self::Coordinator(group) => write!(f, "coordinator of {group}"),
        }
    }
}
