//! The thread that writes: appends, makes durable, answers, writes down what is delivered, deletes.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::batch::{Batch, NotStored};
use super::config::WhenFull;
use super::disk::Disk;
use super::frame::Sequence;
use super::index::Change;
use super::lock::Lock;
use super::log::Log;
use super::marks;
use super::rejects::keep_rejected;
use super::segment::SegmentId;
use super::shared::{Shared, Trouble};

/// Until what is delivered is written down, and what is finished deleted.
const TIDY: Duration = Duration::from_millis(100);
/// After an error of the disk.
const AGAIN: Duration = Duration::from_millis(200);

/// The running thread, seen from outside.
pub(super) struct Thread(Mutex<Receiver<()>>);

struct Writer {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    log: Log,
    frames: Vec<u8>,
    /// Batches whose writing failed and is tried again.
    waiting: Vec<Arc<Batch>>,
    /// When it is, after an error.
    again: Option<Instant>,
    tidied: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Marks {
    Lazy,
    Durable,
}

impl Thread {
    pub(super) fn start(
        shared: Arc<Shared>,
        disk: Arc<dyn Disk>,
        log: Log,
        lock: Lock,
    ) -> io::Result<Self> {
        let (running, ended): (SyncSender<()>, _) = std::sync::mpsc::sync_channel(0);
        let writer = Writer {
            shared,
            disk,
            log,
            frames: Vec::new(),
            waiting: Vec::new(),
            again: None,
            tidied: Instant::now(),
        };
        std::thread::Builder::new().name("kurier-outbox".to_owned()).spawn(move || {
            writer.run();
            // In this order: whoever waits for the end finds the lock free.
            drop(lock);
            drop(running);
        })?;
        Ok(Self(Mutex::new(ended)))
    }

    /// Whether it has ended, waiting at most so long.
    pub(super) fn ended(&self, wait: Duration) -> bool {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Writer {
    fn run(mut self) {
        while self.wait() {
            self.write();
            if TIDY <= self.tidied.elapsed() {
                self.tidy(Marks::Lazy);
            }
        }
        self.write();
        // What had failed before went first; what waited behind it follows, unless that failed again.
        if self.waiting.is_empty() {
            self.write();
        }
        self.refuse_the_rest();
        if let Err(error) = self.log.make_safe() {
            tracing::error!(%error, "the last messages of the outbox may not be durable");
        }
        self.tidy(Marks::Durable);
    }

    /// At the end: what could not be written is not accepted, and its senders hear of it.
    fn refuse_the_rest(&mut self) {
        let mut state = self.shared.lock();
        let left = self.log.accepted()..state.index.next();
        state.index.nothing_in(left);
        self.waiting.push(std::mem::take(&mut state.batch));
        drop(state);
        self.waiting.drain(..).for_each(|batch| batch.resolve(Err(NotStored::Closed)));
    }

    /// Waits until there is something to do. False when it is the last.
    fn wait(&self) -> bool {
        let mut state = self.shared.lock();
        loop {
            if state.stopping {
                return false;
            }
            let now = Instant::now();
            // After an error only time helps, or room.
            if !state.pending.is_empty() && self.again.is_none() {
                return true;
            }
            let untidy = state.wanted || state.index.is_untidy() || !state.rejects.is_empty();
            let tidy = untidy.then(|| self.tidied + TIDY);
            let sync = self.again.or_else(|| self.log.sync_due());
            let due = [sync, tidy].into_iter().flatten().min();
            if due.is_some_and(|due| due <= now) {
                return true;
            }
            state = Shared::wait(&self.shared.work, state, due);
        }
    }

    /// Writes what waits.
    fn write(&mut self) {
        let refuses = self.shared.when_full == WhenFull::Refuse;
        if self.again.is_some_and(|again| Instant::now() < again) && !self.shared.lock().stopping {
            return;
        }
        let taken = {
            let mut state = self.shared.lock();
            let from = self.log.end();
            // What failed goes first, and what waits behind it is bounded where it is.
            let take = self.waiting.is_empty() && !state.pending.is_empty();
            take.then(|| (from, state.take_pending(&mut self.frames)))
        };
        let pushed = taken.map(|(from, (end, batch))| {
            self.log.push(&self.frames, end);
            self.frames.clear();
            self.waiting.push(batch);
            from..end
        });
        let begun = Instant::now();
        let committed = match self.again.take() {
            // Nothing to write shows nothing.
            Some(_) if pushed.is_none() && self.log.is_safe() => self.probe(),
            _ => self.log.commit(),
        };
        match committed {
            Ok(()) => {
                self.shared.writes.note(0, begun.elapsed());
                self.written();
                self.make_safe_in_time();
            }
            Err(error) => self.failed(&error, pushed.filter(|_| refuses)),
        }
    }

    /// What this fails for was accepted before, and is written anew.
    fn make_safe_in_time(&mut self) {
        if self.log.sync_due().is_some_and(|due| due <= Instant::now())
            && let Err(error) = self.log.make_safe()
        {
            self.failed(&error, None);
        }
    }

    fn written(&mut self) {
        let mut state = self.shared.lock();
        state.accepted = self.log.accepted();
        state.apply(self.log.changes());
        match state.trouble {
            Some(Trouble::Disk(_)) => self.shared.no_trouble(state),
            _ => drop(state),
        }
        self.waiting.drain(..).for_each(|batch| batch.resolve(Ok(())));
        self.shared.readable.notify_all();
        self.shared.room.notify_waiters();
    }

    fn failed(&mut self, error: &io::Error, refused: Option<Range<Sequence>>) {
        self.again = Some(Instant::now() + AGAIN);
        let reason: Arc<str> = format!("the outbox can't be written: {error}").into();
        let mut state = self.shared.lock();
        if let Some(range) = refused {
            self.log.take_back();
            state.index.nothing_in(range);
            for batch in self.waiting.drain(..) {
                batch.resolve(Err(NotStored::NoRoom(Arc::clone(&reason))));
            }
        }
        state.apply(self.log.changes());
        self.shared.trouble(state, Trouble::Disk(reason));
        self.shared.settled.notify_waiters();
        self.shared.room.notify_waiters();
    }

    /// Whether a file can be written and made durable, when there is nothing that must be.
    fn probe(&self) -> io::Result<()> {
        let path = self.shared.dir.join("probe");
        let tried = self.disk.open(&path).and_then(|mut file| {
            file.write_all(&[0; 4096])?;
            file.sync()
        });
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => tried.and(Err(error)),
            _ => tried,
        }
    }

    /// Puts aside what no broker takes, writes down what is delivered, and deletes what is finished. What
    /// fails is tried again next time.
    fn tidy(&mut self, marks: Marks) {
        self.tidied = Instant::now();
        let tried = self.put_aside().and_then(|()| self.mark(marks));
        if let Err(error) = tried {
            tracing::warn!(%error, "what is delivered can't be written down, and may come twice");
        }
        self.delete();
    }

    fn put_aside(&self) -> io::Result<()> {
        let mut by_segment: Vec<(SegmentId, BTreeMap<Sequence, String>)> = Vec::new();
        let rejects = std::mem::take(&mut self.shared.lock().rejects);
        if rejects.is_empty() {
            return Ok(());
        }
        {
            let state = self.shared.lock();
            for (sequence, reason) in &rejects {
                let Some(segment) = state.index.segment_of(*sequence) else { continue };
                let known = by_segment.iter_mut().find(|(id, _)| *id == segment.id);
                match known {
                    Some((_, its)) => its.insert(*sequence, reason.clone()),
                    None => {
                        by_segment.push((segment.id, BTreeMap::new()));
                        by_segment
                            .last_mut()
                            .and_then(|(_, its)| its.insert(*sequence, reason.clone()))
                    }
                };
            }
        }
        let Shared { dir, salt, .. } = &*self.shared;
        let kept = by_segment
            .iter()
            .try_for_each(|(id, its)| keep_rejected(&*self.disk, dir, *salt, *id, its));
        let mut state = self.shared.lock();
        match &kept {
            Ok(()) => {
                state.put_aside += rejects.len() as u64;
                rejects.iter().for_each(|(sequence, _)| state.index.settle(*sequence));
            }
            Err(_) => state.rejects.extend(rejects),
        }
        drop(state);
        self.shared.readable.notify_all();
        self.shared.settled.notify_waiters();
        kept
    }

    fn mark(&self, marks: Marks) -> io::Result<()> {
        let unmarked = self.shared.lock().index.unmarked();
        for (id, ranges) in unmarked {
            let frames = marks::written(&ranges, id.salt);
            let mut file = self.disk.open(&self.shared.dir.join(id.delivered_file()))?;
            file.write_all(&frames)?;
            if marks == Marks::Durable {
                file.sync()?;
            }
            self.shared.lock().index.marked(id, &ranges, frames.len() as u64);
        }
        Ok(())
    }

    fn delete(&mut self) {
        let (wanted, finished) = {
            let mut state = self.shared.lock();
            let wanted = std::mem::take(&mut state.wanted);
            if wanted && self.log.active().is_some_and(|id| state.index.is_finished(id)) {
                self.log.retire();
                state.apply(self.log.changes());
            }
            (wanted, state.index.finished(self.log.active()))
        };
        let mut gone = Vec::new();
        for id in finished {
            match remove(&*self.disk, &self.shared.dir, id) {
                Ok(()) => gone.push(Change::Gone(id)),
                Err(error) => tracing::warn!(%error, "a delivered segment can't be deleted"),
            }
        }
        if gone.is_empty() {
            // Whoever wants room goes on wanting it.
            self.shared.lock().wanted |= wanted;
            return;
        }
        if let Err(error) = self.disk.sync_dir(&self.shared.dir) {
            tracing::debug!(%error, "deleted segments may be there again after a power cut");
        }
        let mut state = self.shared.lock();
        state.apply(gone.into_iter());
        // Whoever was refused need not try in vain to find out that there is room again.
        match state.trouble {
            Some(Trouble::Limit(_)) => self.shared.no_trouble(state),
            _ => drop(state),
        }
        self.shared.room.notify_waiters();
    }
}

/// Deletes a segment and what belongs to it; one without the other may only be sent again.
pub(super) fn remove(disk: &dyn Disk, dir: &Path, id: SegmentId) -> io::Result<()> {
    for file in [id.file(), id.delivered_file()] {
        match disk.remove(&dir.join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
