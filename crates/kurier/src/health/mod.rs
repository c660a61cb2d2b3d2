//! How a client is, as data: what stands in its way, and what follows for liveness and readiness.
//!
//! Owns the public data ([`Health`], [`Condition`], [`Liveness`], [`Readiness`], [`InWork`]), the
//! handle they are read with ([`HealthHandle`]), the pure rules behind them (`observed`, `reading`,
//! `leaders`), and the question who leads (`asking`). What there is to observe is written down by the
//! clients.
//!
//! Readiness answers "does it do its work now?" and liveness "would a restart help?". So whatever the
//! cluster, a topic or a message is to blame for costs readiness alone.

mod asking;
mod handle;
mod leaders;
mod observed;
mod reading;
mod words;

use std::time::Duration;

pub(crate) use asking::LeaderWatch;
pub use handle::HealthHandle;
pub(crate) use handle::OwnHandle;
pub(crate) use observed::{Absence, Hand, Observed, PartitionObserved, Phase};
pub(crate) use reading::Reading;

use crate::{Ended, Offset, OutboxDamage, StoppedPartition, TopicPartition};

/// How a client is at one moment. `Display` says it in one line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// What stands in the way, the worst first; empty when nothing does.
    pub conditions: Vec<Condition>,
    /// The message that each busy handler has in its hands, the oldest first. A handler may take its
    /// time, so this costs neither liveness nor readiness; whether it takes too long is for the
    /// application to say.
    pub in_work: Vec<InWork>,
}

/// Something that keeps a client from its work. Every one costs readiness;
/// [`costs_liveness`](Self::costs_liveness) says which ones cost liveness too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// Another process has the same `group.instance.id`, and the group has taken its side (KIP-345).
    /// This one can't go on.
    Fenced {
        /// What the client said.
        reason: String,
    },
    /// The client can't go on.
    Failed {
        /// Why.
        reason: String,
    },
    /// The client's thread has not come round for `stall_after`: a call of librdkafka, or an event
    /// listener, does not come back.
    ThreadSilent {
        /// For how long.
        silent: Duration,
    },
    /// Nothing has been read from a partition for `stall_after`, though its lane has room and the
    /// partition's leader says that there is more.
    ReadingStalled {
        /// The partition.
        partition: TopicPartition,
        /// How far it was read; `None`: nothing of it was.
        reached: Option<Offset>,
        /// Where it ends.
        end: Offset,
        /// For how long.
        silent: Duration,
    },
    /// A partition goes no further here, for a message in it can't be handled. A restart would meet
    /// the same message, so this costs no liveness; but a rollout must not go on as if all were well,
    /// so it costs readiness.
    PartitionStopped(StoppedPartition),
    /// No broker answers.
    WaitingForCluster {
        /// What the client last said.
        reason: String,
        /// For how long.
        waited: Duration,
    },
    /// Messages can't be handled, and their copies are not acknowledged by the dead-letter topic: their
    /// partitions wait for that.
    DeadLetterWaiting {
        /// The dead-letter topic.
        topic: String,
        /// How many messages wait for it: one in each partition, or under each key, and what of its batch
        /// is given up and comes behind it.
        letters: usize,
        /// What is known of the reason.
        reason: String,
        /// For how long the first of them has waited.
        waited: Duration,
    },
    /// A producer's client could not go on; another one is made, and gets everything undelivered. Nothing
    /// is accepted meanwhile.
    Remaking {
        /// What was wrong with the last one.
        reason: String,
        /// For how long.
        waited: Duration,
    },
    /// A producer's outbox is full, or its disk fails: new messages wait or are refused, and what was
    /// accepted is safe.
    OutboxNotTaking {
        /// Why.
        reason: String,
        /// For how long.
        waited: Duration,
    },
    /// Bytes of a producer's outbox can't be read: a message that was accepted is lost with each place.
    /// They are kept aside, and the rest is delivered. It stays said for as long as the producer that found
    /// them lives; a rollout must not go on as if all were well.
    OutboxDamaged {
        /// The first place that was found.
        first: OutboxDamage,
        /// How many there are besides.
        more: u64,
    },
    /// The cluster answers, but these topics do not exist.
    WaitingForTopics {
        /// The missing ones, by name.
        topics: Vec<String>,
    },
    /// The cluster answers, but these partitions have had no leader for 5 s at least: every replica that
    /// could become one is down. What is sent to them waits, and nothing can be read from them; the others
    /// go on. A consumer asks about partitions of its share from which nothing comes, four times within
    /// `stall_after`; a producer, every ten seconds while something is unsent, and each second once it
    /// has said that nothing is delivered, about the topics that it has sent to.
    WithoutLeader {
        /// The first ten of them, by name.
        partitions: Vec<TopicPartition>,
        /// How many there are besides.
        more: usize,
        /// For how long the first of them to lose its leader has had none.
        waited: Duration,
    },
    /// The group has given this member nothing yet, not even an empty share; or it has taken it for
    /// dead, and the next share is not there yet.
    NotAssigned,
    /// Intake has ended: handlers finish what they have in their hands, positions are committed, the
    /// group is left.
    Draining,
    /// The run is over.
    Ended(Ended),
    /// `run` was not called yet.
    NotStarted,
}

impl Condition {
    /// True when a restart of the process may help, or nothing else can.
    pub fn costs_liveness(&self) -> bool {
        match self {
            Self::Fenced { .. }
            | Self::Failed { .. }
            | Self::ThreadSilent { .. }
            | Self::ReadingStalled { .. } => true,
            Self::PartitionStopped(_)
            | Self::WaitingForCluster { .. }
            | Self::Remaking { .. }
            | Self::OutboxNotTaking { .. }
            | Self::OutboxDamaged { .. }
            | Self::DeadLetterWaiting { .. }
            | Self::WaitingForTopics { .. }
            | Self::WithoutLeader { .. }
            | Self::NotAssigned
            | Self::Draining
            | Self::Ended(_)
            | Self::NotStarted => false,
        }
    }
}

/// A message in a handler's hands: from its first attempt until it is handled, pauses included.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InWork {
    /// Its partition.
    pub partition: TopicPartition,
    /// Its offset; of a batch, the first.
    pub offset: Offset,
    /// The attempt that was begun last, from 1.
    pub attempt: u32,
    /// For how long, to within 100 ms.
    pub busy: Duration,
    /// Its partition was taken away meanwhile: what comes of it counts no more, and yet it keeps one of the
    /// turns of [`Concurrency::PerKey`](crate::Concurrency::PerKey) until it ends.
    pub adrift: bool,
}

/// Whether the process should be left alone. `Display` says it in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Liveness {
    /// Yes.
    Live,
    /// No: it should be started anew.
    NotLive(Vec<Condition>),
}

/// Whether the client does its work, or would if there were some. `Display` says it in one line.
///
/// An instance without a partition, because there are more instances than partitions, is ready: it
/// takes over when another one goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready,
    /// No.
    NotReady(Vec<Condition>),
}

impl Health {
    /// Whether the process should be left alone.
    pub fn liveness(&self) -> Liveness {
        let grave = self.conditions.iter().filter(|condition| condition.costs_liveness());
        let grave: Vec<Condition> = grave.cloned().collect();
        if grave.is_empty() { Liveness::Live } else { Liveness::NotLive(grave) }
    }

    /// Whether the client does its work.
    pub fn readiness(&self) -> Readiness {
        if self.conditions.is_empty() {
            Readiness::Ready
        } else {
            Readiness::NotReady(self.conditions.clone())
        }
    }

    /// True when the process should be left alone.
    pub fn is_live(&self) -> bool {
        self.liveness() == Liveness::Live
    }

    /// True when the client does its work.
    pub fn is_ready(&self) -> bool {
        self.conditions.is_empty()
    }
}

#[cfg(test)]
mod tests;
