//! SIGTERM for a `kurier` that can't finish: all brokers are dead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kurier_tests::binary::{Ended, Kurier};
use kurier_tests::books::Books;
use kurier_tests::cluster::{NODES, cluster, create_topic};
use kurier_tests::follow::Follower;
use kurier_tests::process::Signal;
use kurier_tests::scene::{Scene, TOPIC, take};
use kurier_tests::{audit, waits};

use crate::{until, within};

/// What a busy machine may add to any of the times below.
const GRACE: Duration = Duration::from_secs(5);
/// How long `kurier consume` may take to end, the default `shutdown_deadline`.
const CONSUME: Duration = Duration::from_secs(25);
/// How long `kurier produce` waits for acknowledgements, and then for the account of what it leaves.
const PRODUCE: Duration = Duration::from_secs(33);
/// How long any command may take after the second signal.
const AT_ONCE: Duration = Duration::from_secs(6);

/// How many signals a process gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signals {
    One,
    Two,
}

/// Sends them, and waits for the end.
async fn end(process: Kurier, signals: Signals, budget: Duration) -> (Ended, Duration) {
    process.signal(Signal::Terminate).unwrap();
    if signals == Signals::Two {
        // One that follows at once may become one with the first.
        tokio::time::sleep(Duration::from_secs(1)).await;
        process.signal(Signal::Terminate).unwrap();
    }
    let begun = Instant::now();
    let ended = process.wait().await.unwrap();
    let took = begun.elapsed();
    // Its end: it names every message that it leaves.
    let last = ended.talk.lines().rev().take(3).collect::<Vec<_>>();
    assert!(took < budget + GRACE, "it took {took:?} after {signals:?}: {last:?}");
    (ended, took)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_without_brokers_ends_in_time_and_its_code_tells_whether_work_was_left() {
    let scene = Scene::set("signalled", 2).await;
    let start = |name: &str, group: &str, more: &[&str]| {
        let mut args = vec!["consume", "single", TOPIC, "--group", group, "--instance", name];
        args.extend(["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=300"]);
        args.extend(more);
        Kurier::start(scene.bootstrap(), &args).unwrap()
    };
    let followers = ["once", "twice"].map(|name| Follower::new(&scene.books, &scene.group, name));
    let [once, twice] =
        ["once", "twice"].map(|name| start(name, &scene.group, &["--commit-interval", "1h"]));
    until("one partition each", || {
        once.talk().contains("assigned") && twice.talk().contains("assigned")
    })
    .await;
    scene.fill(0..2, 100).await;
    let printed = || once.lines().len() + twice.lines().len();
    until("all is printed", || 200 <= printed()).await;
    assert_eq!(scene.committed().await, BTreeMap::new(), "it is not time yet");
    let idle = start("idle", "idle", &["--commit-interval", "100ms"]);
    let all = BTreeMap::from([(0, 100), (1, 100)]);
    scene.until_committed_by("idle", &all).await;
    for node in NODES {
        scene.cluster.kill(node).await.unwrap();
    }
    scene.books.note("all nodes are dead");

    let (once, twice, idle) = tokio::join!(
        end(once, Signals::One, CONSUME),
        end(twice, Signals::Two, AT_ONCE),
        end(idle, Signals::One, CONSUME),
    );
    assert_eq!(idle.0.status.code(), Some(143), "nothing was left: {}", idle.0.talk);
    for (ended, _) in [&once, &twice] {
        assert_eq!(ended.status.code(), Some(4), "{}", ended.talk);
        assert!(ended.talk.contains("incomplete"), "{}", ended.talk);
    }
    assert!(twice.0.talk.contains("left at once"), "{}", twice.0.talk);
    for (follower, (ended, _)) in followers.into_iter().zip([&once, &twice]) {
        follower.end(&ended.lines).unwrap();
    }
    within("the start of all nodes", scene.cluster.start_all()).await.unwrap();
    let next = scene.run(scene.member("next").exit_at_end(true), take);
    assert_eq!(next.end().await.handled, 200, "what was printed and not committed comes again");
    scene
        .judge(&format!(
            "one SIGTERM: ended in {:.1?}, two: in {:.1?}, both with code 4; one with nothing left: in {:.1?}, with code 143",
            once.1, twice.1, idle.1
        ))
        .await;
}

/// The control: a signal that nobody can handle. Neither of the two says what it leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_processes_that_are_killed_give_no_account() {
    let scene = Scene::set("killed", 2).await;
    let args = ["consume", "single", TOPIC, "--group", &scene.group, "--commit-interval", "1h"];
    let mut consumer = Kurier::start(scene.bootstrap(), &args).unwrap();
    scene.fill(0..2, 100).await;
    until("all is printed", || 200 <= consumer.lines().len()).await;
    let args = ["produce", TOPIC, "--sample", "5000000", "--report", "summary"];
    let mut producer = Kurier::start(scene.bootstrap(), &args).unwrap();
    within("some records", until_written(scene.bootstrap(), 1_000)).await;
    consumer.kill().unwrap();
    let lines = producer.kill().unwrap();
    let told = consumer.talk() + &producer.talk();
    assert!(!told.contains("incomplete") && !told.contains("stopped before"), "{told}");
    assert!(!lines.iter().any(|line| line["event"] == "summary"), "{lines:?}");
}

/// Waits until there are so many records.
async fn until_written(bootstrap: &str, enough: i64) {
    let admin = kurier_tests::cluster::admin(bootstrap).unwrap();
    let written = async || {
        let ends = admin.watermarks(TOPIC).await.unwrap_or_default();
        ends.values().map(|found| found.end.0).sum::<i64>()
    };
    while written().await < enough {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    admin.close().await;
}

/// What a `kurier produce` says of its end.
#[derive(Debug)]
struct Account {
    delivered: u64,
    unsent: u64,
    /// The first line that was not accepted.
    next: u64,
}

impl Account {
    fn of(ended: &Ended) -> Self {
        assert_eq!(ended.status.code(), Some(4));
        let summary = ended.lines.iter().find(|line| line["event"] == "summary").unwrap();
        let number = |field: &str| summary[field].as_u64().unwrap();
        let (_, next) = ended.talk.split_once("stopped before sample:").unwrap();
        let digits = next.chars().take_while(char::is_ascii_digit).collect::<String>();
        let account = Self {
            delivered: number("delivered"),
            unsent: number("unsent"),
            next: digits.parse().unwrap(),
        };
        assert_eq!(
            account.delivered + account.unsent,
            account.next - 1,
            "every message that was accepted is delivered or named: {account:?}"
        );
        assert!(0 < account.unsent, "{account:?}");
        account
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_is_blocked_without_brokers_ends_in_time_and_accounts_for_every_message() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let start = || {
        // More than any memory holds; slow enough for some to be delivered before the nodes die.
        let args = ["produce", TOPIC, "--sample", "5000000", "--report", "summary"];
        Kurier::start(cluster.bootstrap(), &args).unwrap()
    };
    let (once, twice) = (start(), start());
    within("some records", until_written(cluster.bootstrap(), 1_000)).await;
    for node in NODES {
        cluster.kill(node).await.unwrap();
    }
    until_blocked(&once).await;
    until_blocked(&twice).await;
    let (once, twice) =
        tokio::join!(end(once, Signals::One, PRODUCE), end(twice, Signals::Two, AT_ONCE));
    let accounts = [&once, &twice].map(|(ended, _)| Account::of(ended));

    within("the start of all nodes", cluster.start_all()).await.unwrap();
    let books = Arc::new(Books::new(&[]));
    let found = audit::enter(&books, cluster.bootstrap(), TOPIC).await.unwrap().len() as u64;
    let delivered: u64 = accounts.iter().map(|account| account.delivered).sum();
    let accepted: u64 = accounts.iter().map(|account| account.next - 1).sum();
    // What had no answer when the nodes died may be there.
    assert!(delivered <= found && found <= accepted, "{found} are there: {accounts:?}");
    eprintln!(
        "{:?}, blocked producers: one SIGTERM: ended in {:.1?}, two: in {:.1?}; {accounts:?}, {found} in the log",
        cluster.kind(),
        once.1,
        twice.1
    );
}

/// Waits until its memory, which is bounded, grows no more.
async fn until_blocked(process: &Kurier) {
    let blocked = async {
        let (mut before, mut still) = (0, 0);
        while still < 5 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = process.resident_bytes().unwrap();
            still = if now <= before + before / 500 { still + 1 } else { 0 };
            before = now;
        }
    };
    waits::within("a full memory", blocked).await;
}
