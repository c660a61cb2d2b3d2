//! Partitions that were taken in and have no position: the group's is asked for again.
//!
//! librdkafka asks for the positions of an assignment once. Where a coordinator that has just moved
//! answers with an error, it says so and leaves the partitions as they are: owned, and never read
//! (librdkafka 2.12.1, `rd_kafka_assignment_handle_OffsetFetch`: `NOT_COORDINATOR` is not retried).
//! Taking them out of the assignment and in again makes it ask anew.

use std::time::{Duration, Instant};

use super::context::Trouble;
use super::poll::Keeper;
use super::rebalance::listed;
use crate::TopicPartition;

/// Pause before positions are asked for again: time for the coordinator to be found.
const AGAIN: Duration = Duration::from_millis(500);
/// How librdkafka begins to say that the group's positions did not come.
const NO_POSITIONS: &str = "Failed to fetch committed offset";

/// When positions are to be asked for again, if they are.
#[derive(Debug, Default)]
pub(super) struct Silent {
    again: Option<Instant>,
}

impl Silent {
    /// Looks whether a trouble is that positions did not come.
    pub(super) fn hear(&mut self, trouble: &Trouble, now: Instant) {
        if trouble.reason.starts_with(NO_POSITIONS) {
            self.again = Some(now + AGAIN);
        }
    }
}

impl Keeper {
    /// Asks again for the positions of what is owned and was never read, when it is time.
    pub(super) fn begin_silent(&mut self) {
        let now = Instant::now();
        if self.silent.again.is_none_or(|again| now < again) {
            return;
        }
        // A rebalance takes partitions out and in by itself, one that this would be amid.
        if self.leaving.is_some() || !self.turns.is_empty() || self.closing {
            return;
        }
        self.silent.again = None;
        let unread = |partition: &&TopicPartition| self.tracker.reached(partition).is_none();
        let silent: Vec<TopicPartition> = self.held.keys().filter(unread).cloned().collect();
        if silent.is_empty() {
            return;
        }
        tracing::info!(partitions = %listed(&silent), "asking for the group's positions again");
        if let Err(error) = self.read_anew(&silent) {
            self.fail(&error, || format!("begin {}", listed(&silent)));
        }
    }
}
