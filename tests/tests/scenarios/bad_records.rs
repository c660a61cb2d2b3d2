//! Records that a broker refuses: only they fail (KIP-467), and what was sent with them and after them
//! stands in the log in its order. Apache Kafka says itself what is wrong; the embedded cluster has to be
//! told which record to refuse, see `tests/remake.rs`.

use std::time::Duration;

use kurier::{MessageProducer, NewTopic, OutgoingRecord};
use kurier_tests::audit;
use kurier_tests::cluster::{Kind, TestCluster, cluster, create};
use rdkafka::error::RDKafkaErrorCode;

use crate::{not_run, within};

const MESSAGES: usize = 40;

fn numbered(number: usize) -> OutgoingRecord {
    OutgoingRecord {
        key: Some("key".into()),
        value: Some(number.to_string().into()),
        ..OutgoingRecord::default()
    }
}

/// Sends numbers in batches of ten, `bad` among them, and expects `code` for these alone.
async fn only_these_fail(
    cluster: &dyn TestCluster,
    topic: &str,
    bad: &[usize],
    spoil: impl Fn(&mut OutgoingRecord),
    code: RDKafkaErrorCode,
) {
    let producer = MessageProducer::builder(cluster.bootstrap())
        .linger(Duration::from_millis(500))
        .property("batch.num.messages", "10")
        .build()
        .await
        .unwrap();
    // Known to the partition from here on, which takes any sequence number of those it does not know.
    let first = producer.send_record(topic, &numbered(0)).await.unwrap();
    within("the first", first).await.unwrap();
    let mut deliveries = Vec::new();
    for number in 1..MESSAGES {
        let mut record = numbered(number);
        if bad.contains(&number) {
            spoil(&mut record);
        }
        deliveries.push((number, producer.send_record(topic, &record).await.unwrap()));
    }
    let mut failed = Vec::new();
    for (number, delivery) in deliveries {
        if let Err(error) = within("a delivery", delivery).await {
            assert_eq!(error.code, code, "{number}: {error}");
            assert!(!error.may_have_been_written());
            failed.push(number);
        }
    }
    assert_eq!(failed, bad);
    assert_eq!(producer.close(Duration::from_secs(10)).await.unsent, []);
    let (bootstrap, name) = (cluster.bootstrap().to_owned(), topic.to_owned());
    let log = tokio::task::spawn_blocking(move || audit::read(&bootstrap, &name).unwrap());
    let numbers = log.await.unwrap().into_iter().map(|found| found.value.unwrap());
    let good = (0..MESSAGES).filter(|number| !bad.contains(number));
    let good = good.map(|number| number.to_string().into_bytes());
    assert!(numbers.eq(good), "another order, or others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_the_broker_refuses_fails_alone_and_the_others_keep_their_order() {
    let cluster = cluster().await.unwrap();
    if cluster.kind() == Kind::Embedded {
        return not_run("the embedded cluster does not name the records it refuses");
    }
    for (name, policy) in [("compacted", "compact"), ("timed", "delete"), ("late", "delete")] {
        let topic = NewTopic::new(name).partitions(1).replication(3);
        let topic = topic.config("cleanup.policy", policy);
        within("the topic", create(&*cluster, name, &topic)).await.unwrap();
    }
    let without_a_key = |record: &mut OutgoingRecord| record.key = None;
    let from_tomorrow = |record: &mut OutgoingRecord| {
        record.timestamp = Some(jiff::Timestamp::now() + Duration::from_hours(24));
    };
    // librdkafka has one code for all records of a batch of which several are bad.
    use RDKafkaErrorCode::{InvalidRecord, InvalidTimestamp};
    only_these_fail(&*cluster, "compacted", &[15], without_a_key, InvalidRecord).await;
    only_these_fail(&*cluster, "timed", &[12, 31], from_tomorrow, InvalidTimestamp).await;
    only_these_fail(&*cluster, "late", &[12, 13], from_tomorrow, InvalidRecord).await;
}
