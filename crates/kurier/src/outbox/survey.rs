//! What lies in an outbox's folder, read without changing anything.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::ages::Ages;
use super::entry::accepted;
use super::frame::{Found, Scan, Sequence};
use super::index::{Index, Segment};
use super::marks;
use super::rejects::RejectedFile;
use super::segment::{
    HEADER, Header, SegmentId, is_unfinished, of_rejected_file, of_settled_file, rejected_file,
};
use super::settled::Ranges;

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Oldest first.
    pub(super) segments: Vec<Surveyed>,
    /// When they were accepted.
    pub(super) ages: Ages,
    /// How many messages no broker took, in files of their own.
    pub(super) rejected: u64,
    /// Files with damaged bytes that an earlier process has kept.
    pub(super) kept: Vec<PathBuf>,
    /// Files that a process which died has begun, or not removed to the end, and nobody needs.
    pub(super) unfinished: Vec<PathBuf>,
}

/// One segment.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub(super) id: SegmentId,
    /// Bytes of its file.
    pub(super) bytes: u64,
    /// Bytes of the one that says what is delivered.
    marks: u64,
    /// Up to where it has frames, whole or damaged.
    pub(super) end: u64,
    pub(super) records: Ranges,
    delivered: Ranges,
    pub(super) damaged: Vec<Damaged>,
    /// Bytes at the end that were not written as a whole.
    pub(super) torn: u64,
}

/// Bytes of a segment that are no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damaged {
    pub(super) at: Range<usize>,
    pub(super) sequence: Option<Sequence>,
    pub(super) bytes: Vec<u8>,
}

impl Survey {
    /// Of the outbox in `dir`.
    ///
    /// # Errors
    /// When a file can't be read, or was written by a later version.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        let mut ids = Vec::new();
        let mut survey = Self::default();
        for file in std::fs::read_dir(dir)? {
            let file = file?;
            let name = file.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(salt) = of_rejected_file(name) {
                survey.rejected +=
                    RejectedFile::of(dir, salt).look(|_, _| true)?.chosen.len() as u64;
            } else if of_settled_file(name).is_some_and(|it| !dir.join(rejected_file(it)).exists())
            {
                survey.unfinished.push(file.path());
            } else if name.starts_with("damaged-") {
                survey.kept.push(file.path());
            } else if is_unfinished(name) {
                survey.unfinished.push(file.path());
            }
            ids.extend(SegmentId::of_file(name));
        }
        ids.sort_by_key(|id| id.base);
        survey.kept.sort();
        for (place, id) in ids.iter().enumerate() {
            let end = ids.get(place + 1).map(|next| next.base);
            survey.segments.extend(Surveyed::of(dir, *id, end, &mut survey.ages)?);
        }
        Ok(survey)
    }

    /// What the next message gets.
    pub(super) fn next(&self) -> Sequence {
        let last = self.segments.last();
        last.map_or(Sequence(0), |last| last.records.end_of_all().max(last.id.base))
    }

    /// What is undelivered of all this.
    pub(super) fn index(&self) -> Index {
        let next = self.next();
        let all = Sequence(0)..next;
        let mut settled = Ranges::default();
        settled.add(all.clone());
        for segment in &self.segments {
            segment.records.within(&all).for_each(|range| settled.remove(&range));
            segment.delivered.within(&all).for_each(|range| settled.add(range));
        }
        let bases = self.segments.iter().skip(1).map(|segment| segment.id.base);
        let segment = |(one, end): (&Surveyed, Sequence)| {
            let Surveyed { id, end: readable, marks, .. } = *one;
            Segment { id, readable, marks, end: Some(end) }
        };
        let segments = self.segments.iter().zip(bases.chain([next])).map(segment);
        Index::new(segments.collect(), settled, next)
    }
}

impl Surveyed {
    /// `None` when it has gone meanwhile: another process deletes what it has delivered.
    fn of(
        dir: &Path,
        id: SegmentId,
        next_base: Option<Sequence>,
        ages: &mut Ages,
    ) -> io::Result<Option<Self>> {
        let path = dir.join(id.file());
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let marks = read(&dir.join(id.delivered_file()))?.unwrap_or_default();
        let mut found = Self {
            id,
            bytes: bytes.len() as u64,
            marks: marks.len() as u64,
            end: HEADER as u64,
            records: Ranges::default(),
            // A mark that can't be read makes a message come twice.
            delivered: marks::read(&marks, id.salt),
            damaged: Vec::new(),
            torn: 0,
        };
        match id.check(&bytes) {
            Header::Good => {}
            Header::Damaged => found.damage(&bytes, 0..HEADER, None),
            Header::Short => {
                match next_base {
                    // The one behind says that there was more.
                    Some(next) if id.base < next => found.damage(&bytes, 0..bytes.len(), None),
                    _ => (found.end, found.torn) = (0, bytes.len() as u64),
                }
                return Ok(Some(found));
            }
            Header::Newer(version) => {
                let reason =
                    format!("{} was written by a later kurier (format {version})", path.display());
                return Err(io::Error::new(ErrorKind::Unsupported, reason));
            }
        }
        found.read(&bytes, next_base, ages);
        Ok(Some(found))
    }

    fn read(&mut self, bytes: &[u8], next_base: Option<Sequence>, ages: &mut Ages) {
        let mut next = self.id.base;
        let belongs = |sequence: Sequence| next_base.is_none_or(|base| sequence < base);
        for found in Scan::new(bytes, HEADER, self.id.salt) {
            // What stands behind the last that was accepted was written in vain.
            if !belongs(next) {
                break;
            }
            match found {
                Found::Record { sequence, body, end } if next <= sequence && belongs(sequence) => {
                    if let Some(at) = accepted(body) {
                        ages.mark(sequence, at);
                    }
                    self.records.add_one(sequence);
                    next = sequence.next();
                    self.end = end as u64;
                }
                Found::Damaged { sequence: Some(sequence), .. } if !belongs(sequence) => {}
                Found::Damaged { at, sequence } => self.damage(bytes, at, sequence),
                // A segment is only followed by another when it is whole.
                Found::Torn { at } if next_base.is_some() => {
                    self.damage(bytes, at..bytes.len(), None);
                }
                Found::Torn { at } => self.torn = (bytes.len() - at) as u64,
                // Its place is taken: it was never accepted.
                Found::Record { .. } => {}
            }
        }
    }

    fn damage(&mut self, bytes: &[u8], at: Range<usize>, sequence: Option<Sequence>) {
        self.end = at.end as u64;
        let bytes = bytes[at.clone()].to_vec();
        self.damaged.push(Damaged { at, sequence, bytes });
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}
