//! A bound on messages a second that all partitions of a replay share.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Hands out turns.
#[derive(Debug)]
pub(super) struct Pace {
    /// Between two turns, if there is a bound.
    every: Option<Duration>,
    due: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<NonZeroU64>) -> Self {
        let every = rate.map(|rate| Duration::from_secs(1).div_f64(rate.get() as f64));
        Self { every, due: Mutex::new(Instant::now()) }
    }

    /// Waits for the next turn. What was not used is not caught up with beyond one timer's grain.
    /// Cancel safe: a turn that nobody took stays due.
    pub(super) async fn next(&self) {
        let Some(every) = self.every else { return };
        let mut due = self.due.lock().await;
        let now = Instant::now();
        *due = (*due).max(now.checked_sub(GRAIN).unwrap_or(now));
        // Finer than a millisecond is not slept: the average holds all the same.
        if Duration::from_millis(1) < due.saturating_duration_since(now) {
            sleep_until(*due).await;
        }
        *due += every;
    }
}

/// A timer may be late by so much.
const GRAIN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_holds_for_all_who_take_turns_and_idle_time_is_not_made_up_for() {
        let pace = Pace::new(NonZeroU64::new(100));
        let begun = Instant::now();
        let take = async || {
            for _ in 0..50 {
                pace.next().await;
            }
        };
        tokio::join!(take(), take());
        let took = begun.elapsed();
        assert!(Duration::from_millis(960) <= took && took <= Duration::from_secs(1), "{took:?}");
        tokio::time::sleep(Duration::from_secs(10)).await;
        let begun = Instant::now();
        take().await;
        assert!(Duration::from_millis(450) <= begun.elapsed(), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nobody_waits() {
        let begun = Instant::now();
        let pace = Pace::new(None);
        for _ in 0..1000 {
            pace.next().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
