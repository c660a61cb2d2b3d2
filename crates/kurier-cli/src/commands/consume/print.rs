//! Messages as lines on standard output: what is printed is handled.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use kurier::{Failure, Received, StoppedPartition};
use tokio_util::sync::CancellationToken;

use crate::commands::line::{self, Show};

/// Standard output, and what to do when nobody reads it.
#[derive(Debug)]
pub struct Out {
    /// Messages printed.
    pub printed: AtomicU64,
    /// Why nothing more can be written.
    pub broken: OnceLock<io::Error>,
    stop: CancellationToken,
}

impl Out {
    /// `stop` is cancelled when nothing more can be written.
    pub fn new(stop: CancellationToken) -> Self {
        Self { printed: AtomicU64::new(0), broken: OnceLock::new(), stop }
    }

    /// Writes a line for each, all or an error: only what was written counts as handled. Partitions make
    /// their lines at the same time; only the writing is one after another.
    pub fn print<'a, M: Show + 'a>(
        &self,
        items: impl IntoIterator<Item = &'a Received<M>>,
    ) -> Result<(), Failure> {
        thread_local! {
            /// Kept for its memory.
            static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let mut count = 0;
        let written = LINES.with_borrow_mut(|lines| {
            // Whatever an earlier print left.
            lines.clear();
            for item in items {
                line::write(lines, item)?;
                count += 1;
            }
            let mut out = io::stdout().lock();
            Ok::<_, Failure>(out.write_all(lines).and_then(|()| out.flush()))
        })?;
        if let Err(error) = written {
            let failure = Failure::retry(error.to_string());
            // The first one says it.
            let _ = self.broken.set(error);
            self.stop.cancel();
            return Err(failure);
        }
        self.printed.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    /// True when the message could not be handled because it could not be printed.
    pub fn refused(&self, stopped: &StoppedPartition) -> bool {
        self.broken.get().is_some_and(|error| error.to_string() == stopped.reason)
    }
}
