//! Who leads the controllers' quorum of a KRaft cluster. Metadata does not say: a broker names any broker
//! as the controller there (KIP-631). `DescribeQuorum` (KIP-642) does, and librdkafka does not ask it, so
//! this is one request by hand. The controllers are asked themselves, of whom only the active one answers:
//! a broker passes the question on, and waits 30 s for a controller that is frozen.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::{
    ApiKey, DescribeQuorumRequest, DescribeQuorumResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable as _, Encodable as _, StrBytes};
use kurier::NodeId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::PATIENCE;

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

/// A frozen controller takes the question and never answers.
const ONE_ANSWER: Duration = Duration::from_secs(5);
const VERSION: i16 = 0;
/// More than any answer about one partition takes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

async fn ask(controller: SocketAddr) -> anyhow::Result<NodeId> {
    let conversation = async {
        let mut socket = TcpStream::connect(controller).await?;
        socket.write_all(&question()?).await?;
        let size = usize::try_from(socket.read_i32().await?)?;
        ensure!(size <= ANSWER_BYTES_MAX, "an answer of {size} bytes");
        let mut answer = vec![0; size];
        socket.read_exact(&mut answer).await?;
        read(answer.into())
    };
    tokio::time::timeout(ONE_ANSWER, conversation)
        .await
        .with_context(|| format!("{controller} is silent"))?
        .with_context(|| format!("ask {controller}"))
}

/// The request with its length before it.
fn question() -> anyhow::Result<Bytes> {
    let partition = PartitionData::default().with_partition_index(0);
    let topic = TopicData::default()
        .with_topic_name(TopicName(StrBytes::from_static_str("__cluster_metadata")))
        .with_partitions(vec![partition]);
    let header = RequestHeader::default()
        .with_request_api_key(ApiKey::DescribeQuorum as i16)
        .with_request_api_version(VERSION)
        .with_client_id(Some(StrBytes::from_static_str("kurier-tests")));
    let mut request = BytesMut::new();
    header.encode(&mut request, ApiKey::DescribeQuorum.request_header_version(VERSION))?;
    DescribeQuorumRequest::default().with_topics(vec![topic]).encode(&mut request, VERSION)?;
    let mut frame = BytesMut::from(&i32::try_from(request.len())?.to_be_bytes()[..]);
    frame.extend_from_slice(&request);
    Ok(frame.freeze())
}

fn read(mut answer: Bytes) -> anyhow::Result<NodeId> {
    ResponseHeader::decode(&mut answer, ApiKey::DescribeQuorum.response_header_version(VERSION))?;
    let answer = DescribeQuorumResponse::decode(&mut answer, VERSION)?;
    ensure!(answer.error_code == 0, "error {}", answer.error_code);
    let topic = answer.topics.first().context("no topic in the answer")?;
    let quorum = topic.partitions.first().context("no partition in the answer")?;
    match (quorum.error_code, quorum.leader_id.0) {
        (0, leader) if 0 <= leader => Ok(NodeId(leader)),
        (code, leader) => bail!("error {code}, leader {leader}"),
    }
}
