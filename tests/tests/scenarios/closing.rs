//! Closes that nobody helps: all brokers are dead, the group is in the midst of rebalances, commits fail,
//! or a handler does not come back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kurier::{
    Closed, Condition, ConsumeError, ConsumeReport, ConsumerBuilder, ConsumerEvent, Context, Ended,
    Failure, Message, MessageProducer, NodeId, Offset,
};
use kurier_broker::{Api, Fault, FaultAction, ResponseError};
use kurier_tests::cluster::{NODES, Role, admin, cluster};
use kurier_tests::scene::{Diary, Given, Scene, TOPIC, Watched, at, place, take};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio_util::sync::CancellationToken;

use crate::dispatch::{NO_FAULTS, resume};
use crate::{until, within};

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);
/// How long a close may take.
const DEADLINE: Duration = Duration::from_secs(8);
/// What a busy machine may add to it.
const GRACE: Duration = Duration::from_secs(4);
/// Longer than a member that is given nothing waits for a share.
const EMPTY_HANDED: Duration = Duration::from_secs(5);

/// Commits by no clock, and closes within [`DEADLINE`].
fn unhurried<K, D>(mut builder: ConsumerBuilder<K, D>) -> ConsumerBuilder<K, D> {
    builder.config_mut().commit_interval = HOUR;
    builder.shutdown_deadline(DEADLINE)
}

/// What `closing` comes to, and how long it takes; within its deadline.
async fn in_time<T>(what: &str, closing: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    let ended = within(what, closing).await;
    let took = begun.elapsed();
    assert!(took < DEADLINE + GRACE, "{what} took {took:?}");
    (ended, took)
}

fn positions(report: &ConsumeReport) -> BTreeMap<i32, i64> {
    let numbers = report.uncommitted.iter().map(|(at, Offset(offset))| (at.partition.0, *offset));
    numbers.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_brokers_every_close_is_over_in_time_and_names_what_is_left() {
    let scene = Scene::set("closed-without-brokers", 4).await;
    let single = scene.run(unhurried(scene.member("single")), take);
    let batch = unhurried(scene.batch_member("batch")).batch(10, Duration::from_millis(50));
    let batch = scene.run_batches(batch, |_, _| Ok(()));
    let owns_two = |member: &Watched| member.diary.owned().is_some_and(|owned| owned.len() == 2);
    until("two each", || owns_two(&single) && owns_two(&batch)).await;
    scene.fill(0..4, 10).await;
    until("all is handled", || scene.books.handled_by(&scene.group) == 40).await;
    assert_eq!(scene.committed().await, BTreeMap::new(), "it is not time yet");
    let producer = producer(&scene).await;
    let control = careless(&scene).await;

    for node in NODES {
        scene.cluster.kill(node).await.unwrap();
    }
    scene.books.note("all nodes are dead");
    for number in 0..20 {
        let message = Message::new(number.to_string()).unwrap();
        scene.books.intended(&message).unwrap();
        // Its outcome goes to the books.
        drop(producer.send(TOPIC, &message).await.unwrap());
        scene.books.sent(message.id());
    }
    let (single, batch, sent) = tokio::join!(
        in_time("a single consumer", single.stop_somehow()),
        in_time("a batch consumer", batch.stop_somehow()),
        in_time("a producer", producer.close(DEADLINE)),
    );
    assert_eq!(sent.0.unsent.len(), 20, "{sent:?}");
    let left: BTreeMap<_, _> =
        positions(&single.0).into_iter().chain(positions(&batch.0)).collect();
    assert_eq!(left, (0..4).map(|partition| (partition, 10)).collect(), "{single:?} {batch:?}");
    let hangs = hangs_when_dropped(control).await;
    assert!(hangs, "the control: librdkafka alone is gone in time too");

    within("the start of all nodes", scene.cluster.start_all()).await.unwrap();
    let next = scene.run(scene.member("next").exit_at_end(true), take);
    assert_eq!(next.end().await.handled, 40, "what was not committed comes again");
    scene
        .judge(&format!(
            "single closed in {:.1?} ({:?}), batch in {:.1?} ({:?}), producer in {:.1?} with 20 unsent; control: librdkafka alone was not",
            single.1, single.0.closed, batch.1, batch.0.closed, sent.1
        ))
        .await;
}

/// Drops it on a thread that nothing waits for.
async fn hangs_when_dropped(consumer: BaseConsumer) -> bool {
    let (gone, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        drop(consumer);
        let _ = gone.send(());
    });
    tokio::time::timeout(DEADLINE + GRACE, told).await.is_err()
}

async fn producer(scene: &Scene) -> MessageProducer {
    let books = Arc::clone(&scene.books);
    let settle = move |report: &kurier::DeliveryReport| {
        if let Some(id) = report.id {
            books.settled(id, &report.outcome);
        }
    };
    let builder = MessageProducer::builder(scene.bootstrap()).on_delivery(settle);
    within("a producer", builder.build()).await.unwrap()
}

/// librdkafka's consumer with librdkafka's commits, in a group of its own. It has been given a message.
async fn careless(scene: &Scene) -> BaseConsumer {
    let bootstrap = scene.bootstrap().to_owned();
    let given = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "careless")
            .set("auto.offset.reset", "earliest")
            .set("auto.commit.interval.ms", "3600000")
            .create()
            .unwrap();
        consumer.subscribe(&[TOPIC]).unwrap();
        while !matches!(consumer.poll(Duration::from_millis(100)), Some(Ok(_))) {}
        consumer
    });
    within("the control", given).await.unwrap()
}

/// It has an hour to close; a scenario waits for minutes. There is no group to leave: another member is in
/// its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_member_ends_long_before_its_deadline() {
    let scene = Scene::set("closed-fenced", 1).await;
    let named_alike = || scene.member("x").static_membership(true).shutdown_deadline(HOUR);
    let builder = named_alike();
    let health = builder.health();
    let first = tokio::spawn(builder.run(take, CancellationToken::new()));
    until("the first is ready", || health.now().is_ready()).await;
    let second = scene.run(named_alike(), take);
    let begun = Instant::now();
    let fenced = within("the end of the first", first).await.unwrap().unwrap_err();
    let took = begun.elapsed();
    let ConsumeError::Failed { source, report } = &fenced else { panic!("{fenced:?}") };
    assert!(source.to_string().contains("fenced"), "{source}");
    assert_eq!((report.ended, &report.closed), (Ended::Failed, &Closed::Clean));
    until("the second has its place", || second.diary.owned() == Some(vec![0])).await;
    second.stop().await;
    scene.judge(&format!("{took:.1?} from the second's start to the first's end")).await;
}

/// Each commit of a close is answered with `error`.
async fn commits_fail(group: &str, error: ResponseError) {
    let cluster = cluster().await.unwrap();
    let Some(faults) = cluster.faults() else { return crate::not_run(NO_FAULTS) };
    let scene = Scene::on(cluster, group, 2).await;
    let mut builder = unhurried(scene.member("1"));
    // Long: who takes over before has not waited for it.
    (builder.config_mut().session_timeout, builder.config_mut().poll_interval_max) =
        (MINUTE, MINUTE);
    let first = scene.run(builder, take);
    scene.fill(0..2, 10).await;
    until("all is handled", || scene.books.handled_by(group) == 20).await;
    let fault = faults.add(Fault::on(Api::OffsetCommit), FaultAction::Error(error)).unwrap();
    let diary = Arc::clone(&first.diary);
    let (report, took) = in_time("a close without commits", first.stop_somehow()).await;
    assert_eq!(report.closed, Closed::Clean, "{report:?}");
    assert_eq!(positions(&report), BTreeMap::from([(0, 10), (1, 10)]));
    assert!(0 < fault.fired() && 0 < refusals(&diary), "no commit was refused");
    let (left, until_empty) = in_time("leaving", until_empty(&scene)).await;
    left.unwrap();
    assert_eq!(scene.committed().await, BTreeMap::new());
    faults.clear_all();
    let second = scene.run(scene.member("2").exit_at_end(true), take);
    assert_eq!(second.end().await.handled, 20, "what was not committed comes again");
    let refused = fault.fired();
    scene
        .judge(&format!(
            "{refused} commits answered {error:?}: closed in {took:.1?}, the group empty {until_empty:.1?} later"
        ))
        .await;
}

/// The control: the same close, whose commits are taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_after_a_close_whose_commits_are_taken_nothing_comes_again() {
    let scene = Scene::set("commits-taken", 2).await;
    let first = scene.run(unhurried(scene.member("1")), take);
    scene.fill(0..2, 10).await;
    until("all is handled", || scene.books.handled_by(&scene.group) == 20).await;
    let (report, took) = in_time("a close", first.stop_somehow()).await;
    assert_eq!((positions(&report), report.closed), (BTreeMap::new(), Closed::Clean));
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 10), (1, 10)]));
    let second = scene.run(scene.member("2").exit_at_end(true), take);
    assert_eq!(second.end().await.handled, 0);
    scene.judge(&format!("closed in {took:.1?}, all committed")).await;
}

fn refusals(diary: &Diary) -> usize {
    let failed = |event: &ConsumerEvent| matches!(event, ConsumerEvent::CommitFailed { .. });
    diary.picked(|event| failed(event).then_some(())).len()
}

/// Waits until nobody is in the group.
async fn until_empty(scene: &Scene) -> Result<(), kurier::ClientError> {
    let admin = admin(scene.bootstrap()).unwrap();
    while !admin.describe_group(&scene.group).await?.members.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    admin.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_whose_commits_are_refused_leaves_the_group_and_says_what_is_not_committed() {
    commits_fail("commits-refused", ResponseError::GroupAuthorizationFailed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_whose_group_is_never_ready_for_commits_leaves_all_the_same() {
    commits_fail("commits-not-now", ResponseError::CoordinatorLoadInProgress).await;
}

/// No answer to a commit: the coordinator is frozen; that of the embedded cluster is asked to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_whose_commits_have_no_answer_is_over_in_time_and_says_what_is_not_committed() {
    let scene = Scene::set("commits-unanswered", 2).await;
    let first = scene.run(unhurried(scene.member("1")), take);
    scene.fill(0..2, 10).await;
    until("all is handled", || scene.books.handled_by(&scene.group) == 20).await;
    let silent = silence_coordinator(&scene).await;
    let (report, took) = in_time("a close", first.stop_somehow()).await;
    assert_eq!(positions(&report), BTreeMap::from([(0, 10), (1, 10)]), "{report:?}");
    match silent {
        Some(node) => resume(&*scene.cluster, &[node]).await,
        None => scene.cluster.faults().unwrap().clear_all(),
    }
    let second = scene.run(scene.member("2").exit_at_end(true), take);
    // A commit that lay in a frozen socket may be stored in the end: it was of what is handled.
    let again = second.end().await.handled;
    scene.judge(&format!("closed in {took:.1?} ({:?}), {again} came again", report.closed)).await;
}

/// Which node is frozen, if one is.
async fn silence_coordinator(scene: &Scene) -> Option<NodeId> {
    if let Some(faults) = scene.cluster.faults() {
        faults.add(Fault::on(Api::OffsetCommit), FaultAction::Delay(HOUR)).unwrap();
        return None;
    }
    let role = Role::Coordinator(scene.group.clone());
    let node = role.holder(&*scene.cluster).await.unwrap().unwrap();
    scene.cluster.pause(node).await.unwrap();
    scene.books.note(&format!("node {node} is frozen"));
    Some(node)
}

/// After the session timeout librdkafka gives its share up by itself. Nobody else has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_while_all_brokers_are_away_is_still_left_at_the_end() {
    let scene = Scene::set("lost-without-brokers", 1).await;
    let mut builder = unhurried(scene.member("1"));
    builder.config_mut().session_timeout = Duration::from_secs(6);
    let first = scene.run(builder, take);
    scene.fill(0..1, 10).await;
    until("all is handled", || scene.books.handled_by(&scene.group) == 10).await;
    for node in NODES {
        scene.cluster.kill(node).await.unwrap();
    }
    let diary = Arc::clone(&first.diary);
    let lost = |event: &ConsumerEvent| matches!(event, ConsumerEvent::Lost { .. }).then_some(());
    until("its share is lost", || !diary.picked(lost).is_empty()).await;
    let (report, took) = in_time("a close", first.stop_somehow()).await;
    assert_eq!(positions(&report), BTreeMap::from([(0, 10)]), "{report:?}");
    within("the start of all nodes", scene.cluster.start_all()).await.unwrap();
    let second = scene.run(scene.member("2").exit_at_end(true), take);
    assert_eq!(second.end().await.handled, 10, "what was not committed comes again");
    scene.judge(&format!("closed in {took:.1?} ({:?})", report.closed)).await;
}

/// Nothing comes from brokers that are away: that is no silence to end at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_consumer_does_not_end_while_all_brokers_are_away() {
    const SILENCE: Duration = Duration::from_secs(3);
    let scene = Scene::set("idle-without-brokers", 1).await;
    scene.fill(0..1, 1).await;
    let builder = scene.member("1").idle_exit(SILENCE);
    let health = builder.health();
    let member = scene.run(builder, take);
    scene.until_committed(&BTreeMap::from([(0, 1)])).await;
    for node in NODES {
        scene.cluster.kill(node).await.unwrap();
    }
    let waits = |longer: Duration| {
        health.now().conditions.iter().any(|condition| {
            matches!(condition, Condition::WaitingForCluster { waited, .. } if longer <= *waited)
        })
    };
    until("it has waited for longer", || waits(2 * SILENCE)).await;
    within("the start of all nodes", scene.cluster.start_all()).await.unwrap();
    let report = within("its end", member.end()).await;
    assert_eq!((report.ended, report.handled), (Ended::Idle, 1), "{report:?}");
    scene.judge("ended once brokers had nothing more").await;
}

/// A share that was lost, as librdkafka gives up its own after the session timeout, is no share that was handled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_that_was_lost_is_not_the_end() {
    let scene = Scene::set("lost-is-not-the-end", 2).await;
    scene.fill(0..2, 50).await;
    let mut builder = scene.member("1").exit_at_end(true);
    builder.config_mut().session_timeout = Duration::from_secs(6);
    let health = builder.health();
    let member = scene.run(builder, |_: Given, _: Context| async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        Ok(())
    });
    let diary = Arc::clone(&member.diary);
    until("both are at work", || (0..2).all(|number| !diary.committed(number).is_empty())).await;
    for node in NODES {
        scene.cluster.kill(node).await.unwrap();
    }
    let lost = |event: &ConsumerEvent| matches!(event, ConsumerEvent::Lost { .. }).then_some(());
    until("its share is lost", || !diary.picked(lost).is_empty()).await;
    let waited = || {
        let conditions = health.now().conditions;
        conditions.iter().find_map(|condition| match condition {
            Condition::WaitingForCluster { waited, .. } => Some(*waited),
            _ => None,
        })
    };
    let begun = waited();
    let is_over = || is_closing(&diary);
    until("it has waited for longer", || {
        is_over() || begun.map(|begun| begun + EMPTY_HANDED) < waited()
    })
    .await;
    assert!(!is_over(), "it took the share that was lost for one that is handled");
    let before = diary.handled(0).len() + diary.handled(1).len();
    assert!(before < 100, "nothing was left when its share was lost");
    within("the start of all nodes", scene.cluster.start_all()).await.unwrap();
    let report = within("its end", member.end()).await;
    assert_eq!(report.ended, Ended::AtEnd, "{report:?}");
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 50), (1, 50)]));
    scene.judge(&format!("{before} of 100 handled when the share was lost")).await;
}

fn is_closing(diary: &Diary) -> bool {
    let closing = |event: &ConsumerEvent| matches!(event, ConsumerEvent::Closing).then_some(());
    !diary.picked(closing).is_empty()
}

/// With an eager assignor each rebalance takes everything first, and gives nothing until the last member has come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_that_was_revoked_is_not_the_end_while_another_member_is_late() {
    let scene = Scene::set("revoked-is-not-the-end", 2).await;
    scene.fill(0..2, 50).await;
    let eager = |name| {
        let builder = scene.member(name).property("partition.assignment.strategy", "range");
        builder.exit_at_end(true)
    };
    let slow = |_: Given, _: Context| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(())
    };
    let first = scene.run(eager("1"), slow);
    let diary = Arc::clone(&first.diary);
    until("the first has both", || diary.owned() == Some(vec![0, 1])).await;
    let late = late_member(&scene).await;
    until("the first has one", || diary.owned().is_some_and(|owned| owned.len() == 1)).await;
    let third = scene.run(eager("3"), slow);
    until("all is taken", || diary.owned() == Some(Vec::new())).await;
    let begun = Instant::now();
    until("that was so for longer", || is_closing(&diary) || EMPTY_HANDED < begun.elapsed()).await;
    assert!(!is_closing(&diary), "it took the share that was revoked for one that is handled");
    assert_eq!(diary.owned(), Some(Vec::new()), "the late member was not late");
    let (first, third) = (first.end().await, third.end().await);
    assert_eq!((first.ended, third.ended), (Ended::AtEnd, Ended::AtEnd));
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 50), (1, 50)]));
    std::thread::spawn(move || drop(late));
    let shares = format!("{} and {} handled", first.handled, third.handled);
    scene.judge(&format!("empty-handed for {EMPTY_HANDED:?} and longer, then {shares}")).await;
}

/// A member that has a partition, and does not answer a rebalance, until the group goes on without it.
async fn late_member(scene: &Scene) -> BaseConsumer {
    let (bootstrap, group) = (scene.bootstrap().to_owned(), scene.group.clone());
    let joining = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", group)
            .set("partition.assignment.strategy", "range")
            .set("enable.auto.commit", "false")
            .set("session.timeout.ms", "6000")
            .set("max.poll.interval.ms", "12000")
            .create()
            .unwrap();
        consumer.subscribe(&[TOPIC]).unwrap();
        while consumer.assignment().unwrap().count() == 0 {
            drop(consumer.poll(Duration::from_millis(50)));
        }
        consumer
    });
    within("the late member", joining).await.unwrap()
}

/// The position of a partition that is read to its end is committed though nothing was handled; a close must not wait
/// for brokers because of it, nor say that work is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_brokers_a_close_of_what_handled_nothing_is_over_soon_and_leaves_nothing() {
    const SOON: Duration = Duration::from_secs(12);
    let not_ready = FaultAction::Error(ResponseError::CoordinatorNotAvailable);
    // A commit that was refused, and may be asked again; one that is under way when the brokers die.
    for (case, action) in [("refused", not_ready), ("under-way", FaultAction::Delay(HOUR))] {
        let scene = Scene::set(&format!("nothing-handled-{case}"), 1).await;
        let Some(faults) = scene.cluster.faults() else { return crate::not_run(NO_FAULTS) };
        let commits = faults.add(Fault::on(Api::OffsetCommit), action).unwrap();
        let member = scene.run(scene.member("idle"), take);
        within("a commit of where it begins", commits.reached(1)).await;
        let diary = Arc::clone(&member.diary);
        let is_away = |event: &ConsumerEvent| {
            matches!(event, ConsumerEvent::WaitingForCluster { .. }).then_some(())
        };
        for node in NODES {
            scene.cluster.kill(node).await.unwrap();
        }
        until("it waits for the cluster", || !diary.picked(is_away).is_empty()).await;
        let begun = Instant::now();
        let report = within("the close", member.stop_somehow()).await;
        let took = begun.elapsed();
        eprintln!("{case}: closed in {took:.1?} ({:?})", report.closed);
        assert!(took < SOON, "{case}: {took:?} {report:?}");
        assert_eq!((report.uncommitted.len(), report.outstanding), (0, 0), "{case}: {report:?}");
        assert!(!matches!(report.closed, Closed::LeftBehind { .. }), "{case}: {report:?}");
    }
}

/// In one process five members of a group, each closed and replaced again and again under load; a third
/// of them before it has joined or while it joins, the others soon after a rebalance has reached them.
async fn closes_amid_rebalances(group: &str, each: usize) {
    const AT_ONCE: usize = 5;
    let scene = Arc::new(Scene::set(group, 10).await);
    scene.fill(0..10, 300).await;
    let mut slots = tokio::task::JoinSet::new();
    for slot in 0..AT_ONCE {
        let scene = Arc::clone(&scene);
        slots.spawn(async move {
            let (mut turns, mut longest) = (0, Duration::ZERO);
            for round in 0..each {
                let (moved, took) = one_close(&scene, round * AT_ONCE + slot).await;
                turns += moved;
                longest = longest.max(took);
            }
            (turns, longest)
        });
    }
    let ended = slots.join_all().await;
    let turns: usize = ended.iter().map(|(turns, _)| turns).sum();
    let longest = ended.iter().map(|(_, took)| *took).max().unwrap();
    let count = each * AT_ONCE;
    assert!(count / 3 <= turns, "nothing was in the midst of anything: {turns} turns");
    scene.run(scene.member("last").exit_at_end(true), take).end().await;
    scene
        .judge(&format!("{count} closes amid {turns} turns of members, longest {longest:.1?}"))
        .await;
}

async fn one_close(scene: &Scene, number: usize) -> (usize, Duration) {
    let member = scene.run(scene.member(&number.to_string()), |_: Given, _: Context| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(())
    });
    let diary = Arc::clone(&member.diary);
    if !number.is_multiple_of(3) {
        until("a rebalance", || diary.owned().is_some()).await;
    }
    let moment = u64::try_from(number).unwrap() * 137 % 900;
    tokio::time::sleep(Duration::from_millis(moment)).await;
    let begun = Instant::now();
    member.stop().await;
    let given = |event: &ConsumerEvent| match event {
        ConsumerEvent::Assigned { partitions, .. } => (!partitions.is_empty()).then_some(()),
        ConsumerEvent::Revoked { .. } | ConsumerEvent::Lost { .. } => Some(()),
        _ => None,
    };
    (diary.picked(given).len(), begun.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_closes_amid_rebalances_are_all_clean() {
    closes_amid_rebalances("thirty-closes", 6).await;
}

/// Minutes long: `cargo test -p kurier-tests --test scenarios -- --ignored five_hundred`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; the thirty above are its short form"]
async fn five_hundred_closes_amid_rebalances_are_all_clean() {
    closes_amid_rebalances("five-hundred-closes", 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_amid_a_back_off_does_not_wait_for_it() {
    let scene = Scene::set("closed-amid-a-back-off", 2).await;
    scene.fill(0..2, 10).await;
    let first = scene.run(unhurried(scene.member("1")), |message: Given, _: Context| async move {
        match place(&message) {
            (0, 4) => Err(Failure::retry_after(HOUR, "not yet")),
            _ => Ok(()),
        }
    });
    let waits = |event: &ConsumerEvent| match event {
        ConsumerEvent::Retrying { partition, .. } => Some(partition.clone()),
        _ => None,
    };
    let diary = Arc::clone(&first.diary);
    until("the back-off", || diary.picked(waits) == [at(0)]).await;
    until("the others", || diary.handled(1).len() == 10).await;
    let (report, took) = in_time("a close amid a back-off", first.stop_somehow()).await;
    assert!(took < DEADLINE / 2, "it waited for the back-off: {took:?}");
    assert_eq!((report.closed, report.uncommitted.len()), (Closed::Clean, 0));
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 4), (1, 10)]));
    let second = scene.run(scene.member("2").exit_at_end(true), take);
    assert_eq!(second.end().await.handled, 6, "what waited comes again, and what is behind it");
    scene.judge(&format!("closed in {took:.1?}, 4 and 10 committed")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_amid_a_long_handler_is_over_in_time_and_says_so() {
    let scene = Scene::set("closed-amid-a-handler", 2).await;
    scene.fill(0..2, 10).await;
    let first = scene.run(unhurried(scene.member("1")), |message: Given, _: Context| async move {
        if place(&message) == (0, 4) {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    let diary = Arc::clone(&first.diary);
    until("the long one", || diary.begun(0).len() == 5 && diary.handled(1).len() == 10).await;
    let (report, took) = in_time("a close amid a handler", first.stop_somehow()).await;
    assert_eq!((report.closed, report.outstanding), (Closed::Clean, 1));
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 4), (1, 10)]));
    let second = scene.run(scene.member("2").exit_at_end(true), take);
    assert_eq!(second.end().await.handled, 6, "what was at work comes again");
    scene.judge(&format!("closed in {took:.1?}, 1 outstanding, 4 and 10 committed")).await;
}
