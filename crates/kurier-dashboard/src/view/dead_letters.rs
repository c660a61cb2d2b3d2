//! Dead letters: `/api/v1/dead-letters`, `/api/v1/dead-letters/{topic}`, and
//! `POST /api/v1/dead-letters/{topic}/replay`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Bytes, Stopped};

/// A row of `/api/v1/dead-letters`, which answers `Panel<Vec<DeadLetterTopic>>`: topics of dead letters
/// are those that were named at start, those that our own clients write to, and those called `….dlq`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadLetterTopic {
    /// Its name.
    pub topic: String,
    /// Offsets between first and next.
    pub messages: Option<i64>,
    /// Letters written a second.
    pub rate: Option<f64>,
}

/// Which letters are shown: `?cause=…&error=…&limit=…`. All are counted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LettersAsked {
    /// Only letters with this cause; empty: all.
    pub cause: String,
    /// Only letters whose error contains this.
    pub error: String,
    /// How many, at most 200.
    pub limit: usize,
}

impl Default for LettersAsked {
    fn default() -> Self {
        Self { cause: String::new(), error: String::new(), limit: 50 }
    }
}

/// `/api/v1/dead-letters/{topic}`: read from the newest on, within bounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadLetters {
    /// By cause and error, the most frequent first.
    pub by_error: Vec<ErrorCount>,
    /// The newest, at most as many as asked for.
    pub letters: Vec<LetterRow>,
    /// Records that are no dead letters of kurier's.
    pub foreign: u64,
    /// How many records were looked at.
    pub scanned: u64,
    /// How many offsets there were.
    pub of: u64,
    /// How long that took, in seconds.
    pub seconds: f64,
    /// Why it ended.
    pub stopped: Stopped,
    /// Partitions that were not looked at, or not to their ends, and why.
    pub left_out: Vec<(i32, String)>,
}

/// How often an error occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorCount {
    /// `rejected`, `retries-exhausted`, `panicked` or `unreadable`.
    pub cause: String,
    /// The error's words, without what differs from letter to letter: `order <n> is not there`.
    pub error: String,
    /// The longest piece that all their errors have: what a replay of these takes as `error`.
    pub contains: String,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Option<Timestamp>,
    /// The last of them.
    pub last: Option<Timestamp>,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LetterRow {
    /// Where the letter is.
    pub partition: i32,
    /// Where the letter is.
    pub offset: i64,
    /// The topic, partition and offset it came from.
    pub source: (String, i32, i64),
    /// Why it is here.
    pub cause: String,
    /// The error's words.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it failed first.
    pub first_failure: Timestamp,
    /// When it failed last.
    pub last_failure: Timestamp,
    /// The group that gave it up.
    pub group: String,
    /// How often it was given up, this time included.
    pub hops: u32,
    /// Its key.
    pub key: Option<Bytes>,
    /// The original bytes.
    pub value: Option<Bytes>,
    /// Its own headers.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// The body of `POST /api/v1/dead-letters/{topic}/replay`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayAsked {
    /// Where to; none: each to the topic it came from.
    pub to: Option<String>,
    /// Only letters with this cause.
    pub cause: Option<String>,
    /// Only letters whose error contains this.
    pub error: Option<String>,
    /// At most so many.
    pub max: Option<u64>,
    /// Only says what would be done; needs no token. Not doing so has to be said.
    #[serde(default = "super::only_told")]
    pub dry_run: bool,
}

/// What became of a replay, or would. `GET /api/v1/dead-letters/{topic}/replay` answers it for the one that
/// is running or ran last, and 404 where there was none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayAnswer {
    /// Whether it was done: false for a dry run, and while it is running.
    pub done: bool,
    /// Whether it is still running; then the figures are those so far.
    pub running: bool,
    /// When it began.
    pub since: Timestamp,
    /// Letters sent again, or that would be.
    pub replayed: u64,
    /// Letters that were not meant.
    pub passed_over: u64,
    /// Letters that were left, by the reason.
    pub left: Vec<(String, u64)>,
    /// Where they go, as far as that is known before they are sent; at most 100.
    pub to: Vec<String>,
    /// Why it ended before its end, if it did.
    pub stopped: Option<String>,
}
