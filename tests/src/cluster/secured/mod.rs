//! One node of Apache Kafka as it is where people mind who connects: TLS with certificates of its own
//! authority, SASL, and an authorizer that allows nothing that is not allowed by name.
//!
//! Owns the process. Its settings are in `settings`, the certificates in `certificates`, who may do what in
//! `rights`.

mod certificates;
mod rights;
mod settings;

pub use rights::{CLERK, LETTERS, LONER, LOOKOUT, NOVICE, WORKER};

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::ensure;
use kurier::{
    Admin, ClientConfig, Identity, Mechanism, NewTopic, Pem, Sasl, Secret, Security, Tls,
};
use tokio::net::TcpSocket;

use self::settings::Ports;
use super::{PATIENCE, admin};
use crate::cluster::apache::{fresh_folder, java, last_words, ports, settings as common};
use crate::process;

/// The topic that rights are about.
pub const TOPIC: &str = "orders";
/// Every user's password. Nothing that anybody prints may have it in it.
pub const PASSWORD: &str = "correct-horse-battery";

/// The node, which dies with this process.
#[derive(Debug)]
pub struct Secured {
    ports: Ports,
    folder: PathBuf,
    process: Mutex<Child>,
    /// Bound, never listening: see [`ports`].
    _held: Vec<TcpSocket>,
}

/// Where the node listens; see `settings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// In the clear, for whoever comes, who may do everything.
    Open,
    /// TLS, and SASL by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    Sasl,
    /// TLS with a client's certificate.
    Certificate,
    /// As `Sasl`, with a certificate that is for another host.
    OtherHost,
}

impl Secured {
    /// Makes the certificates and the users, and starts the node; returns when the rights are in effect.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub async fn start(jars: &Path) -> anyhow::Result<Self> {
        ensure!(jars.is_dir(), "{} is no folder: Kafka's jars should be there", jars.display());
        let folder = fresh_folder("secured")?;
        certificates::write(&folder)?;
        let mut held = Vec::new();
        let ports = Ports::reserve(|| ports::free(&mut held))?;
        fs::write(folder.join("server.properties"), settings::of_node(&ports, &folder))?;
        fs::write(folder.join("log4j2.properties"), common::LOGGING)?;
        format(jars, &folder)?;
        let log = File::options().append(true).create(true).open(folder.join("node.log"))?;
        let mut command = java(jars, &folder, "kafka.Kafka");
        command.arg(folder.join("server.properties")).stdout(log.try_clone()?).stderr(log);
        let process = Mutex::new(process::spawn(command)?);
        let node = Self { ports, folder, process, _held: held };
        node.prepare().await?;
        Ok(node)
    }

    /// The address of a listener, by the name of this host or by its number.
    pub fn address(&self, listener: Listener) -> String {
        format!("127.0.0.1:{}", self.ports.of(listener))
    }

    /// A file that was made with the certificates: `ca.pem`, `client.pem`, `client.key`, and the same of
    /// an authority that nobody trusts, `rogue-ca.pem`, `rogue.pem`, `rogue.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    async fn prepare(&self) -> anyhow::Result<()> {
        let open = self.address(Listener::Open);
        let admin = admin(&open)?;
        let end = Instant::now() + PATIENCE;
        while admin.cluster_info().await.is_err() {
            let ended = self.process.lock().expect("nobody panics with it").try_wait()?;
            let log = self.file("node.log");
            ensure!(ended.is_none(), "the secured node ended: {}", last_words(&log));
            ensure!(Instant::now() < end, "not up after {PATIENCE:?}: {}", last_words(&log));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for topic in [TOPIC, rights::ELSEWHERE, LETTERS] {
            admin.create_topic(&NewTopic::new(topic).partitions(1).replication(1)).await?;
        }
        admin.close().await;
        let open = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.of(Listener::Open)));
        rights::grant(open).await?;
        // They are granted by the controller, and the broker hears of it.
        let mut loner = ClientConfig::new(self.address(Listener::Sasl));
        loner.security = self.as_user(Mechanism::Plain, LONER, PASSWORD);
        let admin = Admin::connect(&loner)?;
        while let Err(error) = admin.describe_topic(TOPIC).await {
            ensure!(Instant::now() < end, "no rights after {PATIENCE:?}: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        admin.close().await;
        Ok(())
    }

    /// What it takes to come in by `Sasl`.
    pub fn as_user(&self, mechanism: Mechanism, user: &str, password: &str) -> Security {
        let mut security = Security::default();
        security.tls = Some(Tls::trusting(Pem::file(self.file("ca.pem"))));
        security.sasl = Some(Sasl::new(mechanism, user, Secret::new(password)));
        security
    }

    /// What it takes to come in by `Certificate`.
    pub fn with_certificate(&self) -> Security {
        let (certificate, key) = (self.file("client.pem"), self.file("client.key"));
        let mut tls = Tls::trusting(Pem::file(self.file("ca.pem")));
        tls.identity = Some(Identity::new(Pem::file(certificate), Pem::file(key)));
        let mut security = Security::default();
        security.tls = Some(tls);
        security
    }
}

/// Formats the data folder, with the users of SCRAM in it.
fn format(jars: &Path, folder: &Path) -> anyhow::Result<()> {
    let log = folder.join("format.log");
    let mut command = java(jars, folder, "kafka.tools.StorageTool");
    command.args(["format", "-t", CLUSTER_ID, "-c"]).arg(folder.join("server.properties"));
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let user = format!("{mechanism}=[name={},password={PASSWORD}]", rights::WORKER);
        command.args(["--add-scram", &user]);
    }
    command.stdout(Stdio::null()).stderr(File::create(&log)?);
    ensure!(process::spawn(command)?.wait()?.success(), "format: {}", last_words(&log));
    Ok(())
}

/// Any id of the right form; Kafka wants 16 bytes of base64.
const CLUSTER_ID: &str = "a3VyaWVyLXNlY3VyZWQtMQ";
