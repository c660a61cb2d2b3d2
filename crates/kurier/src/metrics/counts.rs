//! What clients count with: atomics, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows, or one that is as it was set last.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of the buckets, in microseconds, and as the page shows them in seconds.
pub(super) const BOUNDS: [(u64, &str); 16] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (60_000_000, "60"),
];

/// Parts that workers share out among themselves, so that they don't wait for each other's caches.
const PARTS: usize = 8;

/// How often something took how long.
#[derive(Debug, Default)]
pub(crate) struct Histogram([Part; PARTS]);

/// Apart from the others by more than processors fetch at once.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part {
    /// One for each bound, and one for what is beyond them.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Histogram {
    /// Notes a time. Workers give numbers of their own.
    pub(crate) fn note(&self, worker: usize, took: Duration) {
        let micros = u64::try_from(took.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|(bound, _)| *bound < micros);
        let part = &self.0[worker % PARTS];
        part.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        part.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How many took no longer than each bound and, last, how many there were; and their sum.
    pub(super) fn read(&self) -> ([u64; BOUNDS.len() + 1], Duration) {
        let (mut cumulative, mut nanos) = ([0; BOUNDS.len() + 1], 0_u64);
        for part in &self.0 {
            let mut so_far = 0;
            for (sum, bucket) in cumulative.iter_mut().zip(&part.buckets) {
                so_far += bucket.load(Ordering::Relaxed);
                *sum += so_far;
            }
            nanos = nanos.saturating_add(part.nanos.load(Ordering::Relaxed));
        }
        (cumulative, Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_grow_and_are_shown_in_seconds() {
        assert!(BOUNDS.is_sorted_by(|(a, _), (b, _)| a < b));
        for (micros, shown) in BOUNDS {
            let seconds: f64 = shown.parse().expect("a number");
            assert!((seconds * 1e6 - micros as f64).abs() < 1e-6, "{shown}");
        }
    }

    #[test]
    fn a_time_at_a_bound_is_within_it_and_workers_add_up() {
        let histogram = Histogram::default();
        let times = [(0, 100_000), (1, 100_001), (9, 60_000_000_000), (3, 60_000_000_001)];
        for (worker, nanos) in times {
            histogram.note(worker, Duration::from_nanos(nanos));
        }
        let (cumulative, sum) = histogram.read();
        assert_eq!((cumulative[0], cumulative[1]), (1, 2));
        assert_eq!((cumulative[15], cumulative[16]), (3, 4));
        assert_eq!(sum, Duration::from_nanos(120_000_200_002));
    }
}
