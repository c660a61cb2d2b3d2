//! The embedded cluster as its users see it: start it, hurt it, close it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::control::Action;
use crate::core::Core;
use crate::faults::Faults;
use crate::net::{self, Listening};
use crate::settings::TopicSettings;
use crate::state::{ClusterSettings, State};
use crate::storage::{MoveError, NodeId};
use crate::topic::TopicError;

/// A Kafka cluster inside this process, in memory: for demos, development and tests.
///
/// It speaks Kafka's protocol on one loopback port for each node. Each partition has one log with the
/// replicas as cursors over it, so a killed leader loses exactly what its in-sync followers did not
/// have; there is no second copy of the data, and all is gone when the process ends. Dropping it closes
/// every socket.
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use kurier_broker::EmbeddedCluster;
///
/// let cluster = EmbeddedCluster::builder().nodes(3).topic("orders", 3).start().await?;
/// let bootstrap = cluster.bootstrap(); // for any Kafka client: "127.0.0.1:…,127.0.0.1:…,…"
/// cluster.kill(2).await?; // its sockets die, others lead
/// cluster.start(2).await?; // back on the same port
/// assert_eq!(cluster.info().nodes.len(), bootstrap.split(',').count());
/// cluster.close().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct EmbeddedCluster {
    inner: Arc<Inner>,
}

/// What a cluster looks like at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterInfo {
    /// The id that clients see.
    pub cluster_id: String,
    /// Every node, up or not.
    pub nodes: Vec<NodeInfo>,
    /// How many topics there are.
    pub topics: usize,
    /// How many partitions they have.
    pub partitions: usize,
    /// Bytes of record batches in memory.
    pub bytes: usize,
}

/// One node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its number, from 1.
    pub node: i32,
    /// `host:port`.
    pub address: String,
    /// Whether it answers.
    pub up: bool,
    /// Whether its replicas stopped following.
    pub frozen: bool,
    /// How many partitions it leads.
    pub leads: usize,
}

/// Why a cluster did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A number that makes no sense.
    #[error("a cluster of {0} nodes: 1 to 9 are possible")]
    Nodes(u16),
    /// A port that is taken, or not allowed.
    #[error("node {node} cannot listen on {address}")]
    Listen {
        /// The node's number.
        node: i32,
        /// Where it should listen.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// A topic that is not possible.
    #[error("topic {name:?}")]
    Topic {
        /// The topic's name.
        name: String,
        /// Why not.
        source: TopicError,
    },
}

/// Why nothing was done to a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// There is no such node.
    #[error("there is no node {node}: this cluster has nodes 1 to {nodes}")]
    Unknown {
        /// The number given.
        node: i32,
        /// How many there are.
        nodes: usize,
    },
    /// It is down already.
    #[error("node {0} is down already")]
    Down(i32),
    /// It is up already.
    #[error("node {0} is up already")]
    Up(i32),
    /// It would be the last one, and only a live node can be told to start another.
    #[error("node {0} is the last one that is up; from outside nothing could start it again")]
    Last(i32),
    /// The system did not let it listen again.
    #[error("node {node} cannot listen again")]
    Listen {
        /// Its number.
        node: i32,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Says how a cluster is to be; see [`EmbeddedCluster::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    nodes: u16,
    port: u16,
    topics: Vec<(String, i32)>,
    settings: ClusterSettings,
}

impl EmbeddedCluster {
    /// A cluster of three nodes on free ports, until told otherwise.
    #[must_use]
    pub fn builder() -> Builder {
        Builder { nodes: 3, port: 0, topics: Vec::new(), settings: ClusterSettings::default() }
    }

    /// The addresses of all nodes, as clients take them.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        let nodes = self.info().nodes.into_iter().map(|node| node.address);
        nodes.collect::<Vec<_>>().join(",")
    }

    /// What it looks like now.
    #[must_use]
    pub fn info(&self) -> ClusterInfo {
        self.inner.info()
    }

    /// A node's sockets die at once; requests under way get no answer. Its port is kept, and refuses.
    /// Not cancel safe: dropped halfway, the node may be gone from the network and still lead.
    ///
    /// # Errors
    /// When there is no such node, or it is down.
    pub async fn kill(&self, node: i32) -> Result<(), NodeError> {
        self.inner.act(Action::Kill, node).await
    }

    /// A node hands over what it leads, answers the requests under way, and closes its sockets. Not
    /// cancel safe, as [`kill`](Self::kill).
    ///
    /// # Errors
    /// When there is no such node, or it is down.
    pub async fn stop(&self, node: i32) -> Result<(), NodeError> {
        self.inner.act(Action::Stop, node).await
    }

    /// A node that is down listens again on its port, follows, and leads where it is preferred.
    ///
    /// # Errors
    /// When there is no such node, it is up, or the system refuses the port.
    pub async fn start(&self, node: i32) -> Result<(), NodeError> {
        self.inner.act(Action::Start, node).await
    }

    /// A node's replicas stop following: they have nothing that is written from now on. They leave the
    /// in-sync set after the lag time, 30 s by default.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn freeze(&self, node: i32) -> Result<(), NodeError> {
        self.inner.act(Action::Freeze, node).await
    }

    /// A frozen node's replicas follow again.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn thaw(&self, node: i32) -> Result<(), NodeError> {
        self.inner.act(Action::Thaw, node).await
    }

    /// Another replica leads a partition from now on, as after an election: with a new leader epoch, and
    /// without the records that it does not have. Nothing happens when it leads already.
    ///
    /// # Errors
    /// When there is no such partition or node, or the node's replica may not lead.
    pub fn move_leader(&self, topic: &str, partition: i32, node: i32) -> Result<(), MoveError> {
        let core = &self.inner.core;
        core.change(|state| state.move_leader(Instant::now(), topic, partition, NodeId(node)))
    }

    /// Errors, delays and dropped connections on request.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults::new(Arc::clone(&self.inner.core))
    }

    /// Closes every socket. All data is gone.
    pub async fn close(self) {
        self.inner.close().await;
    }
}

impl Builder {
    /// How many nodes, 1 to 9; default 3.
    #[must_use]
    pub fn nodes(mut self, nodes: u16) -> Self {
        self.nodes = nodes;
        self
    }

    /// The first node's port, the others follow it; 0, the default, takes free ones.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// A topic to be there from the start, with a replica on each of up to three nodes and, from three
    /// replicas on, `min.insync.replicas=2`.
    #[must_use]
    pub fn topic(mut self, name: impl Into<String>, partitions: i32) -> Self {
        self.topics.push((name.into(), partitions));
        self
    }

    /// The bytes of record batches that each partition keeps, default 256 MiB: at the bound the oldest
    /// go, and the log's start moves.
    #[must_use]
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.settings.partition_bytes_max = bytes;
        self
    }

    /// How long a replica may be behind before it leaves the in-sync set
    /// (`replica.lag.time.max.ms`); default 30 s, as Kafka's.
    #[must_use]
    pub fn replica_lag_max(mut self, lag: Duration) -> Self {
        self.settings.replica_lag_max = lag;
        self
    }

    /// DescribeConfigs shows this value of a setting of topics or nodes, while nothing behaves so: for
    /// tests of what reads settings. A setting that is not shown at all stays so.
    #[must_use]
    pub fn pretend_setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.pretended.settings.insert(name.into(), value.into());
        self
    }

    /// Clients are told this address of a node, as by a wrong `advertised.listeners`; it listens where
    /// it would anyway, and [`bootstrap`](EmbeddedCluster::bootstrap) says where that is.
    #[must_use]
    pub fn advertise(mut self, node: i32, host: impl Into<String>, port: u16) -> Self {
        self.settings.pretended.addresses.insert(NodeId(node), (host.into(), port));
        self
    }

    /// Clients are told that there is no controller.
    #[must_use]
    pub fn pretend_no_controller(mut self) -> Self {
        self.settings.pretended.no_controller = true;
        self
    }

    /// Starts it. Needs a tokio runtime with time and I/O; the cluster lives on it.
    ///
    /// # Errors
    /// When a number or a topic is not possible, or a port is taken.
    pub async fn start(self) -> Result<EmbeddedCluster, StartError> {
        if !(1..=9).contains(&self.nodes) {
            return Err(StartError::Nodes(self.nodes));
        }
        let mut sockets = Vec::new();
        for index in 0..self.nodes {
            let port = if self.port == 0 { 0 } else { self.port.saturating_add(index) };
            let address = SocketAddr::new(HOST, port);
            let failed =
                |source| StartError::Listen { node: i32::from(index) + 1, address, source };
            let socket = net::reserve(address).map_err(failed)?;
            let port = socket.local_addr().map_err(failed)?.port();
            sockets.push((port, Sockets { held: Some(socket), serving: None }));
        }
        let replicas = i16::try_from(self.nodes.min(3)).unwrap_or(1);
        let mut state = State::new(self.settings, sockets.iter().map(|(port, _)| *port));
        for (name, partitions) in self.topics {
            let mut settings = TopicSettings::default();
            let made = match replicas {
                3.. => settings.set("min.insync.replicas", "2"),
                _ => Ok(()),
            };
            made.and_then(|()| {
                state.create_topic(Instant::now(), &name, partitions, replicas, settings)
            })
            .map_err(|source| StartError::Topic { name, source })?;
        }
        let core = Arc::new(Core::new(state));
        let clock = Arc::clone(&core);
        let clock = tokio::spawn(async move { clock.run_clock().await });
        let inner = Inner { core, sockets: Mutex::new(Vec::new()), clock };
        let inner = Arc::new(inner);
        for (node, (port, mut sockets)) in (1..).map(NodeId).zip(sockets) {
            let address = SocketAddr::new(HOST, port);
            inner.listen(&mut sockets, node, port).map_err(|source| StartError::Listen {
                node: node.0,
                address,
                source,
            })?;
            inner.sockets.lock().await.push(sockets);
        }
        Ok(EmbeddedCluster { inner })
    }
}

/// Loopback only: there is no authentication.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The cluster behind its handle; connections hold it weakly, for control requests.
#[derive(Debug)]
pub(crate) struct Inner {
    core: Arc<Core>,
    sockets: Mutex<Vec<Sockets>>,
    clock: JoinHandle<()>,
}

/// A node's sockets.
#[derive(Debug)]
struct Sockets {
    /// Keeps the port from anybody else while the node is down, and from before it dies: between two sockets that take
    /// turns, a connection that somebody opens may be given the port as its own. It never listens; without `serving`
    /// the port refuses.
    held: Option<TcpSocket>,
    serving: Option<Listening>,
}

impl Inner {
    /// What the cluster looks like.
    pub(crate) fn info(&self) -> ClusterInfo {
        let state = self.core.lock();
        let partitions = || state.topics.values().flat_map(|topic| &topic.partitions);
        let nodes = state.nodes.iter().map(|(id, node)| NodeInfo {
            node: id.0,
            address: SocketAddr::new(HOST, node.port).to_string(),
            up: node.up,
            frozen: node.frozen,
            leads: partitions().filter(|partition| partition.leader() == Some(*id)).count(),
        });
        ClusterInfo {
            cluster_id: state.cluster_id.clone(),
            nodes: nodes.collect(),
            topics: state.topics.len(),
            partitions: partitions().count(),
            bytes: partitions().map(crate::storage::Partition::bytes).sum(),
        }
    }

    /// Whether a node is there, is up, and is not the last one: what a request from outside may end.
    pub(crate) fn check_up(&self, node: i32) -> Result<(), NodeError> {
        let state = self.core.lock();
        match state.nodes.get(&NodeId(node)) {
            None => Err(NodeError::Unknown { node, nodes: state.nodes.len() }),
            Some(found) if !found.up => Err(NodeError::Down(node)),
            Some(_) if state.live().count() == 1 => Err(NodeError::Last(node)),
            Some(_) => Ok(()),
        }
    }

    /// Does something to a node; one such change at a time.
    pub(crate) async fn act(self: &Arc<Self>, action: Action, node: i32) -> Result<(), NodeError> {
        let id = NodeId(node);
        let mut all = self.sockets.lock().await;
        let (known, count) = {
            let state = self.core.lock();
            (state.nodes.get(&id).copied(), state.nodes.len())
        };
        let index = usize::try_from(node - 1).ok();
        let (Some(known), Some(sockets)) = (known, index.and_then(|index| all.get_mut(index)))
        else {
            return Err(NodeError::Unknown { node, nodes: count });
        };
        let now = Instant::now();
        match action {
            Action::Freeze => self.core.change(|state| state.set_frozen(now, id, true)),
            Action::Thaw => self.core.change(|state| state.set_frozen(now, id, false)),
            Action::Start if known.up => return Err(NodeError::Up(node)),
            Action::Start => self.start(id, known.port, sockets)?,
            Action::Kill | Action::Stop if !known.up => return Err(NodeError::Down(node)),
            Action::Kill => {
                if let Some(serving) = sockets.serving.take() {
                    serving.kill().await;
                }
                sockets.hold(known.port);
                self.core.change(|state| state.node_down(Instant::now(), id));
            }
            Action::Stop => {
                self.core.change(|state| state.node_down(now, id));
                if let Some(serving) = sockets.serving.take() {
                    serving.stop().await;
                }
                sockets.hold(known.port);
            }
        }
        tracing::info!(node, %action, "done");
        Ok(())
    }

    async fn close(&self) {
        for sockets in self.sockets.lock().await.drain(..) {
            if let Some(serving) = sockets.serving {
                serving.kill().await;
            }
        }
        self.clock.abort();
    }

    fn start(
        self: &Arc<Self>,
        id: NodeId,
        port: u16,
        sockets: &mut Sockets,
    ) -> Result<(), NodeError> {
        self.listen(sockets, id, port)
            .map_err(|source| NodeError::Listen { node: id.0, source })?;
        self.core.change(|state| state.node_up(Instant::now(), id));
        Ok(())
    }

    fn listen(
        self: &Arc<Self>,
        sockets: &mut Sockets,
        node: NodeId,
        port: u16,
    ) -> std::io::Result<()> {
        let socket = match net::reserve(SocketAddr::new(HOST, port)) {
            Ok(socket) => socket,
            // Where no second socket is let onto a port, the one that holds it takes up its work.
            Err(error) => sockets.held.take().ok_or(error)?,
        };
        let cluster: Weak<Self> = Arc::downgrade(self);
        sockets.serving = Some(net::listen(socket, node, Arc::clone(&self.core), cluster)?);
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.clock.abort();
    }
}

impl Sockets {
    /// Holds a dead node's port, if it is not held yet. Where that fails the port is only taken again when the node starts.
    fn hold(&mut self, port: u16) {
        if self.held.is_some() {
            return;
        }
        match net::reserve(SocketAddr::new(HOST, port)) {
            Ok(socket) => self.held = Some(socket),
            Err(error) => {
                tracing::warn!(%error, port, "the port of a node that is down is not held");
            }
        }
    }
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
