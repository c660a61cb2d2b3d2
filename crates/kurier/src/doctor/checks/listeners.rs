//! The addresses that brokers tell clients to connect to.

use std::collections::BTreeMap;

use super::{Check, Says, brokers};
use crate::doctor::facts::{BrokerFacts, Facts, Reach};
use crate::doctor::finding::{Mend, Severity, Subject};
use crate::{Broker, NodeId};

pub(super) const ADVERTISED_LISTENERS: Check = Check {
    id: "advertised-listeners",
    title: "addresses that brokers tell and nobody answers at",
    reads: "the address that each broker tells clients, by connecting to it",
    finds: "danger: it can't be reached from here, or two brokers tell the same one",
    why: "a client goes to the address in advertised.listeners, wherever it found the cluster: what a broker leads can be neither written nor read when nobody answers there",
    run: advertised_listeners,
};

fn advertised_listeners(facts: &Facts, says: &mut Says) {
    let mut by_address: BTreeMap<String, Vec<NodeId>> = BTreeMap::new();
    for it in &facts.brokers {
        by_address.entry(it.broker.address()).or_default().push(it.broker.id);
        if let Some(trouble) = trouble(&it.reach) {
            let found = format!(
                "it tells clients to connect to {}, which {trouble}: {}",
                it.broker.address(),
                usual_cause(it, facts)
            );
            let subject = Subject::Broker(it.broker.id);
            says.say(Severity::Danger, subject, found, [mend(&it.broker, facts)]);
        }
    }
    for (address, ids) in by_address.into_iter().filter(|(_, ids)| 1 < ids.len()) {
        let found = format!(
            "{} tell clients the same address, {address}: what is meant for one comes to another",
            brokers(&ids)
        );
        let advice = "give each broker a port or host of its own in advertised.listeners";
        says.say(Severity::Danger, Subject::Cluster, found, [Mend::advice(advice)]);
    }
}

/// What was wrong with the connection.
fn trouble(reach: &Reach) -> Option<String> {
    match reach {
        Reach::Connected => None,
        Reach::Unresolved(reason) => Some(format!("is no name here ({reason})")),
        Reach::Refused => Some("refuses the connection".to_owned()),
        Reach::Silent(waited) => Some(format!("did not answer within {waited:?}")),
        Reach::Failed(reason) => Some(format!("can't be connected to ({reason})")),
    }
}

/// Why it is so, as a rule: by what kind of address it is, and what went wrong.
fn usual_cause(it: &BrokerFacts, facts: &Facts) -> &'static str {
    let host = it.broker.host.as_str();
    match &it.reach {
        Reach::Unresolved(_) if !host.contains('.') => {
            "a name without a dot is usually a container's or a host's own, known in its network alone"
        }
        Reach::Unresolved(_) => {
            "the name is not in this host's DNS, or only within another network"
        }
        _ if is_loopback(host) && !bootstrap_hosts(facts).any(is_loopback) => {
            "that is this host itself, not the broker's: advertised.listeners was left at localhost"
        }
        _ if is_loopback(host) => {
            "a broker in a container that advertises localhost needs that very port published to this host"
        }
        Reach::Refused => {
            "the broker listens on another port or interface than it tells, or the container's port is not published"
        }
        Reach::Silent(_) if is_private(host) => {
            "a private address, reachable only within the broker's own network, or behind a firewall"
        }
        Reach::Silent(_) => {
            "a firewall or security group drops the connection, or the address is an old one"
        }
        _ => "the broker is going down, or there is no route to it",
    }
}

fn mend(broker: &Broker, facts: &Facts) -> Mend {
    let host = bootstrap_hosts(facts).find(|host| !is_loopback(host) && *host != broker.host);
    let host = host.unwrap_or("HOST_THAT_CLIENTS_REACH");
    Mend::advice(format!(
        "put advertised.listeners=PLAINTEXT://{host}:{} (with your listener's name) into its server.properties, in a container KAFKA_ADVERTISED_LISTENERS, and restart it; clients within the same container network keep a second listener",
        broker.port
    ))
}

/// The hosts in the addresses the user gave.
fn bootstrap_hosts(facts: &Facts) -> impl Iterator<Item = &str> {
    facts.bootstrap.split(',').map(|address| {
        let address = address.trim();
        let address = address.rsplit_once("://").map_or(address, |(_, address)| address);
        let host = match address.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host,
            _ => address,
        };
        host.trim_matches(['[', ']'])
    })
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_private(host: &str) -> bool {
    host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_private())
}
