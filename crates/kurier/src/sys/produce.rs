//! A producer's delivery reports, by the batch, and the records of those that failed.

use std::ffi::c_char;
use std::ptr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rdkafka::bindings as rd;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::types::{RDKafkaMessage, RDKafkaRespErr};

use super::message::{bytes_at, headers};
use super::{Event, Queue, error_code};
use crate::OutgoingRecord;
use crate::ids::{Offset, PartitionId};

/// Whether a message is in the log, as far as librdkafka can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Persisted {
    /// It was never sent, or the broker refused it.
    No,
    /// It was sent and no answer came.
    Possibly,
    /// A broker said so.
    Yes,
}

/// What librdkafka says of one message in the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    /// The opaque the message was sent with.
    pub(crate) opaque: usize,
    pub(crate) partition: PartitionId,
    /// None when the message failed, and for a duplicate the broker had already.
    pub(crate) offset: Option<Offset>,
    /// Milliseconds since the epoch.
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) error: Option<RDKafkaErrorCode>,
    pub(crate) persisted: Persisted,
}

/// Whether the broker meant this record when it refused a batch (KIP-467).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// As the report's code says.
    Settled,
    /// This one or others of its batch: nobody can tell.
    Unknown,
}

/// A message that failed and was asked for, with all that it needs to be sent again.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) report: Report,
    pub(crate) blame: Blame,
    /// Its partition is the one it was given, by its sender or by the partitioner.
    pub(crate) record: OutgoingRecord,
    /// How long ago librdkafka took it.
    pub(crate) age: Duration,
}

/// What one or several looks into the queue gave.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// Delivered, or failed and not asked for.
    pub(crate) plain: Vec<Report>,
    /// Failed and asked for.
    pub(crate) kept: Vec<Kept>,
}

/// A producer's main queue, polled one event at a time, so that all reports of a batch arrive
/// together: `BaseProducer::poll` calls back for each message and goes on until its time is up.
#[derive(Debug)]
pub(crate) struct ReportQueue {
    queue: Queue,
}

impl ReportQueue {
    /// The main queue of `producer`. It must be dropped before the producer is.
    pub(crate) fn of<C: ProducerContext>(producer: &BaseProducer<C>) -> Self {
        // SAFETY: the client is alive; the call gives a new reference to its queue, never null.
        let queue = unsafe { rd::rd_kafka_queue_get_main(producer.client().native_ptr()) };
        Self { queue: Queue::new(queue) }
    }

    /// Waits at most `timeout` for one event and serves it: delivery reports are appended to
    /// `reports`, with their records where `keeps` wants them; `latency` hears how long each delivery
    /// took. Everything else goes to the context of `producer`.
    pub(crate) fn poll<C: ProducerContext>(
        &self,
        producer: &BaseProducer<C>,
        timeout: Duration,
        keeps: impl Fn(RDKafkaErrorCode, Blame) -> bool,
        latency: Option<&dyn Fn(Duration)>,
        reports: &mut Reports,
    ) {
        let Some(event) = self.queue.poll(timeout) else { return };
        let context = producer.client().context().as_ref();
        match event.kind() {
            rd::RD_KAFKA_EVENT_DR => event.append_reports(keeps, latency, reports),
            rd::RD_KAFKA_EVENT_LOG => event.log(context),
            rd::RD_KAFKA_EVENT_ERROR => {
                let (code, reason) = event.error();
                context.error(KafkaError::Global(code), &reason);
            }
            rd::RD_KAFKA_EVENT_STATS => event.statistics(context),
            // OAuth tokens are refreshed by librdkafka itself; nothing else was asked for.
            _ => {}
        }
    }
}

/// Puts `client` into the state in which it refuses to go on.
#[cfg(test)]
pub(crate) fn break_for_good<C: ProducerContext>(client: &BaseProducer<C>, code: RDKafkaErrorCode) {
    let code = match code {
        RDKafkaErrorCode::ClusterAuthorizationFailed => {
            rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED
        }
        _ => rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
    };
    // SAFETY: the client is alive and the text is copied.
    unsafe {
        rd::rd_kafka_test_fatal_error(client.client().native_ptr(), code, c"a test".as_ptr());
    }
}

impl Event {
    fn append_reports(
        &self,
        keeps: impl Fn(RDKafkaErrorCode, Blame) -> bool,
        latency: Option<&dyn Fn(Duration)>,
        reports: &mut Reports,
    ) {
        let mut failed = Vec::new();
        // SAFETY: the event is alive; the messages it gives belong to it and live as long.
        unsafe {
            reports.plain.reserve(rd::rd_kafka_event_message_count(self.0.as_ptr()));
            loop {
                let message = rd::rd_kafka_event_message_next(self.0.as_ptr());
                if message.is_null() {
                    break;
                }
                let report = Report::read(message);
                match report.error {
                    None => {
                        if let Some(latency) = latency {
                            latency(age(message));
                        }
                        reports.plain.push(report);
                    }
                    Some(code) => failed.push(Failed { message, report, code }),
                }
            }
            let blame = put_blame(&mut failed);
            for Failed { message, report, code } in failed {
                if keeps(code, blame) {
                    reports.kept.push(Kept::read(message, report, blame));
                } else {
                    reports.plain.push(report);
                }
            }
        }
    }
}

impl Report {
    /// # Safety
    /// `message` points at a message of a delivery report event that is still alive.
    unsafe fn read(message: *const RDKafkaMessage) -> Self {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the caller's; the calls only read the message, and `kind` outlives its call.
        let (fields, status, timestamp) = unsafe {
            (
                &*message,
                rd::rd_kafka_message_status(message),
                rd::rd_kafka_message_timestamp(message, &mut kind),
            )
        };
        let error = error_code(fields.err);
        Self {
            opaque: fields._private as usize,
            partition: PartitionId(fields.partition),
            offset: (error.is_none() && 0 <= fields.offset).then_some(Offset(fields.offset)),
            timestamp_ms: (0 <= timestamp).then_some(timestamp),
            error,
            persisted: match status {
                rd::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED => Persisted::No,
                rd::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED => {
                    Persisted::Possibly
                }
                rd::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_PERSISTED => Persisted::Yes,
            },
        }
    }
}

impl Kept {
    /// # Safety
    /// As [`Report::read`].
    unsafe fn read(message: *const RDKafkaMessage, report: Report, blame: Blame) -> Self {
        // SAFETY: the caller's; keys and payloads are `len` bytes that live as long as the message. The
        // borrow of its fields ends before it is written to.
        let (key, value, headers, age, timestamp) = unsafe {
            let fields = &*message;
            (
                bytes_at(fields.key, fields.key_len),
                bytes_at(fields.payload, fields.len),
                headers(message),
                age(message),
                timestamp_of_failed(message.cast_mut()),
            )
        };
        let (key, value) = in_one_piece(key, value);
        let partition = (0 <= report.partition.0).then_some(report.partition);
        let record = OutgoingRecord { key, value, headers, timestamp, partition };
        Self { report, blame, record, age }
    }
}

/// How long ago librdkafka took a message.
///
/// # Safety
/// As [`Report::read`].
unsafe fn age(message: *const RDKafkaMessage) -> Duration {
    // SAFETY: the caller's; the call only reads the message.
    let micros = unsafe { rd::rd_kafka_message_latency(message) };
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// The timestamp a message was sent with. librdkafka has it, and gives it away only for messages without
/// an error (2.12.1, `rd_kafka_message_timestamp`).
///
/// # Safety
/// As [`Report::read`], and nothing else looks at the message meanwhile.
unsafe fn timestamp_of_failed(message: *mut RDKafkaMessage) -> Option<jiff::Timestamp> {
    // SAFETY: the caller's; the error is put back before anyone else reads it.
    let millis = unsafe {
        let error = (*message).err;
        (*message).err = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        let millis = rd::rd_kafka_message_timestamp(message, ptr::null_mut());
        (*message).err = error;
        millis
    };
    (0 <= millis).then(|| jiff::Timestamp::from_millisecond(millis).ok()).flatten()
}

fn in_one_piece(key: Option<&[u8]>, value: Option<&[u8]>) -> (Option<Bytes>, Option<Bytes>) {
    let key_len = key.map_or(0, <[u8]>::len);
    let mut whole = BytesMut::with_capacity(key_len + value.map_or(0, <[u8]>::len));
    whole.extend_from_slice(key.unwrap_or_default());
    whole.extend_from_slice(value.unwrap_or_default());
    let mut whole = whole.freeze();
    let key = key.map(|_| whole.split_to(key_len));
    (key, value.map(|_| whole))
}

struct Failed {
    message: *const RDKafkaMessage,
    report: Report,
    code: RDKafkaErrorCode,
}

/// Tells the records that a broker named as bad from the rest of their batch, whose code becomes
/// `InvalidDifferentRecord`.
///
/// librdkafka 2.12.1 does so itself when the broker names several. When it names one,
/// `rd_kafka_interceptors_on_acknowledgement_queue` then gives all of the batch that one's code. What
/// still tells them apart is the text of the reason, by its address alone: it is freed by now, but for
/// that of the rest, which is one and the same literal.
///
/// # Safety
/// The messages are those of one delivery report event, which is still alive.
unsafe fn put_blame(failed: &mut [Failed]) -> Blame {
    let alike = failed.windows(2).all(|two| two[0].code == two[1].code);
    if failed.len() < 2 || !alike {
        return Blame::Settled;
    }
    // Brokers measure the batch, and name no record of it.
    if matches!(failed[0].code, RDKafkaErrorCode::MessageSizeTooLarge) {
        return Blame::Unknown;
    }
    // SAFETY: the caller's; the texts are not read.
    let text = |failed: &Failed| unsafe { rd::rd_kafka_message_produce_errstr(failed.message) };
    let texts: Vec<*const c_char> = failed.iter().map(text).collect();
    let of_the_rest = match texts[..] {
        [one, other] if one == other => return Blame::Settled,
        [text, null] | [null, text] if null.is_null() => text,
        [_, _] => return Blame::Unknown,
        [one, two, three, ..] => {
            let common = if one == two { one } else { three };
            let named = texts.iter().filter(|text| !ptr::eq(**text, common)).count();
            if common.is_null() || named != 1 {
                return Blame::Settled;
            }
            common
        }
        _ => return Blame::Settled,
    };
    for (failed, text) in failed.iter_mut().zip(texts) {
        if ptr::eq(text, of_the_rest) {
            failed.code = RDKafkaErrorCode::InvalidDifferentRecord;
            failed.report.error = Some(failed.code);
        }
    }
    Blame::Settled
}
