//! `kurier produce --outbox` and `kurier outbox`: what is safe is told, kept and sent later; what is
//! wrong with a disk is said.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::print_stderr, reason = "a test that is not run says so")]

mod cluster;

use std::path::Path;
use std::process::{Command, Output};

use cluster::{Cluster, said};
use serde_json::Value;

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

fn kurier(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kurier")).args(args).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Leaves samples in an outbox, with no cluster to send them to.
fn leave(dir: &str, count: &str) -> Output {
    let produce = ["-b", NOWHERE, "--timeout", "500ms", "-o", "json", "produce", "t"];
    let outbox = ["--sample", count, "--outbox", dir, "--report", "each"];
    let left = kurier(&[&produce[..], &outbox].concat());
    assert_eq!(left.status.code(), Some(4), "{}", said(&left));
    let kept = format!("safe in the outbox and not delivered kept={count}");
    assert!(said(&left).contains(&kept), "{}", said(&left));
    left
}

fn status(dir: &str) -> Value {
    lines(&kurier(&["-o", "json", "outbox", "status", dir])).remove(0)
}

#[test]
fn what_is_accepted_without_a_cluster_is_told_kept_and_sent_by_a_drain() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let accepted = lines(&leave(dir, "3"));
    assert!(accepted.iter().all(|line| line["event"] == "accepted"), "{accepted:?}");
    let ids: Vec<&Value> = accepted.iter().map(|line| &line["id"]).collect();
    let before = status(dir);
    assert_eq!((&before["undelivered"], &before["used_by"]), (&3.into(), &Value::Null));
    let cluster = Cluster::run(&["t:1"]);
    let drained = cluster.objects(&["-o", "json", "outbox", "drain", dir]);
    assert_eq!(drained[0]["delivered"], 3);
    assert_eq!(status(dir)["undelivered"], 0);
    let tail = ["-o", "json", "topic", "tail", "t", "--from", "earliest", "--exit-at-end"];
    let found = cluster.objects(&tail);
    let found: Vec<&Value> = found.iter().map(|line| &line["message"]["id"]).collect();
    assert_eq!(found, ids);
}

#[test]
fn what_is_left_is_sent_before_what_the_next_process_reads() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    leave(dir, "2");
    let cluster = Cluster::run(&["t:1"]);
    let next = cluster.kurier(&["-o", "json", "produce", "t", "--outbox", dir], "new\n");
    assert_eq!(next.status.code(), Some(0), "{}", said(&next));
    assert_eq!((&lines(&next)[0]["delivered"], &lines(&next)[0]["kept"]), (&3.into(), &0.into()));
    let tail = ["-o", "json", "topic", "tail", "t", "--from", "earliest", "--exit-at-end"];
    let found = cluster.objects(&tail);
    let found: Vec<&str> =
        found.iter().map(|line| line["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(found, ["Test message 1", "Test message 2", "new"]);
}

#[test]
fn a_second_process_is_refused_and_told_which_one_has_the_outbox() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let cluster = Cluster::run(&["t:1"]);
    let args = ["produce", "t", "--sample", "endless", "--rate", "10", "--outbox", dir];
    let mut first = cluster.command(&args).spawn().unwrap();
    let pid = first.id();
    while !folder.path().exists() || status(dir)["used_by"] != pid {
        assert!(first.try_wait().unwrap().is_none(), "it has ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let second = cluster.kurier(&["produce", "t", "--outbox", dir], "");
    assert_eq!(second.status.code(), Some(1));
    assert!(said(&second).contains(&format!("is in use by process {pid}")), "{}", said(&second));
    first.kill().unwrap();
    first.wait().unwrap();
    let third = cluster.kurier(&["produce", "t", "--outbox", dir], "");
    assert_eq!(third.status.code(), Some(0), "{}", said(&third));
}

#[test]
fn damage_is_found_by_verify_and_stays_found_when_the_rest_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    leave(dir, "3");
    assert_eq!(kurier(&["outbox", "verify", dir]).status.code(), Some(0));
    flip(folder.path(), b"Test message 2");
    let found = kurier(&["-o", "json", "outbox", "verify", dir]);
    assert_eq!(found.status.code(), Some(3), "{}", said(&found));
    let found = lines(&found).remove(0);
    assert_eq!((&found["undelivered"], &found["damaged"][0]["ticket"]), (&2.into(), &1.into()));
    let cluster = Cluster::run(&["t:1"]);
    let drained = cluster.kurier(&["outbox", "drain", dir], "");
    assert_eq!(drained.status.code(), Some(3), "{}", said(&drained));
    assert!(said(&drained).contains("are damaged; kept in"), "{}", said(&drained));
    assert!(String::from_utf8(drained.stdout).unwrap().contains("DAMAGED"));
    let again = kurier(&["outbox", "verify", dir]);
    assert_eq!(again.status.code(), Some(3), "{}", said(&again));
    assert!(String::from_utf8(again.stdout).unwrap().contains("damaged bytes, kept"));
}

/// Its own messages are all there; one that was accepted before is not.
#[test]
fn a_produce_that_finds_damage_does_not_end_as_if_all_were_well() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    leave(dir, "3");
    flip(folder.path(), b"Test message 2");
    let cluster = Cluster::run(&["t:1"]);
    let args = ["-o", "json", "produce", "t", "--sample", "1", "--outbox", dir];
    let next = cluster.kurier(&args, "");
    assert_eq!(next.status.code(), Some(3), "{}", said(&next));
    let summary = lines(&next).remove(0);
    assert_eq!((&summary["delivered"], &summary["damaged"]), (&3.into(), &1.into()), "{summary}");
}

fn flip(dir: &Path, text: &[u8]) {
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
            bytes[at] ^= 4;
            return std::fs::write(&path, bytes).unwrap();
        }
    }
    panic!("it is nowhere");
}

#[test]
fn the_classic_profile_and_a_folder_that_is_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let args = ["-b", NOWHERE, "produce", "t", "--delivery", "one-in-flight", "--outbox", dir];
    let classic = kurier(&args);
    assert_eq!(classic.status.code(), Some(2));
    assert!(said(&classic).contains("does not send it again"), "{}", said(&classic));
    for command in ["status", "verify", "drain"] {
        let missing = kurier(&["-b", NOWHERE, "outbox", command, "/no/such/folder"]);
        assert_eq!(missing.status.code(), Some(1), "{command}");
        assert!(said(&missing).contains("the outbox /no/such/folder: "), "{}", said(&missing));
    }
    assert!(!Path::new("/no/such").exists());
    let alone = kurier(&["produce", "t", "--outbox-sync", "never"]);
    assert_eq!(alone.status.code(), Some(2), "{}", said(&alone));
}

/// A command on a disk of its own, mounted with these options for this command alone. `None` where the
/// system does not let us.
fn on_own_disk(cluster: &Cluster, options: &str, args: &[&str]) -> Option<Output> {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o \"$0\" tmpfs . && cd \"$PWD\" && exec \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["-rm", "true"]);
    if !unshare.status().is_ok_and(|status| status.success()) {
        eprintln!("NOT RUN here: no disk of its own, unshare -rm is not allowed");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, options, env!("CARGO_BIN_EXE_kurier")]);
    command.args(["-b", &cluster.bootstrap]).args(args).current_dir(folder.path());
    Some(command.output().unwrap())
}

#[test]
fn a_disk_that_is_full_makes_it_wait_and_nothing_is_lost() {
    let cluster = Cluster::run(&["t:1"]);
    let args = ["-o", "json", "produce", "t", "--sample", "20000", "--outbox", "box"];
    let Some(ended) = on_own_disk(&cluster, "size=1m", &args) else { return };
    assert_eq!(ended.status.code(), Some(0), "{}", said(&ended));
    assert!(said(&ended).contains("No space left on device"), "{}", said(&ended));
    assert!(said(&ended).contains("takes new messages again"), "{}", said(&ended));
    assert_eq!(lines(&ended)[0]["delivered"], 20_000);
}

#[test]
fn a_disk_that_is_full_refuses_by_name_if_that_was_chosen_and_what_was_accepted_is_delivered() {
    let cluster = Cluster::run(&["t:1"]);
    let args = ["-o", "json", "produce", "t", "--sample", "20000", "--outbox", "box", "--report"];
    let args = [&args[..], &["each", "--outbox-full", "refuse"]].concat();
    let Some(ended) = on_own_disk(&cluster, "size=1m", &args) else { return };
    assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
    assert!(said(&ended).contains("not accepted: the outbox can't be written"), "{}", said(&ended));
    let ids = |event: &str| {
        let lines = lines(&ended).into_iter().filter(|line| line["event"] == event);
        lines.map(|line| line["id"].to_string()).collect::<std::collections::BTreeSet<_>>()
    };
    let (accepted, delivered) = (ids("accepted"), ids("delivered"));
    assert!((1_000..20_000).contains(&accepted.len()), "{}", accepted.len());
    assert_eq!(accepted, delivered);
}

#[test]
fn a_disk_that_can_only_be_read_is_said_at_the_start() {
    let cluster = Cluster::run(&["t:1"]);
    let args = ["produce", "t", "--sample", "1", "--outbox", "box"];
    let Some(ended) = on_own_disk(&cluster, "ro", &args) else { return };
    assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
    assert!(said(&ended).contains("the outbox box: Read-only file system"), "{}", said(&ended));
}
