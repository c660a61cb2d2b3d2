//! The cluster and its brokers: `/api/v1/overview` and `/api/v1/brokers`.

use jiff::Timestamp;
use serde::Serialize;

use super::{ClientTotals, Panel, Series};

/// `/api/v1/overview`: the whole in ten seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// The server's clock: ages are counted from it.
    pub now: Timestamp,
    /// Of the server itself: `0.1.0`.
    pub version: &'static str,
    /// Where the cluster is asked: the addresses as they were given, without any secret.
    pub bootstrap: String,
    /// Whether writing actions are possible: a token was set.
    pub writable: bool,
    /// The state, and why.
    pub status: Status,
    /// The cluster.
    pub cluster: Panel<ClusterSummary>,
    /// What is written, by the ends of the partitions.
    pub traffic: Panel<Traffic>,
    /// How far all groups are behind.
    pub lag: Panel<LagSummary>,
    /// Our own clients, all together.
    pub clients: Panel<ClientTotals>,
}

/// The state of the cluster in a word and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The word.
    pub state: State,
    /// Why, the worst first: `broker 2 has not been there for 14 s`. Empty when healthy.
    pub reasons: Vec<String>,
    /// Since when it is this state.
    pub since: Timestamp,
}

/// A state, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing is wrong.
    Healthy,
    /// Nothing was seen yet.
    Unknown,
    /// Messages flow, with less safety or to fewer partitions than there should be.
    Degraded,
    /// The cluster does not answer.
    Down,
}

/// The cluster in figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterSummary {
    /// Its id; old brokers have none.
    pub id: Option<String>,
    /// The controller, or the broker that stands for it.
    pub controller: Option<i32>,
    /// Brokers that are there.
    pub brokers_up: usize,
    /// Brokers that were ever seen.
    pub brokers_known: usize,
    /// Topics, Kafka's own included.
    pub topics: usize,
    /// Partitions.
    pub partitions: usize,
    /// Partitions without a leader: nobody can write or read them.
    pub offline: usize,
    /// Partitions with fewer replicas in sync than replicas.
    pub under_replicated: usize,
    /// Partitions with fewer replicas in sync than `min.insync.replicas`: `acks=all` is refused. None
    /// while the setting is not known.
    pub under_min_isr: Option<usize>,
    /// Partitions with just as many as `min.insync.replicas`: one more death and `acks=all` is refused.
    pub at_min_isr: Option<usize>,
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Traffic {
    /// Messages a second over all partitions; none until there are two looks.
    pub messages_per_second: Option<f64>,
    /// The same over the last quarter of an hour.
    pub history: Series,
}

/// How far the groups are behind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LagSummary {
    /// Groups; those that only keep how far a replay has got are left out here and below.
    pub groups: usize,
    /// Messages over all groups and partitions where that is known; none when it is nowhere.
    pub total: Option<i64>,
    /// The groups that are behind most, at most ten.
    pub worst: Vec<GroupLagRow>,
    /// The total over the last quarter of an hour.
    pub history: Series,
}

/// One group's lag, for the overview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupLagRow {
    /// The group.
    pub group: String,
    /// Messages; none without a commit.
    pub lag: Option<i64>,
}

/// A row of `/api/v1/brokers`, which answers `Panel<Vec<BrokerRow>>`: every broker that was ever seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokerRow {
    /// Its number.
    pub id: i32,
    /// `host:port`.
    pub address: String,
    /// Whether the cluster lists it, and it takes connections as far as was tried: it is tried while it does
    /// not answer.
    pub up: bool,
    /// Why it is down though the cluster lists it.
    pub error: Option<String>,
    /// Since when it is up, or down, as far as this dashboard saw.
    pub since: Timestamp,
    /// Whether it is the controller, or stands for it.
    pub controller: bool,
    /// Partitions that it leads.
    pub leaders: usize,
    /// Partitions that it holds.
    pub replicas: usize,
    /// Partitions that it holds and is in sync with.
    pub in_sync: usize,
}
