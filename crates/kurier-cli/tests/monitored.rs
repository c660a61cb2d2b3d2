//! `--metrics` and `probe`: what a process that runs says of itself to whoever asks.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cluster;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use cluster::{Cluster, said};
use serde_json::Value;

/// A command that serves its health, killed when dropped.
struct Served {
    process: Child,
    address: String,
}

impl Served {
    fn start(cluster: &Cluster, args: &[&str]) -> Self {
        let mut command = cluster.command(&["--log-format", "json"]);
        let mut process = command.args(args).args(["--metrics", "127.0.0.1:0"]).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = loop {
            let line: Value = serde_json::from_str(&log.next().unwrap().unwrap()).unwrap();
            if let Some(address) = line["fields"]["address"].as_str() {
                break address.to_owned();
            }
        };
        // Whatever else it says is read, so that it never waits for a reader.
        std::thread::spawn(move || log.for_each(drop));
        Self { process, address }
    }

    fn probe(&self, question: &str) -> Output {
        probe(question, &self.address, "60s")
    }

    fn probe_json(&self, question: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
        command.args(["-o", "json", "probe", question, &self.address]).output().unwrap()
    }

    /// Asks until the answer has this code; gives its body.
    fn until(&self, question: &str, code: i32) -> String {
        let begun = Instant::now();
        loop {
            let told = self.probe(question);
            let body = String::from_utf8(told.stdout.clone()).unwrap();
            if told.status.code() == Some(code) {
                return body;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{body}{}", said(&told));
        }
    }

    /// What a browser would get.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn term(&self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }
}

fn probe(question: &str, address: &str, timeout: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
    command.args(["probe", question, address, "--timeout", timeout]).output().unwrap()
}

#[test]
fn a_consumer_is_probed_ready_and_then_not_while_its_cluster_is_away() {
    for kind in ["single", "batch"] {
        let cluster = Cluster::run(&["t:1"]);
        let mut consumer = Served::start(&cluster, &["consume", kind, "t", "--instance", "1"]);
        let client = format!("consumer {kind}_message_group_1-1");
        let checks = [
            "client",
            "reading",
            "partitions",
            "cluster",
            "dead-letters",
            "topics",
            "assignment",
            "run",
        ];
        let lines = checks.map(|check| format!("ok {client}: {check}\n"));
        assert_eq!(consumer.until("ready", 0), format!("ready\n{}", lines.concat()));
        let live = format!("live\nok {client}: client\nok {client}: reading\n");
        let json: Value = serde_json::from_slice(&consumer.probe_json("live").stdout).unwrap();
        let checks = ["client", "reading"].map(|check| format!("{client}: {check}"));
        let checks = checks.map(|check| serde_json::json!({ "ok": true, "check": check }));
        let (address, asked) = (&consumer.address, "/livez");
        let expected = serde_json::json!({
            "address": address, "asked": asked, "yes": true, "checks": checks,
        });
        assert_eq!(json, expected);
        assert_eq!(consumer.until("live", 0), live);
        drop(cluster);
        let away = consumer.until("ready", 10);
        let failing = format!("failing {client}: cluster: waiting for the cluster for ");
        assert!(away.starts_with("not ready\n") && away.contains(&failing), "{away}");
        assert_eq!(consumer.until("live", 0), live);
        consumer.term();
        let code = consumer.process.wait().unwrap().code();
        assert_eq!(code, Some(143), "nothing was handled, so nothing is left to commit");
        assert_eq!(consumer.probe("ready").status.code(), Some(5), "it has ended");
    }
}

#[test]
fn a_producer_says_that_it_waits_for_its_cluster_and_that_it_is_back() {
    let cluster = Cluster::run(&["t:1"]);
    let args = ["produce", "t", "--sample", "1000000", "--rate", "50", "--report", "none"];
    let mut producer = Served::start(&cluster, &args);
    let checks = ["client", "partitions", "cluster", "outbox", "run"];
    let lines = checks.map(|check| format!("ok producer kurier-producer: {check}\n"));
    assert_eq!(producer.until("ready", 0), format!("ready\n{}", lines.concat()));
    // Too few replicas to write to.
    for node in ["1", "2"] {
        cluster.kurier(&["cluster", "kill", node], "");
    }
    let away = producer.until("ready", 10);
    assert!(away.contains("failing producer kurier-producer: cluster: waiting for"), "{away}");
    assert_eq!(producer.until("live", 0), "live\nok producer kurier-producer: client\n");
    for node in ["1", "2"] {
        cluster.kurier(&["cluster", "start", node], "");
    }
    producer.until("ready", 0);
    producer.term();
    assert_eq!(producer.process.wait().unwrap().code(), Some(4), "the samples are not all sent");
}

#[test]
fn the_figures_of_a_consumer_are_there_for_whoever_asks() {
    let cluster = Cluster::run(&["t:1"]);
    cluster.objects(&["produce", "t", "--sample", "50", "--report", "none"]);
    let consumer = Served::start(&cluster, &["consume", "single", "t", "--instance", "1"]);
    let handled =
        "kurier_consumer_records_processed_total{client=\"single_message_group_1-1\"} 50\n";
    let begun = Instant::now();
    loop {
        let page = consumer.get("/metrics");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n";
        assert!(page.starts_with(head), "{page}");
        if page.contains(handled) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{page}");
    }
}

#[test]
fn an_address_that_is_taken_is_a_usage_error_and_so_is_nonsense() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let in_use = format!("--metrics {address}: ");
    let nonsense = "'nonsense' for '--metrics <HOST:PORT>': expected HOST:PORT";
    for (address, named, why) in
        [(address.as_str(), in_use.as_str(), "in use"), ("nonsense", nonsense, "such as")]
    {
        for command in [&["produce", "t", "--sample", "1"][..], &["consume", "single", "t"]] {
            let mut kurier = Command::new(env!("CARGO_BIN_EXE_kurier"));
            let ended = kurier.args(command).args(["--metrics", address]).output().unwrap();
            assert_eq!(ended.status.code(), Some(2), "{}", said(&ended));
            assert!(said(&ended).contains(named) && said(&ended).contains(why), "{}", said(&ended));
        }
    }
}

#[test]
fn a_probe_that_nobody_answers_ends_in_time_with_its_own_code() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let unanswered = probe("live", &address, "300ms");
    assert_eq!(unanswered.status.code(), Some(5), "{}", said(&unanswered));
    assert!(said(&unanswered).contains("no answer within 300ms"), "{}", said(&unanswered));
    drop(silent);
    let refused = probe("live", &address, "5s");
    assert_eq!(refused.status.code(), Some(5), "{}", said(&refused));
    let told = format!(
        "nobody listens there; `kurier produce` and `consume` do, with --metrics {address}"
    );
    assert!(said(&refused).contains(&told), "{}", said(&refused));
    let nonsense = probe("live", "9464", "5s");
    assert_eq!(nonsense.status.code(), Some(2), "{}", said(&nonsense));
    // Another server, which knows no such path.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        let (mut stream, _): (TcpStream, _) = other.accept().unwrap();
        let mut head = [0; 1024];
        assert!(0 < stream.read(&mut head).unwrap());
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").unwrap();
    });
    let foreign = probe("live", &address, "5s");
    assert_eq!(foreign.status.code(), Some(1), "{}", said(&foreign));
    answering.join().unwrap();
}
