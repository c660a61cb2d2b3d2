//! One record as Kafka has it, and the same record with its value read. Knows nothing of how values
//! are read.

use std::sync::Arc;

use bytes::Bytes;

use crate::message::Headers;
use crate::{Offset, PartitionId, Position, TopicPartition, TraceContext};

/// One record as Kafka has it.
///
/// Cheap to clone: the topic's name is shared, and key and value are slices of shared memory.
///
/// Consumers make records; [`Record::new`] is there for the tests of decoders and handlers.
///
/// ```
/// use kurier::{Offset, PartitionId, Record};
///
/// let record = Record::new("orders", PartitionId(0), Offset(17)).with_key("a").with_value("hello");
/// assert_eq!(record.value().map(|value| &value[..]), Some(&b"hello"[..]));
/// assert_eq!(record.position().to_string(), "orders[0] offset 17");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: Offset,
    pub(crate) timestamp: Option<jiff::Timestamp>,
    pub(crate) key: Option<Bytes>,
    pub(crate) headers: Headers,
    pub(crate) value: Option<Bytes>,
}

impl Record {
    /// A record at this place with nothing in it: no key, no headers, no timestamp, and a null value,
    /// which makes it a tombstone.
    pub fn new(topic: impl Into<Arc<str>>, partition: PartitionId, offset: Offset) -> Self {
        Self {
            partition: TopicPartition::new(topic, partition),
            offset,
            timestamp: None,
            key: None,
            headers: Headers::new(),
            value: None,
        }
    }

    /// The same record with this key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same record with this value; an empty one is not a tombstone.
    #[must_use]
    pub fn with_value(mut self, value: impl Into<Bytes>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// The same record with these headers in place of those it has.
    #[must_use]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// The same record with this timestamp. Kafka's are in milliseconds.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: jiff::Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Bytes of its key, value and headers.
    pub fn size(&self) -> usize {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers = self.headers.iter();
        let of_headers = headers.map(|header| header.name.len() + length(&header.value));
        length(&self.key) + length(&self.value) + of_headers.sum::<usize>()
    }

    /// Where the record is.
    pub fn position(&self) -> Position {
        Position::new(self.partition.clone(), self.offset)
    }

    /// The topic and the partition.
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.partition.topic
    }

    /// The partition within the topic.
    pub fn partition(&self) -> PartitionId {
        self.partition.partition
    }

    /// The place within the partition.
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Kafka's timestamp of the record, in whole milliseconds: the producer's or the broker's, as the
    /// topic is configured. None when the record carries none.
    pub fn timestamp(&self) -> Option<jiff::Timestamp> {
        self.timestamp
    }

    /// The key. None is a record without one, which is not the same as an empty key.
    pub fn key(&self) -> Option<&Bytes> {
        self.key.as_ref()
    }

    /// The headers, in order, repeated names included.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The trace that whoever sent the record was in, by its header `traceparent`. None when it has none,
    /// or a malformed one.
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::of(&self.headers)
    }

    /// The value as bytes. None is a tombstone.
    pub fn value(&self) -> Option<&Bytes> {
        self.value.as_ref()
    }

    /// True for a record whose value is null: on a compacted topic, "this key is gone".
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }
}

/// A record with its value read by a [`Decoder`](crate::Decoder): what a handler is given.
///
/// A tombstone (null value) has no value: [`value`](Self::value) is then `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<M> {
    pub(crate) record: Record,
    pub(crate) value: Option<M>,
}

impl<M> Received<M> {
    /// A record and what its value was read as, for the tests of handlers. `None` stands for a
    /// tombstone.
    pub fn new(record: Record, value: Option<M>) -> Self {
        Self { record, value }
    }

    /// The record as Kafka has it, its value as bytes included.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What the value was read as; None is a tombstone.
    pub fn value(&self) -> Option<&M> {
        self.value.as_ref()
    }

    /// What the value was read as, leaving the record behind; None is a tombstone.
    pub fn into_value(self) -> Option<M> {
        self.value
    }

    /// The record and what its value was read as.
    pub fn into_parts(self) -> (Record, Option<M>) {
        (self.record, self.value)
    }

    /// True for a record whose value is null.
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    /// Where the record is.
    pub fn position(&self) -> Position {
        self.record.position()
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        self.record.topic()
    }

    /// The partition within the topic.
    pub fn partition(&self) -> PartitionId {
        self.record.partition()
    }

    /// The place within the partition.
    pub fn offset(&self) -> Offset {
        self.record.offset()
    }

    /// The record's key.
    pub fn key(&self) -> Option<&Bytes> {
        self.record.key()
    }

    /// The record's headers.
    pub fn headers(&self) -> &Headers {
        self.record.headers()
    }

    /// The trace that whoever sent the record was in; see [`Record::trace_context`].
    pub fn trace_context(&self) -> Option<TraceContext> {
        self.record.trace_context()
    }

    /// Kafka's timestamp of the record, not the message's own.
    pub fn timestamp(&self) -> Option<jiff::Timestamp> {
        self.record.timestamp()
    }
}
