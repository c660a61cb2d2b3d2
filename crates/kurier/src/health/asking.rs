//! Asks the cluster, now and then and without waiting, which partitions have no leader.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::Client;

use super::leaders::Leaders;
use crate::TopicPartition;
use crate::sys::PendingTopics;

/// Longest time for a broker to say who leads.
const QUESTION: Duration = Duration::from_secs(5);

/// What one client knows of leaders. To be dropped before the client is closed.
#[derive(Debug, Default)]
pub(crate) struct LeaderWatch {
    leaders: Leaders,
    pending: Option<PendingTopics>,
    /// Whether the last question had an answer.
    answered: bool,
}

impl LeaderWatch {
    /// Notes an answer that has come, and asks about `topics`, and about those that something is missing
    /// of, when it is time: `every` so often as long as no leader is missing.
    pub(crate) fn look<C: ClientContext>(
        &mut self,
        client: &Client<C>,
        every: Duration,
        now: Instant,
        topics: impl FnOnce() -> BTreeSet<String>,
    ) {
        if let Some(pending) = self.pending.take() {
            match pending.answer() {
                Some(Ok(described)) => {
                    self.answered = true;
                    self.leaders.heard(described.leaderless, now);
                }
                Some(Err(fault)) => {
                    self.answered = false;
                    tracing::debug!(?fault, "nobody says which partitions have a leader");
                }
                None => self.pending = Some(pending),
            }
        }
        if self.pending.is_some() || !self.leaders.due(every, now) {
            return;
        }
        let mut topics = topics();
        topics.extend(self.leaders.topics().map(str::to_owned));
        if topics.is_empty() {
            return;
        }
        self.leaders.asked(now);
        match PendingTopics::ask(client, topics, QUESTION) {
            Ok(pending) => self.pending = Some(pending),
            Err(fault) => tracing::warn!(?fault, "can't ask which partitions have a leader"),
        }
    }

    /// True when a broker has just said that partitions have no leader, be it for the moment of an
    /// election: then it is not the cluster that is away.
    pub(crate) fn blames_leaders(&self) -> bool {
        self.answered && self.leaders.topics().next().is_some()
    }

    /// The partitions that lack a leader, with the time since when.
    pub(crate) fn missing(&self, now: Instant) -> BTreeMap<TopicPartition, Instant> {
        self.leaders.missing(now)
    }
}
