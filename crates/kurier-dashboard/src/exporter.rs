//! The cluster under the names of `kafka_exporter` (danielqsj), so that boards made for it work. *Pure.*
//!
//! What is not known, or was not told lately, is left out: a figure that stands still in a graph is taken
//! for the truth. How old each part is stands beside it.
//!
//! The format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use jiff::Timestamp;
use kurier::escape_label;

use crate::watch::{
    Age, ClusterLook, GroupLook, GroupsLook, OffsetsLook, PartitionLag, PartitionLook,
    PartitionOffsets,
};

/// What is exported.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) ages: &'a [Age],
    pub(crate) cluster: Option<&'a ClusterLook>,
    pub(crate) offsets: Option<&'a OffsetsLook>,
    pub(crate) groups: Option<&'a GroupsLook>,
}

const PARTITION: &[&str] = &["topic", "partition"];
const GROUP_PARTITION: &[&str] = &["consumergroup", "topic", "partition"];
const GROUP_TOPIC: &[&str] = &["consumergroup", "topic"];

/// The whole page.
pub(crate) fn page(now: Timestamp, facts: &Facts<'_>) -> String {
    let mut page = Page::default();
    let help = "1 if the part was seen lately; else its figures are left out.";
    let mut up = page.metric("kurier_dashboard_up", &["part"], help);
    for age in facts.ages {
        up.put(&[age.name], u8::from(age.is_fresh(now)));
    }
    let help = "How long ago the part was seen.";
    let mut seconds = page.metric("kurier_dashboard_age_seconds", &["part"], help);
    for age in facts.ages {
        seconds.put_known(&[age.name], age.seconds(now));
    }
    let fresh = |name| facts.ages.iter().find(|age| age.name == name && age.is_fresh(now));
    if let (Some(look), Some(_)) = (facts.cluster, fresh("cluster")) {
        brokers(&mut page, look);
        partitions(&mut page, look);
    }
    if let (Some(look), Some(age)) = (facts.offsets, fresh("offsets")) {
        offsets(&mut page, look, |told| age.allows(now, told));
    }
    if let (Some(look), Some(age)) = (facts.groups, fresh("groups")) {
        let lately = look.groups.iter().filter(|(_, group)| age.allows(now, group.as_of));
        groups(&mut page, &lately.map(|(name, group)| (&**name, &**group)).collect::<Vec<_>>());
    }
    page.0
}

fn brokers(page: &mut Page, cluster: &ClusterLook) {
    let up = || cluster.brokers.iter().filter(|(_, known)| known.up);
    page.metric("kafka_brokers", &[], "Brokers that are up.").put(&[], up().count());
    let help = "1 for each broker that is up.";
    let mut info = page.metric("kafka_broker_info", &["id", "address"], help);
    for (id, known) in up() {
        info.put(&[&id.to_string(), &known.address], 1);
    }
}

fn partitions(page: &mut Page, cluster: &ClusterLook) {
    let mut counts = page.metric("kafka_topic_partitions", &["topic"], "Partitions of a topic.");
    for (name, topic) in &cluster.topics {
        counts.put(&[name], topic.partitions.len());
    }
    type Figure = (&'static str, &'static str, fn(&PartitionLook) -> i64);
    let figures: [Figure; 5] = [
        (
            "kafka_topic_partition_leader",
            "The broker that leads the partition; -1 for none.",
            |partition| partition.leader.unwrap_or(-1).into(),
        ),
        (
            "kafka_topic_partition_leader_is_preferred",
            "1 if the preferred broker leads the partition.",
            |partition| {
                let preferred = partition.replicas.first().copied();
                i64::from(partition.leader.is_some() && partition.leader == preferred)
            },
        ),
        ("kafka_topic_partition_replicas", "Replicas of the partition.", |partition| {
            partition.replicas.len() as i64
        }),
        ("kafka_topic_partition_in_sync_replica", "Replicas that are in sync.", |partition| {
            partition.in_sync.len() as i64
        }),
        (
            "kafka_topic_partition_under_replicated_partition",
            "1 if fewer replicas are in sync than there are.",
            |partition| partition.is_under_replicated().into(),
        ),
    ];
    for (name, help, figure) in figures {
        let mut metric = page.metric(name, PARTITION, help);
        for (topic, partition) in cluster.partitions() {
            metric.put(&[topic, &partition.number.to_string()], figure(partition));
        }
    }
}

/// Of partitions that were told of lately.
fn offsets(page: &mut Page, offsets: &OffsetsLook, lately: impl Fn(Option<Timestamp>) -> bool) {
    type Figure = (&'static str, &'static str, fn(&PartitionOffsets) -> Option<i64>);
    let figures: [Figure; 2] = [
        ("kafka_topic_partition_current_offset", "The offset of the next message.", |one| one.next),
        ("kafka_topic_partition_oldest_offset", "The first offset that is still there.", |one| {
            one.first
        }),
    ];
    for (name, help, figure) in figures {
        let mut metric = page.metric(name, PARTITION, help);
        for (topic, offsets) in &offsets.topics {
            let told = offsets.partitions.iter().enumerate().filter(|(_, one)| lately(one.told));
            for (number, partition) in told {
                metric.put_known(&[topic, &number.to_string()], figure(partition));
            }
        }
    }
}

fn groups(page: &mut Page, groups: &[(&str, &GroupLook)]) {
    type Figure = (&'static str, &'static str, fn(&PartitionLag) -> Option<i64>);
    let figures: [Figure; 2] = [
        ("kafka_consumergroup_current_offset", "The next offset to read.", |one| one.committed),
        ("kafka_consumergroup_lag", "Messages between commit and end.", PartitionLag::lag),
    ];
    for (name, help, figure) in figures {
        let mut metric = page.metric(name, GROUP_PARTITION, help);
        for (group, look) in groups {
            for ((topic, number), partition) in &look.partitions {
                metric.put_known(&[group, topic, &number.to_string()], figure(partition));
            }
        }
        let help = "The same over a topic's partitions.";
        let mut metric = page.metric(&format!("{name}_sum"), GROUP_TOPIC, help);
        for (group, look) in groups {
            let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
            for ((topic, _), partition) in &look.partitions {
                if let Some(value) = figure(partition) {
                    let sum = sums.entry(topic).or_default();
                    *sum = sum.saturating_add(value);
                }
            }
            for (topic, sum) in sums {
                metric.put(&[group, topic], sum);
            }
        }
    }
    let help = "Members of the group.";
    let mut members = page.metric("kafka_consumergroup_members", &["consumergroup"], help);
    for (group, look) in groups {
        members.put_known(&[group], look.members.as_ref().map(Vec::len));
    }
}

/// The page in the making.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    /// What follows are samples of this metric.
    fn metric(&mut self, name: &str, labels: &'static [&'static str], help: &str) -> Metric<'_> {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
        Metric { page: &mut self.0, name: name.to_owned(), labels }
    }
}

/// A metric whose samples are added.
#[derive(Debug)]
struct Metric<'a> {
    page: &'a mut String,
    name: String,
    labels: &'static [&'static str],
}

impl Metric<'_> {
    /// Adds a sample if the figure is known.
    fn put_known(&mut self, labels: &[&str], value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(labels, value);
        }
    }

    /// Adds a sample; `labels` are the values of the labels, in their order.
    fn put(&mut self, labels: &[&str], value: impl Display) {
        debug_assert_eq!(self.labels.len(), labels.len(), "{}", self.name);
        self.page.push_str(&self.name);
        for (number, (name, label)) in self.labels.iter().zip(labels).enumerate() {
            self.page.push(if number == 0 { '{' } else { ',' });
            self.page.push_str(name);
            self.page.push_str("=\"");
            escape_label(self.page, label);
            self.page.push('"');
        }
        let _ = writeln!(self.page, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
#[path = "exporter_tests.rs"]
mod tests;
