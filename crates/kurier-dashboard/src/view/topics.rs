//! Topics: `/api/v1/topics` and `/api/v1/topics/{topic}`.

use jiff::Timestamp;
use serde::Serialize;

use super::{Panel, Series};

/// A row of `/api/v1/topics`, which answers `Panel<Rows<TopicRow>>`. Sorts by `name`, `partitions`,
/// `messages`, `rate`, `under_replicated`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicRow {
    /// Its name.
    pub name: String,
    /// True for one of Kafka's own.
    pub internal: bool,
    /// Whether it is known as a topic of dead letters.
    pub dead_letters: bool,
    /// How many partitions it has.
    pub partitions: usize,
    /// How many replicas each has; the fewest.
    pub replication: usize,
    /// Partitions without a leader.
    pub offline: usize,
    /// Partitions with fewer replicas in sync than replicas.
    pub under_replicated: usize,
    /// Offsets between first and next, over its partitions: an upper bound of the records in it.
    pub messages: Option<i64>,
    /// Messages written a second.
    pub rate: Option<f64>,
}

/// `/api/v1/topics/{topic}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopicDetail {
    /// The same as in the list.
    pub topic: Panel<TopicRow>,
    /// Its partitions.
    pub partitions: Panel<Vec<PartitionRow>>,
    /// What it is set to that is not Kafka's default.
    pub settings: Panel<Vec<Setting>>,
    /// The groups that commit there or own partitions of it.
    pub groups: Panel<Vec<TopicGroup>>,
    /// Messages written a second, over the last quarter of an hour.
    pub history: Panel<Series>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartitionRow {
    /// Its number.
    pub partition: i32,
    /// The broker that leads it; none while nobody does.
    pub leader: Option<i32>,
    /// The brokers that hold it, the preferred leader first.
    pub replicas: Vec<Replica>,
    /// The first offset that is still there.
    pub first: Option<i64>,
    /// The offset of the next message.
    pub next: Option<i64>,
    /// Messages written a second.
    pub rate: Option<f64>,
    /// When `next` was told; older than that of others while the leader does not answer.
    pub told: Option<Timestamp>,
}

/// A replica of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Replica {
    /// The broker that holds it.
    pub broker: i32,
    /// Whether it is in sync.
    pub in_sync: bool,
    /// Whether the broker is up.
    pub up: bool,
}

/// What a topic is set to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Kafka's name of it.
    pub name: String,
    /// The value; none where it is a secret.
    pub value: Option<String>,
}

/// A group at a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicGroup {
    /// The group.
    pub group: String,
    /// How far it is behind in this topic; none without a commit.
    pub lag: Option<i64>,
}
