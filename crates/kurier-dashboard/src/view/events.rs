//! What happened: `/api/v1/events?after=ID&kind=…`, and the messages of `/api/v1/stream`.

use jiff::Timestamp;
use serde::Serialize;

/// `/api/v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Events {
    /// Newest first.
    pub events: Vec<Event>,
    /// How many older ones were forgotten: at most 5,000 are kept.
    pub forgotten: u64,
}

/// One thing that happened, as this dashboard saw it: between two looks it may have happened at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Counts up from 1.
    pub id: u64,
    /// When it was seen.
    pub at: Timestamp,
    /// What kind.
    pub kind: EventKind,
    /// How bad.
    pub severity: Severity,
    /// What it is about: `broker 2`, `orders-3`, `group checkout`, `client consumer-1:9404`.
    pub subject: String,
    /// What happened, in a sentence.
    pub text: String,
}

/// A kind of event.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A broker came, or came back.
    BrokerUp,
    /// A broker is not there any more.
    BrokerDown,
    /// A partition has another leader, or none.
    Leader,
    /// Replicas fell out of sync or came back, counted per topic.
    InSync,
    /// The cluster answers, or does not.
    Cluster,
    /// A group has other members, or hands partitions out anew.
    Rebalance,
    /// A topic or group is new, or gone.
    Listing,
    /// A producer gave messages up.
    DeliveryFailure,
    /// A handler failed for good, or a partition stopped.
    HandlerFailure,
    /// Messages went to a dead-letter topic.
    DeadLetter,
    /// A client of ours came, went, or is not ready.
    Client,
    /// Somebody used the dashboard to change something.
    Action,
}

/// How bad an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Worth a look.
    Warning,
    /// Something is lost, stopped or away.
    Error,
}

/// A message of `/api/v1/stream`: `event: changed`. The page asks for what it shows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The server's clock.
    pub now: Timestamp,
    /// Which parts are newer than in the message before.
    pub parts: Vec<Part>,
}

/// What a collector looks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Brokers, topics, partitions.
    Cluster,
    /// First and next offsets.
    Offsets,
    /// Groups, members, commits.
    Groups,
    /// Settings of topics.
    Settings,
    /// Our own clients.
    Clients,
    /// Events.
    Events,
}
