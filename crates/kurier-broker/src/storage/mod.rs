//! Storage, pure: one log for each partition with replicas as cursors over it.
//!
//! A [`Partition`] owns a [`Log`](log::Log), the memory of idempotent producers, and for each replica the
//! offset up to which that replica has the log. Leader, in-sync set, high watermark and leader epochs
//! follow from these as in Apache Kafka, truncation to a new leader included; there is no second copy of
//! the data, and so no protection from the loss of the one process. Time is an argument; nothing here
//! does I/O.

mod batch;
mod log;
mod partition;
mod producers;
mod replica;
#[cfg(any(test, feature = "fuzzing"))]
pub mod testing;

pub use batch::BatchError;
pub use log::Stamp;
pub use partition::{
    AckState, Acks, AppendError, Appended, MoveError, Partition, PartitionSettings, Timestamps,
};
pub use replica::ReplicaInfo;

use std::fmt;

/// A node of the cluster, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub i32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
