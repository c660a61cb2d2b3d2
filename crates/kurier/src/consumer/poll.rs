//! The one thread that owns the client, the tracker and all commits.
//!
//! It goes round and round: letters of the lanes, the client's main queue, commits, rebalances, and then
//! each partition whose lane has room. A round waits for the bell, and that at most 50 ms; beside that
//! only for the answer where new partitions begin. What a round does about rebalances, troubles, ends and
//! closing is said in the files of those names.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use tokio::sync::mpsc;
use tracing::field::display;

use super::close::Progress;
use super::context::{Client, Turn};
use super::end::Ends;
use super::held::{Adrift, Fed, Held, LaneEnds, Room};
use super::lanes::{Common, Lane, Orders, Spawn};
use super::mailbox::{Ending, How, Letter};
use super::outset::Outsets;
use super::rebalance::Leaving;
use super::replaced::TopicWatch;
use super::report::{ConsumeReport, Ended, StoppedPartition};
use super::silent::Silent;
use super::start::Survey;
use super::trouble::Waiting;
use super::vitals::Vitals;
use super::{ConsumerEvent, OnFailure};
use crate::access::Access;
use crate::commit::{Answered, Committer, Epoch, OutOfOrder, Seen, Settled, Tracker};
use crate::sys::{CommitFailure, Looked};
use crate::{
    ClientError, ConsumerConfig, HealthHandle, Offset, Position, Record, StartFrom, TopicPartition,
};

/// Longest time between two looks at the client's main queue.
pub(super) const ROUND_MAX: Duration = Duration::from_millis(50);

/// The thread's own: nothing of it is shared.
pub(super) struct Keeper {
    pub(super) client: Arc<Client>,
    pub(super) config: ConsumerConfig,
    pub(super) common: Arc<Common>,
    pub(super) spawn: Spawn,
    pub(super) room: Room,
    pub(super) tracker: Tracker,
    /// How far partitions that came and went were handled.
    pub(super) seen: Seen,
    pub(super) committer: Committer,
    /// Why a position was not stored, until it is.
    pub(super) refused: HashMap<TopicPartition, CommitFailure>,
    pub(super) held: HashMap<TopicPartition, Held>,
    /// Lanes that were let go while their handler was at work.
    pub(super) adrift: Vec<Adrift>,
    /// What the group wants, in order; answered one by one.
    pub(super) turns: VecDeque<Turn>,
    pub(super) leaving: Option<Leaving>,
    pub(super) waiting: Waiting,
    pub(super) access: Access,
    /// What the client was made with.
    pub(super) settings: rdkafka::ClientConfig,
    pub(super) survey: Survey,
    pub(super) outsets: Outsets,
    pub(super) ends: Ends,
    pub(super) report: ConsumeReport,
    pub(super) failed: Option<ClientError>,
    /// The run is ending: nothing new is begun.
    pub(super) closing: bool,
    pub(super) progress: Arc<Progress>,
    pub(super) vitals: Vitals,
    pub(super) silent: Silent,
    pub(super) topics: TopicWatch,
    letters: Vec<Letter>,
}

/// What a [`Keeper`] is made of.
pub(super) struct Parts {
    pub(super) client: Arc<Client>,
    pub(super) access: Access,
    pub(super) settings: rdkafka::ClientConfig,
    pub(super) config: ConsumerConfig,
    pub(super) common: Arc<Common>,
    pub(super) spawn: Spawn,
    pub(super) room: Room,
    pub(super) ends: Ends,
    pub(super) progress: Arc<Progress>,
    pub(super) health: HealthHandle,
}

impl Keeper {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { client, access, settings, config, common, spawn, room, ends, progress, health } =
            parts;
        let wake = common.mailbox.wake();
        let (interval, deadline) = (config.commit_interval, config.commit_deadline);
        Self {
            committer: Committer::new(interval, deadline, wake, Instant::now()),
            client,
            config,
            common,
            spawn,
            room,
            tracker: Tracker::default(),
            seen: Seen::default(),
            refused: HashMap::new(),
            held: HashMap::new(),
            adrift: Vec::new(),
            turns: VecDeque::new(),
            leaving: None,
            waiting: Waiting::default(),
            access,
            settings,
            survey: Survey::default(),
            outsets: Outsets::default(),
            ends,
            report: ConsumeReport::default(),
            failed: None,
            closing: false,
            progress,
            vitals: Vitals::new(health),
            silent: Silent::default(),
            topics: TopicWatch::default(),
            letters: Vec::new(),
        }
    }

    /// Consumes until the run is to end; says why.
    pub(super) fn consume(&mut self) -> Ended {
        if let Some(ended) = self.survey() {
            return ended;
        }
        let topics: Vec<&str> = self.config.topics.iter().map(String::as_str).collect();
        if let Err(error) = self.client.subscribe(&topics) {
            self.fail(&error, || "subscribe".to_owned());
        }
        let mut busy = false;
        loop {
            let wait = if busy { Duration::ZERO } else { self.wait() };
            self.attend(wait);
            busy = self.feed();
            let now = Instant::now();
            self.ask_the_silent(now);
            self.watch_topics(now);
            self.probe();
            if let Some(ended) = self.ended() {
                return ended;
            }
        }
    }

    /// One round, without reading: letters, main queue, commits, rebalances.
    pub(super) fn attend(&mut self, wait: Duration) {
        self.read_letters(wait);
        self.serve();
        self.read_commit();
        self.rebalance();
        self.begin_silent();
        let now = Instant::now();
        if self.leaving.is_none() {
            self.commit_outsets(now);
            self.committer.begin_due(&self.client, &self.tracker, now);
        }
        self.show(now);
    }

    fn wait(&self) -> Duration {
        if self.leaving.is_some() {
            // Lanes and answers ring; what is left are deadlines.
            return ROUND_MAX / 5;
        }
        let due = self.committer.next_look().saturating_duration_since(Instant::now());
        // A position that nothing has changed is not committed; then there is nothing to be on time for.
        due.clamp(Duration::from_millis(1), ROUND_MAX)
    }

    fn read_letters(&mut self, wait: Duration) {
        let mut letters = std::mem::take(&mut self.letters);
        self.common.mailbox.collect(&mut letters, wait);
        for letter in letters.drain(..) {
            match letter {
                Letter::Settled { completion, messages, bytes, how } => {
                    self.ends.active();
                    match self.tracker.settle(&completion) {
                        Settled::Now(count) => {
                            let again = self.seen.again(&completion, count);
                            self.common.figures.redelivered.add(again);
                            self.count(how, count);
                            if let Some(held) = self.held.get_mut(&completion.partition) {
                                held.release(messages, bytes);
                            }
                        }
                        Settled::Late => {
                            self.seen.late(&completion);
                            match how {
                                How::Handled => self.too_late(&completion.partition, messages),
                                // The copy is there, and counts; the next owner will write another.
                                How::DeadLettered => self.count(how, messages),
                            }
                        }
                    }
                }
                Letter::Stopped { epoch, stopped } => self.lane_stopped(epoch, stopped),
                Letter::Ended { partition, epoch, at_work, stopped, unwritten } => {
                    // What a rebalance took is for its next owner to give up.
                    if self.closing {
                        let left = |offset| Position::new(partition.clone(), offset);
                        self.report.unwritten_letters.extend(unwritten.into_iter().map(left));
                    }
                    self.lane_ended(&partition, epoch, at_work, stopped);
                }
            }
        }
        self.letters = letters;
        self.report.retried = self.common.retried.load(Ordering::Relaxed);
    }

    fn count(&mut self, how: How, messages: usize) {
        let figures = &self.common.figures;
        match how {
            How::Handled => {
                self.report.handled += messages as u64;
                figures.processed.add(messages);
            }
            How::DeadLettered => {
                self.report.dead_lettered += messages as u64;
                figures.dead_lettered.add(messages);
            }
        }
    }

    fn too_late(&mut self, partition: &TopicPartition, messages: usize) {
        self.report.handled_too_late += messages as u64;
        self.common.figures.too_late.add(messages);
        tracing::warn!(%partition, messages, "handled after the partition was taken away");
        let partition = partition.clone();
        self.common.listener.tell(|| ConsumerEvent::HandledTooLate { partition });
    }

    fn lane_ended(
        &mut self,
        partition: &TopicPartition,
        epoch: Epoch,
        at_work: usize,
        stopped: Option<StoppedPartition>,
    ) {
        self.report.outstanding += at_work as u64;
        self.adrift.retain(|adrift| adrift.epoch != epoch);
        let Some(held) = self.held.get_mut(partition).filter(|held| held.epoch == epoch) else {
            return;
        };
        held.ended = true;
        let stopped = match stopped {
            Some(stopped) => stopped,
            None if held.is_halted() => return,
            // Its task was dropped from outside: the runtime is going down.
            None => StoppedPartition {
                partition: partition.clone(),
                offset: self.tracker.position(partition).unwrap_or(Offset(0)),
                attempts: 0,
                reason: "the runtime dropped the partition's task".to_owned(),
            },
        };
        self.lane_stopped(epoch, stopped);
    }

    pub(super) fn lane_stopped(&mut self, epoch: Epoch, stopped: StoppedPartition) {
        let partition = &stopped.partition;
        let Some(held) = self.held.get_mut(partition).filter(|held| held.epoch == epoch) else {
            return;
        };
        // Others that can't be handled may come up while it ends.
        if std::mem::replace(&mut held.stopped, true) {
            return;
        }
        held.halt();
        let StoppedPartition { offset, attempts, reason, .. } = &stopped;
        tracing::error!(
            %partition, %offset, attempts, %reason,
            "partition stopped: this message is not handled, and nothing is committed past it"
        );
        self.report.stopped.push(stopped.clone());
        self.common.figures.stopped_at.add(1);
        self.show_now(Instant::now());
        self.common.listener.tell(|| ConsumerEvent::PartitionStopped(stopped));
    }

    /// Serves the client's main queue: rebalances and errors are noted, to be dealt with in order.
    pub(super) fn serve(&mut self) {
        let client = Arc::clone(&self.client);
        while let Some(event) = client.poll(Duration::ZERO) {
            match event {
                Ok(message) => self.astray(message.topic(), message.partition(), message.offset()),
                Err(KafkaError::MessageConsumptionFatal(code)) => {
                    self.fatal(code, "the client said no more");
                }
                // The context was told of it, with the reason.
                Err(_) => {}
            }
        }
        let (turns, troubles) = client.context().take();
        self.turns.extend(turns);
        for trouble in troubles {
            self.trouble(&trouble);
        }
        self.watch_access();
    }

    /// A message that came past its partition's own queue. librdkafka does not do that (tried); if it
    /// ever does, going on would pass the message over.
    fn astray(&mut self, topic: &str, partition: i32, offset: i64) {
        let name = TopicPartition::new(topic, crate::PartitionId(partition));
        if !self.held.contains_key(&name) {
            return;
        }
        let doing = format!("read {name}");
        let reason = format!("offset {offset} came outside its partition's queue");
        self.failed.get_or_insert(ClientError::Kafka {
            doing,
            code: RDKafkaErrorCode::Fail,
            reason,
        });
    }

    /// Reads from every partition whose lane has room. True when there may be more to read at once.
    fn feed(&mut self) -> bool {
        let now = Instant::now();
        let mut busy = false;
        let mut back = Vec::new();
        let mut troubles = Vec::new();
        let mut unread = Vec::new();
        let bounds = (self.room.share(self.held.len()), self.room.ahead);
        for (partition, held) in &mut self.held {
            // What no cluster can be told to do: one partition of several is forgotten.
            #[cfg(test)]
            if super::tests::is_left_unread(&self.config.group, partition) {
                continue;
            }
            if self.outsets.of(partition).is_some() {
                // Nothing is handed out yet: that is neither a standstill nor a silence to end at.
                held.reading.gets_on(now);
                self.ends.active();
                continue;
            }
            let end = self.ends.hands_over_before(partition);
            match held.feed(partition, &mut self.tracker, bounds, end, now) {
                Fed::Read { looked, more } => {
                    busy |= more;
                    self.common.figures.received.add(looked.messages);
                    if 0 < looked.taken {
                        self.ends.active();
                    }
                    if 0 < looked.messages || looked.end.is_some() {
                        self.waiting.heard_from_cluster(&self.common.listener);
                    }
                    troubles.extend(looked.error);
                    unread.extend(looked.unread.map(|what| (partition.clone(), what)));
                    if self.ends.all_read(partition, &self.tracker) {
                        held.hurry();
                    }
                }
                Fed::WentBack(records) => back.push((partition.clone(), records)),
            }
        }
        for (partition, records) in back {
            if !self.went_back_from_hole(&partition) {
                self.begin_anew(&partition, records);
            }
        }
        for (partition, what) in unread {
            self.fetch_again(&partition, what);
        }
        self.stop_before_holes();
        for (code, reason) in troubles {
            self.trouble(&super::context::Trouble { code, reason });
        }
        busy
    }

    /// The log was cut back, or its beginning moved: reading has gone back behind what was delivered.
    /// What the lane has from before counts no more.
    fn begin_anew(&mut self, partition: &TopicPartition, mut records: Vec<Record>) {
        self.common.figures.received.add(records.len());
        loop {
            let first = records.first().map(|record| record.offset);
            let reached = self.tracker.reached(partition).map(display);
            let back_to = first.map(display);
            tracing::warn!(%partition, reached, back_to, "reading went back; the partition begins anew");
            self.renew(partition, first);
            let offsets = records.iter().map(|record| record.offset);
            match self.tracker.deliver(partition, offsets) {
                Ok(()) => break,
                // It went back more than once.
                Err(OutOfOrder { noted }) => records = records.split_off(noted),
            }
        }
        let looked = Looked {
            messages: records.len(),
            bytes: records.iter().map(Record::size).sum(),
            ..Looked::default()
        };
        if let Some(held) = self.held.get_mut(partition) {
            held.hand_over(records, &looked);
        }
    }

    /// Begins a partition anew at `start`, where other messages may have the offsets of those before. What the group has
    /// stored may lie beyond.
    pub(super) fn renew(&mut self, partition: &TopicPartition, start: Option<Offset>) {
        self.seen.forget(partition);
        self.committer.forget(partition);
        self.outsets.moved(partition, start);
        let lane = self.new_lane(partition, start);
        self.tracker.owe(partition);
        if let Some(held) = self.held.get_mut(partition) {
            self.adrift.push(held.renew(partition, lane));
        }
    }

    /// Begins an ownership of `partition` and starts its lane.
    pub(super) fn new_lane(
        &mut self,
        partition: &TopicPartition,
        start: Option<Offset>,
    ) -> LaneEnds {
        let epoch = self.tracker.begin(partition.clone(), start);
        if self.config.from != StartFrom::Earliest {
            self.tracker.owe(partition);
        }
        // A place for each message it may hold: handing over never fails for want of one.
        let (sender, records) = mpsc::channel(self.room.places());
        let orders = Arc::new(Orders::default());
        let common = Arc::clone(&self.common);
        let lane = Lane::new(partition.clone(), epoch, records, Arc::clone(&orders), common);
        let in_hand = lane.in_hand();
        let task = (self.spawn)(lane);
        LaneEnds { epoch, sender, orders, in_hand, task }
    }

    /// Why the run is to end, if it is.
    pub(super) fn ended(&mut self) -> Option<Ended> {
        if self.failed.is_some() {
            return Some(Ended::Failed);
        }
        if self.common.mailbox.ending().is_some() {
            return Some(Ended::Shutdown);
        }
        if self.ends.rules.on_failure == OnFailure::Exit && !self.report.stopped.is_empty() {
            return Some(Ended::PartitionStopped);
        }
        let quiet = self.leaving.is_none() && self.turns.is_empty();
        let away = self.waiting.cluster.is_some();
        let reached = self.ends.reached(&self.held, &self.tracker, away, Instant::now());
        reached.filter(|_| quiet)
    }

    /// True when nobody waits for the run any more.
    pub(super) fn abandoned(&self) -> bool {
        matches!(self.common.mailbox.ending(), Some(Ending::Abandoned(_)))
    }

    fn read_commit(&mut self) {
        let Some(answered) = self.committer.answer(&mut self.tracker, Instant::now()) else {
            return;
        };
        let Answered { verdicts, took } = answered;
        self.common.figures.committed(took);
        for verdict in verdicts {
            let (partition, offset) = (verdict.committed.partition, verdict.committed.position);
            match verdict.result {
                Ok(()) => {
                    self.waiting.heard_from_cluster(&self.common.listener);
                    self.refused.remove(&partition);
                    self.outsets.stored(&partition);
                    self.common.figures.commits_stored.add(1);
                    tracing::trace!(%partition, %offset, "committed");
                    self.common.listener.tell(|| ConsumerEvent::Committed { partition, offset });
                }
                Err(failure) => {
                    tracing::warn!(%partition, %offset, reason = %failure, "not committed");
                    self.refused.insert(partition.clone(), failure);
                    self.common.figures.commits_failed.add(1);
                    let reason = failure.to_string();
                    let event = || ConsumerEvent::CommitFailed { partition, offset, reason };
                    self.common.listener.tell(event);
                }
            }
        }
        self.progress.note(&self.report, &self.committer);
    }
}
