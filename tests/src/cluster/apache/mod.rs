//! Three nodes of Apache Kafka, each a process of its own, broker and controller at once.
//!
//! Owns the processes. What they are told is in `settings`, where they listen in `ports`, and how
//! scenarios share one cluster in `turn`.

pub(super) mod ports;
pub(super) mod settings;
mod turn;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use kurier::NodeId;

use self::ports::Ports;
pub(super) use self::turn::turn;
use super::{
    Asked, Done, Kind, NODES, PATIENCE, TestCluster, admin, ask_until_right, quorum,
    wait_until_whole,
};
use crate::process::{self, Signal};
use crate::proxy::Route;

/// Three nodes of Apache Kafka on loopback, with Kafka's own defaults but for replication and addresses.
/// They die with this process.
#[derive(Debug)]
pub struct ApacheKafka {
    nodes: Vec<Mutex<Node>>,
    ports: Ports,
    bootstrap: String,
    jars: PathBuf,
    /// Settings, logs and data; the next one to start removes what it finds of the dead.
    folder: PathBuf,
}

#[derive(Debug)]
struct Node {
    id: NodeId,
    process: Option<Child>,
    paused: bool,
}

/// How long a node that starts may take for one answer.
const ONE_QUESTION: Duration = Duration::from_secs(5);
/// Any id of the right form; Kafka wants 16 bytes of base64.
const CLUSTER_ID: &str = "a3VyaWVyLXRlc3RzLW9ubA";

impl ApacheKafka {
    /// Formats three data folders and starts the nodes; returns when all three answer.
    ///
    /// # Errors
    /// When one does not start, with the end of its log.
    pub async fn start(jars: &Path) -> anyhow::Result<Self> {
        ensure!(jars.is_dir(), "{} is no folder: Kafka's jars should be there", jars.display());
        let folder = fresh_folder("nodes")?;
        let ports = Ports::reserve()?;
        for node in NODES {
            let file = folder.join(format!("{node}.properties"));
            fs::write(file, settings::of_node(node, &ports, &folder))?;
        }
        fs::write(folder.join("log4j2.properties"), settings::LOGGING)?;
        let kafka = Self {
            nodes: NODES
                .map(|id| Mutex::new(Node { id, process: None, paused: false }))
                .into_iter()
                .collect(),
            bootstrap: ports.bootstrap(),
            ports,
            jars: jars.to_owned(),
            folder,
        };
        kafka.format()?;
        kafka.start_all().await?;
        Ok(kafka)
    }

    /// Everybody up and awake, nothing left of earlier topics, every replica in sync.
    async fn heal(&self) -> anyhow::Result<()> {
        for node in NODES {
            if self.with(node, |node| node.paused) {
                self.resume(node).await?;
            }
        }
        self.start_all().await?;
        ask_until_right(&self.bootstrap, async |admin| {
            let mut left = Vec::new();
            for topic in admin.list_topics().await?.into_iter().filter(|topic| !topic.internal) {
                // It may have been done though it failed; the next list tells.
                let failed = admin.delete_topic(&topic.name).await.err();
                left.push((topic.name, failed));
            }
            ensure!(left.is_empty(), "topics of the scenario before: {left:?}");
            Ok(())
        })
        .await?;
        let admin = admin(&self.bootstrap)?;
        let whole = wait_until_whole(&admin).await;
        admin.close().await;
        whole
    }

    fn format(&self) -> anyhow::Result<()> {
        let mut running = Vec::new();
        for node in NODES {
            let mut command = self.java("kafka.tools.StorageTool");
            command.args(["format", "-t", CLUSTER_ID, "-c"]).arg(self.settings_of(node));
            command.stdout(Stdio::null()).stderr(File::create(self.log_of(node))?);
            running.push((node, process::spawn(command)?));
        }
        for (node, mut format) in running {
            ensure!(format.wait()?.success(), "format node {node}: {}", self.last_words(node));
        }
        Ok(())
    }

    /// Starts the process of a node that has none.
    fn launch(&self, node: NodeId) -> anyhow::Result<()> {
        let mut command = self.java("kafka.Kafka");
        let log = File::options().append(true).create(true).open(self.log_of(node))?;
        command.arg(self.settings_of(node)).stdout(log.try_clone()?).stderr(log);
        let process = process::spawn(command).context("start java")?;
        self.with(node, |node| node.process = Some(process));
        Ok(())
    }

    /// Waits until the nodes take part in the cluster, as each itself says: the others may not have missed it yet.
    async fn wait_for(&self, wanted: &[NodeId]) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        for &node in wanted {
            let own = format!("127.0.0.1:{}", self.ports.of(node).clients);
            let admin = admin(&own)?.with_timeout(ONE_QUESTION);
            loop {
                let missing = match admin.cluster_info().await {
                    Ok(info) if info.brokers.iter().any(|it| it.id == node) => break,
                    Ok(info) => format!("it names {:?}", info.brokers),
                    Err(error) => error.to_string(),
                };
                self.expect_alive(node)?;
                let last_words = || self.last_words(node);
                ensure!(Instant::now() < end, "node {node}: {missing}; {}", last_words());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            admin.close().await;
        }
        Ok(())
    }

    fn expect_alive(&self, node: NodeId) -> anyhow::Result<()> {
        let ended = self.with(node, |node| match &mut node.process {
            Some(process) => process.try_wait().map(|status| status.is_some()),
            None => Ok(true),
        })?;
        ensure!(!ended, "node {node} ended: {}", self.last_words(node));
        Ok(())
    }

    /// Waits for the end of a node's process, which was asked to end or killed.
    async fn reap(&self, node: NodeId) -> anyhow::Result<()> {
        let child = self.with(node, |node| node.process.take());
        let mut child = child.with_context(|| format!("node {node} is down already"))?;
        let end = Instant::now() + PATIENCE;
        while child.try_wait()?.is_none() {
            if end < Instant::now() {
                child.kill()?;
                child.wait()?;
                bail!("node {node} did not end within {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn signal(&self, node: NodeId, signal: Signal) -> anyhow::Result<()> {
        self.with(node, |node| {
            let process = node.process.as_ref().with_context(|| format!("{} is down", node.id))?;
            process::signal(process, signal)?;
            match signal {
                Signal::Freeze => node.paused = true,
                Signal::Thaw => node.paused = false,
                Signal::Terminate => {}
            }
            Ok(())
        })
    }

    fn with<T>(&self, id: NodeId, change: impl FnOnce(&mut Node) -> T) -> T {
        let node = NODES.iter().position(|node| *node == id).map(|index| &self.nodes[index]);
        let node = node.unwrap_or_else(|| panic!("there is no node {id}"));
        change(&mut node.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn java(&self, class: &str) -> Command {
        java(&self.jars, &self.folder, class)
    }

    fn settings_of(&self, node: NodeId) -> PathBuf {
        self.folder.join(format!("{node}.properties"))
    }

    fn log_of(&self, node: NodeId) -> PathBuf {
        self.folder.join(format!("{node}.log"))
    }

    /// The end of what a node said.
    fn last_words(&self, node: NodeId) -> String {
        last_words(&self.log_of(node))
    }
}

impl Drop for ApacheKafka {
    fn drop(&mut self) {
        for node in NODES {
            if let Some(mut process) = self.with(node, |node| node.process.take()) {
                // Harmless when it has ended.
                let _ = process.kill();
                let _ = process.wait();
            }
        }
        // What stays is removed by the next one to start.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl TestCluster for ApacheKafka {
    fn kind(&self) -> Kind {
        Kind::ApacheKafka
    }

    fn version(&self) -> String {
        let of_jar = |name: &str| {
            Some(name.strip_prefix("kafka-clients-")?.strip_suffix(".jar")?.to_owned())
        };
        let jars = fs::read_dir(&self.jars).into_iter().flatten().flatten();
        let version = jars.filter_map(|jar| of_jar(jar.file_name().to_str()?)).next();
        format!("Apache Kafka {}", version.as_deref().unwrap_or("of unknown version"))
    }

    fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn kill(&self, node: NodeId) -> Done<'_> {
        Box::pin(async move {
            self.with(node, |node| node.process.as_mut().map_or(Ok(()), Child::kill))?;
            self.reap(node).await
        })
    }

    fn stop(&self, node: NodeId) -> Done<'_> {
        Box::pin(async move {
            self.signal(node, Signal::Terminate)?;
            self.reap(node).await
        })
    }

    fn start(&self, node: NodeId) -> Done<'_> {
        Box::pin(async move {
            self.launch(node)?;
            self.wait_for(&[node]).await
        })
    }

    fn start_all(&self) -> Done<'_> {
        Box::pin(async move {
            for node in NODES {
                if self.with(node, |node| node.process.is_none()) {
                    self.launch(node)?;
                }
            }
            self.wait_for(&NODES).await
        })
    }

    fn pause(&self, node: NodeId) -> Done<'_> {
        Box::pin(async move { self.signal(node, Signal::Freeze) })
    }

    fn resume(&self, node: NodeId) -> Done<'_> {
        Box::pin(async move { self.signal(node, Signal::Thaw) })
    }

    fn controller(&self) -> Asked<'_, Option<NodeId>> {
        Box::pin(async move { quorum::leader(&self.ports.controllers()).await.map(Some) })
    }

    fn routes(&self) -> Vec<Route> {
        self.ports.routes()
    }
}

/// A class of Kafka's, which writes its log to standard output as `log4j2.properties` in `folder` says.
pub(super) fn java(jars: &Path, folder: &Path, class: &str) -> Command {
    let mut command = Command::new("java");
    command
        .args(["-Xmx512m", "-cp"])
        .arg(jars.join("*"))
        .arg(format!("-Dlog4j2.configurationFile={}/log4j2.properties", folder.display()))
        .arg(class)
        .stdin(Stdio::null());
    command
}

/// The end of a log.
pub(super) fn last_words(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    format!("its log ends with\n{}", lines[lines.len().saturating_sub(15)..].join("\n"))
}

/// A folder named after this process. A test binary ends without dropping what is static, so the
/// folders of processes that are gone are removed here.
pub(super) fn fresh_folder(of: &str) -> anyhow::Result<PathBuf> {
    const PREFIX: &str = "kurier-apache-kafka-";
    let temporary = std::env::temp_dir();
    for entry in fs::read_dir(&temporary)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let owner = owner.and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            fs::remove_dir_all(&path)?;
        }
    }
    let folder = temporary.join(format!("{PREFIX}{}-{of}", std::process::id()));
    fs::create_dir(&folder)?;
    Ok(folder)
}
