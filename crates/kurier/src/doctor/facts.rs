//! What the checks judge: everything that was read, or why it could not be. Pure data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::ConfigProblem;
use crate::{Broker, GroupDescription, NodeId, Offset, TopicDescription, TopicPartition};

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unread(pub(super) String);

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that was to be read.
pub(super) type Reading<T> = Result<T, Unread>;

/// All that was read.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The cluster's addresses, as the user gave them; commands to paste name them.
    pub(super) bootstrap: String,
    pub(super) cluster: Option<String>,
    pub(super) controller: Option<NodeId>,
    /// The brokers that are up.
    pub(super) brokers: Vec<BrokerFacts>,
    /// The topics that are looked at.
    pub(super) topics: Vec<TopicFacts>,
    /// Kafka's own.
    pub(super) internal: Vec<TopicFacts>,
    /// Every broker that is said to hold a partition of any topic.
    pub(super) holders: BTreeSet<NodeId>,
    /// Topics that were left out, by the reason.
    pub(super) topics_unread: Vec<Unread>,
    pub(super) groups: Vec<GroupFacts>,
    /// Groups that were left out, by the reason.
    pub(super) groups_unread: Vec<Unread>,
    pub(super) client: ClientFacts,
    /// How many instances are to share each topic, if that was said.
    pub(super) instances: Option<usize>,
}

/// A broker that is up.
#[derive(Debug, Clone)]
pub(super) struct BrokerFacts {
    pub(super) broker: Broker,
    pub(super) reach: Reach,
    pub(super) settings: Reading<Settings>,
}

/// What became of a connection to the address that a broker tells clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    Connected,
    /// The name has no address here.
    Unresolved(String),
    /// Nobody listens there.
    Refused,
    /// Nothing came back in this time.
    Silent(Duration),
    Failed(String),
}

/// A topic.
#[derive(Debug, Clone)]
pub(super) struct TopicFacts {
    pub(super) description: TopicDescription,
    pub(super) settings: Reading<Settings>,
    pub(super) latest: Reading<Latest>,
}

impl TopicFacts {
    pub(super) fn name(&self) -> &str {
        &self.description.name
    }

    /// Whether what is old or too much is deleted, as far as is known.
    pub(super) fn deletes(&self) -> bool {
        self.settings.as_ref().map_or(true, Settings::deletes)
    }

    /// Replicas of the partition that has the fewest.
    pub(super) fn replication(&self) -> usize {
        let replicas = self.description.partitions.iter().map(|it| it.replicas.len());
        replicas.min().unwrap_or(0)
    }
}

/// The latest timestamp of a topic's records, and when it was asked for by this host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Latest {
    pub(super) of_record: Option<Timestamp>,
    pub(super) asked: Timestamp,
}

/// A group.
#[derive(Debug, Clone)]
pub(super) struct GroupFacts {
    pub(super) name: String,
    /// `None`: there is no such group.
    pub(super) description: Reading<Option<GroupDescription>>,
    /// Partitions with a commit, of the topics that are looked at.
    pub(super) backlog: Reading<Vec<Backlog>>,
}

/// How far a group is in a partition, and what retention has to do with it. Where a place could not be
/// read it is `None`, as it is where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backlog {
    pub(super) partition: TopicPartition,
    pub(super) committed: Offset,
    pub(super) earliest: Reading<Offset>,
    pub(super) end: Reading<Offset>,
    /// Whether retention has a bound in bytes.
    pub(super) bounded: bool,
    /// The first record that is younger than half of the retention time, or the end; `None` when
    /// retention has no time.
    pub(super) half: Option<Reading<Offset>>,
    /// The same for nine tenths of it.
    pub(super) nearly: Option<Reading<Offset>>,
}

/// What this client's own settings come to.
#[derive(Debug, Clone, Default)]
pub(super) struct ClientFacts {
    /// What kurier refuses.
    pub(super) problems: Vec<ConfigProblem>,
    /// What librdkafka gets from a producer, without what is refused.
    pub(super) producer: Settings,
    /// What it gets from a consumer.
    pub(super) consumer: Settings,
}

/// Settings by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Another value of one of them.
    #[cfg(test)]
    pub(super) fn insert(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// Whether a topic with these settings deletes what is old or too much.
    pub(super) fn deletes(&self) -> bool {
        let policy = self.text("cleanup.policy").unwrap_or("delete");
        policy.split(',').any(|policy| policy.trim() == "delete")
    }

    pub(super) fn text(&self, name: &str) -> Reading<&str> {
        let shown = self.0.get(name).map(String::as_str);
        shown.ok_or_else(|| Unread(format!("{name} is not shown")))
    }

    pub(super) fn number(&self, name: &str) -> Reading<i64> {
        let value = self.text(name)?;
        value.parse().map_err(|_| Unread(format!("{name}={value} is not a number")))
    }

    pub(super) fn flag(&self, name: &str) -> Reading<bool> {
        let value = self.text(name)?;
        value.parse().map_err(|_| Unread(format!("{name}={value} is neither true nor false")))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(settings: I) -> Self {
        Self(settings.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Facts {
    /// What each broker says of one of its settings.
    pub(super) fn broker_numbers(
        &self,
        name: &str,
    ) -> impl Iterator<Item = (NodeId, Reading<i64>)> {
        let read =
            |broker: &BrokerFacts| broker.settings.as_ref().map_err(Clone::clone)?.number(name);
        self.brokers.iter().map(move |broker| (broker.broker.id, read(broker)))
    }
}
