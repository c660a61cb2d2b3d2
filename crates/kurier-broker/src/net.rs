//! Sockets: one listener for each node, one task for each connection, one request at a time on each.
//!
//! A connection reads a frame, answers it, and only then reads on, as Kafka's do: responses are in order
//! and a client that pipelines is held back by TCP. What it reads before it knows a frame's size is
//! bounded, and a frame's memory grows with the bytes that have come, not with the size that was said.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::api::{self, Call};
use crate::cluster::Inner;
use crate::control;
use crate::core::Core;
use crate::storage::NodeId;
use crate::wire::frame::{self, Incoming};

/// How a node's sockets are to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Requests under way are answered first.
    Stopping,
    /// Nothing is answered any more.
    Dead,
}

/// A node that listens.
#[derive(Debug)]
pub struct Listening {
    phase: watch::Sender<Phase>,
    accepting: JoinHandle<()>,
}

/// How long a stopped node's connections may take to answer what they have begun.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// Takes a port, without listening yet: connections to it are refused, and nobody else gets it.
///
/// # Errors
/// When the port is taken.
pub fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of the time before the node died may linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Listens, and serves whoever connects.
///
/// # Errors
/// When the system refuses.
pub fn listen(
    socket: TcpSocket,
    node: NodeId,
    core: Arc<Core>,
    cluster: Weak<Inner>,
) -> io::Result<Listening> {
    let listener = socket.listen(1024)?;
    let (phase, _) = watch::channel(Phase::Serving);
    let accepting = accept(listener, phase.subscribe(), node, core, cluster);
    Ok(Listening { accepting: tokio::spawn(accepting), phase })
}

impl Listening {
    /// Every socket dies at once, whatever was under way.
    pub async fn kill(mut self) {
        self.phase.send_replace(Phase::Dead);
        if let Err(error) = (&mut self.accepting).await {
            tracing::warn!(%error, "a listener did not end by itself");
        }
    }

    /// No new requests; those under way are answered, for a short while.
    pub async fn stop(mut self) {
        self.phase.send_replace(Phase::Stopping);
        if tokio::time::timeout(STOP_WAIT, &mut self.accepting).await.is_err() {
            self.kill().await;
        }
    }
}

/// A cluster that is dropped without being closed leaves no socket behind either.
impl Drop for Listening {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    mut phase: watch::Receiver<Phase>,
    node: NodeId,
    core: Arc<Core>,
    cluster: Weak<Inner>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = reached(&mut phase, Phase::Stopping) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Ok(local) = stream.local_addr() else { continue };
                let call =
                    Call { core: Arc::clone(&core), node, host: local.ip(), peer: unmapped(peer) };
                let phase = phase.clone();
                connections.spawn(serve(stream, call, phase, cluster.clone()));
            }
            Err(error) => {
                // Out of descriptors, mostly: one that a connection gives back is waited for.
                tracing::warn!(%error, node = node.0, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    tokio::select! {
        () = async { while connections.join_next().await.is_some() {} } => {}
        () = reached(&mut phase, Phase::Dead) => {}
    }
    // Comes back when each has been dropped, and with it its socket.
    connections.shutdown().await;
}

/// Comes back when the node is in that phase or a later one, or is not owned any more.
async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

fn unmapped(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}

async fn serve(
    mut stream: TcpStream,
    call: Call,
    mut phase: watch::Receiver<Phase>,
    cluster: Weak<Inner>,
) {
    let peer = call.peer;
    // Answers are written whole; waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "no TCP_NODELAY");
    }
    let mut buffer = BytesMut::new();
    loop {
        let frame = tokio::select! {
            frame = read(&mut stream, &mut buffer) => frame,
            () = reached(&mut phase, Phase::Stopping) => return,
        };
        let done = match frame {
            Ok(Some(frame)) => answer(&mut stream, &call, &frame, &cluster).await,
            Ok(None) => return,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::debug!(%error, %peer, node = call.node.0, "connection closed");
            return;
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The next frame without its length; `None` when the client has gone between two.
async fn read(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<Option<Bytes>, Failure> {
    const STEP: usize = 64 << 10;
    loop {
        let size = frame::size(buffer)?;
        if let Some(size) = size
            && let Some(frame) = buffer.get(4..4 + size)
        {
            let whole = frame.len();
            buffer.advance(4);
            return Ok(Some(buffer.split_to(whole).freeze()));
        }
        // As much again as has come, so that a large frame is copied a few times at most, and no more
        // than is missing.
        let missing = size.map_or(STEP, |size| 4 + size - buffer.len());
        buffer.reserve(missing.min(buffer.len().max(STEP)));
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() {
                Ok(None)
            } else {
                Err("it ended within a request".into())
            };
        }
    }
}

async fn answer(
    stream: &mut TcpStream,
    call: &Call,
    frame: &Bytes,
    cluster: &Weak<Inner>,
) -> Result<(), Failure> {
    let answer = match frame::parse(frame)? {
        Incoming::Kafka(request) => {
            let answer = api::answer(call, request);
            // A client that goes away while its request waits takes the request with it: a join of a
            // dead member would hold up its group.
            tokio::select! {
                answer = answer => answer?,
                () = gone(stream) => return Err("the client left while it waited".into()),
            }
        }
        Incoming::UnknownApiVersions { correlation } => {
            Some(api::unknown_api_versions(correlation)?)
        }
        Incoming::Control { correlation, body } => {
            let (answer, then) = control::answer(correlation, &body, cluster).await;
            stream.write_all(&answer).await?;
            if let Some(then) = then {
                tokio::spawn(then);
            }
            return Ok(());
        }
    };
    if let Some(answer) = answer {
        stream.write_all(&answer).await?;
    }
    Ok(())
}

/// Comes back when the client's end of the connection is closed; data that waits to be read is left.
async fn gone(stream: &TcpStream) {
    let mut one = [0; 1];
    match stream.peek(&mut one).await {
        Ok(0) | Err(_) => {}
        // The next request is there already. Whether the client is, will show when it is read.
        Ok(_) => std::future::pending().await,
    }
}
