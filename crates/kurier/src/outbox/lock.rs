//! One process at a time: a file that is locked as long as an outbox is open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// Held until dropped; the system lets go of it when the process dies.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, not used")] File);

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum NoLock {
    /// Another process has it, or another producer of this one; its number, if it could be read.
    Held(Option<u32>),
    Io(io::Error),
}

const FILE: &str = "lock";

impl Lock {
    /// Takes the lock of the outbox in `dir`.
    pub(super) fn take(dir: &Path) -> Result<Self, NoLock> {
        let options = OpenOptions::new().read(true).write(true).create(true).clone();
        let mut file = options.open(dir.join(FILE)).map_err(NoLock::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(NoLock::Held(pid(&mut file))),
            Err(TryLockError::Error(error)) => return Err(NoLock::Io(error)),
        }
        let written = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        written.map_err(NoLock::Io)?;
        Ok(Self(file))
    }

    /// The number of the process that has the lock of `dir`, if one has it.
    pub(super) fn holder(dir: &Path) -> Option<u32> {
        let mut file = File::open(dir.join(FILE)).ok()?;
        // Shared, so that two who look do not see each other.
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => pid(&mut file),
            _ => None,
        }
    }
}

fn pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
