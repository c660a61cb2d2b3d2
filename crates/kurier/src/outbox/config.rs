//! What can be chosen about an outbox.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// When an accepted message is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OutboxSync {
    /// Before `send` returns: one `fsync` for all that wait. Survives the death of the process and of the
    /// machine.
    #[default]
    Always,
    /// `send` returns once the system has the message, and an `fsync` follows at the latest after this
    /// time, by the next process that opens the outbox if this one dies before. Survives the death of the
    /// process; when the machine dies, messages of that time can be lost.
    Interval(Duration),
    /// `send` returns once the system has the message, and the system writes it when it likes. Survives
    /// the death of the process; when the machine dies, messages of half a minute or more can be lost.
    Never,
}

/// What becomes of a new message while there is no room for it, or the disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// `send` waits.
    #[default]
    Wait,
    /// `send` refuses it, with the reason.
    Refuse,
}

/// An outbox: messages are on disk before `send` returns, and stay there until they are delivered, by
/// this process or the next one that opens the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxConfig {
    /// Its folder, which is made if it is not there. It belongs to one producer at a time.
    pub dir: PathBuf,
    /// Undelivered messages take at most this much room on the disk. Default: 1 GiB. At the bound new
    /// messages wait or are refused. A segment is deleted as a whole, once everything in it is delivered.
    pub bytes_max: u64,
    /// When an accepted message is made durable. Default: [`OutboxSync::Always`].
    pub sync: OutboxSync,
    /// What becomes of new messages while it is full. Default: [`WhenFull::Wait`].
    pub when_full: WhenFull,
}

impl OutboxConfig {
    /// The defaults, in this folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            bytes_max: crate::config::outbox_bytes_default(),
            sync: OutboxSync::default(),
            when_full: WhenFull::default(),
        }
    }

    /// Sets [`bytes_max`](Self::bytes_max).
    #[must_use]
    pub fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// Sets [`sync`](Self::sync).
    #[must_use]
    pub fn sync(mut self, sync: OutboxSync) -> Self {
        self.sync = sync;
        self
    }

    /// Sets [`when_full`](Self::when_full).
    #[must_use]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// Bytes after which another segment is begun.
    pub(super) fn segment_bytes(&self) -> u64 {
        (self.bytes_max / 8).clamp(1, 16 << 20)
    }
}

impl From<&str> for OutboxConfig {
    fn from(dir: &str) -> Self {
        Self::new(dir)
    }
}

impl From<&Path> for OutboxConfig {
    fn from(dir: &Path) -> Self {
        Self::new(dir)
    }
}

impl From<PathBuf> for OutboxConfig {
    fn from(dir: PathBuf) -> Self {
        Self::new(dir)
    }
}
