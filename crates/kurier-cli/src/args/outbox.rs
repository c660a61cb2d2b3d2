//! What is said of an outbox: where it is, how it is kept, and what to do with one.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kurier::{OutboxConfig, OutboxRejects, OutboxSync, WhenFull};
use uuid::Uuid;

use super::{duration, some};

const LIMIT_MB: u64 = 1024;
const LIMIT_MB_MAX: u64 = 1_048_576;

/// `--outbox` and what goes with it.
#[derive(Debug, Args)]
pub struct OutboxArgs {
    /// Keep messages on disk, in this folder, from their acceptance until they are delivered; what is
    /// there already is sent first
    #[arg(long = "outbox", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Room on the disk for undelivered messages, in megabytes
    #[arg(long = "outbox-limit", value_name = "MB", default_value_t = LIMIT_MB, requires = "dir",
        value_parser = clap::value_parser!(u64).range(1..=LIMIT_MB_MAX))]
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
    /// Show the messages that no broker took and that were put aside, with the reason; changes nothing
    Rejected {
        /// Its folder
        dir: PathBuf,
        #[command(flatten)]
        chosen: RejectsArgs,
    },
    /// Put what was put aside in line again, in its order, behind what is there: the next producer with the
    /// outbox, or `outbox drain`, sends it
    Retry {
        /// Its folder
        dir: PathBuf,
        #[command(flatten)]
        chosen: RejectsArgs,
        /// Room on the disk for undelivered messages, in megabytes; what finds none stays aside
        #[arg(long = "outbox-limit", value_name = "MB", default_value_t = LIMIT_MB,
            value_parser = clap::value_parser!(u64).range(1..=LIMIT_MB_MAX))]
        limit: u64,
    },
    /// Delete messages that were put aside: shows which, and deletes them with --execute
    Discard {
        /// Its folder
        dir: PathBuf,
        #[command(flatten)]
        chosen: RejectsArgs,
        /// Delete them, for good
        #[arg(long)]
        execute: bool,
    },
    /// Check every checksum of an outbox; exit code 3 when something can't be read, or is kept aside
    /// because it could not
    Verify {
        /// Its folder
        dir: PathBuf,
    },
}

/// Which of the messages that were put aside are meant: those for which all of this holds.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which of them")]
pub struct RejectsArgs {
    /// They were to go to this topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Their id; may be repeated
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<Uuid>,
    /// Their error contains this text
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// So many at most, the first that were accepted
    #[arg(long, value_name = "N", value_parser = some)]
    max: Option<NonZeroU64>,
}

impl RejectsArgs {
    /// For the library.
    pub fn rejects(self, outbox: OutboxConfig) -> OutboxRejects {
        let mut rejects = OutboxRejects::of(outbox);
        if let Some(topic) = self.topic {
            rejects = rejects.topic(topic);
        }
        if let Some(text) = self.error {
            rejects = rejects.error(text);
        }
        if let Some(max) = self.max {
            rejects = rejects.at_most(max.get());
        }
        self.ids.into_iter().fold(rejects, OutboxRejects::id)
    }
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

/// When a message is durable.
pub(super) fn sync(text: &str) -> Result<OutboxSync, String> {
    match text {
        "always" => Ok(OutboxSync::Always),
        "never" => Ok(OutboxSync::Never),
        time => duration(time)
            .map(OutboxSync::Interval)
            .map_err(|_| "expected always, never, or a time such as 200ms".to_owned()),
    }
}
