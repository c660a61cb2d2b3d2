//! What can't be sent is kept aside, outside of the limit, until somebody removes it: damaged bytes, and
//! messages that no broker takes.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::disk::Disk;
use super::frame::{self, Found, Salt, Scan, Sequence};
use super::segment::{HEADER, SegmentId, rejected_file};
use super::status::OutboxDamage;
use super::survey::Damaged;

/// Keeps damaged bytes in a file of their own. `None` when they are kept there already.
pub(super) fn keep_damaged(
    disk: &dyn Disk,
    dir: &Path,
    id: SegmentId,
    damaged: &Damaged,
) -> io::Result<Option<OutboxDamage>> {
    let damage = OutboxDamage::of(dir, id, damaged);
    let mut file = match disk.create(&damage.kept_in) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        created => created?,
    };
    file.write_all(&damaged.bytes)?;
    file.sync()?;
    disk.sync_dir(dir)?;
    tracing::error!("{damage}");
    Ok(Some(damage))
}

/// Copies rejected messages of one segment, each with its reason, into this process's file of such.
/// Those that the segment does not have are passed over.
pub(super) fn keep_rejected(
    disk: &dyn Disk,
    dir: &Path,
    salt: Salt,
    id: SegmentId,
    rejects: &BTreeMap<Sequence, String>,
) -> io::Result<()> {
    let bytes = std::fs::read(dir.join(id.file()))?;
    let mut frames = Vec::new();
    for found in Scan::new(&bytes, HEADER, id.salt) {
        if let Found::Record { sequence, body, .. } = found
            && let Some(reason) = rejects.get(&sequence)
        {
            frame::push(&mut frames, salt, sequence, |out| {
                // A reason is a sentence.
                let length = u32::try_from(reason.len()).unwrap_or(0);
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(&reason.as_bytes()[..length as usize]);
                out.extend_from_slice(body);
            });
        }
    }
    let mut file = disk.open(&dir.join(rejected_file(salt)))?;
    file.write_all(&frames)?;
    file.sync()?;
    disk.sync_dir(dir)
}
