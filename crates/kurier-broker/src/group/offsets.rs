//! The committed offsets of one group: kept, counted and forgotten.
//!
//! Knows nothing of members; who may commit is decided elsewhere.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_protocol::protocol::StrBytes;

/// What an offset costs beyond its metadata.
const OFFSET_OVERHEAD: usize = 128;
/// What a topic costs beyond its name.
const TOPIC_OVERHEAD: usize = 128;

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) metadata: StrBytes,
    /// When it was committed.
    pub(super) at: Instant,
    /// How long the client wants it kept, which it could say before version 5.
    pub(super) retention: Option<Duration>,
}

/// The committed offsets of a group.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    topics: BTreeMap<String, BTreeMap<i32, Committed>>,
    bytes: usize,
}

impl Offsets {
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Bytes they keep.
    pub(super) fn weight(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.topics.get(topic)?.get(&partition)
    }

    /// Topics with at least one offset, in order.
    pub(super) fn topics(&self) -> impl Iterator<Item = (&str, &BTreeMap<i32, Committed>)> {
        self.topics.iter().map(|(topic, partitions)| (topic.as_str(), partitions))
    }

    /// Keeps an offset, unless the offsets would grow by more than `room` bytes. Tells the growth.
    pub(super) fn put(
        &mut self,
        topic: &str,
        partition: i32,
        committed: Committed,
        room: usize,
    ) -> Option<usize> {
        let before = self.get(topic, partition).map_or(0, weight);
        let known = self.topics.contains_key(topic);
        let head = if known { 0 } else { topic.len() + TOPIC_OVERHEAD };
        let after = weight(&committed) + head;
        if after.saturating_sub(before) > room {
            return None;
        }
        self.bytes = self.bytes - before + after;
        if known {
            self.topics.get_mut(topic)?.insert(partition, committed);
        } else {
            self.topics.insert(topic.to_owned(), BTreeMap::from([(partition, committed)]));
        }
        Some(after.saturating_sub(before))
    }

    pub(super) fn remove(&mut self, topic: &str, partition: i32) {
        let Some(partitions) = self.topics.get_mut(topic) else { return };
        self.bytes -= partitions.remove(&partition).as_ref().map_or(0, weight);
        if partitions.is_empty() {
            self.topics.remove(topic);
            self.bytes -= topic.len() + TOPIC_OVERHEAD;
        }
    }

    pub(super) fn remove_topic(&mut self, topic: &str) {
        if self.topics.contains_key(topic) {
            self.retain(|of, _, _| of != topic);
        }
    }

    /// Keeps only what the predicate says yes to.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&str, i32, &Committed) -> bool) {
        self.topics.retain(|topic, partitions| {
            partitions.retain(|index, committed| keep(topic, *index, committed));
            !partitions.is_empty()
        });
        self.bytes = self
            .topics
            .iter()
            .map(|(topic, partitions)| {
                topic.len() + TOPIC_OVERHEAD + partitions.values().map(weight).sum::<usize>()
            })
            .sum();
    }
}

fn weight(committed: &Committed) -> usize {
    OFFSET_OVERHEAD + committed.metadata.len()
}
