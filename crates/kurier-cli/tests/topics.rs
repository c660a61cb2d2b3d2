//! Topics and nodes under the operator's hand: altered, looked at, and waited for.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cluster;

use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::{Duration, Instant};

use cluster::{Cluster, said};
use serde_json::{Value, json};

fn described(cluster: &Cluster, args: &[&str]) -> Vec<Value> {
    cluster.objects(&[&["-o", "json", "topic", "describe"][..], args].concat())
}

/// What each partition's row says under `field`, by partition.
fn column(object: &Value, field: &str) -> Vec<Value> {
    object["partitions"].as_array().unwrap().iter().map(|row| row[field].clone()).collect()
}

#[test]
fn a_topic_gets_more_partitions_and_other_settings_and_keeps_the_rest() {
    let cluster = Cluster::run(&[]);
    let create = ["topic", "create", "t", "--partitions", "2", "--set", "max.message.bytes=5000"];
    assert_eq!(cluster.kurier(&create, "").status.code(), Some(0));
    let altered = cluster.objects(&[
        "-o",
        "json",
        "topic",
        "alter",
        "t",
        "--set",
        "min.insync.replicas=2",
        "--set",
        "retention.bytes=7000",
    ]);
    let set = json!({ "min.insync.replicas": "2", "retention.bytes": "7000" });
    let expected = json!({ "topic": "t", "partitions": 2, "before": 2, "set": set, "unset": [] });
    assert_eq!(altered, [expected]);
    let config = |name: &str| described(&cluster, &["t"])[0]["configs"][name].clone();
    let three = ["max.message.bytes", "min.insync.replicas", "retention.bytes"].map(config);
    assert_eq!(three, [json!("5000"), json!("2"), json!("7000")]);

    let grow = ["topic", "alter", "t", "--partitions", "5", "--unset", "max.message.bytes"];
    let grown = cluster.kurier(&grow, "");
    assert_eq!(grown.status.code(), Some(0), "{}", said(&grown));
    assert!(said(&grown).contains("most keys go to another partition"), "{}", said(&grown));
    let text = String::from_utf8(grown.stdout).unwrap();
    assert_eq!(text, "altered t: 5 partitions (2 before), max.message.bytes is the default\n");
    let topic = described(&cluster, &["t"]).remove(0);
    assert_eq!(topic["partitions"].as_array().unwrap().len(), 5);
    let both = ["max.message.bytes", "min.insync.replicas"].map(|name| &topic["configs"][name]);
    assert_eq!(both, [&json!("1048588"), &json!("2")]);
}

#[test]
fn a_change_that_is_refused_changes_nothing() {
    let cluster = Cluster::run(&["t:3"]);
    let before = described(&cluster, &["t"]);
    for (args, code, reason) in [
        (&["t", "--partitions", "2"][..], 1, "3 partitions already"),
        (&["t", "--set", "retention.ms=1"], 1, "only -1 is possible"),
        (&["t", "--set", "retention.bytes=5", "--set", "min.insync.replicas=9"], 1, "at least 1"),
        (&["missing", "--partitions", "4"], 1, "the cluster has no topic \"missing\""),
        (&["t", "--set", "retention.bytes=5", "--unset", "retention.bytes"], 2, "named twice"),
        (&["t", "--partitions", "0"], 2, "0 is not in"),
        (&["t"], 2, "required"),
    ] {
        let refused = cluster.kurier(&[&["topic", "alter"], args].concat(), "");
        assert_eq!(refused.status.code(), Some(code), "{args:?}: {}", said(&refused));
        assert!(said(&refused).contains(reason), "{args:?}: {}", said(&refused));
    }
    assert_eq!(described(&cluster, &["t"]), before);
}

#[test]
fn three_replicas_keep_two_unless_something_else_is_asked_for() {
    let cluster = Cluster::run(&[]);
    let create = |args: &[&str]| {
        let created = cluster.kurier(&[&["topic", "create"], args].concat(), "");
        assert_eq!(created.status.code(), Some(0), "{}", said(&created));
        String::from_utf8(created.stdout).unwrap()
    };
    let said = create(&["safe"]);
    assert_eq!(said, "created safe: 3 partitions, 3 replicas, min.insync.replicas=2\n");
    let said = create(&["fast", "--set", "min.insync.replicas=1"]);
    assert_eq!(said, "created fast: 3 partitions, 3 replicas, min.insync.replicas=1\n");
    assert_eq!(create(&["pair", "--replication", "2"]), "created pair: 3 partitions, 2 replicas\n");
    let json = cluster.objects(&["-o", "json", "topic", "create", "too", "--replication", "3"]);
    assert_eq!(json[0]["set"], json!({ "min.insync.replicas": "2" }));
    for (topic, expected) in [("safe", "2"), ("fast", "1"), ("pair", "1"), ("too", "2")] {
        let found = described(&cluster, &[topic])[0]["configs"]["min.insync.replicas"].clone();
        assert_eq!(found, json!(expected), "{topic}");
    }
}

#[test]
fn a_topic_that_is_not_there_is_told_with_what_is_near_and_where_to_look() {
    let cluster = Cluster::run(&["orders:1"]);
    let commands: [&[&str]; 8] = [
        &["topic", "describe", "orderz"],
        &["topic", "alter", "orderz", "--partitions", "4"],
        &["topic", "delete", "orderz"],
        &["topic", "tail", "orderz"],
        &["doctor", "orderz"],
        &["group", "reset", "g", "--topic", "orderz", "--to", "earliest"],
        &["produce", "orderz", "--sample", "1"],
        &["consume", "single", "orderz", "--exit-at-end"],
    ];
    let told = "the cluster has no topic \"orderz\"; \"orders\"? `kurier topic list` shows";
    for args in commands {
        let missing = cluster.kurier(args, "");
        assert_eq!(missing.status.code(), Some(1), "{args:?}: {}", said(&missing));
        assert!(said(&missing).contains(told), "{args:?}: {}", said(&missing));
    }
    for args in [&["topic", "create", "a/b"][..], &["produce", "a b", "--sample", "1"]] {
        let wrong = cluster.kurier(args, "");
        assert_eq!(wrong.status.code(), Some(2), "{args:?}: {}", said(&wrong));
    }
}

/// Nothing comes that would show it by a write.
#[test]
fn a_tail_that_nobody_reads_ends_without_a_message() {
    let cluster = Cluster::run(&["t:1"]);
    let mut tail = cluster.command(&["topic", "tail", "t"]).spawn().unwrap();
    drop(tail.stdout.take());
    let limit = Instant::now() + Duration::from_secs(60);
    while tail.try_wait().unwrap().is_none() {
        if limit <= Instant::now() {
            tail.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = tail.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), said(&ended)), (Some(0), String::new()));
}

/// Of three nodes one dies: a topic on all of them is one replica short, or has too few for its writers; a
/// partition that stood on that node alone has no leader.
#[test]
fn each_partition_says_what_is_wrong_with_it() {
    let cluster = Cluster::run(&["well:1"]);
    let create = |args: &[&str]| {
        let created = cluster.kurier(&[&["topic", "create"], args].concat(), "");
        assert_eq!(created.status.code(), Some(0), "{}", said(&created));
    };
    create(&["strict", "--partitions", "1", "--set", "min.insync.replicas=3"]);
    create(&["single", "--partitions", "3", "--replication", "1"]);
    let flags = ["offline", "under_min_isr", "under_replicated"];
    for topic in described(&cluster, &[]) {
        for flag in flags {
            assert_eq!(topic[flag], 0, "{topic}");
        }
    }
    assert_eq!(cluster.kurier(&["cluster", "kill", "2"], "").status.code(), Some(0));
    let all = described(&cluster, &["well", "strict", "single"]);
    let counts = all.iter().map(|topic| flags.map(|flag| topic[flag].as_u64().unwrap()));
    assert_eq!(counts.collect::<Vec<_>>(), [[0, 0, 1], [0, 1, 1], [1, 0, 0]]);
    let offline = &column(&all[2], "offline");
    assert_eq!(offline.iter().filter(|flag| **flag == json!(true)).count(), 1);

    let named = |args: &[&str]| -> Vec<String> {
        let found = described(&cluster, args).into_iter();
        found.map(|topic| topic["topic"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(named(&["--offline"]), ["single"]);
    assert_eq!(named(&["--under-min-isr"]), ["strict"]);
    assert_eq!(named(&["--under-replicated", "--offline"]), ["single", "strict", "well"]);
    assert_eq!(described(&cluster, &["--offline"])[0]["partitions"].as_array().unwrap().len(), 1);
    let text =
        String::from_utf8(cluster.kurier(&["topic", "describe", "strict"], "").stdout).unwrap();
    assert!(
        text.starts_with("topic strict: 1 partition, 1 under min ISR, 1 under-replicated\n"),
        "{text}"
    );
}

#[test]
fn a_watched_topic_shows_what_becomes_of_it() {
    let cluster = Cluster::run(&["t:1"]);
    let args = ["topic", "describe", "t", "--watch", "--every", "50ms"];
    let mut process = cluster.command(&args).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut look = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(look()["under_replicated"], 0);
    assert_eq!(cluster.kurier(&["cluster", "stop", "3"], "").status.code(), Some(0));
    while look()["under_replicated"] != json!(1) {}
    assert_eq!(cluster.kurier(&["cluster", "start", "3"], "").status.code(), Some(0));
    while look()["under_replicated"] != json!(0) {}
    let term = Command::new("kill").arg(process.id().to_string()).status().unwrap();
    assert!(term.success());
    assert_eq!(process.wait().unwrap().code(), Some(143));
}

#[test]
fn what_was_done_is_said_in_json_too() {
    let cluster = Cluster::run(&["t:1"]);
    for (args, expected) in [
        (&["topic", "delete", "t"][..], json!({ "topic": "t", "deleted": true })),
        (&["cluster", "kill", "2"], json!({ "node": 2, "action": "kill" })),
        (&["cluster", "start", "2"], json!({ "node": 2, "action": "start" })),
        (&["cluster", "stop", "2"], json!({ "node": 2, "action": "stop" })),
    ] {
        assert_eq!(cluster.objects(&[&["-o", "json"], args].concat()), [expected]);
    }
}

#[test]
fn health_is_waited_for_as_long_as_one_likes() {
    let cluster = Cluster::run(&["t:3"]);
    let wait = ["-o", "json", "cluster", "health", "--exit-when-healthy"];
    assert_eq!(cluster.objects(&wait).last().unwrap()["healthy"], true);
    assert_eq!(cluster.kurier(&["cluster", "kill", "2"], "").status.code(), Some(0));
    let begun = Instant::now();
    let late = cluster.kurier(&[&wait[..], &["--timeout", "1500ms"]].concat(), "");
    assert_eq!(late.status.code(), Some(10), "{}", said(&late));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");

    let mut waiting = cluster.command(&wait).spawn().unwrap();
    let mut lines = BufReader::new(waiting.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["healthy"], false);
    assert_eq!(cluster.kurier(&["cluster", "start", "2"], "").status.code(), Some(0));
    while next()["healthy"] != json!(true) {}
    assert_eq!(waiting.wait().unwrap().code(), Some(0));

    let nobody = Command::new(env!("CARGO_BIN_EXE_kurier"))
        .args(["-b", "127.0.0.1:1", "--timeout", "1s", "cluster", "health", "-e"])
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(5), "{}", said(&nobody));
}

#[test]
fn a_port_that_is_taken_is_told_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = Command::new(env!("CARGO_BIN_EXE_kurier"))
        .args(["cluster", "run", "--nodes", "1", "--port", &port])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("--port 0 takes free ports"), "{}", said(&refused));
}

#[test]
fn an_address_that_is_none_is_a_matter_of_usage() {
    for (address, told) in [
        ("localhost:port", "no port"),
        ("http://localhost:9092", "http://localhost:9092: expected HOST:PORT without http://"),
        ("localhost:9092,9093", "9093: expected HOST:PORT, such as localhost:9093"),
    ] {
        for command in [&["cluster", "info"][..], &["cluster", "kill", "1"], &["topic", "list"]] {
            let refused = Command::new(env!("CARGO_BIN_EXE_kurier"))
                .args(["-b", address])
                .args(command)
                .output()
                .unwrap();
            assert_eq!(refused.status.code(), Some(2), "{command:?}: {}", said(&refused));
            assert!(said(&refused).contains(told), "{command:?}: {}", said(&refused));
        }
    }
}
