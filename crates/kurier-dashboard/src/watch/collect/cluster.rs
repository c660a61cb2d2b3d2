//! Brokers, topics, partitions: one question to any broker that is up.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kurier::{Admin, ClientError, PartitionDescription, Picture, TopicDescription};

use super::probe;
use crate::view::Part;
use crate::watch::board::Board;
use crate::watch::changes;
use crate::watch::looks::{ClusterLook, PartitionLook, TopicLook};

pub(super) async fn collect(board: Arc<Board>, admin: Arc<Admin>) {
    loop {
        look(&board, &admin).await;
        tokio::time::sleep(board.config.pace.cluster).await;
    }
}

async fn look(board: &Board, admin: &Admin) {
    match admin.picture().await {
        Ok(picture) => {
            let listed: BTreeMap<i32, String> =
                picture.cluster.brokers.iter().map(|one| (one.id.0, one.address())).collect();
            let before = board.cluster.kept().data;
            let suspects = board.suspects(&listed, before.as_deref());
            let silent = probe::silent(suspects, board.config.pace.deadline / 2).await;
            let now = Timestamp::now();
            let mut brokers = before.as_ref().map(|look| look.brokers.clone()).unwrap_or_default();
            let mut notes = brokers.see(now, &listed, &silent);
            let look = ClusterLook {
                id: picture.cluster.id.clone(),
                controller: picture.cluster.controller.map(|id| id.0),
                brokers,
                topics: topics(picture, before.as_deref()),
            };
            if let Some(before) = before {
                notes.extend(changes::of_cluster(&before, &look));
            }
            board.cluster.seen(now, look, None);
            board.note(now, notes);
        }
        Err(error) => board.cluster.failed(error.to_string()),
    }
    board.judge(Timestamp::now());
    board.published(Part::Cluster);
}

fn topics(picture: Picture, before: Option<&ClusterLook>) -> BTreeMap<Arc<str>, TopicLook> {
    let all = picture.topics.into_iter().map(|(name, topic)| {
        let known = before.and_then(|before| before.topics.get_key_value(&*name));
        let look = topic_look(topic, known.map(|(_, topic)| topic));
        (known.map_or_else(|| name.into(), |(name, _)| Arc::clone(name)), look)
    });
    all.collect()
}

/// A topic; one that the broker can't tell of is what it was before.
fn topic_look(
    topic: Result<TopicDescription, ClientError>,
    before: Option<&TopicLook>,
) -> TopicLook {
    match topic {
        Ok(topic) => TopicLook {
            internal: topic.internal,
            partitions: topic.partitions.iter().map(partition_look).collect(),
            error: None,
        },
        Err(error) => {
            TopicLook { error: Some(error.to_string()), ..before.cloned().unwrap_or_default() }
        }
    }
}

fn partition_look(partition: &PartitionDescription) -> PartitionLook {
    PartitionLook {
        number: partition.partition.0,
        leader: partition.leader.map(|id| id.0),
        replicas: partition.replicas.iter().map(|id| id.0).collect(),
        in_sync: partition.isr.iter().map(|id| id.0).collect(),
    }
}
