//! One request by hand, for what librdkafka does not ask.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{
    Decodable as _, Encodable as _, HeaderVersion as _, Request, StrBytes,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A frozen node takes the question and never answers.
const ONE_ANSWER: Duration = Duration::from_secs(5);
/// More than any answer to such a question takes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Asks the node at `address`, in the clear.
///
/// # Errors
/// When it does not answer, or not with an answer to this.
pub async fn exchange<Q: Request>(
    address: SocketAddr,
    version: i16,
    question: &Q,
) -> anyhow::Result<Q::Response> {
    let conversation = async {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(&frame(version, question)?).await?;
        let size = usize::try_from(socket.read_i32().await?)?;
        ensure!(size <= ANSWER_BYTES_MAX, "an answer of {size} bytes");
        let mut answer = vec![0; size];
        socket.read_exact(&mut answer).await?;
        let mut answer = Bytes::from(answer);
        ResponseHeader::decode(&mut answer, Q::Response::header_version(version))?;
        Q::Response::decode(&mut answer, version)
    };
    tokio::time::timeout(ONE_ANSWER, conversation)
        .await
        .with_context(|| format!("{address} is silent"))?
        .with_context(|| format!("ask {address}"))
}

/// The request with its length before it.
fn frame<Q: Request>(version: i16, question: &Q) -> anyhow::Result<Bytes> {
    let header = RequestHeader::default()
        .with_request_api_key(Q::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("kurier-tests")));
    let mut request = BytesMut::new();
    header.encode(&mut request, Q::header_version(version))?;
    question.encode(&mut request, version)?;
    let mut frame = BytesMut::from(&i32::try_from(request.len())?.to_be_bytes()[..]);
    frame.extend_from_slice(&request);
    Ok(frame.freeze())
}
