//! Nodes that come and go, and their ports.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpSocket;

use super::EmbeddedCluster;

/// How often a node is killed or stopped and started again; without a socket that holds the port throughout, a few are
/// enough for somebody else to get it.
const TIMES: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_gets_the_port_of_a_node_that_comes_and_goes() {
    let cluster = EmbeddedCluster::builder().nodes(2).start().await.unwrap();
    let address: SocketAddr = cluster.info().nodes[1].address.parse().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&over);
    // Like a client's end of a connection: a socket without a claim to share.
    let taking = tokio::task::spawn_blocking(move || {
        let mut tries = 0_u64;
        while !until.load(Ordering::Relaxed) {
            tries += 1;
            if TcpSocket::new_v4().unwrap().bind(address).is_ok() {
                return Err(tries);
            }
        }
        Ok(tries)
    });
    for time in 0..TIMES {
        match time % 2 {
            0 => cluster.kill(2).await.unwrap(),
            _ => cluster.stop(2).await.unwrap(),
        }
        assert!(std::net::TcpStream::connect(address).is_err(), "a node that is down refuses");
        cluster.start(2).await.unwrap();
        assert!(
            std::net::TcpStream::connect(address).is_ok(),
            "a node that is up takes connections"
        );
    }
    over.store(true, Ordering::Relaxed);
    let tries = taking.await.unwrap().expect("the port was given to somebody else");
    assert!(tries > 0);
}
