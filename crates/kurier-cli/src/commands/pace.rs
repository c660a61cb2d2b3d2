//! A bound on messages a second.

use std::time::{Duration, Instant};

/// Holds sends back to a rate.
pub struct Pace {
    every: Option<Duration>,
    due: Instant,
}

impl Pace {
    /// At most `rate` a second, if that is set; beginning now.
    pub fn new(rate: Option<u64>) -> Self {
        let every = rate.map(|rate| Duration::from_secs(1).div_f64(rate as f64));
        Self { every, due: Instant::now() }
    }

    /// Waits until the next one is due, and says when it was to be sent: when it was due, if that is over,
    /// however late this is asked; else now.
    pub async fn next(&mut self) -> Instant {
        let now = Instant::now();
        let Some(every) = self.every else { return now };
        let due = self.due;
        self.due += every;
        // Finer than a millisecond is not slept: the average holds all the same.
        if Duration::from_millis(1) < due.saturating_duration_since(now) {
            tokio::time::sleep_until(due.into()).await;
            return due;
        }
        due.min(now)
    }
}
