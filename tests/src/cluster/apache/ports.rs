//! The ports of the nodes and of the proxy before them: chosen before anything starts, since the nodes
//! must know each other's, and held while a node is down.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use kurier::NodeId;
use tokio::net::TcpSocket;

use crate::cluster::NODES;
use crate::proxy::Route;

/// Where the nodes listen.
#[derive(Debug)]
pub struct Ports {
    nodes: [NodePorts; 3],
    /// Bound, never listening: nobody else is given these ports, and with `SO_REUSEADDR`, which Java
    /// and the proxy set too, their owners can listen beside them.
    _held: Vec<TcpSocket>,
}

/// A free port, which stays ours as long as what is put into `held`.
pub fn free(held: &mut Vec<TcpSocket>) -> anyhow::Result<u16> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address(0))?;
    let port = socket.local_addr()?.port();
    held.push(socket);
    Ok(port)
}

/// The ports of one node.
#[derive(Debug, Clone, Copy)]
pub struct NodePorts {
    /// For clients and for the other nodes.
    pub clients: u16,
    /// For the quorum of controllers.
    pub controller: u16,
    /// For clients that come through the proxy.
    pub behind_proxy: u16,
    /// The proxy's own, which is what those clients are told.
    pub proxy: u16,
}

impl Ports {
    /// Takes free ones.
    pub fn reserve() -> anyhow::Result<Self> {
        let mut held = Vec::new();
        let mut port = || free(&mut held);
        let mut node = || -> anyhow::Result<NodePorts> {
            Ok(NodePorts {
                clients: port()?,
                controller: port()?,
                behind_proxy: port()?,
                proxy: port()?,
            })
        };
        let nodes = [node(), node(), node()];
        let nodes: anyhow::Result<Vec<NodePorts>> = nodes.into_iter().collect();
        let nodes = nodes.context("reserve ports")?;
        Ok(Self { nodes: [nodes[0], nodes[1], nodes[2]], _held: held })
    }

    /// Those of a node.
    pub fn of(&self, node: NodeId) -> NodePorts {
        let index = NODES.iter().position(|known| *known == node);
        self.nodes[index.unwrap_or_else(|| panic!("there is no node {node}"))]
    }

    /// The addresses of the controllers, in the nodes' order.
    pub fn controllers(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| address(node.controller)).collect()
    }

    /// The addresses for clients as they take them.
    pub fn bootstrap(&self) -> String {
        let addresses = self.nodes.iter().map(|node| address(node.clients).to_string());
        addresses.collect::<Vec<_>>().join(",")
    }

    /// What a proxy before the nodes has to join.
    pub fn routes(&self) -> Vec<Route> {
        let route = |node| {
            let ports = self.of(node);
            Route { node, listen: address(ports.proxy), broker: address(ports.behind_proxy) }
        };
        NODES.into_iter().map(route).collect()
    }
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
