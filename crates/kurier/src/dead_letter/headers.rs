//! What is written on a dead letter: the one place where the headers' names, their form and their bounds
//! stand. *Pure.*

use std::fmt::Display;
use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;

use super::{DeadLetter, DeadLetterCause, NotADeadLetter};
use crate::{
    Header, Headers, Offset, OutgoingRecord, PartitionId, Position, Record, TopicPartition,
};

/// All of kurier's own headers begin like this, and no others may.
const PREFIX: &str = "kurier.dlq.";

const TOPIC: &str = "kurier.dlq.topic";
const PARTITION: &str = "kurier.dlq.partition";
const OFFSET: &str = "kurier.dlq.offset";
const TIMESTAMP: &str = "kurier.dlq.timestamp";
const CAUSE: &str = "kurier.dlq.cause";
const ERROR: &str = "kurier.dlq.error";
const ATTEMPTS: &str = "kurier.dlq.attempts";
const FIRST_FAILURE: &str = "kurier.dlq.first-failure";
const LAST_FAILURE: &str = "kurier.dlq.last-failure";
const GROUP: &str = "kurier.dlq.group";
const HOPS: &str = "kurier.dlq.hops";

/// Longest text of an error, in bytes.
const ERROR_MAX: usize = 1024;
/// Longest name, in bytes: what Kafka allows a topic. Its limit for groups is higher.
const NAME_MAX: usize = 249;

/// What a consumer says of a message that it gives up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub(crate) cause: DeadLetterCause,
    pub(crate) error: String,
    /// Calls of the handler.
    pub(crate) attempts: u32,
    pub(crate) first_failure: Timestamp,
    pub(crate) last_failure: Timestamp,
}

/// The copy of `record` that goes to the dead-letter topic. Its key decides the partition, and its time is
/// that of sending, so that it is kept as long as the dead-letter topic keeps records.
pub(crate) fn letter(record: &Record, given_up: &GivenUp, group: &str) -> OutgoingRecord {
    let GivenUp { cause, error, attempts, first_failure, last_failure } = given_up;
    let mut headers = without_ours(&record.headers);
    let mut write = |name: &str, value: String| headers.push(name, Some(value.into()));
    write(TOPIC, cut(record.topic(), NAME_MAX).to_owned());
    write(PARTITION, record.partition().to_string());
    write(OFFSET, record.offset().to_string());
    if let Some(timestamp) = record.timestamp {
        write(TIMESTAMP, timestamp.as_millisecond().to_string());
    }
    write(CAUSE, cause.to_string());
    write(ERROR, cut(error, ERROR_MAX).to_owned());
    write(ATTEMPTS, attempts.to_string());
    write(FIRST_FAILURE, format!("{first_failure:.3}"));
    write(LAST_FAILURE, format!("{last_failure:.3}"));
    write(GROUP, cut(group, NAME_MAX).to_owned());
    write(HOPS, hops(&record.headers).saturating_add(1).to_string());
    outgoing(record, headers)
}

/// See [`DeadLetter::read`].
pub(super) fn read(record: Record) -> Result<DeadLetter, NotADeadLetter> {
    let fields = Fields(&record);
    let topic = fields.text(TOPIC)?;
    let partition = TopicPartition::new(topic, PartitionId(fields.parsed(PARTITION)?));
    let source = Position::new(partition, Offset(fields.parsed(OFFSET)?));
    let source_timestamp = match record.headers.get(TIMESTAMP) {
        None => None,
        Some(_) => Some(fields.millisecond(TIMESTAMP)?),
    };
    Ok(DeadLetter {
        source,
        source_timestamp,
        cause: fields.parsed(CAUSE)?,
        error: fields.text(ERROR)?.to_owned(),
        attempts: fields.parsed(ATTEMPTS)?,
        first_failure: fields.parsed(FIRST_FAILURE)?,
        last_failure: fields.parsed(LAST_FAILURE)?,
        group: fields.text(GROUP)?.to_owned(),
        hops: fields.parsed(HOPS)?,
        record,
    })
}

/// See [`DeadLetter::original`].
pub(super) fn original(letter: &DeadLetter) -> OutgoingRecord {
    let mut headers = without_ours(&letter.record.headers);
    headers.push(HOPS, Some(letter.hops.to_string().into()));
    outgoing(&letter.record, headers)
}

fn outgoing(record: &Record, headers: Headers) -> OutgoingRecord {
    let (key, value) = (record.key.clone(), record.value.clone());
    OutgoingRecord { key, value, headers, timestamp: None, partition: None }
}

fn without_ours(headers: &Headers) -> Headers {
    let others = headers.iter().filter(|header| !header.name.starts_with(PREFIX));
    others.cloned().collect::<Vec<Header>>().into()
}

/// How often a message was given up before. One whose header is no number came from somewhere else.
fn hops(headers: &Headers) -> u32 {
    headers.get(HOPS).and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0)
}

/// The beginning of `text`: at most `max` bytes, and whole characters.
fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// The headers of one record, to be read by name.
struct Fields<'a>(&'a Record);

impl<'a> Fields<'a> {
    fn text(&self, name: &'static str) -> Result<&'a str, NotADeadLetter> {
        let value: &Bytes =
            self.0.headers.get(name).ok_or_else(|| self.wrong(name, "it is missing"))?;
        std::str::from_utf8(value).map_err(|error| self.wrong(name, &error))
    }

    fn parsed<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, NotADeadLetter> {
        let text = self.text(name)?;
        let found = || cut(text, NAME_MAX);
        text.parse().map_err(|error| self.wrong(name, &format!("{error}, found {:?}", found())))
    }

    fn millisecond(&self, name: &'static str) -> Result<Timestamp, NotADeadLetter> {
        let millis = self.parsed(name)?;
        Timestamp::from_millisecond(millis).map_err(|error| self.wrong(name, &error))
    }

    fn wrong(&self, header: &'static str, reason: &(impl Display + ?Sized)) -> NotADeadLetter {
        NotADeadLetter { position: self.0.position(), header, reason: reason.to_string() }
    }
}
