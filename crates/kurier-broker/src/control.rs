//! Control of an embedded cluster from another process: one request of its own kind, on any node's port.
//!
//! The request is Kafka's frame with an API number that Kafka has not given out; another Kafka closes
//! the connection on it, which [`Client`] says in words. The body is a line of text, the answer a byte
//! (0: done) and text.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Weak;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::{ClusterInfo, Inner, NodeError, NodeInfo};
use crate::wire::frame::CONTROL_KEY;

/// What can be done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Its sockets die at once.
    Kill,
    /// Its leadership moves, requests under way are answered, then its sockets close.
    Stop,
    /// It listens again and follows.
    Start,
    /// Its replicas stop following.
    Freeze,
    /// Its replicas follow again.
    Thaw,
}

const ACTIONS: &[(&str, Action)] = &[
    ("kill", Action::Kill),
    ("stop", Action::Stop),
    ("start", Action::Start),
    ("freeze", Action::Freeze),
    ("thaw", Action::Thaw),
];

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ACTIONS.iter().find(|(_, action)| action == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Action {
    type Err = ControlError;

    fn from_str(text: &str) -> Result<Self, ControlError> {
        let found = ACTIONS.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, action)| *action)
            .ok_or_else(|| ControlError::Refused(format!("{text:?} is no action")))
    }
}

/// Why a cluster could not be controlled.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No node listens there, or the connection broke.
    #[error("no answer from {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Whatever listens there is not an embedded cluster of kurier.
    #[error(
        "{0} is not a node of an embedded cluster; nodes of another Kafka are stopped by their own means"
    )]
    NotEmbedded(String),
    /// The cluster says no.
    #[error("{0}")]
    Refused(String),
}

/// Speaks to an embedded cluster by the address of any node that is up.
#[derive(Debug, Clone)]
pub struct Client {
    addresses: Vec<String>,
    timeout: Duration,
}

impl Client {
    /// `bootstrap`: one or several `host:port`, with commas between; the first that answers is taken. Without
    /// a port it is 9092, as for librdkafka.
    #[must_use]
    pub fn new(bootstrap: &str, timeout: Duration) -> Self {
        let addresses = bootstrap.split(',').map(str::trim).filter(|address| !address.is_empty());
        Self { addresses: addresses.map(with_port).collect(), timeout }
    }

    /// The nodes and what they hold.
    ///
    /// # Errors
    /// When no node answers, or it is not an embedded cluster.
    pub async fn info(&self) -> Result<ClusterInfo, ControlError> {
        let text = self.ask("info").await?;
        parse_info(&text)
            .ok_or_else(|| ControlError::Refused(format!("an answer of another version: {text}")))
    }

    /// Does something to a node.
    ///
    /// # Errors
    /// When no node answers, it is not an embedded cluster, or the node's state doesn't allow it.
    pub async fn act(&self, action: Action, node: i32) -> Result<(), ControlError> {
        self.ask(&format!("{action} {node}")).await.map(|_| ())
    }

    async fn ask(&self, line: &str) -> Result<String, ControlError> {
        let mut last = ControlError::Refused("no address given".to_owned());
        for address in &self.addresses {
            let asked = tokio::time::timeout(self.timeout, exchange(address, line)).await;
            match asked
                .unwrap_or_else(|_| Err(unreachable(address, std::io::ErrorKind::TimedOut.into())))
            {
                Err(error @ ControlError::Unreachable { .. }) => last = error,
                decided => return decided,
            }
        }
        Err(last)
    }
}

/// `host:port` of an address that may have a protocol before it and no port behind it.
fn with_port(address: &str) -> String {
    let host = address.rsplit_once("://").map_or(address, |(_, host)| host);
    match host.rsplit_once(':') {
        // An IPv6 address stands in brackets; only what follows them is a port.
        Some((_, port)) if !port.contains(']') => host.to_owned(),
        _ => format!("{host}:9092"),
    }
}

fn unreachable(address: &str, source: std::io::Error) -> ControlError {
    ControlError::Unreachable { address: address.to_owned(), source }
}

async fn exchange(address: &str, line: &str) -> Result<String, ControlError> {
    const ANSWER_BYTES_MAX: usize = 1 << 20;
    let failed = |source| unreachable(address, source);
    let mut stream = TcpStream::connect(address).await.map_err(failed)?;
    let mut request = BytesMut::new();
    request.put_u32(u32::try_from(8 + line.len()).unwrap_or_default());
    request.put_i16(CONTROL_KEY);
    request.put_i16(0);
    request.put_i32(CORRELATION);
    request.put_slice(line.as_bytes());
    stream.write_all(&request).await.map_err(failed)?;
    let foreign = || ControlError::NotEmbedded(address.to_owned());
    let size = match stream.read_u32().await {
        Ok(size) => usize::try_from(size).unwrap_or(usize::MAX),
        // Connected, and closed as soon as the request was seen.
        Err(_) => return Err(foreign()),
    };
    if !(5..=ANSWER_BYTES_MAX).contains(&size) {
        return Err(foreign());
    }
    let mut answer = vec![0; size];
    stream.read_exact(&mut answer).await.map_err(|_| foreign())?;
    if answer[..4] != CORRELATION.to_be_bytes() {
        return Err(foreign());
    }
    let text = String::from_utf8_lossy(&answer[5..]).into_owned();
    if answer[4] == 0 { Ok(text) } else { Err(ControlError::Refused(text)) }
}

/// Any number: there is one request on the connection.
const CORRELATION: i32 = 0x6b75_7269;

type Then = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The frame that answers, and what is to be done after it was written: a node cannot answer once it is
/// dead, so killing and stopping come after the answer, once it is sure that they can be done.
pub(crate) async fn answer(
    correlation: i32,
    body: &Bytes,
    cluster: &Weak<Inner>,
) -> (Bytes, Option<Then>) {
    let (result, then) = match cluster.upgrade() {
        Some(cluster) => act(&cluster, &String::from_utf8_lossy(body)).await,
        None => (Err("the cluster is closing".to_owned()), None),
    };
    let (code, text) = match result {
        Ok(text) => (0, text),
        Err(text) => (1, text),
    };
    let mut frame = BytesMut::with_capacity(9 + text.len());
    frame.put_u32(u32::try_from(5 + text.len()).unwrap_or_default());
    frame.put_i32(correlation);
    frame.put_u8(code);
    frame.put_slice(text.as_bytes());
    (frame.freeze(), then)
}

async fn act(
    cluster: &std::sync::Arc<Inner>,
    line: &str,
) -> (Result<String, String>, Option<Then>) {
    if line == "info" {
        return (Ok(write_info(&cluster.info())), None);
    }
    let parsed = line.split_once(' ').and_then(|(action, node)| {
        Some((action.parse::<Action>().ok()?, node.parse::<i32>().ok()?))
    });
    let Some((action, node)) = parsed else {
        return (Err(format!("{line:?} is no request to an embedded cluster")), None);
    };
    let done = |result: Result<(), NodeError>| {
        result.map(|()| String::new()).map_err(|error| match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        })
    };
    match action {
        Action::Kill | Action::Stop => {
            let checked = done(cluster.check_up(node));
            let cluster = std::sync::Arc::clone(cluster);
            let then: Option<Then> = checked.is_ok().then(|| {
                let then: Then = Box::pin(async move {
                    if let Err(error) = cluster.act(action, node).await {
                        tracing::warn!(%error, %action, node, "not done");
                    }
                });
                then
            });
            (checked, then)
        }
        Action::Start | Action::Freeze | Action::Thaw => {
            (done(cluster.act(action, node).await), None)
        }
    }
}

fn write_info(info: &ClusterInfo) -> String {
    let mut text = format!("cluster {}\n", info.cluster_id);
    for node in &info.nodes {
        let state = if node.up { "up" } else { "down" };
        let follows = if node.frozen { "frozen" } else { "following" };
        text += &format!("node {} {} {state} {follows} {}\n", node.node, node.address, node.leads);
    }
    text + &format!("topics {} partitions {} bytes {}\n", info.topics, info.partitions, info.bytes)
}

fn parse_info(text: &str) -> Option<ClusterInfo> {
    let mut info = ClusterInfo::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["cluster", id] => info.cluster_id = (*id).to_owned(),
            ["node", node, address, state, follows, leads] => info.nodes.push(NodeInfo {
                node: node.parse().ok()?,
                address: (*address).to_owned(),
                up: *state == "up",
                frozen: *follows == "frozen",
                leads: leads.parse().ok()?,
            }),
            ["topics", topics, "partitions", partitions, "bytes", bytes] => {
                info.topics = topics.parse().ok()?;
                info.partitions = partitions.parse().ok()?;
                info.bytes = bytes.parse().ok()?;
            }
            _ => return None,
        }
    }
    Some(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_is_that_of_kafkas_usual_one() {
        for (address, expected) in [
            ("localhost", "localhost:9092"),
            ("localhost:19092", "localhost:19092"),
            ("plaintext://host", "host:9092"),
            ("plaintext://host:1", "host:1"),
            ("[::1]", "[::1]:9092"),
            ("[::1]:19092", "[::1]:19092"),
        ] {
            assert_eq!(with_port(address), expected);
        }
    }
}
