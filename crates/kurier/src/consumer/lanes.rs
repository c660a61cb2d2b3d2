//! One partition's lane, seen from the task that handles its messages.
//!
//! It owns: the bounded queue of records, the poll thread's orders, retries with their pauses, and the letters
//! that say what was handled. Handlers are called by `single` and `batch`, which say what a lane's task
//! does; when a lane begins and ends is decided by the poll thread.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::event::Listener;
use super::mailbox::{Letter, Mailbox};
use super::vitals::InHand;
use super::{ConsumerEvent, StoppedPartition};
use crate::commit::{Completion, Epoch};
use crate::handler::{Context, Failure};
use crate::metrics::ConsumerFigures;
use crate::{Decoder, Offset, Received, Record, RetryPolicy, TopicPartition};

/// What all lanes of a run share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) listener: Listener,
    pub(super) retry: RetryPolicy,
    pub(super) context: Context,
    /// Failed attempts that were followed by another one.
    pub(super) retried: AtomicU64,
    pub(super) figures: Arc<ConsumerFigures>,
}

/// Starts the task of a lane. What it does is `single`'s or `batch`'s.
pub(super) type Spawn = Box<dyn Fn(Lane) -> AbortHandle + Send>;

/// What the poll thread wants of a lane; each is more than the one before it, and none is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Order {
    /// Nothing more that counts will come: what is collected need not wait for more.
    Hurry = 1,
    /// What is in the handler's hands, and what was collected for it, is finished; nothing else is begun.
    Finish,
    /// What is in the handler's hands is finished; nothing else is begun.
    Stop,
}

/// The poll thread's order to one lane.
#[derive(Debug, Default)]
pub(super) struct Orders {
    given: AtomicU8,
    bell: Notify,
}

impl Orders {
    pub(super) fn give(&self, order: Order) {
        if self.given.fetch_max(order as u8, Ordering::AcqRel) < order as u8 {
            self.bell.notify_waiters();
        }
    }

    /// True once this, or more, was ordered.
    pub(super) fn include(&self, order: Order) -> bool {
        order as u8 <= self.given.load(Ordering::Acquire)
    }

    async fn heard(&self, order: Order) {
        loop {
            let mut bell = pin!(self.bell.notified());
            bell.as_mut().enable();
            if self.include(order) {
                return;
            }
            bell.await;
        }
    }
}

/// Whether a lane goes on after a message.
#[derive(Debug)]
pub(super) enum Next {
    GoOn,
    /// The message can't be handled.
    Stop(StoppedPartition),
    /// The lane was told to stop before the message was handled.
    Halted,
}

/// What [`Lane::more`] came to.
#[derive(Debug)]
pub(super) enum More {
    Records(Vec<Record>),
    /// What is collected is to be handled now.
    Waited,
    /// The lane is to end.
    Ending,
}

/// A lane's own end. When it is dropped, however that comes about, the poll thread is told.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) partition: TopicPartition,
    epoch: Epoch,
    records: mpsc::Receiver<Vec<Record>>,
    orders: Arc<Orders>,
    in_hand: Arc<InHand>,
    pub(super) common: Arc<Common>,
    settled: Option<Range>,
    /// Messages in the handler's hands.
    at_work: usize,
    /// Since when, if anyone wants to know.
    called: Option<Instant>,
    stopped: Option<StoppedPartition>,
}

/// Handled messages the poll thread was not told of yet.
#[derive(Debug)]
struct Range {
    first: Offset,
    last: Offset,
    messages: usize,
    bytes: usize,
    since: Instant,
}

/// Longest time that handled messages wait to be told together, while the handler is at the next ones.
const UNTOLD_MAX: Duration = Duration::from_millis(50);

impl Lane {
    pub(super) fn new(
        partition: TopicPartition,
        epoch: Epoch,
        records: mpsc::Receiver<Vec<Record>>,
        orders: Arc<Orders>,
        common: Arc<Common>,
    ) -> Self {
        let in_hand = Arc::default();
        Self {
            partition,
            epoch,
            records,
            orders,
            in_hand,
            common,
            settled: None,
            at_work: 0,
            called: None,
            stopped: None,
        }
    }

    /// Where the message in the handler's hands is to be seen.
    pub(super) fn in_hand(&self) -> Arc<InHand> {
        Arc::clone(&self.in_hand)
    }

    /// The next records, in order. `None` when the lane is to end.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub(super) async fn records(&mut self) -> Option<Vec<Record>> {
        self.in_hand.put_down();
        tokio::select! {
            biased;
            () = self.orders.heard(Order::Finish) => None,
            records = self.records.recv() => records,
        }
    }

    /// As [`records`](Self::records), for one that has collected some: waits until `full_at` at most, and
    /// not at all when nothing that counts will come.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub(super) async fn more(&mut self, full_at: Instant) -> More {
        tokio::select! {
            biased;
            () = self.orders.heard(Order::Finish) => More::Ending,
            records = self.records.recv() => records.map_or(More::Ending, More::Records),
            () = self.orders.heard(Order::Hurry) => More::Waited,
            () = tokio::time::sleep_until(full_at) => More::Waited,
        }
    }

    /// True when this, or more, was ordered.
    pub(super) fn ordered(&self, order: Order) -> bool {
        self.orders.include(order)
    }

    /// Ends the lane at a message that can't be handled.
    pub(super) fn stop(&mut self, stopped: StoppedPartition) {
        self.stopped = Some(stopped);
    }

    /// Notes how many messages the handler has in its hands.
    pub(super) fn at_work(&mut self, messages: usize) {
        self.at_work = messages;
        let Some(histogram) = self.common.figures.handler() else { return };
        if 0 < messages {
            self.called = Some(Instant::now());
        } else if let Some(called) = self.called.take() {
            let worker = usize::try_from(self.partition.partition.0).unwrap_or(0);
            histogram.note(worker, called.elapsed());
        }
    }

    /// Notes a handled message, to be told with the next [`flush`](Self::flush).
    pub(super) fn settle(&mut self, offset: Offset, bytes: usize) {
        if self.settled.as_ref().is_some_and(|range| offset <= range.last) {
            // A retried message lies before those that succeeded at once.
            self.flush(false);
        }
        match &mut self.settled {
            Some(range) => {
                range.last = offset;
                range.messages += 1;
                range.bytes += bytes;
            }
            None => {
                let since = Instant::now();
                let (first, last, messages) = (offset, offset, 1);
                self.settled = Some(Range { first, last, messages, bytes, since });
            }
        }
        // A handler that never waits for anything would else keep them until its records are used up.
        if self.settled.as_ref().is_some_and(|range| UNTOLD_MAX <= range.since.elapsed()) {
            self.flush(false);
        }
    }

    /// Tells the poll thread what was handled. `ring` when it should fetch more at once.
    pub(super) fn flush(&mut self, ring: bool) {
        if let Some(Range { first, last, messages, bytes, .. }) = self.settled.take() {
            let (partition, epoch) = (self.partition.clone(), self.epoch);
            let completion = Completion { partition, epoch, first, last };
            self.common.mailbox.post(Letter::Settled { completion, messages, bytes }, ring);
        }
    }

    /// After a failed attempt: waits as long as the failure or the policy says. `GoOn` means try again.
    /// What was handled before is told first, so that it can be committed meanwhile.
    pub(super) async fn pause(&mut self, offset: Offset, attempt: u32, failure: &Failure) -> Next {
        self.flush(false);
        self.common.figures.handler_failures.add(1);
        let reason = failure.to_string();
        let stop = |reason| {
            let partition = self.partition.clone();
            Next::Stop(StoppedPartition { partition, offset, attempts: attempt, reason })
        };
        let Failure::Retry { after, .. } = failure else { return stop(reason) };
        let random = uuid::Uuid::new_v4().as_u64_pair().1;
        let Some(usual) = self.common.retry.pause_after(attempt, random) else {
            return stop(reason);
        };
        let pause = after.unwrap_or(usual);
        self.common.retried.fetch_add(1, Ordering::Relaxed);
        self.common.figures.retries.add(1);
        tracing::debug!(partition = %self.partition, %offset, attempt, ?pause, %reason, "retrying");
        self.common.listener.tell(|| ConsumerEvent::Retrying {
            partition: self.partition.clone(),
            offset,
            attempt,
            pause,
            reason,
        });
        self.rest(pause).await
    }

    async fn rest(&self, pause: Duration) -> Next {
        tokio::select! {
            biased;
            () = self.orders.heard(Order::Finish) => Next::Halted,
            () = tokio::time::sleep(pause) => Next::GoOn,
        }
    }

    /// Tells that the handler is called.
    pub(super) fn tell_started(&self, offset: Offset, attempt: u32) {
        self.in_hand.take(offset, attempt);
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
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.in_hand.put_down();
        self.flush(false);
        let letter = Letter::Ended {
            partition: self.partition.clone(),
            epoch: self.epoch,
            at_work: self.at_work,
            stopped: self.stopped.take(),
        };
        self.common.mailbox.post(letter, true);
    }
}

/// Reads a record's value; a tombstone has none. A decoder that panics could not read it.
pub(super) fn received<D: Decoder>(
    decoder: &D,
    record: Record,
) -> Result<Received<D::Item>, StoppedPartition> {
    if record.value.is_none() {
        return Ok(Received { record, value: None });
    }
    let reason = match catch_unwind(AssertUnwindSafe(|| decoder.decode(&record))) {
        Ok(Ok(value)) => return Ok(Received { record, value: Some(value) }),
        Ok(Err(error)) => format!("can't be read: {}", error.reason()),
        Err(_) => "can't be read: the decoder panicked".to_owned(),
    };
    let Record { partition, offset, .. } = record;
    Err(StoppedPartition { partition, offset, attempts: 0, reason })
}

/// Bytes of a record that count towards the bounds.
pub(super) fn size(record: &Record) -> usize {
    let headers = record.headers.iter();
    let length = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    length(&record.key)
        + length(&record.value)
        + headers.map(|header| header.name.len() + length(&header.value)).sum::<usize>()
}

/// Starts `work` on the runtime it is called with.
pub(super) fn spawn_on(
    runtime: &tokio::runtime::Handle,
    work: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    runtime.spawn(work).abort_handle()
}
