//! What a partition remembers of idempotent producers, so that a batch sent again is answered, not
//! appended (KIP-98; `ProducerAppendInfo` and `ProducerStateEntry` in Apache Kafka).

use std::collections::{HashMap, VecDeque};

use super::batch::{Batch, Sequenced};

/// Batches remembered of each producer; a client has at most as many requests in flight.
const REMEMBERED: usize = 5;
/// Producers remembered; the one that wrote least recently goes first.
const PRODUCERS_MAX: usize = 10_000;

/// The producers of one partition.
#[derive(Debug, Default)]
pub struct Producers {
    known: HashMap<i64, Producer>,
    /// Grows with each append; says who wrote last.
    writes: u64,
}

#[derive(Debug, Default)]
struct Producer {
    epoch: i16,
    last_write: u64,
    recent: VecDeque<Remembered>,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    first: i32,
    last: i32,
    base_offset: i64,
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is new and in sequence.
    Append,
    /// It stands in the log already, from `base_offset` on.
    Duplicate {
        /// Where it stands.
        base_offset: i64,
    },
    /// A batch before it is missing, or it is a duplicate of one too old to be remembered.
    OutOfOrder,
    /// It is from an earlier life of its producer.
    OldEpoch,
}

impl Producers {
    /// Judges a batch that is about to be appended.
    pub fn judge(&self, batch: Sequenced) -> Verdict {
        let Some(producer) = self.known.get(&batch.producer_id) else { return Verdict::Append };
        if batch.producer_epoch < producer.epoch {
            return Verdict::OldEpoch;
        }
        if batch.producer_epoch > producer.epoch {
            return if batch.first == 0 { Verdict::Append } else { Verdict::OutOfOrder };
        }
        let same = |old: &&Remembered| old.first == batch.first && old.last == batch.last;
        if let Some(old) = producer.recent.iter().find(same) {
            return Verdict::Duplicate { base_offset: old.base_offset };
        }
        match producer.recent.back() {
            Some(latest) if next_after(latest.last) != batch.first => Verdict::OutOfOrder,
            _ => Verdict::Append,
        }
    }

    /// Remembers a batch that was appended at `base_offset`.
    pub fn appended(&mut self, batch: Sequenced, base_offset: i64) {
        self.writes += 1;
        if self.known.len() >= PRODUCERS_MAX && !self.known.contains_key(&batch.producer_id) {
            self.forget_the_quietest();
        }
        let producer = self.known.entry(batch.producer_id).or_default();
        if producer.epoch != batch.producer_epoch {
            producer.recent.clear();
        }
        producer.epoch = batch.producer_epoch;
        producer.last_write = self.writes;
        if producer.recent.len() == REMEMBERED {
            producer.recent.pop_front();
        }
        let Sequenced { first, last, .. } = batch;
        producer.recent.push_back(Remembered { first, last, base_offset });
    }

    /// The memory of exactly the batches that a log still holds: a batch that was truncated away is no
    /// duplicate when it comes again.
    pub fn rebuilt<'a>(batches: impl Iterator<Item = &'a Batch>) -> Self {
        let mut producers = Self::default();
        for batch in batches {
            if let Some(sequenced) = batch.producer {
                producers.appended(sequenced, batch.base_offset);
            }
        }
        producers
    }

    fn forget_the_quietest(&mut self) {
        let quietest = self.known.iter().min_by_key(|(_, producer)| producer.last_write);
        if let Some((&id, _)) = quietest {
            self.known.remove(&id);
        }
    }
}

fn next_after(last: i32) -> i32 {
    last.checked_add(1).unwrap_or(0)
}
