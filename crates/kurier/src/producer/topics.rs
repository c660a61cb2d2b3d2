//! Which topics exist, asked once each, so that a misspelt name fails before anything is accepted.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer;

use super::client::Client;
use super::error::{NotAccepting, SendError};
use crate::config::check_topic_name;
use crate::{PartitionId, sys};

/// The topics that a producer has sent to.
#[derive(Debug, Default)]
pub(super) struct KnownTopics {
    known: Mutex<HashMap<String, Known>>,
    /// One question at a time: the others mostly want to know the same.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    standing: Standing,
    /// How many partitions a broker has named, if one has answered.
    partitions: Option<i32>,
}

#[derive(Debug, Clone, Copy)]
enum Standing {
    /// A broker says that it is there.
    Exists,
    /// No broker answered: taken on trust until it is asked about again.
    OnTrust(Instant),
    /// It was there, and now a broker says that it is not: asked about again.
    InDoubt,
    /// A broker does not let us write: not asked about again for a while.
    Denied(Instant),
}

/// Longest time for one question to the cluster.
const QUESTION: Duration = Duration::from_secs(2);
/// How long a topic is taken on trust after nobody answered, or not tried again after it was denied.
const TRUST: Duration = Duration::from_secs(10);
/// Pause between two questions about a topic that is not there yet.
const AGAIN: Duration = Duration::from_millis(100);

impl KnownTopics {
    /// The topic, once a broker has said that it exists, or if no broker answers: its messages then
    /// wait, and fail by themselves should it not exist. Cancel safe.
    pub(super) async fn checked(
        &self,
        client: impl Fn() -> Option<Arc<Client>>,
        name: &str,
        grace: Duration,
    ) -> Result<Arc<str>, SendError> {
        if let Some(found) = self.known(name)? {
            return Ok(found);
        }
        legal(name)?;
        let _one_at_a_time = self.asking.lock().await;
        let begun = Instant::now();
        loop {
            if let Some(found) = self.known(name)? {
                return Ok(found);
            }
            let first = self.lock().is_empty();
            let Some(client) = client() else { return Err(NotAccepting::Closed.into()) };
            match ask(client, name, first).await {
                Answer::Exists(partitions) => {
                    return Ok(self.remember(name, Standing::Exists, partitions));
                }
                Answer::Nobody => {
                    return Ok(self.remember(name, Standing::OnTrust(Instant::now()), None));
                }
                Answer::Unknown if grace <= begun.elapsed() => {
                    return Err(SendError::UnknownTopic { topic: name.to_owned() });
                }
                // A topic that was made a moment ago is not known to every broker.
                Answer::Unknown => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// The topic, without asking.
    pub(super) fn unchecked(&self, name: &str) -> Result<Arc<str>, SendError> {
        if let Some(found) = self.known(name)? {
            return Ok(found);
        }
        legal(name)?;
        Ok(Arc::from(name))
    }

    /// The cluster says that there is no such topic (any more): it is asked about again.
    pub(super) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// As [`forget`](Self::forget), for a topic that may come back.
    pub(super) fn doubt(&self, name: &str) {
        if let Some(known) = self.lock().get_mut(name) {
            known.standing = Standing::InDoubt;
        }
    }

    /// A broker refuses what is written to this topic: nothing is accepted for it for a while.
    pub(super) fn deny(&self, name: &str) {
        self.remember(name, Standing::Denied(Instant::now()), None);
    }

    /// Their names.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.lock().keys().cloned().collect()
    }

    /// True when a broker has said that this partition is there, or, without one, the topic.
    pub(super) fn had(&self, name: &str, partition: Option<PartitionId>) -> bool {
        let partitions = self.lock().get(name).and_then(|known| known.partitions);
        partitions.is_some_and(|count| partition.is_none_or(|PartitionId(one)| one < count))
    }

    fn known(&self, name: &str) -> Result<Option<Arc<str>>, SendError> {
        let known = self.lock();
        let Some(found) = known.get(name) else { return Ok(None) };
        let topic = Arc::clone(&found.name);
        match found.standing {
            Standing::Exists => Ok(Some(topic)),
            Standing::OnTrust(since) if since.elapsed() < TRUST => Ok(Some(topic)),
            Standing::Denied(since) if since.elapsed() < TRUST => Err(SendError::Client {
                topic: name.to_owned(),
                code: RDKafkaErrorCode::TopicAuthorizationFailed,
            }),
            Standing::OnTrust(_) | Standing::InDoubt | Standing::Denied(_) => Ok(None),
        }
    }

    /// A number of partitions that is known already stays until a broker names another.
    fn remember(&self, name: &str, standing: Standing, partitions: Option<i32>) -> Arc<str> {
        let topic: Arc<str> = Arc::from(name);
        let mut known = self.lock();
        let partitions = partitions.or(known.get(name).and_then(|known| known.partitions));
        let found = Known { name: Arc::clone(&topic), standing, partitions };
        known.insert(name.to_owned(), found);
        topic
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn legal(name: &str) -> Result<(), SendError> {
    let topic = || name.chars().take(300).collect();
    check_topic_name(name).map_err(|reason| SendError::TopicName { topic: topic(), reason })
}

enum Answer {
    /// With so many partitions, if the broker may say.
    Exists(Option<i32>),
    Unknown,
    Nobody,
}

/// `first`: no topic is known yet. librdkafka then has just exchanged its bootstrap connections for the
/// brokers' own, and asks for its producer id when a timer of 500 ms says so or when more metadata comes
/// (2.12.1, `rd_kafka_idemp_pid_fsm`): a second question saves that wait.
async fn ask(client: Arc<Client>, name: &str, first: bool) -> Answer {
    let topic = name.to_owned();
    let ask = move || {
        let wanted = sys::Topics::One(topic.clone());
        let Ok(metadata) = sys::metadata(client.client(), &wanted, QUESTION) else {
            return Answer::Nobody;
        };
        if first {
            // Only the asking counts; a cluster that is gone again shows itself by what is sent.
            let _ = sys::metadata(client.client(), &sys::Topics::None, QUESTION);
        }
        let found = metadata.topics.into_iter().find(|(name, _)| *name == topic);
        match found {
            Some((_, Ok(topic))) => Answer::Exists(i32::try_from(topic.partitions.len()).ok()),
            // Without a right to see it, or without a leader: sending will tell.
            Some((_, Err(fault))) if !is_unknown(fault.code) => Answer::Exists(None),
            _ => Answer::Unknown,
        }
    };
    tokio::task::spawn_blocking(ask).await.unwrap_or(Answer::Nobody)
}

/// Whether this code says that there is no such topic.
pub(super) fn is_unknown(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as C;
    matches!(code, C::UnknownTopic | C::UnknownTopicOrPartition | C::UnknownPartition)
}
