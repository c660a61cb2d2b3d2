//! What becomes of a message that can't be handled. With a dead-letter topic a copy goes there, and once
//! all in-sync replicas have it the message counts as handled; without one its partition stops.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::desk::Desk;
use super::lanes::{Common, Lane, Next, Order};
use super::{ConsumerEvent, StoppedPartition};
use crate::dead_letter::{GivenUp, NotWritten};
use crate::{DeadLetterCause, Failure, Offset, Record};

/// How long a copy that is on its way may take once the lane is to end. A copy that is written and not
/// known to be is written again by whoever is given the message next.
const GRACE: Duration = Duration::from_secs(1);

impl Lane {
    /// True when what is given up has somewhere to go.
    pub(super) fn writes_letters(&self) -> bool {
        self.desk().common.dead_letters.is_some()
    }

    /// Deals with a message that can't be handled, see [`Desk::give_up`]. What was handled before is told
    /// first, so that it can be committed meanwhile: a copy is written for as long as that takes. So many of
    /// its batch are `behind` it, and wait for the same.
    ///
    /// # Cancel safety
    /// Dropped, the message is not settled; its copy may be written all the same.
    pub(super) async fn give_up(&mut self, record: &Record, said: GivenUp, behind: usize) -> Next {
        self.flush(false);
        let desk = Arc::clone(self.desk());
        match desk.give_up(record, said, behind).await {
            Fate::Written => {
                self.settle_letter(record.offset, record.size());
                Next::GoOn
            }
            Fate::Stop(stopped) => Next::Stop(stopped),
            Fate::Halted => Next::Halted,
        }
    }
}

/// What has become of a message that can't be handled.
#[derive(Debug)]
pub(super) enum Fate {
    /// All in-sync replicas have its copy: it is to be settled.
    Written,
    /// There is no place for it: its partition stops.
    Stop(StoppedPartition),
    /// The lane was told to end before its copy was acknowledged.
    Halted,
}

impl Desk {
    /// Notes that these can't be handled and wait for their copies, of which one after another is written.
    /// Not when the run is to end: then none is begun.
    pub(super) fn note_given_up(&self, offsets: &[Offset]) {
        let Common { dead_letters, shutdown, .. } = &*self.common;
        if dead_letters.is_some() && !shutdown.is_cancelled() {
            self.letters_under_way().extend(offsets);
        }
    }

    /// No copies of these are written: their partition has stopped before them.
    pub(super) fn forget_given_up(&self, offsets: &[Offset]) {
        let mut under_way = self.letters_under_way();
        under_way.retain(|offset| !offsets.contains(offset));
    }

    /// Deals with a message that can't be handled. What that settles is the caller's affair.
    ///
    /// # Cancel safety
    /// Dropped, its copy may be written all the same.
    pub(super) async fn give_up(&self, record: &Record, said: GivenUp, behind: usize) -> Fate {
        let (offset, attempts) = (record.offset, said.attempts);
        let stopped = |partition, reason| {
            Fate::Stop(StoppedPartition { partition, offset, attempts, reason })
        };
        let Some(letters) = self.common.dead_letters.clone() else {
            return stopped(self.partition.clone(), said.error);
        };
        // Whoever ends the run may do so for what fails here, as when nobody reads what is printed: such a
        // message is delivered again, and begins no way to where the hopeless ones are.
        if self.common.shutdown.is_cancelled() {
            self.orders.heard(Order::Finish).await;
            return Fate::Halted;
        }
        self.letters_under_way().insert(offset);
        let waits = |reason: &str| {
            self.common.listener.tell(|| ConsumerEvent::DeadLetterWaiting {
                partition: self.partition.clone(),
                offset,
                topic: Arc::clone(letters.topic()),
                reason: reason.to_owned(),
            });
        };
        let written = tokio::select! {
            biased;
            written = letters.write(record, &said, behind, waits) => written,
            () = self.is_to_end() => return Fate::Halted,
        };
        match written {
            Ok(receipt) => {
                self.letters_under_way().remove(&offset);
                let (topic, cause) = (letters.topic(), said.cause);
                tracing::warn!(
                    partition = %self.partition, %offset, attempts, %cause, error = %said.error, %topic,
                    "given up: its copy is in the dead-letter topic"
                );
                self.common.listener.tell(|| ConsumerEvent::DeadLettered {
                    partition: self.partition.clone(),
                    offset,
                    attempts,
                    cause,
                    reason: said.error.clone(),
                    receipt,
                });
                Fate::Written
            }
            Err(NotWritten::Ending) => Fate::Halted,
            Err(NotWritten::Refused(why)) => {
                self.letters_under_way().remove(&offset);
                let topic = letters.topic();
                let reason = format!(
                    "{}; and its copy can't be written to the dead-letter topic {topic}: {why}",
                    said.error
                );
                stopped(self.partition.clone(), reason)
            }
        }
    }

    /// Waits until the lane is to end, and then for as long as what is on its way may take.
    async fn is_to_end(&self) {
        self.orders.heard(Order::Finish).await;
        tokio::time::sleep(GRACE).await;
    }
}

/// What is said of a message that failed for the last time just now, and `first` the first time.
pub(super) fn failed(failure: &Failure, attempts: u32, first: Timestamp) -> GivenUp {
    let cause = match failure {
        Failure::Reject { .. } => DeadLetterCause::Rejected,
        failure if failure.is_panic() => DeadLetterCause::Panicked,
        Failure::Retry { .. } => DeadLetterCause::RetriesExhausted,
    };
    let (error, last_failure) = (failure.to_string(), Timestamp::now());
    GivenUp { cause, error, attempts, first_failure: first, last_failure }
}

/// What is said of a message whose value was not read, for this reason.
pub(super) fn unread(reason: String) -> GivenUp {
    let (cause, now) = (DeadLetterCause::Unreadable, Timestamp::now());
    GivenUp { cause, error: reason, attempts: 0, first_failure: now, last_failure: now }
}
