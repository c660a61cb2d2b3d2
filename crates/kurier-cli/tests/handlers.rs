//! `consume --exec` and `--webhook` as a script sees them. What is committed when is the scenarios' affair.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cluster;

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread::JoinHandle;

use cluster::{Cluster, said};
use native_tls::{Identity, TlsAcceptor};

const RAW: [&str; 7] = ["consume", "single", "t", "--decode", "raw", "--exit-at-end", "--exec"];

#[test]
fn a_command_knows_its_message_and_none_of_kuriers_secrets() {
    let cluster = Cluster::run(&["t:1"]);
    let produce = ["produce", "t", "--input", "raw", "--key-delimiter", ":", "--report", "none"];
    assert_eq!(cluster.kurier(&produce, "Grüße:hello\n").status.code(), Some(0));
    let folder = tempfile::tempdir().unwrap();
    let settings = "[profiles.other]\nbootstrap = \"a:1\"\nsasl.user = \"me\"\nsasl.password_env = \"MY_SECRET\"\n";
    fs::write(folder.path().join("kurier.toml"), settings).unwrap();
    let script = "cat; echo; env | grep -E '^(KURIER_|TRACE|MY_|SEEN)' | sort; printf 'no end'";
    let mut command = cluster.command(&[&RAW[..], &[script]].concat());
    command.current_dir(folder.path()).env("MY_SECRET", "s3cret").env("SEEN", "yes");
    command.env("KURIER_MSG_TOMBSTONE", "of one above").env("TRACEPARENT", "of one above");
    command.env("KURIER_BOOTSTRAP", "b:1");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = said(&output);
    let told: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("t-0@0: ")).collect();
    let expected = [
        "hello",
        "KURIER_BOOTSTRAP=b:1",
        "KURIER_MSG_ATTEMPT=1",
        "KURIER_MSG_ID=t-0-0",
        "KURIER_MSG_KEY=Grüße",
        "KURIER_MSG_OFFSET=0",
        "KURIER_MSG_PARTITION=0",
        "KURIER_MSG_TOPIC=t",
        "SEEN=yes",
        "no end",
    ];
    assert_eq!(told, expected);
    assert!(output.stdout.is_empty(), "what a command says is no data of kurier's");
}

#[test]
fn a_command_may_leave_its_input_unread_and_say_as_much_as_it_likes() {
    let cluster = Cluster::run(&["t:1"]);
    // More than any pipe holds.
    let large = "x".repeat(900_000);
    let produced = cluster.kurier(
        &["produce", "t", "--input", "raw", "--report", "none"],
        &format!("{large}\n{large}\n"),
    );
    assert_eq!(produced.status.code(), Some(0), "{}", said(&produced));
    let script = "[ $KURIER_MSG_OFFSET = 1 ] || exit 0; yes 1234567 | head -c 4000000; cat | wc -c";
    let output = cluster.kurier(&[&RAW[..], &[script]].concat(), "");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = said(&output);
    assert_eq!(told.matches("t-0@1: 1234567\n").count(), 500_000);
    assert!(told.contains("t-0@1: 900000\n"));
    let lag = cluster.objects(&["-o", "json", "group", "lag", "single_message_group_1"]);
    assert_eq!(lag[0]["lag"], 0);
}

#[test]
fn what_a_command_rejects_or_fails_at_goes_to_the_dead_letter_topic_many_keys_at_once_too() {
    let cluster = Cluster::run(&["t:2"]);
    let produce = ["produce", "t", "--input", "raw", "--key-delimiter", ":", "--report", "none"];
    let lines: String = (0..20).map(|number| format!("key-{number}:{number}\n")).collect();
    assert_eq!(cluster.kurier(&produce, &lines).status.code(), Some(0));
    let script = "case $(cat) in 3) exit 65;; 7) echo no such place; exit 1;; esac";
    let letters = ["--dead-letter", "t.dlq", "--create-dead-letter", "--retries", "2"];
    for (group, more) in [("one", &[][..]), ("many", &["--concurrency", "8"])] {
        let args = [&RAW[..], &[script, "--group", group], &letters, more].concat();
        let output = cluster.kurier(&args, "");
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let lag = cluster.objects(&["-o", "json", "group", "lag", group]);
        assert_eq!(lag[0]["lag"], 0);
    }
    let counted = cluster.objects(&["-o", "json", "dlq", "list", "t.dlq"]).remove(0);
    let causes = serde_json::json!([
        {"cause": "rejected", "count": 2}, {"cause": "retries-exhausted", "count": 2},
    ]);
    assert_eq!(counted["by_cause"], causes, "{counted}");
}

/// Of a partition that stopped nothing more is to be expected; of what is left there is.
#[test]
fn a_run_that_leaves_work_ends_with_code_4_though_a_partition_had_stopped() {
    let cluster = Cluster::run(&["t:2"]);
    let produce = ["produce", "t", "--input", "raw", "--key-delimiter", ":", "--report", "none"];
    let lines: String = (0..20).map(|number| format!("key-{number}:{number}\n")).collect();
    assert_eq!(cluster.kurier(&produce, &lines).status.code(), Some(0));
    let script = "[ $KURIER_MSG_PARTITION = 1 ] || exit 65; echo begun; exec sleep 1000";
    let args = ["consume", "single", "t", "--decode", "raw", "--shutdown-deadline", "2s", "--exec"];
    let mut process = cluster.command(&[&args[..], &[script]].concat()).spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut told = String::new();
    while !(told.contains("partition stopped") && told.contains("t-1@0: begun")) {
        told += &lines.next().expect("a run that goes on").unwrap();
        told += "\n";
    }
    let signal = Command::new("kill").args(["-TERM", &process.id().to_string()]).status();
    assert!(signal.unwrap().success());
    told.extend(lines.map(|line| line.unwrap() + "\n"));
    assert_eq!(process.wait().unwrap().code(), Some(4), "{told}");
    assert!(told.contains("1 message in handlers' hands"), "{told}");
}

#[test]
fn a_batch_is_one_object_a_line() {
    let cluster = Cluster::run(&["t:1"]);
    cluster.objects(&["produce", "t", "--sample", "10", "--report", "none"]);
    let script = "echo $KURIER_MSG_OFFSET $KURIER_MSG_LAST_OFFSET $KURIER_MSG_COUNT $(grep -c '\"message\":{')";
    let args = ["consume", "batch", "t", "--batch-size", "5", "--exit-at-end", "--exec", script];
    let output = cluster.kurier(&args, "");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = said(&output);
    assert!(told.contains("t-0@0..4: 0 4 5 5\n") && told.contains("t-0@5..9: 5 9 5 5\n"), "{told}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_asked_and_no_secret_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::write(&empty, "").unwrap();
    let empty = empty.to_str().unwrap();
    let hook = ["--webhook", "http://127.0.0.1:1/s3cret"];
    let table: [&[&str]; 12] = [
        &["--exec", ""],
        &["--exec", "true", hook[0], hook[1]],
        &["--exec", "true", "--handler-timeout", "0s"],
        &["--exec", "true", "--webhook-ca-file", empty],
        &["--envelope"],
        &["--handler-timeout", "1s"],
        &["--webhook", "ftp://me:s3cret@host/"],
        &["--webhook", "http://me:s3cret@host:99999/s3cret"],
        &["--webhook", "s3cret"],
        &[hook[0], hook[1], "--webhook-auth-file", "/nowhere"],
        &[hook[0], hook[1], "--webhook-auth-file", empty],
        &[hook[0], hook[1], "--webhook-ca-file", empty],
    ];
    for args in table {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kurier"));
        command.args(["-b", "127.0.0.1:1", "--timeout", "1s", "consume", "single", "t"]).args(args);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        assert!(!said(&output).contains("s3cret"), "{args:?}: {}", said(&output));
    }
}

/// Takes one connection with TLS, and answers what comes on it until it ends. Returns the certificate and
/// how many messages were posted by someone who may.
fn secured(host: &str) -> (u16, String, JoinHandle<usize>) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let identity =
        Identity::from_pkcs8(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes());
    let acceptor = TlsAcceptor::new(identity.unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        // Whoever does not trust us says so and goes.
        acceptor.accept(stream).map_or(0, |stream| answer(BufReader::new(stream)))
    });
    (port, cert.pem(), serving)
}

fn answer(mut stream: BufReader<impl Read + Write>) -> usize {
    let mut posted = 0;
    loop {
        let (mut length, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return posted;
            }
            let header = line.trim().to_ascii_lowercase();
            if let Some(text) = header.strip_prefix("content-length: ") {
                length = text.parse().unwrap();
            }
            posted += usize::from(header == "authorization: bearer t0ken");
        }
        stream.read_exact(&mut vec![0; length]).unwrap();
        stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    }
}

#[test]
fn a_webhook_is_trusted_by_its_authority_and_its_host() {
    let cluster = Cluster::run(&["t:1"]);
    cluster.objects(&["produce", "t", "--sample", "5", "--report", "none"]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ca, auth) = (path("ca.pem"), path("auth"));
    fs::write(&auth, "Bearer t0ken\n").unwrap();
    // Of the certificate, whether it is trusted, and the exit code.
    let table = [("localhost", false, 1), ("elsewhere", true, 1), ("localhost", true, 0)];
    for (host, is_trusted, code) in table {
        let (port, certificate, serving) = secured(host);
        fs::write(&ca, certificate).unwrap();
        let url = format!("https://localhost:{port}/");
        let mut args = vec!["consume", "single", "t", "--exit-at-end", "--retries", "1"];
        args.extend(["--webhook", &url, "--webhook-auth-file", &auth]);
        if is_trusted {
            args.extend(["--webhook-ca-file", &ca]);
        }
        let output = cluster.kurier(&args, "");
        let told = said(&output);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert_eq!(told.contains("certificate verify failed"), code == 1, "{told}");
        assert!(!told.contains("t0ken"), "{told}");
        assert_eq!(serving.join().unwrap(), if code == 0 { 5 } else { 0 }, "on one connection");
    }
}

/// So few open files are allowed that not all commands have room at once; each holds three.
#[test]
fn a_command_that_finds_no_room_waits_for_it_and_that_is_no_attempt() {
    let cluster = Cluster::run(&["t:1"]);
    let produce = ["produce", "t", "--input", "raw", "--key-delimiter", ":", "--report", "none"];
    let lines: String = (0..80).map(|number| format!("key-{number}:{number}\n")).collect();
    assert_eq!(cluster.kurier(&produce, &lines).status.code(), Some(0));
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 100; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kurier")]);
    command.args(["-b", &cluster.bootstrap]).args(RAW);
    let output =
        command.args(["sleep 0.3", "--concurrency", "80", "--retries", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(said(&output).matches("there is no room for another command").count(), 1);
    let lag = cluster.objects(&["-o", "json", "group", "lag", "single_message_group_1"]);
    assert_eq!(lag[0]["lag"], 0);
}

#[test]
fn that_a_message_is_tried_again_is_said_once_for_its_partition_with_the_reason_and_the_time() {
    let cluster = Cluster::run(&["t:1"]);
    let lines: String = (0..3).map(|number| format!("{number}\n")).collect();
    let produced = cluster.kurier(&["produce", "t", "--input", "raw", "--report", "none"], &lines);
    assert_eq!(produced.status.code(), Some(0));
    let script = "[ $KURIER_MSG_ATTEMPT = 3 ] || { echo the store is away; exit 1; }";
    let output = cluster.kurier(&[&RAW[..], &[script, "--retries", "3"]].concat(), "");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told: Vec<String> = said(&output)
        .lines()
        .filter(|line| line.contains("tried again"))
        .map(str::to_owned)
        .collect();
    let [line] = &told[..] else { panic!("{told:?}") };
    for part in ["WARN", "partition=t[0]", "offset=0", "the store is away", "again_in="] {
        assert!(line.contains(part), "{part}: {line}");
    }
}
