//! What is printed, and an exit code that is true whatever becomes of it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cluster;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use cluster::{Cluster, said};
use serde_json::{Value, json};

/// Runs a command whose standard output is a pipe that nobody reads any more.
fn unread(cluster: &Cluster, args: &[&str], input: &str) -> Output {
    let mut process = cluster.command(args).stdin(Stdio::piped()).spawn().unwrap();
    drop(process.stdout.take());
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

#[test]
fn a_full_disk_is_an_error_and_commits_nothing_that_was_not_printed() {
    let cluster = Cluster::run(&["t:3"]);
    cluster.objects(&["produce", "t", "--sample", "50", "--report", "none"]);
    for kind in ["single", "batch"] {
        let mut command = cluster.command(&["consume", kind, "t", "--exit-at-end"]);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ended = command.stdout(full).output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{kind}: {}", said(&ended));
        assert!(said(&ended).contains("No space left"), "{kind}: {}", said(&ended));
        assert_eq!(cluster.objects(&["consume", kind, "t", "--exit-at-end"]).len(), 50);
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let args = ["produce", "t", "--sample", "5", "--report", "each"];
    let ended = cluster.command(&args).stdout(full).output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
    assert!(said(&ended).contains("No space left"), "{}", said(&ended));
}

/// Runs a command as a shell does that redirects its standard output so.
fn redirected(cluster: &Cluster, args: &[&str], to: &str) -> Output {
    let plain = cluster.command(args);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("exec \"$0\" \"$@\" {to}"));
    shell.arg(plain.get_program()).args(plain.get_args()).stdin(Stdio::null());
    shell.output().unwrap()
}

/// Rust's runtime opens /dev/null in its place, where every write succeeds.
#[test]
fn a_closed_standard_output_is_refused_where_printing_is_what_commits() {
    let cluster = Cluster::run(&["t:3"]);
    // Whose lines are for nobody runs all the same.
    let produce = ["produce", "t", "--sample", "50", "--report", "each"];
    let produced = redirected(&cluster, &produce, ">&-");
    assert_eq!(produced.status.code(), Some(0), "{}", said(&produced));
    for kind in ["single", "batch"] {
        let consume = ["consume", kind, "t", "--exit-at-end"];
        for nowhere in [">&-", "1</dev/null"] {
            let ended = redirected(&cluster, &consume, nowhere);
            assert_eq!(ended.status.code(), Some(2), "{kind}: {}", said(&ended));
            assert!(said(&ended).contains("standard output is closed"), "{kind}: {}", said(&ended));
        }
        let all = cluster.objects(&consume);
        assert_eq!(all.len(), 50, "{kind}: nothing was committed");
    }
    let thrown = ["consume", "single", "t", "--group", "thrown", "--exit-at-end"];
    let ended = redirected(&cluster, &thrown, ">/dev/null");
    assert_eq!(ended.status.code(), Some(0), "it is meant: {}", said(&ended));
    // As scripts in Python and Node throw output away: open for reading too, as what the runtime opens.
    let ended = redirected(&cluster, &thrown, "1<>/dev/null");
    assert_eq!(ended.status.code(), Some(0), "it is meant: {}", said(&ended));
    let handled = ["consume", "single", "t", "--group", "handled", "--exit-at-end", "--exec"];
    let ended = redirected(&cluster, &[&handled[..], &["true"]].concat(), ">&-");
    assert_eq!(ended.status.code(), Some(0), "nothing is printed: {}", said(&ended));
    let export = ["group", "reset", "thrown", "--topic", "t", "--to", "earliest", "--export"];
    let ended = redirected(&cluster, &export, ">&-");
    assert_eq!(ended.status.code(), Some(2), "nothing was saved: {}", said(&ended));
    assert_eq!(redirected(&cluster, &export, ">/dev/null").status.code(), Some(0));
}

/// What could not be printed is no message that can't be handled.
#[test]
fn a_reader_that_has_enough_is_no_failure_even_with_one_attempt() {
    let cluster = Cluster::run(&["t:1"]);
    cluster.objects(&["produce", "t", "--sample", "5000", "--report", "none"]);
    let args = ["consume", "single", "t", "--retries", "1"];
    let mut process = cluster.command(&args).spawn().unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    drop(out);
    let ended = process.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", said(&ended));
}

#[test]
fn a_closed_pipe_hides_no_failure() {
    let cluster = Cluster::run(&["t:3"]);
    let produced =
        unread(&cluster, &["produce", "t", "--input", "ndjson"], "{\"a\": 1}\nno json\n");
    assert_eq!(produced.status.code(), Some(1), "{}", said(&produced));
    let each = ["produce", "t", "--report", "each"];
    assert_eq!(unread(&cluster, &each, "a\nb\n").status.code(), Some(0), "all was delivered");
    cluster.kurier(&["cluster", "kill", "2"], "");
    for health in [&["cluster", "health"][..], &["cluster", "health", "--watch"]] {
        assert_eq!(unread(&cluster, health, "").status.code(), Some(10), "{health:?}");
    }
    let health = ["--timeout", "1s", "cluster", "health", "--exit-when-healthy"];
    assert_eq!(unread(&cluster, &health, "").status.code(), Some(10), "it never was");
    let watch = ["group", "lag", "nobody", "--watch", "--every", "100ms"];
    assert_eq!(unread(&cluster, &watch, "").status.code(), Some(1), "there is no such group");
    let completion = unread(&cluster, &["completion", "bash"], "");
    assert_eq!((completion.status.code(), said(&completion)), (Some(0), String::new()));
}

#[test]
fn a_tail_that_is_read_no_longer_says_what_it_could_not_read() {
    let cluster = Cluster::run(&["t:1"]);
    cluster.kurier(&["produce", "t", "--input", "raw"], "no message\n");
    let tail = ["topic", "tail", "t", "--from", "earliest"];
    let mut process = cluster.command(&tail).spawn().unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    drop(out);
    let ended = process.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
}

#[test]
fn results_are_json_where_json_is_asked_for() {
    let cluster = Cluster::run(&["t:1"]);
    let produced =
        cluster.kurier(&["-o", "json", "produce", "t", "--input", "ndjson"], "1\nx\n2\n");
    let summary: Value = serde_json::from_slice(&produced.stdout).unwrap();
    assert!(summary["seconds"].as_f64().is_some(), "{summary}");
    let figures = json!({
        "event": "summary", "topic": "t", "delivered": 2, "failed": 0, "bad_lines": 1, "unsent": 0,
        "kept": null, "damaged": null, "unread_files": 0, "seconds": summary["seconds"],
    });
    assert_eq!(summary, figures);
    let version = &cluster.objects(&["-o", "json", "version"])[0];
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(version["librdkafka"].is_string(), "{version}");
}

/// They would stop the partition of whoever reads values.
#[test]
fn json_that_others_could_not_read_is_a_bad_line() {
    let cluster = Cluster::run(&["t:1"]);
    let deep = "[".repeat(200) + &"]".repeat(200);
    let whole = r#"{"id":"6f2b1a9e-0c3a-4a44-9a5a-6b9e1c1c0001","timestamp":"2026-01-01T00:00:00Z","content":1e400}"#;
    let input = format!("{deep}\n{whole}\n\"\\ud800\"\n[1]\n");
    let produced = cluster.kurier(&["-o", "json", "produce", "t", "--input", "ndjson"], &input);
    assert_eq!(produced.status.code(), Some(1), "{}", said(&produced));
    let summary: Value = serde_json::from_slice(&produced.stdout).unwrap();
    assert_eq!((&summary["delivered"], &summary["bad_lines"]), (&json!(1), &json!(3)));
    for line in ["-:1: ", "-:2: ", "-:3: "] {
        assert!(said(&produced).contains(line), "{}", said(&produced));
    }
}

#[test]
fn flags_that_have_no_meaning_together_are_refused() {
    let kurier = |args: &[&str]| {
        // One that is not refused waits for a cluster for ever.
        let mut command = Command::new("timeout");
        command.args(["20", env!("CARGO_BIN_EXE_kurier"), "-b", "127.0.0.1:1"]);
        command.args(args).stdin(Stdio::null());
        command.output().unwrap()
    };
    let refused: [(&[&str], &str); 14] = [
        (&["produce", "t", "--key", "id"], "--key"),
        (&["produce", "t", "--key", "id", "--input", "raw"], "--key"),
        (&["produce", "t", "--key-delimiter", ""], "--key-delimiter"),
        (&["produce", "t", "--sample", "3", "--input", "ndjson"], "--sample"),
        (&["produce", "t", "--sample", "3", "--key-delimiter", ":"], "--sample"),
        (&["topic", "create", "t", "--partitions", "0"], "--partitions"),
        (&["topic", "create", "t", "--replication", "0"], "--replication"),
        (&["consume", "single", "t", "--retries", "0"], "--retries"),
        (&["consume", "batch", "t", "--batch-size", "0"], "--batch-size"),
        (&["consume", "single", "t", "t"], "named twice"),
        (&["cluster", "run", "--nodes", "0"], "--nodes"),
        (&["cluster", "run", "--memory", "0"], "--memory"),
        (&["cluster", "run", "--port", "65535"], "--port"),
        (&["cluster", "run", "--port", "0", "--topic", "a/b"], "a/b"),
    ];
    for (args, named) in refused {
        let ended = kurier(args);
        assert_eq!(ended.status.code(), Some(2), "{args:?}: {}", said(&ended));
        assert!(said(&ended).contains(named), "{args:?}: {}", said(&ended));
    }
}

/// A carriage return is part of bytes that are sent as they are.
#[test]
fn raw_lines_are_sent_as_they_are() {
    let cluster = Cluster::run(&["t:1"]);
    let produced = cluster.kurier(&["produce", "t", "--input", "raw"], "a\r\nb\n\r\n");
    assert_eq!(produced.status.code(), Some(0), "{}", said(&produced));
    let tail = ["topic", "tail", "t", "--from", "earliest", "--exit-at-end", "--decode", "raw"];
    let values: Vec<Value> =
        cluster.objects(&tail).into_iter().map(|line| line["value"].clone()).collect();
    assert_eq!(values, ["a\r", "b", "\r"]);
}
