//! Groups: `/api/v1/groups`, `/api/v1/groups/{group}`, and `POST /api/v1/groups/{group}/reset`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Panel, Series};

/// A row of `/api/v1/groups`, which answers `Panel<Rows<GroupRow>>`. Sorts by `name`, `members`, `lag`,
/// `state`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupRow {
    /// Its name.
    pub name: String,
    /// Whether it only keeps how far a replay of dead letters has got: its lag is nobody's.
    pub replay: bool,
    /// `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty`, `Dead` or `Unknown`.
    pub state: String,
    /// How many members it has; none until it was described.
    pub members: Option<usize>,
    /// The topics it commits in or owns partitions of.
    pub topics: Vec<String>,
    /// How far it is behind over all of them; none without a commit.
    pub lag: Option<i64>,
    /// Whether that shrinks, over the last minute: the worst of its partitions.
    pub verdict: LagVerdict,
    /// Partitions that nobody owns though others of the same topic are owned.
    pub without_owner: usize,
    /// When this group was looked at.
    pub as_of: Option<Timestamp>,
    /// Why it was not looked at since.
    pub error: Option<String>,
}

/// How a group's lag behaves, from a minute of looks at its commits: the words are Burrow's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LagVerdict {
    /// It keeps up, or catches up.
    Ok,
    /// Too few looks, no commit, or it is not told who is in the group.
    Unknown,
    /// Commits move, and the lag has grown throughout the minute.
    Warn,
    /// Commits went back within a quarter of an hour, and are not where they were.
    Rewind,
    /// Commits lie beyond the end, and stay there: the topic was made anew or cut off, and what is written
    /// below them is passed over; or a transaction is open.
    Ahead,
    /// There is lag, there are members, and no commit moved throughout the minute.
    Stall,
    /// There is lag and no member.
    Stop,
}

/// `/api/v1/groups/{group}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupDetail {
    /// The same as in the list.
    pub group: Panel<GroupRow>,
    /// The broker that looks after it: `2 (kafka2:9092)`.
    pub coordinator: Option<String>,
    /// How partitions are handed out: `cooperative-sticky`.
    pub protocol: Option<String>,
    /// Its members.
    pub members: Vec<MemberRow>,
    /// Its partitions.
    pub partitions: Vec<GroupPartition>,
    /// Partitions of its topics that have neither commit nor owner: `orders-3`.
    pub untouched: Vec<String>,
    /// The lag of all over the last quarter of an hour.
    pub history: Option<Series>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberRow {
    /// The id the coordinator gave it.
    pub id: String,
    /// What its client calls itself.
    pub client_id: String,
    /// Its own name within the group, if it is a static member.
    pub instance_id: Option<String>,
    /// Where its connection comes from.
    pub host: String,
    /// The partitions it owns: `orders-3`.
    pub partitions: Vec<String>,
}

/// A group at a partition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupPartition {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The next offset the group will read; none without a commit.
    pub committed: Option<i64>,
    /// The partition's end.
    pub end: Option<i64>,
    /// Messages between them.
    pub lag: Option<i64>,
    /// Whose it is: the member's `client_id`; none stands out when the group has members.
    pub owner: Option<String>,
    /// When a commit moved last, as far as this dashboard saw.
    pub moved: Option<Timestamp>,
    /// How the lag behaves.
    pub verdict: LagVerdict,
    /// The lag over the last quarter of an hour.
    pub history: Series,
}

/// The body of `POST /api/v1/groups/{group}/reset`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetAsked {
    /// The topic whose positions are set.
    pub topic: String,
    /// Only this partition; none: all.
    pub partition: Option<i32>,
    /// `earliest`, `latest`, an offset, or a time in RFC 3339.
    pub to: String,
    /// Only says what would be done; needs no token. Not doing so has to be said.
    #[serde(default = "super::only_told")]
    pub dry_run: bool,
}

/// What became of a reset, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResetAnswer {
    /// Whether it was done, for each of them.
    pub done: bool,
    /// Each position.
    pub moves: Vec<ResetMove>,
}

/// One position that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResetMove {
    /// The partition's number.
    pub partition: i32,
    /// Where it was.
    pub from: Option<i64>,
    /// Where it is, or would be.
    pub to: i64,
    /// Why it was not set.
    pub error: Option<String>,
}
