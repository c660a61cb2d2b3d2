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
/// How often the lock is tried while it is only shared.
const LOOKS: usize = 10_000;

impl Lock {
    /// Takes the lock of the outbox in `dir`.
    pub(super) fn take(dir: &Path) -> Result<Self, NoLock> {
        let options = OpenOptions::new().read(true).write(true).create(true).clone();
        let mut file = options.open(dir.join(FILE)).map_err(NoLock::Io)?;
        let mut looks = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // Whoever only looks shares it, and only for a moment.
                Err(TryLockError::WouldBlock)
                    if looks < LOOKS && file.try_lock_shared().is_ok() =>
                {
                    looks += 1;
                    file.unlock().map_err(NoLock::Io)?;
                    std::thread::yield_now();
                }
                Err(TryLockError::WouldBlock) => return Err(NoLock::Held(pid(&mut file))),
                Err(TryLockError::Error(error)) => return Err(NoLock::Io(error)),
            }
        }
        match name(&mut file) {
            // What is in the outbox must come out also where there is no room for a number.
            Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(NoLock::Io(error)),
            _ => Ok(Self(file)),
        }
    }

    /// Whether this is the name of an outbox's lock.
    pub(super) fn is(name: &str) -> bool {
        name == FILE
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

/// Writes this process's number over the last one's, whose room it takes.
fn name(file: &mut File) -> io::Result<()> {
    let pid = std::process::id().to_string();
    file.write_all(pid.as_bytes())?;
    file.set_len(pid.len() as u64)
}

fn pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
