//! A rolling restart under load: each of six instances ends and is started again, one after another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kurier::{ConsumerEvent, Judgement};
use kurier_tests::audit;
use kurier_tests::books::Books;
use kurier_tests::cluster::{cluster, create_topic};
use kurier_tests::fleet::{Fleet, Home, MemberKind};
use kurier_tests::scene::{Diary, Scene, TOPIC, Watched, take};
use kurier_tests::senders::Sending;

use crate::until;

const INSTANCES: usize = 6;
const PARTITIONS: u32 = 12;
/// Messages that are handled between one restart and the next.
const BETWEEN: u64 = 300;
/// Without a turn for so long, a rebalance is over: members ask for theirs at each heartbeat.
const QUIET: Duration = Duration::from_secs(3);
/// Each restart is a leave and a join, each is at most two generations of a cooperative group (one takes
/// partitions away, the next gives them out), and each generation is one answer for each member.
const TURNS_MAX: usize = INSTANCES * 2 * 2 * INSTANCES;

fn load() -> Sending {
    Sending { rate: 400, ..Sending::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_handles_everything_and_is_no_storm_of_rebalances() {
    let scene = Scene::set("rolling", PARTITIONS).await;
    let start = |number: usize| scene.run(scene.member(&format!("instance-{number}")), take);
    let mut members: Vec<Watched> = (0..INSTANCES).map(start).collect();
    let mut diaries: Vec<_> = members.iter().map(|member| Arc::clone(&member.diary)).collect();
    until("each has its share", || is_shared(&members)).await;
    let senders = load().start(scene.bootstrap(), TOPIC, &scene.books).await.unwrap();
    goes_on(&scene).await;

    let (before, begun) = (turns(&diaries), Instant::now());
    for number in 0..INSTANCES {
        members.remove(0).stop().await;
        let again = start(number);
        diaries.push(Arc::clone(&again.diary));
        members.push(again);
        until("each has its share again", || is_shared(&members)).await;
        goes_on(&scene).await;
    }
    let took = begun.elapsed();
    let mut last = (turns(&diaries), Instant::now());
    until("no more turns", || {
        if turns(&diaries) != last.0 {
            last = (turns(&diaries), Instant::now());
        }
        QUIET < last.1.elapsed()
    })
    .await;
    let rolled = turns(&diaries) - before;
    goes_on(&scene).await;
    assert_eq!(turns(&diaries) - before, rolled, "it is over when the last one is back");
    assert!(rolled <= TURNS_MAX, "{rolled} turns of members, {TURNS_MAX} would be the most");

    senders.finish().await.unwrap();
    until("all is handled", || scene.books.is_complete()).await;
    for member in members {
        member.stop().await;
    }
    let open: u64 = diaries.iter().map(|diary| uncommitted(diary)).sum();
    let figures = format!(
        "6 instances restarted in {took:.1?}, {rolled} turns of members (at most {TURNS_MAX}), at most {open} to come again"
    );
    let verdict = scene.judge(&figures).await;
    let again = verdict.groups[0].duplicates;
    assert!(again <= open, "{again} came again, and {open} were not committed: {verdict}");
}

/// Waits until more is handled.
async fn goes_on(scene: &Scene) {
    let enough = scene.books.handled_by(&scene.group) + BETWEEN;
    until("the load goes on", || enough <= scene.books.handled_by(&scene.group)).await;
}

fn is_shared(members: &[Watched]) -> bool {
    let shares: Vec<_> = members.iter().filter_map(|member| member.diary.owned()).collect();
    let all: BTreeSet<_> = shares.iter().flatten().collect();
    all.len() == PARTITIONS as usize
        && shares.len() == INSTANCES
        && shares.iter().all(|share| share.len() == PARTITIONS as usize / INSTANCES)
}

/// How often members were given partitions, or some were taken away.
fn turns(diaries: &[Arc<Diary>]) -> usize {
    let turn = |event: &ConsumerEvent| match event {
        ConsumerEvent::Assigned { .. }
        | ConsumerEvent::Revoked { .. }
        | ConsumerEvent::Lost { .. } => Some(()),
        _ => None,
    };
    diaries.iter().map(|diary| diary.picked(turn).len()).sum()
}

/// What a member had handled and not committed whenever a partition was taken away, and in the end: all
/// that others can be given again.
fn uncommitted(diary: &Diary) -> u64 {
    let (mut spans, mut sum) = (BTreeMap::new(), 0);
    for event in diary.picked(|event| Some(event.clone())) {
        match event {
            ConsumerEvent::Handled { partition, offset, .. } => {
                let (_, next) = spans.entry(partition).or_insert((offset.0, offset.0));
                *next = offset.0 + 1;
            }
            ConsumerEvent::Committed { partition, offset } => {
                let (stored, _) = spans.entry(partition).or_insert((offset.0, offset.0));
                *stored = offset.0;
            }
            ConsumerEvent::Revoked { partitions, .. } | ConsumerEvent::Lost { partitions, .. } => {
                sum +=
                    partitions.iter().filter_map(|one| spans.remove(one)).map(length).sum::<u64>();
            }
            ConsumerEvent::HandledTooLate { .. } => sum += 1,
            _ => {}
        }
    }
    sum + spans.into_values().map(length).sum::<u64>()
}

fn length((stored, next): (i64, i64)) -> u64 {
    u64::try_from(next - stored).unwrap_or_default()
}

/// How an instance goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    Stopped,
    Killed,
}

/// Restarts the first `count` of six `kurier consume batch` under load.
async fn roll(group: &str, goes: Goes, count: usize) -> Judgement {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, PARTITIONS).await.unwrap();
    let (bootstrap, books) = (cluster.bootstrap(), Arc::new(Books::new(&[group])));
    let fleet = Fleet::new(bootstrap, TOPIC, group, &books);
    let mut fleet = fleet.kind(MemberKind::Batch).home(Home::Process);
    if goes == Goes::Killed {
        // Else it may die just after a commit.
        fleet = fleet.commits_late();
    }
    fleet.start_many(INSTANCES).unwrap();
    fleet.wait_until_shared(PARTITIONS as usize).await.unwrap();
    let senders = load().start(bootstrap, TOPIC, &books).await.unwrap();
    fleet.wait_until_handled(BETWEEN).await.unwrap();
    let begun = Instant::now();
    for name in fleet.members().into_iter().take(count) {
        match goes {
            Goes::Stopped => fleet.stop(&name).await.unwrap(),
            Goes::Killed => fleet.kill(&name).await.unwrap(),
        }
        fleet.start().unwrap();
        fleet.wait_until_shared(PARTITIONS as usize).await.unwrap();
        fleet.wait_until_handled(books.handled_by(group) + BETWEEN).await.unwrap();
    }
    let took = begun.elapsed();
    senders.finish().await.unwrap();
    until("all is handled", || books.is_complete()).await;
    fleet.close().await.unwrap();
    audit::enter(&books, bootstrap, TOPIC).await.unwrap();
    let verdict = books.judge();
    eprintln!(
        "{:?}, {group}: {count} processes {goes:?} and started again in {took:.1?}; {verdict}",
        cluster.kind()
    );
    books.expect_holds(&verdict);
    verdict
}

/// A SIGTERM that ends with code 143 says that nothing is left, so nothing comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_of_processes_repeats_nothing() {
    let verdict = roll("rolling-processes", Goes::Stopped, INSTANCES).await;
    assert_eq!(verdict.groups[0].duplicates, 0, "{verdict}");
}

/// The control: SIGKILL in place of SIGTERM, of one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_killed_process_repeats_what_it_had_not_committed() {
    let verdict = roll("rolling-killed", Goes::Killed, 1).await;
    assert!(0 < verdict.groups[0].duplicates, "this suite sees no repetition: {verdict}");
}
