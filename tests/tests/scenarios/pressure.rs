//! Requests arrive, and no answer ever comes: the memory fills up to its bound, whoever sends waits, and
//! nothing grows meanwhile.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kurier::Message;
use kurier_broker::{Api, Fault, FaultAction};
use kurier_tests::binary::Kurier;
use kurier_tests::cluster::{NODES, TestCluster, admin};
use kurier_tests::proxy::{Direction, Flow, Proxy};
use rdkafka::producer::FutureRecord;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::careless::careless;
use crate::dispatch::{Dispatch, TOPIC, again_or_out_of_order};
use crate::{until, within};

/// Longer than a message's way through this machine; for so long nothing must move.
const STILL: Duration = Duration::from_secs(4);

/// A budget that fills up at once.
const SMALL: usize = 4 << 20;

/// No answer to a write comes through any more.
fn swallow_answers(cluster: &dyn TestCluster, proxy: Option<&Proxy>) {
    if let Some(faults) = cluster.faults() {
        faults.add(Fault::on(Api::Produce), FaultAction::DropReply).unwrap();
    }
    for node in NODES {
        if let Some(proxy) = proxy {
            proxy.set(node, Direction::ToClient, Flow::Swallow).unwrap();
        }
    }
}

async fn heal(cluster: &dyn TestCluster, proxy: Option<&Proxy>) {
    if let Some(faults) = cluster.faults() {
        faults.clear_all();
    }
    if let Some(proxy) = proxy {
        proxy.heal().await.unwrap();
        // What was swallowed left its connections amid an answer.
        for node in NODES {
            proxy.cut(node).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_never_come_press_back_within_the_budget_and_cost_nothing() {
    let adjusted =
        |builder: kurier::ProducerBuilder| builder.memory_bytes(SMALL).message_bytes_max(100_000);
    let dispatch = Arc::new(Dispatch::behind_a_proxy(3, adjusted).await);
    let content = "x".repeat(10_000);
    within("the first", dispatch.send("key 0", &content).await.unwrap()).await.unwrap();
    swallow_answers(&*dispatch.cluster, dispatch.proxy.as_ref());
    let enough = CancellationToken::new();
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let (dispatch, enough, content) = (Arc::clone(&dispatch), enough.clone(), content.clone());
        tasks.spawn(async move {
            let key = format!("key {task}");
            while !enough.is_cancelled() {
                drop(dispatch.send(&key, &content).await.unwrap());
            }
        });
    }
    let message = Message::new(&*content).unwrap().with_key("key 0");
    // What DELIVERY and the options' documentation count for each: its bytes and 512.
    let cost = message.to_json().unwrap().len() + "key 0".len() + 512;
    let room = (SMALL / cost) as u64;
    until("a full memory", || dispatch.books.counts().2 == room).await;
    let full = dispatch.books.counts();
    let begun = Instant::now();
    while begun.elapsed() < STILL {
        assert_eq!(dispatch.books.counts(), full, "over the budget, or an answer came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    heal(&*dispatch.cluster, dispatch.proxy.as_ref()).await;
    until("the way on", || full.1 + 2 * room < dispatch.books.counts().1).await;
    enough.cancel();
    within("the senders", tasks.join_all()).await;
    let dispatch = Arc::into_inner(dispatch).unwrap();
    let figures = format!("{room} messages of {cost} bytes fill {SMALL} for {STILL:?}");
    let (verdict, _) = dispatch.finish(&figures).await;
    assert_eq!((verdict.failed, again_or_out_of_order(&verdict)), (0, 0), "{verdict}");
}

/// The control: a client without this budget takes more from whoever sends, and makes nobody wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_budget_more_is_taken_while_no_answer_comes() {
    let dispatch = Dispatch::behind_a_proxy(3, |builder| builder).await;
    let client = careless(&dispatch.bootstrap(), &[("enable.idempotence", "true")]);
    swallow_answers(&*dispatch.cluster, dispatch.proxy.as_ref());
    let content = "x".repeat(10_000);
    let record = || FutureRecord::<(), _>::to(TOPIC).payload(&content);
    let taken = (0..1_000).filter(|_| client.send_result(record()).is_ok()).count();
    eprintln!("control: {} bytes taken at once", taken * content.len());
    assert!(SMALL < taken * content.len(), "only {taken} messages were taken");
}

/// A process, so that its memory is its own; with the default budget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_whose_answers_never_come_stops_reading_and_does_not_grow() {
    const LINES: usize = 30_000;
    const LINE: usize = 10_000;
    const BUDGET: usize = 192 << 20;
    let dispatch = Dispatch::behind_a_proxy(1, |builder| builder).await;
    let proxy = dispatch.proxy.as_ref();
    swallow_answers(&*dispatch.cluster, proxy);
    let mut kurier =
        Kurier::telling(&dispatch.bootstrap(), &["produce", TOPIC, "--input", "raw"], drop)
            .unwrap();
    let mut input = kurier.input().unwrap();
    let read = Arc::new(AtomicUsize::new(0));
    let reading = Arc::clone(&read);
    let feeding = tokio::task::spawn_blocking(move || {
        let line = "x".repeat(LINE - 1) + "\n";
        for _ in 0..LINES {
            input.write_all(line.as_bytes()).unwrap();
            reading.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut last = (0, Instant::now());
    until("a full memory", || {
        let now = read.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
        }
        0 < now && Duration::from_secs(2) < last.1.elapsed()
    })
    .await;
    kurier.runs().unwrap();
    let (taken, held) = (read.load(Ordering::Relaxed), kurier.resident_bytes().unwrap());
    // Lines that were read and wait for room, and what the pipe holds, come on top: less than 1 MiB.
    assert!(taken <= BUDGET / (LINE - 1 + 512) + (1 << 20) / LINE, "{taken} lines");
    let (begun, mut most) = (Instant::now(), held);
    while begun.elapsed() < STILL {
        most = most.max(kurier.resident_bytes().unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(read.load(Ordering::Relaxed), taken, "it went on reading");
    eprintln!(
        "{:?}: {taken} lines taken, {} MiB held, at most {} MiB {STILL:?} later",
        dispatch.cluster.kind(),
        held >> 20,
        most >> 20
    );
    assert!(most <= held + (8 << 20), "it grows: {held}, then {most}");
    assert!(most <= BUDGET + BUDGET / 3 + (64 << 20), "more than its budget: {most}");
    heal(&*dispatch.cluster, proxy).await;
    within("the rest of the lines", feeding).await.unwrap();
    let ended = within("the end", kurier.wait()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.talk);
    let admin = admin(dispatch.cluster.bootstrap()).unwrap();
    let ends = within("watermarks", admin.watermarks(TOPIC)).await.unwrap();
    admin.close().await;
    let written: i64 = ends.values().map(|found| found.end.0 - found.earliest.0).sum();
    assert_eq!(written, LINES as i64, "every line once");
}
