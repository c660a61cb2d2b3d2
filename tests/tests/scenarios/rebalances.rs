//! Partitions that move from member to member, are lost, are too few, or move all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kurier::{Context, OffenceKind};
use kurier_broker::{Api, Fault, FaultAction, FaultHandle};
use kurier_tests::binary::Kurier;
use kurier_tests::churn::members_come_and_go;
use kurier_tests::cluster::cluster;
use kurier_tests::follow::Follower;
use kurier_tests::process::Signal;
use kurier_tests::scene::{Given, Scene, TOPIC, Watched, take};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Message as _, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use crate::dispatch::NO_FAULTS;
use crate::{until, within};

/// Handlers are at work whenever partitions move, and only a revoke commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_partition_is_drained_and_the_next_owner_begins_exactly_there() {
    // At work for forty seconds, if partitions take so long to move.
    const EACH: i64 = 200;
    let scene = Scene::set("drained", 4).await;
    scene.fill(0..4, 200).await;
    let moved_on = Arc::<AtomicBool>::default();
    let slow = |name| {
        let mut builder = scene.member(name);
        builder.config_mut().commit_interval = Duration::from_secs(3_600);
        let moved_on = Arc::clone(&moved_on);
        scene.run(builder, move |_: Given, _: Context| {
            let hurries = moved_on.load(Ordering::Relaxed);
            async move {
                if !hurries {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Ok(())
            }
        })
    };
    let first = slow("1");
    until("the first begins", || (0..4).all(|at| 2 <= first.diary.handled(at).len())).await;
    assert_eq!(scene.committed().await, BTreeMap::new(), "it is not time yet");
    let second = slow("2");
    until("two have moved", || second.diary.owned().is_some_and(|owned| owned.len() == 2)).await;
    let moved = second.diary.owned().unwrap();
    for &at in &moved {
        let drained = first.diary.handled(at).last().unwrap() + 1;
        assert_eq!(first.diary.committed(at), [drained], "drained, then committed, once");
    }
    until("the second begins", || moved.iter().all(|at| !second.diary.begun(*at).is_empty())).await;
    moved_on.store(true, Ordering::Relaxed);
    let (diary, report) = (first.diary.clone(), first.stop().await);
    assert_eq!((report.handled_too_late, report.outstanding), (0, 0));
    let done = |at| diary.handled(at).len() + second.diary.handled(at).len() == 200;
    until("the second does the rest", || (0..4).all(done)).await;
    let both = second.diary.clone();
    second.stop().await;
    for at in 0..4 {
        let all = [diary.handled(at), both.handled(at)].concat();
        assert_eq!(all, (0..EACH).collect::<Vec<_>>(), "partition {at}: each once, in order");
    }
    scene.judge(&format!("{} moved while at work, each offset once", moved.len())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_partitions_takes_over_when_there_are_some() {
    let scene = Scene::set("one-too-many", 2).await;
    let mut members: Vec<Watched> =
        ["1", "2", "3"].iter().map(|name| scene.run(scene.member(name), take)).collect();
    let share = |member: &Watched| member.diary.owned().map(|owned| owned.len());
    let shares = |members: &[Watched]| {
        let mut shares: Vec<_> = members.iter().map(share).collect();
        shares.sort_unstable();
        shares
    };
    until("each has its answer", || shares(&members) == [Some(0), Some(1), Some(1)]).await;
    scene.fill(0..2, 10).await;
    scene.until_committed(&BTreeMap::from([(0, 10), (1, 10)])).await;

    let busy = members.iter().position(|member| share(member) == Some(1)).unwrap();
    members.remove(busy).stop().await;
    until("the idle one takes over", || shares(&members) == [Some(1), Some(1)]).await;
    scene.fill(0..2, 10).await;
    scene.until_committed(&BTreeMap::from([(0, 20), (1, 20)])).await;
    let mut handled = Vec::new();
    for member in members {
        handled.push(member.stop().await.handled);
    }
    scene.judge(&format!("2 partitions, 3 members, then 2: they handled {handled:?}")).await;
}

/// A process that was frozen longer than its session wakes up believing that it owns what others have
/// been given, with a hundred handled messages to commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_away_too_long_commits_nothing_of_what_it_lost() {
    let scene = Scene::set("frozen", 3).await;
    scene.fill(0..3, 100).await;
    let mut args = vec!["-v", "consume", "single", TOPIC, "--group", &scene.group];
    args.extend(["--instance", "frozen", "--commit-interval", "1h"]);
    for set in ["session.timeout.ms=6000", "heartbeat.interval.ms=300", "max.poll.interval.ms=6000"]
    {
        args.extend(["-X", set]);
    }
    let follower = Follower::new(&scene.books, &scene.group, "frozen");
    let mut frozen = Kurier::start(scene.bootstrap(), &args).unwrap();
    frozen.wait_for_lines(300).await.unwrap();
    assert_eq!(scene.committed().await, BTreeMap::new(), "it is not time yet");
    frozen.signal(Signal::Freeze).unwrap();

    let may = CancellationToken::new();
    let gate = may.clone();
    let mut builder = scene.member("awake");
    builder.config_mut().drain_deadline = Some(Duration::from_millis(300));
    let awake = scene.run(builder, move |_: Given, _: Context| {
        let gate = gate.clone();
        async move {
            gate.cancelled().await;
            Ok(())
        }
    });
    until("the others take over", || (0..3).all(|at| awake.diary.begun(at) == [(0, 1)])).await;
    frozen.signal(Signal::Thaw).unwrap();
    // It joins again, and is given one partition: by then it has dealt with what it had lost.
    until("it is back", || awake.diary.taken_away() == 1).await;
    assert!(frozen.talk().contains("lost"), "{}", frozen.talk());
    let stored = scene.committed().await;
    assert_eq!(stored, BTreeMap::new(), "nobody has committed: {}", frozen.talk());

    may.cancel();
    let kept: BTreeSet<i32> = awake.diary.owned().unwrap().into_iter().collect();
    frozen.wait_for_lines(400).await.unwrap();
    let all = |at: &i32| awake.diary.handled(*at).last() == Some(&99);
    until("the rest is handled", || kept.iter().all(all)).await;
    awake.stop().await;
    let ended = frozen.stop().await.unwrap();
    // What it had handled and could not commit, others have done since: nothing of it is left undone.
    assert_eq!(ended.status.code(), Some(143), "{}", ended.talk);
    assert!(ended.talk.contains("taken away before"), "{}", ended.talk);
    follower.end(&ended.lines).unwrap();
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 100), (1, 100), (2, 100)]));
    scene.judge("300 handled and lost, 0 of them committed, all came again").await;
}

/// Guests come and go while one member hears `late` after each question where its partitions begin.
/// Nothing may be handled twice: what is given away is committed first.
async fn begins_late(late: Duration) {
    let cluster = cluster().await.unwrap();
    let Some(faults) = cluster.faults() else { return crate::not_run(NO_FAULTS) };
    let scene = Scene::on(cluster, "begins-late", 4).await;
    let slow = Fault::on(Api::ListOffsets).client("begins-late-steady");
    let slow = faults.add(slow, FaultAction::Delay(late)).unwrap();
    let owns = |member: &Watched, count| member.diary.owned().is_some_and(|all| all.len() == count);
    let steady = scene.run(scene.member("steady"), take);
    until("the first has all", || owns(&steady, 4)).await;
    let mut sent = 0;
    for number in 0..4 {
        let guest = scene.run(scene.member(&format!("guest-{number}")), take);
        until("the guest has its half", || owns(&guest, 2)).await;
        for _ in 0..2 {
            scene.fill(0..4, 1).await;
            sent += 4;
            until("all is handled", || scene.books.handled_by(&scene.group) == sent).await;
        }
        guest.stop().await;
        until("all come back", || owns(&steady, 4)).await;
    }
    steady.stop().await;
    let figures = format!("4 guests, beginnings told {late:?} late, {} times", slow.fired());
    let verdict = scene.judge(&figures).await;
    assert_eq!(verdict.count(OffenceKind::HandledAgain), 0, "{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_answer_of_where_partitions_begin_takes_no_member_back() {
    let late = [200, 400, 600, 1_000].map(Duration::from_millis);
    tokio::join!(
        begins_late(late[0]),
        begins_late(late[1]),
        begins_late(late[2]),
        begins_late(late[3]),
    );
}

/// The control: librdkafka alone asks where its partition begins. Paused and resumed meanwhile, as in a
/// rebalance, it is told twice, and 500 ms later asks once more; paused and resumed again, having read the
/// only message, it reads it again. On a busy machine it may be paused too late, and is tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_late_answer_of_where_a_partition_begins_takes_librdkafka_back() {
    let cluster = cluster().await.unwrap();
    let Some(faults) = cluster.faults() else { return crate::not_run(NO_FAULTS) };
    let scene = Scene::on(cluster, "taken-back", 1).await;
    scene.fill([0], 1).await;
    let slow = Fault::on(Api::ListOffsets).client("alone");
    let slow = faults.add(slow, FaultAction::Delay(Duration::from_millis(300))).unwrap();
    let bootstrap = scene.bootstrap().to_owned();
    let given =
        move || (0..20).map(|_| given_alone(&bootstrap, &slow)).find(|given| 1 < given.len());
    let given = within("librdkafka", tokio::task::spawn_blocking(given)).await.unwrap();
    assert_eq!(given, Some(vec![0, 0]), "never the same one twice");
}

/// The offsets that librdkafka alone gives within a few seconds, up to two, of a partition with one message.
fn given_alone(bootstrap: &str, asked: &FaultHandle) -> Vec<i64> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "alone")
        .set("group.id", "alone")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut partition = TopicPartitionList::new();
    partition.add_partition(TOPIC, 0);
    let before = asked.fired();
    consumer.assign(&partition).unwrap();
    while asked.fired() == before {
        assert!(consumer.poll(Duration::from_millis(5)).is_none());
    }
    let read_on = || {
        consumer.pause(&partition).unwrap();
        consumer.resume(&partition).unwrap();
        consumer.poll(Duration::from_secs(3))
    };
    let mut given = Vec::new();
    while given.len() < 2
        && let Some(message) = read_on()
    {
        given.push(message.unwrap().offset());
    }
    given
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_partition_falls_silent_through_twenty_rebalances() {
    members_come_and_go("come-and-go", 40, 20).await;
    crate::not_run(
        "more than twenty: cargo test -p kurier-tests --test long goes through a thousand of 400 partitions",
    );
}
