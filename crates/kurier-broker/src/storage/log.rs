//! The log of one partition, in memory: batches in order of offset, a bound in bytes, leader epochs.
//!
//! It knows nothing of replicas or producers, and nobody outside looks at how it stores; a log on disk
//! takes its place behind the same interface.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::batch::Batch;

/// Batches from `start` to `end`, at most about `bytes_max` of them.
#[derive(Debug)]
pub struct Log {
    batches: VecDeque<Batch>,
    start: i64,
    end: i64,
    bytes: usize,
    bytes_max: usize,
    epochs: Vec<EpochStart>,
}

/// The offset at which a leader epoch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EpochStart {
    epoch: i32,
    start: i64,
}

/// An offset and the timestamp of the record there, both −1 when there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The record's offset.
    pub offset: i64,
    /// Its timestamp, in milliseconds since 1970.
    pub timestamp: i64,
    /// The leader epoch it was appended in.
    pub epoch: i32,
}

impl Log {
    /// An empty log that keeps about `bytes_max` bytes of batches.
    pub fn new(bytes_max: usize) -> Self {
        Self { batches: VecDeque::new(), start: 0, end: 0, bytes: 0, bytes_max, epochs: Vec::new() }
    }

    /// It keeps about so many bytes from here on; see [`shrink`](Self::shrink).
    pub fn keep(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// The first offset that can be read.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// The offset that the next record gets.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Bytes of the batches held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a batch in leader epoch `epoch` and returns its base offset.
    pub fn append(&mut self, batch: Batch, epoch: i32) -> i64 {
        let batch = batch.placed(self.end, epoch);
        if self.epochs.last().is_none_or(|last| last.epoch < epoch) {
            self.epochs.push(EpochStart { epoch, start: self.end });
        }
        let base = self.end;
        self.end = batch.next_offset;
        self.bytes += batch.bytes().len();
        self.batches.push_back(batch);
        base
    }

    /// Drops the oldest batches while the log is over its bound, never one that reaches past `keep_from`.
    /// True when the start moved.
    pub fn shrink(&mut self, keep_from: i64) -> bool {
        let before = self.start;
        while self.bytes > self.bytes_max {
            match self.batches.front() {
                Some(oldest) if oldest.next_offset <= keep_from => self.drop_front(),
                _ => break,
            }
        }
        self.start != before
    }

    /// Moves the start to `offset`, dropping the batches that lie wholly before it.
    pub fn delete_before(&mut self, offset: i64) {
        while self.batches.front().is_some_and(|oldest| oldest.next_offset <= offset) {
            self.drop_front();
        }
        self.start = self.start.max(offset.min(self.end));
    }

    /// Removes everything from `offset` on; a batch that `offset` divides goes as a whole.
    pub fn truncate(&mut self, offset: i64) {
        while let Some(last) = self.batches.back().filter(|last| last.next_offset > offset) {
            self.bytes -= last.bytes().len();
            self.end = last.base_offset;
            self.batches.pop_back();
        }
        self.end = self.end.max(self.start);
        let end = self.end;
        self.epochs.retain(|entry| entry.start < end);
    }

    /// Whole batches from the one that holds `from` on, below `limit`, up to `bytes_max`; the first one
    /// comes however large it is when `at_least_one` says so.
    pub fn read(&self, from: i64, limit: i64, bytes_max: usize, at_least_one: bool) -> Bytes {
        let first = self.batches.partition_point(|batch| batch.next_offset <= from);
        let mut total = 0;
        let chosen = self
            .batches
            .range(first..)
            .take_while(|batch| batch.next_offset <= limit)
            .take_while(|batch| {
                let fits = total + batch.bytes().len() <= bytes_max || (total == 0 && at_least_one);
                total += batch.bytes().len();
                fits
            });
        join(chosen)
    }

    /// When the batch at this base offset was appended, where the topic keeps that.
    pub fn append_time(&self, base_offset: i64) -> Option<i64> {
        let at = self.batches.partition_point(|batch| batch.base_offset < base_offset);
        self.batches.get(at).filter(|batch| batch.base_offset == base_offset)?.append_time()
    }

    /// The batches that are held, oldest first.
    pub fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter()
    }

    /// The bytes that a read from `from` below `limit` could return.
    pub fn bytes_between(&self, from: i64, limit: i64, enough: usize) -> usize {
        let first = self.batches.partition_point(|batch| batch.next_offset <= from);
        let mut total = 0;
        for batch in self.batches.range(first..).take_while(|batch| batch.next_offset <= limit) {
            total += batch.bytes().len();
            if total >= enough {
                break;
            }
        }
        total
    }

    /// The first record below `limit` whose timestamp is `timestamp` or later.
    pub fn at_or_after(&self, timestamp: i64, limit: i64) -> Option<Stamp> {
        self.below(limit).find_map(|batch| {
            let (offset, timestamp) = batch.first_at_or_after(timestamp)?;
            Some(Stamp { offset, timestamp, epoch: batch.epoch })
        })
    }

    /// The record with the latest timestamp below `limit`.
    pub fn latest_timestamp(&self, limit: i64) -> Option<Stamp> {
        let batch = self.below(limit).reduce(|best, batch| {
            if batch.max_timestamp > best.max_timestamp { batch } else { best }
        })?;
        let (offset, timestamp) = batch.first_at_or_after(batch.max_timestamp)?;
        Some(Stamp { offset, timestamp, epoch: batch.epoch })
    }

    /// Where the records of leader epoch `epoch` end, as `OffsetForLeaderEpoch` tells it: the largest
    /// epoch known that is not above `epoch`, and the offset at which the next one began. `None` when
    /// `epoch` is above all that the log knows (`LeaderEpochFileCache` in Apache Kafka).
    pub fn epoch_end(&self, epoch: i32, current: i32) -> Option<(i32, i64)> {
        if epoch == current {
            return Some((epoch, self.end));
        }
        if epoch > current {
            return None;
        }
        let next = self.epochs.partition_point(|entry| entry.epoch <= epoch);
        let end = self.epochs.get(next).map_or(self.end, |entry| entry.start);
        match next.checked_sub(1) {
            Some(floor) => Some((self.epochs[floor].epoch, end)),
            None => Some((epoch, end)),
        }
    }

    fn below(&self, limit: i64) -> impl Iterator<Item = &Batch> {
        self.batches.iter().take_while(move |batch| batch.next_offset <= limit)
    }

    fn drop_front(&mut self) {
        if let Some(oldest) = self.batches.pop_front() {
            self.bytes -= oldest.bytes().len();
            self.start = self.start.max(oldest.next_offset);
        }
    }
}

/// One buffer of all batches; a single batch is not copied.
fn join<'a>(mut batches: impl Iterator<Item = &'a Batch>) -> Bytes {
    let Some(first) = batches.next() else { return Bytes::new() };
    let Some(second) = batches.next() else { return first.bytes().clone() };
    let mut joined = BytesMut::with_capacity(4 * (first.bytes().len() + second.bytes().len()));
    for batch in [first, second].into_iter().chain(batches) {
        joined.extend_from_slice(batch.bytes());
    }
    joined.freeze()
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
