//! Faults on request: what a cluster is told to do wrong, to whom, how often, and how often it did.
//!
//! Here is the face and its lock; which rule meets which request is decided in [`rules`], and what a
//! client then gets in [`api::faulty`](crate::api).

pub(crate) mod rules;

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use tokio::sync::watch;

use crate::core::Core;
use crate::storage::NodeId;
use crate::wire::versions;

use rules::RuleId;

/// Which requests a fault is for: those of one API, narrowed by what is named besides.
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use kurier_broker::{Api, EmbeddedCluster, Fault, FaultAction};
///
/// let cluster = EmbeddedCluster::builder().topic("orders", 3).start().await?;
/// let three = Fault::on(Api::Produce).client("shop").topic("orders").times(3);
/// let fault = cluster.faults().add(three, FaultAction::DropReply)?;
/// // … a producer named "shop" is at work, and asks again for what it was not told …
/// assert_eq!(fault.fired(), 0);
/// fault.clear();
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    api: ApiKey,
    client: Option<String>,
    node: Option<i32>,
    topic: Option<String>,
    times: Option<u64>,
}

/// What happens to a request that a fault is for.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultAction {
    /// It is not processed, and answered with this error where Kafka puts it for that API: on each
    /// partition, topic, group or resource that it names, or on the whole. With
    /// [`Fault::topic`] only that topic's part of it is; the rest is processed. A write that wants no
    /// answer (`acks=0`) closes its connection instead, as in Kafka.
    Error(ResponseError),
    /// It waits so long before it is processed, and those behind it on the connection with it. A client
    /// that goes away meanwhile takes it along.
    Delay(Duration),
    /// It is not processed, and its connection is closed.
    Drop,
    /// It is processed, with all waiting that belongs to it, and its connection closed in place of the
    /// answer.
    DropReply,
    /// For Produce: nothing of the batches is appended, and each is answered `INVALID_RECORD` with these
    /// records as the culprits, from version 8 on (KIP-467).
    InvalidRecords {
        /// Which records of the batch, from 0 and rising.
        indexes: Vec<i32>,
        /// What is wrong with each.
        message: String,
    },
    /// For Metadata with [`Fault::topic`]: as if there were no such topic. Asked for by name it is
    /// `UNKNOWN_TOPIC_OR_PARTITION`, and a list of all topics is without it.
    HideTopic,
}

/// Why a fault was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// The cluster does not speak this API, so it knows no place for an error in its answers.
    #[error("{0:?} is not spoken here")]
    NotSpoken(ApiKey),
    /// The answers of this API are not given topic by topic.
    #[error("{0:?} is not answered topic by topic")]
    NotByTopic(ApiKey),
    /// [`FaultAction::InvalidRecords`] with another API than Produce.
    #[error("only Produce is answered with records that are invalid, not {0:?}")]
    NoRecords(ApiKey),
    /// [`FaultAction::HideTopic`] with another API than Metadata, or without a topic.
    #[error("a topic is hidden from Metadata, and must be named")]
    NothingToHide,
    /// There is no such node.
    #[error("there is no node {0}")]
    Node(i32),
}

/// The faults of a cluster; see [`EmbeddedCluster::faults`](crate::EmbeddedCluster::faults).
///
/// Each request is held against the faults in the order they were added. Every one that is for it
/// fires, until one ends it: a drop, or an error for all that is left of it.
#[derive(Debug, Clone)]
pub struct Faults {
    core: Arc<Core>,
}

/// One fault that was added. It stays when this is dropped: until it is cleared, has fired as often as
/// it may, or the cluster is gone.
#[derive(Debug, Clone)]
pub struct FaultHandle {
    core: Arc<Core>,
    id: RuleId,
    fired: watch::Receiver<u64>,
}

impl Fault {
    /// Every request of this API, to any node, without end.
    #[must_use]
    pub fn on(api: ApiKey) -> Self {
        Self { api, client: None, node: None, topic: None, times: None }
    }

    /// Only of clients that call themselves so (`client.id`).
    #[must_use]
    pub fn client(mut self, client_id: impl Into<String>) -> Self {
        self.client = Some(client_id.into());
        self
    }

    /// Only to this node.
    #[must_use]
    pub fn node(mut self, node: i32) -> Self {
        self.node = Some(node);
        self
    }

    /// Only where this topic is concerned.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Only for so many requests, then no more.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }
}

impl Faults {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Adds a fault; requests that come from now on meet it.
    ///
    /// # Errors
    /// When it could never be shown: see [`FaultError`].
    pub fn add(&self, fault: Fault, action: FaultAction) -> Result<FaultHandle, FaultError> {
        self.check(&fault, &action)?;
        let (id, fired) = self.core.faults().add(fault, action);
        Ok(FaultHandle { core: Arc::clone(&self.core), id, fired })
    }

    /// Ends all faults.
    pub fn clear_all(&self) {
        self.core.faults().clear_all();
    }

    fn check(&self, fault: &Fault, action: &FaultAction) -> Result<(), FaultError> {
        let api = fault.api;
        if versions::find(api as i16).is_none() {
            return Err(FaultError::NotSpoken(api));
        }
        if fault.topic.is_some() && !BY_TOPIC.contains(&api) {
            return Err(FaultError::NotByTopic(api));
        }
        match action {
            FaultAction::InvalidRecords { .. } if api != ApiKey::Produce => {
                return Err(FaultError::NoRecords(api));
            }
            FaultAction::HideTopic if api != ApiKey::Metadata || fault.topic.is_none() => {
                return Err(FaultError::NothingToHide);
            }
            _ => {}
        }
        match fault.node {
            Some(node) if !self.core.lock().nodes.contains_key(&NodeId(node)) => {
                Err(FaultError::Node(node))
            }
            _ => Ok(()),
        }
    }
}

impl FaultHandle {
    /// How often it has fired.
    #[must_use]
    pub fn fired(&self) -> u64 {
        *self.fired.borrow()
    }

    /// Waits until it has fired so often; false when it was cleared or used up before. Cancel safe.
    pub async fn reached(&self, times: u64) -> bool {
        self.fired.clone().wait_for(|fired| *fired >= times).await.is_ok()
    }

    /// Ends it. What it has done stays counted.
    pub fn clear(&self) {
        self.core.faults().clear(self.id);
    }
}

impl FaultAction {
    /// The error that it answers with, if it does.
    pub(crate) fn error(&self) -> Option<ResponseError> {
        match self {
            Self::Error(error) => Some(*error),
            Self::InvalidRecords { .. } => Some(ResponseError::InvalidRecord),
            Self::HideTopic => Some(ResponseError::UnknownTopicOrPartition),
            Self::Delay(_) | Self::Drop | Self::DropReply => None,
        }
    }
}

/// The APIs whose answers are given topic by topic, so that one topic's part can be an error.
pub(crate) const BY_TOPIC: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::CreatePartitions,
];
