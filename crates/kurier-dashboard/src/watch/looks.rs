//! Snapshots: what collectors saw, as it was seen. Nobody changes one that is published.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kurier::Replay;

use super::brokers::Brokers;
use super::history::History;
use super::lag::GroupLook;
use crate::view::{ClientProcess, ClientTotals, Setting};

/// The cluster at one moment, as one of its brokers sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClusterLook {
    /// Its id; old brokers have none.
    pub(crate) id: Option<String>,
    /// The controller, or the broker that stands for it.
    pub(crate) controller: Option<i32>,
    /// Every broker that was ever seen.
    pub(crate) brokers: Brokers,
    /// By name.
    pub(crate) topics: BTreeMap<Arc<str>, TopicLook>,
}

/// A topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TopicLook {
    /// One of Kafka's own.
    pub(crate) internal: bool,
    /// By number.
    pub(crate) partitions: Vec<PartitionLook>,
    /// Why its partitions are not known.
    pub(crate) error: Option<String>,
}

/// A partition and who holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PartitionLook {
    pub(crate) number: i32,
    pub(crate) leader: Option<i32>,
    /// The preferred leader first.
    pub(crate) replicas: Box<[i32]>,
    pub(crate) in_sync: Box<[i32]>,
}

impl PartitionLook {
    pub(crate) fn is_under_replicated(&self) -> bool {
        self.in_sync.len() < self.replicas.len()
    }
}

impl ClusterLook {
    /// Whether a partition has a leader, as far as is known.
    pub(crate) fn is_led(&self, topic: &str, partition: i32) -> bool {
        let place = usize::try_from(partition).unwrap_or(usize::MAX);
        let found = self.topics.get(topic).and_then(|topic| topic.partitions.get(place));
        found.is_none_or(|found| found.number != partition || found.leader.is_some())
    }

    /// All partitions, with their topic's name.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (&Arc<str>, &PartitionLook)> {
        self.topics.iter().flat_map(|(name, topic)| {
            topic.partitions.iter().map(move |partition| (name, partition))
        })
    }
}

/// How far partitions reach, and how fast they grow.
#[derive(Debug, Default)]
pub(crate) struct OffsetsLook {
    pub(crate) topics: BTreeMap<Arc<str>, TopicOffsets>,
    /// Messages a second over all partitions that are known; none until there are two looks.
    pub(crate) rate: Option<f64>,
    pub(crate) history: History,
    /// Which brokers did not answer for the partitions they lead; none when all did.
    pub(crate) unanswered: Option<String>,
}

/// A topic's partitions, by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopicOffsets {
    pub(crate) partitions: Vec<PartitionOffsets>,
    pub(crate) history: History,
}

/// A partition, as far as it was ever told.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct PartitionOffsets {
    /// The first offset that is still there.
    pub(crate) first: Option<i64>,
    /// The offset of the next message.
    pub(crate) next: Option<i64>,
    /// Messages a second since the look before.
    pub(crate) rate: Option<f32>,
    /// When `next` was told; it is the last that was, if that is not now.
    pub(crate) told: Option<Timestamp>,
}

impl OffsetsLook {
    /// A partition, as it was told of last.
    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionOffsets> {
        let partitions = &self.topics.get(topic)?.partitions;
        partitions.get(usize::try_from(partition).ok()?)
    }
}

/// The groups.
#[derive(Debug, Default)]
pub(crate) struct GroupsLook {
    pub(crate) groups: BTreeMap<Arc<str>, Arc<GroupLook>>,
    /// The lag of all over the last quarter of an hour.
    pub(crate) history: History,
}

impl GroupsLook {
    /// The groups that somebody waits for: not those that only keep how far a replay has got.
    pub(crate) fn of_readers(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<GroupLook>)> {
        self.groups.iter().filter(|(name, _)| !Replay::is_group_name(name))
    }

    /// How far these are behind, where that is known.
    pub(crate) fn lag(&self) -> Option<i64> {
        let known = self.of_readers().filter_map(|(_, group)| group.lag());
        known.fold(None, |sum: Option<i64>, lag| Some(sum.unwrap_or(0).saturating_add(lag)))
    }
}

/// Settings of topics that are not Kafka's defaults, by topic.
#[derive(Debug, Default)]
pub(crate) struct SettingsLook {
    pub(crate) topics: BTreeMap<Arc<str>, TopicSettings>,
}

/// A topic's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TopicSettings {
    pub(crate) min_insync_replicas: Option<usize>,
    pub(crate) others_than_default: Vec<Setting>,
    pub(crate) as_of: Option<Timestamp>,
    /// Why they are not known, or not newer.
    pub(crate) error: Option<String>,
}

/// Our own clients.
#[derive(Debug)]
pub(crate) struct ClientsLook {
    pub(crate) processes: Vec<ClientProcess>,
    pub(crate) totals: ClientTotals,
    /// Topics that they write dead letters to.
    pub(crate) dead_letters: Vec<String>,
}
