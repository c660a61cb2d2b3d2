//! A TCP proxy before the nodes of a cluster: delays, swallows, cuts and refuses, per node and direction,
//! for as long as a scenario wants.
//!
//! Owns the listeners and a thread on which everything of it runs; what happens to the bytes of one
//! direction of one connection is in `pump`. It knows nothing of Kafka's protocol.

mod pump;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, ensure};
use kurier::NodeId;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::pump::pump;
pub use self::pump::{Flow, HELD_BYTES_MAX};

/// Where the proxy stands before one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The node.
    pub node: NodeId,
    /// Where clients come: the address that the node tells them.
    pub listen: SocketAddr,
    /// Where the node listens for what comes through the proxy.
    pub broker: SocketAddr,
}

/// One direction of a node's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Requests.
    ToBroker,
    /// Answers.
    ToClient,
}

/// A running proxy. Everything passes until something else is asked for. Dropping it closes every
/// connection, and waits until its thread has ended.
#[derive(Debug)]
pub struct Proxy {
    gates: Vec<Arc<Gate>>,
    orders: Vec<mpsc::Sender<Order>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// What is known of one node, on both sides of the thread's border.
#[derive(Debug)]
struct Gate {
    route: Route,
    to_broker: watch::Sender<Flow>,
    to_client: watch::Sender<Flow>,
    swallowed: AtomicU64,
}

/// Something to do on the proxy's thread, and who waits for it.
#[derive(Debug)]
struct Order {
    what: Act,
    done: oneshot::Sender<io::Result<()>>,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Cut,
    Refuse,
    Admit,
}

impl Proxy {
    /// Listens before each node.
    ///
    /// # Errors
    /// When there is no route (see [`TestCluster::routes`](crate::cluster::TestCluster::routes)), or a
    /// port is taken.
    pub async fn start(routes: Vec<Route>) -> anyhow::Result<Self> {
        ensure!(!routes.is_empty(), "this cluster has no addresses for a proxy");
        let gate = |route| {
            Arc::new(Gate {
                route,
                to_broker: watch::Sender::new(Flow::Pass),
                to_client: watch::Sender::new(Flow::Pass),
                swallowed: AtomicU64::new(0),
            })
        };
        let gates: Vec<Arc<Gate>> = routes.into_iter().map(gate).collect();
        let (orders, inboxes): (Vec<_>, Vec<_>) = gates.iter().map(|_| mpsc::channel(1)).unzip();
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (served, until) = (gates.clone(), stop.clone());
        let thread = std::thread::Builder::new().name("proxy".into()).spawn(move || {
            runtime.block_on(async {
                let gates = served.into_iter().zip(inboxes);
                let mut serving: JoinSet<()> =
                    gates.map(|(gate, orders)| serve(gate, orders)).collect();
                until.cancelled().await;
                serving.shutdown().await;
            });
        })?;
        let proxy = Self { gates, orders, stop, thread: Some(thread) };
        for gate in &proxy.gates {
            proxy.order(gate.route.node, Act::Admit).await?;
        }
        Ok(proxy)
    }

    /// What clients take as their bootstrap addresses.
    pub fn bootstrap(&self) -> String {
        let addresses = self.gates.iter().map(|gate| gate.route.listen.to_string());
        addresses.collect::<Vec<_>>().join(",")
    }

    /// From now on bytes of this direction of the node's connections, old and new, flow like this.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn set(&self, node: NodeId, direction: Direction, flow: Flow) -> anyhow::Result<()> {
        let (gate, _) = self.gate(node)?;
        match direction {
            Direction::ToBroker => &gate.to_broker,
            Direction::ToClient => &gate.to_client,
        }
        .send_replace(flow);
        Ok(())
    }

    /// Resets the node's connections of now. New ones are welcome.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn cut(&self, node: NodeId) -> anyhow::Result<()> {
        self.order(node, Act::Cut).await
    }

    /// Resets the node's connections, and refuses new ones until [`admit`](Self::admit).
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn refuse(&self, node: NodeId) -> anyhow::Result<()> {
        self.order(node, Act::Refuse).await
    }

    /// Takes connections again. Nothing changes where they are taken.
    ///
    /// # Errors
    /// When there is no such node, or its port was taken by somebody else.
    pub async fn admit(&self, node: NodeId) -> anyhow::Result<()> {
        self.order(node, Act::Admit).await
    }

    /// Everything passes and everybody is admitted.
    ///
    /// # Errors
    /// When a port was taken by somebody else.
    pub async fn heal(&self) -> anyhow::Result<()> {
        for gate in &self.gates {
            gate.to_broker.send_replace(Flow::Pass);
            gate.to_client.send_replace(Flow::Pass);
            self.admit(gate.route.node).await?;
        }
        Ok(())
    }

    /// How many bytes to and from the node were swallowed so far: whether that fault hit anything.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn swallowed(&self, node: NodeId) -> anyhow::Result<u64> {
        Ok(self.gate(node)?.0.swallowed.load(Ordering::Relaxed))
    }

    async fn order(&self, node: NodeId, what: Act) -> anyhow::Result<()> {
        let (done, answer) = oneshot::channel();
        let (_, orders) = self.gate(node)?;
        orders.send(Order { what, done }).await.context("the proxy has ended")?;
        answer.await.context("the proxy has ended")?.with_context(|| format!("{what:?} {node}"))
    }

    fn gate(&self, node: NodeId) -> anyhow::Result<(&Gate, &mpsc::Sender<Order>)> {
        let mut all = self.gates.iter().zip(&self.orders);
        let found = all.find(|(gate, _)| gate.route.node == node);
        let (gate, orders) = found.with_context(|| format!("there is no node {node}"))?;
        Ok((gate, orders))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told where it happened.
            let _ = thread.join();
        }
    }
}

/// One node's listener and connections.
async fn serve(gate: Arc<Gate>, mut orders: mpsc::Receiver<Order>) {
    let mut listener = None;
    let mut connections = JoinSet::new();
    let mut cut = CancellationToken::new();
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(Order { what, done }) = order else { return };
                if let Act::Cut | Act::Refuse = what {
                    cut.cancel();
                    while connections.join_next().await.is_some() {}
                    cut = CancellationToken::new();
                }
                let made = match what {
                    Act::Cut => Ok(()),
                    Act::Refuse => { listener = None; Ok(()) }
                    Act::Admit if listener.is_some() => Ok(()),
                    Act::Admit => listen(gate.route.listen).map(|socket| listener = Some(socket)),
                };
                // Whoever gave the order may have been dropped while waiting.
                let _ = done.send(made);
            }
            // A failed accept is the end of that connection, which its client sees.
            Ok((client, _)) = accept(listener.as_ref()) => {
                connections.spawn(join(client, Arc::clone(&gate), cut.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// `SO_REUSEADDR` is set: the harness holds the port while nobody listens.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(128)
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// One connection until either side ends it, or it is cut.
async fn join(mut client: TcpStream, gate: Arc<Gate>, cut: CancellationToken) {
    let connected = tokio::select! {
        connected = TcpStream::connect(gate.route.broker) => connected,
        () = cut.cancelled() => Err(reset()),
    };
    let ended = match connected {
        Ok(mut broker) => {
            let ended = tokio::select! {
                ended = exchange(&mut client, &mut broker, &gate) => ended,
                () = cut.cancelled() => Err(reset()),
            };
            if ended.is_err() {
                end_hard(&broker);
            }
            ended
        }
        Err(error) => Err(error),
    };
    if ended.is_err() {
        end_hard(&client);
    }
}

async fn exchange(client: &mut TcpStream, broker: &mut TcpStream, gate: &Gate) -> io::Result<()> {
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_broker, to_broker) = broker.split();
    tokio::try_join!(
        pump(from_client, to_broker, gate.to_broker.subscribe(), &gate.swallowed),
        pump(from_broker, to_client, gate.to_client.subscribe(), &gate.swallowed),
    )?;
    Ok(())
}

/// With nothing to linger for, closing a socket is a reset.
fn end_hard(socket: &TcpStream) {
    // It fails where the other side was faster.
    let _ = socket.set_zero_linger();
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}
