//! One direction of one connection: bytes are read, held for as long as they are delayed, and written.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::Instant;

/// How bytes flow in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// At once.
    Pass,
    /// Each byte so long after it came, in order; [`HELD_BYTES_MAX`] of a connection wait at a time, and
    /// the sender waits with the rest.
    Delay(Duration),
    /// Taken and forgotten, as by a network that has failed without a word. A connection that misses
    /// bytes is reset when its flow changes: the rest of its stream means nothing.
    Swallow,
}

/// How many bytes of one direction of a connection are held at most, give or take one read.
pub const HELD_BYTES_MAX: usize = 1 << 20;

/// The most that is read at once.
const READ_BYTES: usize = 64 << 10;

/// Moves bytes until `from` ends and what was held is written.
///
/// # Errors
/// What the sockets say; that bytes are missing, when a flow after [`Flow::Swallow`] would go on.
pub async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut flow: watch::Receiver<Flow>,
    swallowed: &AtomicU64,
) -> io::Result<()> {
    let mut held = Held::default();
    let mut read = BytesMut::new();
    let (mut open, mut misses) = (true, false);
    while open || !held.chunks.is_empty() {
        let now = *flow.borrow_and_update();
        if now == Flow::Swallow {
            let bytes = held.forget();
            misses |= bytes > 0;
            swallowed.fetch_add(bytes as u64, Ordering::Relaxed);
        } else if misses {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let due = held.due(now);
        read.reserve(READ_BYTES);
        tokio::select! {
            changed = flow.changed() => if changed.is_err() { return Ok(()) },
            got = from.read_buf(&mut read), if open && held.bytes < HELD_BYTES_MAX => {
                open = got? > 0;
                held.take(read.split().freeze());
            }
            chunk = held.next(due) => to.write_all(&chunk).await?,
        }
    }
    to.shutdown().await
}

/// What was read and is not written yet.
#[derive(Debug, Default)]
struct Held {
    chunks: VecDeque<(Instant, Bytes)>,
    bytes: usize,
}

impl Held {
    fn take(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.bytes += chunk.len();
            self.chunks.push_back((Instant::now(), chunk));
        }
    }

    /// When the first chunk is to be written.
    fn due(&self, flow: Flow) -> Option<Instant> {
        let (came, _) = self.chunks.front()?;
        match flow {
            Flow::Pass => Some(*came),
            Flow::Delay(delay) => Some(*came + delay),
            Flow::Swallow => None,
        }
    }

    /// The first chunk, at `due`; never without one. Cancel safe: nothing is taken before.
    async fn next(&mut self, due: Option<Instant>) -> Bytes {
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
        let (_, chunk) = self.chunks.pop_front().expect("what is due is held");
        self.bytes -= chunk.len();
        chunk
    }

    /// Drops everything; says how many bytes that was.
    fn forget(&mut self) -> usize {
        self.chunks.clear();
        std::mem::take(&mut self.bytes)
    }
}
