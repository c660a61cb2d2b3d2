//! An outbox seen from outside: what is in it, and whether it can be read.

use std::fmt;
use std::path::{Path, PathBuf};

use super::lock::Lock;
use super::open::OutboxError;
use super::segment::SegmentId;
use super::survey::{Damaged, Survey};

/// Bytes of an outbox that can't be read: the message that they were is lost, and those behind it are
/// not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxDamage {
    /// The segment.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The message's place in the order of acceptance, when that can still be read.
    pub ticket: Option<u64>,
    /// The file that keeps them, once a producer has opened the outbox.
    pub kept_in: PathBuf,
    /// Whether it did when this was found.
    pub is_kept: bool,
}

impl OutboxDamage {
    /// Of bytes that are not kept yet.
    pub(super) fn of(dir: &Path, id: SegmentId, damaged: &Damaged) -> Self {
        Self {
            file: dir.join(id.file()),
            offset: damaged.at.start as u64,
            bytes: damaged.bytes.len() as u64,
            ticket: damaged.sequence.map(|sequence| sequence.0),
            kept_in: dir.join(id.damaged_file(damaged.at.start)),
            is_kept: false,
        }
    }
}

impl fmt::Display for OutboxDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes, kept_in, is_kept, .. } = self;
        write!(f, "{}: {bytes} bytes from {offset} on are damaged", file.display())?;
        if *is_kept { write!(f, "; kept in {}", kept_in.display()) } else { Ok(()) }
    }
}

/// What an outbox holds. Read without changing anything; beside a process that uses the outbox, it may
/// be a moment old.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxStatus {
    /// The process that uses it.
    pub used_by: Option<u32>,
    /// Messages that are not delivered, as far as is written down.
    pub undelivered: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// How many segments there are.
    pub segments: usize,
    /// Messages that no broker took; they are kept aside with the reason.
    pub rejected: u64,
    /// Bytes at the end of segments that were being written when a process died; nothing in them was
    /// accepted.
    pub torn_bytes: u64,
    /// What can't be read in the segments.
    pub damaged: Vec<OutboxDamage>,
    /// Files with damaged bytes, kept by this or an earlier process.
    pub kept: Vec<PathBuf>,
}

impl OutboxStatus {
    /// Whether there is an outbox in `dir`: a folder with the lock that every producer leaves, or with
    /// messages. Changes nothing.
    ///
    /// # Errors
    /// When there is none, or the folder can't be read.
    pub fn look_for(dir: impl AsRef<Path>) -> Result<(), OutboxError> {
        let dir = dir.as_ref();
        let no_outbox = |has_folder| OutboxError::NoOutbox { dir: dir.to_owned(), has_folder };
        if !dir.exists() {
            return Err(no_outbox(false));
        }
        if !dir.is_dir() {
            return Err(OutboxError::NotAFolder { dir: dir.to_owned() });
        }
        let failed = |error| OutboxError::io(dir, error);
        for file in std::fs::read_dir(dir).map_err(failed)? {
            let name = file.map_err(failed)?.file_name();
            if name
                .to_str()
                .is_some_and(|name| Lock::is(name) || SegmentId::of_file(name).is_some())
            {
                return Ok(());
            }
        }
        Err(no_outbox(true))
    }

    /// Reads the whole outbox in `dir`, checking every checksum.
    ///
    /// # Errors
    /// When there is no such folder, or a file in it can't be read. A folder without any of an outbox is
    /// an empty one; see [`look_for`](Self::look_for).
    pub fn read(dir: impl AsRef<Path>) -> Result<Self, OutboxError> {
        let dir = dir.as_ref();
        let failed = |error| OutboxError::io(dir, error);
        let survey = Survey::of(dir).map_err(failed)?;
        let index = survey.index();
        let mut damaged = Vec::new();
        for segment in &survey.segments {
            for found in &segment.damaged {
                let damage = OutboxDamage::of(dir, segment.id, found);
                let is_kept = survey.kept.contains(&damage.kept_in);
                damaged.push(OutboxDamage { is_kept, ..damage });
            }
        }
        Ok(Self {
            used_by: Lock::holder(dir),
            undelivered: index.undelivered(),
            bytes: survey.segments.iter().map(|segment| segment.bytes).sum(),
            segments: survey.segments.len(),
            rejected: survey.rejected,
            torn_bytes: survey.segments.iter().map(|segment| segment.torn).sum(),
            damaged,
            kept: survey.kept,
        })
    }
}
