//! The few librdkafka calls that rdkafka's safe API lacks; the only unsafe code of the library.
//!
//! Owns: the effective configuration of a live client, a commit with a deadline and an answer for each
//! partition; delivery reports by the batch, with the records of those that failed (`produce`);
//! partition queues read by the batch (`consume`); where partitions end (`ends`) and which have no
//! leader (`leaders`); admin requests (`admin`) and their answers (`answer`), changes of topics (`alter`);
//! who is in a group (`described`), what it has committed (`stored`) and how that is set to something else
//! (`regroup`); what is wrong with a broker's certificate (`certificate`). It decides nothing.
#![allow(
    unsafe_code,
    reason = "rdkafka's safe API has no call for these; each block says why it is sound"
)]

mod admin;
mod alter;
mod answer;
mod certificate;
mod consume;
mod described;
mod ends;
mod message;
mod metadata;
mod produce;
mod regroup;
mod stored;
mod topics;

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::client::Client;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

pub(crate) use admin::{Admin, Answer, Came, Fault, Request};
pub(crate) use alter::TopicChange;
pub(crate) use answer::{ByPartition, notes};
pub(crate) use certificate::{BadCertificate, bad_certificate};
pub(crate) use consume::{Looked, PartitionFeed, PendingCommit, Unread, Wake};
pub(crate) use described::described;
pub(crate) use ends::PendingEnds;
pub(crate) use metadata::{Metadata, Topics, metadata, was_reached};
#[cfg(test)]
pub(crate) use produce::break_for_good;
pub(crate) use produce::{Blame, Kept, Persisted, Report, ReportQueue, Reports};
pub(crate) use regroup::{delete_group, set_offsets};
pub(crate) use stored::stored;
pub(crate) use topics::{Described, PendingTopics, TopicId};

use crate::ids::{Offset, PartitionId, TopicPartition};

/// The configuration `client` runs with, as librdkafka holds it, by the names kurier uses; secrets
/// are hidden.
pub(crate) fn effective_properties<C: ClientContext>(
    client: &Client<C>,
) -> BTreeMap<String, String> {
    let mut effective = BTreeMap::new();
    // SAFETY: the client is alive and its configuration lives as long. The dumps and the look-up of
    // the topic configuration only read it, though their signatures take a mutable pointer.
    unsafe {
        let global = rd::rd_kafka_conf(client.native_ptr()).cast_mut();
        let mut count = 0;
        let pairs = rd::rd_kafka_conf_dump(global, &mut count);
        read_dump(pairs, count, &mut effective);
        let topic = rd::rd_kafka_conf_get_default_topic_conf(global);
        if !topic.is_null() {
            let pairs = rd::rd_kafka_topic_conf_dump(topic, &mut count);
            read_dump(pairs, count, &mut effective);
        }
    }
    effective
}

/// Why a partition's offset was not committed, or is not known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitFailure {
    /// No answer within the deadline. It may be committed, or be committed later.
    TimedOut,
    /// The group's answer, or librdkafka's.
    Refused(RDKafkaErrorCode),
}

/// What became of one partition's offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitOutcome {
    pub(crate) partition: TopicPartition,
    /// The next offset to read, as it was given.
    pub(crate) offset: Offset,
    pub(crate) result: Result<(), CommitFailure>,
}

/// One outcome for each of `offsets`, in their order, as the answer says.
fn outcomes(
    offsets: &[(TopicPartition, Offset)],
    answer: Result<Event, CommitFailure>,
) -> Vec<CommitOutcome> {
    let answer = answer.map(|event| (event.error().0, event.partition_errors()));
    let any_partition = matches!(&answer, Ok((_, errors)) if errors.values().any(Option::is_some));
    let result_of = |partition: &TopicPartition| match &answer {
        Err(failure) => Err(*failure),
        // The event's own error repeats a partition's when there is one, and otherwise holds for all.
        Ok((_, errors)) if any_partition => {
            let key = (partition.topic.to_string(), partition.partition);
            match errors.get(&key) {
                Some(None) => Ok(()),
                Some(Some(code)) => Err(CommitFailure::Refused(*code)),
                None => Err(CommitFailure::Refused(RDKafkaErrorCode::UnknownPartition)),
            }
        }
        Ok((RDKafkaErrorCode::NoError, _)) => Ok(()),
        Ok((code, _)) => Err(CommitFailure::Refused(*code)),
    };
    offsets
        .iter()
        .map(|(partition, offset)| CommitOutcome {
            partition: partition.clone(),
            offset: *offset,
            result: result_of(partition),
        })
        .collect()
}

fn commit_list(
    offsets: &[(TopicPartition, Offset)],
    note: impl Fn(&str) -> Option<String>,
) -> Result<TopicPartitionList, CommitFailure> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (TopicPartition { topic, partition }, offset) in offsets {
        list.add_partition_offset(topic, partition.0, rdkafka::Offset::Offset(offset.0))
            .map_err(|_| CommitFailure::Refused(RDKafkaErrorCode::InvalidArgument))?;
    }
    put_notes(&list, note);
    Ok(list)
}

/// What is to be stored beside the positions of a list that has no such thing yet.
fn put_notes(list: &TopicPartitionList, note: impl Fn(&str) -> Option<String>) {
    for mut element in list.elements() {
        if let Some(note) = note(element.topic()) {
            element.set_metadata(note);
        }
    }
}

/// A reference to one of librdkafka's queues.
#[derive(Debug)]
struct Queue(NonNull<rd::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Queue {}

impl Queue {
    fn new(queue: *mut rd::rd_kafka_queue_t) -> Self {
        Self(NonNull::new(queue).expect("librdkafka ends the process rather than return null"))
    }

    fn poll(&self, timeout: Duration) -> Option<Event> {
        let millis = i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive while `self` is; the event is ours to destroy.
        let event = unsafe { rd::rd_kafka_queue_poll(self.0.as_ptr(), millis) };
        NonNull::new(event).map(Event)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: this reference was given to us and is dropped once.
        unsafe { rd::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// One event, ours until dropped.
struct Event(NonNull<rd::rd_kafka_event_t>);

impl Event {
    fn kind(&self) -> i32 {
        // SAFETY: the event is alive while `self` is, here and below.
        unsafe { rd::rd_kafka_event_type(self.0.as_ptr()) }
    }

    fn error(&self) -> (RDKafkaErrorCode, String) {
        // SAFETY: the event is alive and owns the text.
        unsafe {
            let code = rd::rd_kafka_event_error(self.0.as_ptr());
            let reason = text(rd::rd_kafka_event_error_string(self.0.as_ptr()));
            (code.into(), reason)
        }
    }

    fn log<C: ClientContext>(&self, context: &C) {
        let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the event is alive and owns both texts; on failure they stay null.
        let (facility, line) = unsafe {
            rd::rd_kafka_event_log(self.0.as_ptr(), &mut facility, &mut line, &mut level);
            (text(facility), text(line))
        };
        context.log(log_level(level), facility.trim(), line.trim());
    }

    fn statistics<C: ClientContext>(&self, context: &C) {
        // SAFETY: the event is alive and owns the text.
        let json = unsafe { text(rd::rd_kafka_event_stats(self.0.as_ptr())) };
        context.stats_raw(json.as_bytes());
    }

    /// The error of each partition in the event's list.
    fn partition_errors(&self) -> BTreeMap<(String, PartitionId), Option<RDKafkaErrorCode>> {
        // SAFETY: the event is alive and owns the list; the list's elements are `cnt` in number.
        let elements = unsafe {
            let list = rd::rd_kafka_event_topic_partition_list(self.0.as_ptr());
            if list.is_null() || (*list).elems.is_null() {
                return BTreeMap::new();
            }
            std::slice::from_raw_parts((*list).elems, usize::try_from((*list).cnt).unwrap_or(0))
        };
        elements
            .iter()
            .map(|element| {
                // SAFETY: an element's topic is a text that lives as long as the list.
                let topic = unsafe { text(element.topic) };
                ((topic, PartitionId(element.partition)), error_code(element.err))
            })
            .collect()
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the event was given to us and is destroyed once.
        unsafe { rd::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

/// Reads and frees a dump of names and values in turn; a name that is there already stays.
///
/// # Safety
/// `pairs` and `count` are what a dump function returned, not yet freed.
unsafe fn read_dump(
    pairs: *mut *const c_char,
    count: usize,
    effective: &mut BTreeMap<String, String>,
) {
    if pairs.is_null() {
        return;
    }
    // SAFETY: the caller's: `count` texts, names and values in turn.
    unsafe {
        for pair in std::slice::from_raw_parts(pairs, count).chunks_exact(2) {
            let (name, value) = (text(pair[0]), text(pair[1]));
            let shown = crate::config::shown(&name, &value).to_owned();
            let name = crate::config::canonical_name(&name).to_owned();
            effective.entry(name).or_insert(shown);
        }
        rd::rd_kafka_conf_dump_free(pairs, count);
    }
}

/// # Safety
/// `text` is null or a C string that is alive during the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn error_code(error: RDKafkaRespErr) -> Option<RDKafkaErrorCode> {
    (error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| error.into())
}

/// syslog's levels.
fn log_level(level: i32) -> RDKafkaLogLevel {
    match level {
        ..=0 => RDKafkaLogLevel::Emerg,
        1 => RDKafkaLogLevel::Alert,
        2 => RDKafkaLogLevel::Critical,
        3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 => RDKafkaLogLevel::Notice,
        6 => RDKafkaLogLevel::Info,
        7.. => RDKafkaLogLevel::Debug,
    }
}
