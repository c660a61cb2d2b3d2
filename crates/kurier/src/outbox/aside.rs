//! Damaged bytes are kept aside, outside of the limit, until somebody removes them.

use std::io;
use std::path::Path;

use super::disk::Disk;
use super::segment::SegmentId;
use super::status::OutboxDamage;
use super::survey::Damaged;

/// Keeps damaged bytes in a file of their own. `None` when they are kept there already.
pub(super) fn keep_damaged(
    disk: &dyn Disk,
    dir: &Path,
    id: SegmentId,
    damaged: &Damaged,
) -> io::Result<Option<OutboxDamage>> {
    let mut damage = OutboxDamage::of(dir, id, damaged);
    let mut file = match disk.create(&damage.kept_in) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if damage.bytes <= std::fs::metadata(&damage.kept_in)?.len() {
                return Ok(None);
            }
            // The process that kept it died, or had no room, before it was done.
            disk.remove(&damage.kept_in)?;
            disk.create(&damage.kept_in)?
        }
        created => created?,
    };
    file.write_all(&damaged.bytes)?;
    file.sync()?;
    disk.sync_dir(dir)?;
    damage.is_kept = true;
    tracing::error!("{damage}");
    Ok(Some(damage))
}
