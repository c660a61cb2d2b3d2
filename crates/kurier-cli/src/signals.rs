//! SIGINT and SIGTERM: the first drains, the second leaves at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

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
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn listen() -> std::io::Result<Self> {
        let (interrupt, terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let signals = Self {
            drain: CancellationToken::new(),
            leave: CancellationToken::new(),
            first: Arc::default(),
        };
        tokio::spawn(signals.clone().watch(interrupt, terminate));
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
        }
    }
}
