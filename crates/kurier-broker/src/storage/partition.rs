//! One partition: its log, its replicas, and what a producer or a consumer may see of them.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::NodeId;
use super::batch::{Batch, BatchError};
use super::log::{Log, Stamp};
use super::producers::{Producers, Verdict};
use super::replica::{ReplicaInfo, Replicas};

/// How a partition behaves.
#[derive(Debug, Clone, Copy)]
pub struct PartitionSettings {
    /// Bytes of batches kept; the oldest go first.
    pub bytes_max: usize,
    /// The largest batch taken.
    pub batch_bytes_max: usize,
    /// In-sync replicas without which `acks=all` is refused.
    pub min_in_sync: usize,
    /// How long a replica may be behind before it leaves the in-sync set.
    pub lag_max: Duration,
    /// Whether a replica outside the in-sync set may lead when no other is up.
    pub unclean_election: bool,
    /// Whose time records carry.
    pub timestamps: Timestamps,
    /// How far ahead a producer's time may be.
    pub ahead_max: Duration,
}

/// Whose time records carry (`message.timestamp.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamps {
    /// Their producer's.
    Create,
    /// The leader's, when it appended them.
    LogAppend,
}

impl Timestamps {
    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CreateTime",
            Self::LogAppend => "LogAppendTime",
        }
    }
}

/// Which replicas a producer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// None, and no answer.
    None,
    /// The leader.
    Leader,
    /// Every in-sync replica.
    All,
}

/// A batch that stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: i64,
    /// The offset after its last record: acknowledged to all once the high watermark is there.
    pub end: i64,
    /// The leader epoch it was appended in.
    pub epoch: i32,
    /// The first offset of the log.
    pub log_start: i64,
    /// When it was appended, in milliseconds since 1970, where the topic keeps that.
    pub append_time: Option<i64>,
}

/// Why a batch was not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The batch itself.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// It is over the topic's limit.
    #[error("the batch of {found} bytes is over the limit of {max}")]
    TooLarge {
        /// Bytes of the batch.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Its clock, or its producer's, is wrong.
    #[error("a record's timestamp lies more than {0:?} ahead")]
    Future(Duration),
    /// A batch before it is missing.
    #[error("the batch is out of its producer's sequence")]
    OutOfOrder,
    /// Its producer has a newer epoch.
    #[error("the batch is of an earlier epoch of its producer")]
    OldEpoch,
    /// Too few replicas are in sync.
    #[error("{found} replicas are in sync, {min} are needed")]
    NotEnoughReplicas {
        /// Replicas in sync.
        found: usize,
        /// Replicas needed.
        min: usize,
    },
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// How far an `acks=all` append has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckState {
    /// Every in-sync replica has it.
    Done,
    /// Not yet.
    Waiting,
    /// Leadership moved meanwhile: whether it survived is not known here.
    LeaderMoved,
    /// Every in-sync replica has it, but they became too few.
    TooFewReplicas,
}

/// Why leadership was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// There is no such topic, or it has fewer partitions.
    #[error("there is no such partition")]
    UnknownPartition,
    /// The node has no replica of it.
    #[error("node {0} has no replica of the partition")]
    NoReplica(i32),
    /// The replica is down or not in sync.
    #[error("the replica on node {0} is down or not in sync, and may not lead")]
    NotInSync(i32),
}

/// The offset is before the log's start or after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the offset is out of the log's range")]
pub struct OutOfRange;

/// One physical log and the replicas' cursors over it.
#[derive(Debug)]
pub struct Partition {
    settings: PartitionSettings,
    log: Log,
    producers: Producers,
    replicas: Replicas,
    leader: Option<NodeId>,
    epoch: i32,
    high_watermark: i64,
}

impl Partition {
    /// An empty partition on `nodes`, led by the first, in leader epoch `epoch`.
    pub fn new(settings: PartitionSettings, nodes: &[NodeId], epoch: i32) -> Self {
        Self {
            settings,
            log: Log::new(settings.bytes_max),
            producers: Producers::default(),
            replicas: Replicas::new(nodes.iter().copied()),
            leader: nodes.first().copied(),
            epoch,
            high_watermark: 0,
        }
    }

    /// It behaves so from here on: what is over the bound in bytes goes, and a replica that may lead now
    /// does.
    pub fn alter(&mut self, now: Instant, settings: PartitionSettings) {
        self.settings = settings;
        self.log.keep(settings.bytes_max);
        if self.leader.is_none() {
            self.elect(now);
        }
        self.replicate(now);
    }

    /// The node that leads, if one may.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// The leader epoch: grows with every election.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The replicas, preferred leader first.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaInfo> + '_ {
        self.replicas.infos()
    }

    /// The first offset that can be read.
    pub fn log_start(&self) -> i64 {
        self.log.start()
    }

    /// The offset below which every in-sync replica has the log; consumers read no further.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// Bytes of batches held.
    pub fn bytes(&self) -> usize {
        self.log.bytes()
    }

    /// Appends one batch as the leader; a batch that stands in the log already is answered with its
    /// place. `acks` other than [`Acks::All`] is done with that. `since_1970` is the time of the clock.
    ///
    /// # Errors
    /// When the batch is damaged, too large or out of sequence, or too few replicas are in sync; nothing
    /// was appended then.
    pub fn append(
        &mut self,
        now: Instant,
        since_1970: Duration,
        acks: Acks,
        bytes: Bytes,
    ) -> Result<Appended, AppendError> {
        let PartitionSettings { batch_bytes_max: max, min_in_sync: min, ahead_max: ahead, .. } =
            self.settings;
        let in_sync = self.replicas.in_sync();
        if acks == Acks::All && in_sync < min {
            return Err(AppendError::NotEnoughReplicas { found: in_sync, min });
        }
        if bytes.len() > max {
            return Err(AppendError::TooLarge { found: bytes.len(), max });
        }
        let batch = Batch::parse(bytes)?;
        let records = batch.next_offset - batch.base_offset;
        let producer = batch.producer;
        match producer.map_or(Verdict::Append, |producer| self.producers.judge(producer)) {
            Verdict::Append => {}
            Verdict::Duplicate { base_offset } => return Ok(self.at(base_offset, records)),
            Verdict::OutOfOrder => return Err(AppendError::OutOfOrder),
            Verdict::OldEpoch => return Err(AppendError::OldEpoch),
        }
        let batch = match self.settings.timestamps {
            Timestamps::Create
                if millis(since_1970.saturating_add(ahead)) < batch.max_timestamp =>
            {
                return Err(AppendError::Future(ahead));
            }
            Timestamps::Create => batch,
            Timestamps::LogAppend => batch.stamped(millis(since_1970)),
        };
        let base_offset = self.log.append(batch, self.epoch);
        if let Some(producer) = producer {
            self.producers.appended(producer, base_offset);
        }
        self.replicate(now);
        Ok(self.at(base_offset, records))
    }

    /// How far an `acks=all` append has come.
    pub fn ack_state(&self, appended: &Appended) -> AckState {
        if appended.epoch != self.epoch || self.leader.is_none() {
            AckState::LeaderMoved
        } else if self.high_watermark < appended.end {
            AckState::Waiting
        } else if self.replicas.in_sync() < self.settings.min_in_sync {
            AckState::TooFewReplicas
        } else {
            AckState::Done
        }
    }

    /// Whole batches from the one that holds `from`, up to the high watermark and about `bytes_max`
    /// bytes; empty when there is nothing yet.
    ///
    /// # Errors
    /// When `from` is before the log's start or after its end.
    pub fn read(
        &self,
        from: i64,
        bytes_max: usize,
        at_least_one: bool,
    ) -> Result<Bytes, OutOfRange> {
        self.check(from)?;
        Ok(self.log.read(from, self.high_watermark, bytes_max, at_least_one))
    }

    /// The bytes that a read from `from` could return, counted up to `enough`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn readable(&self, from: i64, enough: usize) -> Result<usize, OutOfRange> {
        self.check(from)?;
        Ok(self.log.bytes_between(from, self.high_watermark, enough))
    }

    /// The first record whose timestamp is `timestamp` or later.
    pub fn at_or_after(&self, timestamp: i64) -> Option<Stamp> {
        self.log.at_or_after(timestamp, self.high_watermark)
    }

    /// The record with the latest timestamp.
    pub fn latest_timestamp(&self) -> Option<Stamp> {
        self.log.latest_timestamp(self.high_watermark)
    }

    /// Where leader epoch `epoch` ends; `None` when it is above the current one.
    pub fn epoch_end(&self, epoch: i32) -> Option<(i32, i64)> {
        self.log.epoch_end(epoch, self.epoch)
    }

    /// Moves the log's start to `offset`, or to the high watermark for −1.
    ///
    /// # Errors
    /// When `offset` is not between the log's start and the high watermark.
    pub fn delete_before(&mut self, offset: i64) -> Result<i64, OutOfRange> {
        let offset = if offset == -1 { self.high_watermark } else { offset };
        if offset < 0 || offset > self.high_watermark {
            return Err(OutOfRange);
        }
        self.log.delete_before(offset);
        Ok(self.log.start())
    }

    /// `node` went down.
    pub fn node_down(&mut self, now: Instant, node: NodeId) {
        self.replicas.down(node);
        if self.leader == Some(node) {
            self.leader = None;
            self.elect(now);
        }
        self.replicate(now);
    }

    /// `node` came up: it follows again, and leads when nobody else may.
    pub fn node_up(&mut self, now: Instant, node: NodeId) {
        self.replicas.up(node);
        if self.leader.is_none() {
            self.elect(now);
        }
        self.replicate(now);
    }

    /// The replica on `node` stops following, or follows again. It stays in sync until it lags too long.
    pub fn set_frozen(&mut self, now: Instant, node: NodeId, frozen: bool) {
        self.replicas.set_frozen(node, frozen);
        self.replicate(now);
    }

    /// Leadership goes back to the preferred replica, when it is in sync and has everything.
    pub fn prefer(&mut self, now: Instant) -> bool {
        match self.replicas.preferred_ready(self.log.end()) {
            Some(node) if self.leader.is_some_and(|leader| leader != node) => {
                self.lead(node);
                self.replicate(now);
                true
            }
            _ => false,
        }
    }

    /// The replica on `node` leads from here.
    ///
    /// # Errors
    /// When there is none, or it is down or not in sync.
    pub fn move_leader(&mut self, now: Instant, node: NodeId) -> Result<(), MoveError> {
        let mut replicas = self.replicas.infos();
        let replica = replicas.find(|replica| replica.node == node);
        match replica.ok_or(MoveError::NoReplica(node.0))? {
            ReplicaInfo { up: true, in_sync: true, .. } => {}
            _ => return Err(MoveError::NotInSync(node.0)),
        }
        drop(replicas);
        if self.leader != Some(node) {
            self.lead(node);
            self.replicate(now);
        }
        Ok(())
    }

    /// Replicas that were behind for too long leave the in-sync set; true when something changed.
    pub fn tick(&mut self, now: Instant) -> bool {
        let Some(leader) = self.leader else { return false };
        let dropped = self.replicas.drop_laggards(now, leader, self.settings.lag_max);
        if dropped {
            self.advance();
        }
        dropped
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.leader.and_then(|_| self.replicas.next_laggard(self.settings.lag_max))
    }

    fn elect(&mut self, now: Instant) {
        if let Some(node) = self.replicas.candidate(self.settings.unclean_election) {
            self.lead(node);
            self.replicate(now);
        }
    }

    /// `node` leads from here: what it has is the log.
    fn lead(&mut self, node: NodeId) {
        let end = self.replicas.end_of(node);
        if end < self.log.end() {
            self.log.truncate(end);
            self.producers = Producers::rebuilt(self.log.batches());
        }
        self.replicas.elected(node);
        self.high_watermark = self.high_watermark.min(self.log.end());
        self.leader = Some(node);
        self.epoch += 1;
    }

    fn replicate(&mut self, now: Instant) {
        let Some(leader) = self.leader else { return };
        self.replicas.follow(now, leader, self.log.end());
        self.advance();
    }

    fn advance(&mut self) {
        if let Some(end) = self.replicas.in_sync_end() {
            self.high_watermark = self.high_watermark.max(end);
        }
        self.log.shrink(self.high_watermark);
    }

    fn at(&self, base_offset: i64, records: i64) -> Appended {
        Appended {
            base_offset,
            end: base_offset + records,
            epoch: self.epoch,
            log_start: self.log.start(),
            append_time: self.log.append_time(base_offset),
        }
    }

    fn check(&self, from: i64) -> Result<(), OutOfRange> {
        if from < self.log.start() || from > self.log.end() { Err(OutOfRange) } else { Ok(()) }
    }
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
