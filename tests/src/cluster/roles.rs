//! Faults are aimed at what a node does, not at its number.

use std::fmt;

use anyhow::Context as _;
use kurier::NodeId;

use super::{TestCluster, admin, leader};

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
    /// Who has it now. `None`: no node of this kind of cluster ever has it.
    ///
    /// # Errors
    /// When the cluster does not say, or nobody has it just now.
    pub async fn holder(&self, cluster: &dyn TestCluster) -> anyhow::Result<Option<NodeId>> {
        match self {
            Self::Leader(topic, partition) => leader(cluster, topic, *partition).await.map(Some),
            Self::Controller => cluster.controller().await,
            Self::Coordinator(group) => {
                let admin = admin(cluster.bootstrap())?;
                let described = admin.describe_group(group).await;
                admin.close().await;
                let coordinator = described?.coordinator.context("the group has no coordinator")?;
                Ok(Some(coordinator.id))
            }
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
