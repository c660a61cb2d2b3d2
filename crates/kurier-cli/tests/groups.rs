//! Groups under the operator's hand: lag, reset, delete; and the same figures again.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cluster;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use cluster::{Cluster, said};
use serde_json::{Value, json};

const GROUP: &str = "single_message_group_1";

/// A cluster with 400 messages in `orders`, all handled by a group that is empty again.
fn handled() -> Cluster {
    let cluster = Cluster::run(&["orders:3"]);
    fill(&cluster);
    let done = cluster.kurier(&["consume", "single", "orders", "--exit-at-end"], "");
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    cluster
}

/// With keys, so that each partition gets some.
fn fill(cluster: &Cluster) {
    let lines: String = (0..400).map(|number| format!("k{number}:{number}\n")).collect();
    let args = ["produce", "orders", "--key-delimiter", ":", "--report", "none"];
    let produced = cluster.kurier(&args, &lines);
    assert_eq!(produced.status.code(), Some(0), "{}", said(&produced));
}

fn lag(cluster: &Cluster) -> Value {
    cluster.objects(&["-o", "json", "group", "lag", GROUP]).remove(0)
}

/// What each partition's row says under `field`, by partition.
fn column(object: &Value, field: &str) -> Vec<Value> {
    object["partitions"].as_array().unwrap().iter().map(|row| row[field].clone()).collect()
}

fn reset(cluster: &Cluster, args: &[&str]) -> Value {
    let args = [&["-o", "json", "group", "reset", GROUP][..], args].concat();
    cluster.objects(&args).remove(0)
}

#[test]
fn a_reset_shows_first_and_is_done_on_request() {
    let cluster = handled();
    let ends = column(&lag(&cluster), "end");
    let dry = reset(&cluster, &["--to", "earliest"]);
    assert_eq!(dry["executed"], false);
    assert_eq!((column(&dry, "current"), column(&dry, "lag")), (ends.clone(), ends.clone()));
    assert_eq!(column(&dry, "new"), [json!(0), json!(0), json!(0)]);
    assert_eq!(lag(&cluster)["lag"], 0, "only shown");

    let done = reset(&cluster, &["--to", "earliest", "--execute"]);
    assert_eq!(done["executed"], true);
    assert_eq!(done["partitions"], dry["partitions"], "what was shown is what was done");
    let after = lag(&cluster);
    assert_eq!((&after["lag"], column(&after, "lag")), (&json!(400), ends));
    let again = cluster.objects(&["consume", "single", "orders", "--exit-at-end"]);
    assert_eq!(again.len(), 400, "the group goes on where it was set");
}

#[test]
fn each_way_to_name_a_place_has_its_offsets() {
    let cluster = handled();
    let ends: Vec<i64> =
        column(&lag(&cluster), "end").iter().map(|end| end.as_i64().unwrap()).collect();
    let each =
        |of: fn(i64) -> i64| -> Vec<Value> { ends.iter().map(|end| json!(of(*end))).collect() };
    let cases: [(&[&str], Vec<Value>); 7] = [
        (&["--to", "earliest"], each(|_| 0)),
        (&["--to", "latest"], each(|end| end)),
        (&["--to", "current"], each(|end| end)),
        (&["--to", "7"], each(|_| 7)),
        (&["--shift", "-5"], each(|end| end - 5)),
        (&["--to", "1h"], each(|_| 0)),
        (&["--to", "2100-01-01T00:00:00Z"], each(|end| end)),
    ];
    for (args, expected) in cases {
        assert_eq!(column(&reset(&cluster, args), "new"), expected, "{args:?}");
    }
    let one = reset(&cluster, &["--to", "7", "--topic", "orders:1"]);
    assert_eq!(column(&one, "partition"), [json!(1)]);
}

#[test]
fn an_offset_that_the_log_has_not_is_the_nearest_and_told() {
    let cluster = handled();
    let args = ["-o", "json", "group", "reset", GROUP, "--topic", "orders:0", "--to", "999999"];
    let output = cluster.kurier(&args, "");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("offset 999999 is not in its log"), "{}", said(&output));
    let row = &serde_json::from_slice::<Value>(&output.stdout).unwrap()["partitions"][0];
    assert_eq!((&row["new"], &row["asked"]), (&row["current"], &json!(999_999)));
}

#[test]
fn what_is_exported_is_where_the_group_is_set_from_a_file() {
    let cluster = handled();
    let folder = tempfile::tempdir().unwrap();
    for (form, name) in [("table", "offsets.csv"), ("json", "offsets.json")] {
        let export = ["-o", form, "group", "reset", GROUP, "--to", "current", "--export"];
        let saved = cluster.kurier(&export, "");
        assert_eq!(saved.status.code(), Some(0), "{}", said(&saved));
        let file = folder.path().join(name);
        std::fs::write(&file, saved.stdout).unwrap();
        reset(&cluster, &["--to", "earliest", "--execute"]);
        assert_eq!(lag(&cluster)["lag"], 400);
        reset(&cluster, &["--from-file", file.to_str().unwrap(), "--execute"]);
        assert_eq!(lag(&cluster)["lag"], 0, "{form}");
    }
    let file = folder.path().join("bad.csv");
    std::fs::File::create(&file).unwrap().write_all(b"orders,0,1\norders,0\n").unwrap();
    let args = ["group", "reset", GROUP, "--from-file", file.to_str().unwrap()];
    let refused = cluster.kurier(&args, "");
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("bad.csv:2: expected"), "{}", said(&refused));
}

/// `consume`, once its group has given it the partitions.
fn member(cluster: &Cluster) -> Child {
    let args = ["consume", "single", "orders", "--instance", "one"];
    let mut process = cluster.command(&args).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    // The pipe stays open until the process ends.
    std::thread::spawn(move || lines.lines().count());
    process
}

#[test]
fn a_group_with_members_is_neither_reset_nor_deleted_and_they_are_named() {
    let cluster = Cluster::run(&["orders:3"]);
    fill(&cluster);
    let mut member = member(&cluster);
    for args in [
        &["group", "reset", GROUP, "--to", "earliest"][..],
        &["group", "reset", GROUP, "--to", "earliest", "--execute"],
        &["group", "delete", GROUP],
    ] {
        let refused = cluster.kurier(args, "");
        assert_eq!(refused.status.code(), Some(1), "{args:?}: {}", said(&refused));
        let text = said(&refused);
        assert!(text.contains("one on 127.0.0.1 with orders[0]"), "{args:?}: {text}");
        assert_eq!(refused.stdout, b"", "{args:?}");
    }
    let patience = Instant::now() + Duration::from_secs(60);
    while lag(&cluster)["lag"] != json!(0) || lag(&cluster)["uncounted"] != json!([]) {
        assert!(Instant::now() < patience, "{}", lag(&cluster));
    }
    let export = ["group", "reset", GROUP, "--to", "current", "--export"];
    let saved = cluster.kurier(&export, "");
    assert_eq!(saved.status.code(), Some(0), "reading does no harm: {}", said(&saved));
    assert_eq!(String::from_utf8(saved.stdout).unwrap().lines().count(), 3);

    let killed = Command::new("kill").args(["-TERM", &member.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(member.wait().unwrap().code(), Some(143), "all is handled and it left");
    reset(&cluster, &["--to", "earliest", "--execute"]);
    let deleted = cluster.objects(&["-o", "json", "group", "delete", GROUP]);
    assert_eq!(deleted, [json!({ "group": GROUP, "deleted": true })]);
    assert_eq!(cluster.objects(&["-o", "json", "group", "list"]), Vec::<Value>::new());
    assert_eq!(cluster.kurier(&["group", "delete", GROUP], "").status.code(), Some(1), "gone");
}

/// It has no members to be asked, and nothing that says which topics are meant.
#[test]
fn a_group_that_is_not_there_is_made_where_its_topics_are_named() {
    let cluster = handled();
    let args = ["group", "reset", "new", "--to", "latest", "--execute"];
    let refused = cluster.kurier(&args, "");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("--topic"), "{}", said(&refused));
    let made = cluster.kurier(&[&args[..], &["--topic", "orders"]].concat(), "");
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    let lag = &cluster.objects(&["-o", "json", "group", "lag", "new"])[0];
    assert_eq!((&lag["lag"], &lag["state"]), (&json!(0), &json!("Empty")));
    for wrong in ["orders:3", "missing"] {
        let refused = cluster.kurier(&[&args[..], &["--topic", wrong]].concat(), "");
        assert_eq!(refused.status.code(), Some(1), "{wrong}: {}", said(&refused));
    }
}

#[test]
fn a_lag_says_which_partitions_it_leaves_out() {
    let cluster = handled();
    cluster.objects(&["-o", "json", "group", "delete", GROUP]);
    let one = ["group", "reset", GROUP, "--to", "earliest", "--topic", "orders:1", "--execute"];
    assert_eq!(cluster.kurier(&one, "").status.code(), Some(0));
    let lag = lag(&cluster);
    assert_eq!(column(&lag, "partition"), [json!(1)]);
    assert_eq!(lag["lag"], lag["partitions"][0]["end"]);
    let left_out: Vec<_> =
        lag["uncounted"].as_array().unwrap().iter().map(|row| row["partition"].clone()).collect();
    assert_eq!(left_out, [json!(0), json!(2)]);
    let plain = cluster.kurier(&["group", "lag", GROUP], "");
    assert_eq!(String::from_utf8(plain.stdout.clone()).unwrap().trim(), lag["lag"].to_string());
    assert!(
        said(&plain)
            .contains("not in the total: 2 partitions without a commit: orders[0], orders[2]"),
        "{}",
        said(&plain)
    );
}

#[test]
fn a_watch_prints_an_object_a_look_and_ends_cleanly() {
    let cluster = handled();
    let args = ["group", "lag", GROUP, "--watch", "--every", "50ms"];
    let mut process = cluster.command(&args).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap());
    let mut look = || {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    let first = look();
    assert_eq!((&first["lag"], first["time"].is_string()), (&json!(0), true));
    cluster.objects(&["produce", "orders", "--sample", "5", "--report", "none"]);
    while look()["lag"] != json!(5) {}
    let killed = Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(process.wait().unwrap().code(), Some(130));

    let mut unread = cluster.command(&args).spawn().unwrap();
    drop(unread.stdout.take());
    let ended = unread.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), said(&ended)), (Some(0), String::new()));
    let missing = cluster.kurier(&["group", "lag", "missing"], "");
    assert_eq!(missing.status.code(), Some(1), "{}", said(&missing));
}

#[test]
fn a_watch_waits_for_a_group_that_is_not_there_yet() {
    let cluster = Cluster::run(&["orders:3"]);
    let args = ["group", "lag", GROUP, "--watch", "--every", "50ms"];
    let mut process = cluster.command(&args).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut look = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert!(look()["error"].is_string());
    fill(&cluster);
    let done = cluster.kurier(&["consume", "single", "orders", "--exit-at-end"], "");
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    while look()["lag"] != json!(0) {}
    let killed = Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(process.wait().unwrap().code(), Some(130));
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_asked() {
    let kurier = |args: &[&str]| {
        let command = Command::new(env!("CARGO_BIN_EXE_kurier"))
            .args(["-b", "127.0.0.1:1", "group"])
            .args(args)
            .output();
        command.unwrap().status.code()
    };
    for args in [
        &[][..],
        &["--to", "yesterday"],
        &["--to", "-5"],
        &["--to", "earliest", "--shift", "1"],
        &["--to", "earliest", "--execute", "--export"],
        &["--to", "earliest", "--topic", "orders:x"],
        &["--from-file", "/dev/null"],
        &["--from-file", "missing.csv"],
        &["--from-file", "missing.csv", "--topic", "t"],
    ] {
        assert_eq!(kurier(&[&["reset", "g"], args].concat()), Some(2), "{args:?}");
    }
    assert_eq!(kurier(&["lag", "g", "--every", "2s"]), Some(2), "only with --watch");
}

/// librdkafka asks a coordinator that it was told of for ever; whoever watches for days sees it move.
#[test]
fn a_watch_goes_on_when_the_groups_coordinator_dies() {
    let cluster = handled();
    let described = cluster.objects(&["-o", "json", "group", "describe", GROUP]).remove(0);
    let nodes = cluster.objects(&["-o", "json", "cluster", "info"]).remove(0)["nodes"].take();
    let node =
        nodes.as_array().unwrap().iter().find(|node| node["address"] == described["coordinator"]);
    let node = node.unwrap()["node"].to_string();
    let watch = ["group", "lag", GROUP, "--watch", "--every", "50ms"];
    let mut process = cluster.command(&watch).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut look = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(look()["lag"], 0);
    assert_eq!(cluster.kurier(&["cluster", "kill", &node], "").status.code(), Some(0));
    cluster.objects(&["produce", "orders", "--sample", "5", "--report", "none"]);
    let patience = Instant::now() + Duration::from_secs(60);
    while look()["lag"] != json!(5) {
        assert!(Instant::now() < patience);
    }
    process.kill().unwrap();
    process.wait().unwrap();
}
