//! The only code that commits. One commit is in flight at a time, each with a deadline.
//!
//! It owns when to commit and what became of it; what may be committed is the
//! [`Tracker`](super::Tracker)'s to say. It never waits: the poll thread asks it again and again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;

use super::{Begun, Committable, Tracker};
use crate::consumer::Client;
use crate::sys::{CommitFailure, PendingCommit, Wake};
use crate::{Offset, TopicPartition};

/// What became of one position.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) committed: Committable,
    pub(crate) result: Result<(), CommitFailure>,
}

/// What became of one commit.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) verdicts: Vec<Verdict>,
    /// From the question to its answer, or until it was given up.
    pub(crate) took: Duration,
}

/// Commits what the tracker allows.
#[derive(Debug)]
pub(crate) struct Committer {
    interval: Duration,
    deadline: Duration,
    wake: Wake0,
    due: Instant,
    flight: Option<Flight>,
    stored: BTreeMap<TopicPartition, Offset>,
    /// What is stored beside positions.
    pub(crate) begun: Begun,
}

/// A [`Wake`] that can be shown.
struct Wake0(Wake);

impl std::fmt::Debug for Wake0 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wake")
    }
}

#[derive(Debug)]
struct Flight {
    asked: Instant,
    positions: Vec<Committable>,
    pending: PendingCommit,
}

impl Committer {
    /// Commits every `interval`; each commit has `deadline` to be answered. `wake` is called when an
    /// answer is there.
    pub(crate) fn new(interval: Duration, deadline: Duration, wake: Wake, now: Instant) -> Self {
        let due = now + interval;
        let (stored, begun) = (BTreeMap::new(), Begun::default());
        Self { interval, deadline, wake: Wake0(wake), due, flight: None, stored, begun }
    }

    /// Begins the commit of everything that may be committed, when it is time and none is in flight.
    pub(crate) fn begin_due(&mut self, client: &Client, tracker: &Tracker, now: Instant) {
        if self.flight.is_none() && self.due <= now {
            self.due = now + self.interval;
            self.begin(client, all(tracker), now + self.deadline);
        }
    }

    /// Begins the commit of `partitions`; none may be in flight. Where they have nothing to commit, none is
    /// in flight afterwards either.
    pub(crate) fn begin_for<'a>(
        &mut self,
        client: &Client,
        tracker: &Tracker,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
        until: Instant,
    ) {
        debug_assert!(self.flight.is_none(), "one commit at a time");
        let positions =
            partitions.into_iter().filter_map(|partition| tracker.committable(partition));
        self.begin(client, positions.collect(), until);
    }

    /// Makes the next regular commit due now.
    pub(crate) fn hurry(&mut self) {
        self.due = Instant::now();
    }

    /// What became of the commit in flight, once it is known. Tells the tracker what is stored.
    pub(crate) fn answer(&mut self, tracker: &mut Tracker, now: Instant) -> Option<Answered> {
        let outcomes = self.flight.as_ref()?.pending.answer(now)?;
        let Flight { asked, positions, .. } = self.flight.take()?;
        let verdicts = positions.into_iter().zip(outcomes).map(|(committed, outcome)| {
            if outcome.result.is_ok() {
                tracker.committed(&committed);
                self.stored.insert(committed.partition.clone(), committed.position);
            }
            Verdict { committed, result: outcome.result }
        });
        let took = now.saturating_duration_since(asked);
        Some(Answered { verdicts: verdicts.collect(), took })
    }

    /// True while a commit waits for its answer.
    pub(crate) fn in_flight(&self) -> bool {
        self.flight.is_some()
    }

    /// The last position the group stored for each partition.
    pub(crate) fn stored(&self) -> &BTreeMap<TopicPartition, Offset> {
        &self.stored
    }

    /// What the group has stored for `partition` says nothing of the offsets that it has from now on.
    pub(crate) fn forget(&mut self, partition: &TopicPartition) {
        self.stored.remove(partition);
    }

    /// When it wants to be asked again, if nothing wakes the thread before.
    pub(crate) fn next_look(&self) -> Instant {
        self.flight.as_ref().map_or(self.due, |flight| flight.pending.until())
    }

    fn begin(&mut self, client: &Client, positions: Vec<Committable>, until: Instant) {
        if positions.is_empty() {
            return;
        }
        let offsets = positions.iter().map(|one| (one.partition.clone(), one.position)).collect();
        let asked = Instant::now();
        let note = |topic: &str| self.begun.note(topic);
        let pending = PendingCommit::ask(client, offsets, note, until, self.wake.0.clone());
        self.flight = Some(Flight { asked, positions, pending });
    }
}

fn all(tracker: &Tracker) -> Vec<Committable> {
    tracker.partitions().filter_map(|partition| tracker.committable(partition)).collect()
}

impl CommitFailure {
    /// True when the group says that this member no longer is one, or has missed a rebalance: it has
    /// given the partitions to others, whatever the client believes.
    pub(crate) fn means_lost(self) -> bool {
        matches!(
            self,
            Self::Refused(Code::UnknownMemberId | Code::IllegalGeneration | Code::FencedInstanceId)
        )
    }

    /// True when the same commit may succeed in a moment.
    pub(crate) fn may_pass(self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Refused(code) => matches!(
                code,
                Code::RebalanceInProgress
                    | Code::CoordinatorLoadInProgress
                    | Code::CoordinatorNotAvailable
                    | Code::NotCoordinator
                    | Code::RequestTimedOut
                    | Code::OperationTimedOut
                    | Code::BrokerTransportFailure
                    | Code::WaitingForCoordinator
                    | Code::NetworkException
                    | Code::InProgress
            ),
        }
    }
}

impl std::fmt::Display for CommitFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer within the deadline; it may be stored"),
            Self::Refused(code) => write!(f, "{code}"),
        }
    }
}
