//! Messages that can't be handled, with a topic for dead letters: their copies are there before anything is
//! committed past them, whatever happens to the topic or to the process.

use std::collections::BTreeMap;
use std::time::Duration;

use kurier::{
    Condition, ConsumerEvent, Context, DeadLetter, DeadLetterCause, Failure, Headers, Message,
    MessageProducer, NewTopic, NodeId, OffenceKind, Offset, PartitionId, Received, Record,
    RetryPolicy,
};
use kurier_tests::audit;
use kurier_tests::binary::Kurier;
use kurier_tests::cluster::admin;
use kurier_tests::scene::{Answer, Given, Scene, TOPIC, at, place, take};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};

use crate::{until, within};

const LETTERS: &str = "orders.dlq";
const HOUR: &str = "1h";

fn briefly(attempts: u32) -> RetryPolicy {
    RetryPolicy::exponential(attempts, Duration::from_millis(5)..=Duration::from_millis(20))
}

/// Everything in the dead-letter topic, by where it comes from.
async fn letters(scene: &Scene) -> Vec<DeadLetter> {
    let bootstrap = scene.bootstrap().to_owned();
    let found = tokio::task::spawn_blocking(move || audit::read(&bootstrap, LETTERS)).await;
    let letter = |found: audit::Found| {
        let mut headers = Headers::new();
        for (name, value) in found.headers {
            headers.push(name, value.map(Into::into));
        }
        let place = (PartitionId(found.partition), Offset(found.offset));
        let mut record = Record::new(LETTERS, place.0, place.1).with_headers(headers);
        if let Some(key) = found.key {
            record = record.with_key(key);
        }
        if let Some(value) = found.value {
            record = record.with_value(value);
        }
        DeadLetter::read(record).unwrap()
    };
    let mut letters: Vec<DeadLetter> = found.unwrap().unwrap().into_iter().map(letter).collect();
    letters.sort_by(|a, b| (&a.source, a.hops).cmp(&(&b.source, b.hops)));
    letters
}

/// Where letters come from, how often each.
fn sources(letters: &[DeadLetter]) -> BTreeMap<(i32, i64), usize> {
    let mut sources = BTreeMap::new();
    for letter in letters {
        let place = (letter.source.topic_partition.partition.0, letter.source.offset.0);
        *sources.entry(place).or_default() += 1;
    }
    sources
}

/// A dead-letter topic of one partition, with three replicas and these settings.
async fn make_letters(scene: &Scene, settings: &[(&str, &str)]) {
    let admin = admin(scene.bootstrap()).unwrap();
    let mut topic = NewTopic::new(LETTERS).partitions(1).replication(3);
    for (name, value) in settings {
        topic = topic.config(*name, *value);
    }
    within("the topic", admin.create_topic(&topic)).await.unwrap();
    within("its leader", admin.wait_for_topic(LETTERS, Duration::from_secs(60))).await.unwrap();
    admin.close().await;
}

/// The message at this place is rejected.
fn but_for(rejected: (i32, i64)) -> impl Fn(Given, Context) -> std::future::Ready<Answer> {
    move |message, _| {
        let no = place(&message) == rejected;
        std::future::ready(if no { Err(Failure::reject("no such customer")) } else { Ok(()) })
    }
}

/// Five partitions, four of which have a message that can't be handled at offset 7: an error, a panic, a
/// rejection with far too much to say, bytes that are no message.
async fn troubled(group: &str) -> Scene {
    let scene = Scene::set(group, 5).await;
    scene.fill(0..5, 7).await;
    scene.send_bytes(3, "{\"id\": 7, not a message").await;
    scene.fill(0..5, 12).await;
    scene.fill([0, 1, 2, 4], 1).await;
    scene
}

fn answer(message: &Received<Message>) -> Answer {
    match place(message) {
        (0, 7) => Err(Failure::from("no")),
        (1, 7) => panic!("no"),
        (2, 7) => Err(Failure::reject("ж".repeat(500_000))),
        _ => Ok(()),
    }
}

/// Each letter is its message byte for byte, and all four are there.
async fn expect_letters(scene: &Scene, attempts: [u32; 4]) {
    let bootstrap = scene.bootstrap().to_owned();
    let found = tokio::task::spawn_blocking(move || audit::read(&bootstrap, TOPIC)).await;
    let found = found.unwrap().unwrap();
    let letters = letters(scene).await;
    use DeadLetterCause as Cause;
    let causes = [Cause::RetriesExhausted, Cause::Panicked, Cause::Rejected, Cause::Unreadable];
    assert_eq!(letters.len(), 4);
    for (index, letter) in letters.iter().enumerate() {
        let partition = i32::try_from(index).unwrap();
        assert_eq!((&letter.source.topic_partition, letter.source.offset.0), (&at(partition), 7));
        assert_eq!((letter.cause, letter.attempts), (causes[index], attempts[index]));
        assert_eq!((letter.hops, letter.group.as_str()), (1, scene.group.as_str()));
        assert!(letter.error.len() <= 1024, "{} bytes", letter.error.len());
        let original = found.iter().find(|it| (it.partition, it.offset) == (partition, 7)).unwrap();
        let copy = &letter.record;
        assert_eq!(copy.key().map(|key| key.to_vec()), original.key);
        assert_eq!(copy.value().map(|value| value.to_vec()), original.value);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_with_a_message_its_copy_is_in_the_dead_letter_topic() {
    let scene = troubled("letters").await;
    let builder = scene.member("1").retry(&briefly(3)).exit_at_end(true);
    let builder = builder.dead_letter(LETTERS).create_dead_letter(true);
    let run = scene.run(builder, |message: Given, _: Context| async move { answer(&message) });
    let report = run.end().await;
    assert_eq!((report.handled, report.dead_lettered, report.stopped.len()), (96, 4, 0));
    assert_eq!(scene.committed().await, (0..5).map(|at| (at, 20)).collect());
    expect_letters(&scene, [3, 3, 1, 0]).await;
    let admin = admin(scene.bootstrap()).unwrap();
    let made = within("its settings", admin.topic_configs(LETTERS)).await.unwrap();
    let partitions = admin.describe_topic(LETTERS).await.unwrap().partitions;
    admin.close().await;
    let value = |name: &str| made.iter().find(|it| it.name == name).unwrap().value.clone().unwrap();
    assert_eq!(
        (value("retention.ms").as_str(), value("min.insync.replicas").as_str()),
        ("-1", "2")
    );
    assert_eq!((partitions.len(), partitions[0].replicas.len()), (5, 3), "as its source has");
    scene.judge("4 dead letters, 96 handled").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_in_a_batch_only_that_messages_copy_is_in_the_dead_letter_topic() {
    let scene = troubled("letters-batches").await;
    let builder = scene.batch_member("1").batch(5, Duration::from_secs(1));
    let builder = builder.retry(&briefly(3)).exit_at_end(true);
    let builder = builder.dead_letter(LETTERS).create_dead_letter(true);
    let report = scene.run_batches(builder, |message, _| answer(message)).end().await;
    assert_eq!((report.handled, report.dead_lettered, report.stopped.len()), (96, 4, 0));
    assert_eq!(scene.committed().await, (0..5).map(|at| (at, 20)).collect());
    // A panic answers for its whole batch: then each is tried alone once more.
    expect_letters(&scene, [3, 4, 1, 0]).await;
    // Of a batch, later messages were answered for before the one that failed.
    let allowed = [OffenceKind::HandledOutOfOrder];
    scene.judge_but_for(&allowed, "4 dead letters, 96 handled").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_batch_of_a_hundred_two_are_dead_letters_and_the_others_are_handled_once() {
    let scene = Scene::set("letters-46", 1).await;
    scene.fill([0], 100).await;
    let builder = scene.batch_member("1").batch(100, Duration::from_secs(5)).retry(&briefly(2));
    let builder = builder.dead_letter(LETTERS).create_dead_letter(true).exit_at_end(true);
    let run = scene.run_batches(builder, |message, _| match place(message) {
        (_, 3 | 70) => Err(Failure::from("never")),
        _ => Ok(()),
    });
    let diary = run.diary.clone();
    let report = run.end().await;
    assert_eq!((report.handled, report.dead_lettered), (98, 2));
    let mut handled = diary.handled(0);
    handled.sort_unstable();
    assert_eq!(handled, (0..100).filter(|at| ![3, 70].contains(at)).collect::<Vec<_>>());
    // They are written one after another: between the two copies a commit may stand at the second.
    let past: Vec<_> = diary.committed(0).into_iter().filter(|position| 3 < *position).collect();
    assert!(
        [vec![100], vec![70, 100]].contains(&past),
        "past a message without its copy: {past:?}"
    );
    assert_eq!(sources(&letters(&scene).await), BTreeMap::from([((0, 3), 1), ((0, 70), 1)]));
    let allowed = [OffenceKind::HandledOutOfOrder];
    scene.judge_but_for(&allowed, "98 handled, 2 dead letters").await;
}

/// With three in-sync replicas asked for and one node dead, nothing can be written to the dead-letter
/// topic, while the topic that is consumed asks for two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_that_cannot_be_written_holds_its_partition_until_it_can() {
    let scene = Scene::set("letters-wait", 2).await;
    make_letters(&scene, &[("min.insync.replicas", "3")]).await;
    scene.fill(0..2, 10).await;
    within("a death", scene.cluster.kill(NodeId(3))).await.unwrap();
    let builder = scene.member("1").dead_letter(LETTERS);
    let health = builder.health();
    let member = scene.run(builder, but_for((0, 5)));
    let waiting = || {
        let conditions = health.now().conditions;
        conditions.iter().any(|it| matches!(it, Condition::DeadLetterWaiting { letters: 1, .. }))
    };
    until("health says that it waits", waiting).await;
    assert!(health.now().is_live() && !health.now().is_ready(), "{}", health.now());
    let told = || {
        member.diary.picked(|event| match event {
            ConsumerEvent::DeadLetterWaiting { offset, reason, .. } => {
                Some((offset.0, reason.clone()))
            }
            _ => None,
        })
    };
    until("its listener is told", || !told().is_empty()).await;
    scene.until_committed(&BTreeMap::from([(0, 5), (1, 10)])).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 5), (1, 10)]), "nothing past it");
    assert_eq!(member.diary.begun(0).last().map(|(offset, _)| *offset), Some(5));

    within("its start", scene.cluster.start(NodeId(3))).await.unwrap();
    scene.until_committed(&BTreeMap::from([(0, 10), (1, 10)])).await;
    until("health is well again", || health.now().is_ready()).await;
    let told = told();
    assert_eq!(told.len(), 1, "once: {told:?}");
    let report = member.stop().await;
    assert_eq!((report.handled, report.dead_lettered, report.stopped.len()), (19, 1, 0));
    assert_eq!(sources(&letters(&scene).await), BTreeMap::from([((0, 5), 1)]));
    scene.judge(&format!("waited for 3 in-sync replicas ({}), then went on", told[0].1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_ends_while_a_dead_letter_waits_says_so_and_the_next_one_writes_it() {
    let scene = Scene::set("letters-left", 1).await;
    make_letters(&scene, &[("min.insync.replicas", "3")]).await;
    scene.fill([0], 10).await;
    within("a death", scene.cluster.kill(NodeId(3))).await.unwrap();
    let member = scene.run(scene.member("1").dead_letter(LETTERS), but_for((0, 5)));
    let waits = |event: &ConsumerEvent| {
        matches!(event, ConsumerEvent::DeadLetterWaiting { .. }).then_some(())
    };
    until("it waits", || !member.diary.picked(waits).is_empty()).await;
    let report = member.stop().await;
    let left = report.unwritten_letters.iter().map(|it| it.offset.0).collect::<Vec<_>>();
    assert_eq!((left, report.dead_lettered, report.handled), (vec![5], 0, 5));
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 5)]));

    within("its start", scene.cluster.start(NodeId(3))).await.unwrap();
    let next = scene.run(scene.member("2").dead_letter(LETTERS).exit_at_end(true), but_for((0, 5)));
    assert_eq!(next.end().await.dead_lettered, 1);
    let copies = sources(&letters(&scene).await);
    assert!(copies.get(&(0, 5)).is_some_and(|copies| (1..=2).contains(copies)), "{copies:?}");
    scene.judge(&format!("left 1 unwritten, the next wrote it: {copies:?}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_that_is_refused_for_ever_stops_its_partition_and_the_reason_is_said() {
    let scene = Scene::set("letters-refused", 2).await;
    make_letters(&scene, &[("max.message.bytes", "400")]).await;
    scene.fill(0..2, 10).await;
    let builder = scene.member("1").dead_letter(LETTERS).exit_at_end(true);
    let report = scene.run(builder, but_for((0, 5))).end().await;
    let [stopped] = report.stopped.as_slice() else { panic!("{report:?}") };
    assert_eq!((stopped.offset.0, report.dead_lettered), (5, 0));
    assert!(stopped.reason.starts_with("rejected: no such customer; and its copy"), "{stopped:?}");
    assert!(stopped.reason.contains(LETTERS) && stopped.reason.contains("MessageSizeTooLarge"));
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 5), (1, 10)]));
    let mended = scene.run(scene.member("2").exit_at_end(true), take);
    assert_eq!(mended.end().await.handled, 5);
    scene.judge(&format!("stopped: {}", stopped.reason)).await;
}

/// What is given up three times, each time sent back as an operator would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_back_has_its_headers_replaced_and_its_hops_counted() {
    let scene = Scene::set("letters-hops", 1).await;
    make_letters(&scene, &[]).await;
    let producer = MessageProducer::builder(scene.bootstrap()).build().await.unwrap();
    let mut headers = Headers::new();
    headers.push("trace", Some(b"\xff\x00\xfe"[..].to_owned().into()));
    headers.push("null", None);
    let mut sent = kurier::OutgoingRecord {
        key: Some(b"\xc3\x28"[..].to_owned().into()),
        headers: headers.clone(),
        ..kurier::OutgoingRecord::default()
    };
    let original = sent.clone();
    for round in 1..=3_u32 {
        within("sending", producer.send_record(TOPIC, &sent)).await.unwrap().await.unwrap();
        let builder = scene.member("1").dead_letter(LETTERS).exit_at_end(true);
        let handler = |_: Given, _: Context| std::future::ready(Err(Failure::reject("no")));
        assert_eq!(scene.run(builder, handler).end().await.dead_lettered, 1, "a tombstone too");
        let letters = letters(&scene).await;
        let letter = letters.iter().max_by_key(|letter| letter.hops).unwrap();
        assert_eq!((letters.len() as u32, letter.hops), (round, round));
        let ours = letter.record.headers().iter().filter(|it| it.name.starts_with("kurier.dlq."));
        assert_eq!((ours.count(), letter.record.headers().len()), (11, 13), "round {round}");
        let (key, value) = (letter.record.key(), letter.record.value());
        assert_eq!((key, value), (original.key.as_ref(), None), "round {round}");
        let theirs: Vec<_> = letter.record.headers().iter().take(2).cloned().collect();
        assert_eq!(Headers::from(theirs), headers, "round {round}");
        sent = letter.original();
    }
    let _ = producer.close(Duration::from_secs(10)).await;
}

/// The poison of these scenarios, which every process meets at offset 5.
async fn poisoned(group: &str) -> Scene {
    let scene = Scene::set(group, 1).await;
    make_letters(&scene, &[]).await;
    scene.fill([0], 5).await;
    scene.send_bytes(0, "{\"id\": 7, not a message").await;
    scene.fill([0], 4).await;
    scene
}

/// A process that dies after the copy and before the commit copies once more, and never not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_between_copy_and_commit_leaves_one_copy_more_and_never_none() {
    let scene = poisoned("letters-killed").await;
    let group = scene.group.clone();
    let args = ["consume", "single", TOPIC, "--group", &group, "--dead-letter", LETTERS];
    let late = [&args[..], &["--commit-interval", HOUR]].concat();
    let mut first = Kurier::start(scene.bootstrap(), &late).unwrap();
    within("all but the poison", first.wait_for_lines(9)).await.unwrap();
    first.kill().unwrap();
    assert_eq!(sources(&letters(&scene).await), BTreeMap::from([((0, 5), 1)]));
    assert_eq!(scene.committed().await, BTreeMap::new(), "it died before its commit");

    let at_end = [&args[..], &["--exit-at-end"]].concat();
    let second = Kurier::start(scene.bootstrap(), &at_end).unwrap();
    let ended = within("the second", second.wait()).await.unwrap();
    assert_eq!((ended.status.code(), ended.lines.len()), (Some(0), 9), "{}", ended.talk);
    assert_eq!(sources(&letters(&scene).await), BTreeMap::from([((0, 5), 2)]));
    assert_eq!(scene.committed().await, BTreeMap::from([(0, 10)]));
}

/// The control: whoever commits first and dies before the copy has lost the message, and the same look at
/// the dead-letter topic shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_commit_before_the_copy_leaves_none() {
    let scene = poisoned("letters-careless").await;
    let careless: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", scene.bootstrap())
        .set("group.id", &scene.group)
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut past_it = rdkafka::TopicPartitionList::new();
    past_it.add_partition_offset(TOPIC, 0, rdkafka::Offset::Offset(6)).unwrap();
    careless.commit(&past_it, CommitMode::Sync).unwrap();
    // Here it would have written the copy.
    drop(careless);

    let group = scene.group.clone();
    let args = ["consume", "single", TOPIC, "--group", &group, "--dead-letter", LETTERS];
    let next = Kurier::start(scene.bootstrap(), &[&args[..], &["--exit-at-end"]].concat()).unwrap();
    let ended = within("the next", next.wait()).await.unwrap();
    assert_eq!((ended.status.code(), ended.lines.len()), (Some(0), 4), "{}", ended.talk);
    assert_eq!(sources(&letters(&scene).await), BTreeMap::new(), "nobody has the poison any more");
}

/// What cannot be written shows in the exit code: 4 when it was left, 2 when there is no such topic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_shows_in_the_exit_code() {
    let scene = Scene::set("letters-exit", 1).await;
    scene.fill([0], 5).await;
    scene.send_bytes(0, "{\"id\": 7, not a message").await;
    let group = scene.group.clone();
    let args = ["consume", "single", TOPIC, "--group", &group, "--dead-letter", LETTERS];
    let missing = Kurier::start(scene.bootstrap(), &args).unwrap();
    let ended = within("the error", missing.wait()).await.unwrap();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.talk);
    assert!(ended.talk.contains("--create-dead-letter"), "{}", ended.talk);

    make_letters(&scene, &[("min.insync.replicas", "3")]).await;
    within("a death", scene.cluster.kill(NodeId(3))).await.unwrap();
    let waiting = Kurier::start(scene.bootstrap(), &args).unwrap();
    until("it says that it waits", || waiting.talk().contains("the partition waits")).await;
    let ended = within("the end", waiting.stop()).await.unwrap();
    assert_eq!(ended.status.code(), Some(4), "{}", ended.talk);
    assert!(ended.talk.contains("not known to be in the dead-letter topic"), "{}", ended.talk);
    within("its start", scene.cluster.start(NodeId(3))).await.unwrap();

    let next = Kurier::start(scene.bootstrap(), &[&args[..], &["--exit-at-end"]].concat()).unwrap();
    let ended = within("the next", next.wait()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.talk);
}
