//! What the secured node is told. Kafka's documentation, "Security".

use std::path::Path;

use super::rights::{CLERK, LONER, LOOKOUT, NOVICE, WORKER};
use super::{Listener, PASSWORD};

/// Where it listens.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    open: u16,
    sasl: u16,
    certificate: u16,
    other_host: u16,
    controller: u16,
}

impl Ports {
    /// Takes five.
    pub fn reserve(mut free: impl FnMut() -> anyhow::Result<u16>) -> anyhow::Result<Self> {
        Ok(Self {
            open: free()?,
            sasl: free()?,
            certificate: free()?,
            other_host: free()?,
            controller: free()?,
        })
    }

    /// That of a listener.
    pub fn of(&self, listener: Listener) -> u16 {
        match listener {
            Listener::Open => self.open,
            Listener::Sasl => self.sasl,
            Listener::Certificate => self.certificate,
            Listener::OtherHost => self.other_host,
        }
    }
}

/// Its `server.properties`.
pub fn of_node(ports: &Ports, folder: &Path) -> String {
    let Ports { open, sasl, certificate, other_host, controller } = ports;
    let advertised = format!(
        "OPEN://127.0.0.1:{open},SASL://127.0.0.1:{sasl},CERTIFICATE://127.0.0.1:{certificate},\
         OTHERHOST://127.0.0.1:{other_host}"
    );
    let folder = folder.display();
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners={advertised},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners={advertised}\n\
         listener.security.protocol.map=OPEN:PLAINTEXT,SASL:SASL_SSL,CERTIFICATE:SSL,OTHERHOST:SASL_SSL,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=OPEN\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={folder}/data\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS\n\
         sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
         listener.name.certificate.ssl.client.auth=required\n\
         {}{}{}{}{}",
        keys("sasl", "server", &folder),
        keys("certificate", "server", &folder),
        keys("otherhost", "elsewhere", &folder),
        users("sasl"),
        users("otherhost"),
    )
}

/// Certificates in PEM (KIP-651).
fn keys(listener: &str, certificate: &str, folder: &std::path::Display<'_>) -> String {
    format!(
        "listener.name.{listener}.ssl.keystore.type=PEM\n\
         listener.name.{listener}.ssl.keystore.location={folder}/{certificate}.keystore.pem\n\
         listener.name.{listener}.ssl.truststore.type=PEM\n\
         listener.name.{listener}.ssl.truststore.location={folder}/ca.pem\n"
    )
}

/// The users of PLAIN stand here, those of SCRAM in the data folder.
fn users(listener: &str) -> String {
    let modules = "org.apache.kafka.common.security";
    let users =
        [WORKER, LOOKOUT, LONER, CLERK, NOVICE].map(|user| format!("user_{user}=\"{PASSWORD}\""));
    let mut lines = format!(
        "listener.name.{listener}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required {};\n",
        users.join(" ")
    );
    for mechanism in ["scram-sha-256", "scram-sha-512"] {
        lines += &format!(
            "listener.name.{listener}.{mechanism}.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n"
        );
    }
    lines
}
