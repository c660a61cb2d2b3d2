//! A histogram as Prometheus counts it, and what of the last minute can be said from two looks at it.
//! *Pure.*

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::SPACING;
use crate::view::Percentiles;

/// How far back a percentile looks.
const WINDOW: Duration = Duration::from_secs(60);

/// Buckets of a histogram; kurier's own have 17.
pub(crate) const BUCKETS_MAX: usize = 64;

/// Upper bounds, ascending, the last of them infinite; and how many were no greater.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    /// Takes one more bucket; in whichever order they come. False when there are as many as may be.
    pub(super) fn add(&mut self, bound: f64, count: f64) -> bool {
        let has_room = self.0.len() < BUCKETS_MAX;
        if has_room {
            let place = self.0.partition_point(|(known, _)| *known < bound);
            self.0.insert(place, (bound, count));
        }
        has_room
    }

    /// How many there are above those of `before`; none when these began anew meanwhile.
    fn since(&self, before: &Self) -> Option<Self> {
        let same = self.0.len() == before.0.len();
        let pairs = self.0.iter().zip(&before.0);
        let less = |((bound, now), (its, then)): ((f64, f64), (f64, f64))| {
            (bound.total_cmp(&its).is_eq() && then <= now).then_some((bound, now - then))
        };
        let differences = pairs.map(|(now, then)| less((*now, *then))).collect::<Option<_>>();
        same.then_some(differences?).map(Self)
    }

    /// Estimated as if what a bucket holds lay evenly within it, as `histogram_quantile` does. What is above
    /// every finite bound is told as the greatest of them.
    fn quantile(&self, quantile: f64) -> Option<f64> {
        let total = self.0.last()?.1;
        if total <= 0.0 {
            return None;
        }
        let rank = quantile * total;
        let place = self.0.partition_point(|(_, count)| *count < rank);
        let (below, under) = place.checked_sub(1).map_or((0.0, 0.0), |before| self.0[before]);
        let (bound, count) = *self.0.get(place)?;
        if bound.is_infinite() {
            return Some(below);
        }
        let within = if under < count { (rank - under) / (count - under) } else { 1.0 };
        Some(below + (bound - below) * within)
    }

    fn percentiles(&self) -> Percentiles {
        Percentiles {
            p50: self.quantile(0.5),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
        }
    }

    fn emptied(&self) -> Self {
        Self(self.0.iter().map(|(bound, _)| (*bound, 0.0)).collect())
    }
}

/// Looks at a histogram, of a little more than the last minute.
#[derive(Debug, Default)]
pub(super) struct Minute(VecDeque<(Timestamp, Buckets)>);

impl Minute {
    /// The client counts from 0 again, whatever it had counted.
    pub(super) fn begin_anew(&mut self) {
        if let Some((at, last)) = self.0.pop_back() {
            self.0.clear();
            self.0.push_back((at, last.emptied()));
        }
    }

    /// The histogram as it is now.
    pub(super) fn see(&mut self, now: Timestamp, buckets: Buckets) {
        if self.0.back().is_some_and(|(_, last)| buckets.since(last).is_none()) {
            self.begin_anew();
        }
        if self.0.back().is_some_and(|(_, last)| buckets.since(last).is_none()) {
            // It has other buckets than it had.
            self.0.clear();
        }
        // Looks from before a clock was set back say nothing of the time since.
        self.0.retain(|(at, _)| *at <= now);
        let before = self.0.len().checked_sub(2).map(|place| self.0[place].0);
        if before.is_some_and(|before| now < before + SPACING) {
            self.0.pop_back();
        }
        self.0.push_back((now, buckets));
        while self.0.get(1).is_some_and(|(at, _)| *at + WINDOW <= now) {
            self.0.pop_front();
        }
    }

    /// Of what was counted between the first look and the last.
    pub(super) fn percentiles(&self) -> Percentiles {
        let nothing = Percentiles { p50: None, p99: None, p999: None };
        let (Some((_, first)), Some((_, last))) = (self.0.front(), self.0.back()) else {
            return nothing;
        };
        last.since(first).map_or(nothing, |counted| counted.percentiles())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(counts: [u32; 4]) -> Buckets {
        let mut buckets = Buckets::default();
        // The order on the page does not matter.
        for place in [3, 0, 2, 1] {
            buckets.add([0.1, 0.5, 1.0, f64::INFINITY][place], f64::from(counts[place]));
        }
        buckets
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        for (counts, quantile, expected) in [
            ([0, 0, 0, 0], 0.5, None),
            ([10, 10, 10, 10], 0.5, Some(0.05)),
            ([10, 10, 10, 10], 1.0, Some(0.1)),
            ([0, 10, 10, 10], 0.5, Some(0.3)),
            ([5, 10, 10, 10], 0.5, Some(0.1)),
            ([5, 5, 10, 10], 0.75, Some(0.75)),
            ([0, 0, 0, 10], 0.5, Some(1.0)),
            ([98, 98, 99, 100], 0.999, Some(1.0)),
            ([98, 98, 99, 100], 0.985, Some(0.75)),
        ] {
            let found = buckets(counts).quantile(quantile);
            let near = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() < 1e-9,
                (found, expected) => found == expected,
            };
            assert!(near, "{counts:?} {quantile}: {found:?}, not {expected:?}");
        }
    }

    fn p50(minute: &Minute) -> Option<f64> {
        minute.percentiles().p50.map(|value| (value * 1e6).round() / 1e6)
    }

    #[test]
    fn only_the_last_minute_counts() {
        let mut minute = Minute::default();
        minute.see(at(0), buckets([1_000, 1_000, 1_000, 1_000]));
        assert_eq!(p50(&minute), None, "nothing is known of one look");
        minute.see(at(5), buckets([1_000, 1_010, 1_010, 1_010]));
        assert_eq!(p50(&minute), Some(0.3));
        for second in (10..=70).step_by(5) {
            minute.see(at(second), buckets([1_000, 1_010, 1_010, 1_010]));
        }
        assert_eq!(p50(&minute), None, "nothing in the last minute");
    }

    #[test]
    fn a_histogram_that_begins_anew_counts_from_nothing() {
        let mut minute = Minute::default();
        minute.see(at(0), buckets([100, 100, 100, 100]));
        minute.see(at(2), buckets([200, 200, 200, 200]));
        minute.see(at(4), buckets([0, 0, 2, 2]));
        assert_eq!(p50(&minute), Some(0.75), "what was before is out of reach");
        minute.begin_anew();
        minute.see(at(6), buckets([10, 10, 12, 12]));
        assert_eq!(p50(&minute), Some(0.06), "more than before, and all of it new");
        let mut other = Buckets::default();
        other.add(f64::INFINITY, 5.0);
        minute.see(at(8), other);
        assert_eq!(p50(&minute), None, "other bounds");
    }

    #[test]
    fn a_clock_that_is_set_back_begins_another_minute() {
        let mut minute = Minute::default();
        minute.see(at(3_600), buckets([0, 0, 0, 0]));
        minute.see(at(3_602), buckets([0, 0, 100, 100]));
        minute.see(at(10), buckets([0, 0, 100, 100]));
        minute.see(at(12), buckets([10, 10, 110, 110]));
        assert_eq!(p50(&minute), Some(0.05));
    }

    #[test]
    fn looks_that_come_fast_are_few() {
        let mut minute = Minute::default();
        for second in 0..1_000 {
            let now = at(0) + Duration::from_millis(100 * second);
            minute.see(now, buckets([0, 0, 0, 0]));
        }
        assert!(minute.0.len() <= 40, "{}", minute.0.len());
    }
}
