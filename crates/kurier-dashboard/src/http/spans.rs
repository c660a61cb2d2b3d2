//! How far the partitions of a topic reach, each leader asked by itself, so that one that is away takes no
//! partition of another with it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use kurier::{
    Admin, ClientError, NodeId, Offset, OffsetAt, PartitionId, StartFrom, TopicPartition,
};
use tokio::task::JoinSet;

use super::refused::Refused;

/// The partitions of a topic, or the one that was asked for.
#[derive(Debug, Default)]
pub(super) struct Spans {
    pub(super) known: BTreeMap<PartitionId, Span>,
    /// Partitions that nobody says anything of, and why.
    pub(super) left_out: Vec<(i32, String)>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// The offsets that are there.
    pub(super) log: Range<i64>,
    /// The first offset of the time that was asked for, or the end.
    pub(super) at: i64,
}

/// Asks how far the partitions of `topic` reach, and where `time` is in them. Ends within the timeout of
/// `admin` for a question, twice.
///
/// # Errors
/// When there is no such topic or partition, or nobody says so much.
pub(super) async fn spans(
    admin: &Arc<Admin>,
    topic: &str,
    only: Option<i32>,
    time: Option<Timestamp>,
) -> Result<Spans, Refused> {
    let described = admin.describe_topic(topic).await?.partitions;
    let count = described.len();
    let mut found = Spans::default();
    let mut by_leader: BTreeMap<NodeId, Vec<TopicPartition>> = BTreeMap::new();
    for partition in described {
        let number = partition.partition;
        if only.is_some_and(|only| only != number.0) {
            continue;
        }
        match partition.leader {
            Some(leader) => {
                let partition = TopicPartition::new(topic, number);
                by_leader.entry(leader).or_default().push(partition);
            }
            None => found.left_out.push((number.0, "it has no leader".to_owned())),
        }
    }
    if let Some(only) = only
        && by_leader.is_empty()
        && found.left_out.is_empty()
    {
        let reason = format!("{topic} has no partition {only}: it has {count}, numbered from 0");
        return Err(Refused::not_there(reason));
    }
    let mut asking = JoinSet::new();
    for (leader, partitions) in by_leader {
        let admin = Arc::clone(admin);
        asking.spawn(async move {
            let spans = of_leader(&admin, &partitions, time).await;
            (leader, partitions, spans)
        });
    }
    while let Some(asked) = asking.join_next().await {
        let Ok((leader, partitions, spans)) = asked else { continue };
        match spans {
            Ok(spans) => found.known.extend(spans),
            Err(error) => {
                let reason = format!("its leader {} does not say: {error}", leader.0);
                let left_out = partitions.iter().map(|one| (one.partition.0, reason.clone()));
                found.left_out.extend(left_out);
            }
        }
    }
    found.left_out.sort();
    Ok(found)
}

async fn of_leader(
    admin: &Admin,
    partitions: &[TopicPartition],
    time: Option<Timestamp>,
) -> Result<BTreeMap<PartitionId, Span>, ClientError> {
    let of_time = async {
        match time {
            Some(time) => admin.starts(partitions, StartFrom::Time(time)).await,
            None => Ok(BTreeMap::new()),
        }
    };
    let (firsts, ends, times) = tokio::try_join!(
        admin.offsets(partitions, OffsetAt::Earliest),
        admin.offsets(partitions, OffsetAt::End),
        of_time
    )?;
    let of = |offsets: &BTreeMap<TopicPartition, Option<Offset>>, partition: &TopicPartition| {
        offsets.get(partition).copied().flatten().map(|offset| offset.0)
    };
    let span = |partition: &TopicPartition| {
        let end = of(&ends, partition)?;
        let log = of(&firsts, partition)?.min(end)..end;
        let at = times.get(partition).map_or(end, |offset| offset.0).clamp(log.start, log.end);
        Some((partition.partition, Span { log, at }))
    };
    Ok(partitions.iter().filter_map(span).collect())
}
