//! What a client has observed of itself, and what follows from it. *Pure.*

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{Condition, Health, InWork, Reading};
use crate::dead_letter::Delay;
use crate::{Ended, Offset, OutboxDamage, StoppedPartition, TopicPartition};

/// How far a client's life has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It was made.
    #[default]
    Made,
    /// It does its work.
    Running,
    /// It finishes its work.
    Draining,
    /// It has ended as it was meant to.
    Ended(Ended),
    /// It can't go on, or could not begin. `Condition::Failed` or `Condition::Fenced`.
    Failed(Condition),
}

/// Something that is away: a cluster that does not answer, a client that is being made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Absence {
    pub(crate) since: Instant,
    pub(crate) reason: String,
}

/// A message in a handler's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hand {
    pub(crate) offset: Offset,
    pub(crate) attempt: u32,
    pub(crate) since: Instant,
}

/// One partition that is assigned to this instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionObserved {
    pub(crate) partition: TopicPartition,
    pub(crate) reached: Option<Offset>,
    pub(crate) reading: Reading,
    pub(crate) hand: Option<Hand>,
}

/// Everything that health follows from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) phase: Phase,
    pub(crate) stall_after: Duration,
    /// When the client's thread came round last, if it has one that is watched.
    pub(crate) came_round: Option<Instant>,
    /// Whether the client waits for the group to give it a share.
    pub(crate) unassigned: bool,
    pub(crate) cluster_away: Option<Absence>,
    pub(crate) remaking: Option<Absence>,
    /// The outbox takes no new messages.
    pub(crate) outbox_full: Option<Absence>,
    /// The first place of it that can't be read, and how many there are besides.
    pub(crate) outbox_damaged: Option<(OutboxDamage, u64)>,
    /// Dead letters that take too long.
    pub(crate) letters_wait: Option<Delay>,
    pub(crate) topics_missing: BTreeSet<String>,
    /// Partitions without a leader, with the time since when.
    pub(crate) leaderless: BTreeMap<TopicPartition, Instant>,
    /// Those of the partitions below that have stopped.
    pub(crate) stopped: Vec<StoppedPartition>,
    pub(crate) partitions: Vec<PartitionObserved>,
    /// What handlers have in their hands for partitions that were taken away.
    pub(crate) adrift: Vec<(TopicPartition, Hand)>,
}

/// So many partitions are named.
const LISTED: usize = 10;

impl Observed {
    /// What follows at `now`.
    pub(crate) fn health(&self, now: Instant) -> Health {
        let mut conditions = Vec::new();
        let mut last = None;
        match &self.phase {
            Phase::Made => last = Some(Condition::NotStarted),
            Phase::Running => self.running(now, &mut conditions),
            Phase::Draining => last = Some(Condition::Draining),
            Phase::Ended(ended) => last = Some(Condition::Ended(*ended)),
            Phase::Failed(condition) => conditions.push(condition.clone()),
        }
        conditions.extend(self.stopped.iter().cloned().map(Condition::PartitionStopped));
        self.elsewhere(now, &mut conditions);
        conditions.extend(last);
        Health { conditions, in_work: self.in_work(now) }
    }

    /// What only a client that does its work can lack. While it ends, its thread has a deadline.
    fn running(&self, now: Instant, conditions: &mut Vec<Condition>) {
        let silent = self.came_round.map(|last| now.saturating_duration_since(last));
        if let Some(silent) = silent.filter(|silent| self.stall_after <= *silent) {
            conditions.push(Condition::ThreadSilent { silent });
        }
        // A thread that is silent reads nothing either, and a cluster that is away gives nothing.
        if conditions.is_empty() && self.cluster_away.is_none() {
            conditions.extend(self.stalls(now));
        }
    }

    fn stalls(&self, now: Instant) -> impl Iterator<Item = Condition> {
        self.partitions.iter().filter_map(move |one| {
            let end = one.reading.stalled(self.stall_after, now)?;
            Some(Condition::ReadingStalled {
                partition: one.partition.clone(),
                reached: one.reached,
                end,
                silent: one.reading.silent(now),
            })
        })
    }

    /// What others are to blame for, as long as there is something to wait for.
    fn elsewhere(&self, now: Instant, conditions: &mut Vec<Condition>) {
        if !matches!(self.phase, Phase::Running | Phase::Draining) {
            return;
        }
        if let Some(Absence { since, reason }) = &self.cluster_away {
            let waited = now.saturating_duration_since(*since);
            conditions.push(Condition::WaitingForCluster { reason: reason.clone(), waited });
        }
        if let Some(Absence { since, reason }) = &self.remaking {
            let waited = now.saturating_duration_since(*since);
            conditions.push(Condition::Remaking { reason: reason.clone(), waited });
        }
        if let Some(Absence { since, reason }) = &self.outbox_full {
            let waited = now.saturating_duration_since(*since);
            conditions.push(Condition::OutboxNotTaking { reason: reason.clone(), waited });
        }
        if let Some((first, more)) = &self.outbox_damaged {
            conditions.push(Condition::OutboxDamaged { first: first.clone(), more: *more });
        }
        if let Some(Delay { topic, letters, since, reason }) = &self.letters_wait {
            let (topic, reason) = (topic.to_string(), reason.clone());
            let waited = now.saturating_duration_since(*since);
            let letters = *letters;
            conditions.push(Condition::DeadLetterWaiting { topic, letters, reason, waited });
        }
        if !self.topics_missing.is_empty() {
            let topics = self.topics_missing.iter().cloned().collect();
            conditions.push(Condition::WaitingForTopics { topics });
        }
        if self.cluster_away.is_none() {
            conditions.extend(self.without_leader(now));
        }
        if self.unassigned && self.phase == Phase::Running {
            conditions.push(Condition::NotAssigned);
        }
    }

    /// A cluster can have thousands of them.
    fn without_leader(&self, now: Instant) -> Option<Condition> {
        let first = self.leaderless.values().min()?;
        let partitions: Vec<_> = self.leaderless.keys().take(LISTED).cloned().collect();
        let more = self.leaderless.len() - partitions.len();
        let waited = now.saturating_duration_since(*first);
        Some(Condition::WithoutLeader { partitions, more, waited })
    }

    fn in_work(&self, now: Instant) -> Vec<InWork> {
        let in_work = |partition: &TopicPartition, hand, adrift| {
            let Hand { offset, attempt, since } = hand;
            let busy = now.saturating_duration_since(since);
            InWork { partition: partition.clone(), offset, attempt, busy, adrift }
        };
        let held = self.partitions.iter();
        let held = held.filter_map(|one| Some(in_work(&one.partition, one.hand?, false)));
        let adrift = self.adrift.iter().map(|(partition, hand)| in_work(partition, *hand, true));
        let mut in_work: Vec<InWork> = held.chain(adrift).collect();
        in_work.sort_by(|a, b| b.busy.cmp(&a.busy).then_with(|| a.partition.cmp(&b.partition)));
        in_work
    }
}
