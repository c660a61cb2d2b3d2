//! Clients that can't go on. librdkafka's own test call puts one into that state: what it has sent is
//! then answered as a healthy broker would, what it has not is purged.

use std::collections::BTreeMap;

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, TopicPartitionList};

use super::*;
use crate::{ClientError, Offset, PartitionId};

/// Everything in the log, partition by partition.
pub(super) fn read_all<T>(cluster: &Mock, read: impl Fn(&BorrowedMessage<'_>) -> T) -> Vec<T> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "reader")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..3 {
        all.add_partition_offset(TOPIC, partition, rdkafka::Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let (mut found, mut ends) = (Vec::new(), 0);
    while ends < 3 {
        match consumer.poll(Duration::from_secs(20)).expect("an end") {
            Ok(message) => found.push(read(&message)),
            Err(KafkaError::PartitionEOF(_)) => ends += 1,
            Err(error) => panic!("{error}"),
        }
    }
    found
}

/// Contents by key, each the first time it stands there.
pub(super) fn firsts(cluster: &Mock) -> BTreeMap<String, Vec<usize>> {
    let all = read_all(cluster, |message| {
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        let read: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        (key, read["content"].as_str().unwrap().parse::<usize>().unwrap())
    });
    let mut firsts: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (key, number) in all {
        let firsts = firsts.entry(key).or_default();
        if !firsts.contains(&number) {
            firsts.push(number);
        }
    }
    firsts
}

/// Events as they come, to be waited for.
#[derive(Clone, Default)]
pub(super) struct Events(Arc<(Mutex<Vec<ProducerEvent>>, tokio::sync::Notify)>);

impl Events {
    pub(super) fn listener(&self) -> impl Fn(&ProducerEvent) + Send + Sync + 'static {
        let Self(events) = self.clone();
        move |event| {
            events.0.lock().unwrap().push(event.clone());
            events.1.notify_waiters();
        }
    }

    pub(super) fn count(&self, which: impl Fn(&ProducerEvent) -> bool) -> usize {
        self.0.0.lock().unwrap().iter().filter(|event| which(event)).count()
    }

    /// Until there are `many` of these.
    pub(super) async fn wait(&self, many: usize, which: impl Fn(&ProducerEvent) -> bool) {
        let come = async {
            loop {
                let mut next = std::pin::pin!(self.0.1.notified());
                next.as_mut().enable();
                if many <= self.count(&which) {
                    return;
                }
                next.await;
            }
        };
        within("an event", come).await;
    }
}

/// A producer whose events are heard.
pub(super) fn heard(cluster: &Mock, events: &Events) -> ProducerBuilder {
    MessageProducer::builder(cluster.bootstrap_servers()).on_event(events.listener())
}

pub(super) fn remaking(event: &ProducerEvent) -> bool {
    matches!(event, ProducerEvent::Remaking { .. })
}

pub(super) fn remade(event: &ProducerEvent) -> bool {
    matches!(event, ProducerEvent::Remade { .. })
}

pub(super) fn break_client(producer: &MessageProducer) {
    let client = producer.books.client().unwrap();
    sys::break_for_good(&client, RDKafkaErrorCode::OutOfOrderSequenceNumber);
}

const TASKS: usize = 16;
const EACH: usize = 300;

/// Sixteen tasks send at once, each its own key; `meanwhile` begins once a quarter is accepted, and the
/// last message of each key waits for its end. What came of each message, by key.
pub(super) async fn load(
    producer: &Arc<MessageProducer>,
    meanwhile: impl Future<Output = ()>,
) -> Vec<Vec<Option<Outcome>>> {
    let quarter = Arc::new(tokio::sync::Semaphore::new(0));
    let (over, done) = tokio::sync::watch::channel(false);
    let mut tasks = tokio::task::JoinSet::new();
    for key in 0..TASKS {
        let (producer, quarter) = (Arc::clone(producer), Arc::clone(&quarter));
        let mut done = done.clone();
        tasks.spawn(async move {
            let mut deliveries = Vec::new();
            for number in 0..EACH {
                if number + 1 == EACH {
                    done.wait_for(|done| *done).await.unwrap();
                }
                let message = message(&number.to_string()).with_key(format!("key {key}"));
                deliveries.push(producer.send(TOPIC, &message).await.ok());
                quarter.add_permits(1);
                tokio::task::yield_now().await;
            }
            let mut outcomes = Vec::new();
            for delivery in deliveries {
                outcomes.push(match delivery {
                    Some(delivery) => Some(delivery.await),
                    None => None,
                });
            }
            outcomes
        });
    }
    let _permits = quarter.acquire_many((TASKS * EACH / 4) as u32).await.unwrap();
    meanwhile.await;
    over.send_replace(true);
    within("the load", tasks.join_all()).await
}

pub(super) fn assert_all_delivered_in_order(cluster: &Mock, outcomes: &[Vec<Option<Outcome>>]) {
    for outcome in outcomes.iter().flatten() {
        assert!(matches!(outcome, Some(Ok(_))), "{outcome:?}");
    }
    let firsts = firsts(cluster);
    assert_eq!(firsts.len(), TASKS);
    for (key, numbers) in firsts {
        assert!(numbers.iter().copied().eq(0..EACH), "{key}: {numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_fatal_error_everything_is_delivered_in_order_and_the_event_tells() {
    let (cluster, events) = (mock(), Events::default());
    let producer = heard(&cluster, &events).build().await.unwrap();
    let producer = Arc::new(producer);
    let outcomes = load(&producer, async { break_client(&producer) }).await;
    assert_all_delivered_in_order(&cluster, &outcomes);
    assert_eq!(events.count(remaking), 1);
    assert_eq!(events.count(remade), 1);
    assert_eq!(producer.close(Duration::from_secs(10)).await.unsent, []);
}

/// The control: without another client the same load loses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_another_client_messages_fail_and_none_is_accepted_any_more() {
    let (cluster, events) = (mock(), Events::default());
    let producer = heard(&cluster, &events).on_fatal(OnFatal::GiveUp).build().await.unwrap();
    let producer = Arc::new(producer);
    let outcomes = load(&producer, async { break_client(&producer) }).await;
    let failed = outcomes.iter().flatten().filter(|outcome| !matches!(outcome, Some(Ok(_))));
    assert!(0 < failed.count());
    assert!(firsts(&cluster).values().map(Vec::len).sum::<usize>() < TASKS * EACH);
    let error = producer.send(TOPIC, &message("late")).await.unwrap_err();
    assert!(matches!(error, SendError::NotAccepting(NotAccepting::Fatal(_))), "{error}");
    assert_eq!(events.count(remaking), 0);
}

/// With room for a few messages only, so that most senders wait for their turn when the client breaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_break_again_and_again_change_neither_the_order_nor_the_budget() {
    const ROOM: usize = 100;
    let (cluster, events) = (mock(), Events::default());
    let producer = heard(&cluster, &events).memory_messages(ROOM).build().await.unwrap();
    let producer = Arc::new(producer);
    let breaking = async {
        for time in 1..=5 {
            let broken = producer.books.client().unwrap();
            break_client(&producer);
            // At once again, behind the shut door: the next client is broken while it is filled.
            while Arc::ptr_eq(&broken, &producer.books.client().unwrap()) {
                assert!(producer.books.under_way() <= ROOM);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            events.wait(time, remaking).await;
        }
    };
    let outcomes = load(&producer, breaking).await;
    assert_all_delivered_in_order(&cluster, &outcomes);
    assert_eq!(producer.close(Duration::from_secs(10)).await.unsent, []);
}

/// A close whose deadline passes while the client is being made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_amid_a_remake_ends_and_names_what_is_unsent() {
    let events = Events::default();
    // Nobody listens there.
    let producer =
        MessageProducer::builder("127.0.0.1:1").on_event(events.listener()).build().await.unwrap();
    let mut deliveries = Vec::new();
    for number in 0..100 {
        deliveries.push(producer.send(TOPIC, &message(&number.to_string())).await.unwrap());
    }
    break_client(&producer);
    events.wait(1, remaking).await;
    let begun = Instant::now();
    let report = within("closing", producer.close(Duration::ZERO)).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let tickets = report.unsent.iter().map(|unsent| unsent.ticket.0);
    assert!(tickets.eq(0..100), "{report:?}");
    assert!(report.unsent.iter().all(|unsent| !unsent.may_have_been_written));
    for delivery in deliveries {
        assert!(within("a delivery", delivery).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_is_dropped_amid_a_remake_settles_every_delivery() {
    let events = Events::default();
    let producer =
        MessageProducer::builder("127.0.0.1:1").on_event(events.listener()).build().await.unwrap();
    let held = producer.send(TOPIC, &message("held")).await.unwrap();
    break_client(&producer);
    events.wait(1, remaking).await;
    drop(producer);
    assert!(within("the delivery", held).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_waits_for_what_is_sent_again_and_try_send_does_not() {
    let (cluster, events) = (mock(), Events::default());
    let producer =
        heard(&cluster, &events).linger(Duration::from_millis(300)).build().await.unwrap();
    let delivery = producer.send(TOPIC, &message("waits")).await.unwrap();
    break_client(&producer);
    let error = producer.try_send(TOPIC, &message("does not")).unwrap_err();
    assert!(matches!(error, SendError::Full) && error.is_retriable(), "{error}");
    within("the flush", producer.flush(Duration::from_secs(30))).await.unwrap();
    assert_eq!(events.count(remade), 1);
    assert_eq!(within("the delivery", delivery).await.unwrap().offset, Some(Offset(0)));
}

/// Sent once, sent again: nothing of a record may get lost on the way through librdkafka.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_sent_again_is_the_same_record() {
    let (cluster, events) = (mock(), Events::default());
    let producer = heard(&cluster, &events).linger(Duration::from_secs(2)).build().await.unwrap();
    let mut headers = crate::Headers::new();
    headers.push("name", Some(Bytes::from_static(b"one")));
    headers.push("name", Some(Bytes::new()));
    headers.push("absent", None);
    let full = OutgoingRecord {
        key: Some("key".into()),
        value: Some("value".into()),
        headers,
        timestamp: Some(jiff::Timestamp::from_millisecond(1_234_567_890_123).unwrap()),
        partition: None,
    };
    let tombstone = OutgoingRecord { value: None, ..full.clone() };
    let empty =
        OutgoingRecord { key: Some(Bytes::new()), value: Some(Bytes::new()), ..full.clone() };
    // A partition that its key would not choose.
    let chosen = java_partition(b"key", 3);
    let elsewhere = (chosen + 1) % 3;
    let given = OutgoingRecord { partition: Some(PartitionId(elsewhere)), ..full.clone() };
    let mut sent = BTreeMap::new();
    for record in [&full, &tombstone, &empty, &given] {
        sent.insert(sent.len(), producer.send_record(TOPIC, record).await.unwrap());
    }
    break_client(&producer);
    events.wait(1, remade).await;
    let mut partitions = Vec::new();
    for delivery in sent.into_values() {
        partitions.push(within("a delivery", delivery).await.unwrap().partition.0);
    }
    assert_eq!(partitions, [chosen, chosen, java_partition(b"", 3), elsewhere]);
    let read = read_all(&cluster, |message| OutgoingRecord {
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers: message
            .headers()
            .unwrap()
            .iter()
            .map(|header| crate::Header {
                name: header.key.to_owned(),
                value: header.value.map(Bytes::copy_from_slice),
            })
            .collect(),
        timestamp: message
            .timestamp()
            .to_millis()
            .map(|millis| jiff::Timestamp::from_millisecond(millis).unwrap()),
        partition: (message.partition() == elsewhere).then_some(PartitionId(elsewhere)),
    });
    let mut wanted = vec![full, tombstone, empty, given];
    if java_partition(b"", 3) == elsewhere {
        wanted[2].partition = Some(PartitionId(elsewhere));
    }
    assert_eq!(read.len(), wanted.len());
    for record in wanted {
        assert!(read.contains(&record), "{record:?} is not among {read:?}");
    }
}

/// What brokers say when they and the producer disagree about what was written; the log is as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_error_of_the_idempotent_protocol_ends_in_a_delivery() {
    use RDKafkaRespErr as E;
    for error in [
        E::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
        E::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
        E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
        E::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
    ] {
        let cluster = mock();
        let producer = MessageProducer::builder(cluster.bootstrap_servers()).build().await.unwrap();
        // Three in a row: the next clients meet it too.
        cluster.request_errors(RDKafkaApiKey::Produce, &[error; 3]);
        let mut deliveries = Vec::new();
        for number in 0..10 {
            let message = message(&number.to_string()).with_key("key");
            deliveries.push(producer.send(TOPIC, &message).await.unwrap());
        }
        for delivery in deliveries {
            let outcome = within("a delivery", delivery).await;
            assert!(outcome.is_ok(), "{error:?}: {outcome:?}");
        }
        assert!(firsts(&cluster)["key"].iter().copied().eq(0..10), "{error:?}");
    }
}

/// The broker appended it and could not say so: sent again, it may stand there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_replicas_after_the_append_lose_nothing() {
    let cluster = mock();
    let producer = MessageProducer::builder(cluster.bootstrap_servers()).build().await.unwrap();
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
    cluster.request_errors(RDKafkaApiKey::Produce, &[error; 4]);
    let mut deliveries = Vec::new();
    for number in 0..10 {
        let message = message(&number.to_string()).with_key("key");
        deliveries.push(producer.send(TOPIC, &message).await.unwrap());
    }
    for delivery in deliveries {
        within("a delivery", delivery).await.unwrap();
    }
    assert!(firsts(&cluster)["key"].iter().copied().eq(0..10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_client_would_not_be_allowed_either_is_fatal() {
    let (cluster, events) = (mock(), Events::default());
    let producer =
        heard(&cluster, &events).linger(Duration::from_millis(500)).build().await.unwrap();
    let delivery = producer.send(TOPIC, &message("x")).await.unwrap();
    let client = producer.books.client().unwrap();
    sys::break_for_good(&client, RDKafkaErrorCode::ClusterAuthorizationFailed);
    assert!(within("the delivery", delivery).await.is_err());
    let error = within("the refusal", producer.send(TOPIC, &message("y"))).await.unwrap_err();
    let SendError::NotAccepting(NotAccepting::Refused(refused)) = error else { panic!("{error}") };
    assert!(matches!(refused, ClientError::Unauthorized { .. }), "{refused}");
    assert_eq!(events.count(|event| matches!(event, ProducerEvent::Fatal { .. })), 1);
    assert_eq!(events.count(remaking), 0);
}

/// A topic that can't be written to fails its own messages, once, and then at `send`; the others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_denies_its_messages_does_not_hold_up_the_others() {
    let (cluster, events) = (mock(), Events::default());
    cluster.create_topic("denied", 1, 3).unwrap();
    let producer = heard(&cluster, &events).build().await.unwrap();
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Produce, &[denied]);
    let failed = producer.send("denied", &message("x")).await.unwrap();
    let failed = within("the failure", failed).await.unwrap_err();
    assert_eq!(failed.code, RDKafkaErrorCode::TopicAuthorizationFailed);
    let error = producer.send("denied", &message("y")).await.unwrap_err();
    assert!(error.to_string().contains("TopicAuthorizationFailed"), "{error}");
    let delivery = producer.send(TOPIC, &message("z")).await.unwrap();
    within("the other topic", delivery).await.unwrap();
    assert_eq!(events.count(remaking), 1);
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// 16 MiB are in the producer all the time, in messages of 1 kB, and go from client to client. Nothing
/// answers, so that all of it is held each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_number_of_clients() {
    const ROOM: usize = 16 << 20;
    let events = Events::default();
    let producer = MessageProducer::builder("127.0.0.1:1")
        .memory_bytes(ROOM)
        .message_bytes_max(10_000)
        .on_event(events.listener())
        .build()
        .await
        .unwrap();
    let large = message(&"x".repeat(1_000)).with_key("key");
    let mut deliveries = vec![producer.send(TOPIC, &large).await.unwrap()];
    while let Ok(delivery) = producer.try_send(TOPIC, &large) {
        deliveries.push(delivery);
    }
    assert!(ROOM / 2_000 < deliveries.len(), "{}", deliveries.len());
    let mut sizes = Vec::new();
    for time in 1..=7 {
        break_client(&producer);
        events.wait(time, remade).await;
        assert!(matches!(producer.try_send(TOPIC, &large), Err(SendError::Full)));
        sizes.push(resident() >> 20);
    }
    assert!(sizes[6] < sizes[1] + 40, "MiB: {sizes:?}");
    assert_eq!(producer.close(Duration::ZERO).await.unsent.len(), deliveries.len());
}

/// Credentials that brokers do not know for a while are no reason to give up after many hours: that the
/// client before was let in counts for the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_was_let_in_before_its_client_broke_outlasts_a_denial() {
    let (cluster, events) = (mock(), Events::default());
    let producer = heard(&cluster, &events).build().await.unwrap();
    let first = producer.send(TOPIC, &message("first")).await.unwrap();
    within("the first", first).await.unwrap();
    (1..=3).for_each(|broker| cluster.broker_down(broker).unwrap());
    break_client(&producer);
    within("another client", events.wait(1, remade)).await;
    let second = producer.send(TOPIC, &message("second")).await.unwrap();
    let client = producer.books.client().unwrap();
    let denied =
        "b: SASL authentication error: Authentication failed (after 1ms in state AUTH_REQ)";
    client.client().context().note(RDKafkaErrorCode::Authentication, denied);
    drop(client);
    let gave_up = tokio::time::timeout(2 * crate::access::FINAL_AFTER, producer.gives_up()).await;
    assert!(gave_up.is_err(), "{gave_up:?}");
    (1..=3).for_each(|broker| cluster.broker_up(broker).unwrap());
    within("the second", second).await.unwrap();
    assert_eq!(producer.close(Duration::from_secs(10)).await.unsent, []);
}
