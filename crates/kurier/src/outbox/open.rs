//! Opens an outbox: takes the lock, looks at what is there, and keeps what can be read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::aside::keep_damaged;
use super::config::{OutboxConfig, OutboxSync};
use super::disk::{Disk, RealDisk};
use super::frame::Salt;
use super::index::Change;
use super::lock::{Lock, NoLock};
use super::log::Log;
use super::shared::{Found, News, Outbox, Shared, Teller};
use super::status::OutboxDamage;
use super::survey::Survey;
use super::writer::{Thread, remove};

/// An outbox can't be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// Another process, or another producer of this one, uses it.
    #[error("the outbox {} is in use{}", dir.display(), holder.map_or_else(String::new, |pid| format!(" by process {pid}")))]
    InUse {
        /// Its folder.
        dir: PathBuf,
        /// The process, if it could be told.
        holder: Option<u32>,
    },
    /// There is a file where the folder should be.
    #[error("the outbox {}: that is a file, and an outbox is a folder", dir.display())]
    NotAFolder {
        /// Its name.
        dir: PathBuf,
    },
    /// The folder can't be made.
    #[error("the outbox {}: the folder can't be made: {error}", dir.display())]
    NoFolder {
        /// Its name.
        dir: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// Only from looking at one: there is none.
    #[error("the outbox {}: {}", dir.display(), if *has_folder { "no producer has kept messages in this folder" } else { "there is no such folder" })]
    NoOutbox {
        /// Where it was looked for.
        dir: PathBuf,
        /// Whether there was a folder.
        has_folder: bool,
    },
    /// The disk, or a file that a later version has written.
    #[error("the outbox {}: {error}", dir.display())]
    Io {
        /// Its folder.
        dir: PathBuf,
        /// The reason.
        error: io::Error,
    },
}

impl OutboxError {
    pub(super) fn io(dir: &Path, error: io::Error) -> Self {
        Self::Io { dir: dir.to_owned(), error }
    }
}

/// Opens the outbox of `config`; its news go to `teller`, on other threads. Blocks: it reads all that is
/// there.
///
/// # Errors
/// When another process uses it, or the disk fails.
pub(crate) fn open(config: &OutboxConfig, teller: Teller) -> Result<Outbox, OutboxError> {
    open_on(Arc::new(RealDisk), config, teller)
}

/// As [`open`], writing to this disk.
pub(super) fn open_on(
    disk: Arc<dyn Disk>,
    config: &OutboxConfig,
    teller: Teller,
) -> Result<Outbox, OutboxError> {
    let dir = &config.dir;
    let failed = |error| OutboxError::io(dir, error);
    if dir.exists() && !dir.is_dir() {
        return Err(OutboxError::NotAFolder { dir: dir.clone() });
    }
    let made = make(&*disk, dir);
    made.map_err(|error| OutboxError::NoFolder { dir: dir.clone(), error })?;
    let Held { lock, log, found, salt, damages } = hold(&disk, config, config.sync)?;
    damages.into_iter().for_each(|damage| teller.tell(News::Damaged(damage)));
    let shared = Arc::new(Shared::new(config, salt, teller, found));
    let thread = Thread::start(Arc::clone(&shared), disk, log, lock).map_err(failed)?;
    Ok(Outbox { shared, thread })
}

/// An outbox in this process's hands, to be written to.
pub(super) struct Held {
    pub(super) lock: Lock,
    pub(super) log: Log,
    pub(super) found: Found,
    /// This process's.
    pub(super) salt: Salt,
    /// What was found that can't be read.
    pub(super) damages: Vec<OutboxDamage>,
}

/// Takes the outbox of `config`, whose folder is there, and mends what a process that died has left half
/// done.
///
/// # Errors
/// As [`open`].
pub(super) fn hold(
    disk: &Arc<dyn Disk>,
    config: &OutboxConfig,
    sync: OutboxSync,
) -> Result<Held, OutboxError> {
    let dir = &config.dir;
    let lock = lock(dir)?;
    let (found, damages) = recover(&**disk, dir).map_err(|error| OutboxError::io(dir, error))?;
    // Whatever is random serves.
    let salt = Salt(Uuid::new_v4().as_u64_pair().1);
    let (next, segment_bytes) = (found.index.next(), config.segment_bytes());
    let log = Log::new(Arc::clone(disk), dir.clone(), salt, sync, segment_bytes, next);
    Ok(Held { lock, log, found, salt, damages })
}

/// Takes the lock of the outbox in `dir`.
///
/// # Errors
/// When another process has it, or the disk fails.
pub(super) fn lock(dir: &Path) -> Result<Lock, OutboxError> {
    Lock::take(dir).map_err(|no_lock| match no_lock {
        NoLock::Held(holder) => OutboxError::InUse { dir: dir.to_owned(), holder },
        NoLock::Io(error) => OutboxError::io(dir, error),
    })
}

/// Makes the folder, and those above it that were not there, so that none is gone after a power cut.
fn make(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|one| !one.exists()).collect();
    std::fs::create_dir_all(dir)?;
    for parent in missing.into_iter().filter_map(Path::parent) {
        let here = parent.as_os_str().is_empty();
        disk.sync_dir(if here { Path::new(".") } else { parent })?;
    }
    Ok(())
}

/// Looks at everything, cuts off what was not written whole, keeps aside what is damaged, deletes what is
/// delivered, and makes durable what is left.
fn recover(disk: &dyn Disk, dir: &Path) -> io::Result<(Found, Vec<OutboxDamage>)> {
    let survey = Survey::of(dir)?;
    let mut damages = Vec::new();
    for segment in &survey.segments {
        for damaged in &segment.damaged {
            damages.extend(keep_damaged(disk, dir, segment.id, damaged)?);
        }
        if segment.end < segment.bytes {
            tracing::info!(bytes = segment.torn, "a message that was not accepted is cut off");
            disk.open(&dir.join(segment.id.file()))?.truncate(segment.end)?;
        }
    }
    for path in &survey.unfinished {
        disk.remove(path)?;
    }
    let mut index = survey.index();
    let finished = index.finished(None);
    // Also those that hold nothing: the next segment may begin with the same number.
    for id in &finished {
        remove(disk, dir, *id)?;
    }
    index.apply(finished.into_iter().map(Change::Gone));
    // The process before may have died before a sync that it was to make.
    for segment in &index.segments {
        disk.open(&dir.join(segment.id.file()))?.sync()?;
    }
    disk.sync_dir(dir)?;
    Ok((Found { index, ages: survey.ages, put_aside: survey.rejected }, damages))
}
