//! `kurier topic describe`: partitions, who holds them, how far they reach, and what is wrong with them.

use std::collections::BTreeMap;

use kurier::{
    Admin, ConfigEntry, ConfigSource, NodeId, Offset, OffsetAt, PartitionDescription,
    TopicDescription, TopicPartition,
};
use serde_json::{Value, json};

use super::ailments::{Ailment, min_isr};
use crate::args::{DescribeArgs, Global};
use crate::commands::missing::explained;
use crate::commands::watch::{self, Sight};
use crate::exit::Exit;
use crate::output::{self, counted, known};
use crate::signals::Signals;

/// Prints it once, or again and again.
///
/// # Errors
/// When it cannot be done.
pub async fn run(
    args: &DescribeArgs,
    admin: &Admin,
    (global, signals): (&Global, &Signals),
) -> anyhow::Result<Exit> {
    let wanted = wanted(args);
    watch::look(
        &args.watch,
        global,
        signals,
        |_| false,
        async || {
            let mut sight = Sight { text: String::new(), objects: Vec::new() };
            for topic in topics(admin, &args.names).await? {
                let seen = Seen::of(admin, topic, &wanted).await?;
                if !wanted.is_empty() && seen.partitions.is_empty() {
                    continue;
                }
                sight.text += &seen.text(wanted.is_empty());
                sight.objects.push(seen.object());
            }
            Ok(sight)
        },
    )
    .await
}

/// The ailments of which a shown partition has one; empty when all are shown.
fn wanted(args: &DescribeArgs) -> Vec<Ailment> {
    let asked = |ailment: &Ailment| match ailment {
        Ailment::Offline => args.offline,
        Ailment::UnderMinIsr => args.under_min_isr,
        Ailment::UnderReplicated => args.under_replicated,
    };
    Ailment::ALL.into_iter().filter(asked).collect()
}

async fn topics(admin: &Admin, names: &[String]) -> anyhow::Result<Vec<TopicDescription>> {
    if names.is_empty() {
        let mut all = admin.list_topics().await?;
        all.retain(|topic| !topic.internal);
        return Ok(all);
    }
    let mut all = Vec::new();
    for name in names {
        all.push(explained(admin, name, admin.describe_topic(name).await).await?);
    }
    Ok(all)
}

/// A topic and what is shown of it.
struct Seen {
    name: String,
    partitions: Vec<(PartitionDescription, Vec<Ailment>)>,
    configs: Vec<ConfigEntry>,
    earliest: BTreeMap<TopicPartition, Option<Offset>>,
    end: BTreeMap<TopicPartition, Option<Offset>>,
}

impl Seen {
    async fn of(
        admin: &Admin,
        topic: TopicDescription,
        wanted: &[Ailment],
    ) -> anyhow::Result<Self> {
        let configs = admin.topic_configs(&topic.name).await?;
        let min_isr = min_isr(&configs);
        let mut partitions = Vec::new();
        for partition in topic.partitions {
            let has = |ailment: &Ailment| ailment.is_of(&partition, min_isr);
            if wanted.is_empty() || wanted.iter().any(has) {
                let ailments = Ailment::ALL.into_iter().filter(has).collect();
                partitions.push((partition, ailments));
            }
        }
        // A partition without a leader has no offsets to show, and would be waited for.
        let led = partitions.iter().filter(|(partition, _)| partition.leader.is_some());
        let led: Vec<_> = led
            .map(|(partition, _)| TopicPartition::new(topic.name.as_str(), partition.partition))
            .collect();
        // Nor has one whose leader has just gone; the rest of the picture is still wanted.
        let earliest = admin.offsets(&led, OffsetAt::Earliest).await.unwrap_or_default();
        let end = admin.offsets(&led, OffsetAt::End).await.unwrap_or_default();
        Ok(Self { name: topic.name, partitions, configs, earliest, end })
    }

    fn reach(&self, partition: &PartitionDescription) -> (Option<Offset>, Option<Offset>) {
        let of = TopicPartition::new(self.name.as_str(), partition.partition);
        let at = |offsets: &BTreeMap<_, Option<Offset>>| offsets.get(&of).copied().flatten();
        (at(&self.earliest), at(&self.end))
    }

    /// How many have each ailment.
    fn counts(&self) -> impl Iterator<Item = (Ailment, usize)> {
        Ailment::ALL.into_iter().map(|ailment| {
            let ill = self.partitions.iter().filter(|(_, ailments)| ailments.contains(&ailment));
            (ailment, ill.count())
        })
    }

    fn text(&self, with_settings: bool) -> String {
        let ill = self.counts().filter(|(_, count)| *count != 0);
        let ill = ill.map(|(ailment, count)| format!(", {count} {}", ailment.name()));
        let partitions = counted(self.partitions.len(), "partition");
        let heading = format!("topic {}: {partitions}{}\n", self.name, ill.collect::<String>());
        let list =
            |nodes: &[NodeId]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let row = |(partition, ailments): &(PartitionDescription, Vec<Ailment>)| {
            let (earliest, end) = self.reach(partition);
            let ailments: Vec<_> = ailments.iter().map(|ailment| ailment.name()).collect();
            vec![
                partition.partition.to_string(),
                known(partition.leader),
                list(&partition.replicas),
                list(&partition.isr),
                known(earliest),
                known(end),
                if ailments.is_empty() { "ok".to_owned() } else { ailments.join(", ") },
            ]
        };
        let headings = ["PARTITION", "LEADER", "REPLICAS", "IN SYNC", "EARLIEST", "END", "HEALTH"];
        let table = output::tabled(&headings, &self.partitions.iter().map(row).collect::<Vec<_>>());
        let set = self.configs.iter().filter(|config| config.source == ConfigSource::Topic);
        let set = set.filter(|_| with_settings);
        let set = set.map(|config| format!("{}={}\n", config.name, known(config.value.as_ref())));
        heading + &table + &set.collect::<String>()
    }

    fn object(&self) -> Value {
        let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<_>>();
        let row = |(partition, ailments): &(PartitionDescription, Vec<Ailment>)| {
            let (earliest, end) = self.reach(partition);
            let mut row = json!({
                "partition": partition.partition.0, "leader": partition.leader.map(|node| node.0),
                "replicas": ids(&partition.replicas), "isr": ids(&partition.isr),
                "earliest": earliest.map(|offset| offset.0), "end": end.map(|offset| offset.0),
            });
            for ailment in Ailment::ALL {
                row[ailment.field()] = json!(ailments.contains(&ailment));
            }
            row
        };
        let configs: serde_json::Map<_, _> =
            self.configs.iter().map(|it| (it.name.clone(), json!(it.value))).collect();
        let rows: Vec<_> = self.partitions.iter().map(row).collect();
        let mut object = json!({ "topic": self.name, "partitions": rows, "configs": configs });
        for (ailment, count) in self.counts() {
            object[ailment.field()] = json!(count);
        }
        object
    }
}
