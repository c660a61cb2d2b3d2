//! First and next offsets: each leader is asked for its own partitions, so that one that is away blinds
//! nobody but these.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kurier::{Admin, ClientError, Offset, OffsetAt, PartitionId, TopicPartition};
use tokio::task::JoinSet;

use super::{counted, joined};
use crate::view::Part;
use crate::watch::board::Board;
use crate::watch::looks::{ClusterLook, OffsetsLook};
use crate::watch::offsets::OffsetsTold;

/// How many partitions are asked for at a time; what librdkafka does with the answer grows with the
/// square.
const AT_ONCE: usize = 250;

pub(super) async fn collect(board: Arc<Board>, admin: Arc<Admin>) {
    loop {
        let cluster = super::cluster_seen(&board).await;
        look(&board, &admin, &cluster).await;
        tokio::time::sleep(board.config.pace.offsets).await;
    }
}

async fn look(board: &Board, admin: &Arc<Admin>, cluster: &ClusterLook) {
    let mut by_leader: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
    let mut leaderless = 0;
    for (topic, partition) in cluster.partitions() {
        match partition.leader {
            Some(leader) => {
                let name = TopicPartition::new(Arc::clone(topic), PartitionId(partition.number));
                by_leader.entry(leader).or_default().push(name);
            }
            None => leaderless += 1,
        }
    }
    let mut asked = JoinSet::new();
    for (leader, partitions) in by_leader {
        asked.spawn(ask(Arc::clone(admin), leader, partitions));
    }
    let answers = asked.join_all().await;
    board.suspect(answers.iter().filter(|one| one.error.is_some()).map(|one| one.leader).collect());
    let unanswered = joined(answers.iter().filter_map(Answer::complaint));
    let nobody =
        (0 < leaderless).then(|| format!("{} without a leader", counted(leaderless, "partition")));
    let error = joined(unanswered.iter().cloned().chain(nobody));
    let mut told = OffsetsTold::default();
    for answer in answers {
        answer.tell(&mut told);
    }
    match error {
        Some(error) if told.next.is_empty() => board.offsets.failed(error),
        error => {
            let (now, before) = (Timestamp::now(), board.offsets.kept().data);
            let look = match before.as_deref() {
                Some(before) => before.seen(now, &told, cluster),
                None => OffsetsLook::default().seen(now, &told, cluster),
            };
            board.offsets.seen(now, OffsetsLook { unanswered, ..look }, error);
        }
    }
    board.published(Part::Offsets);
}

/// What one leader said of its partitions.
struct Answer {
    leader: i32,
    first: Offsets,
    next: Offsets,
    /// How many partitions it said nothing of.
    untold: usize,
    /// Why it did not.
    error: Option<ClientError>,
}

type Offsets = BTreeMap<TopicPartition, Offset>;

/// Asks a leader for its partitions, some at a time; not for the rest once it has said nothing.
async fn ask(admin: Arc<Admin>, leader: i32, partitions: Vec<TopicPartition>) -> Answer {
    let untold = partitions.len();
    let mut answer =
        Answer { leader, first: Offsets::new(), next: Offsets::new(), untold, error: None };
    for some in partitions.chunks(AT_ONCE) {
        let (next, first) = tokio::join!(
            admin.offsets_of_each(some, OffsetAt::End),
            admin.offsets_of_each(some, OffsetAt::Earliest),
        );
        let ((mut next, error), (mut first, _)) = (told(next), told(first));
        let silent = next.is_empty();
        answer.untold -= next.len();
        answer.next.append(&mut next);
        answer.first.append(&mut first);
        answer.error = answer.error.or(error);
        if silent {
            break;
        }
    }
    answer
}

/// What a broker told of each partition.
type Found = Vec<(TopicPartition, Result<Option<Offset>, ClientError>)>;

/// What was told, and the first error.
fn told(found: Result<Found, ClientError>) -> (Offsets, Option<ClientError>) {
    let found = match found {
        Ok(found) => found,
        Err(error) => return (Offsets::new(), Some(error)),
    };
    let (mut offsets, mut first) = (Offsets::new(), None);
    for (name, offset) in found {
        match offset {
            Ok(offset) => offsets.extend(offset.map(|offset| (name, offset))),
            Err(error) => first = first.or(Some(error)),
        }
    }
    (offsets, first)
}

impl Answer {
    /// What it did not say, and why.
    fn complaint(&self) -> Option<String> {
        let (error, partitions) = (self.error.as_ref()?, counted(self.untold, "partition"));
        Some(format!("no offsets of {partitions} that broker {} leads: {error}", self.leader))
    }

    fn tell(self, told: &mut OffsetsTold) {
        for (all, into) in [(self.first, &mut told.first), (self.next, &mut told.next)] {
            for (TopicPartition { topic, partition }, offset) in all {
                into.entry(topic).or_default().insert(partition.0, offset.0);
            }
        }
    }
}
