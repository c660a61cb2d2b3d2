//! A bound on messages a second.

use std::time::{Duration, Instant};

/// Holds sends back to a rate.
pub(super) struct Pace {
    every: Option<Duration>,
    due: Instant,
}

impl Pace {
    /// At most `rate` a second, if that is set; beginning now.
    pub(super) fn new(rate: Option<u64>) -> Self {
        let every = rate.map(|rate| Duration::from_secs(1).div_f64(rate as f64));
        Self { every, due: Instant::now() }
    }

    /// Waits until the next one is due.
    pub(super) async fn next(&mut self) {
        let Some(every) = self.every else { return };
        // Finer than a millisecond is not slept: the average holds all the same.
        if Duration::from_millis(1) < self.due.saturating_duration_since(Instant::now()) {
            tokio::time::sleep_until(self.due.into()).await;
        }
        self.due += every;
    }
}
