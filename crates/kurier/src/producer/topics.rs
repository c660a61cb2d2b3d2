//! Which topics exist, asked once each, so that a misspelt name fails before anything is accepted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer;

use super::error::SendError;
use super::worker::Client;
use crate::config::check_topic_name;
use crate::sys;

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
    /// When no broker answered; such a topic is taken on trust until it is asked about again.
    unanswered: Option<Instant>,
}

/// Longest time for one question to the cluster.
const QUESTION: Duration = Duration::from_secs(2);
/// How long a topic is taken on trust after nobody answered.
const TRUST: Duration = Duration::from_secs(10);
/// Pause between two questions about a topic that is not there yet.
const AGAIN: Duration = Duration::from_millis(100);

impl KnownTopics {
    /// The topic, once a broker has said that it exists, or if no broker answers: its messages then
    /// wait, and fail by themselves should it not exist. Cancel safe.
    pub(super) async fn checked(
        &self,
        client: &Arc<Client>,
        name: &str,
        grace: Duration,
    ) -> Result<Arc<str>, SendError> {
        if let Some(found) = self.known(name) {
            return Ok(found);
        }
        legal(name)?;
        let _one_at_a_time = self.asking.lock().await;
        let begun = Instant::now();
        loop {
            if let Some(found) = self.known(name) {
                return Ok(found);
            }
            let first = self.lock().is_empty();
            match ask(client, name, first).await {
                Answer::Exists => return Ok(self.remember(name, None)),
                Answer::Nobody => return Ok(self.remember(name, Some(Instant::now()))),
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
        if let Some(found) = self.known(name) {
            return Ok(found);
        }
        legal(name)?;
        Ok(Arc::from(name))
    }

    /// The cluster says that there is no such topic (any more): it is asked about again.
    pub(super) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    fn known(&self, name: &str) -> Option<Arc<str>> {
        let known = self.lock();
        let found = known.get(name)?;
        let trusted = found.unanswered.is_none_or(|asked| asked.elapsed() < TRUST);
        trusted.then(|| Arc::clone(&found.name))
    }

    fn remember(&self, name: &str, unanswered: Option<Instant>) -> Arc<str> {
        let topic: Arc<str> = Arc::from(name);
        let known = Known { name: Arc::clone(&topic), unanswered };
        self.lock().insert(name.to_owned(), known);
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
    Exists,
    Unknown,
    Nobody,
}

/// `first`: no topic is known yet. librdkafka then has just exchanged its bootstrap connections for the
/// brokers' own, and asks for its producer id when a timer of 500 ms says so or when more metadata comes
/// (2.12.1, `rd_kafka_idemp_pid_fsm`): a second question saves that wait.
async fn ask(client: &Arc<Client>, name: &str, first: bool) -> Answer {
    let (client, topic) = (Arc::clone(client), name.to_owned());
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
            Some((_, Ok(_))) => Answer::Exists,
            // Without a right to see it, or without a leader: sending will tell.
            Some((_, Err(fault))) if !is_unknown(fault.code) => Answer::Exists,
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
