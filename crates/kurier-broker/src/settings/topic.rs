//! The settings of a topic.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Kind, Setting, Source, Synonym};
use crate::state::ClusterSettings;
use crate::storage::Timestamps;
use crate::topic::TopicError;

/// What a topic may be set to, by Kafka's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// `min.insync.replicas`; default 1, as Kafka's.
    pub min_in_sync: usize,
    /// `max.message.bytes`; default 1,048,588, as Kafka's.
    pub batch_bytes_max: usize,
    /// `retention.bytes`; default the cluster's own bound.
    pub bytes_max: Option<usize>,
    /// `unclean.leader.election.enable`; default false.
    pub unclean_election: bool,
    /// `message.timestamp.type`; default `CreateTime`.
    pub timestamps: Timestamps,
    /// `message.timestamp.after.max.ms`; default an hour, as Kafka's (KIP-1030).
    pub ahead_max: Duration,
    /// What was given, word for word.
    given: BTreeMap<&'static str, String>,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            min_in_sync: 1,
            batch_bytes_max: 1_048_588,
            bytes_max: None,
            unclean_election: false,
            timestamps: Timestamps::Create,
            ahead_max: Duration::from_secs(3600),
            given: BTreeMap::new(),
        }
    }
}

impl TopicSettings {
    /// Takes one of Kafka's topic settings.
    ///
    /// # Errors
    /// When it is not honoured here, or its value makes no sense.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), TopicError> {
        let refused = |reason: String| TopicError::Setting {
            name: name.chars().take(200).collect(),
            value: value.chars().take(200).collect(),
            reason,
        };
        let row = TABLE.iter().find(|row| row.name == name);
        let row =
            row.ok_or_else(|| refused("not a topic setting of an embedded cluster".to_owned()))?;
        match row.meaning {
            Meaning::Honoured { set, .. } => {
                set(self, value).map_err(|expected| refused(format!("{expected} is expected")))?;
            }
            Meaning::Fixed(only) if only == value => {}
            Meaning::Fixed(only) => {
                let reason = format!("only {only} is possible in an embedded cluster");
                return Err(refused(reason));
            }
        }
        self.given.insert(row.name, value.to_owned());
        Ok(())
    }

    /// The same without what was given for one of Kafka's topic settings; what was not given stays as it
    /// is, as does a name that means nothing here.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut rest = Self::default();
        for (kept, value) in self.given.iter().filter(|(given, _)| **given != name) {
            // It was taken before, and none of them depends on another.
            let _ = rest.set(kept, value);
        }
        rest
    }

    /// Whether these settings fit that many replicas.
    ///
    /// # Errors
    /// When more replicas must be in sync than there are.
    pub fn check(&self, replicas: usize) -> Result<(), TopicError> {
        if (1..=replicas).contains(&self.min_in_sync) {
            return Ok(());
        }
        Err(TopicError::Setting {
            name: "min.insync.replicas".to_owned(),
            value: self.min_in_sync.to_string(),
            reason: "at least 1, and not more than the topic has replicas".to_owned(),
        })
    }

    /// Every setting with what holds, by name.
    pub fn list(&self, cluster: &ClusterSettings) -> Vec<Setting> {
        TABLE.iter().map(|row| row.show(self, cluster)).collect()
    }
}

/// What brokers are set to where a topic's creator says nothing.
pub(super) fn broker_defaults(cluster: &ClusterSettings) -> Vec<Setting> {
    let unset = TopicSettings::default();
    let rows = TABLE.iter().map(|row| {
        let shown = row.show(&unset, cluster);
        Setting { name: row.broker_name, fixed: true, ..shown }
    });
    rows.collect()
}

struct Row {
    name: &'static str,
    broker_name: &'static str,
    kind: Kind,
    meaning: Meaning,
    about: &'static str,
}

enum Meaning {
    /// `set` says what it expects of a value that it does not take.
    Honoured {
        get: fn(&TopicSettings, &ClusterSettings) -> String,
        set: fn(&mut TopicSettings, &str) -> Result<(), &'static str>,
    },
    /// What is true here, whatever one may wish.
    Fixed(&'static str),
}

impl Row {
    fn show(&self, topic: &TopicSettings, cluster: &ClusterSettings) -> Setting {
        let value = |topic: &TopicSettings| match self.meaning {
            Meaning::Honoured { get, .. } => get(topic, cluster),
            Meaning::Fixed(only) => only.to_owned(),
        };
        let said = |name, value, source| Synonym { name, value, source };
        let mut synonyms = Vec::new();
        if topic.given.contains_key(self.name) {
            synonyms.push(said(self.name, value(topic), Source::Topic));
        }
        let unset = value(&TopicSettings::default());
        // The one bound that the cluster's builder sets for all topics.
        let source = if self.name == "retention.bytes" { Source::Broker } else { Source::Default };
        synonyms.push(said(self.broker_name, unset, source));
        Setting {
            name: self.name,
            value: value(topic),
            source: synonyms[0].source,
            kind: self.kind,
            fixed: matches!(self.meaning, Meaning::Fixed(_)),
            about: self.about,
            synonyms,
        }
    }
}

fn whole(value: &str) -> Result<usize, &'static str> {
    value.parse().map_err(|_| "a whole number")
}

const TABLE: &[Row] = &[
    Row {
        name: "cleanup.policy",
        broker_name: "log.cleanup.policy",
        kind: Kind::List,
        meaning: Meaning::Fixed("delete"),
        about: "What becomes of old records; nothing is compacted here.",
    },
    Row {
        name: "compression.type",
        broker_name: "compression.type",
        kind: Kind::Text,
        meaning: Meaning::Fixed("producer"),
        about: "Batches are kept as their producers compressed them.",
    },
    Row {
        name: "max.message.bytes",
        broker_name: "message.max.bytes",
        kind: Kind::Int,
        meaning: Meaning::Honoured {
            get: |topic, _| topic.batch_bytes_max.to_string(),
            set: |topic, value| whole(value).map(|bytes| topic.batch_bytes_max = bytes),
        },
        about: "The largest record batch that is taken.",
    },
    Row {
        name: "message.timestamp.after.max.ms",
        broker_name: "log.message.timestamp.after.max.ms",
        kind: Kind::Long,
        meaning: Meaning::Honoured {
            get: |topic, _| topic.ahead_max.as_millis().to_string(),
            set: |topic, value| {
                let millis = value.parse().map_err(|_| "a whole number")?;
                topic.ahead_max = Duration::from_millis(millis);
                Ok(())
            },
        },
        about: "How far ahead of the leader's clock a producer's timestamp may lie.",
    },
    Row {
        name: "message.timestamp.before.max.ms",
        broker_name: "log.message.timestamp.before.max.ms",
        kind: Kind::Long,
        meaning: Meaning::Fixed("9223372036854775807"),
        about: "How far in the past a timestamp may lie; none is refused here.",
    },
    Row {
        name: "message.timestamp.type",
        broker_name: "log.message.timestamp.type",
        kind: Kind::Text,
        meaning: Meaning::Honoured {
            get: |topic, _| topic.timestamps.name().to_owned(),
            set: |topic, value| {
                let all = [Timestamps::Create, Timestamps::LogAppend];
                let found = all.into_iter().find(|kind| kind.name() == value);
                topic.timestamps = found.ok_or("CreateTime or LogAppendTime")?;
                Ok(())
            },
        },
        about: "Whose time records carry: their producer's, or the leader's when it appended them.",
    },
    Row {
        name: "min.insync.replicas",
        broker_name: "min.insync.replicas",
        kind: Kind::Int,
        meaning: Meaning::Honoured {
            get: |topic, _| topic.min_in_sync.to_string(),
            set: |topic, value| whole(value).map(|replicas| topic.min_in_sync = replicas),
        },
        about: "In-sync replicas without which a write with acks=all is refused.",
    },
    Row {
        name: "preallocate",
        broker_name: "log.preallocate",
        kind: Kind::Boolean,
        meaning: Meaning::Fixed("false"),
        about: "There are no files here.",
    },
    Row {
        name: "remote.storage.enable",
        broker_name: "remote.log.storage.system.enable",
        kind: Kind::Boolean,
        meaning: Meaning::Fixed("false"),
        about: "There is no tiered storage here.",
    },
    Row {
        name: "retention.bytes",
        broker_name: "log.retention.bytes",
        kind: Kind::Long,
        meaning: Meaning::Honoured {
            get: |topic, cluster| {
                topic.bytes_max.unwrap_or(cluster.partition_bytes_max).to_string()
            },
            set: |topic, value| {
                // Kafka's word for no bound; the cluster's stays.
                topic.bytes_max = if value == "-1" { None } else { Some(whole(value)?) };
                Ok(())
            },
        },
        about: "The bytes that each partition keeps; the oldest batches go first.",
    },
    Row {
        name: "retention.ms",
        broker_name: "log.retention.ms",
        kind: Kind::Long,
        meaning: Meaning::Fixed("-1"),
        about: "How long records are kept; none goes by age here.",
    },
    Row {
        name: "unclean.leader.election.enable",
        broker_name: "unclean.leader.election.enable",
        kind: Kind::Boolean,
        meaning: Meaning::Honoured {
            get: |topic, _| topic.unclean_election.to_string(),
            set: |topic, value| {
                topic.unclean_election = value.parse().map_err(|_| "true or false")?;
                Ok(())
            },
        },
        about: "Whether a replica that is not in sync may lead when no other is up.",
    },
];
