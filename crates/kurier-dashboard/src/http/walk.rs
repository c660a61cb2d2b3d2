//! A topic walked through in windows, forwards or backwards, within bounds of time and bytes.
//!
//! Each window is read by a client of its own, without a group. The first is small; the next ones grow with
//! what is left of the bounds, so that the newest messages of a large topic are there at once, and a rare
//! one is found as far as the bounds reach.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use kurier::{Offset, PartitionId, Record, TopicPartition, TopicReader};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::reading::Reading;
use crate::view::Stopped;

/// Which end of a partition a walk begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From older to newer messages.
    Forward,
    /// From newer to older ones.
    Backward,
}

/// What a walk may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// When it ends.
    pub(super) deadline: Instant,
    /// Bytes of keys, values and headers.
    pub(super) bytes: usize,
}

/// A walk.
#[derive(Debug)]
pub(super) struct Walk {
    reading: Reading,
    /// Held until the last of its clients is gone.
    permit: Arc<OwnedSemaphorePermit>,
    /// The client of the window before, while it goes: two of them would have read ahead.
    leaving: Option<JoinHandle<()>>,
    topic: Arc<str>,
    frontier: Frontier,
    bounds: Bounds,
    /// Records that were looked at.
    pub(super) scanned: u64,
    /// Offsets that there were to look at.
    pub(super) of: u64,
    /// Partitions that were given up on the way, and why.
    pub(super) left_out: Vec<(i32, String)>,
}

/// Longest wait for anything of a window: what does not come until then is not waited for.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// Offsets of a partition in the first window, at most.
const FIRST: i64 = 25;
/// Offsets of all partitions in the first window, at most, unless there are more partitions.
const FIRST_ALL: i64 = 2_000;
/// Offsets of a partition in any window, at most.
const WINDOW_MAX: i64 = 20_000;
/// How much larger the next window may be.
const GROWTH: i64 = 4;
/// Bytes of any window but the first, about: all of its messages may be what is looked for, and are kept then.
const WINDOW_BYTES: usize = 8 << 20;

/// Why a window ended.
enum End {
    /// Everything of it was read.
    Whole,
    /// Nothing came any more.
    Silent,
    Stopped(Stopped),
}

impl Walk {
    /// A walk through these offsets, of which about `wanted` are.
    pub(super) fn new(
        (reading, permit): (Reading, OwnedSemaphorePermit),
        topic: &str,
        direction: Direction,
        open: BTreeMap<PartitionId, Range<i64>>,
        wanted: usize,
        bounds: Bounds,
    ) -> Self {
        let frontier = Frontier::new(direction, open, wanted);
        let (of, topic, permit) = (frontier.offsets(), Arc::from(topic), Arc::new(permit));
        let (scanned, left_out, leaving) = (0, Vec::new(), None);
        Self { reading, permit, leaving, topic, frontier, bounds, scanned, of, left_out }
    }

    /// Partitions that have more, and the offsets that were not looked at.
    pub(super) fn open(&self) -> &BTreeMap<PartitionId, Range<i64>> {
        &self.frontier.open
    }

    /// Looks at the next window of the partitions that are `wanted`. Each record is `seen`, those of a
    /// partition from older to newer. False when there was nothing left of them.
    ///
    /// # Errors
    /// Why the walk is over: then what was seen of the window counts.
    pub(super) async fn step(
        &mut self,
        wanted: impl Fn(PartitionId) -> bool,
        mut seen: impl FnMut(Record),
    ) -> Result<bool, Stopped> {
        let windows = self.frontier.windows(wanted);
        if windows.is_empty() {
            return Ok(false);
        }
        if let Some(leaving) = self.leaving.take()
            && tokio::time::timeout_at(self.bounds.deadline, leaving).await.is_err()
        {
            return Err(Stopped::Time);
        }
        let span = |(partition, window): (&PartitionId, &Range<i64>)| {
            let partition = TopicPartition::new(Arc::clone(&self.topic), *partition);
            (partition, (Offset(window.start), Some(Offset(window.end))))
        };
        let reader = self.reading.begin(windows.iter().map(span).collect());
        let mut reader = reader.map_err(|error| Stopped::Error(error.to_string()))?;
        let Window { end, reached, records, bytes } =
            self.bounds.read(&mut reader, &mut seen).await;
        self.leaving = Some(self.reading.end(reader, Arc::clone(&self.permit)));
        self.scanned += records;
        self.bounds.bytes = self.bounds.bytes.saturating_sub(bytes);
        let broken_off = self.frontier.pass(&windows, &reached, matches!(end, End::Whole));
        self.frontier.grow(records, bytes, self.bounds.bytes.min(WINDOW_BYTES));
        match end {
            End::Whole => Ok(true),
            End::Stopped(stopped) => Err(stopped),
            End::Silent => {
                for partition in broken_off {
                    self.frontier.open.remove(&partition);
                    let reason = format!("nothing came from it for {SILENCE_MAX:?}");
                    self.left_out.push((partition.0, reason));
                }
                Ok(true)
            }
        }
    }
}

/// What came of a window.
struct Window {
    end: End,
    /// The next offset of each partition that something came from.
    reached: BTreeMap<PartitionId, i64>,
    records: u64,
    bytes: usize,
}

impl Bounds {
    /// Reads a window to its end, as far as the bounds and patience reach.
    async fn read(&self, reader: &mut TopicReader, seen: &mut impl FnMut(Record)) -> Window {
        let mut reached = BTreeMap::new();
        let (mut bytes, mut records) = (0, 0);
        let mut heard = Instant::now();
        let end = loop {
            let patience = self.deadline.min(heard + SILENCE_MAX);
            let record = tokio::select! {
                biased;
                record = reader.next() => record,
                () = tokio::time::sleep_until(patience) => {
                    let is_over = patience == self.deadline;
                    break if is_over { End::Stopped(Stopped::Time) } else { End::Silent };
                }
            };
            heard = Instant::now();
            match record {
                None => break End::Whole,
                Some(Err(error)) => break End::Stopped(Stopped::Error(error.to_string())),
                Some(Ok(record)) => {
                    bytes += record.size();
                    records += 1;
                    reached.insert(record.partition(), record.offset().next().0);
                    seen(record);
                }
            }
            if self.bytes <= bytes {
                break End::Stopped(Stopped::Bytes);
            }
            if self.deadline <= heard {
                break End::Stopped(Stopped::Time);
            }
        };
        Window { end, reached, records, bytes }
    }
}

/// What is not looked at yet, and how much of it comes next. *Pure.*
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frontier {
    direction: Direction,
    /// Without partitions that have nothing left.
    open: BTreeMap<PartitionId, Range<i64>>,
    /// Offsets of a partition in the next window.
    window: i64,
}

impl Frontier {
    fn new(
        direction: Direction,
        mut open: BTreeMap<PartitionId, Range<i64>>,
        wanted: usize,
    ) -> Self {
        open.retain(|_, range| !range.is_empty());
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
        let partitions = i64::try_from(open.len().max(1)).unwrap_or(i64::MAX);
        let window = wanted.min(FIRST).min(FIRST_ALL / partitions).max(1);
        Self { direction, open, window }
    }

    fn offsets(&self) -> u64 {
        self.open.values().map(|range| u64::try_from(range.end - range.start).unwrap_or(0)).sum()
    }

    fn windows(&self, wanted: impl Fn(PartitionId) -> bool) -> BTreeMap<PartitionId, Range<i64>> {
        let window = |(partition, range): (&PartitionId, &Range<i64>)| {
            let window = match self.direction {
                Direction::Forward => range.start..range.end.min(range.start + self.window),
                Direction::Backward => range.start.max(range.end - self.window)..range.end,
            };
            (*partition, window)
        };
        self.open.iter().filter(|(partition, _)| wanted(**partition)).map(window).collect()
    }

    /// Takes away what was looked at: of each window all, or up to, and without, the offset that was
    /// `reached`. Backwards, a window that was broken off counts as not looked at, since its newest messages
    /// are missing. Gives those that were broken off.
    fn pass(
        &mut self,
        windows: &BTreeMap<PartitionId, Range<i64>>,
        reached: &BTreeMap<PartitionId, i64>,
        is_whole: bool,
    ) -> Vec<PartitionId> {
        let mut broken_off = Vec::new();
        for (partition, window) in windows {
            let reached = reached.get(partition).copied().unwrap_or(window.start);
            let reached = if is_whole { window.end } else { reached.min(window.end) };
            let Some(open) = self.open.get_mut(partition) else { continue };
            match self.direction {
                Direction::Forward => open.start = reached,
                Direction::Backward if reached == window.end => open.end = window.start,
                Direction::Backward => {}
            }
            if reached < window.end {
                broken_off.push(*partition);
            }
        }
        self.open.retain(|_, range| !range.is_empty());
        broken_off
    }

    /// The next window is larger, unless its messages would be too many bytes if they are as large as those
    /// of this one.
    fn grow(&mut self, records: u64, bytes: usize, bytes_left: usize) {
        let partitions = u64::try_from(self.open.len().max(1)).unwrap_or(u64::MAX);
        let a_record = u64::try_from(bytes).unwrap_or(u64::MAX) / records.max(1);
        let fitting = u64::try_from(bytes_left).unwrap_or(u64::MAX) / a_record.max(1) / partitions;
        let fitting = i64::try_from(fitting).unwrap_or(i64::MAX);
        self.window = (self.window * GROWTH).min(WINDOW_MAX).min(fitting).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(of: &[(i32, Range<i64>)]) -> BTreeMap<PartitionId, Range<i64>> {
        of.iter().map(|(partition, range)| (PartitionId(*partition), range.clone())).collect()
    }

    fn reached(of: &[(i32, i64)]) -> BTreeMap<PartitionId, i64> {
        of.iter().map(|(partition, offset)| (PartitionId(*partition), *offset)).collect()
    }

    #[test]
    fn windows_follow_each_other_without_gap_to_the_end() {
        for direction in [Direction::Forward, Direction::Backward] {
            let all = ranges(&[(0, 10..1000), (1, 5..5), (2, 0..3)]);
            let mut frontier = Frontier::new(direction, all, 500);
            assert_eq!(frontier.offsets(), 990 + 3);
            let mut looked = BTreeMap::<PartitionId, Vec<i64>>::new();
            let mut steps = 0;
            loop {
                let windows = frontier.windows(|_| true);
                if windows.is_empty() {
                    break;
                }
                for (partition, window) in &windows {
                    looked.entry(*partition).or_default().extend(window.clone());
                }
                assert_eq!(frontier.pass(&windows, &BTreeMap::new(), true), []);
                frontier.grow(100, 100, 1 << 20);
                steps += 1;
            }
            for offsets in looked.values_mut() {
                offsets.sort_unstable();
            }
            let expected =
                [(PartitionId(0), (10..1000).collect()), (PartitionId(2), vec![0, 1, 2])];
            assert_eq!(looked, BTreeMap::from(expected));
            assert!(steps <= 5, "{steps} windows");
        }
    }

    #[test]
    fn only_those_that_are_wanted_go_on() {
        let mut frontier =
            Frontier::new(Direction::Backward, ranges(&[(0, 0..100), (1, 0..100)]), 10);
        let windows = frontier.windows(|partition| partition.0 == 1);
        assert_eq!(windows, ranges(&[(1, 90..100)]));
        frontier.pass(&windows, &BTreeMap::new(), true);
        assert_eq!(frontier.open, ranges(&[(0, 0..100), (1, 0..90)]));
    }

    #[test]
    fn what_was_broken_off_goes_on_where_it_was_or_is_looked_at_again() {
        let all = || ranges(&[(0, 0..100), (1, 0..100), (2, 0..100)]);
        let broken = reached(&[(0, 4), (1, 10)]);
        let mut forward = Frontier::new(Direction::Forward, all(), 10);
        let windows = forward.windows(|_| true);
        assert_eq!(forward.pass(&windows, &broken, false), [PartitionId(0), PartitionId(2)]);
        assert_eq!(forward.open, ranges(&[(0, 4..100), (1, 10..100), (2, 0..100)]));
        let mut backward = Frontier::new(Direction::Backward, all(), 10);
        let windows = backward.windows(|_| true);
        let broken = reached(&[(0, 94), (1, 100)]);
        assert_eq!(backward.pass(&windows, &broken, false), [PartitionId(0), PartitionId(2)]);
        assert_eq!(backward.open, ranges(&[(0, 0..100), (1, 0..90), (2, 0..100)]));
    }

    #[test]
    fn a_window_is_as_large_as_the_bounds_let_it() {
        let with = |partitions: i32| {
            let all: Vec<_> = (0..partitions).map(|number| (number, 0..1_000_000)).collect();
            Frontier::new(Direction::Backward, ranges(&all), 500)
        };
        assert_eq!((with(1).window, with(200).window, with(5000).window), (FIRST, 10, 1));
        let grown = |records, bytes, left| {
            let mut frontier = with(2);
            frontier.grow(records, bytes, left);
            frontier.window
        };
        assert_eq!(grown(50, 50 * 100, 32 << 20), FIRST * GROWTH);
        assert_eq!(grown(50, 50 << 20, 8 << 20), 4, "as many of 1 MiB as fit, of each");
        assert_eq!(grown(1, 64 << 20, 0), 1);
        assert_eq!(grown(0, 0, 32 << 20), FIRST * GROWTH, "nothing but gaps");
        let mut large = with(1);
        large.window = WINDOW_MAX;
        large.grow(1, 1, usize::MAX);
        assert_eq!(large.window, WINDOW_MAX);
    }
}
