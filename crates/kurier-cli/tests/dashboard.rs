//! `kurier dashboard` as a process: where it says it is, what it refuses to start with, how it ends.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nobody is there.
const NOWHERE: &str = "127.0.0.1:1";

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
    command.args(["-b", NOWHERE, "-o", "json", "dashboard"]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// One that runs, killed when dropped.
struct Served {
    process: Child,
    address: String,
}

impl Served {
    fn start(args: &[&str]) -> Self {
        let mut process = command(&["--listen", "127.0.0.1:0"]).args(args).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let address = said["address"].as_str().unwrap().to_owned();
        assert_eq!(said["url"], format!("http://{address}/"));
        Self { process, address }
    }

    fn asked(&self, host: &str, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nhost: {host}\r\n\r\n").unwrap();
        stream
    }

    fn get(&self, host: &str, path: &str) -> String {
        let mut answer = String::new();
        self.asked(host, path).read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }
}

fn ended(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

#[test]
fn it_serves_whether_the_cluster_is_there_or_not_and_ends_with_a_signal_whatever_is_open() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let mut served = Served::start(&["--host", "dash.example"]);
        assert!(served.get("localhost", "/livez").starts_with("HTTP/1.0 200 OK\r\n"));
        assert!(served.get("dash.example:80", "/").contains("<title>"));
        assert!(served.get("evil.example", "/").starts_with("HTTP/1.0 421 "));
        assert!(served.get("localhost", "/api/v1/overview").contains(NOWHERE));
        let mut stream = served.asked("localhost", "/api/v1/stream");
        stream.read_exact(&mut [0; 12]).unwrap();
        let begun = Instant::now();
        let pid = served.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let status = served.process.wait().unwrap();
        assert_eq!(status.code(), Some(code));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let mut said = String::new();
        served.process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(
            said.contains(&format!("the dashboard is at http://{}/", served.address)),
            "{said}"
        );
    }
}

#[test]
fn what_makes_no_sense_is_usage_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("token");
    std::fs::write(&short, "0123456789\n").unwrap();
    let taken = Served::start(&[]);
    for (args, reason) in [
        (["--token-file", short.to_str().unwrap()], "needs 16 or more"),
        (["--token-file", "/nowhere/token"], "/nowhere/token"),
        (["--host", "http://dash"], "no name or address of a host"),
        (["--client", "consumer"], "expected HOST:PORT"),
        (["--listen", &taken.address], "in use"),
        (["--listen", "nonsense"], "expected HOST:PORT, such as 127.0.0.1:8080"),
    ] {
        let output = ended(&args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(reason), "{args:?}: {said}");
        assert!(!said.contains("0123456789"), "{said}");
    }
}

/// librdkafka takes the first bytes of the answer for a size, and says to raise a limit.
#[test]
fn that_a_web_server_answers_instead_of_a_broker_is_said() {
    let served = Served::start(&[]);
    let mut kurier = Command::new(env!("CARGO_BIN_EXE_kurier"));
    kurier.args(["-b", &served.address, "--timeout", "2s", "topic", "list"]);
    let output = kurier.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("what answers there speaks HTTP and is no broker"), "{said}");
}

#[test]
fn who_may_read_messages_or_the_token_is_said_loudly() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "0123456789abcdef\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let args = ["--listen", "0.0.0.0:0", "--token-file", token.to_str().unwrap()];
    let mut process = command(&args).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    process.kill().unwrap();
    let said = String::from_utf8(process.wait_with_output().unwrap().stderr).unwrap();
    assert!(said.contains("whoever reaches it reads the messages of every topic"), "{said}");
    assert!(said.contains("can be read by everybody on this machine"), "{said}");
    assert!(!said.contains("0123456789abcdef"), "{said}");
}
