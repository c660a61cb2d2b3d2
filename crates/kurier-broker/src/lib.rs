//! An embedded Kafka-protocol cluster for one process: demos, development and tests.
//!
//! Nodes can be killed, stopped, started and frozen, and what clients see then is what Apache Kafka
//! shows: elections, truncation, `acks=1` losses, rebalances. A cluster of machines is Apache Kafka;
//! this is none, and keeps everything in memory. Start at [`EmbeddedCluster`].

mod api;
mod cluster;
pub mod control;
mod core;
mod faults;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod group;
mod net;
mod settings;
mod state;
mod storage;
mod topic;
mod wire;

pub use cluster::{Builder, ClusterInfo, EmbeddedCluster, NodeError, NodeInfo, StartError};
pub use faults::{Fault, FaultAction, FaultError, FaultHandle, Faults};
/// An error as Kafka's answers name it.
pub use kafka_protocol::error::ResponseError;
/// What a request asks for, by Kafka's names.
pub use kafka_protocol::messages::ApiKey as Api;
pub use storage::MoveError;
pub use topic::TopicError;
