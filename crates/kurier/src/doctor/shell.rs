//! Commands that can be pasted into a shell.

use super::facts::{Facts, TopicFacts};
use super::finding::Mend;
use crate::NodeId;

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:/=@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// kurier's own command for the same cluster.
pub(super) fn kurier(facts: &Facts, rest: &str) -> String {
    format!("kurier -b {} {rest}", quoted(&facts.bootstrap))
}

/// Sets one of a topic's settings, or several with `--set` between.
pub(super) fn set(facts: &Facts, topic: &str, setting: &str) -> Mend {
    let command = kurier(facts, &format!("topic alter {} --set {setting}", quoted(topic)));
    Mend::command(format!("set {}", setting.replace(" --set ", " and ")), command)
}

/// What stands in each broker's file of settings, and needs a restart.
pub(super) fn in_file(line: &str) -> Mend {
    Mend::advice(format!(
        "put {line} into server.properties of every broker, and restart them one after the other"
    ))
}

/// Replicas that a topic should have, where there are brokers for them.
pub(super) const REPLICAS: usize = 3;

/// Gives each partition of a topic [`REPLICAS`] replicas, as far as there are brokers.
pub(super) fn more_replicas(facts: &Facts, topic: &TopicFacts) -> Mend {
    let live: Vec<NodeId> = facts.brokers.iter().map(|broker| broker.broker.id).collect();
    let wanted = REPLICAS.min(live.len());
    if wanted <= topic.replication() {
        return Mend::advice(format!(
            "add brokers first: there are {}, and {REPLICAS} replicas need as many",
            live.len()
        ));
    }
    let partitions = topic.description.partitions.iter().map(|it| {
        let at = usize::try_from(it.partition.0).unwrap_or(0);
        // Each partition begins at another broker, so that the new replicas are spread.
        let others = (0..live.len()).map(|step| live[(at + step) % live.len()]);
        let mut replicas = it.replicas.clone();
        for other in others.filter(|other| !it.replicas.contains(other)) {
            if replicas.len() < wanted {
                replicas.push(other);
            }
        }
        let ids: Vec<i32> = replicas.iter().map(|id| id.0).collect();
        format!(r#"{{"topic":"{}","partition":{},"replicas":{ids:?}}}"#, topic.name(), it.partition)
    });
    let plan = partitions.collect::<Vec<_>>().join(",").replace(", ", ",");
    let command = format!(
        "kafka-reassign-partitions --bootstrap-server {} --execute --reassignment-json-file \
         <(echo '{{\"version\":1,\"partitions\":[{plan}]}}')",
        quoted(&facts.bootstrap)
    );
    Mend::command(format!("give each partition {wanted} replicas"), command)
}
