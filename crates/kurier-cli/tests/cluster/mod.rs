//! A cluster for the tests of the binary.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// `kurier cluster run` on free ports, killed when dropped; or one that is there already.
pub struct Cluster {
    process: Option<Child>,
    pub bootstrap: String,
}

impl Cluster {
    /// One with these topics, `NAME:PARTITIONS`.
    pub fn run(topics: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
        command.args(["-o", "json", "cluster", "run", "--port", "0"]);
        for topic in topics {
            command.args(["--topic", topic]);
        }
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let started: Value = serde_json::from_str(&line).unwrap();
        let bootstrap = started["bootstrap"].as_str().unwrap().to_owned();
        Self { process: Some(process), bootstrap }
    }

    /// One that someone else started, and ends.
    pub fn at(bootstrap: String) -> Self {
        Self { process: None, bootstrap }
    }

    /// A command against it, with its streams as pipes.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
        command.args(["-b", &self.bootstrap]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub fn kurier(&self, args: &[&str], input: &str) -> Output {
        let mut process = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        let input = input.to_owned();
        // From a thread of its own, so that neither side waits for the other's pipe.
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = process.wait_with_output().unwrap();
        // A command that reads no input may be gone before it is written.
        let _ = writer.join().unwrap();
        output
    }

    /// The objects that a command prints, which must succeed.
    pub fn objects(&self, args: &[&str]) -> Vec<Value> {
        let output = self.kurier(args, "");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

/// What a command wrote on standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
