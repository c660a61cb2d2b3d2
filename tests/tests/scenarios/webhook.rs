//! `kurier consume --webhook`: a POST for each message, which is committed once the server has said that it
//! is handled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kurier_tests::binary::{Ended, Kurier};
use kurier_tests::books::Books;
use kurier_tests::follow::Sampler;
use kurier_tests::hook::{DONE, Ending, Hook, Posted, Reply};
use kurier_tests::process::Signal;
use kurier_tests::scene::{Scene, TOPIC};
use serde_json::Value;

use crate::{until, within};

fn start(scene: &Scene, kind: &str, hook: &Hook, more: &[&str]) -> Kurier {
    let url = hook.url();
    let mut args = vec!["consume", kind, TOPIC, "--commit-interval", "100ms", "--webhook", &url];
    args.extend(["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=300"]);
    if !more.contains(&"--group") {
        args.extend(["--group", &scene.group]);
    }
    args.extend(more);
    Kurier::start(scene.bootstrap(), &args).unwrap()
}

async fn end(process: Kurier) -> Ended {
    within("the end of kurier", process.wait()).await.unwrap()
}

/// By partition.
fn all(committed: &[(i32, i64)]) -> BTreeMap<i32, i64> {
    committed.iter().copied().collect()
}

/// Enters that the server has done its work.
fn done(books: &Books, group: &str, posted: &Posted) -> Reply {
    books.handled(group, posted.header("idempotency-key").parse().unwrap());
    DONE
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_posted_with_its_id_on_connections_that_are_kept_and_then_committed() {
    let scene = Scene::set("posted", 2).await;
    let (books, group) = (Arc::clone(&scene.books), scene.group.clone());
    let hook = Hook::serve(move |posted, _| done(&books, &group, posted)).await;
    let samples = Sampler::start(scene.bootstrap(), &scene.books, &scene.group).unwrap();
    scene.fill(0..2, 500).await;
    let ended = end(start(&scene, "single", &hook, &["--exit-at-end"])).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.talk);
    samples.finish().await.unwrap();
    scene.until_committed(&all(&[(0, 500), (1, 500)])).await;

    let posted = hook.posted();
    assert_eq!(posted.len(), 1_000);
    for one in &posted {
        let value: Value = serde_json::from_slice(&one.body).unwrap();
        assert_eq!(one.header("idempotency-key"), value["id"], "{one:?}");
        assert_eq!(one.header("kurier-id"), value["id"], "{one:?}");
        assert_eq!(one.line, "POST /orders?of=shop HTTP/1.1");
        assert_eq!(one.header("content-type"), "application/json");
        assert_eq!((one.header("kurier-topic"), one.header("kurier-attempt")), (TOPIC, "1"));
        assert_eq!(one.header("kurier-key"), format!("partition {}", one.place().0));
    }
    for partition in 0..2 {
        let of = posted.iter().map(Posted::place).filter(|(of, _)| *of == partition);
        assert!(of.map(|(_, offset)| offset).eq(0..500), "in order, each once");
    }
    // One that is not back among those to use again when the next post begins is left to its own.
    assert!(hook.connections() <= 50, "{} connections", hook.connections());
    scene.judge(&format!("1,000 posts on {} connections", hook.connections())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_killed_while_the_server_works_posts_that_message_again_under_the_same_id() {
    let scene = Scene::set("unanswered", 1).await;
    scene.fill(0..1, 10).await;
    let (books, group) = (Arc::clone(&scene.books), scene.group.clone());
    let hook = Hook::serve(move |posted, attempt| match (posted.place(), attempt) {
        ((0, 5), 1) => Reply::Silent,
        _ => done(&books, &group, posted),
    })
    .await;
    let samples = Sampler::start(scene.bootstrap(), &scene.books, &scene.group).unwrap();
    let mut killed = start(&scene, "single", &hook, &["--instance", "killed"]);
    until("the post that has no answer", || 6 <= hook.posted().len()).await;
    scene.until_committed(&all(&[(0, 5)])).await;
    killed.kill().unwrap();
    let next = start(&scene, "single", &hook, &["--instance", "next", "--exit-at-end"]);
    let ended = end(next).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.talk);
    samples.finish().await.unwrap();
    scene.until_committed(&all(&[(0, 10)])).await;
    let posted = hook.posted();
    assert_eq!(posted.len(), 11);
    assert_eq!(posted[5].place(), posted[6].place());
    assert_eq!(posted[5].header("idempotency-key"), posted[6].header("idempotency-key"));
    scene.judge("killed amid a post, which came again under its id").await;
}

/// The control: a server that says 200 before its work is done, and dies then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_server_that_answers_before_its_work_is_done_loses() {
    let scene = Scene::set("hasty-hook", 1).await;
    scene.fill(0..1, 20).await;
    let (books, group) = (Arc::clone(&scene.books), scene.group.clone());
    let hook = Hook::serve(move |posted, _| match posted.place() {
        // Of these the work was still to be done when it died.
        (_, 15..) => DONE,
        _ => done(&books, &group, posted),
    })
    .await;
    let samples = Sampler::start(scene.bootstrap(), &scene.books, &scene.group).unwrap();
    let ended = end(start(&scene, "single", &hook, &["--exit-at-end"])).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.talk);
    samples.finish().await.unwrap();
    scene.judge_careless().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_speaks_of_the_moment_is_posted_again_until_it_is_handled() {
    const AFTER: Duration = Duration::from_secs(2);
    let scene = Scene::set("again", 1).await;
    scene.fill(0..1, 9).await;
    let hook = Hook::serve(|posted, attempt| match (posted.place().1, attempt) {
        (0, 1) => Reply::Status(503, "retry-after: 2\r\n", "soon"),
        (1, 1) => Reply::Status(429, "", ""),
        (2, 1) => Reply::Status(408, "", ""),
        (3, 1..=2) => Reply::Status(500, "", ""),
        // A redirect is not followed: the second attempt comes here.
        (4, 1) => Reply::Status(302, "location: /elsewhere\r\n", ""),
        (5, 1) => Reply::Breaks,
        (6, 1) => Reply::Silent,
        (7, 1) => Reply::Status(599, "", ""),
        _ => DONE,
    })
    .await;
    let more = ["--handler-timeout", "1s", "--exit-at-end"];
    let ended = end(start(&scene, "single", &hook, &more)).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.talk);
    scene.until_committed(&all(&[(0, 9)])).await;
    let posted = hook.posted();
    let of = |offset: i64| -> Vec<&Posted> {
        posted.iter().filter(|one| one.place().1 == offset).collect()
    };
    let attempts: Vec<usize> = (0..9).map(|offset| of(offset).len()).collect();
    assert_eq!(attempts, [2, 2, 2, 3, 2, 2, 2, 2, 1]);
    assert!(posted.is_sorted_by_key(|one| one.place().1), "none overtakes");
    assert!(posted.iter().all(|one| one.line.contains("/orders")));
    let told: BTreeSet<&str> = of(3).iter().map(|one| one.header("kurier-attempt")).collect();
    assert_eq!(told, BTreeSet::from(["1", "2", "3"]));
    let [first, second] = of(0)[..] else { panic!("two attempts") };
    let paused = second.at - first.at;
    assert!(AFTER <= paused, "Retry-After said {AFTER:?}, and it was {paused:?}");
    eprintln!("{:?}: {attempts:?} attempts, Retry-After {paused:.1?}", scene.cluster.kind());
}

/// However long it is: whoever began it may have died before the work was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_counts_once_all_of_it_is_there() {
    let scene = Scene::set("long", 1).await;
    scene.fill(0..1, 4).await;
    let hook = Hook::serve(|posted, attempt| match (posted.place().1, attempt) {
        (0, 1) => Reply::Long(100 << 10, Ending::Cut),
        (1, 1) => Reply::Long(100 << 10, Ending::Silent),
        (2, 1) => Reply::Long(200 << 10, Ending::Whole),
        _ => DONE,
    })
    .await;
    let more = ["--handler-timeout", "1s", "--exit-at-end"];
    let ended = end(start(&scene, "single", &hook, &more)).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.talk);
    scene.until_committed(&all(&[(0, 4)])).await;
    let posted = hook.posted();
    let attempts = |offset| posted.iter().filter(|one| one.place().1 == offset).count();
    assert_eq!([0, 1, 2, 3].map(attempts), [2, 2, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_tried_again_until_it_is() {
    let scene = Scene::set("absent", 1).await;
    scene.fill(0..1, 3).await;
    let gone = Hook::serve(|_, _| DONE).await;
    let address = gone.address().to_owned();
    let refused = async {
        drop(gone);
        while tokio::net::TcpStream::connect(&address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("its end", refused).await;
    let url = format!("http://{address}/");
    let mut args = vec!["-v", "consume", "single", TOPIC, "--group", &scene.group];
    args.extend(["--retries", "1000", "--exit-at-end", "--webhook", &url]);
    let process = Kurier::start(scene.bootstrap(), &args).unwrap();
    until("an attempt", || process.talk().contains("retrying")).await;
    let hook = Hook::serve_at(&address, |_, _| DONE).await;
    let ended = end(process).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.talk);
    assert!(ended.talk.contains("refused"), "{}", ended.talk);
    assert_eq!(hook.posted().len(), 3);
    scene.until_committed(&all(&[(0, 3)])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_rejects_stops_its_partition_there_and_no_other() {
    let scene = Scene::set("rejected", 2).await;
    scene.fill(0..2, 12).await;
    let hook = Hook::serve(|posted, _| {
        let text = String::from_utf8_lossy(&posted.body);
        let is_bad = match posted.headers.get("kurier-last-offset") {
            Some(_) => text.contains("\"partition\":0,\"offset\":5,"),
            None => posted.place() == (0, 5),
        };
        if is_bad { Reply::Status(422, "", "no such\n customer\x1b[31m") } else { DONE }
    })
    .await;
    for (kind, stop, more) in [("single", 5, &[][..]), ("batch", 4, &["--batch-size", "4"])] {
        let before = hook.posted().len();
        let group = format!("rejected-{kind}");
        let more = [more, &["--group", &group, "--exit-at-end"]].concat();
        let ended = end(start(&scene, kind, &hook, &more)).await;
        assert_eq!(ended.status.code(), Some(1), "{}", ended.talk);
        let reason = "rejected: 422 Unprocessable Entity: no such customer[31m";
        assert!(ended.talk.contains(reason), "{}", ended.talk);
        scene.until_committed_by(&group, &all(&[(0, stop), (1, 12)])).await;
        let posted = hook.posted().split_off(before);
        if kind == "batch" {
            assert_batches(&posted);
        } else {
            let at_five = posted.iter().filter(|one| one.place() == (0, 5)).count();
            assert_eq!((at_five, posted.len()), (1, 18), "tried once, and nothing behind it");
        }
    }
}

/// Each is a JSON array of what its headers say.
fn assert_batches(posted: &[Posted]) {
    for one in posted {
        let array: Vec<Value> = serde_json::from_slice(&one.body).unwrap();
        let (partition, first) = one.place();
        let last: i64 = one.header("kurier-last-offset").parse().unwrap();
        assert_eq!(one.header("kurier-count"), array.len().to_string());
        assert_eq!(one.header("idempotency-key"), format!("{TOPIC}-{partition}-{first}-{last}"));
        let offsets = array.iter().map(|line| line["offset"].as_i64().unwrap());
        assert!(offsets.eq(first..=last), "{one:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_without_an_answer_holds_up_the_end_only_until_the_deadline_or_the_second_signal() {
    let scene = Scene::set("held-up", 1).await;
    scene.fill(0..1, 3).await;
    let hook = Hook::serve(|_, _| Reply::Silent).await;
    for (signals, more) in [(1, &["--shutdown-deadline", "3s"][..]), (2, &[])] {
        let before = hook.posted().len();
        let more = [more, &["--handler-timeout", "5m"]].concat();
        let mut process = start(&scene, "single", &hook, &more);
        until("a post", || before < hook.posted().len()).await;
        match signals {
            1 => process.signal(Signal::Terminate).unwrap(),
            _ => process.hurry().await.unwrap(),
        }
        let begun = Instant::now();
        let ended = end(process).await;
        assert_eq!(ended.status.code(), Some(4), "{}", ended.talk);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    assert_eq!(scene.committed().await, all(&[]));
}
