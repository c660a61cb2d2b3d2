//! A batch of messages of one partition, and the answers of its handler.
//!
//! `Outcomes` can only be made by a batch, so there is exactly one answer per message. An answer that
//! was made for another batch is recognised and treated as a failed attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Failure;
use crate::{Received, TopicPartition};

/// Messages of one partition, in offset order, at least one.
#[derive(Debug)]
pub struct Batch<M> {
    number: u64,
    partition: TopicPartition,
    items: Vec<Arc<Received<M>>>,
}

/// One answer per message of a batch.
#[derive(Debug)]
#[must_use = "the handler returns it"]
pub struct Outcomes {
    batch: u64,
    answers: Vec<Result<(), Failure>>,
}

impl<M> Batch<M> {
    pub(crate) fn new(partition: TopicPartition, items: Vec<Arc<Received<M>>>) -> Self {
        static BATCHES: AtomicU64 = AtomicU64::new(0);
        Self { number: BATCHES.fetch_add(1, Ordering::Relaxed), partition, items }
    }

    /// The partition all messages come from.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The messages, in offset order.
    pub fn items(&self) -> &[Arc<Received<M>>] {
        &self.items
    }

    /// How many messages there are; never 0.
    #[allow(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Every message is handled.
    pub fn all_done(&self) -> Outcomes {
        self.outcomes(|_| Ok(()))
    }

    /// Asks `answer` once for each message, in order.
    pub fn outcomes(
        &self,
        mut answer: impl FnMut(&Received<M>) -> Result<(), Failure>,
    ) -> Outcomes {
        let answers = self.items.iter().map(|item| answer(item)).collect();
        Outcomes { batch: self.number, answers }
    }

    /// The answers in order, if `outcomes` was made by this batch.
    pub(crate) fn answers(&self, outcomes: Outcomes) -> Option<Vec<Result<(), Failure>>> {
        (outcomes.batch == self.number && outcomes.answers.len() == self.items.len())
            .then_some(outcomes.answers)
    }
}

impl Outcomes {
    /// How many messages were not handled.
    pub fn failed(&self) -> usize {
        self.answers.iter().filter(|answer| answer.is_err()).count()
    }
}
