//! The producer when brokers refuse what it sends: a gap in the sequence, a bad record, a topic that
//! vanishes. The embedded cluster checks sequence numbers as Kafka does, so what is in flight behind a
//! refused request is refused too.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kurier::{DeliveryProfile, Message, MessageProducer, Outcome, ProducerBuilder, ProducerEvent};
use kurier_broker::{Api, EmbeddedCluster, Fault, FaultAction, ResponseError};
use kurier_tests::audit::{self, Found};
use rdkafka::error::RDKafkaErrorCode;

const TOPIC: &str = "orders";
const KEYS: usize = 16;
const EACH: usize = 400;

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

/// How often the producer said that it makes another client.
#[derive(Clone, Default)]
struct Remakes(Arc<Mutex<usize>>);

impl Remakes {
    async fn build(&self, builder: ProducerBuilder) -> MessageProducer {
        let Self(count) = self.clone();
        let count = move |event: &ProducerEvent| {
            *count.lock().unwrap() += usize::from(matches!(event, ProducerEvent::Remaking { .. }));
        };
        builder.on_event(count).build().await.unwrap()
    }

    fn count(&self) -> usize {
        *self.0.lock().unwrap()
    }
}

fn numbered(key: &str, number: usize) -> Message {
    Message::new(number.to_string()).unwrap().with_key(key.to_owned())
}

/// The numbers of each key, each the first time it stands in the log.
async fn firsts(cluster: &EmbeddedCluster) -> BTreeMap<String, Vec<usize>> {
    let bootstrap = cluster.bootstrap();
    let read = tokio::task::spawn_blocking(move || audit::read(&bootstrap, TOPIC).unwrap());
    let mut firsts: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Found { key, value, .. } in read.await.unwrap() {
        let read: serde_json::Value = serde_json::from_slice(&value.unwrap()).unwrap();
        let number = read["content"].as_str().unwrap().parse().unwrap();
        let firsts = firsts.entry(String::from_utf8(key.unwrap()).unwrap()).or_default();
        if !firsts.contains(&number) {
            firsts.push(number);
        }
    }
    firsts
}

/// Makes the producer known to the partitions: of one that is not, Kafka takes any sequence number, also
/// behind a batch that was refused.
async fn known(producer: &MessageProducer) {
    for key in 0..KEYS {
        let first = numbered(&format!("known {key}"), 0);
        within("the first", producer.send(TOPIC, &first).await.unwrap()).await.unwrap();
    }
}

/// Sixteen tasks send at once, each its own key, in small batches of which many are in flight.
async fn load(producer: MessageProducer) -> Vec<Outcome> {
    let producer = Arc::new(producer);
    let mut tasks = tokio::task::JoinSet::new();
    for key in 0..KEYS {
        let producer = Arc::clone(&producer);
        tasks.spawn(async move {
            let key = format!("key {key}");
            let mut deliveries = Vec::new();
            for number in 0..EACH {
                deliveries.push(producer.send(TOPIC, &numbered(&key, number)).await.unwrap());
                tokio::task::yield_now().await;
            }
            let mut outcomes = Vec::new();
            for delivery in deliveries {
                outcomes.push(delivery.await);
            }
            outcomes
        });
    }
    let outcomes = within("the load", tasks.join_all()).await.concat();
    let report = within("closing", producer.close(Duration::from_secs(10))).await;
    assert_eq!(report.unsent, []);
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_that_a_broker_finds_in_the_sequence_costs_nothing_and_no_order() {
    let cluster = EmbeddedCluster::builder().topic(TOPIC, 3).start().await.unwrap();
    let remakes = Remakes::default();
    let small = MessageProducer::builder(cluster.bootstrap()).property("batch.num.messages", "20");
    let producer = remakes.build(small).await;
    known(&producer).await;
    let gap = FaultAction::Error(ResponseError::OutOfOrderSequenceNumber);
    let gaps = cluster.faults().add(Fault::on(Api::Produce).times(1), gap).unwrap();
    for outcome in load(producer).await {
        outcome.unwrap();
    }
    let firsts = firsts(&cluster).await;
    for key in 0..KEYS {
        let numbers = &firsts[&format!("key {key}")];
        assert!(numbers.iter().copied().eq(0..EACH), "{key}: {numbers:?}");
    }
    assert_eq!((gaps.fired(), remakes.count()), (1, 1));
}

/// What came of `total` messages that go out in batches of `count`, when `times` batches are refused for
/// these records; what stands in the log; how many new clients it took.
async fn refused(
    total: usize,
    count: usize,
    bad: &[i32],
    times: u64,
) -> (Vec<Outcome>, Vec<usize>, usize) {
    let cluster = EmbeddedCluster::builder().topic(TOPIC, 1).start().await.unwrap();
    let remakes = Remakes::default();
    let builder = MessageProducer::builder(cluster.bootstrap()).linger(Duration::from_millis(200));
    // Full, the batch goes out at once, with more behind it in flight.
    let producer = remakes.build(builder.property("batch.num.messages", count.to_string())).await;
    known(&producer).await;
    let action = FaultAction::InvalidRecords { indexes: bad.to_vec(), message: "bad".to_owned() };
    cluster.faults().add(Fault::on(Api::Produce).times(times), action).unwrap();
    let mut deliveries = Vec::new();
    for number in 0..total {
        deliveries.push(producer.send(TOPIC, &numbered("key", number)).await.unwrap());
    }
    let mut outcomes = Vec::new();
    for delivery in deliveries {
        outcomes.push(within("a delivery", delivery).await);
    }
    assert_eq!(producer.close(Duration::from_secs(10)).await.unsent, []);
    let firsts = firsts(&cluster).await.remove("key").unwrap_or_default();
    (outcomes, firsts, remakes.count())
}

fn assert_only_these_failed(outcomes: &[Outcome], written: &[usize], bad: &[usize]) {
    for (number, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(_) => assert!(!bad.contains(&number), "{number} is bad and was delivered"),
            Err(error) => {
                assert!(bad.contains(&number), "{number}: {error}");
                assert_eq!(error.code, RDKafkaErrorCode::InvalidRecord);
                assert!(!error.may_have_been_written() && !error.is_retriable(), "{error}");
            }
        }
    }
    let good = (0..outcomes.len()).filter(|number| !bad.contains(number));
    assert!(written.iter().copied().eq(good), "{written:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_record_fails_alone_and_what_was_in_its_batch_and_behind_keeps_its_order() {
    let (outcomes, written, remakes) = refused(40, 10, &[3], 1).await;
    assert_only_these_failed(&outcomes, &written, &[3]);
    assert_eq!(remakes, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_bad_records_of_a_batch_fail_at_once() {
    let (outcomes, written, remakes) = refused(40, 10, &[0, 4, 9], 1).await;
    assert_only_these_failed(&outcomes, &written, &[0, 4, 9]);
    assert_eq!(remakes, 1);
    let (outcomes, written, remakes) = refused(12, 3, &[0, 1, 2], 1).await;
    assert_only_these_failed(&outcomes, &written, &[0, 1, 2]);
    assert_eq!(remakes, 1);
}

/// Of two records nobody can tell which one the broker means: each is sent in a batch of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bad_one_of_two_records_is_found_by_sending_each_alone() {
    // The first is refused alone, too.
    let (outcomes, written, _) = refused(2, 2, &[0], 2).await;
    assert_only_these_failed(&outcomes, &written, &[0]);
    // Neither is: the broker has changed its mind.
    let (outcomes, written, _) = refused(8, 2, &[1], 1).await;
    assert_only_these_failed(&outcomes, &written, &[]);
}

/// The control: the classic profile reports the whole batch, and what is behind it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_the_classic_profile_fails_the_whole_batch() {
    let cluster = EmbeddedCluster::builder().topic(TOPIC, 1).start().await.unwrap();
    let action = FaultAction::InvalidRecords { indexes: vec![3], message: "bad".to_owned() };
    cluster.faults().add(Fault::on(Api::Produce).times(1), action).unwrap();
    let producer = MessageProducer::builder(cluster.bootstrap())
        .delivery(DeliveryProfile::OneInFlight)
        .linger(Duration::from_millis(200))
        .property("batch.num.messages", "10")
        .build()
        .await
        .unwrap();
    let mut deliveries = Vec::new();
    for number in 0..20 {
        deliveries.push(producer.send(TOPIC, &numbered("key", number)).await.unwrap());
    }
    let mut failed = 0;
    for delivery in deliveries {
        failed += usize::from(within("a delivery", delivery).await.is_err());
    }
    assert_eq!(failed, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_for_a_topic_that_is_hidden_for_a_while_wait_for_it() {
    let cluster = EmbeddedCluster::builder().topic(TOPIC, 3).start().await.unwrap();
    let remakes = Remakes::default();
    let builder = MessageProducer::builder(cluster.bootstrap())
        .linger(Duration::from_secs(3))
        .property("topic.metadata.propagation.max.ms", "2000")
        .property("topic.metadata.refresh.interval.ms", "100");
    let producer = remakes.build(builder).await;
    // Delivered after the linger: known for longer than librdkafka's patience by then.
    within("the first", producer.send(TOPIC, &numbered("key", 0)).await.unwrap()).await.unwrap();
    let mut deliveries = Vec::new();
    for number in 1..20 {
        deliveries.push(producer.send(TOPIC, &numbered("key", number)).await.unwrap());
    }
    let hide = Fault::on(Api::Metadata).topic(TOPIC);
    let hidden = cluster.faults().add(hide, FaultAction::HideTopic).unwrap();
    within("the new client", async {
        while remakes.count() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    hidden.clear();
    for delivery in deliveries {
        within("a delivery", delivery).await.unwrap();
    }
    assert!(firsts(&cluster).await["key"].iter().copied().eq(0..20));
}
