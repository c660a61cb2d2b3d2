//! Commands whose reader does not read: they end when they are told to, and say what is left.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cluster;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cluster::Cluster;

/// Far more than a pipe holds.
const MANY: &str = "30000";

fn loaded() -> Cluster {
    let cluster = Cluster::run(&["t:3"]);
    cluster.objects(&["produce", "t", "--sample", MANY, "--report", "none"]);
    cluster
}

/// Clock ticks of a process so far.
fn ticks(process: &Child) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    // Behind the name, which may hold spaces: user and system time are the 14th and 15th field.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Starts a command, reads a little of what it prints, and waits until it does nothing any more: the
/// pipe is full.
fn stuck(cluster: &Cluster, args: &[&str]) -> Child {
    let mut process = cluster.command(args).spawn().unwrap();
    process.stdout.as_mut().unwrap().read_exact(&mut [0; 10]).unwrap();
    let limit = Instant::now() + Duration::from_secs(120);
    let mut idle = false;
    while !idle {
        assert!(Instant::now() < limit, "{args:?} goes on and on");
        let before = ticks(&process);
        std::thread::sleep(Duration::from_secs(1));
        idle = ticks(&process) < before + 3;
    }
    process
}

fn terminate(process: &Child) {
    let sent = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// The exit code, and what was said.
fn end(mut process: Child, within: Duration) -> (Option<i32>, String) {
    let limit = Instant::now() + within;
    while process.try_wait().unwrap().is_none() {
        if limit <= Instant::now() {
            process.kill().unwrap();
            panic!("not ended within {within:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut said = String::new();
    process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (process.wait().unwrap().code(), said)
}

const SOON: Duration = Duration::from_secs(15);

#[test]
fn a_consumer_whose_pipe_is_full_ends_within_its_deadline_and_says_what_is_left() {
    let cluster = loaded();
    let process = stuck(&cluster, &["consume", "single", "t"]);
    terminate(&process);
    let (code, said) = end(process, Duration::from_secs(60));
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("incomplete"), "{said}");
    // Nothing is passed over: what was not printed whole comes again.
    let rest = cluster.objects(&["consume", "single", "t", "--exit-at-end"]);
    assert!(rest.len() > 20_000, "{} are left", rest.len());
}

#[test]
fn a_second_signal_ends_every_command_whose_pipe_is_full() {
    let cluster = loaded();
    let commands: [&[&str]; 3] = [
        &["consume", "single", "t"],
        &["consume", "batch", "t"],
        &["produce", "t", "--sample", MANY, "--report", "each"],
    ];
    for args in commands {
        let process = stuck(&cluster, args);
        terminate(&process);
        // A signal that follows at once may become one with the first.
        std::thread::sleep(Duration::from_secs(1));
        terminate(&process);
        let (code, said) = end(process, SOON);
        assert_eq!(code, Some(4), "{args:?}: {said}");
        assert!(said.contains("left at once") || said.contains("incomplete"), "{args:?}: {said}");
    }
}

#[test]
fn a_tail_whose_pipe_is_full_ends_with_one_signal() {
    let cluster = loaded();
    let process = stuck(&cluster, &["topic", "tail", "t", "--from", "earliest"]);
    terminate(&process);
    let (code, said) = end(process, SOON);
    assert_eq!(code, Some(143), "{said}");
}

/// Of a pipe that waits nobody knows whether there is more; a file behind it is there.
#[test]
fn a_producer_whose_input_waits_leaves_the_files_behind_it_and_nothing_else() {
    let cluster = Cluster::run(&["t:1"]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (fifo, later, empty) = (path("fifo"), path("later"), path("empty"));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::fs::write(&later, "2\n").unwrap();
    std::fs::write(&empty, "").unwrap();
    let inputs: [(&[&str], i32); 3] =
        [(&[&fifo, "-", &empty, &later], 4), (&[&fifo, "-", &empty], 143), (&["-"], 143)];
    for (files, code) in inputs {
        let args = [&["produce", "t", "--report", "each"], files].concat();
        let mut process = cluster.command(&args).stdin(Stdio::piped()).spawn().unwrap();
        let mut waits: Box<dyn Write> = match files {
            ["-"] => Box::new(process.stdin.take().unwrap()),
            _ => Box::new(File::options().write(true).open(&fifo).unwrap()),
        };
        waits.write_all(b"1\n").unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        out.read_line(&mut String::new()).unwrap();
        terminate(&process);
        let (ended, said) = end(process, SOON);
        assert_eq!(ended, Some(code), "{files:?}: {said}");
        let told = said.contains(&format!("stopped before {later}:1;"));
        assert_eq!(told, code == 4, "{files:?}: {said}");
    }
}
