//! One record on its way out: as a caller gives it, and as librdkafka gets it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::BaseRecord;
use uuid::Uuid;

use super::books::{Route, SlotId};
use super::client::Client;
use crate::config::MESSAGE_OVERHEAD_BYTES;
use crate::outbox::Entry;
use crate::trace::{TRACEPARENT, TRACEPARENT_LEN};
use crate::{Content, Headers, Message, PartitionId, TraceContext};

/// A bare record, for what is not a [`Message`]: other formats, and tombstones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutgoingRecord {
    /// Decides the partition; `None` lets chance decide.
    pub key: Option<Bytes>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    /// In their order, names may repeat.
    pub headers: Headers,
    /// `None`: the time of sending. A broker refuses one that lies more than an hour ahead (by default,
    /// `message.timestamp.after.max.ms`); in the classic profile with every record of the batch it went
    /// out in.
    pub timestamp: Option<Timestamp>,
    /// `None`: the key decides.
    pub partition: Option<PartitionId>,
}

/// One record as it goes out.
pub(super) struct Parts<'a> {
    pub(super) topic: &'a Arc<str>,
    pub(super) id: Option<Uuid>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a Headers,
    timestamp_ms: Option<i64>,
    partition: Option<PartitionId>,
    /// Where the sender is in a trace, if its headers don't say so.
    trace: Option<TraceContext>,
}

/// Why librdkafka did not take a record.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// The client can't go on.
    Fatal(String),
    /// Something else.
    Code(RDKafkaErrorCode),
}

impl<'a> Parts<'a> {
    pub(super) fn of_message<T>(
        topic: &'a Arc<str>,
        message: &'a Message<T>,
        json: &'a [u8],
    ) -> Self
    where
        T: Content,
    {
        Self {
            topic,
            id: Some(message.id()),
            key: message.key().map(Bytes::as_ref),
            value: Some(json),
            headers: message.headers(),
            timestamp_ms: record_time(message.timestamp()),
            partition: None,
            trace: None,
        }
    }

    pub(super) fn of_record(topic: &'a Arc<str>, record: &'a OutgoingRecord) -> Self {
        Self {
            topic,
            id: None,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
            timestamp_ms: record.timestamp.map(Timestamp::as_millisecond),
            partition: record.partition,
            trace: None,
        }
    }

    /// With this header more, if there is a trace.
    pub(super) fn in_trace(mut self, trace: Option<TraceContext>) -> Self {
        self.trace = trace;
        self
    }

    pub(super) fn of_entry(topic: &'a Arc<str>, entry: &'a Entry<'_, Headers>) -> Self {
        Self {
            topic,
            id: entry.id,
            key: entry.key,
            value: entry.value,
            headers: &entry.headers,
            timestamp_ms: entry.timestamp_ms,
            partition: entry.partition,
            trace: None,
        }
    }

    /// Its headers, that of its trace included.
    pub(super) fn all_headers(&self) -> Cow<'a, Headers> {
        let Some(trace) = &self.trace else { return Cow::Borrowed(self.headers) };
        let mut headers = self.headers.clone();
        headers.push(TRACEPARENT, Some(trace.to_string().into()));
        Cow::Owned(headers)
    }

    /// As an outbox keeps it, with [these headers](Self::all_headers).
    pub(super) fn entry<'h>(&'h self, headers: &'h Headers) -> Entry<'h, &'h Headers> {
        Entry {
            topic: self.topic,
            id: self.id,
            key: self.key,
            value: self.value,
            headers,
            timestamp_ms: self.timestamp_ms,
            partition: self.partition,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let of = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        let header = |header: &crate::Header| header.name.len() + of(header.value.as_deref());
        let trace = self.trace.map_or(0, |_| TRACEPARENT.len() + TRACEPARENT_LEN);
        of(self.key) + of(self.value) + self.headers.iter().map(header).sum::<usize>() + trace
    }

    pub(super) fn cost(&self) -> usize {
        self.bytes() + MESSAGE_OVERHEAD_BYTES
    }

    pub(super) fn route(&self) -> Route {
        if self.partition.is_some() { Route::Given } else { Route::Chosen }
    }

    /// Gives the record to librdkafka, which copies it.
    ///
    /// # Errors
    /// When it is not taken; nothing of it is kept then.
    pub(super) fn hand_over(&self, client: &Client, slot: SlotId) -> Result<(), NotTaken> {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(self.topic, slot.0);
        record.key = self.key;
        record.payload = self.value;
        record.partition = self.partition.map(|partition| partition.0);
        record.timestamp = self.timestamp_ms;
        if !self.headers.is_empty() || self.trace.is_some() {
            let mut headers = OwnedHeaders::new_with_capacity(self.headers.len() + 1);
            for header in self.headers.iter() {
                let value = header.value.as_deref();
                headers = headers.insert(rdkafka::message::Header { key: &header.name, value });
            }
            if let Some(trace) = self.trace {
                let value = Some(trace.to_string());
                headers = headers
                    .insert(rdkafka::message::Header { key: TRACEPARENT, value: value.as_deref() });
            }
            record.headers = Some(headers);
        }
        client.send(record).map_err(|(error, _)| match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => NotTaken::Fatal(error.to_string()),
            code => NotTaken::Code(code.unwrap_or(RDKafkaErrorCode::Fail)),
        })
    }
}

/// The record's time for a message of this time. `None`, the time of sending, where Kafka's cannot follow:
/// a broker refuses a record from the future together with its whole batch (KIP-937), and there is no time
/// before 1970.
fn record_time(of_message: Timestamp) -> Option<i64> {
    let usable = Timestamp::UNIX_EPOCH < of_message && of_message <= Timestamp::now();
    usable.then(|| of_message.as_millisecond())
}
