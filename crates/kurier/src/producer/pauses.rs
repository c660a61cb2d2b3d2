//! How long to wait before a producer's client is made again. Pure.

use std::time::{Duration, Instant};

/// Counts how often a client was made again of late.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    last: Option<Instant>,
    next: Duration,
}

/// Whether a message got its outcome since the client was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Some,
    None,
}

impl Pauses {
    /// After so long a time without one, the first comes at once.
    const QUIET: Duration = Duration::from_secs(10);
    /// The second.
    const FIRST: Duration = Duration::from_millis(100);
    /// The longest: each that follows one without progress waits twice as long.
    const LONGEST: Duration = Duration::from_secs(5);

    /// The wait before the client is made again, when the last one broke at `now`.
    pub(super) fn before_next(&mut self, now: Instant, progress: Progress) -> Duration {
        let quiet = self.last.is_none_or(|last| Self::QUIET + self.next <= now - last);
        self.next = match progress {
            _ if quiet => Duration::ZERO,
            Progress::Some => Self::FIRST,
            Progress::None => (self.next * 2).clamp(Self::FIRST, Self::LONGEST),
        };
        self.last = Some(now);
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_comes_at_once_and_those_without_progress_wait_longer_and_longer() {
        let mut pauses = Pauses::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..9 {
            let wait = pauses.before_next(now, Progress::None);
            waits.push(wait.as_millis());
            now += wait + Duration::from_millis(10);
        }
        assert_eq!(waits, [0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(pauses.before_next(now, Progress::Some), Pauses::FIRST);
        assert_eq!(pauses.before_next(now, Progress::Some), Pauses::FIRST);
        now += Pauses::QUIET + Pauses::FIRST;
        assert_eq!(pauses.before_next(now, Progress::None), Duration::ZERO);
    }
}
