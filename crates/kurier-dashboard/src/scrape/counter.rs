//! Counters that begin anew with their client, made into totals that only grow, and into rates. *Pure.*

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::SPACING;
use crate::view::Series;
use crate::watch::History;

/// How far back a rate looks: long enough that two batches a second look even.
const WINDOW: Duration = Duration::from_secs(10);
/// What a counter has counted over the lives of its client.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Total {
    /// In the lives that are over.
    before: f64,
    last: f64,
}

impl Total {
    /// The client counts from 0 again, whatever it had counted.
    pub(super) fn begin_anew(&mut self) {
        self.before += std::mem::take(&mut self.last);
    }

    /// Whether it can't be the same counter any more.
    pub(super) fn is_below(&self, value: f64) -> bool {
        value < self.last
    }

    /// The counter as it is now. Says by how much it has grown.
    pub(super) fn see(&mut self, value: f64) -> f64 {
        if value < self.last {
            self.begin_anew();
        }
        let grown = value - self.last;
        self.last = value;
        grown
    }

    pub(super) fn get(self) -> f64 {
        self.before + self.last
    }
}

/// How fast a total grows.
#[derive(Debug, Default)]
pub(super) struct Rate {
    looks: VecDeque<(Timestamp, f64)>,
    history: History,
}

impl Rate {
    /// The total as it is now.
    pub(super) fn see(&mut self, now: Timestamp, total: Total) {
        // Looks from before a clock was set back say nothing of the time since.
        self.looks.retain(|(at, _)| *at <= now);
        let before = self.looks.len().checked_sub(2).map(|place| self.looks[place].0);
        if before.is_some_and(|before| now < before + SPACING) {
            self.looks.pop_back();
        }
        self.looks.push_back((now, total.get()));
        while self.looks.get(1).is_some_and(|(at, _)| *at + WINDOW <= now) {
            self.looks.pop_front();
        }
        self.history.enter(now, self.per_second());
    }

    /// Per second, over the last looks; none from one look.
    pub(super) fn per_second(&self) -> Option<f64> {
        let ((from, first), (to, last)) = (self.looks.front()?, self.looks.back()?);
        let seconds = to.duration_since(*from).as_secs_f64();
        (0.0 < seconds).then(|| (last - first).max(0.0) / seconds)
    }

    /// Over the last quarter of an hour.
    pub(super) fn history(&self) -> Series {
        self.history.series()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn a_total_survives_a_client_that_begins_anew() {
        for (values, grown, total) in [
            (&[5.0, 5.0, 8.0][..], &[5.0, 0.0, 3.0][..], 8.0),
            (&[100.0, 3.0, 4.0], &[100.0, 3.0, 1.0], 104.0),
            (&[100.0, 0.0, 0.0], &[100.0, 0.0, 0.0], 100.0),
            (&[1.0, 0.0, 1.0, 0.5], &[1.0, 0.0, 1.0, 0.5], 2.5),
        ] {
            let mut counter = Total::default();
            let found: Vec<f64> = values.iter().map(|value| counter.see(*value)).collect();
            assert_eq!((&found[..], counter.get()), (grown, total), "{values:?}");
        }
    }

    #[test]
    fn a_client_that_is_known_to_be_new_counts_from_nothing_even_with_more_than_before() {
        let mut counter = Total::default();
        counter.see(10.0);
        counter.begin_anew();
        assert_eq!((counter.see(15.0), counter.get()), (15.0, 25.0));
    }

    #[test]
    fn a_rate_survives_a_clock_that_is_set_back() {
        let (mut rate, mut total) = (Rate::default(), Total::default());
        for (second, value) in [(3_600, 100.0), (3_602, 200.0), (10, 300.0), (12, 320.0)] {
            total.see(value);
            rate.see(at(1_000 * second), total);
        }
        assert_eq!(rate.per_second(), Some(10.0));
    }

    #[test]
    fn a_rate_is_of_the_last_looks_and_never_negative() {
        let (mut rate, mut total) = (Rate::default(), Total::default());
        let mut see = |millis, value| {
            total.see(value);
            rate.see(at(millis), total);
            rate.per_second()
        };
        assert_eq!(see(0, 1_000.0), None, "one look says nothing");
        assert_eq!(see(2_000, 1_200.0), Some(100.0));
        assert_eq!(see(4_000, 1_200.0), Some(50.0));
        assert_eq!(see(6_000, 90.0), Some(290.0 / 6.0), "it began anew");
        assert_eq!(see(6_000, 90.0), Some(290.0 / 6.0), "twice at one moment");
        for second in 7..30 {
            see(1_000 * second, 90.0);
        }
        assert_eq!(see(30_000, 90.0), Some(0.0));
    }
}
