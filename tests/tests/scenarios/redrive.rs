//! Dead letters sent again: by processes that are killed, under a broker that dies, and round and round.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use kurier::{Message, NewTopic};
use kurier_tests::audit::{self, Found};
use kurier_tests::binary::{Ended, Kurier};
use kurier_tests::cluster::{self, NODES, TestCluster, create, create_topic};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, FutureProducer, FutureRecord, Producer as _, ThreadedProducer,
};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::careless::careless;
use crate::within;

const TOPIC: &str = "redriven";
const LETTERS: &str = "redriven.dlq";
const KEYS: usize = 7;

/// Both topics, and so many dead letters, each with its number as value and hop count 1.
async fn fill(cluster: &dyn TestCluster, count: usize) {
    create_topic(cluster, TOPIC, 3).await.unwrap();
    create_topic(cluster, LETTERS, 3).await.unwrap();
    write(cluster, (0..count).map(|number| (number, 1))).await;
}

/// Dead letters as a consumer of kurier's writes them: number and hops.
async fn write(cluster: &dyn TestCluster, letters: impl IntoIterator<Item = (usize, u32)>) {
    let letters: Vec<_> = letters.into_iter().collect();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap()).set("enable.idempotence", "true");
    let producer: ThreadedProducer<_> = config.create().unwrap();
    let writing = tokio::task::spawn_blocking(move || {
        for (number, hops) in letters {
            let (key, value) = (format!("key-{}", number % KEYS), number.to_string());
            let (offset, hops) = (number.to_string(), hops.to_string());
            let mut headers = OwnedHeaders::new().insert(Header { key: "own", value: Some("1") });
            for (key, value) in [
                ("kurier.dlq.topic", TOPIC),
                ("kurier.dlq.partition", "0"),
                ("kurier.dlq.offset", &offset),
                ("kurier.dlq.cause", "retries-exhausted"),
                ("kurier.dlq.error", "connection refused"),
                ("kurier.dlq.attempts", "5"),
                ("kurier.dlq.first-failure", "2026-01-31T12:00:00.000Z"),
                ("kurier.dlq.last-failure", "2026-01-31T12:00:01.000Z"),
                ("kurier.dlq.group", "billing"),
                ("kurier.dlq.hops", &hops),
            ] {
                headers = headers.insert(Header { key, value: Some(value) });
            }
            let record = BaseRecord::to(LETTERS).key(&key).payload(&value).headers(headers);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(120)).unwrap();
    });
    within("writing dead letters", writing).await.unwrap();
}

fn replay(cluster: &dyn TestCluster, more: &[&str]) -> Kurier {
    let args = [&["dlq", "replay", LETTERS], more].concat();
    Kurier::start(cluster.bootstrap(), &args).unwrap()
}

async fn ended(replay: Kurier) -> Ended {
    within("a replay", replay.wait()).await.unwrap()
}

async fn log(cluster: &dyn TestCluster) -> Vec<Found> {
    let bootstrap = cluster.bootstrap().to_owned();
    tokio::task::spawn_blocking(move || audit::read(&bootstrap, TOPIC)).await.unwrap().unwrap()
}

fn number(found: &Found) -> usize {
    std::str::from_utf8(found.value.as_deref().unwrap()).unwrap().parse().unwrap()
}

/// Those of `count` that the log has not.
fn lost(log: &[Found], count: usize) -> usize {
    let found: BTreeSet<usize> = log.iter().map(number).collect();
    (0..count).filter(|number| !found.contains(number)).count()
}

/// The first of each message of a key stands in the order of the dead letters.
fn assert_order(log: &[Found]) {
    let (mut seen, mut last) = (BTreeSet::new(), HashMap::new());
    for record in log.iter().filter(|record| seen.insert(number(record))) {
        let before = last.insert(record.key.clone().unwrap(), number(record));
        assert!(before < Some(number(record)), "{before:?} stands before {record:?}");
    }
}

/// Offsets of the topic, in all.
async fn end(cluster: &dyn TestCluster) -> i64 {
    let ends = cluster::ask_until_right(cluster.bootstrap(), async |admin| {
        Ok(admin.watermarks(TOPIC).await?)
    });
    ends.await.unwrap().values().map(|marks| marks.end.0).sum()
}

/// Numbers that follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

const MANY: usize = 30_000;
const SEEDS: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replays_that_are_killed_and_go_on_lose_nothing_and_keep_the_order() {
    let cluster = cluster::cluster().await.unwrap();
    fill(&*cluster, MANY).await;
    let mut killed_at = Vec::new();
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let mut process = replay(&*cluster, &["--rate", "2500"]);
        // One is killed amid its start, the others at work.
        if seed != 3 {
            let before = end(&*cluster).await;
            within("it sends", async {
                while end(&*cluster).await == before {
                    process.runs().unwrap();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
            .await;
        }
        let node = NODES[random.below(3) as usize];
        if seed == 1 {
            cluster.kill(node).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(random.below(1500))).await;
        process.kill().unwrap();
        if seed == 1 {
            cluster.start(node).await.unwrap();
        }
        killed_at.push(end(&*cluster).await);
    }
    let last = ended(replay(&*cluster, &[])).await;
    assert!(last.status.success(), "{}", last.talk);
    let (summary, log) = (&last.lines[0], log(&*cluster).await);
    let lost = lost(&log, MANY);
    eprintln!(
        "{MANY} dead letters, killed at {killed_at:?}: {lost} lost, {} sent more than once; the last run sent {}",
        log.len() - (MANY - lost),
        summary["replayed"],
    );
    assert_eq!((lost, &summary["remaining"]), (0, &0.into()));
    assert!(killed_at.last().is_some_and(|at| *at < MANY as i64), "they were killed amid the work");
    assert!(
        summary["replayed"].as_u64().unwrap() < MANY as u64,
        "it went on, and did not begin anew"
    );
    assert_order(&log);
}

/// The same with what an eager redrive does: it commits what it has read, and then sends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_redrive_that_commits_before_it_sends_loses() {
    let cluster = cluster::cluster().await.unwrap();
    let count = 2_000;
    fill(&*cluster, count).await;
    let producer = careless(cluster.bootstrap(), &[]);
    for seed in 0..SEEDS {
        eager(&*cluster, &producer, Random(seed).below(100)).await;
    }
    eager(&*cluster, &producer, u64::MAX).await;
    let lost = lost(&log(&*cluster).await, count);
    eprintln!("{lost} of {count} lost");
    assert!(0 < lost);
}

/// Reads a hundred, commits them, and dies after `lives` of them are sent; `u64::MAX`: goes on to the end.
async fn eager(cluster: &dyn TestCluster, producer: &FutureProducer, lives: u64) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .set("group.id", "eager")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in 0..3 {
        partitions.add_partition_offset(LETTERS, partition, Offset::Stored).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    let (mut ends, mut read, mut reached) = (0, Vec::new(), BTreeMap::new());
    while ends < 3 && (lives == u64::MAX || read.len() < 100) {
        let found = tokio::task::block_in_place(|| consumer.poll(Duration::from_secs(60)));
        match found.expect("a record or an end") {
            Ok(record) => {
                reached.insert(record.partition(), record.offset() + 1);
                let copy = |bytes: Option<&[u8]>| bytes.unwrap().to_vec();
                read.push((copy(record.key()), copy(record.payload())));
            }
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ends += 1,
            Err(_) => {}
        }
    }
    let mut positions = TopicPartitionList::new();
    for (partition, offset) in reached {
        positions.add_partition_offset(LETTERS, partition, Offset::Offset(offset)).unwrap();
    }
    if 0 < positions.count() {
        tokio::task::block_in_place(|| consumer.commit(&positions, CommitMode::Sync)).unwrap();
    }
    for (key, value) in read.iter().take(usize::try_from(lives).unwrap_or(usize::MAX)) {
        let record = FutureRecord::to(TOPIC).key(key).payload(value);
        within("sending", producer.send(record, Duration::from_secs(60))).await.unwrap();
    }
}

/// What fails again after each replay: the limit of hops ends it, and its headers do not grow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_always_fails_is_sent_again_until_the_limit_of_hops() {
    let cluster = cluster::cluster().await.unwrap();
    fill(&*cluster, 30).await;
    let mut seen = 0;
    for round in 1..=5 {
        let ended = ended(replay(&*cluster, &[])).await;
        let summary = &ended.lines[0];
        let (replayed, left) = (&summary["replayed"], &summary["left_by"]["hop-limit"]);
        let code = ended.status.code();
        match round {
            1 | 2 => {
                assert_eq!((code, replayed, &summary["left"]), (Some(0), &30.into(), &0.into()))
            }
            3 => assert_eq!((code, replayed, left), (Some(1), &0.into(), &30.into())),
            _ => assert_eq!((code, replayed, &summary["left"]), (Some(0), &0.into(), &0.into())),
        }
        let log = log(&*cluster).await;
        let mut hops_of = BTreeMap::new();
        for record in &log {
            let value = |name: &str| {
                let found = record.headers.iter().filter(|(header, _)| header == name);
                let values: Vec<_> = found.map(|(_, value)| value.clone().unwrap()).collect();
                assert_eq!(values.len(), 1, "{name} once: {record:?}");
                String::from_utf8(values[0].clone()).unwrap()
            };
            assert_eq!((record.headers.len(), value("own").as_str()), (2, "1"), "{record:?}");
            let hops: u32 = value("kurier.dlq.hops").parse().unwrap();
            let last = hops_of.entry(number(record)).or_insert(0);
            *last = hops.max(*last);
        }
        // A consumer of the topic gives each of them up once more.
        if seen < log.len() {
            write(&*cluster, hops_of.into_iter().map(|(number, hops)| (number, hops + 1))).await;
        }
        seen = log.len();
    }
    assert_eq!(log(&*cluster).await.len(), 60, "each was sent again twice");
}

/// What comes to the dead-letter topic while a replay is at work is the next run's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_during_a_replay_is_not_sent_by_the_same_run() {
    let cluster = cluster::cluster().await.unwrap();
    fill(&*cluster, 200).await;
    let process = replay(&*cluster, &["--rate", "100"]);
    within("it sends", async {
        while end(&*cluster).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    write(&*cluster, (200..250).map(|number| (number, 2))).await;
    let first = ended(process).await;
    assert!(first.status.success(), "{}", first.talk);
    assert_eq!(first.lines[0]["replayed"], 200, "{}", first.talk);
    let second = ended(replay(&*cluster, &[])).await;
    assert_eq!(second.lines[0]["replayed"], 50, "{}", second.talk);
    assert_eq!(lost(&log(&*cluster).await, 250), 0, "0 lost");
}

/// Hardly to be compressed, and 36 times as long.
fn noise(length: usize) -> String {
    (0..length).map(|_| Message::new("x").unwrap().id().to_string()).collect()
}

/// How large a message may be is for its topic to say, and not for the replay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_of_two_megabytes_is_sent_again_where_the_topic_takes_it() {
    let cluster = cluster::cluster().await.unwrap();
    for name in [TOPIC, LETTERS] {
        let topic = NewTopic::new(name).partitions(1).replication(3);
        create(&*cluster, name, &topic.config("max.message.bytes", "5000000")).await.unwrap();
    }
    create_topic(&*cluster, "narrow", 1).await.unwrap();
    let large = noise(2_000_000 / 36);
    let producer = careless(cluster.bootstrap(), &[("message.max.bytes", "3000000")]);
    let record = FutureRecord::to(TOPIC).key("key").payload(&large);
    within("sending", producer.send(record, Duration::from_secs(60))).await.unwrap();
    let mut consume = vec!["consume", "single", TOPIC, "--decode", "raw", "--exit-at-end"];
    consume.extend(["--exec", "exit 65", "--dead-letter", LETTERS]);
    let given_up = ended(Kurier::start(cluster.bootstrap(), &consume).unwrap()).await;
    assert!(given_up.status.success(), "{}", given_up.talk);

    // The limit of the client itself is no verdict: nothing is passed by it.
    let limited = ended(replay(&*cluster, &["-X", "message.max.bytes=1000000"])).await;
    assert_eq!(limited.status.code(), Some(1), "{}", limited.talk);
    assert!(limited.talk.contains("over the limit of 1000000"), "{}", limited.talk);
    let sent = ended(replay(&*cluster, &[])).await;
    assert!(sent.status.success(), "{}", sent.talk);
    let summary = &sent.lines[0];
    assert_eq!((&summary["replayed"], &summary["left"]), (&1.into(), &0.into()), "{}", sent.talk);
    let log = log(&*cluster).await;
    let values: Vec<_> = log.iter().map(|found| found.value.as_deref()).collect();
    assert_eq!(values.len(), 2);
    assert!(values.iter().all(|value| *value == Some(large.as_bytes())));
    // A topic that does not take it says so.
    let narrow = ended(replay(&*cluster, &["--to", "narrow"])).await;
    let left = &narrow.lines[0]["left_by"];
    assert_eq!((narrow.status.code(), &left["refused"]), (Some(1), &1.into()), "{}", narrow.talk);
}
