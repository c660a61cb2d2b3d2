//! One partition's lane, seen from the task that handles its messages.
//!
//! It owns: the bounded queue of records, the order to stop, retries with their pauses, and the letters
//! that say what was handled. Handlers are called by `single` and `batch`, which say what a lane's task
//! does; when a lane begins and ends is decided by the poll thread.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use super::event::Listener;
use super::mailbox::{Letter, Mailbox};
use super::{ConsumerEvent, StoppedPartition};
use crate::commit::{Completion, Epoch};
use crate::handler::{Context, Failure};
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
}

/// Starts the task of a lane. What it does is `single`'s or `batch`'s.
pub(super) type Spawn = Box<dyn Fn(Lane) -> AbortHandle + Send>;

/// The order to stop, between the poll thread and one lane: the message in the handler's hands is
/// finished, nothing after it is begun.
#[derive(Debug, Default)]
pub(super) struct Halt {
    said: AtomicBool,
    bell: Notify,
}

impl Halt {
    /// Orders the lane to stop.
    pub(super) fn say(&self) {
        self.said.store(true, Ordering::Release);
        self.bell.notify_waiters();
    }

    /// True once it was said.
    pub(super) fn is_said(&self) -> bool {
        self.said.load(Ordering::Acquire)
    }

    async fn heard(&self) {
        loop {
            let mut bell = pin!(self.bell.notified());
            bell.as_mut().enable();
            if self.is_said() {
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

/// A lane's own end. When it is dropped, however that comes about, the poll thread is told.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) partition: TopicPartition,
    epoch: Epoch,
    records: mpsc::Receiver<Vec<Record>>,
    halt: Arc<Halt>,
    pub(super) common: Arc<Common>,
    settled: Option<Range>,
    /// Messages in the handler's hands.
    at_work: usize,
    stopped: Option<StoppedPartition>,
}

/// Handled messages the poll thread was not told of yet.
#[derive(Debug)]
struct Range {
    first: Offset,
    last: Offset,
    messages: usize,
    bytes: usize,
}

impl Lane {
    pub(super) fn new(
        partition: TopicPartition,
        epoch: Epoch,
        records: mpsc::Receiver<Vec<Record>>,
        halt: Arc<Halt>,
        common: Arc<Common>,
    ) -> Self {
        Self { partition, epoch, records, halt, common, settled: None, at_work: 0, stopped: None }
    }

    /// The next records, in order. `None` when the lane is to end.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub(super) async fn records(&mut self) -> Option<Vec<Record>> {
        tokio::select! {
            biased;
            () = self.halt.heard() => None,
            records = self.records.recv() => records,
        }
    }

    /// True when nothing more is to be begun.
    pub(super) fn halted(&self) -> bool {
        self.halt.is_said()
    }

    /// Ends the lane at a message that can't be handled.
    pub(super) fn stop(&mut self, stopped: StoppedPartition) {
        self.stopped = Some(stopped);
    }

    /// Notes how many messages the handler has in its hands.
    pub(super) fn at_work(&mut self, messages: usize) {
        self.at_work = messages;
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
                self.settled = Some(Range { first: offset, last: offset, messages: 1, bytes });
            }
        }
    }

    /// Tells the poll thread what was handled. `ring` when it should fetch more at once.
    pub(super) fn flush(&mut self, ring: bool) {
        if let Some(Range { first, last, messages, bytes }) = self.settled.take() {
            let (partition, epoch) = (self.partition.clone(), self.epoch);
            let completion = Completion { partition, epoch, first, last };
            self.common.mailbox.post(Letter::Settled { completion, messages, bytes }, ring);
        }
    }

    /// After a failed attempt: waits as long as the failure or the policy says. `GoOn` means try again.
    pub(super) async fn pause(&self, offset: Offset, attempt: u32, failure: &Failure) -> Next {
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
            () = self.halt.heard() => Next::Halted,
            () = tokio::time::sleep(pause) => Next::GoOn,
        }
    }

    /// Tells that the handler is called, or has handled a message.
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
}

impl Drop for Lane {
    fn drop(&mut self) {
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
    let (partition, offset) = (record.partition.clone(), record.offset);
    let reason = match catch_unwind(AssertUnwindSafe(|| Received::decode(decoder, record))) {
        Ok(Ok(received)) => return Ok(received),
        Ok(Err(error)) => format!("can't be read: {}", error.reason()),
        Err(_) => "can't be read: the decoder panicked".to_owned(),
    };
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
