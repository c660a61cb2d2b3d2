//! Three nodes of Apache Kafka on loopback for the length of a command:
//!
//! ```text
//! cargo run -p kurier-tests --bin apache-kafka -- JARS COMMAND [ARGUMENT…]
//! ```
//!
//! The command finds the addresses in `KURIER_BOOTSTRAP`, and in `KURIER_TEST_NODES` the path of the socket
//! where it may kill, stop and start nodes, see [`Control`]. Ends with the command's exit code.
#![allow(clippy::print_stderr, reason = "a command line tool")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use kurier_tests::cluster::{ApacheKafka, Control, TestCluster as _};
use tokio::process::Command;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let jars: PathBuf =
        arguments.next().context("first argument: the folder with Kafka's jars")?.into();
    let command = arguments.next().context("second argument: a command to run")?;
    let folder = tempfile::tempdir().context("make a folder for the socket")?;
    let socket = folder.path().join("nodes");
    let control = Control::listen(&socket)?;
    let kafka = ApacheKafka::start(&jars).await?;
    eprintln!("three nodes of Apache Kafka answer at {}", kafka.bootstrap());
    let mut running = Command::new(command)
        .args(arguments)
        .env("KURIER_BOOTSTRAP", kafka.bootstrap())
        .env("KURIER_TEST_NODES", &socket)
        .spawn()
        .context("run the command")?;
    let status = tokio::select! {
        status = running.wait() => status?,
        broken = control.serve(&kafka) => return broken.map(|()| ExitCode::FAILURE),
    };
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
