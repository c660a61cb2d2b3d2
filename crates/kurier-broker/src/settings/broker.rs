//! The settings of a node: all nodes of a cluster have the same, but for their numbers.

use super::topic::broker_defaults;
use super::{Kind, Setting, Source, Synonym};
use crate::state::State;
use crate::storage::NodeId;
use crate::wire::frame::REQUEST_BYTES_MAX;

/// Every setting of a node, by name.
pub fn broker_settings(state: &State, node: NodeId) -> Vec<Setting> {
    let mut all: Vec<Setting> = TABLE.iter().map(|row| row.show(state, node)).collect();
    all.extend(broker_defaults(&state.settings));
    all.sort_by_key(|setting| setting.name);
    all
}

struct Row {
    name: &'static str,
    kind: Kind,
    /// Kafka's own, empty where it has none.
    default: &'static str,
    value: fn(&State, NodeId) -> String,
    about: &'static str,
}

impl Row {
    fn show(&self, state: &State, node: NodeId) -> Setting {
        let value = (self.value)(state, node);
        let said = |value, source| Synonym { name: self.name, value, source };
        let mut synonyms = Vec::new();
        if value != self.default {
            synonyms.push(said(value.clone(), Source::Broker));
        }
        if !self.default.is_empty() {
            synonyms.push(said(self.default.to_owned(), Source::Default));
        }
        let source = if value == self.default { Source::Default } else { Source::Broker };
        let (name, kind, about) = (self.name, self.kind, self.about);
        Setting { name, value, source, kind, fixed: true, about, synonyms }
    }
}

const TABLE: &[Row] = &[
    Row {
        name: "auto.create.topics.enable",
        kind: Kind::Boolean,
        default: "true",
        value: |_, _| "false".to_owned(),
        about: "Topics are made by request only: one that comes up by a misspelt name hides it.",
    },
    Row {
        name: "broker.id",
        kind: Kind::Int,
        default: "",
        value: |_, node| node.to_string(),
        about: "The node's number.",
    },
    Row {
        name: "default.replication.factor",
        kind: Kind::Int,
        default: "1",
        value: |state, _| state.nodes.len().min(3).to_string(),
        about: "Replicas of a topic whose creator names no number.",
    },
    Row {
        name: "delete.topic.enable",
        kind: Kind::Boolean,
        default: "true",
        value: |_, _| "true".to_owned(),
        about: "Topics can be deleted.",
    },
    Row {
        name: "group.initial.rebalance.delay.ms",
        kind: Kind::Int,
        default: "3000",
        value: |state, _| state.group_settings().initial_rebalance_delay.as_millis().to_string(),
        about: "How long the first rebalance of a group waits for more members.",
    },
    Row {
        name: "group.max.session.timeout.ms",
        kind: Kind::Int,
        default: "1800000",
        value: |state, _| state.group_settings().session_timeout_max.as_millis().to_string(),
        about: "The longest session timeout that a member may ask for.",
    },
    Row {
        name: "group.max.size",
        kind: Kind::Int,
        default: "2147483647",
        value: |state, _| state.group_settings().group_members_max.to_string(),
        about: "Most members of a group.",
    },
    Row {
        name: "group.min.session.timeout.ms",
        kind: Kind::Int,
        default: "6000",
        value: |state, _| state.group_settings().session_timeout_min.as_millis().to_string(),
        about: "The shortest session timeout that a member may ask for.",
    },
    Row {
        name: "node.id",
        kind: Kind::Int,
        default: "",
        value: |_, node| node.to_string(),
        about: "The node's number.",
    },
    Row {
        name: "num.partitions",
        kind: Kind::Int,
        default: "1",
        value: |state, _| state.settings.partitions_default.to_string(),
        about: "Partitions of a topic whose creator names no number.",
    },
    Row {
        name: "offset.metadata.max.bytes",
        kind: Kind::Int,
        default: "4096",
        value: |state, _| state.group_settings().offset_metadata_chars_max.to_string(),
        about: "The longest metadata of a committed offset.",
    },
    Row {
        name: "offsets.retention.minutes",
        kind: Kind::Int,
        default: "10080",
        value: |state, _| (state.group_settings().offsets_retention.as_secs() / 60).to_string(),
        about: "How long offsets are kept after their group became empty.",
    },
    Row {
        name: "offsets.topic.replication.factor",
        kind: Kind::Int,
        default: "3",
        value: |state, _| state.nodes.len().to_string(),
        about: "All nodes share the committed offsets, without a topic for them.",
    },
    Row {
        name: "replica.lag.time.max.ms",
        kind: Kind::Long,
        default: "30000",
        value: |state, _| state.settings.replica_lag_max.as_millis().to_string(),
        about: "How long a replica may be behind before it leaves the in-sync set.",
    },
    Row {
        name: "socket.request.max.bytes",
        kind: Kind::Int,
        default: "104857600",
        value: |_, _| REQUEST_BYTES_MAX.to_string(),
        about: "The largest request.",
    },
];
