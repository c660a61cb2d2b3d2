//! `kurier produce --outbox` and `kurier outbox`: what is safe is told, kept and sent later; what is
//! wrong with a disk is said.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::print_stderr, reason = "a test that is not run says so")]

mod cluster;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use cluster::{Cluster, said};
use serde_json::Value;

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

fn kurier(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kurier")).args(args).output().unwrap()
}

/// The exit code of a command whose standard output is a pipe that nobody reads any more.
fn unread(args: &[&str]) -> Option<i32> {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
    command.args(args).stdout(writer).status().unwrap().code()
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
    let kept = format!("drain`, sends them kept={count}");
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
    while !folder.path().join("lock").exists() || status(dir)["used_by"] != pid {
        assert!(first.try_wait().unwrap().is_none(), "it has ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let produce = ["produce", "t", "--outbox", dir];
    for second in
        [&produce[..], &["outbox", "retry", dir], &["outbox", "discard", dir, "--execute"]]
    {
        let second = cluster.kurier(second, "");
        assert_eq!(second.status.code(), Some(1));
        let told = format!("is in use by process {pid}");
        assert!(said(&second).contains(&told), "{}", said(&second));
    }
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
    assert_eq!(unread(&["outbox", "verify", dir]), Some(3), "also when nobody reads the list");
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
fn what_no_broker_takes_is_said_to_be_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let cluster = Cluster::run(&["t:1"]);
    let small = ["topic", "alter", "t", "--set", "max.message.bytes=300"];
    assert_eq!(cluster.kurier(&small, "").status.code(), Some(0));
    // Nothing that a codec makes small.
    let large: String =
        (1..400_u64).map(|number| (number * number * 7_919 % 99_991).to_string()).collect();
    let ended = cluster.kurier(&["produce", "t", "--outbox", dir], &format!("{large}\n"));
    assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
    assert!(said(&ended).contains("; put aside in the outbox"), "{}", said(&ended));
    let summary = String::from_utf8(ended.stdout.clone()).unwrap();
    assert!(summary.contains("1 failed and put aside, 0 bad lines, 0 unsent, 0 kept"), "{summary}");
    assert_eq!(status(dir)["rejected"], 1);
}

/// The topic is not there, somebody makes it, and nothing has to be sent anew.
#[test]
fn what_was_put_aside_is_shown_brought_back_and_delivered_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    leave(dir, "4");
    let cluster = Cluster::run(&["other:1"]);
    let drain = ["-X", "topic.metadata.propagation.max.ms=1000", "outbox", "drain", dir];
    assert_eq!(cluster.kurier(&drain, "").status.code(), Some(1));
    let left = status(dir);
    assert_eq!((&left["undelivered"], &left["rejected"]), (&0.into(), &4.into()));
    let aside = lines(&kurier(&["-o", "json", "outbox", "rejected", dir]));
    let ids: Vec<&Value> = aside.iter().map(|line| &line["id"]).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!((&aside[0]["topic"], &aside[0]["key"]), (&"t".into(), &Value::Null));
    assert!(aside[0]["error"].as_str().unwrap().contains("Unknown"), "{}", aside[0]);
    assert!(aside[0]["rejected_at"].as_str().unwrap().starts_with("20"), "{}", aside[0]);
    let last = ids[3].as_str().unwrap();
    let shown = kurier(&["outbox", "rejected", dir, "--id", last]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains(&format!("{last} -> t (no key): ")) && shown.lines().count() == 1,
        "{shown}"
    );

    let would = kurier(&["outbox", "discard", dir, "--id", last]);
    let would = String::from_utf8(would.stdout).unwrap();
    assert!(would.ends_with("1 message would be deleted for good; --execute does it\n"), "{would}");
    assert_eq!(status(dir)["rejected"], 4);
    let gone = kurier(&["-o", "json", "outbox", "discard", dir, "--id", last, "--execute"]);
    assert_eq!(lines(&gone)[0]["discarded"], 1);

    let retried = lines(&kurier(&["-o", "json", "outbox", "retry", dir, "--topic", "t"]));
    assert_eq!((&retried[0]["retried"], &retried[0]["no_room"]), (&3.into(), &0.into()));
    let waits = status(dir);
    assert_eq!((&waits["undelivered"], &waits["rejected"]), (&3.into(), &0.into()));
    let made = cluster.kurier(&["topic", "create", "t", "--partitions", "1"], "");
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    let drained = cluster.objects(&["-o", "json", "outbox", "drain", dir]);
    assert_eq!(drained[0]["delivered"], 3);
    let tail = ["-o", "json", "topic", "tail", "t", "--from", "earliest", "--exit-at-end"];
    let found = cluster.objects(&tail);
    let found: Vec<&Value> = found.iter().map(|line| &line["message"]["id"]).collect();
    assert_eq!(found, &ids[..3]);
    let none = kurier(&["outbox", "rejected", dir]);
    assert_eq!(String::from_utf8(none.stdout).unwrap(), "none\n");
}

#[test]
fn the_classic_profile_and_a_folder_that_is_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let args = ["-b", NOWHERE, "produce", "t", "--delivery", "one-in-flight", "--outbox", dir];
    let classic = kurier(&args);
    assert_eq!(classic.status.code(), Some(2));
    assert!(said(&classic).contains("does not send it again"), "{}", said(&classic));
    for command in ["status", "verify", "drain", "rejected", "retry", "discard"] {
        let missing = kurier(&["-b", NOWHERE, "outbox", command, "/no/such/folder"]);
        assert_eq!(missing.status.code(), Some(2), "{command}");
        let told = "the outbox /no/such/folder: there is no such folder";
        assert!(said(&missing).contains(told), "{}", said(&missing));
        let empty = kurier(&["-b", NOWHERE, "outbox", command, dir]);
        assert_eq!(empty.status.code(), Some(2), "{command}: {}", said(&empty));
        assert!(said(&empty).contains("no producer has kept messages"), "{}", said(&empty));
    }
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0, "looking leaves nothing behind");
    let file = folder.path().join("file");
    std::fs::write(&file, "something else\n").unwrap();
    let file = file.to_str().unwrap();
    for args in [&["produce", "t", "--outbox", file][..], &["outbox", "status", file]] {
        let refused = kurier(&[&["-b", NOWHERE], args].concat());
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {}", said(&refused));
        assert!(said(&refused).contains("that is a file"), "{args:?}: {}", said(&refused));
    }
    for dir in ["/proc/outbox", &format!("{file}/below")] {
        let refused = kurier(&["-b", NOWHERE, "produce", "t", "--outbox", dir]);
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        let told = format!("the outbox {dir}: the folder can't be made: ");
        assert!(said(&refused).contains(&told), "{}", said(&refused));
    }
    assert!(!Path::new("/no/such").exists());
    let alone = kurier(&["produce", "t", "--outbox-sync", "never"]);
    assert_eq!(alone.status.code(), Some(2), "{}", said(&alone));
}

/// Everything is on disk, and there is nobody to send it to.
#[test]
fn one_that_is_told_to_end_without_a_cluster_does_not_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let produce = ["produce", "t", "--sample", "endless", "--rate", "50", "--outbox", dir];
    let drain = ["outbox", "drain", dir];
    for args in [&produce[..], &drain] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
        command.args(["-b", NOWHERE]).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        while !log.next().unwrap().unwrap().contains("waiting for the cluster") {}
        let told = Instant::now();
        let term = Command::new("kill").arg(process.id().to_string()).status().unwrap();
        assert!(term.success());
        let rest: Vec<String> = log.map(|line| line.unwrap()).collect();
        assert_eq!(process.wait().unwrap().code(), Some(4), "{args:?}: {rest:?}");
        let took = told.elapsed();
        assert!(took < Duration::from_secs(10), "{args:?}: {took:?}: {rest:?}");
        let undelivered = status(dir)["undelivered"].as_u64().unwrap();
        let kept = format!("kept={undelivered}");
        assert!(rest.iter().any(|line| line.contains(&kept)), "{args:?}: {rest:?}");
    }
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
    assert_eq!(ended.status.code(), Some(2), "{}", said(&ended));
    let told = "the outbox box: the folder can't be made: Read-only file system";
    assert!(said(&ended).contains(told), "{}", said(&ended));
}
