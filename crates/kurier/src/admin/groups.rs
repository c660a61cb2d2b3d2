//! Consumer groups: who is in them, what they have committed, and how far behind they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;

use super::{Admin, Broker, OffsetAt};
use crate::commit::Begun;
use crate::sys::{self, Answer, Fault, Request};
use crate::{ClientError, Offset, TopicPartition};

/// What a group is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupState {
    /// It waits for its members to join.
    PreparingRebalance,
    /// It waits for its leader to say who gets what.
    CompletingRebalance,
    /// Everybody knows what is theirs.
    Stable,
    /// It has no members, but committed offsets.
    Empty,
    /// It is not there, or about to be gone.
    Dead,
    /// A state this client has no name for.
    Unknown,
}

impl GroupState {
    /// The name as Kafka's own tools show it: `PreparingRebalance`, `Stable`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Empty => "Empty",
            Self::Dead => "Dead",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A group, as a list of groups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupListing {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: GroupState,
    /// True for a group that only commits, and whose partitions nobody hands out.
    pub simple: bool,
}

/// Groups of those brokers that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupsFound {
    /// The groups, by name.
    pub groups: Vec<GroupListing>,
    /// What was wrong with brokers that did not answer: theirs are missing.
    pub errors: Vec<ClientError>,
}

/// A group and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: GroupState,
    /// How partitions are handed out: `range`, `cooperative-sticky`, …; None without members.
    pub protocol: Option<String>,
    /// The broker that looks after it.
    pub coordinator: Option<Broker>,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMember {
    /// The id the coordinator gave it.
    pub id: String,
    /// The name its client calls itself: `client.id`.
    pub client_id: String,
    /// Its own name within the group, if it is a static member: `group.instance.id`.
    pub instance_id: Option<String>,
    /// The host its connection comes from, as the coordinator sees it: `/127.0.0.1`.
    pub host: String,
    /// The partitions it owns, by name.
    pub partitions: Vec<TopicPartition>,
}

/// How far a group is behind, partition by partition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupLag {
    /// The group itself.
    pub group: GroupDescription,
    /// A row for each partition that has a commit or an owner, by name.
    pub rows: Vec<LagRow>,
    /// The other partitions of the same topics: nobody has committed anything there or owns them, so that
    /// no row tells what waits in them. By name.
    pub untouched: Vec<TopicPartition>,
}

/// How far a group is behind in one partition. The figures are those of Kafka's own
/// `kafka-consumer-groups`, which shows `-` for those that are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LagRow {
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset the group will read; None without a commit.
    pub committed: Option<Offset>,
    /// The partition's end; None where it can't be told: the topic is gone or has no leader.
    pub end: Option<Offset>,
    /// Who owns it.
    pub member: Option<Arc<GroupMember>>,
}

impl LagRow {
    /// How many offsets lie between commit and end. Below zero where the log was cut off behind the
    /// commit. None without a commit or an end.
    pub fn lag(&self) -> Option<i64> {
        let (Offset(end), Offset(committed)) = (self.end?, self.committed?);
        Some(end - committed)
    }
}

impl Admin {
    /// All groups that the brokers know of, by name.
    ///
    /// # Errors
    /// [`ClientError`]; also when only one of the brokers could not be asked, since groups would be
    /// missing.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, ClientError> {
        let read = |answer: &Answer| {
            let (groups, faults) = answer.groups();
            faults.into_iter().next().map_or(Ok(groups), Err)
        };
        let mut groups = self.question("list groups", &Request::ListGroups, read).await?;
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// The groups of those brokers that answer, by name, and what was wrong with the others. Asked once.
    ///
    /// # Errors
    /// [`ClientError`]; not when only some of the brokers could not be asked.
    pub async fn groups_found(&self) -> Result<GroupsFound, ClientError> {
        let doing = "list groups";
        let read = |answer: &Answer| match answer.groups() {
            (groups, mut faults) if groups.is_empty() && !faults.is_empty() => {
                Err(faults.swap_remove(0))
            }
            found => Ok(found),
        };
        let (mut groups, faults) = self.question_once(doing, &Request::ListGroups, read).await?;
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        groups.dedup_by(|a, b| a.name == b.name);
        let errors = faults.into_iter().map(|fault| self.error(doing, fault)).collect();
        Ok(GroupsFound { groups, errors })
    }

    /// A group's state, coordinator and members.
    ///
    /// # Errors
    /// [`ClientError::Kafka`] with the code `GroupIdNotFound` for a group that is not there.
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        let doing = format!("describe group {group}");
        let ask = |left| async move {
            let asked = move |client: &_, group: &_| sys::described(client, group, attempt(left));
            description(&self.calls.of_group(group, asked).await?)
        };
        self.until(self.deadline(), &doing, ask, ClientError::is_retriable).await
    }

    /// What a group has committed: the next offset to read, for each partition with a commit. Empty
    /// for a group that is not there.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn group_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, Offset>, ClientError> {
        let doing = format!("read the offsets of group {group}");
        let ask = |left| async move {
            let asked = move |client: &_, group: &_| sys::stored(client, group, attempt(left));
            offsets(&self.calls.of_group(group, asked).await?)
        };
        self.until(self.deadline(), &doing, ask, ClientError::is_retriable).await
    }

    /// How many partitions topics had when the group began, as its commits say.
    pub(super) async fn begun(&self, group: &str) -> Result<Begun, ClientError> {
        let doing = format!("read what the commits of group {group} say");
        let ask = |left| async move {
            let asked = move |client: &_, group: &_| sys::stored(client, group, attempt(left));
            let answer = self.calls.of_group(group, asked).await?;
            // An error that stands there for all of it is one.
            offsets(&answer)?;
            let mut begun = Begun::default();
            for (partition, note) in answer.group_notes() {
                if let Some(count) = Begun::read(&note) {
                    begun.learn(&partition.topic, count);
                }
            }
            Ok(begun)
        };
        self.until(self.deadline(), &doing, ask, ClientError::is_retriable).await
    }

    /// As [`describe_group`](Self::describe_group) and [`group_offsets`](Self::group_offsets) at once,
    /// each asked once: for one that looks at hundreds of groups again and again. These share a client,
    /// which is replaced when an answer does not come.
    pub async fn glance_at_group(
        &self,
        group: &str,
    ) -> (
        Result<GroupDescription, ClientError>,
        Result<BTreeMap<TopicPartition, Offset>, ClientError>,
    ) {
        let describe = |left| {
            let asked = move |client: &_, group: &_| sys::described(client, group, left);
            self.calls.glance(group, asked, description)
        };
        let commits = |left| {
            let asked = move |client: &_, group: &_| sys::stored(client, group, left);
            self.calls.glance(group, asked, offsets)
        };
        let doing =
            [format!("describe group {group}"), format!("read the offsets of group {group}")];
        let deadline = self.deadline();
        tokio::join!(
            self.until(deadline, &doing[0], describe, |_| false),
            self.until(deadline, &doing[1], commits, |_| false),
        )
    }

    /// How far a group is behind, for each partition it has committed or owns.
    ///
    /// The figures are asked for one after the other, as Kafka's own tool does: while messages flow,
    /// the end is a little newer than the commit.
    ///
    /// # Errors
    /// Those of [`describe_group`](Self::describe_group).
    pub async fn lag(&self, group: &str) -> Result<GroupLag, ClientError> {
        let group = self.describe_group(group).await?;
        let committed = self.group_offsets(&group.name).await?;
        let mut rows: BTreeMap<TopicPartition, LagRow> = BTreeMap::new();
        let row = |partition: &TopicPartition, committed| LagRow {
            partition: partition.clone(),
            committed,
            end: None,
            member: None,
        };
        for (partition, offset) in &committed {
            rows.insert(partition.clone(), row(partition, Some(*offset)));
        }
        for member in &group.members {
            let owner = Arc::new(member.clone());
            for partition in &member.partitions {
                let row = rows.entry(partition.clone()).or_insert_with(|| row(partition, None));
                row.member = Some(Arc::clone(&owner));
            }
        }
        let partitions: Vec<_> = rows.keys().cloned().collect();
        for (partition, end) in self.offsets_each(&partitions, OffsetAt::End).await? {
            if let Some(row) = rows.get_mut(&partition) {
                row.end = end.ok();
            }
        }
        let untouched = self.others(&rows).await?;
        Ok(GroupLag { group, rows: rows.into_values().collect(), untouched })
    }

    /// The partitions of the topics in `rows` that have no row.
    async fn others(
        &self,
        rows: &BTreeMap<TopicPartition, LagRow>,
    ) -> Result<Vec<TopicPartition>, ClientError> {
        let topics: BTreeSet<_> = rows.keys().map(|partition| &partition.topic).collect();
        let mut others = Vec::new();
        for topic in topics {
            match self.describe_topic(topic).await {
                Ok(topic) => others.extend(topic.topic_partitions()),
                // It was deleted, and the group's offsets are still there.
                Err(error) if error.is_unknown_topic() => {}
                Err(error) => return Err(error),
            }
        }
        others.retain(|partition| !rows.contains_key(partition));
        Ok(others)
    }
}

fn description(answer: &Answer) -> Result<GroupDescription, Fault> {
    let mut described = answer.group().map_err(coordinator_missing)?;
    if described.state == GroupState::Dead && described.members.is_empty() {
        // How brokers answered before GROUP_ID_NOT_FOUND was given (DescribeGroups 6).
        let code = RDKafkaErrorCode::GroupIdNotFound;
        return Err(Fault { code, reason: "there is no such group".to_owned() });
    }
    described.members.sort_by(|a, b| (&a.client_id, &a.id).cmp(&(&b.client_id, &b.id)));
    Ok(described)
}

fn offsets(answer: &Answer) -> Result<BTreeMap<TopicPartition, Offset>, Fault> {
    let offsets = answer.group_offsets().map_err(coordinator_missing)?.into_iter();
    let offsets = offsets.map(|(partition, offset)| match offset {
        Ok(offset) => Ok((partition, offset)),
        Err(code) => {
            let reason = format!("{partition}: {}", Fault::of(code).reason);
            Err(Fault { code, reason })
        }
    });
    offsets.collect()
}

/// The least time for one attempt to ask a group's coordinator.
const ATTEMPT: Duration = Duration::from_secs(3);

/// How long one attempt may take of the time that is left. A client that is told of a coordinator which
/// has just died waits for that one; the next client is told of another.
pub(super) fn attempt(left: Duration) -> Duration {
    (left / 3).max(ATTEMPT).min(left)
}

/// Says what was waited for: librdkafka only says that time is up.
pub(super) fn coordinator_missing(fault: Fault) -> Fault {
    match fault.code {
        RDKafkaErrorCode::OperationTimedOut => {
            let reason = format!("waiting for the group's coordinator: {}", fault.reason);
            Fault { reason, ..fault }
        }
        _ => fault,
    }
}
