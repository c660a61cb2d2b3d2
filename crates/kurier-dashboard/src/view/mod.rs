//! What `/api/v1/…` answers: plain data, and the contract between the server and the page.
//!
//! Times are RFC 3339 in UTC, durations seconds, rates per second. A figure that is not known is `null`,
//! never 0. Fields are only ever added.

mod clients;
mod cluster;
mod dead_letters;
mod events;
mod groups;
mod messages;
mod topics;

pub use clients::*;
pub use cluster::*;
pub use dead_letters::*;
pub use events::*;
pub use groups::*;
pub use messages::*;
pub use topics::*;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What one collector saw last, how old that is, and what went wrong since.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Panel<T> {
    /// When `data` was seen; none yet: it never was.
    pub as_of: Option<Timestamp>,
    /// Why there is nothing newer. `data` is the last that was seen, and may be older than usual.
    pub error: Option<String>,
    /// What was seen.
    pub data: Option<T>,
}

impl<T> Panel<T> {
    /// The same with something else made of the data.
    pub(crate) fn map<U>(self, make: impl FnOnce(T) -> U) -> Panel<U> {
        let Self { as_of, error, data } = self;
        Panel { as_of, error, data: data.map(make) }
    }
}

/// A part of a list, cut on the server: a page never carries thousands of rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rows<T> {
    /// These rows.
    pub rows: Vec<T>,
    /// How many there are that match what was asked for.
    pub matching: usize,
    /// How many there are at all.
    pub total: usize,
    /// Which part this is, from 1 on.
    pub page: usize,
    /// How many rows a part has at most.
    pub per_page: usize,
}

/// Which part of a list is asked for: `?query=…&sort=…&page=…&per_page=…`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RowsAsked {
    /// Only names that contain this, in any case.
    pub query: String,
    /// By which column: `name`, or one that the list names; a `-` before it turns the order round.
    pub sort: String,
    /// Which part, from 1 on.
    pub page: usize,
    /// How many rows, at most 200.
    pub per_page: usize,
}

impl Default for RowsAsked {
    fn default() -> Self {
        Self { query: String::new(), sort: "name".to_owned(), page: 1, per_page: 50 }
    }
}

/// A value over time, at even steps: what a small chart is drawn of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// When the last value was seen.
    pub until: Timestamp,
    /// Seconds between two values.
    pub step_seconds: f64,
    /// Oldest first; `null` where nothing was seen.
    pub values: Vec<Option<f64>>,
}

/// What is wrong with a request, as the body of every answer that is not 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong, where, and what to do.
    pub error: String,
}

/// A writing action only tells what it would do, unless it is said that it is meant.
fn only_told() -> bool {
    true
}
