//! What a dead-letter topic must be, looked at when a run begins: there, and one that keeps what it is
//! given. What would do harm later is said in the log.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::{Admin, ClientError, ConsumerConfig, NewTopic, TopicDescription};

/// A dead-letter topic that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeadLetterTopicError {
    /// It does not exist.
    #[error(
        "the dead-letter topic {topic} does not exist: create it, or have it created (create_dead_letter; kurier consume --create-dead-letter)"
    )]
    Missing {
        /// Its name.
        topic: String,
    },
    /// Compaction drops a dead letter once another one has its key, and takes none without a key.
    #[error(
        "the dead-letter topic {topic} has cleanup.policy={policy}, which drops all but the last letter of a key and takes none without one: set it to delete"
    )]
    Compacted {
        /// Its name.
        topic: String,
        /// Its `cleanup.policy`.
        policy: String,
    },
    /// It is to be created after the topics that are consumed, and none of them is there yet.
    #[error("the dead-letter topic {topic} waits for the topics it is made after: {}", sources.join(", "))]
    NoModel {
        /// Its name.
        topic: String,
        /// The topics that are consumed.
        sources: Vec<String>,
    },
    /// It could not be looked at or created.
    #[error("the dead-letter topic {topic}")]
    Client {
        /// Its name.
        topic: String,
        /// Why.
        #[source]
        source: ClientError,
    },
}

impl DeadLetterTopicError {
    /// True when the same run may succeed later without a change.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Client { source, .. } => source.is_retriable(),
            Self::NoModel { .. } => true,
            Self::Missing { .. } | Self::Compacted { .. } => false,
        }
    }
}

/// How long a topic that was made a moment ago may be unknown to a broker.
const UNKNOWN_GRACE: Duration = Duration::from_secs(2);
/// How long a new topic may take to get its leaders.
const CREATE_GRACE: Duration = Duration::from_secs(10);
/// More than the headers of a letter take.
const HEADERS_ROOM: u64 = 16 * 1024;

/// Looks at the topic, and creates it if that is wanted.
///
/// # Errors
/// When it can't be used, or the cluster does not answer.
pub(crate) async fn check(
    admin: &Admin,
    config: &ConsumerConfig,
    topic: &str,
) -> Result<(), DeadLetterTopicError> {
    let found = if config.create_dead_letter {
        match admin.describe_topic(topic).await {
            Err(error) if error.is_unknown_topic() => {
                create(admin, config, topic).await?;
                admin.wait_for_topic(topic, CREATE_GRACE).await
            }
            found => found,
        }
    } else {
        admin.wait_for_topic(topic, UNKNOWN_GRACE).await
    };
    match found {
        Ok(found) => look(admin, config, &found).await,
        Err(error) if error.is_unknown_topic() => {
            Err(DeadLetterTopicError::Missing { topic: topic.to_owned() })
        }
        // It is there, and its letters wait for a leader.
        Err(ClientError::Kafka { code: Code::LeaderNotAvailable, reason, .. }) => {
            tracing::warn!(topic, reason, "the dead-letter topic has partitions without a leader");
            Ok(())
        }
        Err(source) => Err(failed(topic, source)),
    }
}

/// As the topics that are consumed are, and without an end.
async fn create(
    admin: &Admin,
    config: &ConsumerConfig,
    topic: &str,
) -> Result<(), DeadLetterTopicError> {
    let mut model = Model::default();
    for source in &config.topics {
        match admin.describe_topic(source).await {
            Ok(found) => model.take(&found, &settings(admin, source).await),
            Err(error) if error.is_unknown_topic() => {}
            Err(error) => return Err(failed(topic, error)),
        }
    }
    // Made now, it would have the broker's own choice for good: one copy, most likely.
    if model.partitions == 0 {
        let (topic, sources) = (topic.to_owned(), config.topics.clone());
        return Err(DeadLetterTopicError::NoModel { topic, sources });
    }
    let Model { partitions, replication, .. } = model;
    tracing::info!(topic, partitions, replication, "creating the dead-letter topic");
    match admin.create_topic(&model.new_topic(topic)).await {
        Ok(()) => Ok(()),
        // Another instance was faster.
        Err(ClientError::Kafka { code: Code::TopicAlreadyExists, .. }) => Ok(()),
        Err(error) => Err(failed(topic, error)),
    }
}

/// What a new dead-letter topic is made after: of several topics, the most of each.
#[derive(Debug, Default)]
struct Model {
    partitions: u32,
    replication: u16,
    in_sync: u64,
    message_bytes: u64,
}

impl Model {
    fn take(&mut self, source: &TopicDescription, settings: &BTreeMap<String, String>) {
        let partitions = u32::try_from(source.partitions.len()).unwrap_or(u32::MAX);
        let replicas = source.partitions.iter().map(|one| one.replicas.len()).max().unwrap_or(0);
        let replicas = u16::try_from(replicas).unwrap_or(u16::MAX);
        let number = |name: &str| settings.get(name).and_then(|value| value.parse().ok());
        self.partitions = self.partitions.max(partitions);
        self.replication = self.replication.max(replicas);
        self.in_sync = self.in_sync.max(number("min.insync.replicas").unwrap_or(0));
        self.message_bytes = self.message_bytes.max(number("max.message.bytes").unwrap_or(0));
    }

    fn new_topic(&self, name: &str) -> NewTopic {
        let mut topic = NewTopic::new(name)
            .config("cleanup.policy", "delete")
            .config("retention.ms", "-1")
            .config("retention.bytes", "-1");
        if 0 < self.partitions {
            topic = topic.partitions(self.partitions).replication(self.replication.max(1));
        }
        let in_sync = self.in_sync.min(u64::from(self.replication));
        if 0 < in_sync {
            topic = topic.config("min.insync.replicas", in_sync.to_string());
        }
        if 0 < self.message_bytes {
            let bytes = self.message_bytes.saturating_add(HEADERS_ROOM).min(i32::MAX as u64);
            topic = topic.config("max.message.bytes", bytes.to_string());
        }
        topic
    }
}

/// Refuses a topic that drops letters, and warns of one that may.
async fn look(
    admin: &Admin,
    config: &ConsumerConfig,
    found: &TopicDescription,
) -> Result<(), DeadLetterTopicError> {
    let topic = &*found.name;
    let sources = async {
        let mut all = Vec::new();
        for source in &config.topics {
            all.push((source, settings(admin, source).await));
        }
        all
    };
    let (own, sources) = tokio::join!(settings(admin, topic), sources);
    if let Some(policy) = own.get("cleanup.policy").filter(|policy| policy.contains("compact")) {
        let (topic, policy) = (topic.to_owned(), policy.clone());
        return Err(DeadLetterTopicError::Compacted { topic, policy });
    }
    let replicas = found.partitions.iter().map(|one| one.replicas.len()).min().unwrap_or(0);
    if replicas < 2 {
        tracing::warn!(topic, replicas, "a dead letter has one copy: it goes when its broker does");
    } else if own.get("min.insync.replicas").is_some_and(|in_sync| in_sync == "1") {
        tracing::warn!(
            topic,
            "min.insync.replicas is 1: a dead letter may have one copy when it is acknowledged"
        );
    }
    for (source, theirs) in sources {
        for warning in warnings(&own, &theirs) {
            tracing::warn!(topic, source, "{warning}");
        }
    }
    Ok(())
}

/// What of a dead-letter topic's settings does not fit a topic that is consumed. *Pure.*
fn warnings(own: &BTreeMap<String, String>, source: &BTreeMap<String, String>) -> Vec<String> {
    let number = |settings: &BTreeMap<String, String>, name: &str| {
        settings.get(name).and_then(|value| value.parse::<i64>().ok())
    };
    let mut warnings = Vec::new();
    let forever = |millis: i64| if millis < 0 { i64::MAX } else { millis };
    if let (Some(own), Some(source)) = (number(own, "retention.ms"), number(source, "retention.ms"))
        && forever(own) < forever(source)
    {
        warnings.push(format!(
            "the dead-letter topic keeps messages for less time (retention.ms={own}) than the topic they come from ({source}): set it to -1, or look in time"
        ));
    }
    let bytes = "max.message.bytes";
    if let (Some(own), Some(source)) = (number(own, bytes), number(source, bytes))
        && own < source
    {
        warnings.push(format!(
            "the dead-letter topic takes smaller messages ({bytes}={own}) than the topic they come from ({source}): a message that does not fit stops its partition"
        ));
    }
    warnings
}

/// A topic's settings; none when they may not be read, or the topic is not there.
async fn settings(admin: &Admin, topic: &str) -> BTreeMap<String, String> {
    match admin.topic_configs(topic).await {
        Ok(entries) => {
            entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
        }
        Err(error) => {
            tracing::info!(topic, %error, "the topic's settings can't be looked at");
            BTreeMap::new()
        }
    }
}

fn failed(topic: &str, source: ClientError) -> DeadLetterTopicError {
    DeadLetterTopicError::Client { topic: topic.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(retention: &str, bytes: &str) -> BTreeMap<String, String> {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        [("retention.ms", retention), ("max.message.bytes", bytes)].map(own).into()
    }

    #[test]
    fn what_keeps_less_or_takes_less_than_its_source_is_warned_of() {
        let table = [
            (("-1", "100"), ("-1", "100"), [false, false]),
            (("-1", "200"), ("1000", "100"), [false, false]),
            (("999", "100"), ("1000", "100"), [true, false]),
            (("1000", "100"), ("-1", "100"), [true, false]),
            (("1000", "99"), ("1000", "100"), [false, true]),
        ];
        for (own, source, expected) in table {
            let warnings = warnings(&settings(own.0, own.1), &settings(source.0, source.1));
            let about = |word: &str| warnings.iter().any(|warning| warning.contains(word));
            let found = [about("retention.ms"), about("max.message.bytes")];
            assert_eq!(found, expected, "{own:?} for {source:?}: {warnings:?}");
        }
        assert_eq!(warnings(&BTreeMap::new(), &settings("1", "1")), Vec::<String>::new());
    }
}
