//! What a replay has done so far, and what came of it in the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::WhyLeft;
use crate::{
    BuildError, ClientError, ConfigProblems, ConsumeError, PartitionId, Position, ReadError,
    SendError,
};

/// Counts of a replay that is under way. Cheap to clone; each clone shows the same.
#[derive(Debug, Clone, Default)]
pub struct ReplayProgress(pub(super) Arc<Tally>);

impl ReplayProgress {
    /// Messages sent again, and acknowledged.
    #[must_use]
    pub fn replayed(&self) -> u64 {
        self.0.replayed.load(Ordering::Relaxed)
    }

    /// Records that were looked at and are not meant.
    #[must_use]
    pub fn passed_over(&self) -> u64 {
        self.0.passed_over.load(Ordering::Relaxed)
    }

    /// Records that are meant and stay where they are.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.0.left().count()
    }
}

/// What stays in the dead-letter topic though it is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftBehind {
    /// How many of each [kind](WhyLeft::kind).
    pub kinds: BTreeMap<&'static str, u64>,
    /// The first of them, at most 20. All of them are in the log.
    pub first: Vec<(Position, WhyLeft)>,
}

/// How many are kept with their names.
const NAMED_MAX: usize = 20;

impl LeftBehind {
    /// All of them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.kinds.values().sum()
    }

    pub(super) fn add(&mut self, position: Position, why: WhyLeft) {
        *self.kinds.entry(why.kind()).or_default() += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push((position, why));
        }
    }
}

/// Why a replay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayEnd {
    /// Everything was looked at that was there when it began.
    AtEnd,
    /// As many messages were sent again as was asked for.
    Enough,
    /// It was asked to end, or could not go on with a partition.
    Stopped,
}

/// What came of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayReport {
    /// The group that keeps how far it has got.
    pub group: String,
    /// Offsets that the group had passed before it began.
    pub before: u64,
    /// Messages sent again, and acknowledged by all in-sync replicas.
    pub replayed: u64,
    /// Records that were looked at and are not meant.
    pub passed_over: u64,
    /// Records that are meant and stay where they are.
    pub left: LeftBehind,
    /// Offsets up to the end at the start that the group has not passed: what of them is meant is sent by
    /// the next run, also what was sent again just before the end and is not noted yet.
    pub remaining: u64,
    /// Why it ended.
    pub ended: ReplayEnd,
}

/// A replay that could not begin, or not go on. What the group has noted holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The dead letters can't be replayed into the topic they lie in.
    #[error("the target is the dead-letter topic {topic:?} itself")]
    OwnTopic {
        /// That topic.
        topic: String,
    },
    /// The one topic that all are to go to is not there. Nothing was sent or passed.
    #[error(
        "the target topic {topic:?} does not exist: create it first, or look for a misspelling"
    )]
    NoTarget {
        /// That topic.
        topic: String,
    },
    /// The selection names a partition that the dead-letter topic does not have. Nothing was sent or passed,
    /// and no group was joined.
    #[error("{topic} has no partition {partition}: it has {}, numbered from 0", if *partitions == 1 { "1 partition".to_owned() } else { format!("{partitions} partitions") })]
    NoPartition {
        /// The dead-letter topic.
        topic: String,
        /// The partition that was named.
        partition: PartitionId,
        /// How many it has.
        partitions: usize,
    },
    /// The configuration.
    #[error("the configuration is wrong")]
    Config(#[source] ConfigProblems),
    /// The cluster does not say what is in the topic, or how far the group is.
    #[error("look at {topic}")]
    Cluster {
        /// The dead-letter topic.
        topic: String,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// The dead-letter topic can't be read.
    #[error("read the dead letters")]
    Read(#[source] ReadError),
    /// The producer could not be made.
    #[error("make a producer")]
    Build(#[source] BuildError),
    /// The consumer of the dead letters could not go on.
    #[error("read the dead letters")]
    Consume(#[source] ConsumeError),
    /// Nothing is accepted any more.
    #[error("send a message again")]
    Send(#[source] SendError),
}

/// The counters, while handlers are at work.
#[derive(Debug, Default)]
pub(super) struct Tally {
    replayed: AtomicU64,
    passed_over: AtomicU64,
    left: Mutex<LeftBehind>,
}

impl Tally {
    pub(super) fn replayed(&self) {
        self.replayed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn passed_over(&self) {
        self.passed_over.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self, position: Position, why: WhyLeft) {
        tracing::warn!(%position, %why, "not sent again");
        self.left.lock().unwrap_or_else(PoisonError::into_inner).add(position, why);
    }

    pub(super) fn left(&self) -> LeftBehind {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
