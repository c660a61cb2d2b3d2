//! Topics that are there get more partitions and other settings.

use std::collections::BTreeMap;

use rdkafka::error::RDKafkaErrorCode;

use super::Admin;
use crate::ClientError;
use crate::sys::{Request, TopicChange};

/// Changes to a topic's settings. What is not named stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigChanges {
    changes: BTreeMap<String, Option<String>>,
}

impl ConfigChanges {
    /// No changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// One of Kafka's topic settings gets a value: `retention.ms`, `min.insync.replicas`, …
    /// (<https://kafka.apache.org/documentation/#topicconfigs>). The last word on a setting counts.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.changes.insert(name.into(), Some(value.into()));
        self
    }

    /// A setting is the brokers' default again.
    #[must_use]
    pub fn unset(mut self, name: impl Into<String>) -> Self {
        self.changes.insert(name.into(), None);
        self
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Admin {
    /// Gives a topic more partitions: `total` in all. Most keys belong to another partition from then on,
    /// so that the order of a key's messages is not kept across the change.
    ///
    /// # Errors
    /// [`ClientError::Kafka`] with the code `InvalidPartitions` when the topic has as many already,
    /// `UnknownTopicOrPartition` when it is not there.
    pub async fn add_partitions(&self, topic: &str, total: u32) -> Result<(), ClientError> {
        let doing = format!("add partitions to topic {topic}");
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        let change = TopicChange::Partitions { topic, total };
        self.change(&doing, &Request::AlterTopic(&change), |answer| answer.topic_changed()).await
    }

    /// Changes a topic's settings, all that are named or none. `changes` that are empty are an error.
    ///
    /// The brokers change just what is named (KIP-339: `IncrementalAlterConfigs`).
    ///
    /// # Errors
    /// [`ClientError::Kafka`] with the code `InvalidConfig` says what is wrong with them,
    /// `UnknownTopicOrPartition` that the topic is not there.
    pub async fn alter_topic(
        &self,
        topic: &str,
        changes: &ConfigChanges,
    ) -> Result<(), ClientError> {
        let doing = format!("change the settings of topic {topic}");
        if changes.is_empty() {
            let code = RDKafkaErrorCode::InvalidArgument;
            return Err(ClientError::from_code(doing, code, "no change is named"));
        }
        let changes = changes.changes.iter();
        let changes = changes.map(|(name, value)| (&**name, value.as_deref())).collect();
        let change = TopicChange::Configs { topic, changes };
        self.change(&doing, &Request::AlterTopic(&change), |answer| answer.configs_altered()).await
    }
}
