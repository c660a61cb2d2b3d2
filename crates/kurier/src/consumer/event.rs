//! What a consumer tells while it runs.

use std::sync::Arc;
use std::time::Duration;

use super::StoppedPartition;
use crate::{DeadLetterCause, Offset, Receipt, TopicPartition};

/// Something happened in a running consumer. Told to the function given to
/// [`on_event`](super::ConsumerBuilder::on_event), from the thread or task it happened on: the function
/// must not block. Should it panic, that is logged, and the consumer goes on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConsumerEvent {
    /// No broker answers. Said once; the consumer goes on trying for as long as it takes.
    WaitingForCluster {
        /// What the client last said.
        reason: String,
    },
    /// The cluster answers, but these topics do not exist. Said once; they are read once they do.
    WaitingForTopics {
        /// The missing ones.
        topics: Vec<String>,
    },
    /// The cluster, or the topics, that were waited for are there.
    ClusterBack,
    /// A rebalance gave this instance partitions, possibly none.
    Assigned {
        /// The new ones.
        partitions: Vec<TopicPartition>,
        /// All it has now, in order.
        owned: Vec<TopicPartition>,
    },
    /// A rebalance took partitions away; what was handled had been committed before, as far as
    /// [`ConsumerEvent::CommitFailed`] does not say otherwise.
    Revoked {
        /// The ones that are gone.
        partitions: Vec<TopicPartition>,
        /// All it has now, in order.
        owned: Vec<TopicPartition>,
    },
    /// The group took partitions away without asking (this member was taken for dead). What was not
    /// committed is delivered again, to whoever has them now.
    Lost {
        /// The ones that are gone.
        partitions: Vec<TopicPartition>,
        /// All it has now, in order.
        owned: Vec<TopicPartition>,
    },
    /// The topic was deleted and made anew while it was read. Its partition begins at the beginning, whatever was
    /// handled of the old one; messages that came before this was noticed are handled again.
    TopicReplaced {
        /// The partition.
        partition: TopicPartition,
        /// The new topic's first offset.
        beginning: Offset,
    },
    /// The handler is called with this message.
    HandlingStarted {
        /// Its partition.
        partition: TopicPartition,
        /// Its offset.
        offset: Offset,
        /// Which attempt in this process it is, from 1.
        attempt: u32,
    },
    /// The handler has handled this message.
    Handled {
        /// Its partition.
        partition: TopicPartition,
        /// Its offset.
        offset: Offset,
        /// The attempt that succeeded, from 1.
        attempt: u32,
    },
    /// The handler failed and will be called again with this message.
    Retrying {
        /// Its partition.
        partition: TopicPartition,
        /// Its offset; of a batch, the first that failed.
        offset: Offset,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// The pause before the next one.
        pause: Duration,
        /// What the handler said.
        reason: String,
    },
    /// A message can't be handled, and its copy is in the dead-letter topic: it counts as handled.
    DeadLettered {
        /// Its partition.
        partition: TopicPartition,
        /// Its offset.
        offset: Offset,
        /// How often it was tried.
        attempts: u32,
        /// Why it was given up.
        cause: DeadLetterCause,
        /// What was said of it last.
        reason: String,
        /// Where the copy stands.
        receipt: Receipt,
    },
    /// The copy of a message is not acknowledged after 2 s; its partition waits for that, for as long as it
    /// takes. Said once for a message.
    DeadLetterWaiting {
        /// Its partition.
        partition: TopicPartition,
        /// Its offset.
        offset: Offset,
        /// The dead-letter topic.
        topic: Arc<str>,
        /// What is known of the reason.
        reason: String,
    },
    /// A message can't be handled; its partition goes no further in this process.
    PartitionStopped(StoppedPartition),
    /// The group has stored this position.
    Committed {
        /// The partition.
        partition: TopicPartition,
        /// The next offset the group would read.
        offset: Offset,
    },
    /// The group did not store this position. Unless the partition is lost, it is tried again.
    CommitFailed {
        /// The partition.
        partition: TopicPartition,
        /// The position that was not stored.
        offset: Offset,
        /// Why.
        reason: String,
    },
    /// Messages were handled after their partition had been taken away. They settle nothing here, and
    /// are delivered again to the next owner.
    HandledTooLate {
        /// The partition.
        partition: TopicPartition,
    },
    /// Intake has ended; handlers finish, positions are committed, the group is left.
    Closing,
}

/// The function that is told of them.
pub(crate) type Listener = crate::listener::Listener<ConsumerEvent>;
