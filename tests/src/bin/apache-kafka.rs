//! Three nodes of Apache Kafka on loopback for the length of a command:
//!
//! ```text
//! cargo run -p kurier-tests --bin apache-kafka -- JARS COMMAND [ARGUMENT…]
//! ```
//!
//! The command finds the addresses in `KURIER_BOOTSTRAP`. Ends with the command's exit code.
#![allow(clippy::print_stderr, reason = "a command line tool")]

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use kurier_tests::cluster::{ApacheKafka, TestCluster as _};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let jars: PathBuf =
        arguments.next().context("first argument: the folder with Kafka's jars")?.into();
    let command = arguments.next().context("second argument: a command to run")?;
    let kafka = ApacheKafka::start(&jars).await?;
    eprintln!("three nodes of Apache Kafka answer at {}", kafka.bootstrap());
    let status = Command::new(command)
        .args(arguments)
        .env("KURIER_BOOTSTRAP", kafka.bootstrap())
        .status()
        .context("run the command")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
