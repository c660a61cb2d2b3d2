//! What librdkafka says went wrong, sorted: wait, end the run, or just log.

use std::collections::BTreeSet;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::ConsumerEvent;
use super::context::Trouble;
use super::event::Listener;
use super::poll::Keeper;
use crate::{ClientError, TopicPartition};

/// What the consumer waits for, so that it is said once.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    cluster: bool,
    topics: BTreeSet<String>,
}

impl Waiting {
    /// No broker answers.
    pub(super) fn for_cluster(&mut self, reason: &str, listener: &Listener) {
        if !self.cluster {
            self.cluster = true;
            tracing::warn!(reason, "waiting for the cluster");
            listener.tell(|| ConsumerEvent::WaitingForCluster { reason: reason.to_owned() });
        }
    }

    /// Topics do not exist.
    pub(super) fn for_topics(&mut self, missing: Vec<String>, listener: &Listener) {
        let topics: Vec<String> =
            missing.into_iter().filter(|topic| self.topics.insert(topic.clone())).collect();
        if !topics.is_empty() {
            tracing::warn!(?topics, "waiting for topics");
            listener.tell(|| ConsumerEvent::WaitingForTopics { topics });
        }
    }

    /// A broker has answered.
    pub(super) fn heard_from_cluster(&mut self, listener: &Listener) {
        if self.cluster {
            self.cluster = false;
            tracing::info!("the cluster is back");
            listener.tell(|| ConsumerEvent::ClusterBack);
        }
    }

    /// The group works, and these partitions exist.
    pub(super) fn assigned(&mut self, partitions: &[TopicPartition], listener: &Listener) {
        let before = self.topics.len();
        self.topics.retain(|topic| partitions.iter().all(|partition| *partition.topic != **topic));
        if self.topics.len() < before {
            self.cluster = true;
        }
        self.heard_from_cluster(listener);
    }
}

impl Keeper {
    /// Deals with what librdkafka said.
    pub(super) fn trouble(&mut self, trouble: &Trouble) {
        let Trouble { code, reason } = trouble;
        match code {
            Code::AllBrokersDown => self.waiting.for_cluster(reason, &self.common.listener),
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                self.waiting.for_topics(self.named_in(reason), &self.common.listener);
            }
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::Authentication
            | Code::FencedInstanceId
            | Code::UnsupportedSASLMechanism
            | Code::InconsistentGroupProtocol
            | Code::InvalidGroupId
            | Code::Fatal => {
                tracing::error!(?code, reason, "the consumer can't go on");
                let error = ClientError::from_code("consume", *code, reason.clone());
                self.failed.get_or_insert(error);
            }
            _ => tracing::warn!(?code, reason, "librdkafka reports a problem and goes on"),
        }
    }

    /// Ends the run with an error of a call.
    pub(super) fn fail(&mut self, error: &KafkaError, doing: impl FnOnce() -> String) {
        let doing = doing();
        tracing::error!(%error, doing, "the consumer can't go on");
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        self.failed.get_or_insert(ClientError::from_code(doing, code, error.to_string()));
    }

    /// librdkafka says "Subscribed topic not available: NAME: …".
    fn named_in(&self, reason: &str) -> Vec<String> {
        let topics = &self.config.topics;
        let is_named = |topic: &&String| reason.contains(&format!(" {topic}:"));
        let named: Vec<String> = topics.iter().filter(is_named).cloned().collect();
        if named.is_empty() { topics.clone() } else { named }
    }
}
