//! `kurier doctor` as its users run it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cluster;

use std::process::Command;

use cluster::{Cluster, said};
use serde_json::Value;

fn printed(output: &std::process::Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_cluster_that_is_well_ends_with_0_and_a_danger_with_1() {
    let cluster = Cluster::run(&["orders:3"]);
    let well = cluster.kurier(&["doctor", "--strict"], "");
    assert_eq!(well.status.code(), Some(0), "{}{}", printed(&well), said(&well));
    let sum =
        "nothing that was checked endangers at-least-once; 0 warnings, 0 notes, 0 not checked";
    assert!(printed(&well).contains(sum), "{}", printed(&well));

    let made = cluster.kurier(&["topic", "create", "lone", "--replication", "1"], "");
    assert!(made.status.success(), "{}", said(&made));
    let ill = cluster.kurier(&["doctor"], "");
    assert_eq!(ill.status.code(), Some(1), "{}", printed(&ill));
    let text = printed(&ill);
    for part in
        ["DANGER      topic lone  (replication-factor)\n", "\n        $ kafka-reassign-partitions"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "colour is for terminals: {text}");
    let other = cluster.kurier(&["doctor", "orders"], "");
    assert_eq!(other.status.code(), Some(0), "{}", printed(&other));
}

/// What such a file has for producers and consumers is judged, not complained about.
#[test]
fn a_file_of_a_producers_properties_brings_no_complaints_of_librdkafkas() {
    let cluster = Cluster::run(&["orders:3"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.properties");
    std::fs::write(&file, "linger.ms=20\nmax.poll.interval.ms=600000\n").unwrap();
    let looked = cluster.kurier(&["doctor", "--config", file.to_str().unwrap()], "");
    assert_eq!(looked.status.code(), Some(0), "{}{}", printed(&looked), said(&looked));
    assert_eq!(said(&looked), "", "nothing is wrong");
}

/// What a finding says is to be pasted is what a shell takes, and the danger is gone.
#[test]
fn the_commands_that_are_given_mend_when_they_are_pasted() {
    let cluster = Cluster::run(&["orders:3"]);
    let ill = [
        "min.insync.replicas=1",
        "unclean.leader.election.enable=true",
        "max.message.bytes=500000",
    ];
    let set = ill.iter().flat_map(|setting| ["--set", setting]);
    let alter: Vec<_> = ["topic", "alter", "orders"].into_iter().chain(set).collect();
    let altered = cluster.kurier(&alter, "");
    assert!(altered.status.success(), "{}", said(&altered));
    let told = ["-o", "json", "doctor", "orders", "--instances", "5"];
    let found = cluster.kurier(&told, "");
    let object: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(
        (object["dangers"].as_u64(), object["warnings"].as_u64()),
        (Some(3), Some(1)),
        "{object}"
    );
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_kurier")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    for finding in object["findings"].as_array().unwrap() {
        let command = finding["mend"][0]["command"].as_str().unwrap();
        let pasted =
            Command::new("bash").args(["-c", command]).env("PATH", &path).output().unwrap();
        assert!(pasted.status.success(), "{command}: {}", said(&pasted));
    }
    let mended = cluster.objects(&told);
    assert_eq!(mended[0]["findings"], serde_json::json!([]));
}

#[test]
fn a_warning_ends_with_1_where_it_is_to_count() {
    let cluster = Cluster::run(&["orders:3"]);
    for (strict, code) in [(None, 0), (Some("--strict"), 1)] {
        let args = ["doctor", "--instances", "4"].into_iter().chain(strict).collect::<Vec<_>>();
        let ended = cluster.kurier(&args, "");
        assert_eq!(ended.status.code(), Some(code), "{args:?}: {}", printed(&ended));
    }
}

#[test]
fn json_is_one_object_with_the_figures_and_the_commands() {
    let cluster = Cluster::run(&["orders:3"]);
    let args = ["-o", "json", "-X", "acks=1", "doctor", "orders", "--instances", "5"];
    let ended = cluster.kurier(&args, "");
    assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
    let lines = printed(&ended);
    assert_eq!(lines.lines().count(), 1, "{lines}");
    let object: Value = serde_json::from_str(&lines).unwrap();
    let figures = ["dangers", "warnings", "notes", "not_checked", "brokers"];
    assert_eq!(figures.map(|name| object[name].as_u64().unwrap()), [1, 1, 0, 0, 3]);
    let names = |name: &str| object[name].as_array().unwrap().len();
    assert_eq!((names("topics"), names("groups"), names("findings")), (1, 0, 2));
    let [danger, warning] = [0, 1].map(|at| &object["findings"][at]);
    assert_eq!(danger["check"], "client-properties");
    assert_eq!(
        (&danger["severity"], &danger["subject"]["kind"]),
        (&"danger".into(), &"client".into())
    );
    assert!(danger["found"].as_str().unwrap().starts_with("acks=1: refused: "), "{danger}");
    assert_eq!(
        (&warning["check"], &warning["subject"]["name"]),
        (&"partitions".into(), &"orders".into())
    );
    let command = format!("kurier -b {} topic alter orders --partitions 5", cluster.bootstrap);
    assert_eq!(warning["mend"][0]["command"], command);
    assert!(!warning["why"].as_str().unwrap().is_empty());
}

#[test]
fn a_cluster_that_is_not_there_ends_with_5_and_a_topic_that_is_not_with_1() {
    let cluster = Cluster::run(&["orders:3"]);
    let missing = cluster.kurier(&["doctor", "nowhere"], "");
    assert_eq!(missing.status.code(), Some(1));
    assert!(said(&missing).contains("nowhere"), "{}", said(&missing));
    assert_eq!(printed(&missing), "");
    let mut kurier = Command::new(env!("CARGO_BIN_EXE_kurier"));
    let ended = kurier.args(["-b", "127.0.0.1:1", "--timeout", "1s", "doctor"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(5), "{}", said(&ended));
}

#[test]
fn the_help_names_every_check() {
    let help =
        Command::new(env!("CARGO_BIN_EXE_kurier")).args(["doctor", "--help"]).output().unwrap();
    for check in kurier::CHECKS {
        assert!(printed(&help).contains(&format!("\n  {}", check.id)), "{}", check.id);
    }
}
