//! SIGINT and SIGTERM: the first drains, the second leaves at once.
//!
//! They are heard on a thread of their own: writing to a pipe that nobody reads may hold every thread
//! that runs commands.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// What signals have said so far.
#[derive(Debug, Clone)]
pub struct Signals {
    /// Cancelled by the first signal.
    pub drain: CancellationToken,
    /// Cancelled by the second.
    pub leave: CancellationToken,
    first: Arc<AtomicU8>,
}

impl Signals {
    /// Begins to listen, until the process ends.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn listen() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let (interrupt, terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        drop(entered);
        let signals = Self {
            drain: CancellationToken::new(),
            leave: CancellationToken::new(),
            first: Arc::default(),
        };
        let heard = signals.clone();
        thread::Builder::new().name("kurier-signals".to_owned()).spawn(move || {
            runtime.block_on(heard.watch(interrupt, terminate));
            leave_at_once();
        })?;
        Ok(signals)
    }

    /// How a command ends that has nothing left to do.
    pub fn exit(&self) -> Exit {
        match self.first.load(Ordering::Relaxed) {
            0 => Exit::Done,
            number => Exit::Signal(number),
        }
    }

    async fn watch(self, mut interrupt: Signal, mut terminate: Signal) {
        const SIGINT: u8 = 2;
        const SIGTERM: u8 = 15;
        for token in [&self.drain, &self.leave] {
            let number = tokio::select! {
                _ = interrupt.recv() => SIGINT,
                _ = terminate.recv() => SIGTERM,
            };
            let _ = self.first.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed);
            token.cancel();
            // What signals a process and its group, as timeout(1) does, means one signal.
            let echo = async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                }
            };
            let _ = tokio::time::timeout(ECHO, echo).await;
        }
        tokio::time::sleep(LEAVE_WAIT).await;
    }
}

/// Signals that come so soon after one are the same.
const ECHO: Duration = Duration::from_millis(100);
/// What a command gets after the second signal to say what it leaves.
const LEAVE_WAIT: Duration = Duration::from_secs(5);

#[expect(clippy::exit, reason = "there is no other way past a thread that is held by a write")]
/// Ends the process: the command did not come back, most likely from a write that nobody reads.
fn leave_at_once() {
    // Standard error may be as full as standard output.
    let said = thread::spawn(|| {
        tracing::error!(
            "incomplete: left at once; what is not acknowledged or committed is not known"
        );
    });
    let patience = std::time::Instant::now() + Duration::from_secs(1);
    while !said.is_finished() && std::time::Instant::now() < patience {
        thread::sleep(Duration::from_millis(20));
    }
    std::process::exit(i32::from(Exit::Incomplete.number()));
}
