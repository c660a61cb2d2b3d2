//! Topics: made, deleted, listed, described, and how far their partitions reach.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

use super::{Admin, NodeId, is_silence, pause};
use crate::config::check_topic_name;
use crate::error::is_unknown_topic;
use crate::sys::{Answer, ByPartition, Fault, Request, Topics};
use crate::{ClientError, Offset, PartitionId, StartFrom, TopicPartition};

/// A topic to be created. What is not set is the broker's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    name: String,
    partitions: Option<u32>,
    replication: Option<u16>,
    configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), partitions: None, replication: None, configs: BTreeMap::new() }
    }

    /// How many partitions it has. Default: the broker's `num.partitions`.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// How many brokers hold each partition. Default: the broker's `default.replication.factor`.
    #[must_use]
    pub fn replication(mut self, replication: u16) -> Self {
        self.replication = Some(replication);
        self
    }

    /// One of Kafka's topic settings: `retention.ms`, `min.insync.replicas`, …
    /// (<https://kafka.apache.org/documentation/#topicconfigs>).
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(name.into(), value.into());
        self
    }
}

/// A topic and its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// True for one of Kafka's own topics, such as `__consumer_offsets`.
    pub internal: bool,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionDescription>,
}

impl TopicDescription {
    /// The names of all its partitions.
    pub fn topic_partitions(&self) -> Vec<TopicPartition> {
        let topic: std::sync::Arc<str> = self.name.as_str().into();
        let name = |described: &PartitionDescription| {
            TopicPartition::new(topic.clone(), described.partition)
        };
        self.partitions.iter().map(name).collect()
    }
}

/// A partition and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionDescription {
    /// Its number.
    pub partition: PartitionId,
    /// The broker that leads it; None while there is none.
    pub leader: Option<NodeId>,
    /// The brokers that hold it, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Those of them that are in sync.
    pub isr: Vec<NodeId>,
}

/// One setting of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigEntry {
    /// Its name, as Kafka has it.
    pub name: String,
    /// Its value; None where the broker does not show it.
    pub value: Option<String>,
    /// True for a value that must not be shown.
    pub sensitive: bool,
    /// Where the value comes from.
    pub source: ConfigSource,
}

/// Where a topic's setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigSource {
    /// It was set for this topic.
    Topic,
    /// It was set for the brokers.
    Broker,
    /// It is Kafka's default.
    Default,
    /// The broker does not say.
    Unknown,
}

/// A place in a partition, by what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetAt {
    /// The first record that is still there.
    Earliest,
    /// After the last record that consumers may see.
    End,
    /// The first record whose timestamp is this or later; in whole milliseconds, rounded down, and
    /// nothing before 1970.
    Time(jiff::Timestamp),
}

impl OffsetAt {
    /// What `ListOffsets` of Kafka's protocol takes.
    fn spec(self) -> i64 {
        match self {
            Self::Earliest => -2,
            Self::End => -1,
            Self::Time(time) => time.as_millisecond().max(0),
        }
    }
}

/// How far a partition reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset that is still there.
    pub earliest: Offset,
    /// The offset after the last record that consumers may see: the high watermark.
    pub end: Offset,
}

/// How long what a broker said stands for a last question that has no answer.
const SAID: Duration = Duration::from_secs(5);

impl Admin {
    /// Creates a topic. Its partitions may need a moment to get leaders, and other brokers to know of
    /// it: see [`wait_for_topic`](Self::wait_for_topic).
    ///
    /// # Errors
    /// [`ClientError::Kafka`] with the code `TopicAlreadyExists`, `InvalidTopic`,
    /// `InvalidReplicationFactor` or `InvalidConfig` says what is wrong with the topic.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<(), ClientError> {
        let doing = format!("create topic {}", topic.name);
        let refused = |code, reason| Err(ClientError::from_code(&*doing, code, reason));
        if let Err(reason) = check_topic_name(&topic.name) {
            return refused(RDKafkaErrorCode::InvalidTopic, reason);
        }
        if topic.partitions == Some(0) || topic.replication == Some(0) {
            let reason = "a topic has at least one partition and one replica";
            return refused(RDKafkaErrorCode::InvalidArgument, reason);
        }
        let partitions =
            topic.partitions.map_or(-1, |count| i32::try_from(count).unwrap_or(i32::MAX));
        let request = Request::CreateTopic {
            name: &topic.name,
            partitions,
            replication: topic.replication.map_or(-1, i32::from),
            configs: topic.configs.iter().map(|(name, value)| (&**name, &**value)).collect(),
        };
        self.change(&doing, &request, |answer| answer.topic_changed()).await
    }

    /// Deletes a topic and all that is in it.
    ///
    /// # Errors
    /// [`ClientError::Kafka`] with the code `UnknownTopicOrPartition` for one that is not there.
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let doing = format!("delete topic {name}");
        self.change(&doing, &Request::DeleteTopic(name), |answer| answer.topic_changed()).await
    }

    /// All topics, by name, Kafka's own included.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_topics(&self) -> Result<Vec<TopicDescription>, ClientError> {
        let found = self.metadata(self.deadline(), "list topics", &Topics::All).await?.topics;
        let mut topics = Vec::with_capacity(found.len());
        for (name, topic) in found {
            match topic {
                Ok(topic) => topics.push(topic),
                // On its way out, as other brokers see it.
                Err(fault) if is_unknown_topic(fault.code) => {}
                Err(fault) => return Err(self.error(&format!("describe topic {name}"), fault)),
            }
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// A topic's partitions, their leaders and replicas.
    ///
    /// # Errors
    /// [`ClientError::Kafka`] with the code `UnknownTopicOrPartition` for one that is not there.
    pub async fn describe_topic(&self, name: &str) -> Result<TopicDescription, ClientError> {
        self.describe_until(name, self.deadline()).await
    }

    /// A topic's settings, by name, defaults included.
    ///
    /// # Errors
    /// [`ClientError::Kafka`] with the code `UnknownTopicOrPartition` for one that is not there.
    pub async fn topic_configs(&self, name: &str) -> Result<Vec<ConfigEntry>, ClientError> {
        let doing = format!("read the settings of topic {name}");
        let request = Request::Settings { broker: None, topics: &[name] };
        let mut configs = self.question(&doing, &request, |answer| answer.configs()).await?;
        configs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(configs)
    }

    /// Waits until the topic is there and each of its partitions has a leader, at most until
    /// `deadline` from now, whatever the client's timeout is.
    ///
    /// # Errors
    /// What was still missing at the deadline.
    pub async fn wait_for_topic(
        &self,
        name: &str,
        deadline: Duration,
    ) -> Result<TopicDescription, ClientError> {
        let doing = format!("wait for topic {name}");
        let end = Instant::now() + deadline;
        // What the cluster said, which a question that the deadline cuts short does not unsay.
        let mut missing: Option<(Instant, ClientError)> = None;
        loop {
            let error = match self.describe_until(name, end).await {
                Ok(topic) => match topic.partitions.iter().find(|found| found.leader.is_none()) {
                    None if !topic.partitions.is_empty() => return Ok(topic),
                    None => {
                        let code = RDKafkaErrorCode::LeaderNotAvailable;
                        ClientError::from_code(&*doing, code, "it has no partitions yet")
                    }
                    Some(leaderless) => {
                        let reason = format!("partition {} has no leader", leaderless.partition);
                        let code = RDKafkaErrorCode::LeaderNotAvailable;
                        ClientError::from_code(&*doing, code, reason)
                    }
                },
                Err(error) => error,
            };
            let code = match &error {
                ClientError::Kafka { code, .. } => Some(*code),
                _ => None,
            };
            let is_said =
                |code| is_unknown_topic(code) || code == RDKafkaErrorCode::LeaderNotAvailable;
            if code.is_some_and(is_said) {
                missing = Some((Instant::now(), error.clone()));
            } else if !error.is_retriable() {
                return Err(error);
            }
            if !pause(end).await {
                let is_silence = code == Some(RDKafkaErrorCode::OperationTimedOut);
                let lately = missing.filter(|(said, _)| is_silence && said.elapsed() < SAID);
                return Err(lately.map_or(error, |(_, said)| said));
            }
        }
    }

    /// The first offset and the end of each partition of a topic.
    ///
    /// # Errors
    /// [`ClientError`]; also when one of the partitions has no leader.
    pub async fn watermarks(
        &self,
        topic: &str,
    ) -> Result<BTreeMap<PartitionId, Watermarks>, ClientError> {
        let partitions = self.describe_topic(topic).await?.topic_partitions();
        let earliest = self.offsets(&partitions, OffsetAt::Earliest).await?;
        let end = self.offsets(&partitions, OffsetAt::End).await?;
        let of = |offsets: &BTreeMap<TopicPartition, Option<Offset>>, partition| {
            offsets.get(partition).copied().flatten()
        };
        let watermarks = partitions.iter().filter_map(|partition| {
            let earliest = of(&earliest, partition)?;
            Some((partition.partition, Watermarks { earliest, end: of(&end, partition)? }))
        });
        Ok(watermarks.collect())
    }

    /// The offset of each of `partitions` at a place. None: no record is at or after that moment.
    ///
    /// # Errors
    /// [`ClientError`]; also when one of the partitions is not there or has no leader.
    pub async fn offsets(
        &self,
        partitions: &[TopicPartition],
        at: OffsetAt,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>, ClientError> {
        let found = self.offsets_each(partitions, at).await?;
        let found = found.into_iter().map(|(partition, offset)| match offset {
            Ok(offset) => Ok((partition, Some(offset).filter(|offset| Offset(0) <= *offset))),
            Err(code) => {
                let doing = format!("read the offsets of {partition}");
                Err(self.error(&doing, Fault::of(code)))
            }
        });
        found.collect()
    }

    /// Where each of `partitions` begins for who reads it from `from` on. Where no record is of that time or a later
    /// one, that is the end it had before it was asked for the time: a record that is written meanwhile is not passed
    /// over.
    ///
    /// # Errors
    /// As [`offsets`](Self::offsets).
    pub async fn starts(
        &self,
        partitions: &[TopicPartition],
        from: StartFrom,
    ) -> Result<BTreeMap<TopicPartition, Offset>, ClientError> {
        let (ends, found) = match from {
            StartFrom::Earliest => {
                (BTreeMap::new(), self.offsets(partitions, OffsetAt::Earliest).await?)
            }
            StartFrom::Latest => (BTreeMap::new(), self.offsets(partitions, OffsetAt::End).await?),
            StartFrom::Time(time) => {
                let ends = self.offsets(partitions, OffsetAt::End).await?;
                (ends, self.offsets(partitions, OffsetAt::Time(time)).await?)
            }
        };
        let start = |(partition, offset): (TopicPartition, Option<Offset>)| {
            let start = offset.or_else(|| ends.get(&partition).copied().flatten());
            let doing = format!("find where to read {partition} from");
            let unknown = Fault::of(RDKafkaErrorCode::OffsetNotAvailable);
            start.map(|start| (partition, start)).ok_or_else(|| self.error(&doing, unknown))
        };
        found.into_iter().map(start).collect()
    }

    /// As [`offsets`](Self::offsets), with each partition's own outcome, asked once: for one that looks
    /// again and again, and waits for nobody. Below a thousand partitions at a time: what librdkafka does
    /// with an answer grows with their square.
    ///
    /// # Errors
    /// [`ClientError`], when it could not be asked at all.
    pub async fn offsets_of_each(
        &self,
        partitions: &[TopicPartition],
        at: OffsetAt,
    ) -> Result<Vec<(TopicPartition, Result<Option<Offset>, ClientError>)>, ClientError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<_> =
            partitions.iter().map(|partition| (partition.clone(), at.spec())).collect();
        let read = |answer: &Answer| Ok(answer.offsets());
        let found = self.question_once("read offsets", &Request::Offsets(&asked), read).await?;
        let found = found.into_iter().map(|(partition, offset)| {
            let offset = offset
                .map(|offset| Some(offset).filter(|offset| Offset(0) <= *offset))
                .map_err(|code| self.error("read offsets", Fault::of(code)));
            (partition, offset)
        });
        Ok(found.collect())
    }

    /// As [`offsets`](Self::offsets), with an error for each partition on its own. Errors that pass
    /// are waited out first.
    pub(crate) async fn offsets_each(
        &self,
        partitions: &[TopicPartition],
        at: OffsetAt,
    ) -> Result<ByPartition<Offset>, ClientError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<_> =
            partitions.iter().map(|partition| (partition.clone(), at.spec())).collect();
        let doing = "read offsets";
        let deadline = self.deadline();
        loop {
            let request = Request::Offsets(&asked);
            let read = |answer: &Answer| {
                let offsets = answer.offsets();
                let silent = |(_, offset): &(_, Result<_, RDKafkaErrorCode>)| {
                    offset.as_ref().err().copied().filter(|&code| is_silence(code))
                };
                // Silence about all of them is no answer.
                match offsets.first().and_then(silent) {
                    Some(code) if offsets.iter().all(|offset| silent(offset).is_some()) => {
                        Err(Fault::of(code))
                    }
                    _ => Ok(offsets),
                }
            };
            let found = self.question_until(deadline, doing, &request, read).await?;
            let passes = |code| ClientError::from_code(doing, code, "").is_retriable();
            let waits = found.iter().filter(|(_, offset)| offset.is_err_and(passes));
            let topics: BTreeSet<String> =
                waits.map(|(partition, _)| partition.topic.to_string()).collect();
            if topics.is_empty() || !pause(deadline).await {
                return Ok(found);
            }
            for topic in topics {
                // librdkafka asks with the leader and the epoch it knows, and does not look for new ones when
                // a broker says that the epoch is an old one. What is wrong now the next answer tells.
                let _ = self.describe_until(&topic, deadline).await;
            }
        }
    }

    async fn describe_until(
        &self,
        name: &str,
        deadline: Instant,
    ) -> Result<TopicDescription, ClientError> {
        let doing = format!("describe topic {name}");
        let topics = Topics::One(name.to_owned());
        let ask = |left| {
            let asked = self.calls.metadata(topics.clone(), left);
            async { asked.await?.topics.pop().map_or_else(|| Err(unknown()), |(_, topic)| topic) }
        };
        self.until(deadline, &doing, ask, ClientError::is_retriable).await
    }
}

fn unknown() -> Fault {
    Fault::of(RDKafkaErrorCode::UnknownTopicOrPartition)
}
