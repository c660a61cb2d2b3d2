//! Topics, and what is known of one.

use std::collections::BTreeSet;

use crate::view::{
    DeadLetterTopic, Panel, PartitionRow, Replica, Series, Setting, TopicDetail, TopicGroup,
    TopicRow,
};
use crate::watch::board::Kept;
use crate::watch::lag::PartitionLag;
use crate::watch::looks::{
    ClusterLook, GroupsLook, OffsetsLook, SettingsLook, TopicLook, TopicOffsets,
};
use crate::watch::shown::rows::Columns;

/// What topics are called that hold dead letters, unless they are named otherwise.
const DEAD_LETTERS: &str = ".dlq";

/// The columns by which topics are sorted.
pub(crate) const COLUMNS: &Columns<TopicRow> = &[
    ("partitions", |a, b| a.partitions.cmp(&b.partitions)),
    ("messages", |a, b| a.messages.cmp(&b.messages)),
    ("rate", |a, b| rank(a.rate).total_cmp(&rank(b.rate))),
    ("under_replicated", |a, b| a.under_replicated.cmp(&b.under_replicated)),
];

/// What is not known comes before everything that is.
fn rank(rate: Option<f64>) -> f64 {
    rate.unwrap_or(f64::NEG_INFINITY)
}

/// What is known of topics.
#[derive(Debug)]
pub(crate) struct TopicParts {
    pub(crate) cluster: Kept<ClusterLook>,
    pub(crate) offsets: Kept<OffsetsLook>,
    pub(crate) settings: Kept<SettingsLook>,
    pub(crate) groups: Kept<GroupsLook>,
    /// Topics that are known to hold dead letters, besides those called so.
    pub(crate) dead_letters: BTreeSet<String>,
}

impl TopicParts {
    fn offsets(&self, name: &str) -> Option<&TopicOffsets> {
        self.offsets.data.as_ref()?.topics.get(name)
    }

    fn holds_dead_letters(&self, name: &str) -> bool {
        name.ends_with(DEAD_LETTERS) || self.dead_letters.contains(name)
    }

    fn row(&self, name: &str, topic: &TopicLook) -> TopicRow {
        let count = |is: fn(&crate::watch::looks::PartitionLook) -> bool| {
            topic.partitions.iter().filter(|partition| is(partition)).count()
        };
        let offsets = self.offsets(name);
        TopicRow {
            name: name.to_owned(),
            internal: topic.internal,
            dead_letters: self.holds_dead_letters(name),
            partitions: topic.partitions.len(),
            replication: topic.partitions.iter().map(|one| one.replicas.len()).min().unwrap_or(0),
            offline: count(|partition| partition.leader.is_none()),
            under_replicated: count(|partition| partition.is_under_replicated()),
            messages: offsets.and_then(TopicOffsets::messages),
            rate: offsets.and_then(TopicOffsets::rate),
        }
    }
}

/// All topics, by name.
pub(crate) fn topics(parts: &TopicParts) -> Panel<Vec<TopicRow>> {
    parts
        .cluster
        .panel(|look| look.topics.iter().map(|(name, topic)| parts.row(name, topic)).collect())
}

/// A topic; none when it is not there as far as is known.
pub(crate) fn topic(parts: &TopicParts, name: &str) -> Option<TopicDetail> {
    let cluster = parts.cluster.data.as_deref()?;
    let look = cluster.topics.get(name)?;
    let of_topic = look.error.clone();
    let told = |panel: Panel<_>| Panel { error: panel.error.or(of_topic.clone()), ..panel };
    Some(TopicDetail {
        topic: told(parts.cluster.panel(|_| parts.row(name, look))),
        partitions: partitions(parts, cluster, name, look),
        settings: settings(parts, name),
        groups: parts.groups.panel(|groups| groups_at(groups, name)),
        history: history(parts, name),
    })
}

fn partitions(
    parts: &TopicParts,
    cluster: &ClusterLook,
    name: &str,
    topic: &TopicLook,
) -> Panel<Vec<PartitionRow>> {
    let offsets = parts.offsets(name);
    let row = |partition: &crate::watch::looks::PartitionLook| {
        let place = usize::try_from(partition.number).unwrap_or(usize::MAX);
        let offsets = offsets.and_then(|topic| topic.partitions.get(place)).copied();
        let offsets = offsets.unwrap_or_default();
        let replica = |broker: &i32| Replica {
            broker: *broker,
            in_sync: partition.in_sync.contains(broker),
            up: cluster.brokers.is_up(*broker),
        };
        PartitionRow {
            partition: partition.number,
            leader: partition.leader,
            replicas: partition.replicas.iter().map(replica).collect(),
            first: offsets.first,
            next: offsets.next,
            rate: offsets.rate.map(f64::from),
            told: offsets.told,
        }
    };
    parts.cluster.panel(|_| topic.partitions.iter().map(row).collect())
}

fn settings(parts: &TopicParts, name: &str) -> Panel<Vec<Setting>> {
    let known = parts.settings.data.as_ref().and_then(|look| look.topics.get(name));
    match known {
        Some(topic) => Panel {
            as_of: topic.as_of,
            error: topic.error.clone().or_else(|| parts.settings.error.clone()),
            data: topic.as_of.map(|_| topic.others_than_default.clone()),
        },
        None => Panel {
            as_of: None,
            error: Some(parts.settings.error.clone().unwrap_or_else(|| "not read yet".to_owned())),
            data: None,
        },
    }
}

fn groups_at(groups: &GroupsLook, topic: &str) -> Vec<TopicGroup> {
    let at = groups.groups.iter().filter_map(|(name, group)| {
        let mut partitions =
            group.partitions.iter().filter(|((of, _), _)| **of == *topic).peekable();
        partitions.peek()?;
        let lags = partitions.filter_map(|(_, partition)| PartitionLag::lag(partition));
        let lag = lags.fold(None, |sum: Option<i64>, lag| Some(sum.unwrap_or(0) + lag));
        Some(TopicGroup { group: name.to_string(), lag })
    });
    at.collect()
}

fn history(parts: &TopicParts, name: &str) -> Panel<Series> {
    let panel = parts.offsets.panel(|_| parts.offsets(name).map(|topic| topic.history.series()));
    Panel { as_of: panel.as_of, error: panel.error, data: panel.data.flatten() }
}

/// The topics that hold dead letters, by name.
pub(crate) fn dead_letter_topics(parts: &TopicParts) -> Panel<Vec<DeadLetterTopic>> {
    topics(parts).map(|rows| {
        let rows = rows.into_iter().filter(|row| row.dead_letters);
        let row = |row: TopicRow| DeadLetterTopic {
            topic: row.name,
            messages: row.messages,
            rate: row.rate,
        };
        rows.map(row).collect()
    })
}
