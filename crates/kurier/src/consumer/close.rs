//! The end of a run: handlers finish, positions are committed, the group is left, the client is closed.
//!
//! Dropping a client can hang for ever on a healthy cluster, when it is closed while an assignment is
//! unserved (28 of 152 did). What never hung in 300: commit as a member, unsubscribe, poll until there
//! is neither assignment nor subscription, close the queue, poll until closed. Every stage has a share
//! of the deadline; when it passes, a thread of its own goes on with the client, and the report says so.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use tokio::sync::watch;

use super::ConsumerEvent;
use super::context::{Client, Turn};
use super::mailbox::Ending;
use super::poll::{Keeper, ROUND_MAX};
use super::rebalance::{assign, unassign};
use super::report::{Closed, ConsumeReport, Ended};
use crate::ClientError;
use crate::commit::Committer;
use crate::sys::CommitFailure;

/// The name of the thread that closes a client when the deadline has passed.
const REAPER: &str = "kurier-reaper";
/// The most that is kept of the deadline for the commit and for leaving.
const RESERVE_MAX: Duration = Duration::from_secs(5);
/// Longest wait for a group that can't be left, for no broker is there and nothing is lost without one.
const POINTLESS_LEAVE_MAX: Duration = Duration::from_secs(5);

/// How long a broker has to show that the cluster is back.
const LAST_QUESTION: Duration = Duration::from_millis(500);

/// No commit is begun again later than this before the group is left: with one under way in the client,
/// the group was not left, and the client was closed all the same. It takes some 300 ms with a coordinator
/// that answers that it is not ready, since the client asks three times.
const LAST_COMMIT: Duration = Duration::from_millis(700);

/// What is known of a run outside its thread, in case the thread does not come back.
#[derive(Debug)]
pub(super) struct Progress {
    report: Mutex<ConsumeReport>,
    /// By when the run is to be over, once it is closing.
    closing: watch::Sender<Option<Instant>>,
}

impl Progress {
    pub(super) fn new() -> (Arc<Self>, watch::Receiver<Option<Instant>>) {
        let (closing, seen) = watch::channel(None);
        (Arc::new(Self { report: Mutex::default(), closing }), seen)
    }

    /// Notes the report so far.
    pub(super) fn note(&self, report: &ConsumeReport, committer: &Committer) {
        let mut noted = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        noted.clone_from(report);
        noted.committed.clone_from(committer.stored());
    }

    /// The report as it was noted last.
    pub(super) fn noted(&self) -> ConsumeReport {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How a run ended: the report, and the error if one ended it.
pub(super) type Finished = (ConsumeReport, Option<ClientError>);

impl Keeper {
    /// Ends the run.
    pub(super) fn close(mut self, ended: Ended) -> Finished {
        self.report.ended = ended;
        self.closing = true;
        let now = Instant::now();
        self.show_now(now);
        let over = match self.common.mailbox.ending() {
            Some(Ending::Orderly(over) | Ending::Abandoned(over)) => over,
            None => now + self.config.shutdown_deadline,
        };
        self.progress.closing.send_replace(Some(over));
        tracing::info!(group = %self.config.group, instance = %self.config.instance, why = %ended, "closing");
        self.common.listener.tell(|| ConsumerEvent::Closing);
        let left = over.saturating_duration_since(now);
        let reserve = (left / 2).min(RESERVE_MAX);
        self.drain(over - reserve);
        self.ask_whether_away();
        self.commit_last(over - reserve / 2);
        self.leave_group(over)
    }

    /// Waits for the messages in handlers' hands, then drops what is left.
    fn drain(&mut self, until: Instant) {
        let abandoned = self.abandoned();
        for held in self.held.values_mut() {
            if abandoned { held.halt() } else { held.finish() }
        }
        while Instant::now() < until && !self.idle() && !self.abandoned() {
            self.attend(ROUND_MAX);
        }
        let adrift = std::mem::take(&mut self.adrift);
        let held = self.held.iter().filter(|(_, held)| !held.ended);
        let held = held.map(|(partition, held)| held.adrift(partition));
        let mut left: Vec<_> = adrift.into_iter().chain(held).collect();
        left.iter().for_each(|one| one.task.abort());
        // A dropped future says what it had in its hands; one that blocks its thread does not.
        let patience = Instant::now() + ROUND_MAX * 4;
        self.adrift.clone_from(&left);
        while !self.adrift.is_empty() && Instant::now() < patience {
            self.attend(ROUND_MAX / 10);
        }
        left.retain(|one| self.adrift.iter().any(|adrift| adrift.epoch == one.epoch));
        self.report.outstanding += left.len() as u64;
    }

    fn idle(&self) -> bool {
        self.adrift.is_empty()
            && self.leaving.is_none()
            && self.held.values().all(|held| held.ended)
    }

    /// Commits what is handled, while still a member; again until `until` if the group is not ready.
    fn commit_last(&mut self, until: Instant) {
        let mut asked = false;
        loop {
            self.attend(Duration::from_millis(5));
            if self.is_pointless() {
                break;
            }
            let now = Instant::now();
            if self.committer.in_flight() || self.leaving.is_some() {
                if now < until {
                    continue;
                }
                break;
            }
            let open = self.tracker.partitions().filter_map(|one| self.tracker.committable(one));
            let refused = |failure: &CommitFailure| !failure.may_pass();
            let open: Vec<_> = open
                .map(|open| open.partition)
                .filter(|one| !(asked && self.refused.get(one).is_some_and(refused)))
                .collect();
            let late = until <= now || (asked && until <= now + LAST_COMMIT);
            if open.is_empty() || late {
                break;
            }
            let longest = now + self.config.commit_deadline;
            self.committer.begin_for(&self.client, &self.tracker, &open, until.min(longest));
            asked = true;
        }
        let stored = self.committer.stored();
        self.report.uncommitted.retain(|one, position| stored.get(one) < Some(position));
        // What was stored for an earlier share may be of other messages.
        for partition in self.tracker.partitions() {
            if let Some(owed) = self.tracker.owed(partition) {
                self.report.uncommitted.insert(partition.clone(), owed.position);
            }
        }
        self.report.committed.clone_from(stored);
        self.progress.note(&self.report, &self.committer);
    }

    /// What was heard last of the cluster may be old: nobody asks any more while a run is closing.
    fn ask_whether_away(&mut self) {
        let Some(topic) = self.config.topics.first().filter(|_| self.waiting.cluster.is_some())
        else {
            return;
        };
        if self.client.fetch_metadata(Some(topic), LAST_QUESTION).is_ok() {
            self.waiting.heard_from_cluster(&self.common.listener);
        }
    }

    /// True when no broker is there, and nothing is lost by not waiting for one.
    fn is_pointless(&self) -> bool {
        let owes =
            self.tracker.partitions().any(|partition| self.tracker.owed(partition).is_some());
        self.waiting.cluster.is_some() && !owes && self.report.uncommitted.is_empty()
    }

    fn leave_group(mut self, mut over: Instant) -> Finished {
        // A commit that is under way keeps librdkafka in the group until a broker answers, or for a minute.
        let pointless = self.is_pointless();
        if pointless {
            over = over.min(Instant::now() + POINTLESS_LEAVE_MAX);
        }
        self.let_go_now();
        let turns = std::mem::take(&mut self.turns);
        let Self { client, held, committer, tracker, vitals, topics, mut report, failed, .. } =
            self;
        // Answers that are still out would keep a reference to the client's queue.
        drop((committer, tracker, vitals, topics));
        let mut closer = Closer::new(client, turns.into());
        // The partitions' queues hold the client; nothing is read from them any more.
        drop(held);
        while Instant::now() < over {
            if closer.step() {
                drop(closer);
                return (report, failed);
            }
        }
        let waiting_for = closer.waiting_for().to_owned();
        if pointless {
            tracing::warn!(waiting_for, "no broker answers; {REAPER} goes on closing");
        } else {
            tracing::warn!(
                waiting_for,
                "the shutdown deadline has passed; {REAPER} goes on closing"
            );
        }
        let reaper = thread::Builder::new().name(REAPER.to_owned());
        let started = reaper.spawn(move || {
            while !closer.step() {}
            tracing::info!("closed, after the deadline");
        });
        let thread = match started {
            Ok(_) => REAPER.to_owned(),
            Err(error) => format!("none, for it could not be started: {error}"),
        };
        report.closed = match pointless {
            true => Closed::NotLeft,
            false => Closed::LeftBehind { thread, waiting_for },
        };
        (report, failed)
    }
}

/// A client on its way out. Dropped when closed: that takes no time then.
struct Closer {
    client: Arc<Client>,
    turns: Vec<Turn>,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Unsubscribing,
    Closing,
    Closed,
}

impl Closer {
    fn new(client: Arc<Client>, turns: Vec<Turn>) -> Self {
        let mut closer = Self { client, turns, stage: Stage::Unsubscribing };
        // Whatever the group waits for comes first: an unserved assignment is what hangs.
        closer.answer_turns();
        closer.client.unsubscribe();
        closer
    }

    fn waiting_for(&self) -> &'static str {
        match self.stage {
            Stage::Unsubscribing => "the group to take the partitions back",
            Stage::Closing => "the group to be left",
            Stage::Closed => "the client to be destroyed",
        }
    }

    /// One look at the main queue, at most 50 ms long; true when the client is closed.
    fn step(&mut self) -> bool {
        self.answer_turns();
        // Messages and errors are nobody's any more.
        drop(self.client.poll(ROUND_MAX));
        self.answer_turns();
        match self.stage {
            Stage::Unsubscribing if self.is_bare() => {
                self.stage = match self.client.close_queue() {
                    Ok(()) => Stage::Closing,
                    // Fenced, or another fatal error: librdkafka closes such a client only by destroying
                    // it, and that without a word to the group (`rd_kafka_consumer_close_q`).
                    Err(error) => {
                        tracing::info!(%error, "the group is not left: the client can't");
                        Stage::Closed
                    }
                }
            }
            Stage::Unsubscribing => {}
            Stage::Closing if self.client.closed() => self.stage = Stage::Closed,
            Stage::Closing => {}
            Stage::Closed => return true,
        }
        matches!(self.stage, Stage::Closed)
    }

    fn is_bare(&self) -> bool {
        let empty = |list: rdkafka::error::KafkaResult<rdkafka::TopicPartitionList>| {
            list.is_ok_and(|list| list.count() == 0)
        };
        empty(self.client.assignment()) && empty(self.client.subscription())
    }

    fn answer_turns(&mut self) {
        let (turns, _) = self.client.context().take();
        for turn in self.turns.drain(..).chain(turns) {
            let answered = match turn {
                Turn::Assign(partitions) => {
                    let starts: Vec<_> = partitions.into_iter().map(|one| (one, None)).collect();
                    assign(&self.client, &starts)
                }
                Turn::Revoke { partitions, .. } => unassign(&self.client, &partitions),
            };
            if let Err(error) = answered {
                tracing::warn!(%error, "a rebalance while closing");
            }
        }
    }
}
