//! `kurier bench` with few messages: what it counts is there, what it says is true, and nothing of its own
//! stays. How fast anything is, no test says.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cluster;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output};

use cluster::{Cluster, said};
use serde_json::Value;

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The last object of a run that must succeed.
fn result(cluster: &Cluster, args: &[&str]) -> Value {
    cluster.objects(&[&["-o", "json", "bench"], args].concat()).pop().unwrap()
}

/// Topics and groups that there are.
fn left(cluster: &Cluster) -> (Vec<Value>, Vec<Value>) {
    let names = |objects: Vec<Value>, field: &str| -> Vec<Value> {
        objects.iter().map(|object| object[field].clone()).collect()
    };
    let topics = names(cluster.objects(&["-o", "json", "topic", "list"]), "topic");
    (topics, names(cluster.objects(&["-o", "json", "group", "list"]), "group"))
}

#[test]
fn what_is_acknowledged_is_counted_timed_and_in_the_topic_and_the_topic_goes() {
    let cluster = Cluster::run(&[]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let args =
        ["produce", "--messages", "2000", "--out", out.to_str().unwrap(), "--every", "100ms"];
    let told = result(&cluster, &args);
    let acknowledged = &told["acknowledged"];
    assert_eq!((&acknowledged["messages"], &told["in_topic"]), (&2000.into(), &2000.into()));
    assert_eq!((&acknowledged["bytes"], &acknowledged["unmeasured"]), (&400_000.into(), &0.into()));
    let latency = |of: &str| acknowledged["latency_ms"][of].as_f64().unwrap();
    assert!(0.0 < latency("p50") && latency("p50") <= latency("p99_9"), "{told}");
    assert!(latency("p99_9") <= latency("max"), "{told}");
    assert_eq!(told["properties"]["acks"], "-1");
    assert_eq!(told["topic"]["replicas"], 3);
    let written = fs::read_to_string(out.join("result.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), told);
    let windows = fs::read_to_string(out.join("windows.ndjson")).unwrap();
    let counts = windows.lines().map(|line| {
        let window: Value = serde_json::from_str(line).unwrap();
        assert_eq!(window["event"], "window");
        window["messages"].as_u64().unwrap()
    });
    assert_eq!(counts.sum::<u64>(), 2000, "{windows}");
    assert_eq!(left(&cluster), (vec![], vec![]));
}

#[test]
fn the_last_line_is_that_of_kafkas_own_tool() {
    let cluster = Cluster::run(&[]);
    let run =
        ["bench", "produce", "--messages", "500", "--typed", "--keys", "7", "--warm-up", "50ms"];
    let output = cluster.kurier(&run, "");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let said = text(&output);
    let last: Vec<&str> = said.lines().last().unwrap().split(", ").collect();
    assert_eq!((last.len(), last[0]), (8, "500 records sent"), "{last:?}");
    let ends = ["ms avg latency", "ms max latency", "ms 50th", "ms 95th", "ms 99th", "ms 99.9th."];
    assert!(last[2..].iter().zip(ends).all(|(found, end)| found.ends_with(end)), "{last:?}");
}

#[test]
fn a_rate_an_outbox_and_the_classic_profile_count_the_same_way() {
    let cluster = Cluster::run(&["t:2"]);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let ways: [&[&str]; 3] = [
        &["--rate", "4000"],
        &["--outbox", dir, "--outbox-sync", "20ms"],
        &["--delivery", "one-in-flight"],
    ];
    let mut there = 0;
    for way in ways {
        let args = ["produce", "--topic", "t", "--add", "--messages", "800"];
        let told = result(&cluster, &[&args[..], way].concat());
        let acknowledged = &told["acknowledged"];
        assert_eq!((&acknowledged["messages"], &told["in_topic"]), (&800.into(), &800.into()));
        assert_eq!(acknowledged["unmeasured"], 0, "{way:?}");
        assert!(told["send_delay_ms"]["max"].is_number(), "{told}");
        there += 800;
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "its outbox is removed");
    let tail = [
        "-o",
        "json",
        "topic",
        "tail",
        "t",
        "--from",
        "earliest",
        "--decode",
        "raw",
        "--exit-at-end",
    ];
    assert_eq!(cluster.objects(&tail).len(), there);
}

#[test]
fn a_time_ends_it_too() {
    let cluster = Cluster::run(&[]);
    let told = result(&cluster, &["produce", "--for", "300ms", "--rate", "1000"]);
    let sent = told["acknowledged"]["messages"].as_u64().unwrap();
    assert!((1..=301).contains(&sent), "{sent}");
    assert_eq!(told["in_topic"], sent);
}

#[test]
fn messages_that_fail_are_in_no_figure_and_in_the_exit_code() {
    let cluster = Cluster::run(&[]);
    cluster.objects(&["-o", "json", "topic", "create", "t", "--set", "max.message.bytes=150"]);
    let run = ["-o", "json", "bench", "produce", "--topic", "t", "--messages", "20"];
    let output = cluster.kurier(&run, "");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let told = lines(&output).pop().unwrap();
    let acknowledged = &told["acknowledged"];
    assert_eq!((&acknowledged["messages"], &acknowledged["failed"]), (&0.into(), &20.into()));
    assert_eq!((&told["in_topic"], &acknowledged["latency_ms"]), (&0.into(), &Value::Null));
    assert!(said(&output).contains("others are only counted"), "{}", said(&output));
}

#[test]
fn a_run_that_is_left_tells_what_it_has_and_what_is_missing() {
    let cluster = Cluster::run(&[]);
    let run =
        ["-o", "json", "bench", "produce", "--for", "10m", "--rate", "1000", "--every", "50ms"];
    let mut process = cluster.command(&run).spawn().unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&out.next().unwrap().unwrap()).unwrap();
    while next()["messages"] == 0 {}
    drop(cluster);
    while next()["messages"] != 0 {}
    let pid = process.id().to_string();
    let end = || assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    end();
    // Two signals at once may count as one.
    let mut err = BufReader::new(process.stderr.take().unwrap()).lines();
    while !err.next().unwrap().unwrap().contains("a second signal ends it") {}
    end();
    let told = loop {
        let told = next();
        if told["event"] == "result" {
            break told;
        }
    };
    assert_eq!(process.wait().unwrap().code(), Some(4));
    assert!(told["acknowledged"]["messages"].as_u64().unwrap() > 0, "{told}");
    assert!(told["undelivered"].as_u64().unwrap() > 0, "{told}");
    assert_eq!((&told["acknowledged"]["failed"], &told["in_topic"]), (&0.into(), &Value::Null));
}

#[test]
fn messages_of_others_are_not_mixed_with_these_without_being_asked() {
    let cluster = Cluster::run(&["t:1"]);
    cluster.objects(&["-o", "json", "produce", "t", "--sample", "3"]);
    for command in ["produce", "e2e"] {
        let output = cluster.kurier(&["bench", command, "--topic", "t", "--messages", "10"], "");
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("topic t has 3 messages: --add"), "{}", said(&output));
    }
    let told = result(&cluster, &["produce", "--topic", "t", "--add", "--messages", "10"]);
    assert_eq!(told["in_topic"], 10);
}

#[test]
fn what_a_topic_has_is_handled_and_committed_in_a_group_that_goes() {
    let cluster = Cluster::run(&["t:3"]);
    cluster.objects(&["-o", "json", "produce", "t", "--sample", "1000"]);
    let batch = ["--batch", "50", "--batch-wait", "20ms"];
    let ways: [&[&str]; 4] = [&[], &["--typed"], &["--concurrency", "8"], &batch];
    for way in ways {
        let told = result(&cluster, &[&["consume", "--topic", "t"], way].concat());
        let figures = (&told["handled"]["messages"], &told["committed_to"], &told["expected"]);
        assert_eq!(figures, (&1000.into(), &1000.into(), &1000.into()), "{way:?}: {told}");
        assert!(0.0 < told["handled"]["seconds"].as_f64().unwrap(), "{told}");
    }
    assert_eq!(left(&cluster), (vec!["t".into()], vec![]));
}

#[test]
fn a_consumers_topic_is_filled_first_and_its_lines_are_those_of_kafkas_own_tool() {
    let cluster = Cluster::run(&[]);
    let run = ["bench", "consume", "--messages", "300", "--work", "1ms", "--partitions", "2"];
    let output = cluster.kurier(&run, "");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let said = text(&output);
    let last: Vec<Vec<&str>> =
        said.lines().rev().take(2).map(|line| line.split(", ").collect()).collect();
    assert_eq!((last[1][0], last[1].len(), last[0].len()), ("start.time", 10, 10), "{last:?}");
    let column = last[1].iter().position(|heading| *heading == "data.consumed.in.nMsg").unwrap();
    assert_eq!(last[0][column], "300");
    assert_eq!(left(&cluster), (vec![], vec![]));
}

#[test]
fn every_message_is_followed_from_its_time_to_its_handler() {
    let cluster = Cluster::run(&[]);
    for way in [&[][..], &["--typed"]] {
        let args = ["e2e", "--messages", "600", "--rate", "2000", "--keys", "5"];
        let told = result(&cluster, &[&args[..], way].concat());
        let (sent, handled) = (&told["acknowledged"], &told["handled"]);
        assert_eq!((&sent["messages"], &handled["messages"]), (&600.into(), &600.into()), "{told}");
        assert_eq!((&told["missing"], &handled["unmeasured"]), (&0.into(), &0.into()));
        assert_eq!(handled["bytes"], 120_000);
        assert!(handled["latency_ms"]["p50"].is_number(), "{told}");
    }
    assert_eq!(left(&cluster), (vec![], vec![]));
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_made() {
    let cluster = Cluster::run(&["t:1"]);
    let refused: [(&[&str], &str); 6] = [
        (&["produce", "--size", "50", "--typed"], "have at least"),
        (&["produce", "--topic", "t", "--partitions", "3"], "cannot be used with"),
        (&["e2e", "--size", "10"], "have at least 40 bytes"),
        (&["consume", "--topic", "t", "--messages", "5"], "--topic is read as it is"),
        (&["produce", "--messages", "5", "--for", "1s"], "cannot be used with"),
        (&["produce", "--add"], "--topic"),
    ];
    for (args, why) in refused {
        let output = cluster.kurier(&[&["bench"], args].concat(), "");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        assert!(said(&output).contains(why), "{args:?}: {}", said(&output));
    }
    assert_eq!(left(&cluster).0, ["t"]);
    let missing = cluster.kurier(&["bench", "produce", "--topic", "tt"], "");
    assert_ne!(missing.status.code(), Some(0));
    assert!(said(&missing).contains("tt"), "{}", said(&missing));
    let away = ["-b", "127.0.0.1:1", "--timeout", "1s", "bench", "produce"];
    let away = Command::new(env!("CARGO_BIN_EXE_kurier")).args(away).output().unwrap();
    assert_eq!(away.status.code(), Some(5), "{}", said(&away));
}

/// Tools of others may be on this machine or not: what is given here is not there.
fn compare(cluster: &Cluster, out: &Path, more: &[&str]) -> Output {
    let out = out.to_str().unwrap();
    let args = [
        "-o",
        "json",
        "bench",
        "compare",
        "--messages",
        "1000",
        "--rounds",
        "2",
        "--out",
        out,
        "--kafka",
        "/no/such/folder",
        "--python",
        "/no/such/python",
    ];
    cluster.kurier(&[&args[..], more].concat(), "")
}

#[test]
fn who_is_there_has_turns_and_who_is_not_is_named_with_the_reason() {
    let cluster = Cluster::run(&[]);
    let folder = tempfile::tempdir().unwrap();
    let none = ["--rdkafka-performance", "/no/such/file"];
    let output = compare(&cluster, folder.path(), &none);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = lines(&output).pop().unwrap();
    let rows = told["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 6, "{told}");
    for row in rows {
        let runs = row["runs"].as_array().unwrap();
        assert_eq!((runs.len(), &row["failures"]), (2, &Value::Array(vec![])), "{row}");
        assert!(runs.iter().all(|run| run["messages"] == 1000), "{row}");
        let rate = |of: &str| row["messages_per_second"][of].as_f64().unwrap();
        assert!(rate("min") <= rate("median") && rate("median") <= rate("max"), "{row}");
    }
    let missing = told["missing"].as_array().unwrap();
    let reason = |name: &str| {
        let found = missing.iter().find(|it| it["name"] == name).unwrap();
        found["reason"].as_str().unwrap()
    };
    assert!(reason("rdkafka_performance").contains("bench/peer.sh builds it"));
    assert!(reason("kafka perf test").contains("/no/such/folder"));
    assert!(reason("confluent-kafka").contains("there is no /no/such/python"));
    assert!(reason("kafka-python").contains("--python names a Python"));
    let ratios = told["targets"].as_array().unwrap();
    let known: Vec<&Value> = ratios.iter().filter(|it| it["ratio"].is_number()).collect();
    assert_eq!((known.len(), &known[0]["name"]), (1, &"kurier outbox".into()), "{told}");
    let written = fs::read_to_string(folder.path().join("result.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), told);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the result stays");
    assert_eq!(left(&cluster), (vec![], vec![]));
}

/// A tool that says it did less, or fails, is in no figure, and the command says so.
#[test]
fn a_tool_that_did_not_do_it_all_is_no_figure_but_a_failure() {
    use std::os::unix::fs::PermissionsExt as _;
    let cluster = Cluster::run(&[]);
    let folder = tempfile::tempdir().unwrap();
    let tool = folder.path().join("tool");
    let script = "#!/bin/sh\n\
        [ $# = 0 ] && { echo 'Usage: -G group'; exit 1; }\n\
        [ \"$1\" = -G ] && { echo 'no such group' >&2; exit 7; }\n\
        echo '% 1000 messages produced (1 bytes), 1000 delivered (offset 1, 0 failed) in 10ms: 1 msgs/s'\n";
    fs::write(&tool, script).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let out = folder.path().join("out");
    let only = ["--rdkafka-performance", tool.to_str().unwrap(), "--only", "rdkafka"];
    let output = compare(&cluster, &out, &only);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let told = lines(&output).pop().unwrap();
    let failure = |row: usize| told["rows"][row]["failures"][0].as_str().unwrap();
    assert_eq!(failure(0), "the topic has 0 of 1000 messages", "whatever it says of itself");
    assert!(failure(1).contains("no such group") && failure(1).contains('7'), "{told}");
    assert_eq!(told["rows"][0]["messages_per_second"], Value::Null);
    assert_eq!(left(&cluster), (vec![], vec![]));
}

#[test]
fn settings_that_not_everybody_can_be_given_are_refused() {
    let cluster = Cluster::run(&[]);
    let folder = tempfile::tempdir().unwrap();
    let refused = compare(&cluster, folder.path(), &["-X", "linger.ms=1"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("linger.ms: compare gives all the same"), "{}", said(&refused));
    let nobody = compare(&cluster, folder.path(), &["--only", "pulsar"]);
    assert_eq!(nobody.status.code(), Some(2), "{}", said(&nobody));
    assert!(said(&nobody).contains("produce kurier outbox"), "{}", said(&nobody));
}
