//! Which partitions have no leader, by what brokers answer. *Pure.*
//!
//! Every change of a leader leaves a moment without one, so a partition lacks one only when that has been
//! said for longer than an election takes. The cluster is asked rarely as long as nothing is known to be
//! missing, and each second then, so that an election that succeeds is noticed at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::TopicPartition;

/// What is known of leaders.
#[derive(Debug, Default)]
pub(crate) struct Leaders {
    /// Since when an answer has said so, and each one after it.
    missing: BTreeMap<TopicPartition, Instant>,
    asked: Option<Instant>,
}

/// Longer than an election takes.
const ELECTION: Duration = Duration::from_secs(5);
/// Time between two questions while a leader is missing.
const AGAIN: Duration = Duration::from_secs(1);

impl Leaders {
    /// Whether it is time for a question, `every` so often as long as no leader is missing.
    pub(crate) fn due(&self, every: Duration, now: Instant) -> bool {
        let pause = if self.missing.is_empty() { every } else { AGAIN };
        self.asked.is_none_or(|asked| asked + pause <= now)
    }

    /// A question was asked.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// A broker says that these have no leader, and all others do.
    pub(crate) fn heard(&mut self, leaderless: BTreeSet<TopicPartition>, now: Instant) {
        let before = std::mem::take(&mut self.missing);
        let since = |partition: &TopicPartition| before.get(partition).copied().unwrap_or(now);
        self.missing = leaderless.into_iter().map(|one| (one.clone(), since(&one))).collect();
    }

    /// The topics that something is missing of.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &str> {
        self.missing.keys().map(|partition| &*partition.topic)
    }

    /// The partitions that have had no leader for longer than an election takes, with the time since when.
    pub(crate) fn missing(&self, now: Instant) -> BTreeMap<TopicPartition, Instant> {
        let lasting = self.missing.iter().filter(|(_, since)| **since + ELECTION <= now);
        lasting.map(|(partition, since)| (partition.clone(), *since)).collect()
    }
}
