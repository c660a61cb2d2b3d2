//! `kurier demo` with its dashboard: what that shows of it, also after the verdict, until a signal comes.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A demo that stays, killed when dropped.
struct Demo {
    process: Child,
    dashboard: String,
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
        command.args(["-o", "json", "demo", "--keep"]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut story = BufReader::new(process.stderr.take().unwrap()).lines();
        let told = story.find_map(|line| {
            line.unwrap().split_once("the dashboard is at http://").map(|(_, at)| at.to_owned())
        });
        // Whatever else it tells is read, so that it never waits for a reader.
        std::thread::spawn(move || story.for_each(drop));
        Self { process, dashboard: told.unwrap() }
    }

    /// What a panel of the dashboard shows.
    fn shown(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(&self.dashboard).unwrap();
        write!(stream, "GET /api/v1/{path} HTTP/1.0\r\nhost: {}\r\n\r\n", self.dashboard).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// Looks until it is so.
    fn until(&self, what: &str, path: &str, is: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let shown = self.shown(path);
            if is(&shown) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {shown:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The verdict, which comes when all is sent and handled.
    fn verdict(&mut self) -> Value {
        let mut line = String::new();
        BufReader::new(self.process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }
}

#[test]
fn the_dashboard_of_a_demo_shows_its_clients_and_the_verdict_until_a_signal_ends_both() {
    // Somebody else may have the usual port, in which case it is taken already.
    let taken = TcpListener::bind("127.0.0.1:8080");
    let mut demo = Demo::start(&["--for", "8s"]);
    assert_ne!(demo.dashboard, "127.0.0.1:8080");
    let process = |shown: &Value| shown["data"][0].clone();
    demo.until("a producer with an outbox and its consumers work", "clients", |shown| {
        let (producers, consumers) = (&process(shown)["producers"], &process(shown)["consumers"]);
        let works = |client: &Value| client["handled_per_second"].as_f64() > Some(0.0);
        producers[0]["acked_per_second"].as_f64() > Some(0.0)
            && producers[0]["outbox"]["limit_bytes"].is_f64()
            && consumers.as_array().is_some_and(|all| 3 <= all.len() && all.iter().any(works))
    });
    demo.until("nothing is known of losses before the verdict", "overview", |shown| {
        shown["clients"]["data"]["lost"].is_null() && shown["cluster"]["data"].is_object()
    });
    let verdict = demo.verdict();
    assert_eq!(verdict["verdict"], "nothing lost");
    demo.until("the totals are those of the verdict", "overview", |shown| {
        let totals = &shown["clients"]["data"];
        totals["lost"] == 0
            && totals["delivered"].as_f64() == verdict["delivered"].as_f64()
            && Some(2.0) <= totals["dead_lettered"].as_f64()
    });
    let pid = demo.process.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(demo.process.wait().unwrap().code(), Some(130));
    assert!(TcpStream::connect(&demo.dashboard).is_err(), "nobody listens any more");
    drop(taken);
}

#[test]
fn a_demo_whose_dashboard_can_not_listen_where_it_was_told_says_so_and_ends() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
    let output = command.args(["demo", "--listen", &address]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(&address), "{said}");
}

#[test]
fn a_verdict_that_nobody_reads_is_still_the_exit_code() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_kurier"));
    command.args(["demo", "--control", "--no-dashboard", "--for", "5s"]).stdout(writer);
    assert_eq!(command.status().unwrap().code(), Some(3));
}
