//! What the nodes are told: Kafka's own defaults but for replication, addresses and the log.

use std::path::Path;

use kurier::NodeId;

use super::ports::Ports;
use crate::cluster::NODES;

/// A node's `server.properties`. Clients that take their bootstrap addresses from the listener
/// `PROXIED` are sent to the proxy's ports; nodes talk to each other past it.
pub fn of_node(node: NodeId, ports: &Ports, folder: &Path) -> String {
    let mine = ports.of(node);
    let voters = NODES.map(|node| format!("{node}@127.0.0.1:{}", ports.of(node).controller));
    format!(
        "process.roles=broker,controller\n\
         node.id={node}\n\
         controller.quorum.voters={}\n\
         listeners=PLAINTEXT://127.0.0.1:{},PROXIED://127.0.0.1:{},CONTROLLER://127.0.0.1:{}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{},PROXIED://127.0.0.1:{}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}/data-{node}\n\
         auto.create.topics.enable=false\n\
         default.replication.factor=3\n\
         min.insync.replicas=2\n\
         unclean.leader.election.enable=false\n\
         offsets.topic.replication.factor=3\n\
         offsets.topic.num.partitions=6\n\
         transaction.state.log.replication.factor=3\n\
         transaction.state.log.min.isr=2\n\
         group.initial.rebalance.delay.ms=0\n",
        voters.join(","),
        mine.clients,
        mine.behind_proxy,
        mine.controller,
        mine.clients,
        mine.proxy,
        folder.display(),
    )
}

/// Everything to standard output, which becomes the node's log.
pub const LOGGING: &str = "\
rootLogger.level=INFO
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
";
