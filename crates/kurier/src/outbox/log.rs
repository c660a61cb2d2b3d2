//! The file that is being written to, and what is not yet safe in it.
//!
//! After an error a file is never written to again: a new segment gets everything that was not safe.
//! Its name says from which message on it holds, so that what the old one has of that counts for
//! nothing. Where messages were accepted that are not safe, the new one has its name only once it has
//! them.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::config::OutboxSync;
use super::disk::{Append, Disk};
use super::frame::{Salt, Sequence};
use super::index::Change;
use super::segment::{HEADER, SegmentId};

/// What is written and not safe may take at most this much memory, where it is not made safe at once.
const UNSAFE_BYTES_MAX: usize = 1 << 20;

/// Writes frames.
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    salt: Salt,
    sync: OutboxSync,
    segment_bytes: u64,
    active: Option<Active>,
    /// Frames that are not safe yet, of which `written` bytes are in the active segment.
    tail: Vec<u8>,
    written: usize,
    /// How far the last commit without an error came in the tail: whoever waited was told so.
    accepted: Place,
    /// The first message that is not safe.
    safe: Sequence,
    /// The one behind the last in the tail.
    end: Sequence,
    synced: Instant,
    changes: Vec<Change>,
}

struct Active {
    id: SegmentId,
    file: Box<dyn Append>,
    /// Bytes that are safe in it, its header included.
    safe: u64,
    /// Whether its name is durable.
    named: bool,
}

/// A place in the tail: behind so many bytes, before this message.
#[derive(Debug, Clone, Copy)]
struct Place {
    length: usize,
    end: Sequence,
}

impl Log {
    /// Of the outbox in `dir`, for messages from `next` on.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        salt: Salt,
        sync: OutboxSync,
        segment_bytes: u64,
        next: Sequence,
    ) -> Self {
        Self {
            disk,
            dir,
            salt,
            sync,
            segment_bytes,
            active: None,
            tail: Vec::new(),
            written: 0,
            accepted: Place { length: 0, end: next },
            safe: next,
            end: next,
            synced: Instant::now(),
            changes: Vec::new(),
        }
    }

    /// Takes frames up to before `end`.
    pub(super) fn push(&mut self, frames: &[u8], end: Sequence) {
        self.tail.extend_from_slice(frames);
        self.end = end;
    }

    /// Forgets what was pushed since the last commit without an error: it will not be written.
    pub(super) fn take_back(&mut self) {
        self.tail.truncate(self.accepted.length);
        self.end = self.accepted.end;
    }

    /// Writes what was pushed, and makes it as safe as was asked for.
    ///
    /// # Errors
    /// The disk's. Nothing that was not safe before counts as written then; the next call begins anew.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        let tried = self.try_commit();
        if tried.is_err() {
            self.abandon();
        }
        tried
    }

    /// Makes everything safe that is written.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub(super) fn make_safe(&mut self) -> io::Result<()> {
        let tried = self.try_sync();
        if tried.is_err() {
            self.abandon();
        }
        tried
    }

    /// When [`make_safe`](Self::make_safe) is due.
    pub(super) fn sync_due(&self) -> Option<Instant> {
        match self.sync {
            OutboxSync::Interval(interval) if !self.tail.is_empty() => Some(self.synced + interval),
            _ => None,
        }
    }

    /// What has become of the files since the last time.
    pub(super) fn changes(&mut self) -> impl Iterator<Item = Change> {
        std::mem::take(&mut self.changes).into_iter()
    }

    /// The one behind the last message that a commit without an error has written.
    pub(super) fn accepted(&self) -> Sequence {
        self.accepted.end
    }

    /// The one behind the last message that was pushed.
    pub(super) fn end(&self) -> Sequence {
        self.end
    }

    /// True when nothing is left to write or to make safe.
    pub(super) fn is_safe(&self) -> bool {
        self.tail.is_empty()
    }

    /// The segment that is written to.
    pub(super) fn active(&self) -> Option<SegmentId> {
        self.active.as_ref().map(|active| active.id)
    }

    /// Writes to another segment from now on, if everything in this one is safe.
    pub(super) fn retire(&mut self) {
        if self.tail.is_empty() {
            self.leave();
        }
    }

    fn try_commit(&mut self) -> io::Result<()> {
        if self.length().is_some_and(|length| self.segment_bytes <= length) {
            if self.sync != OutboxSync::Never {
                self.try_sync()?;
            }
            self.leave();
        }
        if self.tail.is_empty() {
            return Ok(());
        }
        if self.active.is_none() {
            self.begin()?;
        }
        let Some(active) = &mut self.active else { return Ok(()) };
        if let Err(error) = active.file.write_all(&self.tail[self.written..]) {
            if 0 < self.written {
                // What was accepted before can still be made safe, and need not wait for room. If not, it
                // stays where it is.
                let _ = self.try_sync();
            }
            return Err(error);
        }
        self.written = self.tail.len();
        match self.sync {
            OutboxSync::Always => self.try_sync()?,
            OutboxSync::Never => self.now_safe(),
            OutboxSync::Interval(_) if UNSAFE_BYTES_MAX <= self.tail.len() => self.try_sync()?,
            OutboxSync::Interval(_) => {}
        }
        self.tell_length();
        self.accepted = Place { length: self.tail.len(), end: self.end };
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        let id = SegmentId { base: self.safe, salt: self.salt };
        if 0 < self.accepted.length {
            return self.begin_with_accepted(id);
        }
        let path = self.dir.join(id.file());
        let mut file = match self.disk.create(&path) {
            // One of this name holds nothing that the tail does not have.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(&path)?;
                self.changes.push(Change::Gone(id));
                self.disk.create(&path)?
            }
            created => created?,
        };
        if let Err(error) = file.write_all(&id.header()) {
            drop(file);
            // Left behind it is a segment without records.
            let _ = self.disk.remove(&path);
            return Err(error);
        }
        self.active = Some(Active { id, file, safe: HEADER as u64, named: false });
        self.written = 0;
        Ok(())
    }

    /// Begins a segment that has what was accepted and is not safe. Until it has its name the old one
    /// counts, should the process die; and it is safe before, should the machine.
    fn begin_with_accepted(&mut self, id: SegmentId) -> io::Result<()> {
        let unfinished = self.dir.join(id.unfinished_file());
        let accepted = &self.tail[..self.accepted.length];
        let (disk, path) = (&self.disk, self.dir.join(id.file()));
        let write = || {
            let mut file = disk.create(&unfinished)?;
            file.write_all(&id.header())?;
            file.write_all(accepted)?;
            file.sync()?;
            disk.rename(&unfinished, &path)?;
            Ok(file)
        };
        let file = match write() {
            Ok(file) => file,
            Err(error) => {
                // It takes room, and is in the way of the next.
                let _ = disk.remove(&unfinished);
                return Err(error);
            }
        };
        // The old one may have had the same name.
        self.changes.push(Change::Gone(id));
        self.active = Some(Active { id, file, safe: HEADER as u64, named: true });
        self.written = self.accepted.length;
        self.disk.sync_dir(&self.dir)?;
        self.now_safe();
        Ok(())
    }

    fn try_sync(&mut self) -> io::Result<()> {
        self.synced = Instant::now();
        let Some(active) = &mut self.active else { return Ok(()) };
        active.file.sync()?;
        if !active.named {
            self.disk.sync_dir(&self.dir)?;
            active.named = true;
        }
        self.now_safe();
        Ok(())
    }

    /// What is written is safe: the whole tail, or what was accepted before the last push.
    fn now_safe(&mut self) {
        let Some(active) = &mut self.active else { return };
        active.safe += self.written as u64;
        self.safe = if self.written == self.tail.len() { self.end } else { self.accepted.end };
        self.tail.drain(..self.written);
        self.written = 0;
        self.accepted = Place { length: 0, end: self.safe };
    }

    fn length(&self) -> Option<u64> {
        self.active.as_ref().map(|active| active.safe + self.written as u64)
    }

    fn tell_length(&mut self) {
        if let (Some(active), Some(readable)) = (&self.active, self.length()) {
            self.changes.push(Change::Readable(active.id, readable));
        }
    }

    /// Writes nothing more to the active segment, all of which is safe.
    fn leave(&mut self) {
        if let Some(active) = self.active.take() {
            self.changes.push(Change::Ended(active.id, self.safe));
        }
    }

    /// Leaves the file as it was when all in it was accepted, or as near to that as can be. What of it is
    /// not safe is written anew, and is still there should the process die before.
    fn abandon(&mut self) {
        let accepted = self.written.min(self.accepted.length) as u64;
        self.written = 0;
        let Some(mut active) = self.active.take() else { return };
        if active.safe + accepted == HEADER as u64 {
            drop(active.file);
            // Left behind it holds nothing that counts.
            let _ = self.disk.remove(&self.dir.join(active.id.file()));
            self.changes.push(Change::Gone(active.id));
            return;
        }
        if let Err(error) = active.file.truncate(active.safe + accepted) {
            tracing::debug!(%error, "what was written in vain stays in a segment");
        }
        let end = if accepted == 0 { self.safe } else { self.accepted.end };
        self.changes.push(Change::Readable(active.id, active.safe));
        self.changes.push(Change::Ended(active.id, end));
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("dir", &self.dir).finish_non_exhaustive()
    }
}
