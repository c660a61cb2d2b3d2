//! One partition's own queue, read by the batch; a commit that is asked for now and answered later.
//!
//! It decides nothing. rdkafka's partition queue gives one message per call, and drops the offset of an
//! end-of-partition event; librdkafka's batch call has both.

use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafka, RDKafkaMessage};

use super::message::{bytes_at, headers};
use super::{CommitFailure, CommitOutcome, Event, Queue, commit_list, error_code, outcomes};
use crate::decode::Record;
use crate::{Offset, TopicPartition};

/// Called, from librdkafka's threads, when a queue is no longer empty. It must be quick.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// Messages of at most this size share one allocation with their neighbours.
const SHARED_BYTES_MAX: usize = 8 * 1024;
/// The size of such an allocation.
const SHARED_BYTES: usize = 64 * 1024;

/// A queue that rings when it gets its first event.
struct BellQueue {
    // Before `wake`, which librdkafka calls until the queue is silenced in `drop`.
    queue: Queue,
    wake: Box<Wake>,
}

impl BellQueue {
    fn new(queue: Queue, wake: Wake) -> Self {
        unsafe extern "C" fn ring(_: *mut RDKafka, wake: *mut c_void) {
            // SAFETY: `wake` is the box below, which lives until the callback is disabled.
            unsafe { (*wake.cast::<Wake>())() }
        }
        let wake = Box::new(wake);
        let opaque = ptr::from_ref::<Wake>(&wake).cast_mut().cast::<c_void>();
        // SAFETY: the queue is alive; the opaque stays where it is until `drop` has disabled the call.
        unsafe { rd::rd_kafka_queue_cb_event_enable(queue.0.as_ptr(), Some(ring), opaque) }
        Self { queue, wake }
    }
}

impl Drop for BellQueue {
    fn drop(&mut self) {
        // SAFETY: the queue is alive. librdkafka calls back under the queue's lock, which this call
        // takes: afterwards no call is under way.
        unsafe { rd::rd_kafka_queue_cb_event_enable(self.queue.0.as_ptr(), None, ptr::null_mut()) }
    }
}

impl fmt::Debug for BellQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BellQueue").field("wakes", &Arc::strong_count(&self.wake)).finish()
    }
}

/// What one look into a partition's queue gave, beside its records.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// Messages and other events taken.
    pub(crate) taken: usize,
    /// Of those, messages.
    pub(crate) messages: usize,
    /// Bytes of their keys, values and headers.
    pub(crate) bytes: usize,
    /// The largest of them.
    pub(crate) largest: usize,
    /// Reading has reached the partition's end, which was here.
    pub(crate) end: Option<Offset>,
    /// The last error reading met; librdkafka goes on trying.
    pub(crate) error: Option<(RDKafkaErrorCode, String)>,
    /// What could not be read. librdkafka goes on behind it, at a place that it guesses; nothing of that was taken.
    pub(crate) unread: Option<Unread>,
}

/// A batch that came and can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unread {
    /// Its first offset, which may lie before where reading began.
    pub(crate) offset: Offset,
    /// Why.
    pub(crate) reason: String,
}

/// One partition's messages, in a queue of their own.
pub(crate) struct PartitionFeed<C: ConsumerContext + 'static> {
    // Before `client`: the queue must be gone when the client goes.
    queue: BellQueue,
    partition: TopicPartition,
    arena: BytesMut,
    client: Arc<BaseConsumer<C>>,
}

impl<C: ConsumerContext + 'static> PartitionFeed<C> {
    /// Splits the queue of `partition` off the client's. To be called before the partition is assigned:
    /// nothing then arrives on the main queue (tried).
    pub(crate) fn split(
        client: &Arc<BaseConsumer<C>>,
        partition: TopicPartition,
        wake: Wake,
    ) -> Option<Self> {
        let topic = std::ffi::CString::new(&*partition.topic).ok()?;
        // SAFETY: the client is alive; the call gives a new reference, or null for an unknown handle.
        let queue = unsafe {
            let handle = client.client().native_ptr();
            rd::rd_kafka_queue_get_partition(handle, topic.as_ptr(), partition.partition.0)
        };
        let queue = Queue(std::ptr::NonNull::new(queue)?);
        // SAFETY: the queue is alive; null ends its forwarding.
        unsafe { rd::rd_kafka_queue_forward(queue.0.as_ptr(), ptr::null_mut()) }
        let queue = BellQueue::new(queue, wake);
        Some(Self { queue, partition, arena: BytesMut::new(), client: Arc::clone(client) })
    }

    /// Whose messages these are.
    pub(crate) fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// What comes goes to the client's queue again, as if it had never been split off.
    #[cfg(test)]
    pub(crate) fn unsplit(&self) {
        // SAFETY: the client and both queues are alive; the reference to its queue is given back at once.
        unsafe {
            let handle = self.client.client().native_ptr();
            let all = Queue::new(rd::rd_kafka_queue_get_consumer(handle));
            rd::rd_kafka_queue_forward(self.queue.queue.0.as_ptr(), all.0.as_ptr());
        }
    }

    /// Takes at most `limit` events that are there already, messages above all; never waits.
    ///
    /// One event at a time. `rd_kafka_consume_batch_queue` takes many with one call, but counts an
    /// end-of-partition event as a message: the position librdkafka resumes from after a rebalance is
    /// then one too far, and the message that comes there is never seen (librdkafka 2.12.1,
    /// `rd_kafka_q_serve_rkmessages`).
    pub(crate) fn take(&mut self, limit: usize, records: &mut Vec<Record>) -> Looked {
        let mut looked = Looked::default();
        while looked.taken < limit && looked.unread.is_none() {
            let Some(event) = self.queue.queue.poll(Duration::ZERO) else { break };
            looked.taken += 1;
            match event.kind() {
                // SAFETY: the event is alive, and its message as long; null when there is none.
                rd::RD_KAFKA_EVENT_FETCH => unsafe {
                    let message = rd::rd_kafka_event_message_next(event.0.as_ptr());
                    if !message.is_null() {
                        self.read(message, records, &mut looked);
                    }
                },
                rd::RD_KAFKA_EVENT_ERROR => match event.error() {
                    (RDKafkaErrorCode::PartitionEOF, _) => {
                        looked.end = looked.end.max(event.offset());
                    }
                    (code, reason) if is_of_a_batch(code) => {
                        looked.unread = event.offset().map(|offset| Unread { offset, reason });
                    }
                    error => looked.error = Some(error),
                },
                // Nothing else is sent to a partition's queue.
                _ => {}
            }
        }
        looked
    }

    /// # Safety
    /// `message` is alive and a record.
    unsafe fn read(
        &mut self,
        message: *const RDKafkaMessage,
        records: &mut Vec<Record>,
        looked: &mut Looked,
    ) {
        // SAFETY: the caller's.
        let (record, size) = unsafe { self.record(message) };
        looked.messages += 1;
        looked.bytes += size;
        looked.largest = looked.largest.max(size);
        records.push(record);
    }

    /// # Safety
    /// `message` is alive and a record.
    unsafe fn record(&mut self, message: *const RDKafkaMessage) -> (Record, usize) {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the caller's; keys and payloads are `len` bytes that live as long as the message.
        let (fields, key, value, millis, headers) = unsafe {
            let fields = &*message;
            (
                fields,
                bytes_at(fields.key, fields.key_len),
                bytes_at(fields.payload, fields.len),
                rd::rd_kafka_message_timestamp(message, &mut kind),
                headers(message),
            )
        };
        let (key_len, value_len) = (key.map_or(0, <[u8]>::len), value.map_or(0, <[u8]>::len));
        let header_len: usize = headers
            .iter()
            .map(|header| header.name.len() + header.value.as_ref().map_or(0, Bytes::len))
            .sum();
        let (key, value) = self.copied(key, value);
        let record = Record {
            partition: self.partition.clone(),
            offset: Offset(fields.offset),
            timestamp: (0 <= millis)
                .then(|| jiff::Timestamp::from_millisecond(millis).ok())
                .flatten(),
            key,
            headers,
            value,
        };
        (record, key_len + value_len + header_len)
    }

    /// Both in one piece of memory, which small messages share with their neighbours.
    fn copied(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> (Option<Bytes>, Option<Bytes>) {
        let key_len = key.map_or(0, <[u8]>::len);
        let size = key_len + value.map_or(0, <[u8]>::len);
        let mut own;
        let arena = if SHARED_BYTES_MAX < size {
            own = BytesMut::with_capacity(size);
            &mut own
        } else {
            if self.arena.capacity() < size {
                self.arena = BytesMut::with_capacity(SHARED_BYTES);
            }
            &mut self.arena
        };
        arena.extend_from_slice(key.unwrap_or_default());
        arena.extend_from_slice(value.unwrap_or_default());
        let mut whole = arena.split().freeze();
        let key = key.map(|_| whole.split_to(key_len));
        (key, value.map(|_| whole))
    }
}

impl<C: ConsumerContext + 'static> fmt::Debug for PartitionFeed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionFeed")
            .field("partition", &self.partition)
            .field("client", &Arc::strong_count(&self.client))
            .finish_non_exhaustive()
    }
}

impl Event {
    /// The offset that the event is about, if it is about one: of a partition's end, or of a batch.
    fn offset(&self) -> Option<Offset> {
        // SAFETY: the event is alive; what it gives is ours, read, and destroyed once.
        unsafe {
            let place = rd::rd_kafka_event_topic_partition(self.0.as_ptr());
            let offset = place.as_ref().map(|place| Offset(place.offset));
            if !place.is_null() {
                rd::rd_kafka_topic_partition_destroy(place);
            }
            offset
        }
    }
}

/// What librdkafka says on a partition's queue of a batch that it can't read: its checksum is wrong, it can't be
/// decompressed, it is of an unknown version, or too large (librdkafka 2.12.1, `rdkafka_msgset_reader.c`).
fn is_of_a_batch(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BadMessage
            | RDKafkaErrorCode::BadCompression
            | RDKafkaErrorCode::NotImplemented
            | RDKafkaErrorCode::MessageSizeTooLarge
    )
}

/// A commit that was asked for and is not answered yet.
#[derive(Debug)]
pub(crate) struct PendingCommit {
    queue: BellQueue,
    offsets: Vec<(TopicPartition, Offset)>,
    until: Instant,
    refused: Option<CommitFailure>,
}

impl PendingCommit {
    /// Asks the group to store `offsets` (the next ones to read), each with the `note` of its topic, and gives it until
    /// `until` to answer. `wake` is called when the answer is there.
    pub(crate) fn ask<C: ConsumerContext>(
        client: &BaseConsumer<C>,
        offsets: Vec<(TopicPartition, Offset)>,
        note: impl Fn(&str) -> Option<String>,
        until: Instant,
        wake: Wake,
    ) -> Self {
        // SAFETY: the client is alive; the call gives a new queue.
        let queue = Queue::new(unsafe { rd::rd_kafka_queue_new(client.client().native_ptr()) });
        let queue = BellQueue::new(queue, wake);
        let refused = match commit_list(&offsets, note) {
            Err(failure) => Some(failure),
            // SAFETY: client, list and queue are alive; the list is copied. The queue is counted: the
            // answer to a commit that nobody waits for any more is freed with it.
            Ok(list) => error_code(unsafe {
                rd::rd_kafka_commit_queue(
                    client.client().native_ptr(),
                    list.ptr(),
                    queue.queue.0.as_ptr(),
                    None,
                    ptr::null_mut(),
                )
            })
            .map(CommitFailure::Refused),
        };
        Self { queue, offsets, until, refused }
    }

    /// One outcome for each offset, in their order, once there is an answer or time is up. Never waits.
    pub(crate) fn answer(&self, now: Instant) -> Option<Vec<CommitOutcome>> {
        if let Some(refused) = self.refused {
            return Some(outcomes(&self.offsets, Err(refused)));
        }
        while let Some(event) = self.queue.queue.poll(Duration::ZERO) {
            if event.kind() == rd::RD_KAFKA_EVENT_OFFSET_COMMIT {
                return Some(outcomes(&self.offsets, Ok(event)));
            }
        }
        (self.until <= now).then(|| outcomes(&self.offsets, Err(CommitFailure::TimedOut)))
    }

    /// The time by which there is an outcome.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }
}
