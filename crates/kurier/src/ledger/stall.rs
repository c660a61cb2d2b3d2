//! The longest time without a step forward while something waited for one.

use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Stall {
    waiting_since: Option<Duration>,
    longest: Duration,
}

impl Stall {
    /// Something waits from now on, unless something did already.
    pub(super) fn wait(&mut self, at: Duration) {
        self.waiting_since.get_or_insert(at);
    }

    /// A step forward, after which `waiting` are left.
    pub(super) fn step(&mut self, at: Duration, waiting: u64) {
        self.longest = self.longest(at);
        self.waiting_since = (0 < waiting).then_some(at);
    }

    /// The longest until now; a stall that still lasts counts.
    pub(super) fn longest(&self, at: Duration) -> Duration {
        let still = self.waiting_since.map_or(Duration::ZERO, |since| at.saturating_sub(since));
        self.longest.max(still)
    }
}
