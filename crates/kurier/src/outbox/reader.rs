//! Reads what is undelivered, in order: what an earlier process has left, and then what is written.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::aside::keep_damaged;
use super::disk::RealDisk;
use super::frame::{Found, Scan, Sequence};
use super::segment::{HEADER, SegmentId};
use super::shared::{News, Outbox, REJECTS_MAX, Shared};
use super::survey::Damaged;

/// Where reading has come to.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    segment: Option<SegmentId>,
    /// The segment's bytes from `offset` on, of which `at` are read.
    bytes: Vec<u8>,
    offset: u64,
    at: usize,
    /// Everything before this was read, or is not there.
    next: Sequence,
}

/// Bytes read at once.
const CHUNK: u64 = 1 << 20;
/// After an error of the disk.
const AGAIN: Duration = Duration::from_millis(500);

enum Step {
    Record {
        sequence: Sequence,
        body: Range<usize>,
    },
    Damaged(Damaged),
    /// The bytes end within a frame, or with what may be one.
    More,
}

impl Reader {
    /// From the first undelivered message on.
    pub(crate) fn new(outbox: &Outbox) -> Self {
        Self {
            shared: Arc::clone(&outbox.shared),
            segment: None,
            bytes: Vec::new(),
            offset: 0,
            at: 0,
            next: Sequence(0),
        }
    }

    /// The next undelivered message, waiting for it as long as it takes. `None` when the outbox gives
    /// nothing more to read.
    pub(crate) fn next(&mut self) -> Option<(Sequence, &[u8])> {
        loop {
            match self.step() {
                Step::Record { sequence, body } => {
                    if sequence < self.next {
                        continue;
                    }
                    let skipped = self.next..sequence;
                    self.next = sequence.next();
                    let mut state = self.shared.lock();
                    if state.read_out {
                        return None;
                    }
                    // What is not there can't be delivered.
                    state.index.nothing_in(skipped);
                    let settled = state.index.is_settled(sequence);
                    drop(state);
                    if !settled {
                        return Some((sequence, &self.bytes[body]));
                    }
                }
                Step::Damaged(damaged) => self.keep(&damaged),
                Step::More => {
                    if !self.more() {
                        return None;
                    }
                }
            }
        }
    }

    /// Looks at what is in memory.
    fn step(&mut self) -> Step {
        let Some(id) = self.segment else { return Step::More };
        match Scan::new(&self.bytes, self.at, id.salt).next() {
            Some(Found::Record { sequence, body, end }) => {
                self.at = end;
                Step::Record { sequence, body: end - body.len()..end }
            }
            // Where it ends is only known when something whole follows, or nothing.
            Some(Found::Damaged { at, .. }) if at.end == self.bytes.len() && !self.read_all(id) => {
                Step::More
            }
            Some(Found::Damaged { at, sequence }) => {
                self.at = at.end;
                let bytes = self.bytes[at.clone()].to_vec();
                let from = self.offset as usize;
                Step::Damaged(Damaged { at: at.start + from..at.end + from, sequence, bytes })
            }
            Some(Found::Torn { .. }) | None => Step::More,
        }
    }

    fn read_all(&self, id: SegmentId) -> bool {
        let state = self.shared.lock();
        let segment = state.index.segments.iter().find(|segment| segment.id == id);
        segment.is_none_or(|segment| segment.readable <= self.offset + self.bytes.len() as u64)
    }

    /// Reads on, waiting until there is something to read. False when there will be nothing.
    fn more(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let (id, from, to) = {
            let mut state = shared.lock();
            loop {
                if state.read_out {
                    return false;
                }
                let read_to = self.offset + self.bytes.len() as u64;
                let segments = &state.index.segments;
                let current = self.segment.and_then(|id| {
                    segments.iter().find(|segment| segment.id == id && read_to < segment.readable)
                });
                let next = match self.segment {
                    None => segments.first(),
                    Some(id) => state.index.after(id),
                };
                if REJECTS_MAX <= state.rejects.len() {
                    // They are put aside first, for which the disk may have no room.
                } else if let Some(segment) = current {
                    break (segment.id, self.offset + self.at as u64, segment.readable);
                } else if let Some(segment) = next {
                    let (id, readable) = (segment.id, segment.readable);
                    // What was not there to read in the one before is not there.
                    state.index.nothing_in(self.next..id.base);
                    self.next = self.next.max(id.base);
                    if HEADER as u64 <= readable {
                        break (id, HEADER as u64, readable);
                    }
                    self.go_to(id, readable);
                    continue;
                }
                state = Shared::wait(&shared.readable, state, None);
            }
        };
        if let Err(error) = self.read(id, from, to) {
            let state = shared.lock();
            // Deleted meanwhile: all in it is delivered. If not, it is the folder that is away.
            if error.kind() == io::ErrorKind::NotFound && state.index.is_finished_or_gone(id) {
                drop(state);
                self.go_to(id, to);
            } else {
                tracing::error!(%error, "the outbox can't be read; it is tried again");
                let until = Instant::now() + AGAIN;
                if !state.read_out {
                    drop(Shared::wait(&shared.readable, state, Some(until)));
                }
            }
        }
        true
    }

    /// Has read the segment so far, and keeps nothing of it.
    fn go_to(&mut self, id: SegmentId, offset: u64) {
        self.segment = Some(id);
        self.bytes.clear();
        (self.offset, self.at) = (offset, 0);
    }

    /// Reads from a place on that is the beginning of a frame: one chunk, and more where a frame is
    /// larger.
    fn read(&mut self, id: SegmentId, from: u64, to: u64) -> io::Result<()> {
        let had = if self.segment == Some(id) { (self.bytes.len() - self.at) as u64 } else { 0 };
        let mut file = std::fs::File::open(self.shared.dir.join(id.file()))?;
        file.seek(SeekFrom::Start(from))?;
        let wanted = (to - from).min((2 * had).max(CHUNK));
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let read = file.take(wanted).read_to_end(&mut bytes);
        self.go_to(id, from);
        self.bytes = bytes;
        if (read? as u64) < wanted {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a segment is shorter than it was",
            ));
        }
        Ok(())
    }

    fn keep(&self, damaged: &Damaged) {
        let Some(id) = self.segment else { return };
        match keep_damaged(&RealDisk, &self.shared.dir, id, damaged) {
            Ok(Some(damage)) => self.shared.teller.tell(News::Damaged(damage)),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "damaged bytes of the outbox can't be kept"),
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("next", &self.next).finish_non_exhaustive()
    }
}
