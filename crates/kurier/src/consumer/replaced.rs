//! Topics that are deleted and made anew while they are read: their partitions begin at the beginning.
//!
//! Such a topic has its predecessor's name, and other messages at its offsets. librdkafka goes on reading at the offset it
//! has reached, and passes over whatever stands before it by then (librdkafka 2.12.1, `rd_kafka_topic_metadata_update`:
//! "an offset reset must be triggered"). What tells the two apart is the topic's id (KIP-516).
//!
//! Until that is noticed, a position of the old topic may be committed for the new one. The beginning is committed at
//! once then; only a run that ends in between leaves messages behind that nobody is given.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::Offset as KafkaOffset;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use tracing::field::display;

use super::ConsumerEvent;
use super::poll::Keeper;
use super::rebalance::listed;
use super::start::{QUESTION, answers, list_of};
use crate::sys::{Described, PendingTopics, TopicId};
use crate::{Offset, TopicPartition};

/// The time between two questions for the topics' ids.
const EVERY: Duration = Duration::from_secs(5);
/// The same, when no leader has said where a new topic's partition begins.
const AGAIN: Duration = Duration::from_millis(500);

/// When topics are asked for their ids. To be dropped before the client is closed.
#[derive(Debug, Default)]
pub(super) struct TopicWatch {
    /// At once, if nothing is said.
    next: Option<Instant>,
    pending: Option<PendingTopics>,
    /// Topics that others took the place of. A broker that lags behind may name them still.
    gone: Vec<TopicId>,
}

impl TopicWatch {
    /// Partitions were taken in: which topics they are of is asked at once.
    pub(super) fn hurry(&mut self) {
        self.next = None;
    }
}

impl Keeper {
    /// Asks, now and then, whether the topics are still those that are read; partitions of others begin anew. Waits only for
    /// the leaders to say where.
    pub(super) fn watch_topics(&mut self, now: Instant) {
        // A rebalance takes partitions out and in by itself, one that this would be amid.
        if self.leaving.is_some() || !self.turns.is_empty() {
            return;
        }
        if let Some(pending) = self.topics.pending.take() {
            match pending.answer() {
                None => self.topics.pending = Some(pending),
                Some(Ok(described)) => self.compare(&described),
                Some(Err(fault)) => tracing::debug!(?fault, "nobody says which topics these are"),
            }
        }
        let is_due = self.topics.next.is_none_or(|next| next <= now);
        if self.topics.pending.is_some() || self.held.is_empty() || !is_due {
            return;
        }
        self.topics.next = Some(now + EVERY);
        let topics: BTreeSet<_> = self.held.keys().map(|one| one.topic.to_string()).collect();
        match PendingTopics::ask(self.client.client(), topics, EVERY) {
            Ok(pending) => self.topics.pending = Some(pending),
            Err(fault) => tracing::warn!(?fault, "can't ask which topics these are"),
        }
    }

    /// Begins the partitions anew whose topic is another one now.
    fn compare(&mut self, described: &Described) {
        let mut replaced = Vec::new();
        for (partition, held) in &mut self.held {
            let Some(id) = described.ids.get(&*partition.topic) else { continue };
            if held.topic.get_or_insert(*id) != id && !self.topics.gone.contains(id) {
                replaced.push(partition.clone());
            }
        }
        if replaced.is_empty() {
            return;
        }
        let beginnings = self.beginnings(&replaced);
        let sought = self.seek(&beginnings).inspect_err(|error| {
            tracing::info!(%error, partitions = %listed(&replaced), "can't be read from the beginning yet");
        });
        if sought.is_err() || beginnings.len() < replaced.len() {
            self.topics.next = Some(Instant::now() + AGAIN);
        }
        if sought.is_err() {
            return;
        }
        for (partition, beginning) in beginnings {
            let reached = self.tracker.reached(&partition).map(display);
            tracing::warn!(
                %partition, reached, %beginning,
                "the topic was deleted and made anew; its partition begins at the beginning"
            );
            self.committer.begun.made_anew(&partition.topic);
            self.renew(&partition, Some(beginning));
            if let Some(held) = self.held.get_mut(&partition) {
                let old = std::mem::replace(
                    &mut held.topic,
                    described.ids.get(&*partition.topic).copied(),
                );
                self.topics.gone.extend(old.filter(|old| !self.topics.gone.contains(old)));
                // What stopped it is gone with the old topic; the report keeps it, as of a partition that was lost.
                held.stopped = false;
            }
            self.common.listener.tell(|| ConsumerEvent::TopicReplaced { partition, beginning });
        }
        self.committer.hurry();
    }

    /// Where those of `partitions` begin whose leaders say so.
    fn beginnings(&self, partitions: &[TopicPartition]) -> Vec<(TopicPartition, Offset)> {
        self.beat();
        let asked = partitions.iter().map(|one| (one, KafkaOffset::Beginning));
        let found = list_of(asked).and_then(|list| self.client.offsets_for_times(list, QUESTION));
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::info!(%error, partitions = %listed(partitions), "where they begin is not known yet");
                return Vec::new();
            }
        };
        let known =
            |(partition, beginning): (_, KafkaResult<_>)| Some((partition, beginning.ok()??));
        answers(&found).into_iter().filter_map(known).collect()
    }
}
