//! What is said of an outbox: where it is, how it is kept, and what to do with one.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kurier::{OutboxConfig, OutboxSync, WhenFull};

use super::duration;

/// `--outbox` and what goes with it.
#[derive(Debug, Args)]
pub struct OutboxArgs {
    /// Keep messages on disk, in this folder, from their acceptance until they are delivered; what is
    /// there already is sent first
    #[arg(long = "outbox", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Room on the disk for undelivered messages, in megabytes
    #[arg(long = "outbox-limit", value_name = "MB", default_value_t = 1024, requires = "dir",
        value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    limit: u64,
    /// When an accepted message is durable: `always` before it is accepted, with one fsync for all that
    /// wait; a time: accepted at once, fsync at the latest after it; `never`: when the system likes.
    /// The latter two survive the death of the process, not that of the machine
    #[arg(long = "outbox-sync", value_name = "always|TIME|never", default_value = "always",
        requires = "dir", value_parser = sync)]
    sync: OutboxSync,
    /// What becomes of a message when the outbox is full or its disk fails
    #[arg(long = "outbox-full", value_name = "WHAT", default_value = "wait", requires = "dir")]
    full: Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Full {
    /// It waits until there is room
    Wait,
    /// It is refused and named, and the rest goes on
    Refuse,
}

#[derive(Debug, Subcommand)]
pub enum OutboxCommand {
    /// What is in an outbox; changes nothing, also while a producer uses it
    Status {
        /// Its folder
        dir: PathBuf,
    },
    /// Send what is in an outbox, until it is empty or --timeout is over
    Drain {
        /// Its folder
        dir: PathBuf,
    },
    /// Check every checksum of an outbox; exit code 3 when something can't be read, or is kept aside
    /// because it could not
    Verify {
        /// Its folder
        dir: PathBuf,
    },
}

impl OutboxArgs {
    /// For the library, if there is to be one.
    pub fn config(&self) -> Option<OutboxConfig> {
        let config = OutboxConfig::new(self.dir.as_ref()?).sync(self.sync);
        Some(config.bytes_max(self.limit << 20).when_full(match self.full {
            Full::Wait => WhenFull::Wait,
            Full::Refuse => WhenFull::Refuse,
        }))
    }
}

fn sync(text: &str) -> Result<OutboxSync, String> {
    match text {
        "always" => Ok(OutboxSync::Always),
        "never" => Ok(OutboxSync::Never),
        time => duration(time)
            .map(OutboxSync::Interval)
            .map_err(|_| "expected always, never, or a time such as 200ms".to_owned()),
    }
}
