//! What a judgement of the whole cluster is made from: everything at once, each part with its own error.

use jiff::Timestamp;

use super::topics::{ConfigEntry, TopicDescription};
use super::{Admin, ClusterInfo, NodeId};
use crate::sys::{Answer, ByPartition, Fault, Request, Topics};
use crate::{ClientError, TopicPartition};

/// What `ListOffsets` takes for the record with the latest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;

/// What was said of each topic's settings.
pub(crate) type TopicSettings = Vec<(String, Result<Vec<ConfigEntry>, ClientError>)>;

/// The cluster and its topics, as one broker sees them at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Picture {
    /// The cluster.
    pub cluster: ClusterInfo,
    /// Every topic that this client may see, by name; an error is of that topic alone.
    pub topics: Vec<(String, Result<TopicDescription, ClientError>)>,
}

/// Settings of topics, and those of the broker that was asked, if one was named.
#[derive(Debug)]
pub(crate) struct SettingsRead {
    pub(crate) broker: Option<Result<Vec<ConfigEntry>, ClientError>>,
    pub(crate) topics: TopicSettings,
}

impl Admin {
    /// The cluster and every topic this client may see, in one answer.
    ///
    /// # Errors
    /// [`ClientError`], [`Unreachable`](ClientError::Unreachable) above all.
    pub async fn picture(&self) -> Result<Picture, ClientError> {
        let seen = self.metadata(self.deadline(), "describe the cluster", &Topics::All).await?;
        let topics = seen.topics.into_iter().map(|(name, topic)| {
            let topic = topic.map_err(|fault| self.error(&format!("describe topic {name}"), fault));
            (name, topic)
        });
        let mut topics: Vec<_> = topics.collect();
        topics.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Picture { cluster: seen.cluster, topics })
    }

    /// Settings of topics and of one broker. That broker is asked, so that it need not be the controller
    /// that answers; without one it is.
    pub(crate) async fn settings(
        &self,
        broker: Option<NodeId>,
        topics: &[&str],
    ) -> Result<SettingsRead, ClientError> {
        let request = Request::Settings { broker, topics };
        let read = |answer: &Answer| Ok(answer.settings());
        let answered = self.question("read settings", &request, read).await?;
        let mut found = SettingsRead { broker: None, topics: Vec::new() };
        for of in answered {
            let kind = if of.is_broker { "broker" } else { "topic" };
            let doing = format!("read the settings of {kind} {}", of.name);
            let settings = of.settings.map_err(|fault| self.error(&doing, fault));
            if of.is_broker {
                found.broker = Some(settings);
            } else {
                found.topics.push((of.name, settings));
            }
        }
        Ok(found)
    }

    /// The settings of each of `topics`, defaults included, each with its own outcome. `broker` is asked,
    /// so that it need not be the controller that answers.
    ///
    /// # Errors
    /// [`ClientError`], when no answer came.
    pub async fn configs_of_each(
        &self,
        broker: NodeId,
        topics: &[&str],
    ) -> Result<Vec<(String, Result<Vec<ConfigEntry>, ClientError>)>, ClientError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.settings(Some(broker), topics).await?.topics)
    }

    /// The settings that a broker runs with, by name. That broker is asked itself.
    ///
    /// # Errors
    /// [`ClientError`]; also when it may not be looked at.
    pub async fn broker_configs(&self, broker: NodeId) -> Result<Vec<ConfigEntry>, ClientError> {
        let mut configs = self.settings(Some(broker), &[]).await?.broker.unwrap_or_else(|| {
            let doing = format!("read the settings of broker {broker}");
            let code = rdkafka::error::RDKafkaErrorCode::Fail;
            Err(ClientError::from_code(doing, code, "the answer says nothing of it"))
        })?;
        configs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(configs)
    }

    /// The latest timestamp that any record of each partition has. `None`: it has no records.
    pub(crate) async fn latest_times(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Result<Option<Timestamp>, Fault>)>, ClientError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<_> =
            partitions.iter().map(|partition| (partition.clone(), MAX_TIMESTAMP)).collect();
        let read = |answer: &Answer| Ok(answer.offset_times());
        let found: ByPartition<i64> =
            self.question("read the latest timestamps", &Request::Offsets(&asked), read).await?;
        let time =
            |millis: i64| (0 <= millis).then(|| Timestamp::from_millisecond(millis).ok()).flatten();
        let found = found.into_iter();
        Ok(found.map(|(at, found)| (at, found.map(time).map_err(Fault::of))).collect())
    }
}
