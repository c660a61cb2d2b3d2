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
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) cluster: ClusterInfo,
    pub(crate) topics: Vec<(String, Result<TopicDescription, ClientError>)>,
}

/// Settings of topics, and those of the broker that was asked, if one was named.
#[derive(Debug)]
pub(crate) struct SettingsRead {
    pub(crate) broker: Option<Result<Vec<ConfigEntry>, ClientError>>,
    pub(crate) topics: TopicSettings,
}

impl Admin {
    /// The cluster and every topic this client may see.
    pub(crate) async fn picture(&self) -> Result<Picture, ClientError> {
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
