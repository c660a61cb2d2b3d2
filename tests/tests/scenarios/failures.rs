//! Messages that fail: for a while, for longer than the group waits for anything, or for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kurier::{
    ConsumeReport, Context, Ended, Failure, Message, OffenceKind, Received, RetryPolicy,
    StoppedPartition,
};
use kurier_tests::scene::{Answer, Given, Scene, place, take};

use crate::until;

const HOUR: Duration = Duration::from_secs(3_600);
/// What goes wrong in each partition.
const ERROR: i32 = 0;
const PANIC: i32 = 1;
const REJECT: i32 = 2;
const UNREADABLE: i32 = 3;
const FINE: i32 = 4;
/// Where.
const THERE: i64 = 7;
/// What no one can read, and what stands behind it.
const BEHIND: u64 = 13;

fn briefly(attempts: u32) -> RetryPolicy {
    RetryPolicy::exponential(attempts, Duration::from_millis(5)..=Duration::from_millis(20))
}

/// Five partitions, each with another trouble at the same offset.
async fn troubled(group: &str) -> Scene {
    let scene = Scene::set(group, 5).await;
    scene.fill(0..5, 7).await;
    scene.send_bytes(UNREADABLE, "{\"id\": 7, not a message").await;
    scene.fill(0..5, 12).await;
    scene.fill([ERROR, PANIC, REJECT, FINE], 1).await;
    scene
}

fn answer(message: &Received<Message>) -> Answer {
    match place(message) {
        (ERROR, THERE) => Err(Failure::from("no")),
        (PANIC, THERE) => panic!("no"),
        (REJECT, THERE) => Err(Failure::reject("no")),
        _ => Ok(()),
    }
}

/// Where each partition stopped, and after how many attempts.
fn stops(report: &ConsumeReport) -> BTreeMap<i32, (i64, u32)> {
    let stop = |it: &StoppedPartition| (it.partition.partition.0, (it.offset.0, it.attempts));
    report.stopped.iter().map(stop).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_with_a_message_its_partition_stops_there_and_no_other() {
    let scene = troubled("troubled").await;
    let builder = scene.member("1").retry(&briefly(3)).exit_at_end(true);
    let run = scene.run(builder, |message: Given, _: Context| async move { answer(&message) });
    let diary = run.diary.clone();
    let report = run.end().await;
    let wanted = [(ERROR, (7, 3)), (PANIC, (7, 3)), (REJECT, (7, 1)), (UNREADABLE, (7, 0))];
    assert_eq!(stops(&report), BTreeMap::from(wanted));
    let position = |at| (at, if at == FINE { 20 } else { THERE });
    assert_eq!(scene.committed().await, (0..5).map(position).collect());
    for at in [ERROR, PANIC, REJECT, UNREADABLE] {
        assert_eq!(diary.handled(at), (0..THERE).collect::<Vec<_>>(), "partition {at}");
    }
    // Mended, all of it comes but the bytes that no one can read.
    let mended = scene.run(scene.member("2").exit_at_end(true), take);
    assert_eq!(stops(&mended.end().await), BTreeMap::from([(UNREADABLE, (7, 0))]));
    let figures = format!("stopped {:?}", stops(&report));
    let verdict = scene.judge_but_for(&[OffenceKind::Unhandled], &figures).await;
    assert_eq!(verdict.unhandled(), BEHIND, "{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_in_a_batch_its_partition_stops_there_and_no_other() {
    let scene = troubled("troubled-batches").await;
    let builder = scene.batch_member("1").batch(5, Duration::from_secs(1));
    let builder = builder.retry(&briefly(3)).exit_at_end(true);
    let run = scene.run_batches(builder, |message, _| answer(message));
    let report = run.end().await;
    // A panic answers for the whole batch, so for its first message too.
    let wanted = [(ERROR, (7, 3)), (PANIC, (5, 3)), (REJECT, (7, 1)), (UNREADABLE, (7, 0))];
    assert_eq!(stops(&report), BTreeMap::from(wanted));
    let wanted = [(ERROR, 7), (PANIC, 5), (REJECT, 7), (UNREADABLE, 7), (FINE, 20)];
    assert_eq!(scene.committed().await, BTreeMap::from(wanted));
    let mended = scene.run(scene.member("2").exit_at_end(true), take);
    assert_eq!(stops(&mended.end().await), BTreeMap::from([(UNREADABLE, (7, 0))]));
    let figures = format!("stopped {:?}", stops(&report));
    // Of a batch, later messages were answered for before the one that failed.
    let allowed = [OffenceKind::Unhandled, OffenceKind::HandledOutOfOrder];
    let verdict = scene.judge_but_for(&allowed, &figures).await;
    assert_eq!(verdict.unhandled(), BEHIND, "{verdict}");
}

/// Longer than session and poll interval together would bear.
const LONG: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_always_fails_leaves_the_others_flowing_and_the_member_in_its_group() {
    let scene = Scene::set("always-failing", 4).await;
    scene.fill([0], 2_000).await;
    let policy =
        RetryPolicy::exponential(1_000_000, Duration::from_millis(5)..=Duration::from_millis(20));
    let handler = |message: Given, _: Context| async move {
        match place(&message) {
            (0, 3) => Err(Failure::from("never")),
            _ => Ok(()),
        }
    };
    let member = scene.run(scene.member("1").retry(&policy), handler);
    let failing = || member.diary.begun(0).last().is_some_and(|(offset, _)| *offset == 3);
    until("it fails", failing).await;
    let (begun, mut rounds) = (Instant::now(), 0);
    while begun.elapsed() < LONG {
        scene.fill(1..4, 20).await;
        rounds += 1;
        let flows = |at| member.diary.handled(at).len() == rounds * 20;
        until("the others flow", || (1..4).all(flows)).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let all = i64::try_from(rounds * 20).unwrap();
    scene.until_committed(&BTreeMap::from([(0, 3), (1, all), (2, all), (3, all)])).await;
    let (attempts, last) = (member.diary.begun(0).len(), member.diary.begun(0).last().copied());
    assert_eq!(last.map(|(offset, _)| offset), Some(3), "nothing after it was begun");
    assert_eq!(member.diary.taken_away(), 0, "nothing was taken away");
    member.stop().await;
    let rest = scene.run(scene.member("2").exit_at_end(true), take);
    assert_eq!(rest.end().await.handled, 1_997);
    scene.judge(&format!("{attempts} attempts, {all} in each other, 0 taken away")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_longer_than_the_poll_interval_costs_no_rebalance() {
    let scene = Scene::set("long-pause", 2).await;
    scene.fill(0..2, 10).await;
    let handler = |message: Given, context: Context| async move {
        match (place(&message), context.attempt()) {
            ((0, 3), 1) => Err(Failure::retry_after(LONG, "later")),
            _ => Ok(()),
        }
    };
    let begun = Instant::now();
    let member = scene.run(scene.member("1").exit_at_end(true), handler);
    let diary = member.diary.clone();
    let report = member.end().await;
    assert!(LONG < begun.elapsed());
    assert_eq!((report.handled, report.retried, report.ended), (20, 1, Ended::AtEnd));
    assert_eq!(diary.taken_away(), 0, "nothing was taken away");
    assert_eq!(diary.handled(0), (0..10).collect::<Vec<_>>());
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 10), (1, 10)]));
    scene.judge(&format!("paused {LONG:?} with a poll interval of 6 s, 0 taken away")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_whose_retry_waits_goes_to_the_next_owner_and_back_and_is_tried_at_once() {
    let scene = Scene::set("waiting-retry", 2).await;
    scene.fill(0..2, 10).await;
    let mended: [Arc<AtomicBool>; 2] = Default::default();
    let stubborn = || {
        let mended = mended.clone();
        move |message: Given, _: Context| {
            let (partition, offset) = place(&message);
            let mended = mended[usize::from(partition == 1)].load(Ordering::Relaxed);
            let waits = offset == 5 && !mended;
            let answer = if waits { Err(Failure::retry_after(HOUR, "wait")) } else { Ok(()) };
            std::future::ready(answer)
        }
    };
    let first = scene.run(scene.member("1"), stubborn());
    scene.until_committed(&BTreeMap::from([(0, 5), (1, 5)])).await;
    let second = scene.run(scene.member("2"), stubborn());
    let moved = || (0..2).find(|at| !second.diary.begun(*at).is_empty());
    until("one moves", || moved().is_some()).await;
    let (moved, kept) = (moved().unwrap(), 1 - moved().unwrap());
    assert_eq!(second.diary.begun(moved), [(5, 1)], "the next owner tries it at once");

    mended[usize::from(moved == 1)].store(true, Ordering::Relaxed);
    second.stop().await;
    scene.until_committed(&BTreeMap::from([(moved, 10), (kept, 5)])).await;
    let at_five = |at| first.diary.begun(at).iter().filter(|(offset, _)| *offset == 5).count();
    assert_eq!((at_five(moved), at_five(kept)), (2, 1), "what stayed goes on waiting");
    first.stop().await;
    let rest = scene.run(scene.member("3").exit_at_end(true), take);
    let diary = rest.diary.clone();
    rest.end().await;
    assert_eq!(diary.handled(kept), (5..10).collect::<Vec<_>>());
    scene.judge("a retry moved and came back: tried 3 times; the other waited on: once").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_elsewhere_gives_a_failing_message_no_more_attempts() {
    let scene = Scene::set("attempts", 2).await;
    scene.fill([0], 3).await;
    scene.fill([1], 50).await;
    let successes = Arc::new(tokio::sync::Semaphore::new(0));
    let handler = move |message: Given, _: Context| {
        let successes = Arc::clone(&successes);
        async move {
            if place(&message) == (0, 0) {
                // Each attempt sees ten more messages of the other partition succeed.
                successes.acquire_many(10).await.unwrap().forget();
                return Err(Failure::from("no"));
            }
            successes.add_permits(1);
            Ok(())
        }
    };
    let builder = scene.member("1").retry(&briefly(5)).exit_at_end(true);
    let member = scene.run(builder, handler);
    let diary = member.diary.clone();
    let report = member.end().await;
    assert_eq!(diary.begun(0), (1..=5).map(|attempt| (0, attempt)).collect::<Vec<_>>());
    assert_eq!(stops(&report), BTreeMap::from([(0, (0, 5))]));
    assert_eq!(scene.committed().await, BTreeMap::from([(1, 50)]));
    let rest = scene.run(scene.member("2").exit_at_end(true), take);
    assert_eq!(rest.end().await.handled, 3);
    scene.judge("5 attempts, 50 successes beside them").await;
}
