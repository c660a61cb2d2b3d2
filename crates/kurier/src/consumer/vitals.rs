//! What the poll thread observes of the run, written down for [`Health`](crate::Health).
//!
//! It owns when that is written, and the question to the cluster whether partitions that are silent
//! have more. What follows from it is decided by [`health`](crate::health).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;

use super::held::{Adrift, Held};
use super::poll::Keeper;
use super::report::{ConsumeError, ConsumeReport, StoppedPartition};
use crate::commit::Tracker;
use crate::health::{Hand, LeaderWatch, Observed, PartitionObserved, Phase};
use crate::metrics::Shown;
use crate::sys::{ByPartition, PendingEnds};
use crate::{ClientError, Condition, HealthHandle, Offset, TopicPartition};

/// The least time between two writings in busy rounds.
const SHOW_EVERY: Duration = Duration::from_millis(50);
/// Longest time for the leaders to say where partitions end.
const QUESTION: Duration = Duration::from_secs(5);
/// So many times within `stall_after` a silent partition is asked about.
const QUESTIONS: u32 = 4;

/// What the poll thread needs to observe itself.
#[derive(Debug)]
pub(super) struct Vitals {
    handle: HealthHandle,
    /// True while the group has given this member no share.
    pub(super) unassigned: bool,
    shown: Option<Instant>,
    asked: Option<Instant>,
    pending: Option<Asked>,
    leaders: LeaderWatch,
}

/// A question that is out, and whom it is about.
#[derive(Debug)]
struct Asked {
    partitions: Vec<TopicPartition>,
    pending: PendingEnds,
}

impl Vitals {
    pub(super) fn new(handle: HealthHandle) -> Self {
        let leaders = LeaderWatch::default();
        Self { handle, unassigned: true, shown: None, asked: None, pending: None, leaders }
    }
}

impl Keeper {
    /// Says that the thread comes round, in a wait that has rounds of its own.
    pub(super) fn beat(&self) {
        self.vitals.handle.write(|observed| observed.came_round = Some(Instant::now()));
    }

    /// Writes down what is to be seen, unless that was done a moment ago.
    pub(super) fn show(&mut self, now: Instant) {
        if self.vitals.shown.is_none_or(|shown| shown + SHOW_EVERY <= now) {
            self.show_now(now);
        }
    }

    /// Writes down what is to be seen.
    pub(super) fn show_now(&mut self, now: Instant) {
        self.vitals.shown = Some(now);
        let seen = self.observed(now);
        self.vitals.handle.write(|observed| *observed = seen);
        let (held, tracker, adrift) = (&self.held, &self.tracker, &self.adrift);
        self.common.figures.show(|| Shown {
            held: (held.iter())
                .map(|(name, held)| held.figures(name, tracker.position(name)))
                .collect(),
            adrift: adrift.iter().map(Adrift::calls).sum(),
        });
    }

    fn observed(&mut self, now: Instant) -> Observed {
        let phase = match &self.failed {
            Some(error) => Phase::Failed(condition(error)),
            None if self.closing => Phase::Draining,
            None => Phase::Running,
        };
        let mut leaderless = self.vitals.leaders.missing(now);
        leaderless.retain(|partition, _| self.held.contains_key(partition));
        Observed {
            phase,
            stall_after: self.config.stall_after,
            came_round: Some(now),
            unassigned: self.vitals.unassigned,
            cluster_away: self.waiting.cluster.clone(),
            remaking: None,
            outbox_full: None,
            outbox_damaged: None,
            letters_wait: self.common.dead_letters.as_ref().and_then(|it| it.delay(now)),
            topics_missing: self.waiting.topics.clone(),
            leaderless,
            stopped: self.stopped(),
            partitions: (self.held.iter_mut())
                .map(|(partition, held)| seen(partition, held, &self.tracker, now))
                .collect(),
            adrift: (self.adrift.iter_mut())
                .filter_map(|one| Some((one.partition.clone(), one.hand(now)?)))
                .collect(),
        }
    }

    /// The partitions that are stopped here now: one that has gone to another member since is that
    /// one's concern, and one that came back may fare better.
    fn stopped(&self) -> Vec<StoppedPartition> {
        let all = &self.report.stopped;
        let held = self.held.iter().filter(|(_, held)| held.stopped);
        let mut stopped: Vec<StoppedPartition> = held
            .filter_map(|(name, _)| all.iter().rfind(|one| one.partition == *name).cloned())
            .collect();
        stopped.sort_by(|a, b| a.partition.cmp(&b.partition));
        stopped
    }

    /// Asks, now and then, whether partitions from which nothing comes have more, and a leader, and notes
    /// the answers. Never waits.
    pub(super) fn ask_the_silent(&mut self, now: Instant) {
        if let Some(asked) = self.vitals.pending.take() {
            match asked.pending.answer() {
                Some(answer) => self.note_ends(&asked.partitions, answer, now),
                None => self.vitals.pending = Some(asked),
            }
        }
        let every = self.config.stall_after / QUESTIONS;
        let mut leaders = std::mem::take(&mut self.vitals.leaders);
        leaders.look(self.client.client(), every, now, || {
            self.silent_for(every, now).map(|name| name.topic.to_string()).collect()
        });
        self.vitals.leaders = leaders;
        let lately = self.vitals.asked.is_some_and(|asked| now < asked + every);
        if lately || self.vitals.pending.is_some() {
            return;
        }
        let partitions: Vec<TopicPartition> = self.silent_for(every, now).cloned().collect();
        if partitions.is_empty() {
            return;
        }
        self.vitals.asked = Some(now);
        let pending = PendingEnds::ask(&self.client, &partitions, every.min(QUESTION));
        self.vitals.pending = pending.map(|pending| Asked { partitions, pending });
    }

    /// The partitions from which nothing has come for `time`.
    fn silent_for(&self, time: Duration, now: Instant) -> impl Iterator<Item = &TopicPartition> {
        let silent = move |held: &Held| time <= held.reading.silent(now);
        self.held.iter().filter(move |(_, held)| silent(held)).map(|(name, _)| name)
    }

    fn note_ends(&mut self, asked: &[TopicPartition], answer: ByPartition<Offset>, now: Instant) {
        let ends: HashMap<_, _> =
            answer.into_iter().filter_map(|(name, end)| Some((name, end.ok()?))).collect();
        for partition in asked {
            let Some(held) = self.held.get_mut(partition) else { continue };
            match ends.get(partition) {
                Some(end) => held.reading.ends_at(*end, self.tracker.reached(partition), now),
                None => held.reading.gets_on(now),
            }
        }
    }
}

fn seen(
    partition: &TopicPartition,
    held: &mut Held,
    tracker: &Tracker,
    now: Instant,
) -> PartitionObserved {
    PartitionObserved {
        partition: partition.clone(),
        reached: tracker.reached(partition),
        reading: held.reading,
        hand: held.hand(now),
    }
}

/// Writes down that a run begins, so that a thread which never comes round is noticed.
pub(super) fn begun(handle: &HealthHandle, stall_after: Duration) {
    handle.write(|observed| {
        *observed = Observed {
            phase: Phase::Running,
            stall_after,
            came_round: Some(Instant::now()),
            unassigned: true,
            ..Observed::default()
        };
    });
}

/// Writes down how a run ended.
pub(super) fn ended(handle: &HealthHandle, outcome: &Result<ConsumeReport, ConsumeError>) {
    let (phase, report) = match outcome {
        Ok(report) => (Phase::Ended(report.ended), Some(report)),
        Err(ConsumeError::Failed { source, report }) => {
            (Phase::Failed(condition(source)), Some(&**report))
        }
        Err(error) => (Phase::Failed(Condition::Failed { reason: error.to_string() }), None),
    };
    let stopped = report.map_or_else(Vec::new, |report| report.stopped.clone());
    handle.write(|observed| *observed = Observed { phase, stopped, ..Observed::default() });
}

fn condition(error: &ClientError) -> Condition {
    match error {
        ClientError::Kafka { code: RDKafkaErrorCode::FencedInstanceId, reason, .. } => {
            Condition::Fenced { reason: reason.clone() }
        }
        _ => Condition::Failed { reason: error.to_string() },
    }
}

/// What handlers have in their hands; read by the poll thread.
///
/// Of a lane that handles one message, or one batch, at a time: written twice a message, so without a lock
/// and a clock; the poll thread adds the time. The two numbers may be read from two messages, when one
/// follows the other in between; the next look then sees another one and starts its time anew.
///
/// Of a lane that handles many keys at once: all of them, each with its time.
#[derive(Debug)]
pub(super) struct InHand {
    offset: AtomicI64,
    attempt: AtomicU32,
    many: Mutex<BTreeMap<Offset, Hand>>,
}

/// No offset.
const NOTHING: i64 = -1;

impl Default for InHand {
    fn default() -> Self {
        let (offset, attempt) = (AtomicI64::new(NOTHING), AtomicU32::new(0));
        Self { offset, attempt, many: Mutex::default() }
    }
}

impl InHand {
    /// The handler is called with this message.
    pub(super) fn take(&self, offset: Offset, attempt: u32) {
        self.attempt.store(attempt, Ordering::Relaxed);
        self.offset.store(offset.0, Ordering::Relaxed);
    }

    /// The handler has nothing to do.
    pub(super) fn put_down(&self) {
        self.offset.store(NOTHING, Ordering::Relaxed);
    }

    /// A handler is called with this message, one of many.
    pub(super) fn hold(&self, offset: Offset, attempt: u32) {
        let first = || Hand { offset, attempt, since: Instant::now() };
        self.many().entry(offset).or_insert_with(first).attempt = attempt;
    }

    /// This message, one of many, is done with.
    pub(super) fn put_back(&self, offset: Offset) {
        self.many().remove(&offset);
    }

    /// What is in hand at `now`, of many that which is so for the longest time; `before` is what this said
    /// the last time.
    pub(super) fn look(&self, before: Option<Hand>, now: Instant) -> Option<Hand> {
        if let Some(longest) = self.many().values().min_by_key(|hand| hand.since) {
            return Some(*longest);
        }
        let offset = match self.offset.load(Ordering::Relaxed) {
            NOTHING => return None,
            offset => Offset(offset),
        };
        let attempt = self.attempt.load(Ordering::Relaxed);
        let since = before.filter(|before| before.offset == offset).map_or(now, |one| one.since);
        Some(Hand { offset, attempt, since })
    }

    /// How many messages, or batches, are in hand.
    pub(super) fn count(&self) -> usize {
        match self.many().len() {
            0 => usize::from(self.offset.load(Ordering::Relaxed) != NOTHING),
            many => many,
        }
    }

    /// The map is whole after any panic: each change is one call.
    fn many(&self) -> MutexGuard<'_, BTreeMap<Offset, Hand>> {
        self.many.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
