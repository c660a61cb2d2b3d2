//! `kurier produce` as a service: a stream that ends when it is stopped, for a topic that comes later.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cluster;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};

use cluster::{Cluster, said};
use serde_json::{Value, json};

#[test]
fn endless_samples_take_their_keys_in_turn_and_are_whole_where_they_are_stopped() {
    let cluster = Cluster::run(&["t:3"]);
    let mut produce = vec!["produce", "t", "--sample", "endless", "--sample-keys", "3"];
    produce.extend(["--rate", "500", "--report", "each"]);
    let mut process = cluster.command(&produce).spawn().unwrap();
    let mut reports = BufReader::new(process.stdout.take().unwrap()).lines();
    let before = reports.by_ref().take(600).count();
    terminate(&process);
    let delivered = before + reports.count();
    let ended = process.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(143), "{}", said(&ended));
    assert!(!said(&ended).contains("incomplete"), "{}", said(&ended));
    let found = cluster.objects(&["consume", "single", "t", "--exit-at-end"]);
    assert_eq!(found.len(), delivered);
    for object in found {
        let content = object["message"]["content"].as_str().unwrap();
        let number: u64 = content.strip_prefix("Test message ").unwrap().parse().unwrap();
        assert_eq!(object["key"], format!("key-{}", (number - 1) % 3 + 1), "{content}");
    }
}

#[test]
fn a_producer_waits_for_its_topic_when_it_is_told_to() {
    let cluster = Cluster::run(&[]);
    let produce = ["produce", "later", "--sample", "3", "--wait-for-topic", "-o", "json"];
    let process = cluster.command(&produce).spawn().unwrap();
    let process = waiting(process);
    cluster.objects(&["topic", "create", "later", "-o", "json"]);
    let ended = process.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let summary: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(summary["delivered"], json!(3));
    let refused = cluster.kurier(&["produce", "never", "--sample", "3"], "");
    assert_eq!(refused.status.code(), Some(1), "it waits only then: {}", said(&refused));
}

#[test]
fn a_producer_that_waits_for_its_topic_can_be_stopped() {
    let cluster = Cluster::run(&[]);
    let produce = ["produce", "never", "--sample", "endless", "--wait-for-topic"];
    let process = waiting(cluster.command(&produce).spawn().unwrap());
    terminate(&process);
    assert_eq!(process.wait_with_output().unwrap().status.code(), Some(143));
}

/// Returns when it has said that it waits.
fn waiting(mut process: Child) -> Child {
    let mut talk = BufReader::new(process.stderr.take().unwrap());
    let mut line = String::new();
    talk.read_line(&mut line).unwrap();
    assert!(line.contains("waiting for the topic"), "{line}");
    // Read on, so that the process is not held.
    std::thread::spawn(move || talk.lines().for_each(drop));
    process
}

fn terminate(process: &Child) {
    let told = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
    assert!(told.success());
}
