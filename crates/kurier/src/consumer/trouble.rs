//! What librdkafka says went wrong, sorted: wait, end the run, or just log.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::ConsumerEvent;
use super::context::Trouble;
use super::event::Listener;
use super::poll::Keeper;
use crate::health::Absence;
use crate::{ClientError, TopicPartition, sys};

/// What the consumer waits for, so that it is said once.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) cluster: Option<Absence>,
    pub(super) topics: BTreeSet<String>,
    probed: Option<Instant>,
    /// The topic that was asked about last; they take turns.
    probed_topic: String,
}

/// Time between two questions whether the cluster is back, while nothing else would tell.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How long the answer may take, which may come from far away.
const PROBE_MAX: Duration = Duration::from_millis(250);

impl Waiting {
    /// No broker answers.
    pub(super) fn for_cluster(&mut self, reason: &str, listener: &Listener) {
        if self.cluster.is_none() {
            self.cluster = Some(Absence { since: Instant::now(), reason: reason.to_owned() });
            tracing::warn!(reason, "waiting for the cluster");
            listener.tell(|| ConsumerEvent::WaitingForCluster { reason: reason.to_owned() });
        }
    }

    /// Topics do not exist.
    pub(super) fn for_topics(&mut self, missing: Vec<String>, listener: &Listener) {
        let topics: Vec<String> =
            missing.into_iter().filter(|topic| self.topics.insert(topic.clone())).collect();
        if !topics.is_empty() {
            tracing::warn!(topics = topics.join(", "), "waiting for topics");
            listener.tell(|| ConsumerEvent::WaitingForTopics { topics });
        }
    }

    /// A broker has answered.
    pub(super) fn heard_from_cluster(&mut self, listener: &Listener) {
        if self.cluster.take().is_some() {
            tracing::info!("the cluster is back");
            listener.tell(|| ConsumerEvent::ClusterBack);
        }
    }

    /// The group works, and these partitions exist.
    pub(super) fn assigned(&mut self, partitions: &[TopicPartition], listener: &Listener) {
        let given = |topic: &String| partitions.iter().any(|one| *one.topic == **topic);
        let given: Vec<String> = self.topics.iter().filter(|topic| given(topic)).cloned().collect();
        for topic in &given {
            self.there_is(topic, listener);
        }
        self.heard_from_cluster(listener);
    }

    /// The missing topic to ask about next.
    fn next_topic(&mut self) -> Option<String> {
        let later = (Bound::Excluded(self.probed_topic.as_str()), Bound::Unbounded);
        let next = self.topics.range::<str, _>(later).next().or_else(|| self.topics.first())?;
        self.probed_topic.clone_from(next);
        Some(self.probed_topic.clone())
    }

    /// This topic exists.
    fn there_is(&mut self, topic: &str, listener: &Listener) {
        if self.topics.remove(topic) && self.topics.is_empty() && self.cluster.is_none() {
            tracing::info!("the topics are there");
            listener.tell(|| ConsumerEvent::ClusterBack);
        }
    }
}

impl Keeper {
    /// While the cluster, or a topic, is away: asks now and then whether it is back. An idle consumer,
    /// whose membership outlived the outage, would else never learn, nor one whose group gives the
    /// topic's partitions to others.
    pub(super) fn probe(&mut self) {
        let waiting = &mut self.waiting;
        if waiting.cluster.is_some() {
            // Nothing can come: that is no silence to end at.
            self.ends.active();
        }
        let now = Instant::now();
        let due = waiting.probed.is_none_or(|last| last + PROBE_EVERY <= now);
        if !due || (waiting.cluster.is_none() && waiting.topics.is_empty()) {
            return;
        }
        waiting.probed = Some(now);
        let topic = waiting.next_topic().or_else(|| self.config.topics.first().cloned());
        let Some(topic) = topic else { return };
        let Ok(metadata) = self.client.fetch_metadata(Some(&topic), PROBE_MAX) else { return };
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        if found.is_some_and(|found| found.error().is_none() && !found.partitions().is_empty()) {
            waiting.there_is(&topic, &self.common.listener);
        }
        waiting.heard_from_cluster(&self.common.listener);
    }

    /// Deals with what librdkafka said.
    pub(super) fn trouble(&mut self, trouble: &Trouble) {
        let Trouble { code, reason } = trouble;
        self.silent.hear(trouble, Instant::now());
        if let Some(denial) = self.access.hear(*code, reason, Instant::now()) {
            self.waiting.for_cluster(&denial.to_string(), &self.common.listener);
            return;
        }
        match code {
            Code::AllBrokersDown => self.waiting.for_cluster(reason, &self.common.listener),
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                self.waiting.for_topics(self.named_in(reason), &self.common.listener);
            }
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::FencedInstanceId
            | Code::InconsistentGroupProtocol
            | Code::InvalidGroupId
            | Code::Fatal => self.fatal(*code, reason),
            _ => tracing::warn!(?code, reason, "librdkafka reports a problem and goes on"),
        }
    }

    /// Ends the run when no broker lets the client in. One that did before is waited for. A hint counts
    /// before the first answer; later it is a broker that restarts.
    pub(super) fn watch_access(&mut self) {
        if let Some(hint) = self.client.context().hint()
            && !sys::was_reached(self.client.client())
        {
            self.waiting.for_cluster(&hint, &self.common.listener);
        }
        if !self.access.in_doubt() || self.failed.is_some() {
            return;
        }
        if sys::was_reached(self.client.client()) {
            self.access.let_in();
        } else if let Some(denial) = self.access.verdict(Instant::now()) {
            let denial = denial.clone().looked_into(&self.settings);
            tracing::error!(%denial, "the consumer can't go on");
            self.failed = Some(ClientError::Denied(denial));
        }
    }

    /// Ends the run with an error that the client can't recover from. The code `Fatal` only says that
    /// there is one; which one it is, the client knows (librdkafka's manual, "Fatal errors").
    pub(super) fn fatal(&mut self, code: Code, reason: &str) {
        let known = self.client.client().fatal_error();
        let (code, reason) = known.unwrap_or_else(|| (code, reason.to_owned()));
        tracing::error!(?code, reason, "the consumer can't go on");
        let doing = match code {
            Code::TopicAuthorizationFailed => {
                format!("read {}{}", self.named_in(&reason).join(", "), self.access.as_user())
            }
            Code::GroupAuthorizationFailed => {
                format!("join group {}{}", self.config.group, self.access.as_user())
            }
            _ => "consume".to_owned(),
        };
        self.failed.get_or_insert(ClientError::from_code(doing, code, reason));
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
