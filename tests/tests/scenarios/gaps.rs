//! Offsets that nobody is given hold no commit up: records that were compacted away, those of aborted
//! transactions, and the markers of all transactions. With one message at a time, with many keys, and in
//! batches the group comes to the end of the topic, lag 0. On Apache Kafka: the embedded cluster refuses
//! transactions and compacts nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kurier::{
    Batch, BatchMessageConsumer, Concurrency, ConsumeReport, Context, Failure, NewTopic, Outcomes,
    RawDecoder, Received, SingleMessageConsumer,
};
use kurier_tests::audit;
use kurier_tests::cluster::{Kind, TestCluster, admin, cluster, create, create_topic};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tokio_util::sync::CancellationToken;

use crate::within;

/// Nobody else's: nodes that start again give a topic the settings of a deleted one that had its name (Apache Kafka
/// 4.3.1), and would compact what other scenarios must find whole.
const TOPIC: &str = "gaps";
const GROUPS: [&str; 3] = ["one-by-one", "many-keys", "batches"];
const LONGEST: Duration = Duration::from_secs(60);

/// What each of the groups came to.
async fn consumed(bootstrap: &str) -> Vec<ConsumeReport> {
    let one = |_: Arc<Received<Bytes>>, _: Context| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok::<(), Failure>(())
    };
    let all = |batch: Arc<Batch<Bytes>>, _: Context| {
        std::future::ready(Ok::<Outcomes, Failure>(batch.all_done()))
    };
    let single = |concurrency, group: &str| {
        SingleMessageConsumer::builder(bootstrap, TOPIC)
            .group(group)
            .decoder(RawDecoder)
            .concurrency(concurrency)
            .exit_at_end(true)
            .run(one, CancellationToken::new())
    };
    let batches = BatchMessageConsumer::builder(bootstrap, TOPIC)
        .group(GROUPS[2])
        .decoder(RawDecoder)
        .batch(20, Duration::from_secs(1))
        .exit_at_end(true)
        .run(all, CancellationToken::new());
    let runs = async {
        tokio::join!(
            single(Concurrency::PerPartition, GROUPS[0]),
            single(Concurrency::PerKey(16), GROUPS[1]),
            batches
        )
    };
    let (one, keys, batches) = within("the end of the topic", runs).await;
    vec![one.unwrap(), keys.unwrap(), batches.unwrap()]
}

/// Every group must stand at the end, and have handled so many.
async fn reach_the_end(bootstrap: &str, there: usize) {
    for (group, report) in GROUPS.iter().zip(consumed(bootstrap).await) {
        assert_eq!(report.handled, there as u64, "{group}");
        let admin = admin(bootstrap).unwrap();
        let lag = within("lag", admin.lag(group)).await.unwrap();
        admin.close().await;
        let lags: Vec<_> = lag.rows.iter().map(kurier::LagRow::lag).collect();
        assert_eq!(lags, [Some(0), Some(0)], "{group}: {lag:?}");
    }
}

fn producer(cluster: &dyn TestCluster, more: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap()).set("enable.idempotence", "true");
    for (name, value) in more {
        config.set(*name, *value);
    }
    config.create().unwrap()
}

fn send(producer: &BaseProducer, partition: i32, numbers: std::ops::Range<usize>, keys: usize) {
    for number in numbers {
        let (key, value) = (format!("key {}", number % keys), number.to_string());
        let record = BaseRecord::to(TOPIC).partition(partition).key(&key).payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
}

/// Transactions, committed and aborted, in a topic that has other records too. Partition 0 ends with an
/// aborted one, partition 1 with a committed one.
fn transact(cluster: &dyn TestCluster) -> usize {
    let plain = producer(cluster, &[]);
    let transacts = producer(cluster, &[("transactional.id", "gaps")]);
    transacts.init_transactions(LONGEST).unwrap();
    let mut there = 0;
    for round in 0..6 {
        let numbers = round * 100..round * 100 + 30;
        for partition in 0..2 {
            send(&plain, partition, numbers.clone(), 7);
        }
        plain.flush(LONGEST).unwrap();
        transacts.begin_transaction().unwrap();
        for partition in 0..2 {
            send(&transacts, partition, numbers.clone(), 7);
        }
        there += 2 * numbers.len();
        if round % 2 == 0 {
            transacts.commit_transaction(LONGEST).unwrap();
            there += 2 * numbers.len();
        } else {
            transacts.flush(LONGEST).unwrap();
            transacts.abort_transaction(LONGEST).unwrap();
        }
    }
    transacts.begin_transaction().unwrap();
    send(&transacts, 1, 0..10, 7);
    transacts.commit_transaction(LONGEST).unwrap();
    there + 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_transactions_and_markers_hold_no_commit_up() {
    let cluster = cluster().await.unwrap();
    if cluster.kind() == Kind::Embedded {
        return crate::not_run("the embedded cluster refuses transactions");
    }
    create_topic(&*cluster, TOPIC, 2).await.unwrap();
    let there = tokio::task::block_in_place(|| transact(&*cluster));
    reach_the_end(cluster.bootstrap(), there).await;
    eprintln!("{there} messages, and transactions aborted among them: 3 groups at the end, lag 0");
}

/// How many records are left, and where their offsets have gaps.
async fn left(bootstrap: &str) -> (usize, usize) {
    let name = bootstrap.to_owned();
    let found = tokio::task::spawn_blocking(move || audit::read(&name, TOPIC).unwrap());
    let found = within("reading", found).await.unwrap();
    let mut last = BTreeMap::new();
    let mut gap = |(partition, offset): (i32, i64)| {
        let before = last.insert(partition, offset).map_or(0, |last: i64| last + 1);
        before < offset
    };
    let gaps = found.iter().map(|it| (it.partition, it.offset)).filter(|it| gap(*it)).count();
    (found.len(), gaps)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compacted_records_hold_no_commit_up() {
    const EACH: usize = 900;
    let cluster = cluster().await.unwrap();
    if cluster.kind() == Kind::Embedded {
        return crate::not_run("the embedded cluster compacts nothing");
    }
    let topic = NewTopic::new(TOPIC).partitions(2).replication(3);
    let topic = topic.config("min.insync.replicas", "2").config("cleanup.policy", "compact");
    let topic = topic.config("min.cleanable.dirty.ratio", "0.01");
    // Segments of a moment: the one that is written to is never cleaned.
    let topic = topic.config("segment.ms", "200").config("max.compaction.lag.ms", "1000");
    within("the topic", create(&*cluster, TOPIC, &topic)).await.unwrap();
    let plain = producer(&*cluster, &[]);
    // Keys of many records and of few, so that gaps lie between records that stay.
    for begin in (0..EACH).step_by(100) {
        for partition in 0..2 {
            let frequent = begin..begin + 100;
            send(&plain, partition, frequent, 13);
            let rare = 10_000 + begin..10_000 + begin + 5;
            send(&plain, partition, rare, 100_000);
        }
        tokio::task::block_in_place(|| plain.flush(LONGEST)).unwrap();
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let mut there = (0, 0);
    within("the cleaner", async {
        while there.1 < 4 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            // Something to roll the segment with.
            send(&plain, 0, 0..1, 13);
            send(&plain, 1, 0..1, 13);
            tokio::task::block_in_place(|| plain.flush(LONGEST)).unwrap();
            there = left(cluster.bootstrap()).await;
        }
    })
    .await;
    // The cleaner may go on amid the runs, so that they find fewer.
    let reports = consumed(cluster.bootstrap()).await;
    for (group, report) in GROUPS.iter().zip(reports) {
        assert!((1..=there.0 as u64).contains(&report.handled), "{group}: {report:?}");
        let admin = kurier_tests::cluster::admin(cluster.bootstrap()).unwrap();
        let lag = within("lag", admin.lag(group)).await.unwrap();
        admin.close().await;
        let lags: Vec<_> = lag.rows.iter().map(kurier::LagRow::lag).collect();
        assert_eq!(lags, [Some(0), Some(0)], "{group}: {lag:?}");
    }
    let (left, gaps) = there;
    eprintln!("{left} of {} records are left, {gaps} gaps: 3 groups at the end, lag 0", 2 * EACH);
}
