//! What is committed, and when: never past a message that waits, and always one past the last handled.

use std::collections::BTreeMap;
use std::time::Duration;

use kurier::{ConsumerEvent, Context, Ended, Failure, OffenceKind, Offset, RetryPolicy, StartFrom};
use kurier_broker::{Api, Fault, FaultAction, ResponseError};
use kurier_tests::cluster::admin;
use kurier_tests::scene::{Given, Scene, TOPIC, at, place, take};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::dispatch::NO_FAULTS;
use crate::{until, within};

const EVERY: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3_600);

fn twice() -> RetryPolicy {
    RetryPolicy::exponential(2, Duration::from_millis(5)..=Duration::from_millis(10))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_message_holds_the_commit_back_though_later_ones_succeed() {
    let scene = Scene::set("held-back-in-a-batch", 1).await;
    scene.fill([0], 20).await;
    let builder = scene.batch_member("1").batch(20, Duration::from_secs(1)).retry(&twice());
    let first = scene.run_batches(builder.exit_at_end(true), |message, _| match place(message) {
        (_, 7) => Err(Failure::from("not this one")),
        _ => Ok(()),
    });
    let diary = first.diary.clone();
    let report = first.end().await;
    assert_eq!(report.stopped.iter().map(|it| it.offset.0).collect::<Vec<_>>(), [7]);
    let handled = diary.handled(0);
    assert!(handled.iter().any(|offset| 7 < *offset), "later ones succeeded: {handled:?}");
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 7)]));
    assert!(diary.committed(0).iter().all(|position| *position <= 7), "at no moment beyond it");

    let second = scene.run(scene.member("2").exit_at_end(true), take);
    let again = second.diary.clone();
    assert_eq!(second.end().await.ended, Ended::AtEnd);
    assert_eq!(again.handled(0), (7..20).collect::<Vec<_>>(), "it comes again, and what follows");
    let figures = format!("committed 7 with {} handled, then 13", handled.len());
    scene.judge_but_for(&[OffenceKind::HandledOutOfOrder], &figures).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_retried_holds_the_commit_at_itself() {
    let scene = Scene::set("held-back-while-retried", 2).await;
    scene.fill(0..2, 20).await;
    let first = scene.run(scene.member("1"), |message: Given, _: Context| async move {
        match place(&message) {
            (0, 7) => Err(Failure::retry_after(HOUR, "not yet")),
            _ => Ok(()),
        }
    });
    scene.until_committed(&BTreeMap::from([(0, 7), (1, 20)])).await;
    let diary = first.diary.clone();
    first.stop().await;
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 7), (1, 20)]), "nor by its end");
    assert_eq!(diary.begun(0).last(), Some(&(7, 1)));

    let second = scene.run(scene.member("2").exit_at_end(true), take);
    let again = second.diary.clone();
    second.end().await;
    assert_eq!((again.handled(0), again.handled(1)), ((7..20).collect(), Vec::new()));
    scene.judge("committed 7 and 20, then 13 and none").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_one_past_the_last_handled_whatever_brings_it_about() {
    let scene = Scene::set("one-past", 2).await;
    scene.fill(0..2, 10).await;
    // By the clock: both wait at 5, so 0 to 4 are handled.
    let first = scene.run(scene.member("1"), |message: Given, _: Context| async move {
        if message.offset().0 == 5 {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    scene.until_committed(&BTreeMap::from([(0, 5), (1, 5)])).await;
    drop(first);

    // By a revoke, and by nothing else: the clock is an hour away.
    let unhurried = |name| {
        let mut builder = scene.member(name);
        builder.config_mut().commit_interval = HOUR;
        builder
    };
    let second = scene.run(unhurried("2"), take);
    let both_done = || (0..2).all(|number| second.diary.handled(number).last() == Some(&9));
    until("the rest is handled", both_done).await;
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 5), (1, 5)]), "it is not time yet");
    let third = scene.run(unhurried("3"), take);
    until("one has moved", || third.diary.owned().is_some_and(|owned| owned.len() == 1)).await;
    let moved = third.diary.owned().unwrap()[0];
    let (kept, by_revoke) = (1 - moved, scene.committed().await);
    assert_eq!(by_revoke, BTreeMap::from([(moved, 10), (kept, 5)]));

    // By a shutdown.
    scene.fill([kept], 3).await;
    until("three more", || second.diary.handled(kept).last() == Some(&12)).await;
    second.stop().await;
    assert_eq!(scene.committed().await, BTreeMap::from([(moved, 10), (kept, 13)]));

    // By the end of the topic.
    third.stop().await;
    scene.fill(0..2, 2).await;
    let last = scene.run(unhurried("4").exit_at_end(true), take);
    assert_eq!(last.end().await.ended, Ended::AtEnd);
    assert_eq!(scene.committed().await, BTreeMap::from([(moved, 12), (kept, 15)]));
    scene.judge("clock 5 and 5, revoke 10, shutdown 13, end 12 and 15").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_wait_for_a_coordinator_that_died_and_are_stored_by_the_next() {
    let scene = Scene::set("orphans", 3).await;
    scene.fill(0..3, 10).await;
    let member = scene.run(scene.member("1"), take);
    scene.until_committed(&BTreeMap::from([(0, 10), (1, 10), (2, 10)])).await;

    let asking = admin(scene.bootstrap()).unwrap();
    let group = within("the group", asking.describe_group(&scene.group)).await.unwrap();
    asking.close().await;
    let coordinator = group.coordinator.unwrap().id;
    scene.cluster.kill(coordinator).await.unwrap();
    within("filling", scene.fill(0..3, 10)).await;
    scene.until_committed(&BTreeMap::from([(0, 20), (1, 20), (2, 20)])).await;
    scene.cluster.start(coordinator).await.unwrap();
    let failed = member.diary.picked(|event| match event {
        ConsumerEvent::CommitFailed { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    let report = member.stop().await;
    assert_eq!(report.uncommitted.len(), 0, "{report:?}");
    scene.judge(&format!("node {coordinator} killed, {} commits failed", failed.len())).await;
}

/// Where a new group begins at the end, nobody finds that place again: it is stored before a message is handed out, and
/// the run that has found it remembers it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_group_begins_is_stored_before_anything_is_handled_and_outlives_a_share_that_is_lost()
 {
    let scene = Scene::set("begins-at-the-end", 1).await;
    let Some(faults) = scene.cluster.faults() else { return crate::not_run(NO_FAULTS) };
    let not_ready = FaultAction::Error(ResponseError::CoordinatorNotAvailable);
    let commits = faults.add(Fault::on(Api::OffsetCommit), not_ready).unwrap();
    let mut builder = scene.member("1").from(StartFrom::Latest);
    builder.config_mut().commit_interval = HOUR;
    let member = scene.run(builder, |_: Given, _: Context| async {
        tokio::time::sleep(EVERY).await;
        Ok(())
    });
    let diary = member.diary.clone();
    within("a commit of where it begins", commits.reached(1)).await;
    scene.fill([0], 50).await;
    let unknown = FaultAction::Error(ResponseError::UnknownMemberId);
    faults.add(Fault::on(Api::Heartbeat).times(1), unknown).unwrap();
    let turns = || {
        diary.picked(|event| match event {
            ConsumerEvent::Lost { .. } => Some("lost"),
            ConsumerEvent::Assigned { partitions, .. } if !partitions.is_empty() => Some("given"),
            _ => None,
        })
    };
    until("its share is lost, and given back", || turns() == ["given", "lost", "given"]).await;
    let early = diary.begun(0);
    commits.clear();
    scene.fill([0], 1).await;
    until("the last one is handled", || diary.handled(0).last() == Some(&50)).await;
    member.stop().await;
    scene.judge(&format!("{} commits of where it begins were refused", commits.fired())).await;
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 51)]));
    assert_eq!(early, [], "these were handled before the group knew where it begins");
}

/// The control: librdkafka's own automatic commit, which stores an offset when its message is handed
/// out, and a reader that dies with the messages in its hands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_an_automatic_commit_of_what_was_handed_out_loses() {
    let scene = Scene::set("handed-out", 1).await;
    scene.fill([0], 100).await;
    let careless: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", scene.bootstrap())
        .set("group.id", &scene.group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "100")
        .create()
        .unwrap();
    careless.subscribe(&[TOPIC]).unwrap();
    let handed_out = tokio::task::spawn_blocking(move || {
        let mut handed_out = 0;
        while handed_out < 50 {
            handed_out += usize::from(matches!(careless.poll(EVERY), Some(Ok(_))));
        }
        careless
    });
    let careless = within("fifty messages", handed_out).await.unwrap();
    scene.until_committed(&BTreeMap::from([(0, 50)])).await;
    scene.books.committed(&scene.group, "careless", &at(0), Offset(50));
    // None of the fifty was handled. Its end takes what it had fetched besides out of its queue, and
    // commits that too.
    tokio::task::spawn_blocking(move || drop(careless)).await.unwrap();

    let rest = scene.run(scene.member("2").exit_at_end(true), take);
    let handled = rest.end().await.handled;
    let lost = [OffenceKind::Unhandled, OffenceKind::CommitAhead];
    let figures = format!("control: committed as handed out, {handled} of 100 handled");
    let verdict = scene.judge_but_for(&lost, &figures).await;
    assert!(50 <= verdict.unhandled() && 0 < verdict.commits_ahead(), "{verdict}");
    assert_eq!(verdict.unhandled() + handled, 100, "{verdict}");
}
