//! Messages: `/api/v1/messages/{topic}`, and `/api/v1/messages/{topic}/tail` as server-sent events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is asked for: `?from=…&at=…&partition=…&key=…&value=…&header=…&limit=…`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessagesAsked {
    /// `start`, `end` (the last ones), `offset:N` or `time:RFC3339`.
    pub from: String,
    /// Where to go on: what the last answer had as `next`, written `0:17,1:20`. From the end on, what lies
    /// before these offsets, else what begins with them; partitions that are not named are done.
    pub at: String,
    /// Only this partition; none: all.
    pub partition: Option<i32>,
    /// Only keys that contain this.
    pub key: String,
    /// Only values that contain this.
    pub value: String,
    /// Only messages with a header whose name or value contains this.
    pub header: String,
    /// How many messages, at most 500.
    pub limit: usize,
}

impl Default for MessagesAsked {
    fn default() -> Self {
        Self {
            from: "end".to_owned(),
            at: String::new(),
            partition: None,
            key: String::new(),
            value: String::new(),
            header: String::new(),
            limit: 50,
        }
    }
}

/// What was found, how much was looked at, and why no more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessagesAnswer {
    /// What was found, newest first when asked from the end, else oldest first.
    pub messages: Vec<MessageRow>,
    /// How many records were looked at.
    pub scanned: u64,
    /// How many offsets there were to look at.
    pub of: u64,
    /// How long that took, in seconds.
    pub seconds: f64,
    /// Why it ended.
    pub stopped: Stopped,
    /// Where the next look would go on, for each partition that has more; it may begin with messages that
    /// are in this answer already, where this look was broken off.
    pub next: Vec<(i32, i64)>,
    /// Partitions that were not looked at, or not to their ends, and why: one without a leader can't be read.
    pub left_out: Vec<(i32, String)>,
}

/// What of a topic is shown as it comes:
/// `/api/v1/messages/{topic}/tail?partition=…&key=…&value=…&header=…`.
///
/// The stream begins with `event: begun` ([`TailBegun`]). Then comes `event: message` ([`MessageRow`]) for
/// each that is shown, `event: left-out` ([`LeftOut`]) at most once a second when there are more than a page
/// can show, and in the end `event: ended` ([`Problem`](super::Problem)), unless the connection is cut.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TailAsked {
    /// Only this partition; none: all.
    pub partition: Option<i32>,
    /// Only keys that contain this.
    pub key: String,
    /// Only values that contain this.
    pub value: String,
    /// Only messages with a header whose name or value contains this.
    pub header: String,
}

/// What is tailed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TailBegun {
    /// The partitions, and the offset each begins with.
    pub partitions: Vec<(i32, i64)>,
    /// Partitions that are not read, and why.
    pub left_out: Vec<(i32, String)>,
}

/// Messages that would have been shown, had there not been so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// All of this stream so far.
    pub messages: u64,
}

/// Why a look at messages ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// As many were found as asked for.
    Limit,
    /// Everything was looked at.
    End,
    /// It took too long.
    Time,
    /// So many bytes were read that more would be too much for a page.
    Bytes,
    /// The cluster failed.
    Error(String),
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessageRow {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time; none where the record has none.
    pub timestamp: Option<Timestamp>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; none is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers, in order; names may repeat.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// Bytes, in the forms that they have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bytes {
    /// How many there are.
    pub length: usize,
    /// As text, when they are UTF-8; cut to 16 KiB.
    pub text: Option<String>,
    /// Whether the text is whole and JSON, so that a page may indent it.
    pub json: bool,
    /// As hex, two digits a byte without spaces: the first 1,024.
    pub hex: String,
    /// Whether anything was cut.
    pub cut: bool,
}
