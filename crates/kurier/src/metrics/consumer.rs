//! The figures of one consumer.

use std::sync::{Mutex, PoisonError};

use super::counts::{Count, Histogram};
use super::statistics::Statistics;
use super::{Page, Watch, table};
use crate::{Offset, TopicPartition};

/// What a consumer counts.
#[derive(Debug, Default)]
pub(crate) struct ConsumerFigures {
    pub(crate) received: Count,
    pub(crate) processed: Count,
    pub(crate) too_late: Count,
    pub(crate) stopped_at: Count,
    pub(crate) handler_failures: Count,
    pub(crate) retries: Count,
    pub(crate) commits_stored: Count,
    pub(crate) commits_failed: Count,
    pub(crate) assigned: Count,
    pub(crate) revoked: Count,
    pub(crate) lost: Count,
    handler: Option<Box<Histogram>>,
    held: Mutex<Vec<HeldFigures>>,
    pub(crate) statistics: Statistics,
}

/// One partition that is assigned to this instance.
#[derive(Debug)]
pub(crate) struct HeldFigures {
    pub(crate) partition: TopicPartition,
    /// The first message that is not handled, if one is known.
    pub(crate) position: Option<Offset>,
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) stopped: bool,
}

impl ConsumerFigures {
    pub(crate) fn new(watch: Watch) -> Self {
        let handler = (watch == Watch::Someone).then(Box::default);
        Self { handler, ..Self::default() }
    }

    /// Where to note how long handlers take, if anyone wants to know.
    pub(crate) fn handler(&self) -> Option<&Histogram> {
        self.handler.as_deref()
    }

    /// The partitions of now, if anyone wants to know.
    pub(crate) fn hold(&self, held: impl FnOnce() -> Vec<HeldFigures>) {
        if self.handler.is_some() {
            let held = held();
            *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
        }
    }

    pub(super) fn write(&self, client: &str, page: &mut Page) {
        // What comes later in a message's life first: no scrape sees more of it than of what is before.
        page.put(&table::PROCESSED, [client], self.processed.get());
        page.put(&table::RECEIVED, [client], self.received.get());
        page.put(&table::TOO_LATE, [client], self.too_late.get());
        page.put(&table::STOPPED_AT, [client], self.stopped_at.get());
        page.put(&table::RETRIES, [client], self.retries.get());
        page.put(&table::HANDLER_FAILURES, [client], self.handler_failures.get());
        page.put(&table::COMMITS, [client, "stored"], self.commits_stored.get());
        page.put(&table::COMMITS, [client, "failed"], self.commits_failed.get());
        page.put(&table::REBALANCES, [client, "assigned"], self.assigned.get());
        page.put(&table::REBALANCES, [client, "revoked"], self.revoked.get());
        page.put(&table::REBALANCES, [client, "lost"], self.lost.get());
        if let Some(handler) = &self.handler {
            page.put_histogram(&table::HANDLER_SECONDS, [client], handler);
        }
        self.write_held(client, page);
    }

    fn write_held(&self, client: &str, page: &mut Page) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |of: fn(&HeldFigures) -> usize| held.iter().map(of).sum::<usize>();
        page.put(&table::WAITING, [client], sum(|one| one.messages));
        page.put(&table::WAITING_BYTES, [client], sum(|one| one.bytes));
        page.put(&table::ASSIGNED, [client], held.len());
        page.put(&table::STOPPED, [client], sum(|one| usize::from(one.stopped)));
        for HeldFigures { partition, position, .. } in &*held {
            if let Some(lag) = self.statistics.lag(partition, *position) {
                let TopicPartition { topic, partition } = partition;
                page.put(&table::LAG, [client, topic, &partition.to_string()], lag);
            }
        }
    }
}
