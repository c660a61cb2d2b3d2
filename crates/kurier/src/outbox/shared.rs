//! What the outbox's thread, its reader and its senders share: one lock, never held over a call to the
//! disk.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::ages::Ages;
use super::batch::{Acceptance, Batch, NotStored};
use super::config::{OutboxConfig, WhenFull};
use super::entry::Entry;
use super::frame::{self, Salt, Sequence};
use super::index::{Change, Index};
use super::status::OutboxDamage;
use super::writer::Thread;
use crate::Headers;
use crate::metrics::Histogram;

/// What there is to tell of an outbox.
#[derive(Debug)]
pub(crate) enum News {
    /// New messages wait, or are refused.
    NotTaking { reason: Arc<str> },
    /// New messages are taken again.
    Taking,
    /// Bytes that can't be read.
    Damaged(OutboxDamage),
}

type Tell = dyn Fn(News) + Send + Sync;

/// Whoever is to hear of it.
#[derive(Clone)]
pub(crate) struct Teller(Arc<Tell>);

/// Frames that wait to be written take at most this much memory, but for one that is larger. They are
/// written together, so a disk is full that has less room than this.
const PENDING_BYTES_MAX: usize = 512 << 10;
/// Messages that wait to be put aside; at the bound nothing more is read.
pub(super) const REJECTS_MAX: usize = 1_000;

/// An open outbox.
pub(crate) struct Outbox {
    pub(super) shared: Arc<Shared>,
    pub(super) thread: Thread,
}

pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) salt: Salt,
    pub(super) bytes_max: u64,
    pub(super) when_full: WhenFull,
    pub(super) teller: Teller,
    state: Mutex<State>,
    /// For the thread that writes.
    pub(super) work: Condvar,
    /// For the one that reads.
    pub(super) readable: Condvar,
    /// For those who send: there may be room, or nothing more is taken.
    pub(super) room: Notify,
    /// For those who flush: something was settled.
    pub(super) settled: Notify,
    /// How long it takes until a batch is written and as safe as was asked for.
    pub(super) writes: Histogram,
    /// First come, first served.
    line: tokio::sync::Mutex<()>,
}

/// What was there when an outbox was opened.
pub(super) struct Found {
    pub(super) index: Index,
    pub(super) ages: Ages,
    pub(super) put_aside: u64,
}

pub(super) struct State {
    pub(super) index: Index,
    /// The one behind the last message that is written and as safe as was asked for.
    pub(super) accepted: Sequence,
    pub(super) ages: Ages,
    /// Frames that wait to be written, and the batch that waits for them.
    pub(super) pending: Vec<u8>,
    pub(super) batch: Arc<Batch>,
    /// Bytes in the outbox's segments.
    pub(super) bytes: u64,
    /// Somebody waits for room in the outbox.
    pub(super) wanted: bool,
    pub(super) trouble: Option<Trouble>,
    /// Messages that no broker takes, with the reason, to be put aside.
    pub(super) rejects: Vec<(Sequence, String)>,
    /// How many have been.
    pub(super) put_aside: u64,
    /// Nothing more is taken.
    pub(super) closed: bool,
    /// Nothing more is read.
    pub(super) read_out: bool,
    /// The thread is to end.
    pub(super) stopping: bool,
}

/// Why new messages are not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The limit is reached.
    Limit(Arc<str>),
    /// The disk's.
    Disk(Arc<str>),
}

impl Outbox {
    /// As [`take`](Self::take), but only if there is room and nobody waits for it.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(crate) fn take_now(
        &self,
        entry: &Entry<'_, &Headers>,
        mut taken: impl FnMut(Sequence),
    ) -> Result<Option<Acceptance>, NotStored> {
        match self.shared.line.try_lock() {
            Ok(_first) => self.shared.offer(entry, &mut taken),
            Err(_) => Ok(None),
        }
    }

    /// Takes a message into the order: waits for room behind those who came before. `taken` hears its
    /// number before anybody can read it. Cancel safe: dropped, nothing was taken.
    ///
    /// # Errors
    /// When nothing is taken any more, or now and senders do not want to wait.
    pub(crate) async fn take(
        &self,
        entry: &Entry<'_, &Headers>,
        mut taken: impl FnMut(Sequence),
    ) -> Result<Acceptance, NotStored> {
        let shared = &self.shared;
        let _first = shared.line.lock().await;
        loop {
            let mut room = std::pin::pin!(shared.room.notified());
            room.as_mut().enable();
            if let Some(acceptance) = shared.offer(entry, &mut taken)? {
                return Ok(acceptance);
            }
            room.await;
        }
    }

    /// The number of the next message.
    pub(crate) fn next(&self) -> Sequence {
        self.shared.lock().index.next()
    }

    /// How many messages before `end` are undelivered.
    pub(crate) fn undelivered_before(&self, end: Sequence) -> u64 {
        self.shared.lock().index.undelivered_before(end)
    }

    /// How many are undelivered of those that were accepted: of what waits for a disk that hangs nobody
    /// knows.
    pub(crate) fn kept(&self) -> u64 {
        let state = self.shared.lock();
        state.index.undelivered_before(state.accepted)
    }

    /// Waits until something may have been settled since `check` said false.
    pub(crate) async fn until(&self, check: impl Fn(&Self) -> bool) {
        loop {
            let mut settled = std::pin::pin!(self.shared.settled.notified());
            settled.as_mut().enable();
            if check(self) {
                return;
            }
            settled.await;
        }
    }

    /// These are delivered: they leave the outbox.
    pub(crate) fn delivered(&self, sequences: impl Iterator<Item = Sequence>) {
        let mut state = self.shared.lock();
        sequences.for_each(|sequence| state.index.settle(sequence));
        drop(state);
        self.shared.settled.notify_waiters();
    }

    /// No broker takes this one: it is put aside with the reason, and then leaves the outbox.
    pub(crate) fn reject(&self, sequence: Sequence, reason: String) {
        self.shared.lock().rejects.push((sequence, reason));
        self.shared.work.notify_one();
    }

    /// Takes nothing more; those who wait are refused.
    pub(crate) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.room.notify_waiters();
        self.shared.settled.notify_waiters();
    }

    /// Gives nothing more to read.
    pub(crate) fn stop_reading(&self) {
        self.shared.lock().read_out = true;
        self.shared.readable.notify_all();
    }

    /// Writes down what is to be written down, and lets go of the folder. What is undelivered stays
    /// there. Waits at most `wait` for the disk.
    pub(crate) fn end(&self, wait: Duration) {
        self.close();
        self.shared.lock().stopping = true;
        self.shared.work.notify_one();
        if !self.thread.ended(wait) {
            tracing::warn!("the disk takes long, and the outbox is left to its thread");
        }
    }
}

impl Shared {
    pub(super) fn new(
        config: &OutboxConfig,
        salt: Salt,
        teller: Teller,
        Found { index, ages, put_aside }: Found,
    ) -> Self {
        let (bytes, accepted) = (index.bytes(), index.next());
        let state = State {
            index,
            accepted,
            ages,
            pending: Vec::new(),
            batch: Arc::default(),
            bytes,
            wanted: false,
            trouble: None,
            rejects: Vec::new(),
            put_aside,
            closed: false,
            read_out: false,
            stopping: false,
        };
        Self {
            dir: config.dir.clone(),
            salt,
            bytes_max: config.bytes_max,
            when_full: config.when_full,
            teller,
            state: Mutex::new(state),
            work: Condvar::new(),
            readable: Condvar::new(),
            room: Notify::new(),
            settled: Notify::new(),
            writes: Histogram::default(),
            line: tokio::sync::Mutex::new(()),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits on `condition` until `until`, or without one until something happens.
    pub(super) fn wait<'a>(
        condition: &Condvar,
        state: MutexGuard<'a, State>,
        until: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        match until {
            None => condition.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                let waited = condition.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Says that new messages are not taken, if that is new.
    pub(super) fn trouble(&self, mut state: MutexGuard<'_, State>, trouble: Trouble) {
        let reason = trouble.reason();
        let said = state.trouble.replace(trouble).is_some();
        drop(state);
        if !said {
            tracing::warn!(%reason, "the outbox takes no new messages");
            self.teller.tell(News::NotTaking { reason });
        }
    }

    /// Says that they are taken again, if they were not.
    pub(super) fn no_trouble(&self, mut state: MutexGuard<'_, State>) {
        let said = state.trouble.take().is_some();
        drop(state);
        if said {
            tracing::info!("the outbox takes new messages again");
            self.teller.tell(News::Taking);
        }
    }

    /// Takes a message if there is room for it.
    fn offer(
        &self,
        entry: &Entry<'_, &Headers>,
        taken: &mut impl FnMut(Sequence),
    ) -> Result<Option<Acceptance>, NotStored> {
        let mut state = self.lock();
        if state.closed {
            return Err(NotStored::Closed);
        }
        let (before, sequence) = (state.pending.len(), state.index.next());
        if PENDING_BYTES_MAX <= before {
            return match &state.trouble {
                Some(trouble) if self.when_full == WhenFull::Refuse => {
                    Err(NotStored::NoRoom(trouble.reason()))
                }
                _ => Ok(None),
            };
        }
        // The first of a batch says when that was for all of it, which costs the others nothing.
        let accepted = (before == 0).then(Timestamp::now);
        frame::push(&mut state.pending, self.salt, sequence, |out| entry.write(accepted, out));
        if self.bytes_max < state.bytes + state.pending.len() as u64 {
            state.pending.truncate(before);
            state.wanted = true;
            self.work.notify_one();
            let reason: Arc<str> =
                format!("the outbox is full: its limit is {} bytes", self.bytes_max).into();
            if state.trouble.is_none() {
                self.trouble(state, Trouble::Limit(Arc::clone(&reason)));
            }
            return match self.when_full {
                WhenFull::Refuse => Err(NotStored::NoRoom(reason)),
                WhenFull::Wait => Ok(None),
            };
        }
        taken(state.index.take_next());
        if let Some(accepted) = accepted {
            state.mark_time(sequence, accepted);
        }
        let acceptance = Acceptance::of(&state.batch);
        match state.trouble {
            Some(Trouble::Limit(_)) => self.no_trouble(state),
            _ => drop(state),
        }
        if before == 0 {
            self.work.notify_one();
        }
        Ok(Some(acceptance))
    }
}

impl State {
    /// A message was accepted at this time.
    fn mark_time(&mut self, sequence: Sequence, accepted: Timestamp) {
        self.ages.forget_before(self.index.oldest().unwrap_or(sequence));
        self.ages.mark(sequence, accepted);
    }

    /// Takes what the log says has become of its files.
    pub(super) fn apply(&mut self, changes: impl Iterator<Item = Change>) {
        self.index.apply(changes);
        self.bytes = self.index.bytes();
    }

    /// Takes what waits to be written into `frames`, which is empty: up to before which number, and who
    /// waits.
    pub(super) fn take_pending(&mut self, frames: &mut Vec<u8>) -> (Sequence, Arc<Batch>) {
        std::mem::swap(&mut self.pending, frames);
        // It takes its room from now on; what it took in the end, the log says.
        self.bytes += frames.len() as u64;
        (self.index.next(), std::mem::take(&mut self.batch))
    }
}

impl Trouble {
    pub(super) fn reason(&self) -> Arc<str> {
        match self {
            Self::Limit(reason) | Self::Disk(reason) => Arc::clone(reason),
        }
    }
}

impl Teller {
    /// One that calls `tell`, on the outbox's own thread or a sender's: it must not block.
    pub(crate) fn new(tell: impl Fn(News) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) fn tell(&self, news: News) {
        (self.0)(news);
    }
}

impl Drop for Outbox {
    /// Ends its thread, which writes what it has and lets go of the folder.
    fn drop(&mut self) {
        self.stop_reading();
        self.shared.lock().closed = true;
        self.shared.lock().stopping = true;
        self.shared.work.notify_one();
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("dir", &self.shared.dir).finish_non_exhaustive()
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teller")
    }
}
