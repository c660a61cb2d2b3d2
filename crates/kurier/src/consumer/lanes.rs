//! One partition's lane, seen from the task that handles its messages.
//!
//! It owns: the bounded queue of records, the poll thread's orders, and the letters that say what was
//! handled. Handlers are called by `single`, `keyed` and `batch`, which say what a lane's task does; when a
//! lane begins and ends is decided by the poll thread.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::StoppedPartition;
use super::desk::Desk;
use super::event::Listener;
use super::mailbox::{How, Letter, Mailbox};
use super::vitals::InHand;
use crate::commit::{Completion, Epoch};
use crate::dead_letter::DeadLetters;
use crate::handler::{Context, Failure};
use crate::metrics::ConsumerFigures;
use crate::{Decoder, Offset, Received, Record, RetryPolicy, TopicPartition};

/// What all lanes of a run share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) listener: Listener,
    pub(super) retry: RetryPolicy,
    /// Where messages go that can't be handled; without, their partition stops.
    pub(super) dead_letters: Option<Arc<DeadLetters>>,
    pub(super) context: Context,
    /// Cancelled when the run is to end; lanes hear of it a moment later, by an order.
    pub(super) shutdown: CancellationToken,
    /// Failed attempts that were followed by another one.
    pub(super) retried: AtomicU64,
    pub(super) figures: Arc<ConsumerFigures>,
}

/// Starts the task of a lane. What it does is `single`'s, `keyed`'s or `batch`'s.
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

    /// Waits until this, or more, is ordered.
    pub(super) async fn heard(&self, order: Order) {
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

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Another one.
    Again,
    /// None: it was the last, or the handler said that trying again is of no use.
    GiveUp,
    /// The lane was told to stop.
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
    desk: Arc<Desk>,
    epoch: Epoch,
    records: mpsc::Receiver<Vec<Record>>,
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
        let desk = Desk {
            partition,
            orders,
            in_hand: Arc::default(),
            unwritten: Mutex::default(),
            retelling: Mutex::default(),
            common,
        };
        let desk = Arc::new(desk);
        Self { desk, epoch, records, settled: None, at_work: 0, called: None, stopped: None }
    }

    /// What whoever handles its messages has of it.
    pub(super) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Where what is in handlers' hands is to be seen.
    pub(super) fn in_hand(&self) -> Arc<InHand> {
        Arc::clone(&self.desk.in_hand)
    }

    /// The next records, in order. `None` when the lane is to end.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub(super) async fn records(&mut self) -> Option<Vec<Record>> {
        self.desk.in_hand.put_down();
        tokio::select! {
            biased;
            () = self.desk.orders.heard(Order::Finish) => None,
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
            () = self.desk.orders.heard(Order::Finish) => More::Ending,
            records = self.records.recv() => records.map_or(More::Ending, More::Records),
            () = self.desk.orders.heard(Order::Hurry) => More::Waited,
            () = tokio::time::sleep_until(full_at) => More::Waited,
        }
    }

    /// True when this, or more, was ordered.
    pub(super) fn ordered(&self, order: Order) -> bool {
        self.desk.ordered(order)
    }

    /// Ends the lane at a message that can't be handled.
    pub(super) fn stop(&mut self, stopped: StoppedPartition) {
        self.stopped = Some(stopped);
    }

    /// Tells, once, of a message that can't be handled, while others are still in handlers' hands. They are
    /// finished, and nothing else is begun.
    pub(super) fn tell_stopped(&mut self, stopped: StoppedPartition) {
        self.flush(false);
        self.desk.orders.give(Order::Stop);
        let letter = Letter::Stopped { epoch: self.epoch, stopped };
        self.desk.common.mailbox.post(letter, true);
    }

    /// Notes that the lane is dropped while so many messages are in handlers' hands.
    pub(super) fn left_at_work(&mut self, messages: usize) {
        self.at_work = messages;
    }

    /// Notes how many messages the handler has in its hands.
    pub(super) fn at_work(&mut self, messages: usize) {
        self.at_work = messages;
        let Some(histogram) = self.desk.common.figures.handler() else { return };
        if 0 < messages {
            self.called = Some(Instant::now());
        } else if let Some(called) = self.called.take() {
            histogram.note(self.desk.worker(), called.elapsed());
        }
    }

    /// Notes a handled message, to be told with the next [`flush`](Self::flush): it and all that was delivered
    /// between it and the one noted before are handled.
    pub(super) fn settle(&mut self, offset: Offset, bytes: usize) {
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

    /// As [`settle`](Self::settle), of a message whose neighbours may not be handled: told with others only
    /// where none is left out between them.
    pub(super) fn settle_alone(&mut self, offset: Offset, bytes: usize) {
        if self.settled.as_ref().is_some_and(|range| range.last.next() != offset) {
            self.flush(false);
        }
        self.settle(offset, bytes);
    }

    /// Tells the poll thread what was handled. `ring` when it should fetch more at once.
    pub(super) fn flush(&mut self, ring: bool) {
        if let Some(Range { first, last, messages, bytes, .. }) = self.settled.take() {
            let (partition, epoch) = (self.desk.partition.clone(), self.epoch);
            let completion = Completion { partition, epoch, first, last };
            let how = How::Handled;
            let letter = Letter::Settled { completion, messages, bytes, how };
            self.desk.common.mailbox.post(letter, ring);
        }
    }

    /// Tells the poll thread that the copy of a message is in the dead-letter topic.
    pub(super) fn settle_letter(&mut self, offset: Offset, bytes: usize) {
        self.flush(false);
        let (partition, epoch) = (self.desk.partition.clone(), self.epoch);
        let completion = Completion { partition, epoch, first: offset, last: offset };
        let letter = Letter::Settled { completion, messages: 1, bytes, how: How::DeadLettered };
        self.desk.common.mailbox.post(letter, false);
    }

    /// After a failed attempt, see [`Desk::pause`]. What was handled before is told first, so that it can be
    /// committed meanwhile.
    pub(super) async fn pause(&mut self, offset: Offset, attempt: u32, failure: &Failure) -> After {
        self.flush(false);
        self.desk.pause(offset, attempt, failure).await
    }

    /// Notes that the handler is called with so many messages from this one on.
    pub(super) fn begin(&mut self, offset: Offset, attempt: u32, messages: usize) {
        self.desk.in_hand.take(offset, attempt);
        self.at_work(messages);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.desk.in_hand.put_down();
        self.flush(false);
        let letter = Letter::Ended {
            partition: self.desk.partition.clone(),
            epoch: self.epoch,
            at_work: self.at_work,
            stopped: self.stopped.take(),
            unwritten: self.desk.unwritten(),
        };
        self.desk.common.mailbox.post(letter, true);
    }
}

/// A record whose value can't be read, and why.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) record: Record,
    pub(super) reason: String,
}

/// Reads a record's value; a tombstone has none. A decoder that panics could not read it.
pub(super) fn received<D: Decoder>(
    decoder: &D,
    record: Record,
) -> Result<Received<D::Item>, Box<Unreadable>> {
    if record.value.is_none() {
        return Ok(Received { record, value: None });
    }
    let reason = match catch_unwind(AssertUnwindSafe(|| decoder.decode(&record))) {
        Ok(Ok(value)) => return Ok(Received { record, value: Some(value) }),
        Ok(Err(error)) => format!("can't be read: {}", error.reason()),
        Err(_) => "can't be read: the decoder panicked".to_owned(),
    };
    Err(Box::new(Unreadable { record, reason }))
}

/// Starts `work` on the runtime it is called with.
pub(super) fn spawn_on(
    runtime: &tokio::runtime::Handle,
    work: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    runtime.spawn(work).abort_handle()
}
