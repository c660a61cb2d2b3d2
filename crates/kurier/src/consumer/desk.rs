//! Where a lane's messages are handled: what is said of one message, and what its handling listens to.
//!
//! It owns the pauses between attempts and what listeners and figures are told. Whoever handles messages
//! shares it: a lane's task, or the tasks that it lets handle many keys at once.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ConsumerEvent;
use super::lanes::{After, Common, Order, Orders};
use super::retelling::Retelling;
use super::vitals::InHand;
use crate::handler::Failure;
use crate::{Offset, Record, TopicPartition};

/// What everyone who handles messages of one lane has of it.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) partition: TopicPartition,
    pub(super) orders: Arc<Orders>,
    pub(super) in_hand: Arc<InHand>,
    /// The messages whose dead letters are on their way, or will be.
    pub(super) unwritten: Mutex<BTreeSet<Offset>>,
    pub(super) retelling: Mutex<Retelling>,
    pub(super) common: Arc<Common>,
}

impl Desk {
    /// True when this, or more, was ordered.
    pub(super) fn ordered(&self, order: Order) -> bool {
        self.orders.include(order)
    }

    /// After a failed attempt: waits as long as the failure or the policy says, if there is to be another.
    pub(super) async fn pause(&self, offset: Offset, attempt: u32, failure: &Failure) -> After {
        self.note_failure();
        let Failure::Retry { after, .. } = failure else { return After::GiveUp };
        let random = uuid::Uuid::new_v4().as_u64_pair().1;
        let Some(usual) = self.common.retry.pause_after(attempt, random) else {
            return After::GiveUp;
        };
        let reason = failure.to_string();
        let pause = after.unwrap_or(usual);
        self.common.retried.fetch_add(1, Ordering::Relaxed);
        self.common.figures.retries.add(1);
        self.say_retry(offset, attempt, pause, &reason);
        self.common.listener.tell(|| ConsumerEvent::Retrying {
            partition: self.partition.clone(),
            offset,
            attempt,
            pause,
            reason,
        });
        self.rest(pause).await
    }

    /// Says, now and then, that a message is tried again. Not when the run is to end: then it is not.
    fn say_retry(&self, offset: Offset, attempt: u32, pause: Duration, reason: &str) {
        tracing::debug!(partition = %self.partition, %offset, attempt, ?pause, reason, "retrying");
        if self.common.shutdown.is_cancelled() {
            return;
        }
        let mut retelling = self.retelling.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unsaid) = retelling.note(Instant::now()) else { return };
        drop(retelling);
        let again_in = Duration::from_millis(pause.as_millis() as u64);
        tracing::warn!(
            partition = %self.partition, %offset, attempt, reason, ?again_in,
            more_since = Some(unsaid).filter(|unsaid| 0 < *unsaid),
            "an attempt failed; the message is tried again"
        );
    }

    /// Counts an attempt that failed.
    pub(super) fn note_failure(&self) {
        self.common.figures.handler_failures.add(1);
    }

    async fn rest(&self, pause: Duration) -> After {
        tokio::select! {
            biased;
            () = self.orders.heard(Order::Finish) => After::Halted,
            () = tokio::time::sleep(pause) => After::Again,
        }
    }

    /// Those messages, in order.
    pub(super) fn unwritten(&self) -> Vec<Offset> {
        self.letters_under_way().iter().copied().collect()
    }

    /// The set is whole after any panic: each change is one call.
    pub(super) fn letters_under_way(&self) -> MutexGuard<'_, BTreeSet<Offset>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that the handler is called.
    pub(super) fn tell_started(&self, offset: Offset, attempt: u32) {
        let partition = || self.partition.clone();
        self.common.listener.tell(|| ConsumerEvent::HandlingStarted {
            partition: partition(),
            offset,
            attempt,
        });
    }

    /// Tells that a message is handled.
    pub(super) fn tell_handled(&self, offset: Offset, attempt: u32) {
        let partition = || self.partition.clone();
        self.common.listener.tell(|| ConsumerEvent::Handled {
            partition: partition(),
            offset,
            attempt,
        });
    }

    /// Notes how old a message is that was handled just now, if anyone wants to know.
    pub(super) fn note_age(&self, record: &Record) {
        self.common.figures.handled(self.worker(), record.timestamp);
    }

    /// Who its figures are counted by.
    pub(super) fn worker(&self) -> usize {
        usize::try_from(self.partition.partition.0).unwrap_or(0)
    }
}
