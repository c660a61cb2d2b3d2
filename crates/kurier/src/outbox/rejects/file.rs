//! One process's file of rejected messages, and the one beside it that says which of them are settled:
//! back in line, or discarded.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use super::form::Rejection;
use super::frames::Frames;
use crate::outbox::disk::Disk;
use crate::outbox::frame::{self, Found, Salt, Scan, Sequence};
use crate::outbox::marks;
use crate::outbox::segment::{HEADER, SegmentId, of_rejected_file, rejected_file, settled_file};
use crate::outbox::settled::Ranges;

/// Names such a file.
#[derive(Debug, Clone)]
pub(in crate::outbox) struct RejectedFile {
    dir: PathBuf,
    salt: Salt,
}

/// What a look has found in one.
#[derive(Debug, Default)]
pub(in crate::outbox) struct Looked {
    /// Those that were chosen, in the order of acceptance, and where each lies.
    pub(in crate::outbox) chosen: Vec<(Sequence, u64)>,
    /// How many were not.
    pub(super) others: u64,
    /// Bytes that can't be read.
    pub(super) damaged: bool,
}

/// Copies rejected messages of one segment, each with its reason, into this process's file of such.
/// Those that the segment does not have are passed over.
pub(in crate::outbox) fn keep_rejected(
    disk: &dyn Disk,
    dir: &Path,
    salt: Salt,
    id: SegmentId,
    rejects: &BTreeMap<Sequence, String>,
) -> io::Result<()> {
    let bytes = std::fs::read(dir.join(id.file()))?;
    let at = Some(Timestamp::now());
    let mut frames = Vec::new();
    for found in Scan::new(&bytes, HEADER, id.salt) {
        if let Found::Record { sequence, body, .. } = found
            && let Some(reason) = rejects.get(&sequence)
        {
            frame::push(&mut frames, salt, sequence, |out| {
                Rejection { at, reason, body }.write(out);
            });
        }
    }
    let path = dir.join(rejected_file(salt));
    let mut file = disk.open(&path)?;
    let before = std::fs::metadata(&path)?.len();
    let written = file.write_all(&frames).and_then(|()| file.sync());
    if written.is_err() {
        // It is tried again, and what is left of this time would only take room.
        let _ = file.truncate(before);
    }
    written.and_then(|()| disk.sync_dir(dir))
}

impl RejectedFile {
    pub(in crate::outbox) fn of(dir: &Path, salt: Salt) -> Self {
        Self { dir: dir.to_owned(), salt }
    }

    /// All that are in `dir`, the one of the earliest process first.
    pub(super) fn all(dir: &Path) -> io::Result<Vec<Self>> {
        let mut files = Vec::new();
        for file in std::fs::read_dir(dir)? {
            if let Some(salt) = file?.file_name().to_str().and_then(of_rejected_file) {
                let file = Self::of(dir, salt);
                files.push((file.begun()?, salt.0, file));
            }
        }
        files.sort_by_key(|(begun, salt, _)| (*begun, *salt));
        Ok(files.into_iter().map(|(.., file)| file).collect())
    }

    /// Looks at every message that is not settled, and chooses those for which `choose` says so.
    pub(in crate::outbox) fn look(
        &self,
        choose: impl Fn(Sequence, &[u8]) -> bool,
    ) -> io::Result<Looked> {
        let (mut looked, mut seen) = (Looked::default(), self.settled()?);
        let Some(mut frames) = self.frames()? else { return Ok(looked) };
        while let Some(placed) = frames.next()? {
            // What was put aside a second time, after an error of the disk, counts once.
            if seen.contains(placed.sequence) {
                continue;
            }
            seen.add_one(placed.sequence);
            if choose(placed.sequence, frames.body(&placed)) {
                looked.chosen.push((placed.sequence, placed.at));
            } else {
                looked.others += 1;
            }
        }
        // Each of a segment's is written together, in order; those of two may come in any.
        looked.chosen.sort_unstable();
        looked.damaged = frames.passed_over;
        Ok(looked)
    }

    /// Reads it; `None` when it is not there any more.
    pub(super) fn frames(&self) -> io::Result<Option<Frames>> {
        Frames::open(&self.path(), self.salt)
    }

    /// Writes down that these, in order, are settled, durably.
    pub(super) fn settle(&self, disk: &dyn Disk, sequences: &[Sequence]) -> io::Result<()> {
        let mut settled = Ranges::default();
        sequences.iter().for_each(|sequence| settled.add_one(*sequence));
        let all = Sequence(0)..settled.end_of_all();
        let ranges: Vec<Range<Sequence>> = settled.within(&all).collect();
        let mut file = disk.open(&self.marks())?;
        file.write_all(&marks::written(&ranges, self.salt))?;
        file.sync()?;
        disk.sync_dir(&self.dir)
    }

    /// Deletes it, all in which is settled. The marks go last: without them it would all be there again.
    pub(super) fn remove(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.remove(&self.path())?;
        disk.sync_dir(&self.dir)?;
        match disk.remove(&self.marks()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// When its first message was put into it, or what the disk says of that.
    fn begun(&self) -> io::Result<Timestamp> {
        if let Some(mut frames) = self.frames()?
            && let Some(first) = frames.next()?
            && let Some(Rejection { at: Some(at), .. }) = Rejection::read(frames.body(&first))
        {
            return Ok(at);
        }
        let changed = std::fs::metadata(self.path()).and_then(|file| file.modified());
        Ok(Timestamp::try_from(changed.unwrap_or(SystemTime::UNIX_EPOCH)).unwrap_or_default())
    }

    fn settled(&self) -> io::Result<Ranges> {
        let mut settled = Ranges::default();
        let Some(mut frames) = Frames::open(&self.marks(), self.salt)? else { return Ok(settled) };
        while let Some(placed) = frames.next()? {
            settled.add(marks::range(placed.sequence, frames.body(&placed)));
        }
        Ok(settled)
    }

    fn path(&self) -> PathBuf {
        self.dir.join(rejected_file(self.salt))
    }

    fn marks(&self) -> PathBuf {
        self.dir.join(settled_file(self.salt))
    }
}
