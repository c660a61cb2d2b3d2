//! The topic changes under its readers: it gets partitions, loses what the group's position names, is made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kurier::{Closed, ConsumerEvent, Context, Ended, StartFrom};
use kurier_tests::binary::Kurier;
use kurier_tests::cluster::{add_partitions, admin};
use kurier_tests::follow::Follower;
use kurier_tests::scene::{Diary, Given, Scene, TOPIC, at, take};
use kurier_tests::waits::{until, within};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

fn position(offset: i64) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Offset(offset)).unwrap();
    list
}

/// Commits a position of partition 0 for a group without members, as Kafka's own tool resets it.
async fn commit(scene: &Scene, offset: i64) {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", scene.bootstrap())
        .set("group.id", &scene.group)
        .create()
        .unwrap();
    let commit = move || client.commit(&position(offset), CommitMode::Sync);
    within("a commit", tokio::task::spawn_blocking(commit)).await.unwrap().unwrap();
}

/// Deletes the records of partition 0 below `offset`, as retention does.
async fn delete_below(scene: &Scene, offset: i64) {
    let client: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", scene.bootstrap()).create().unwrap();
    let deleted = client.delete_records(&position(offset), &AdminOptions::new());
    let deleted = within("deleting", deleted).await.unwrap();
    deleted.elements()[0].error().unwrap();
}

/// A `kurier consume` to the end: the offsets it printed, and what it said.
async fn consumed(scene: &Scene) -> (Vec<i64>, String) {
    let args = ["consume", "single", TOPIC, "--group", &scene.group, "--exit-at-end"];
    let follower = Follower::new(&scene.books, &scene.group, "1");
    let run = Kurier::start(scene.bootstrap(), &args).unwrap();
    let ended = within("consuming", run.wait()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.talk);
    follower.end(&ended.lines).unwrap();
    let offsets = ended.lines.iter().map(|line| line["offset"].as_i64().unwrap());
    (offsets.collect(), ended.talk)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_message_of_an_added_partition_is_handled_wherever_the_group_began() {
    let scene = Scene::set("added", 1).await;
    scene.fill([0], 5).await;
    let earliest = scene.run(scene.member("1"), take);
    let builder = scene.member("1").group("added-latest").from(StartFrom::Latest);
    let latest = scene.run(builder, take);
    let began = || earliest.diary.owned().is_some() && latest.diary.owned().is_some();
    until("both begin", || began() && earliest.diary.handled(0).len() == 5).await;

    add_partitions(&*scene.cluster, TOPIC, 2).await.unwrap();
    scene.fill_when_known(1, 3).await;
    let knew = [&earliest, &latest].map(|member| member.diary.owned().unwrap().contains(&1));
    until("they see it", || {
        [&earliest, &latest].iter().all(|member| member.diary.handled(1).len() == 3)
    })
    .await;
    for member in [&earliest, &latest] {
        assert_eq!(member.diary.handled(1), [0, 1, 2]);
    }
    assert_eq!(latest.diary.handled(0), [0; 0], "what was there before is passed over");
    earliest.stop().await;
    latest.stop().await;
    scene.judge(&format!("written before the members knew: {knew:?} knew")).await;
}

/// Nobody of the group has seen the topic without it. What commits say of the group's beginning outlives a run that
/// begins elsewhere, and an operator who moves the group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_message_of_a_partition_that_was_added_while_no_member_ran_is_handled() {
    let scene = Scene::set("added-unseen", 2).await;
    scene.fill([0, 1], 5).await;
    let groups = ["left-alone", "run-from-the-beginning", "moved-by-an-operator"];
    let run = |group, from| scene.run(scene.member("1").group(group).from(from), take);
    let run_until = async |group, from, commits: &[(i32, i64)]| {
        let member = run(group, from);
        scene.until_committed_by(group, &commits.iter().copied().collect()).await;
        let diary = member.diary.clone();
        member.stop().await;
        diary
    };
    for group in groups {
        run_until(group, StartFrom::Latest, &[(0, 5), (1, 5)]).await;
    }
    scene.fill([0, 1], 1).await;
    run_until(groups[1], StartFrom::Earliest, &[(0, 6), (1, 6)]).await;
    let admin = admin(scene.bootstrap()).unwrap();
    let back = BTreeMap::from([(at(0), kurier::Offset(3)), (at(1), kurier::Offset(3))]);
    let moved = within("moving", admin.set_group_offsets(groups[2], &back)).await.unwrap();
    assert!(moved.values().all(Result::is_ok), "{moved:?}");
    admin.close().await;

    add_partitions(&*scene.cluster, TOPIC, 4).await.unwrap();
    scene.fill_when_known(2, 10).await;
    for group in groups {
        let all = [(0, 6), (1, 6), (2, 10)];
        let diary = run_until(group, StartFrom::Latest, &all).await;
        assert_eq!(diary.handled(2), (0..10).collect::<Vec<_>>(), "{group}");
    }
    // They have passed on what they were told.
    add_partitions(&*scene.cluster, TOPIC, 5).await.unwrap();
    scene.fill_when_known(4, 7).await;
    for group in groups {
        let all = [(0, 6), (1, 6), (2, 10), (4, 7)];
        let diary = run_until(group, StartFrom::Latest, &all).await;
        assert_eq!(diary.handled(4), (0..7).collect::<Vec<_>>(), "{group}");
    }
    eprintln!("{:?}, added-unseen: 10 and 7 of the added partitions handled", scene.cluster.kind());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_position_was_deleted_goes_on_at_the_oldest_record_and_says_so() {
    let scene = Scene::set("below-the-log", 1).await;
    scene.fill([0], 60).await;
    commit(&scene, 10).await;
    delete_below(&scene, 50).await;
    let (offsets, talk) = consumed(&scene).await;
    assert_eq!(offsets, (50..60).collect::<Vec<_>>(), "{talk}");
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 60)]));
    assert!(talk.contains("at offset 10"), "it names the position that is gone: {talk}");
    eprintln!("{:?}, below-the-log: committed 10, log 50..60, read 10", scene.cluster.kind());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_position_lies_beyond_the_log_reads_all_of_it_again_and_says_so() {
    let scene = Scene::set("beyond-the-log", 1).await;
    scene.fill([0], 60).await;
    commit(&scene, 500).await;
    let (offsets, talk) = consumed(&scene).await;
    assert_eq!(offsets, (0..60).collect::<Vec<_>>(), "{talk}");
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 60)]));
    assert!(talk.contains("at offset 500"), "it names the position that is not there: {talk}");
    scene.judge("committed 500, log 0..60, read 60").await;
}

/// Offsets of the old topic mean nothing in the new one. Reading is held up for longer than the topic is away, so that it
/// goes on where it stands and not where an empty topic begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_anew_under_its_readers_is_handled_from_its_first_message() {
    const HELD_UP: (&str, &str) = ("fetch.error.backoff.ms", "3000");
    let scene = Scene::set("made-anew", 2).await;
    scene.fill([0, 1], 20).await;
    let single = scene.run(scene.member("1").property(HELD_UP.0, HELD_UP.1), take);
    let batches = scene.batch_member("1").group("made-anew-batches");
    let batches = scene.run_batches(batches.property(HELD_UP.0, HELD_UP.1), |_, _| Ok(()));
    let latest = scene.member("1").group("made-anew-latest").from(StartFrom::Latest);
    let latest = scene.run(latest.property(HELD_UP.0, HELD_UP.1), take);
    let groups = ["made-anew", "made-anew-batches", "made-anew-latest"];
    let all = |each| BTreeMap::from([(0, each), (1, each)]);
    for group in groups {
        scene.until_committed_by(group, &all(20)).await;
    }

    scene.make_topic_anew(2).await;
    scene.fill_when_known(0, 30).await;
    scene.fill_when_known(1, 30).await;
    let new = |diary: &Diary, at, old| BTreeSet::from_iter(diary.handled(at).split_off(old));
    let whole = (0..30).collect::<BTreeSet<i64>>();
    for (member, old) in [(&single, 20), (&batches, 20), (&latest, 0)] {
        let handled = || [0, 1].into_iter().all(|at| new(&member.diary, at, old) == whole);
        until("all of the new topic is handled", handled).await;
    }
    for group in groups {
        scene.until_committed_by(group, &all(30)).await;
    }
    for member in [single, batches, latest] {
        let begun = member.diary.picked(|event| match event {
            ConsumerEvent::TopicReplaced { partition, beginning } => {
                Some((partition.clone(), beginning.0))
            }
            _ => None,
        });
        let begun: BTreeMap<_, _> = begun.into_iter().collect();
        let turns = member.diary.picked(|event| match event {
            ConsumerEvent::Assigned { partitions, .. } => Some(partitions.clone()),
            _ => None,
        });
        for partition in [at(0), at(1)] {
            // A member that saw no such topic for a moment has been given the new one's partitions, and begins as in any.
            let given = turns.iter().filter(|given| given.contains(&partition)).count();
            let says_so = begun.get(&partition) == Some(&0);
            assert!(says_so || 1 < given, "{partition} was given {given} times; {begun:?}");
        }
        assert_eq!(member.stop().await.closed, Closed::Clean);
    }
    eprintln!("{:?}, made-anew: 20 before, 30 after in each partition", scene.cluster.kind());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_librdkafka_alone_passes_over_the_beginning_of_a_topic_made_anew() {
    let scene = Scene::set("made-anew-control", 1).await;
    scene.fill([0], 20).await;
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", scene.bootstrap())
        .set("group.id", &scene.group)
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    client.assign(&position(0)).unwrap();
    let next = |client: BaseConsumer| async {
        let read = tokio::task::spawn_blocking(move || {
            let message = client.poll(Duration::from_secs(60)).unwrap().unwrap();
            let offset = message.offset();
            drop(message);
            (client, offset)
        });
        within("a message", read).await.unwrap()
    };
    let mut client = client;
    for offset in 0..20 {
        let (back, read) = next(client).await;
        assert_eq!(read, offset);
        client = back;
    }
    client.pause(&position(20)).unwrap();
    scene.make_topic_anew(1).await;
    scene.fill_when_known(0, 30).await;
    client.resume(&position(20)).unwrap();
    let (_, read) = next(client).await;
    assert_eq!(read, 20, "the first twenty are never read");
}

/// Retention overtakes a reader that is at work: it misses what is gone, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_deleted_before_a_slow_reader_came_to_them_are_all_that_it_misses() {
    let scene = Scene::set("overtaken", 1).await;
    // Batches of a hundred, of which one is fetched at a time.
    for _ in 0..20 {
        scene.fill([0], 100).await;
    }
    let may = CancellationToken::new();
    let gate = may.clone();
    let builder = scene.member("1").property("queued.min.messages", "1");
    let mut builder = builder.property("max.partition.fetch.bytes", "1000").exit_at_end(true);
    builder.config_mut().lane_messages_max = 1;
    let member = scene.run(builder, move |_: Given, _: Context| {
        let gate = gate.clone();
        async move {
            gate.cancelled().await;
            Ok(())
        }
    });
    until("the first is begun", || !member.diary.begun(0).is_empty()).await;
    delete_below(&scene, 1_500).await;
    may.cancel();
    let diary = member.diary.clone();
    assert_eq!(member.end().await.ended, Ended::AtEnd);
    let handled = diary.handled(0);
    let jump = handled.windows(2).position(|pair| pair[0] + 1 < pair[1]).unwrap();
    let read_ahead = i64::try_from(jump).unwrap();
    assert_eq!(handled[..=jump], (0..=read_ahead).collect::<Vec<_>>());
    assert_eq!(handled[jump + 1..], (1_500..2_000).collect::<Vec<_>>());
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 2_000)]));
    let kind = scene.cluster.kind();
    eprintln!("{kind:?}, overtaken: 0..={read_ahead}, then 1500..2000 of 2000; 1500 deleted");
}

/// The topic is deleted and made anew under a reader: its offsets begin at 0 again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_anew_is_read_from_its_beginning() {
    let scene = Scene::set("made-anew", 1).await;
    scene.fill([0], 50).await;
    let member = scene.run(scene.member("1"), take);
    scene.until_committed(&BTreeMap::from([(0, 50)])).await;
    scene.make_topic_anew(1).await;
    scene.fill_when_known(0, 20).await;
    // Again, where librdkafka has begun with them before the topic's new id is seen.
    let new = || BTreeSet::from_iter(member.diary.handled(0).split_off(50));
    until("the new ones come", || new() == (0..20).collect()).await;
    scene.until_committed(&BTreeMap::from([(0, 20)])).await;
    member.stop().await;
    eprintln!("{:?}, made-anew: 50, then 20 from offset 0", scene.cluster.kind());
}
