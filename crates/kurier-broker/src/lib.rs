//! An embedded Kafka-protocol cluster for one process: demos, development and tests.
//!
//! Nodes can be killed, stopped, started and frozen, and what clients see then is what Apache Kafka
//! shows: elections, truncation, `acks=1` losses, rebalances. A cluster of machines is Apache Kafka;
//! this is none, and keeps everything in memory. Start at [`EmbeddedCluster`].

mod api;
mod cluster;
pub mod control;
mod core;
mod group;
mod net;
mod state;
mod storage;
mod topic;
mod wire;

pub use cluster::{Builder, ClusterInfo, EmbeddedCluster, NodeError, NodeInfo, StartError};
pub use topic::TopicError;
