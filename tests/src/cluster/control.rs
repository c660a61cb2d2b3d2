//! Nodes that a command beside the cluster kills, stops and starts: a Unix socket that takes one line a
//! connection (`kill 2`, `stop 2`, `start 2`, `start all`) and answers, once it is done, `done` or why it is not.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use kurier::NodeId;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::{NODES, TestCluster};

/// The socket; who made it can [`serve`](Control::serve) it for as long as the cluster lives.
#[derive(Debug)]
pub struct Control(UnixListener);

impl Control {
    /// Listens at `path`, which must not be there yet.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen(path: &Path) -> anyhow::Result<Self> {
        let listener = UnixListener::bind(path);
        Ok(Self(listener.with_context(|| format!("listen at {}", path.display()))?))
    }

    /// Does what is asked, one line after another, and does not end.
    ///
    /// # Errors
    /// When nobody can connect any more. Whoever hangs up early is told nothing, and harms nobody.
    pub async fn serve(&self, cluster: &dyn TestCluster) -> anyhow::Result<()> {
        loop {
            let (mut stream, _) = self.0.accept().await.context("accept at the socket")?;
            let Ok(line) = line_of(&mut stream).await else { continue };
            let answer = match act(cluster, line.trim()).await {
                Ok(()) => "done\n".to_owned(),
                Err(error) => format!("{error:#}\n"),
            };
            eprintln!("{}: {}", line.trim(), answer.trim());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    }
}

async fn line_of(stream: &mut UnixStream) -> std::io::Result<String> {
    const LINE_BYTES_MAX: u64 = 64;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
    Ok(line)
}

async fn act(cluster: &dyn TestCluster, line: &str) -> anyhow::Result<()> {
    let (action, node) = line.split_once(' ').unwrap_or((line, ""));
    if line == "start all" {
        return cluster.start_all().await;
    }
    let node = NodeId(node.parse().with_context(|| format!("{line:?} names no node"))?);
    ensure!(NODES.contains(&node), "there is no node {node}");
    match action {
        "kill" => cluster.kill(node).await,
        "stop" => cluster.stop(node).await,
        "start" => cluster.start(node).await,
        _ => bail!("{line:?}: kill, stop and start are possible"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Embedded, admin};
    use super::*;

    async fn ask(path: &Path, line: &str) -> String {
        let mut stream = UnixStream::connect(path).await.expect("the socket is there");
        stream.write_all(line.as_bytes()).await.expect("the line is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("there is an answer");
        answer
    }

    #[tokio::test]
    async fn nodes_are_killed_and_started_and_what_makes_no_sense_is_refused() {
        let cluster = Embedded::start().await.expect("a cluster");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("nodes");
        let control = Control::listen(&path).expect("a socket");
        let admin = admin(cluster.bootstrap()).expect("a client");
        let brokers =
            async || admin.cluster_info().await.expect("the cluster answers").brokers.len();
        let asks = async {
            assert_eq!(ask(&path, "kill 2\n").await, "done\n");
            assert_eq!(brokers().await, 2);
            assert_ne!(ask(&path, "kill 2\n").await, "done\n", "it is dead");
            assert_eq!(ask(&path, "stop 3\n").await, "done\n");
            assert_eq!(brokers().await, 1);
            drop(UnixStream::connect(&path).await.expect("the socket is there"));
            assert_eq!(ask(&path, "start 2\n").await, "done\n");
            assert_eq!(brokers().await, 2);
            assert_eq!(ask(&path, "start all\n").await, "done\n");
            assert_eq!(brokers().await, 3);
            assert_eq!(ask(&path, "kill 4\n").await, "there is no node 4\n");
            assert!(ask(&path, "kill all\n").await.starts_with("\"kill all\" names no node"));
            assert!(ask(&path, "dance 1\n").await.contains("kill, stop and start are possible"));
            assert_eq!(brokers().await, 3);
        };
        tokio::select! {
            ended = control.serve(&cluster) => panic!("it ended: {ended:?}"),
            () = asks => {}
        }
        admin.close().await;
    }
}
