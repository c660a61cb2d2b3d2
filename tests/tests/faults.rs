//! Faults on request, with real clients on the other side: each is seen, counted and cleared.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kurier::{
    Admin, ClientConfig, Context, Failure, Message, MessageProducer, Offset, Received,
    SingleMessageConsumer, StartFrom, TextDecoder,
};
use kurier_broker::{Api, EmbeddedCluster, Fault, FaultAction, MoveError, ResponseError};
use kurier_tests::audit::{self, Found};
use rdkafka::ClientConfig as LibrdkafkaConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio_util::sync::CancellationToken;

const TOPIC: &str = "orders";

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

async fn cluster() -> EmbeddedCluster {
    EmbeddedCluster::builder().topic(TOPIC, 1).topic("other", 1).start().await.unwrap()
}

/// The deadline comes amid the last question, which nobody answers any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_missing_is_named_though_the_last_question_has_no_answer() {
    let cluster = cluster().await;
    let admin = Admin::connect(&ClientConfig::new(cluster.bootstrap())).unwrap();
    let asked = Fault::on(Api::Metadata).topic("none");
    let counts = cluster.faults().add(asked.clone(), FaultAction::Delay(Duration::ZERO)).unwrap();
    let waiting = admin.wait_for_topic("none", Duration::from_secs(3));
    let silences = async {
        // A question may be asked of more than one node; so many are more than one question.
        assert!(counts.reached(8).await);
        cluster.faults().add(asked, FaultAction::Delay(Duration::from_secs(3_600))).unwrap();
    };
    let (found, ()) = within("the wait", async { tokio::join!(waiting, silences) }).await;
    assert!(found.as_ref().is_err_and(kurier::ClientError::is_unknown_topic), "{found:?}");
}

/// librdkafka alone, which names itself and does not wait long before it tries again.
fn producer(cluster: &EmbeddedCluster, name: &str, idempotence: &str) -> FutureProducer {
    LibrdkafkaConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .set("client.id", name)
        .set("enable.idempotence", idempotence)
        .set("retry.backoff.ms", "20")
        .set("linger.ms", "5")
        .create()
        .unwrap()
}

async fn send(producer: &FutureProducer, topic: &str, value: &str) -> Result<i64, KafkaError> {
    let record = FutureRecord::<str, str>::to(topic).payload(value);
    let sent = within(value, producer.send(record, Duration::from_secs(30))).await;
    sent.map(|delivery| delivery.offset).map_err(|(error, _)| error)
}

async fn log(cluster: &EmbeddedCluster, topic: &'static str) -> Vec<String> {
    let bootstrap = cluster.bootstrap();
    let read = tokio::task::spawn_blocking(move || audit::read(&bootstrap, topic));
    let value = |found: Found| String::from_utf8(found.value.unwrap()).unwrap();
    read.await.unwrap().unwrap().into_iter().map(value).collect()
}

fn failed(sent: Result<i64, KafkaError>) -> RDKafkaErrorCode {
    sent.unwrap_err().rdkafka_error_code().unwrap()
}

/// Handles everything up to the end in a group; what was handled comes back, in order.
async fn consume(cluster: &EmbeddedCluster, group: &str) -> Vec<String> {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let saw = Arc::clone(&seen);
    let handler = move |message: Arc<Received<String>>, _: Context| {
        saw.lock().unwrap().push(message.value().unwrap().clone());
        std::future::ready(Ok::<(), Failure>(()))
    };
    let run = SingleMessageConsumer::builder(cluster.bootstrap(), TOPIC)
        .group(group)
        .decoder(TextDecoder)
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    within("consuming", run).await.unwrap();
    std::mem::take(&mut *seen.lock().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_passes_is_met_so_often_by_that_client_on_that_topic_and_no_other() {
    let cluster = cluster().await;
    let (shop, bank) = (producer(&cluster, "shop", "true"), producer(&cluster, "bank", "true"));
    let rule = Fault::on(Api::Produce).client("shop").topic(TOPIC).times(3);
    let action = FaultAction::Error(ResponseError::NotEnoughReplicas);
    let fault = cluster.faults().add(rule, action).unwrap();
    send(&bank, TOPIC, "by another client").await.unwrap();
    send(&shop, "other", "to another topic").await.unwrap();
    assert_eq!(fault.fired(), 0);
    send(&shop, TOPIC, "meets it").await.unwrap();
    assert_eq!(fault.fired(), 3);
    assert_eq!(log(&cluster, TOPIC).await, ["by another client", "meets it"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_does_not_pass_fails_the_delivery_until_the_fault_is_cleared() {
    let cluster = cluster().await;
    let producer = producer(&cluster, "shop", "false");
    let action = FaultAction::Error(ResponseError::MessageTooLarge);
    let fault = cluster.faults().add(Fault::on(Api::Produce), action).unwrap();
    let refused = failed(send(&producer, TOPIC, "refused").await);
    assert_eq!(refused, RDKafkaErrorCode::MessageSizeTooLarge);
    assert!(fault.reached(1).await);
    fault.clear();
    send(&producer, TOPIC, "taken").await.unwrap();
    assert_eq!(fault.fired(), 1, "the count outlives the fault");
    assert!(!fault.reached(2).await, "and will not grow");
    assert_eq!(log(&cluster, TOPIC).await, ["taken"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_holds_up_one_request_and_no_longer_than_it_says() {
    let cluster = cluster().await;
    let producer = producer(&cluster, "shop", "true");
    send(&producer, TOPIC, "connects").await.unwrap();
    let delay = Duration::from_millis(700);
    let rule = Fault::on(Api::Produce).times(1);
    let fault = cluster.faults().add(rule, FaultAction::Delay(delay)).unwrap();
    let before = Instant::now();
    send(&producer, TOPIC, "late").await.unwrap();
    assert!(before.elapsed() >= delay);
    assert_eq!(fault.fired(), 1);
    assert_eq!(log(&cluster, TOPIC).await, ["connects", "late"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_request_was_not_processed_and_kurier_sends_it_again() {
    let cluster = cluster().await;
    let rule = Fault::on(Api::Produce).times(2);
    let fault = cluster.faults().add(rule, FaultAction::Drop).unwrap();
    let producer = MessageProducer::builder(cluster.bootstrap()).build().await.unwrap();
    let message = Message::new("again").unwrap();
    within("the delivery", producer.send(TOPIC, &message).await.unwrap()).await.unwrap();
    assert_eq!(fault.fired(), 2);
    assert_eq!(log(&cluster, TOPIC).await.len(), 1);
}

/// The control of the test above: here it was processed, and without idempotence stands there again
/// for each answer that was dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_reply_was_dropped_was_processed_and_only_idempotence_hides_it() {
    for (idempotence, stands) in [("false", 3), ("true", 1)] {
        let cluster = cluster().await;
        let rule = Fault::on(Api::Produce).times(2);
        let fault = cluster.faults().add(rule, FaultAction::DropReply).unwrap();
        send(&producer(&cluster, "shop", idempotence), TOPIC, "twice told").await.unwrap();
        assert_eq!(fault.fired(), 2);
        assert_eq!(log(&cluster, TOPIC).await.len(), stands, "idempotence {idempotence}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_records_are_named_and_nothing_of_its_batch_is_appended() {
    let cluster = cluster().await;
    let producer: FutureProducer = LibrdkafkaConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .set("linger.ms", "500")
        .create()
        .unwrap();
    // Of a single one librdkafka gives the whole batch its error.
    let action = FaultAction::InvalidRecords { indexes: vec![0, 2], message: "bad".to_owned() };
    let fault = cluster.faults().add(Fault::on(Api::Produce).times(1), action).unwrap();
    let sends = ["first", "second", "third"].map(|value| send(&producer, TOPIC, value));
    let [first, second, third] = sends;
    let (first, second, third) = tokio::join!(first, second, third);
    assert_eq!(fault.fired(), 1, "the three are one batch");
    let codes = [first, second, third].map(failed);
    let invalid = RDKafkaErrorCode::InvalidRecord;
    assert_eq!(codes, [invalid, RDKafkaErrorCode::InvalidDifferentRecord, invalid]);
    send(&producer, TOPIC, "later").await.unwrap();
    assert_eq!(log(&cluster, TOPIC).await, ["later"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_vanishes_from_the_metadata_and_comes_back() {
    let cluster = cluster().await;
    let admin = kurier::Admin::connect(&kurier::ClientConfig::new(cluster.bootstrap())).unwrap();
    let names = async || -> Vec<String> {
        admin.list_topics().await.unwrap().into_iter().map(|topic| topic.name).collect()
    };
    assert_eq!(names().await, [TOPIC, "other"]);
    let rule = Fault::on(Api::Metadata).topic(TOPIC);
    let fault = cluster.faults().add(rule, FaultAction::HideTopic).unwrap();
    assert_eq!(names().await, ["other"]);
    assert!(admin.describe_topic(TOPIC).await.is_err());
    assert!(fault.fired() >= 2);
    fault.clear();
    assert_eq!(names().await, [TOPIC, "other"]);
    admin.describe_topic(TOPIC).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_finds_its_coordinator_again_when_it_moves_and_loses_no_commit() {
    let cluster = cluster().await;
    let producer = producer(&cluster, "shop", "true");
    for number in 0..50 {
        send(&producer, TOPIC, &number.to_string()).await.unwrap();
    }
    let faults = cluster.faults();
    let add = |api, times, error| {
        faults.add(Fault::on(api).times(times), FaultAction::Error(error)).unwrap()
    };
    let rules = [
        add(Api::FindCoordinator, 2, ResponseError::CoordinatorNotAvailable),
        add(Api::JoinGroup, 1, ResponseError::NotCoordinator),
        add(Api::SyncGroup, 1, ResponseError::NotCoordinator),
        add(Api::OffsetFetch, 1, ResponseError::CoordinatorLoadInProgress),
        add(Api::OffsetCommit, 1, ResponseError::NotCoordinator),
    ];
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(consume(&cluster, "movers").await, expected);
    assert_eq!(rules.map(|rule| rule.fired()), [2, 1, 1, 1, 1]);
    assert_eq!(consume(&cluster, "movers").await, Vec::<String>::new(), "all was committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetches_that_fail_on_one_node_are_asked_again() {
    let cluster = cluster().await;
    send(&producer(&cluster, "shop", "true"), TOPIC, "one").await.unwrap();
    let leader = cluster.info().nodes.iter().find(|node| node.leads > 0).unwrap().node;
    let action = FaultAction::Error(ResponseError::NotLeaderOrFollower);
    let rule = Fault::on(Api::Fetch).node(leader).topic(TOPIC).times(3);
    let fault = cluster.faults().add(rule, action).unwrap();
    assert_eq!(consume(&cluster, "readers").await, ["one"]);
    assert_eq!(fault.fired(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_faults_are_cleared_at_once() {
    let cluster = cluster().await;
    let faults = cluster.faults();
    let all = [Api::Metadata, Api::Produce, Api::ApiVersions]
        .map(|api| faults.add(Fault::on(api), FaultAction::Drop).unwrap());
    let producer = producer(&cluster, "shop", "true");
    let sending = tokio::spawn(async move { send(&producer, TOPIC, "in the end").await });
    assert!(within("the first fault", all[2].reached(2)).await);
    faults.clear_all();
    sending.await.unwrap().unwrap();
    assert_eq!(log(&cluster, TOPIC).await, ["in the end"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_moved_under_load_loses_nothing_and_writes_nothing_twice() {
    let cluster = cluster().await;
    let client = producer(&cluster, "shop", "true");
    let load = tokio::spawn(async move {
        for number in 0..300 {
            send(&client, TOPIC, &number.to_string()).await.unwrap();
        }
    });
    let mut led_by = BTreeSet::new();
    for round in 0.. {
        let node = round % 3 + 1;
        cluster.move_leader(TOPIC, 0, node).unwrap();
        cluster.move_leader("other", 0, node).unwrap();
        let leads: Vec<usize> = cluster.info().nodes.iter().map(|node| node.leads).collect();
        led_by.extend(leads.iter().position(|leads| *leads == 2));
        if load.is_finished() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    load.await.unwrap();
    assert_eq!(led_by.len(), 3);
    let expected: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    assert_eq!(log(&cluster, TOPIC).await, expected);
    assert_eq!(cluster.move_leader(TOPIC, 9, 1), Err(MoveError::UnknownPartition));
    assert_eq!(cluster.move_leader(TOPIC, 0, 9), Err(MoveError::NoReplica(9)));
    cluster.kill(3).await.unwrap();
    assert_eq!(cluster.move_leader(TOPIC, 0, 3), Err(MoveError::NotInSync(3)));
}

/// A leader that does not know of it yet when it is asked where the log begins, and does when it is asked where the
/// log ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_a_partition_is_read_though_its_leader_has_just_changed() {
    let cluster = cluster().await;
    send(&producer(&cluster, "shop", "true"), TOPIC, "there").await.unwrap();
    for round in 0..10 {
        let action = FaultAction::Error(ResponseError::NotLeaderOrFollower);
        let rule = Fault::on(Api::ListOffsets).topic(TOPIC).times(1);
        let fault = cluster.faults().add(rule.clone(), action.clone()).unwrap();
        assert_eq!(log(&cluster, TOPIC).await, ["there"], "round {round}");
        assert_eq!(fault.fired(), 1);
        let fault = cluster.faults().add(rule, action).unwrap();
        assert_eq!(consume(&cluster, &format!("group-{round}")).await, ["there"]);
        assert_eq!(fault.fired(), 1);
    }
}

/// Between the question where the log ends and the one what is of that time, whichever comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_while_the_first_of_a_time_is_looked_for_is_not_passed_over() {
    let cluster = cluster().await;
    let producer = producer(&cluster, "shop", "true");
    send(&producer, TOPIC, "too old").await.unwrap();
    let time = jiff::Timestamp::now() + Duration::from_millis(1);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let admin = Admin::connect(&ClientConfig::new(cluster.bootstrap())).unwrap();
    let partitions = admin.describe_topic(TOPIC).await.unwrap().topic_partitions();
    let rule = Fault::on(Api::ListOffsets).topic(TOPIC);
    let asked = cluster.faults().add(rule, FaultAction::Delay(Duration::from_secs(2))).unwrap();
    let writes = async {
        assert!(asked.reached(2).await);
        send(&producer, TOPIC, "of that time").await.unwrap();
        asked.clear();
    };
    let looks = admin.starts(&partitions, StartFrom::Time(time));
    let (starts, ()) = within("both", async { tokio::join!(looks, writes) }).await;
    assert_eq!(starts.unwrap(), BTreeMap::from([(partitions[0].clone(), Offset(1))]));
}
