//! Messages of an outbox that no broker took: shown, brought back, discarded.
//!
//! They lie in a file for each process that put some aside (`file`), in a form (`form`) that is read a
//! piece at a time (`frames`). None of them leaves its file before it is safe elsewhere: what is brought
//! back is durable at the end of the outbox before it is written down as settled, so that a process which
//! dies in between leaves it in both places.

mod file;
mod form;
mod frames;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

pub(super) use self::file::{RejectedFile, keep_rejected};
use self::form::Rejection;
use super::config::{OutboxConfig, OutboxSync};
use super::disk::{Disk, RealDisk};
use super::entry::Entry;
use super::frame::{self, Sequence};
use super::open::{Held, OutboxError, hold, lock};
use super::status::{OutboxDamage, OutboxStatus};
use crate::{Headers, PartitionId};

/// One message that no broker took.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectedMessage {
    /// Its place in the order of acceptance, as its producer had it.
    pub ticket: u64,
    /// The message's own id; `None` for bare records.
    pub id: Option<Uuid>,
    /// Where it was to go.
    pub topic: String,
    /// The partition that its sender gave.
    pub partition: Option<PartitionId>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Bytes of its value; `None` for a tombstone.
    pub value_bytes: Option<u64>,
    /// Why it was not taken.
    pub error: String,
    /// When it was put aside; messages of kurier's first versions do not have that.
    pub rejected_at: Option<Timestamp>,
}

/// The messages of an outbox that no broker took: too large, no such topic, not authorised. A producer
/// puts them aside with the reason, outside of the outbox's limit, and they stay until an operator, who
/// has mended the reason, brings them back, or discards them.
///
/// Everything here blocks, and holds one message, and for each one that is meant its place, in memory.
///
/// ```no_run
/// # fn example() -> Result<(), kurier::OutboxError> {
/// use std::ops::ControlFlow;
///
/// use kurier::OutboxRejects;
///
/// let rejects = OutboxRejects::of("./outbox").topic("orders");
/// rejects.each(|message| {
///     println!("{}: {}", message.topic, message.error);
///     ControlFlow::Continue(())
/// })?;
/// let retried = rejects.retry()?;
/// println!("{} wait to be sent again", retried.messages);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is done with them until it is said what"]
pub struct OutboxRejects {
    outbox: OutboxConfig,
    topic: Option<String>,
    ids: BTreeSet<Uuid>,
    error: Option<String>,
    max: u64,
}

/// What was brought back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxRetried {
    /// Messages that are in line for delivery again, in their order, behind what was there.
    pub messages: u64,
    /// Those that are meant and stay aside, since the outbox's limit leaves no room for them.
    pub no_room: u64,
    /// Those that are meant and stay aside for good: they are no messages.
    pub unreadable: u64,
    /// What was found in the outbox that can't be read.
    pub damaged: Vec<OutboxDamage>,
}

/// Frames that are written at once; what a process that dies amid it has brought back may be sent twice.
const CHUNK_BYTES: usize = 1 << 20;

impl OutboxRejects {
    /// Of this outbox. Of what can be chosen about it only the folder and the limit matter.
    pub fn of(outbox: impl Into<OutboxConfig>) -> Self {
        let (topic, error) = (None, None);
        Self { outbox: outbox.into(), topic, ids: BTreeSet::new(), error, max: u64::MAX }
    }

    /// Only those for this topic.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Only the one with this id, and those with other ids that are named so.
    pub fn id(mut self, id: Uuid) -> Self {
        self.ids.insert(id);
        self
    }

    /// Only those whose error has this text in it.
    pub fn error(mut self, text: impl Into<String>) -> Self {
        self.error = Some(text.into());
        self
    }

    /// Only so many of them, the first.
    pub fn at_most(mut self, messages: u64) -> Self {
        self.max = messages;
        self
    }

    /// Shows each to `visit`, in the order in which they were accepted, until that breaks off. Changes
    /// nothing; beside a process that uses the outbox, it may be a moment old.
    ///
    /// # Errors
    /// When there is no outbox, or a file in it can't be read.
    pub fn each(
        &self,
        mut visit: impl FnMut(RejectedMessage) -> ControlFlow<()>,
    ) -> Result<(), OutboxError> {
        let chosen = self.chosen()?;
        let failed = |error| OutboxError::io(self.dir(), error);
        for Chosen { file, places, .. } in chosen {
            let Some(mut frames) = file.frames().map_err(failed)? else { continue };
            for (sequence, place) in places {
                frames.go_to(place).map_err(failed)?;
                let Some(placed) = frames.next().map_err(failed)? else { break };
                let Some(rejection) = Rejection::read(frames.body(&placed)) else { continue };
                if visit(described(sequence, &rejection)).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Brings them back: they are put in line for delivery, in the order in which they were accepted, behind
    /// what is there already. The next producer that opens the outbox sends them. A message of the same key
    /// that was accepted later may have been delivered before them.
    ///
    /// A process that dies at any moment loses none. Some, 1 MiB of them or one, may be both in line and
    /// aside then, and be sent twice.
    ///
    /// # Errors
    /// When there is no outbox, a producer uses it, or the disk fails: what was brought back by then is, and
    /// the rest stays aside.
    pub fn retry(&self) -> Result<OutboxRetried, OutboxError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        self.retry_on(&disk)
    }

    /// Deletes them; nothing sends them any more. How many it were.
    ///
    /// # Errors
    /// As [`retry`](Self::retry).
    pub fn discard(&self) -> Result<u64, OutboxError> {
        OutboxStatus::look_for(self.dir())?;
        let _lock = lock(self.dir())?;
        let mut discarded = 0;
        for mut chosen in self.chosen()? {
            let sequences: Vec<Sequence> = chosen.places.iter().map(|(one, _)| *one).collect();
            let settled = chosen.settle(&RealDisk, &sequences);
            settled.map_err(|error| OutboxError::io(self.dir(), error))?;
            discarded += sequences.len() as u64;
        }
        Ok(discarded)
    }

    /// As [`retry`](Self::retry), writing to this disk.
    pub(super) fn retry_on(&self, disk: &Arc<dyn Disk>) -> Result<OutboxRetried, OutboxError> {
        OutboxStatus::look_for(self.dir())?;
        let mut line = Line::take(disk, &self.outbox)?;
        let mut retried = OutboxRetried {
            damaged: std::mem::take(&mut line.held.damages),
            ..OutboxRetried::default()
        };
        for mut chosen in self.chosen()? {
            let brought = chosen.bring_back(&**disk, &mut line, &mut retried);
            brought.map_err(|error| OutboxError::io(self.dir(), error))?;
        }
        Ok(retried)
    }

    fn dir(&self) -> &Path {
        &self.outbox.dir
    }

    /// Those that are meant, by file.
    fn chosen(&self) -> Result<Vec<Chosen>, OutboxError> {
        OutboxStatus::look_for(self.dir())?;
        let failed = |error| OutboxError::io(self.dir(), error);
        let (mut all, mut left) = (Vec::new(), self.max);
        for file in RejectedFile::all(self.dir()).map_err(failed)? {
            let looked = file.look(|_, body| self.means(body)).map_err(failed)?;
            let (mut places, mut others) = (looked.chosen, looked.others);
            let meant = usize::try_from(left).unwrap_or(usize::MAX).min(places.len());
            others += (places.len() - meant) as u64;
            places.truncate(meant);
            left -= meant as u64;
            all.push(Chosen { file, places, others, damaged: looked.damaged });
        }
        Ok(all)
    }

    fn means(&self, body: &[u8]) -> bool {
        let Some(rejection) = Rejection::read(body) else { return false };
        if self.error.as_ref().is_some_and(|text| !rejection.reason.contains(text)) {
            return false;
        }
        if self.topic.is_none() && self.ids.is_empty() {
            return true;
        }
        Entry::read(rejection.body).is_some_and(|entry| {
            self.topic.as_ref().is_none_or(|topic| topic == entry.topic)
                && (self.ids.is_empty() || entry.id.is_some_and(|id| self.ids.contains(&id)))
        })
    }
}

/// Messages of one file that are meant.
struct Chosen {
    file: RejectedFile,
    places: Vec<(Sequence, u64)>,
    /// How many are in it that are not meant.
    others: u64,
    damaged: bool,
}

impl Chosen {
    /// Puts them in line a piece at a time, and settles each once it is safe there.
    fn bring_back(
        &mut self,
        disk: &dyn Disk,
        line: &mut Line,
        retried: &mut OutboxRetried,
    ) -> std::io::Result<()> {
        let Some(mut frames) = self.file.frames()? else { return Ok(()) };
        let mut waiting = Vec::new();
        let mut places = std::mem::take(&mut self.places).into_iter();
        while let Some((sequence, place)) = places.next() {
            frames.go_to(place)?;
            let Some(placed) = frames.next()? else { break };
            let body = Rejection::read(frames.body(&placed)).map(|rejection| rejection.body);
            let Some(body) = body.filter(|body| Entry::read(body).is_some()) else {
                retried.unreadable += 1;
                self.others += 1;
                continue;
            };
            if !line.push(body) {
                let rest = 1 + places.len() as u64;
                retried.no_room += rest;
                self.others += rest;
                break;
            }
            waiting.push(sequence);
            if CHUNK_BYTES <= line.frames.len() {
                retried.messages += self.safe(disk, line, &mut waiting)?;
            }
        }
        retried.messages += self.safe(disk, line, &mut waiting)?;
        self.clear(disk)
    }

    /// Makes what was pushed safe, and then settles it here.
    fn safe(
        &self,
        disk: &dyn Disk,
        line: &mut Line,
        waiting: &mut Vec<Sequence>,
    ) -> std::io::Result<u64> {
        if waiting.is_empty() {
            return Ok(0);
        }
        line.commit()?;
        self.file.settle(disk, waiting)?;
        Ok(waiting.drain(..).len() as u64)
    }

    fn settle(&mut self, disk: &dyn Disk, sequences: &[Sequence]) -> std::io::Result<()> {
        if !sequences.is_empty() {
            self.file.settle(disk, sequences)?;
        }
        self.clear(disk)
    }

    /// Deletes the file when nothing in it is left to be meant by anybody.
    fn clear(&self, disk: &dyn Disk) -> std::io::Result<()> {
        if 0 < self.others || self.damaged { Ok(()) } else { self.file.remove(disk) }
    }
}

/// The end of an outbox, to which messages are put.
struct Line {
    held: Held,
    bytes_max: u64,
    frames: Vec<u8>,
    next: Sequence,
}

impl Line {
    fn take(disk: &Arc<dyn Disk>, outbox: &OutboxConfig) -> Result<Self, OutboxError> {
        let held = hold(disk, outbox, OutboxSync::Always)?;
        let next = held.found.index.next();
        Ok(Self { held, bytes_max: outbox.bytes_max, frames: Vec::new(), next })
    }

    /// Adds a message. False when there is no room for it.
    fn push(&mut self, body: &[u8]) -> bool {
        let before = self.frames.len();
        frame::push(&mut self.frames, self.held.salt, self.next, |out| out.extend_from_slice(body));
        if self.bytes_max < self.held.found.index.bytes() + self.frames.len() as u64 {
            self.frames.truncate(before);
            return false;
        }
        self.next = self.next.next();
        true
    }

    /// Makes durable what was added.
    fn commit(&mut self) -> std::io::Result<()> {
        let Held { log, found, .. } = &mut self.held;
        log.push(&self.frames, self.next);
        self.frames.clear();
        let committed = log.commit();
        found.index.apply(log.changes());
        committed
    }
}

fn described(Sequence(ticket): Sequence, rejection: &Rejection<'_>) -> RejectedMessage {
    let Rejection { at: rejected_at, reason, body } = *rejection;
    // Bytes that are no message are of no topic.
    let nothing = Entry {
        topic: "",
        id: None,
        key: None,
        value: None,
        headers: Headers::new(),
        timestamp_ms: None,
        partition: None,
    };
    let Entry { topic, id, key, value, partition, .. } = Entry::read(body).unwrap_or(nothing);
    RejectedMessage {
        ticket,
        id,
        topic: topic.to_owned(),
        partition,
        key: key.map(Bytes::copy_from_slice),
        value_bytes: value.map(|value| value.len() as u64),
        error: reason.to_owned(),
        rejected_at,
    }
}
