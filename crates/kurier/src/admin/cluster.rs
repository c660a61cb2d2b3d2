//! The cluster itself: who its brokers are.

use std::fmt;

use super::Admin;
use crate::ClientError;
use crate::sys::Topics;

/// A broker's number within its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub i32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A broker and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broker {
    /// Its number.
    pub id: NodeId,
    /// The host it tells clients to connect to; empty when it is not known.
    pub host: String,
    /// The port it tells clients to connect to; 0 when it is not known.
    pub port: u16,
}

impl Broker {
    /// `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// The cluster as one of its brokers sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterInfo {
    /// The cluster's id; old brokers have none.
    pub id: Option<String>,
    /// The controller, or the broker that stands for it: a KRaft cluster answers with any broker. None
    /// while there is none.
    pub controller: Option<NodeId>,
    /// The brokers that are alive, by number.
    pub brokers: Vec<Broker>,
}

impl Admin {
    /// The cluster's id, controller and brokers.
    ///
    /// # Errors
    /// [`ClientError`], [`Unreachable`](ClientError::Unreachable) above all.
    pub async fn cluster_info(&self) -> Result<ClusterInfo, ClientError> {
        let topics = Topics::None;
        Ok(self.metadata(self.deadline(), "describe the cluster", &topics).await?.cluster)
    }
}
