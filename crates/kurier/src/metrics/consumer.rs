//! The figures of one consumer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

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
    pub(crate) dead_lettered: Count,
    pub(crate) stopped_at: Count,
    pub(crate) handler_failures: Count,
    pub(crate) retries: Count,
    pub(crate) commits_stored: Count,
    pub(crate) commits_failed: Count,
    pub(crate) assigned: Count,
    pub(crate) revoked: Count,
    pub(crate) lost: Count,
    pub(crate) redelivered: Count,
    watched: Option<Box<Watched>>,
    shown: Mutex<Shown>,
    /// The topic of its dead letters, if it has one.
    letters_in: Option<String>,
    pub(crate) statistics: Statistics,
}

/// What costs a clock for each message or commit.
#[derive(Debug, Default)]
struct Watched {
    handler: Histogram,
    end_to_end: Histogram,
    commits: Histogram,
}

/// What a consumer shows of one moment.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// The partitions that it has.
    pub(crate) held: Vec<HeldFigures>,
    /// Calls of the handler that are at work for partitions it has no more.
    pub(crate) adrift: usize,
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
    pub(crate) fn new(watch: Watch, letters_in: Option<String>) -> Self {
        let watched = (watch == Watch::Someone).then(Box::default);
        Self { watched, letters_in, ..Self::default() }
    }

    /// Where to note how long handlers take, if anyone wants to know.
    pub(crate) fn handler(&self) -> Option<&Histogram> {
        self.watched.as_deref().map(|watched| &watched.handler)
    }

    /// Notes that a message which was written at `written` is handled now, if anyone wants to know.
    pub(crate) fn handled(&self, worker: usize, written: Option<Timestamp>) {
        if let (Some(watched), Some(written)) = (&self.watched, written) {
            watched.end_to_end.note(worker, age(written, Timestamp::now()));
        }
    }

    /// Notes how long a commit took, if anyone wants to know.
    pub(crate) fn committed(&self, took: Duration) {
        if let Some(watched) = &self.watched {
            watched.commits.note(0, took);
        }
    }

    /// Shows the moment, if anyone wants to know.
    pub(crate) fn show(&self, shown: impl FnOnce() -> Shown) {
        if self.watched.is_some() {
            let shown = shown();
            *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        }
    }

    pub(super) fn write(&self, client: &str, page: &mut Page) {
        // What comes later in a message's life first: no scrape sees more of it than of what is before.
        page.put(&table::PROCESSED, [client], self.processed.get());
        page.put(&table::DEAD_LETTERED, [client], self.dead_lettered.get());
        if let Some(topic) = &self.letters_in {
            page.put(&table::DEAD_LETTER_TOPIC, [client, topic], 1);
        }
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
        page.put(&table::REDELIVERED, [client], self.redelivered.get());
        if let Some(watched) = &self.watched {
            page.put_histogram(&table::HANDLER_SECONDS, [client], &watched.handler);
            page.put_histogram(&table::E2E_LATENCY, [client], &watched.end_to_end);
            page.put_histogram(&table::COMMIT_LATENCY, [client], &watched.commits);
        }
        self.write_shown(client, page);
    }

    fn write_shown(&self, client: &str, page: &mut Page) {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let Shown { held, adrift } = &*shown;
        let sum = |of: fn(&HeldFigures) -> usize| held.iter().map(of).sum::<usize>();
        page.put(&table::WAITING, [client], sum(|one| one.messages));
        page.put(&table::WAITING_BYTES, [client], sum(|one| one.bytes));
        page.put(&table::ASSIGNED, [client], held.len());
        page.put(&table::STOPPED, [client], sum(|one| usize::from(one.stopped)));
        page.put(&table::ADRIFT, [client], *adrift);
        for HeldFigures { partition, position, .. } in held {
            if let Some(lag) = self.statistics.lag(partition, *position) {
                let TopicPartition { topic, partition } = partition;
                page.put(&table::LAG, [client, topic, &partition.to_string()], lag);
            }
        }
    }
}

/// Clocks of different machines differ: what was written in the future took no time.
fn age(written: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(written)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_clock_ahead_has_written_took_no_time() {
        let at = |millis| Timestamp::from_millisecond(millis).expect("a time");
        assert_eq!(age(at(1_000), at(3_500)), Duration::from_millis(2_500));
        assert_eq!(age(at(3_500), at(1_000)), Duration::ZERO);
    }
}
