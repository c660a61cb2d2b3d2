//! Connects to the address that each broker tells clients, and says nothing there.

use std::collections::BTreeMap;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};

use tokio::task::JoinSet;

use super::CONNECT_WITHIN;
use crate::doctor::facts::Reach;
use crate::{Broker, NodeId};

/// Brokers that are tried; who has more has something that watches them.
const BROKERS_MAX: usize = 200;

/// What became of a connection to each broker, all at once.
pub(super) async fn connect(brokers: &[Broker]) -> Vec<(Broker, Reach)> {
    let mut trying = JoinSet::new();
    for broker in brokers.iter().take(BROKERS_MAX).cloned() {
        trying.spawn(async move { (broker.id, reach(broker.host, broker.port).await) });
    }
    let mut found: BTreeMap<NodeId, Reach> = BTreeMap::new();
    while let Some(tried) = trying.join_next().await {
        if let Ok((id, reach)) = tried {
            found.insert(id, reach);
        }
    }
    let with_reach = |broker: Broker| {
        let untried = || Reach::Failed("not tried".to_owned());
        let reach = found.remove(&broker.id).unwrap_or_else(untried);
        (broker, reach)
    };
    brokers.iter().cloned().map(with_reach).collect()
}

async fn reach(host: String, port: u16) -> Reach {
    // Names are looked up by the system, which blocks; and a look-up may take longer than we wait.
    let trying = tokio::task::spawn_blocking(move || connect_to(&host, port));
    match tokio::time::timeout(CONNECT_WITHIN * 2, trying).await {
        Ok(Ok(reach)) => reach,
        Ok(Err(error)) => Reach::Failed(error.to_string()),
        Err(_) => Reach::Silent(CONNECT_WITHIN * 2),
    }
}

/// Connects to the first address of a name that answers.
fn connect_to(host: &str, port: u16) -> Reach {
    let addresses = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return Reach::Unresolved(error.to_string()),
    };
    let mut last = Reach::Unresolved("it has no address".to_owned());
    for address in addresses {
        last = match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
            Ok(_) => return Reach::Connected,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Reach::Refused,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Reach::Silent(CONNECT_WITHIN),
            Err(error) => Reach::Failed(error.to_string()),
        };
    }
    last
}
