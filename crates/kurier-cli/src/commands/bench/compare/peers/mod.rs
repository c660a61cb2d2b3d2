//! The tools that take part: where each is found, how each is called, and how its figures are read.

mod java;
mod kurier;
mod python;
mod rdkafka;

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::contest::{Missing, Side};
use crate::args::CompareArgs;

/// One who takes part on one side.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    pub(super) side: Side,
    /// One of so many of the messages: a slow one would take most of the time.
    pub(super) share: u64,
    /// Whether what it reads are kurier's messages.
    pub(super) typed: bool,
    call: Call,
    read: Read,
}

/// The command for a task.
type Call = Box<dyn Fn(&Task<'_>) -> Command + Send + Sync>;
/// Messages, and the seconds they took by the tool's own clock, from what it said; or what is wrong.
type Read = fn(&str) -> Result<Told, String>;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) bootstrap: &'a str,
    pub(super) topic: &'a str,
    /// Of a consumer.
    pub(super) group: &'a str,
    pub(super) messages: u64,
    pub(super) size: usize,
    pub(super) linger_ms: u128,
    pub(super) compression: &'a str,
    /// A payload a line.
    pub(super) payloads: &'a Path,
    /// One of them.
    pub(super) payload: &'a str,
    /// For what is needed on disk.
    pub(super) scratch: &'a Path,
}

/// What a tool says of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Told {
    pub(super) messages: u64,
    pub(super) seconds: f64,
}

impl Contestant {
    pub(super) fn command(&self, task: &Task<'_>) -> Command {
        (self.call)(task)
    }

    pub(super) fn read(&self, said: &str) -> Result<Told, String> {
        (self.read)(said)
    }
}

/// Bytes of a batch for all: librdkafka's default, and so kurier's.
const BATCH_BYTES: &str = "1000000";
/// Time between two commits for those that can be told: kurier's default.
const COMMIT_EVERY_MS: &str = "1000";

/// Everybody who is there, rdkafka_performance first; and who is not, with the reason.
///
/// # Errors
/// When this program's own file is not known.
pub(super) fn find(args: &CompareArgs) -> anyhow::Result<(Vec<Contestant>, Vec<Missing>)> {
    let kurier = std::env::current_exe()?;
    let mut found = Vec::new();
    let mut missing = Vec::new();
    let mut take = |part: Result<Vec<Contestant>, Missing>| match part {
        Ok(part) => found.extend(part),
        Err(reason) => missing.push(reason),
    };
    take(rdkafka::find(args.rdkafka_performance.as_deref(), &kurier));
    take(Ok(kurier::all(&kurier)));
    take(java::find(args.kafka.as_deref()));
    take(python::confluent(&args.python));
    take(python::kafka_python(&args.python));
    Ok((found, missing))
}

/// Fills a topic for those that read.
///
/// # Errors
/// When this program's own file is not known.
pub(super) fn fill(typed: bool, task: &Task<'_>) -> std::io::Result<Command> {
    Ok(kurier::fill(&std::env::current_exe()?, typed, task))
}

/// Runs a program to see whether it is there: what it writes, and whether it ended well. `None` when there
/// is no such program.
fn probe(command: &mut Command) -> Option<(bool, String)> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&said).trim().to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some((false, error.to_string())),
    }
}

/// The last line of an account, which of a Python's is the error.
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

/// `NAME=VALUE`.
fn pair(name: &str, value: impl std::fmt::Display) -> String {
    format!("{name}={value}")
}
