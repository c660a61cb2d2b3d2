//! The binary as its users run it, on a cluster that it runs itself.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cluster;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::Command;

use cluster::{Cluster, said};
use serde_json::Value;

const EARTHQUAKES: &str = include_str!("../data/earthquakes.ndjson");

#[test]
fn all_earthquakes_arrive_with_both_consumers_in_time_order_for_each_network() {
    let cluster = Cluster::run(&["quakes:3"]);
    let produced = cluster
        .kurier(&["produce", "quakes", "--input", "ndjson", "--key", "network"], EARTHQUAKES);
    assert_eq!(produced.status.code(), Some(0), "{}", said(&produced));
    assert!(String::from_utf8_lossy(&produced.stdout).starts_with("1707 messages delivered"));
    for kind in ["single", "batch"] {
        let found = cluster.objects(&["consume", kind, "quakes", "--exit-at-end"]);
        assert_eq!(found.len(), 1_707, "{kind}");
        let mut last: HashMap<String, String> = HashMap::new();
        for object in &found {
            let content = &object["message"]["content"];
            assert_eq!(object["key"], content["network"]);
            let time = content["time"].as_str().unwrap().to_owned();
            let network = content["network"].as_str().unwrap().to_owned();
            let before = last.insert(network, time.clone());
            assert!(before.is_none_or(|before| before <= time), "{kind}: {object}");
        }
        let group = format!("{kind}_message_group_1");
        let lag = cluster.objects(&["-o", "json", "group", "lag", &group]);
        assert_eq!(lag[0]["lag"], 0, "{kind}");
    }
}

#[test]
fn a_tail_shows_everything_and_commits_nothing() {
    let cluster = Cluster::run(&["t:3"]);
    cluster.objects(&["produce", "t", "--sample", "50", "--report", "none"]);
    cluster.kurier(&["produce", "t", "--input", "raw", "--report", "none"], "no message\n");
    let tail = ["--log-format", "json", "topic", "tail", "t", "--from", "earliest"];
    let output = cluster.kurier(&[&tail[..], &["--exit-at-end"]].concat(), "");
    assert_eq!(output.status.code(), Some(1), "one of them is no message: {}", said(&output));
    let reason: Value = serde_json::from_str(said(&output).lines().next().unwrap()).unwrap();
    assert!(reason["fields"]["message"].as_str().unwrap().contains("not JSON"), "{reason}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let shown: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown.len(), 51);
    assert_eq!(shown.iter().filter(|line| line["value"] == "no message").count(), 1);
    assert_eq!(cluster.objects(&["-o", "json", "group", "list"]), Vec::<Value>::new());
}

#[test]
fn a_bad_line_is_named_and_the_rest_goes_on() {
    let cluster = Cluster::run(&["t:1"]);
    let produced = cluster.kurier(
        &["produce", "t", "--input", "ndjson", "--report", "each"],
        "{\"a\": 1}\nno json\n{\"a\": 2}\n",
    );
    assert_eq!(produced.status.code(), Some(1));
    assert!(said(&produced).contains("-:2: not JSON"), "{}", said(&produced));
    let reports: Vec<Value> = String::from_utf8(produced.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(reports.len(), 2);
    assert_eq!((&reports[1]["event"], &reports[1]["offset"]), (&"delivered".into(), &1.into()));
}

/// A number that no float holds would come back as another one.
#[test]
fn json_arrives_as_it_was_written() {
    let cluster = Cluster::run(&["t:1"]);
    let content =
        r#"{"z":123456789012345678901234567890,"a":[1.10,"x"],"key":98765432109876543210987}"#;
    let produce = ["produce", "t", "--input", "ndjson", "--key", "key", "--report", "none"];
    let produced = cluster.kurier(&produce, &format!("{content}\n"));
    assert!(produced.status.success(), "{}", said(&produced));
    let consumed = cluster.kurier(&["consume", "single", "t", "--exit-at-end"], "");
    let line = String::from_utf8(consumed.stdout).unwrap();
    assert!(line.contains(content), "{line}");
    assert!(line.contains(r#""key":"98765432109876543210987""#), "{line}");
}

#[test]
fn a_line_too_long_is_named_and_the_rest_goes_on() {
    let cluster = Cluster::run(&["t:1"]);
    let input = format!("first\n{}\n\r\nlast", "x".repeat(5 << 20));
    let produced = cluster.kurier(&["produce", "t"], &input);
    assert_eq!(produced.status.code(), Some(1));
    assert!(said(&produced).contains("-:2: the line is"), "{}", said(&produced));
    let text = String::from_utf8(produced.stdout).unwrap();
    assert!(text.starts_with("2 messages delivered") && text.contains("1 bad line,"), "{text}");
}

/// A signal amid the input: what was sent is delivered, and the first line that was not is named.
#[test]
fn a_signal_amid_the_input_says_where_it_stopped() {
    let cluster = Cluster::run(&["t:1"]);
    let args = ["produce", "t", "--rate", "100", "--report", "each", "--sample", "100000"];
    let mut process = cluster.command(&args).spawn().unwrap();
    let mut reports = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    reports.read_line(&mut line).unwrap();
    let killed = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut delivered = 1;
    while reports.read_line(&mut line).unwrap() > 0 {
        delivered += 1;
    }
    let ended = process.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(4), "{}", said(&ended));
    let place = format!("stopped before sample:{}; ", delivered + 1);
    assert!(said(&ended).contains(&place), "{delivered}: {}", said(&ended));
}

/// Whoever reads has had enough: what was not read must not count as handled.
#[test]
fn a_closed_pipe_commits_nothing_that_was_not_printed() {
    let cluster = Cluster::run(&["t:1"]);
    let produced = cluster.kurier(&["produce", "t", "--sample", "50000"], "");
    assert_eq!(produced.status.code(), Some(0), "{}", said(&produced));
    let mut process = cluster.command(&["consume", "single", "t"]).spawn().unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    let ended = process.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", said(&ended));
    let rest = cluster.objects(&["consume", "single", "t", "--exit-at-end"]);
    assert!(rest.len() > 10_000, "{} are left", rest.len());
    assert_eq!(rest.last().unwrap()["offset"], 49_999);
}

#[test]
fn a_message_that_cannot_be_read_stops_its_partition_and_shows_in_the_exit_code() {
    let cluster = Cluster::run(&["t:1"]);
    let produced = cluster.kurier(&["produce", "t", "--input", "raw"], "this is no message\n");
    assert_eq!(produced.status.code(), Some(0), "{}", said(&produced));
    let consumed = cluster.kurier(&["consume", "single", "t", "--exit-at-end"], "");
    assert_eq!(consumed.status.code(), Some(1), "{}", said(&consumed));
    let text = cluster.objects(&["consume", "single", "t", "--exit-at-end", "--decode", "text"]);
    assert_eq!(text[0]["value"], "this is no message", "not passed over, so it is still there");
}

#[test]
fn topics_and_nodes_are_managed_and_health_is_truthful() {
    let cluster = Cluster::run(&[]);
    let code = |args: &[&str]| cluster.kurier(args, "").status.code();
    assert_eq!(code(&["topic", "create", "orders", "--partitions", "2"]), Some(0));
    assert_eq!(code(&["topic", "create", "orders"]), Some(1), "it is there");
    let listed = cluster.objects(&["-o", "json", "topic", "list"]);
    assert_eq!(listed[0]["topic"], "orders");
    assert_eq!(code(&["cluster", "health"]), Some(0));
    assert_eq!(code(&["cluster", "kill", "2"]), Some(0));
    assert_eq!(code(&["cluster", "kill", "2"]), Some(1), "it is down");
    assert_eq!(code(&["cluster", "health"]), Some(10));
    let nodes = &cluster.objects(&["-o", "json", "cluster", "info"])[0]["nodes"];
    assert_eq!((&nodes[0]["up"], &nodes[1]["up"]), (&true.into(), &false.into()));
    assert_eq!(code(&["cluster", "start", "2"]), Some(0));
    assert_eq!(code(&["cluster", "health"]), Some(0));
    assert_eq!(code(&["topic", "delete", "orders"]), Some(0));
    assert_eq!(code(&["topic", "describe", "orders"]), Some(1));
}

#[test]
fn what_is_wrong_is_said_and_coded() {
    let kurier =
        |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_kurier")).args(args).output().unwrap();
    // Nobody listens there.
    let away = kurier(&["-b", "127.0.0.1:1", "--timeout", "1s", "topic", "list"]);
    assert_eq!(away.status.code(), Some(5), "{}", said(&away));
    let usage = kurier(&["produce"]);
    assert_eq!(usage.status.code(), Some(2));
    let refused = kurier(&["-X", "acks=1", "produce", "t", "--sample", "1"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("acks"), "{}", said(&refused));
}

/// A wrong name among the files is no line that was bad: nothing is sent at all.
#[test]
fn an_input_that_is_not_there_is_told_before_anything_is_sent() {
    let cluster = Cluster::run(&["t:1"]);
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    std::fs::write(&there, "one\n").unwrap();
    let dir = folder.path().to_str().unwrap();
    for (file, reason) in [("/no/such/file", "No such file"), (dir, "it is a folder")] {
        let refused = cluster.kurier(&["produce", "t", there.to_str().unwrap(), file], "");
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        let told = format!("the input {file}: {reason}");
        assert!(said(&refused).contains(&told), "{}", said(&refused));
    }
    let tail = ["topic", "tail", "t", "--from", "earliest", "--exit-at-end"];
    assert_eq!(cluster.objects(&tail), Vec::<Value>::new());
}

/// What librdkafka repeats with each attempt is said once, and then by the error at the end.
#[test]
fn a_cluster_that_is_away_is_not_told_again_and_again() {
    for command in [&["topic", "list"][..], &["produce", "t", "--sample", "1"], &["demo"]] {
        let mut kurier = Command::new(env!("CARGO_BIN_EXE_kurier"));
        let args = ["-b", "127.0.0.1:1", "--timeout", "3s"];
        let away = kurier.args(args).args(command).output().unwrap();
        assert_eq!(away.status.code(), Some(5), "{command:?}: {}", said(&away));
        assert!(said(&away).contains("within 3s"), "{command:?}: {}", said(&away));
        let refused = said(&away).matches("Connection refused").count();
        assert!(refused <= 2, "{command:?}: {}", said(&away));
    }
}

/// By its alias, on the command line and in a file: refused before anything is asked of a cluster.
#[test]
fn an_alias_of_a_property_that_is_kuriers_is_refused_with_its_name_and_the_reason() {
    let kurier = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
        command
            .env_remove("KURIER_BOOTSTRAP")
            .args(["-b", "127.0.0.1:1"])
            .args(args)
            .output()
            .unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.properties");
    std::fs::write(&file, "request.required.acks=1\nmetadata.broker.list=other:9092\n").unwrap();
    let produce = ["produce", "t", "--sample", "1"];
    let acks = ["acks", "refused: fewer acknowledgements lose"];
    let servers = ["bootstrap.servers", "refused: "];
    let both = [acks, servers].concat();
    let cases: [(&[&str], &[&str], &[&str]); 4] = [
        (&["-X", "request.required.acks=1"], &produce, &acks),
        (&["-X", "max.in.flight=6"], &produce, &["max.in.flight", "must be set <= 5"]),
        (&["-X", "metadata.broker.list=other:9092"], &["topic", "list"], &servers),
        (&["--config", file.to_str().unwrap()], &produce, &both),
    ];
    for (set, command, expected) in cases {
        let refused = kurier(&[set, command].concat());
        let said = said(&refused);
        assert_eq!(refused.status.code(), Some(2), "{set:?}: {said}");
        for word in expected {
            assert!(said.contains(word), "no {word:?} for {set:?}: {said}");
        }
    }
}

#[test]
fn a_watch_prints_each_change_of_health_and_ends_with_the_last() {
    let cluster = Cluster::run(&["t:3"]);
    let mut watch =
        cluster.command(&["-o", "json", "cluster", "health", "--watch"]).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["healthy"], true);
    let kill = cluster.kurier(&["cluster", "kill", "2"], "");
    assert_eq!(kill.status.code(), Some(0), "{}", said(&kill));
    assert_eq!(next()["healthy"], false);
    let term = Command::new("kill").arg(watch.id().to_string()).status().unwrap();
    assert!(term.success());
    assert_eq!(watch.wait().unwrap().code(), Some(10));
}

#[test]
fn a_file_of_properties_is_read_and_its_bad_line_is_named() {
    let cluster = Cluster::run(&["t:1"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.properties");
    let path = file.to_str().unwrap();
    let kurier = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
        command.env_remove("KURIER_BOOTSTRAP").args(["--config", path]).args(args).output().unwrap()
    };
    let right = format!("# ours\n\nbootstrap.servers = {}\nlinger.ms=1\n", cluster.bootstrap);
    std::fs::write(&file, &right).unwrap();
    let sent = kurier(&["produce", "t", "--sample", "3"]);
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));

    std::fs::write(&file, format!("{right}acks=1\n")).unwrap();
    let refused = kurier(&["produce", "t", "--sample", "3"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("acks"), "{}", said(&refused));
    std::fs::write(&file, format!("{right}nonsense\n")).unwrap();
    let wrong = kurier(&["topic", "list"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said(&wrong).contains("client.properties:5"), "{}", said(&wrong));
}

/// A run that is to leave by itself would wait for ever for a name that is misspelt.
#[test]
fn a_topic_that_is_not_there_is_an_error_for_a_run_that_is_to_leave_unless_it_is_to_be_waited_for()
{
    let cluster = Cluster::run(&["t:1"]);
    let told = "the cluster has no topic \"nowhere\"; `kurier topic list` shows those there are, \
        `kurier topic create nowhere` makes it, --wait-for-topic waits for it";
    for args in [
        &["produce", "nowhere", "--sample", "1"][..],
        &["consume", "single", "nowhere", "--exit-at-end"],
        &["consume", "batch", "t", "nowhere", "--idle-exit", "1h"],
    ] {
        let ended = cluster.kurier(args, "");
        assert_eq!(ended.status.code(), Some(1), "{args:?}: {}", said(&ended));
        assert!(said(&ended).contains(told), "{args:?}: {}", said(&ended));
    }
    assert_eq!(cluster.objects(&["-o", "json", "group", "list"]), Vec::<Value>::new());
    let patient: [&[&str]; 2] = [&["--exit-at-end", "--wait-for-topic"], &[]];
    for (topic, more) in ["late", "later"].into_iter().zip(patient) {
        let args = [&["consume", "single", topic][..], more].concat();
        let mut waits = cluster.command(&args).spawn().unwrap();
        let mut talk = BufReader::new(waits.stderr.take().unwrap()).lines();
        assert!(talk.any(|line| line.unwrap().contains("waiting for topics")));
        assert_eq!(cluster.kurier(&["topic", "create", topic], "").status.code(), Some(0));
        assert!(talk.any(|line| line.unwrap().contains("the topics are there")));
        if more.is_empty() {
            let term = Command::new("kill").arg(waits.id().to_string()).status().unwrap();
            assert!(term.success());
        }
        let expected = if more.is_empty() { 143 } else { 0 };
        assert_eq!(waits.wait().unwrap().code(), Some(expected), "{topic}");
    }
}

#[test]
fn an_argument_that_makes_no_sense_is_told_why() {
    let batches = "that is for `consume single`; the batches of a partition are handled one by one";
    let none = "expected a whole number from 1 on";
    for (args, told) in [
        (&["consume", "batch", "t", "--concurrency", "8"][..], batches),
        (&["produce", "t", "--rate", "0"], none),
        (&["dlq", "replay", "t.dlq", "--rate", "0"], none),
        (&["dlq", "replay", "t.dlq", "--max", "0"], none),
        (&["consume", "orders"], "Usage: kurier consume single [OPTIONS] <TOPICS>...\n"),
        (&["consume", "orders"], "\n       kurier consume batch [OPTIONS] <TOPICS>...\n"),
        (&["probe", "127.0.0.1:9464"], "Usage: kurier probe live [OPTIONS] <HOST:PORT>\n"),
        (&["cluster", "kill", "node1"], "nodes are numbers from 1 on: `kurier cluster info` shows"),
        (&["dashboard", "--listen", "18081"], "expected HOST:PORT, such as 127.0.0.1:18081\n"),
        (&["demo", "--listen", ":18081"], "expected HOST:PORT, such as 127.0.0.1:18081\n"),
        (&["produce", "t", "--metrics", "9100"], "expected HOST:PORT, such as 127.0.0.1:9100\n"),
        (
            &["probe", "live", "http://127.0.0.1:9464"],
            "expected HOST:PORT, such as 127.0.0.1:8080\n",
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
        let output = command.args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        let said = said(&output);
        assert!(said.contains(told) && !said.contains("tip:"), "{args:?}: {said}");
    }
}

#[test]
fn a_dead_node_is_named() {
    let cluster = Cluster::run(&["t:2"]);
    assert_eq!(cluster.kurier(&["cluster", "kill", "2"], "").status.code(), Some(0));
    let health = cluster.kurier(&["cluster", "health"], "");
    let text = String::from_utf8_lossy(&health.stdout).into_owned();
    assert_eq!(health.status.code(), Some(10), "{text}");
    assert!(text.starts_with("node 2 is away, with replicas of 2 partitions\n"), "{text}");
    assert!(text.contains("t 0: 2 of 3 replicas in sync, not on 2\n"), "{text}");
    let health = cluster.kurier(&["-o", "json", "cluster", "health"], "");
    let health: Value = serde_json::from_slice(&health.stdout).unwrap();
    assert_eq!(health["nodes_away"], serde_json::json!([2]), "{health}");
}

/// It writes to that cluster, which may have been named for something else.
#[test]
fn a_demo_says_who_named_the_cluster_that_it_runs_on() {
    let cluster = Cluster::run(&[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
    command.args(["demo", "--for", "1s"]).env("KURIER_BOOTSTRAP", &cluster.bootstrap);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let named = format!("on your cluster {}, which KURIER_BOOTSTRAP names", cluster.bootstrap);
    assert!(told.contains(&named), "{told}");
    assert_eq!(output.status.code(), Some(0), "{told}");
}
