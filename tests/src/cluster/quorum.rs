//! Who leads the controllers' quorum of a KRaft cluster. Metadata does not say: a broker names any broker
//! as the controller there (KIP-631). `DescribeQuorum` (KIP-642) does, and librdkafka does not ask it, so
//! this is one request by hand. The controllers are asked themselves, of whom only the active one answers:
//! a broker passes the question on, and waits 30 s for a controller that is frozen.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::{DescribeQuorumRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use kurier::NodeId;
use tokio::task::JoinSet;

use super::PATIENCE;
use super::exchange::exchange;

/// The active controller.
///
/// # Errors
/// When none of the controllers says that it is, within [`PATIENCE`].
pub async fn leader(controllers: &[SocketAddr]) -> anyhow::Result<NodeId> {
    let end = Instant::now() + PATIENCE;
    loop {
        let mut last = anyhow::anyhow!("nobody to ask");
        let mut asked: JoinSet<anyhow::Result<NodeId>> =
            controllers.iter().map(|controller| ask(*controller)).collect();
        while let Some(answer) = asked.join_next().await {
            match answer? {
                Ok(leader) => return Ok(leader),
                Err(error) => last = error,
            }
        }
        if end < Instant::now() {
            return Err(last.context("nobody says who the controller is"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

const VERSION: i16 = 0;

async fn ask(controller: SocketAddr) -> anyhow::Result<NodeId> {
    let partition = PartitionData::default().with_partition_index(0);
    let topic = TopicData::default()
        .with_topic_name(TopicName(StrBytes::from_static_str("__cluster_metadata")))
        .with_partitions(vec![partition]);
    let question = DescribeQuorumRequest::default().with_topics(vec![topic]);
    let answer = exchange(controller, VERSION, &question).await?;
    ensure!(answer.error_code == 0, "error {}", answer.error_code);
    let topic = answer.topics.first().context("no topic in the answer")?;
    let quorum = topic.partitions.first().context("no partition in the answer")?;
    match (quorum.error_code, quorum.leader_id.0) {
        (0, leader) if 0 <= leader => Ok(NodeId(leader)),
        (code, leader) => bail!("error {code}, leader {leader}"),
    }
}
