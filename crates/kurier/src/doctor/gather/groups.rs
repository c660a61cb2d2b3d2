//! Groups: which to look at, their members, and how far they are in the topics that are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::error::RDKafkaErrorCode;

use super::{Asking, askable};
use crate::doctor::Doctor;
use crate::doctor::facts::{Backlog, GroupFacts, Reading, TopicFacts, Unread};
use crate::sys::ByPartition;
use crate::{
    Admin, BatchMessageConsumer, GroupDescription, NodeId, Offset, OffsetAt, SingleMessageConsumer,
    TopicPartition,
};

/// Groups that are asked about when none is named; each costs a connection of its own.
const GROUPS_MAX: usize = 100;

/// The groups that were looked at, and why others were not.
pub(super) struct Groups {
    pub(super) found: Vec<GroupFacts>,
    pub(super) unread: Vec<Unread>,
}

/// The groups that were named, or those that have to do with `topics`.
pub(super) async fn groups(
    asking: &Asking<'_>,
    doctor: &Doctor,
    topics: &[TopicFacts],
    reachable: &BTreeSet<NodeId>,
) -> Groups {
    let mut unread = Vec::new();
    let names = if doctor.groups.is_empty() {
        listed(asking, &mut unread).await
    } else {
        doctor.groups.clone()
    };
    let places = Places::read(asking, topics, reachable).await;
    let mut found = Vec::new();
    for name in names {
        let description = described(asking, &name).await;
        let committed = asking.ask(asking.admin.group_offsets(&name)).await;
        let backlog = committed.map(|committed| places.backlog(committed));
        let owns = |it: &GroupDescription| {
            let mut owned = it.members.iter().flat_map(|member| &member.partitions);
            owned.any(|partition| topics.iter().any(|topic| *topic.name() == *partition.topic))
        };
        let concerned = backlog.as_ref().is_ok_and(|rows| !rows.is_empty())
            || matches!(&description, Ok(Some(it)) if owns(it))
            || (backlog.is_err() && !matches!(description, Ok(None)));
        if concerned || !doctor.groups.is_empty() {
            found.push(GroupFacts { name, description, backlog });
        }
    }
    Groups { found, unread }
}

/// All groups there are; where they can't be listed, kurier's own.
async fn listed(asking: &Asking<'_>, unread: &mut Vec<Unread>) -> Vec<String> {
    let mut names: Vec<String> = match asking.ask(asking.admin.list_groups()).await {
        Ok(groups) => groups.into_iter().map(|group| group.name).collect(),
        Err(why) => {
            unread.push(Unread(format!("groups other than kurier's own: {why}")));
            KURIERS.map(str::to_owned).into()
        }
    };
    if GROUPS_MAX < names.len() {
        let reason = format!(
            "{} groups beyond the first {GROUPS_MAX}: name those you mean with --group",
            names.len() - GROUPS_MAX
        );
        unread.push(Unread(reason));
        names.sort_by_key(|name| !KURIERS.contains(&name.as_str()));
        names.truncate(GROUPS_MAX);
    }
    names
}

/// The groups that kurier's consumers share unless they are told another.
const KURIERS: [&str; 2] =
    [SingleMessageConsumer::DEFAULT_GROUP, BatchMessageConsumer::DEFAULT_GROUP];

async fn described(asking: &Asking<'_>, name: &str) -> Reading<Option<GroupDescription>> {
    let asked = async |admin: &Admin| match admin.describe_group(name).await {
        Err(error) if error.is_unknown_group() => Ok(None),
        other => other.map(Some),
    };
    asking.ask(asked(asking.admin)).await
}

/// Where the partitions of the topics begin and end, and where what is old ends.
struct Places {
    earliest: BTreeMap<TopicPartition, Reading<Offset>>,
    end: BTreeMap<TopicPartition, Reading<Offset>>,
    half: BTreeMap<TopicPartition, Reading<Offset>>,
    nearly: BTreeMap<TopicPartition, Reading<Offset>>,
    /// Every partition of the topics; with true for a bound in bytes.
    known: BTreeMap<TopicPartition, bool>,
}

impl Places {
    async fn read(
        asking: &Asking<'_>,
        topics: &[TopicFacts],
        reachable: &BTreeSet<NodeId>,
    ) -> Self {
        let number = |topic: &TopicFacts, name| {
            topic.settings.as_ref().ok().and_then(|settings| settings.number(name).ok())
        };
        let mut known = BTreeMap::new();
        let mut all = Vec::new();
        for topic in topics {
            let bounded =
                topic.deletes() && number(topic, "retention.bytes").is_some_and(|bytes| 0 < bytes);
            known.extend(topic.description.topic_partitions().into_iter().map(|it| (it, bounded)));
            all.extend(askable(&topic.description, reachable).0);
        }
        let earliest = read(asking, &all, OffsetAt::Earliest).await;
        let end = read(asking, &all, OffsetAt::End).await;
        let mut places =
            Self { earliest, end, half: BTreeMap::new(), nearly: BTreeMap::new(), known };
        for topic in topics {
            let kept = number(topic, "retention.ms").filter(|kept| 0 < *kept && topic.deletes());
            let Some(kept) = kept else {
                continue;
            };
            let kept = Duration::from_millis(kept.unsigned_abs());
            let (partitions, _) = askable(&topic.description, reachable);
            for (tenths, into) in [(5, &mut places.half), (9, &mut places.nearly)] {
                // A time before 1970 is that of every record.
                let time = Timestamp::now().checked_sub(kept / 10 * tenths);
                let time = time.unwrap_or(Timestamp::UNIX_EPOCH);
                let found = read(asking, &partitions, OffsetAt::Time(time)).await;
                into.extend(found.into_iter().map(|(partition, place)| {
                    // Every record is older: what is old ends at the end.
                    let end = places.end.get(&partition);
                    let place = match (place, end) {
                        (Ok(Offset(..0)), Some(end)) => end.clone(),
                        (place, _) => place,
                    };
                    (partition, place)
                }));
            }
        }
        places
    }

    /// A row for each commit in one of the topics.
    fn backlog(&self, committed: BTreeMap<TopicPartition, Offset>) -> Vec<Backlog> {
        let rows = committed.into_iter().filter_map(|(partition, committed)| {
            let bounded = *self.known.get(&partition)?;
            let place = |places: &BTreeMap<_, Reading<Offset>>| places.get(&partition).cloned();
            let unled = || Err(Unread(format!("no broker that leads {partition} can be reached")));
            Some(Backlog {
                committed,
                earliest: place(&self.earliest).unwrap_or_else(unled),
                end: place(&self.end).unwrap_or_else(unled),
                bounded,
                half: place(&self.half),
                nearly: place(&self.nearly),
                partition,
            })
        });
        rows.collect()
    }
}

/// The offsets at a place, and for each partition why not.
async fn read(
    asking: &Asking<'_>,
    partitions: &[TopicPartition],
    at: OffsetAt,
) -> BTreeMap<TopicPartition, Reading<Offset>> {
    let found: Reading<ByPartition<Offset>> =
        asking.ask(asking.admin.offsets_each(partitions, at)).await;
    match found {
        Ok(found) => {
            let read = |offset: Result<Offset, RDKafkaErrorCode>| {
                offset.map_err(|code| Unread(format!("read offsets: {code}")))
            };
            found.into_iter().map(|(partition, offset)| (partition, read(offset))).collect()
        }
        Err(why) => partitions.iter().map(|it| (it.clone(), Err(why.clone()))).collect(),
    }
}
