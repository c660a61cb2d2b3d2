//! A producer with an outbox: what one leaves the next sends, before anything new, and nothing stays
//! behind that could be sent.

use super::remake::{
    Events, assert_all_delivered_in_order, break_client, firsts, heard, load, remade,
};
use super::*;
use crate::{Condition, OutboxConfig, OutboxRejects, OutboxStatus, OutboxSync, WhenFull};

const SOON: Duration = Duration::from_secs(20);

fn numbered(number: usize) -> Message {
    message(&number.to_string()).with_key("key")
}

fn away(cluster: &Mock) {
    (1..=3).for_each(|broker| cluster.broker_down(broker).unwrap());
}

fn back(cluster: &Mock) {
    (1..=3).for_each(|broker| cluster.broker_up(broker).unwrap());
}

fn undelivered(dir: &tempfile::TempDir) -> u64 {
    OutboxStatus::read(dir.path()).unwrap().undelivered
}

/// Leaves these in the outbox, none of which a broker has seen.
async fn leave(cluster: &Mock, dir: &tempfile::TempDir, numbers: std::ops::Range<usize>) {
    away(cluster);
    let builder = MessageProducer::builder(cluster.bootstrap_servers());
    let producer = builder.outbox(dir.path()).build().await.unwrap();
    let mut deliveries = Vec::new();
    for number in numbers.clone() {
        deliveries.push(within("send", producer.send(TOPIC, &numbered(number))).await.unwrap());
    }
    let report = within("the close", producer.close(Duration::ZERO)).await;
    assert_eq!(report, CloseReport { unsent: Vec::new(), kept: numbers.len() as u64 });
    for delivery in deliveries {
        let error = within("an outcome", delivery).await.unwrap_err();
        assert!(error.is_kept(), "{error}");
    }
    assert_eq!(undelivered(dir), numbers.len() as u64);
    back(cluster);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_delivered_leaves_the_outbox() {
    let (cluster, dir) = (mock(), tempfile::tempdir().unwrap());
    let builder = MessageProducer::builder(cluster.bootstrap_servers());
    let producer = builder.outbox(dir.path()).build().await.unwrap();
    let mut deliveries = Vec::new();
    for number in 0..50 {
        let acceptance = producer.queue(TOPIC, &numbered(number)).await.unwrap();
        assert_eq!(acceptance.ticket(), Some(Ticket(number as u64)));
        deliveries.push(within("acceptance", acceptance).await.unwrap());
    }
    for delivery in deliveries {
        within("a delivery", delivery).await.unwrap();
    }
    within("the flush", producer.flush(SOON)).await.unwrap();
    assert_eq!(producer.close(SOON).await, CloseReport::default());
    assert_eq!(undelivered(&dir), 0);
    assert!(firsts(&cluster)["key"].iter().copied().eq(0..50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_producer_leaves_the_next_sends_before_anything_new_and_tells() {
    let (cluster, dir) = (mock(), tempfile::tempdir().unwrap());
    leave(&cluster, &dir, 0..30).await;
    let (events, reports) = (Events::default(), Arc::new(Mutex::new(Vec::new())));
    let told = Arc::clone(&reports);
    let producer = heard(&cluster, &events)
        .outbox(dir.path())
        .on_delivery(move |report| told.lock().unwrap().push(report.clone()))
        .build()
        .await
        .unwrap();
    let replaying = ProducerEvent::OutboxReplaying { undelivered: 30 };
    assert_eq!(events.count(|event| *event == replaying), 1);
    for number in 30..60 {
        drop(producer.send(TOPIC, &numbered(number)).await.unwrap());
    }
    assert_eq!(producer.close(SOON).await, CloseReport::default());
    assert!(firsts(&cluster)["key"].iter().copied().eq(0..60));
    let reports = reports.lock().unwrap();
    let tickets = reports.iter().map(|report| report.ticket.0);
    assert!(tickets.eq(0..60), "deliveries of the earlier process are told too");
    assert!(reports.iter().all(|report| report.id.is_some() && report.outcome.is_ok()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_longer_than_memory_goes_to_the_disk_in_order() {
    let (cluster, dir) = (mock(), tempfile::tempdir().unwrap());
    away(&cluster);
    let builder = MessageProducer::builder(cluster.bootstrap_servers()).memory_messages(7);
    let producer = builder.outbox(dir.path()).build().await.unwrap();
    for number in 0..300 {
        drop(within("send", producer.send(TOPIC, &numbered(number))).await.unwrap());
    }
    assert!(producer.books.under_way() <= 7);
    back(&cluster);
    assert_eq!(within("the close", producer.close(SOON * 2)).await, CloseReport::default());
    assert!(firsts(&cluster)["key"].iter().copied().eq(0..300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_fatal_error_everything_in_the_outbox_is_delivered_in_order() {
    let (cluster, events) = (mock(), Events::default());
    let dir = tempfile::tempdir().unwrap();
    let outbox = OutboxConfig::from(dir.path()).sync(OutboxSync::Never);
    let builder = heard(&cluster, &events).memory_messages(100).outbox(outbox);
    let producer = Arc::new(builder.build().await.unwrap());
    let outcomes = load(&producer, async { break_client(&producer) }).await;
    assert_all_delivered_in_order(&cluster, &outcomes);
    assert_eq!(events.count(remade), 1);
    assert_eq!(producer.close(SOON).await, CloseReport::default());
    assert_eq!(undelivered(&dir), 0);
}

/// What the brokers do not allow this client is no reason to give messages up: the next may do it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_can_not_go_on_leaves_everything_in_the_outbox_and_its_close_does_not_wait()
{
    let (cluster, dir) = (mock(), tempfile::tempdir().unwrap());
    away(&cluster);
    let builder = MessageProducer::builder(cluster.bootstrap_servers());
    let producer = builder.outbox(dir.path()).build().await.unwrap();
    let delivery = within("send", producer.send(TOPIC, &numbered(0))).await.unwrap();
    let client = producer.books.client().unwrap();
    sys::break_for_good(&client, rdkafka::error::RDKafkaErrorCode::ClusterAuthorizationFailed);
    drop(client);
    assert!(within("the outcome", delivery).await.unwrap_err().is_kept());
    let error = producer.send(TOPIC, &numbered(1)).await.unwrap_err();
    assert!(matches!(error, SendError::NotAccepting(NotAccepting::Refused(_))), "{error}");
    assert_eq!(within("the close", producer.close(SOON * 100)).await.kept, 1);
    assert_eq!(undelivered(&dir), 1);
    back(&cluster);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_is_dropped_leaves_everything_in_the_outbox() {
    let (cluster, dir) = (mock(), tempfile::tempdir().unwrap());
    away(&cluster);
    let builder = MessageProducer::builder(cluster.bootstrap_servers());
    let health = builder.health();
    let producer = builder.outbox(dir.path()).build().await.unwrap();
    let delivery = producer.send(TOPIC, &numbered(0)).await.unwrap();
    drop(producer.send(TOPIC, &numbered(1)).await.unwrap());
    drop(producer);
    assert!(within("the outcome", delivery).await.unwrap_err().is_kept());
    let ended = async {
        while !matches!(health.now().conditions[..], [Condition::Ended(_)]) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("the end", ended).await;
    back(&cluster);
    let builder = MessageProducer::builder(cluster.bootstrap_servers());
    let next = builder.outbox(dir.path()).build().await.unwrap();
    assert_eq!(within("the close", next.close(SOON)).await, CloseReport::default());
    assert!(firsts(&cluster)["key"].iter().copied().eq(0..2));
}

/// The topic of the first is not there, and a later process allows less than the second has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_sent_after_a_restart_is_put_aside_with_the_reason_and_holds_up_nothing() {
    let (cluster, dir) = (mock(), tempfile::tempdir().unwrap());
    away(&cluster);
    let builder = MessageProducer::builder(cluster.bootstrap_servers());
    let producer = builder.outbox(dir.path()).build().await.unwrap();
    let large = message(&"x".repeat(5000)).with_key("key");
    drop(within("send", producer.send("nowhere", &numbered(0))).await.unwrap());
    drop(within("send", producer.send(TOPIC, &large)).await.unwrap());
    drop(within("send", producer.send(TOPIC, &numbered(2))).await.unwrap());
    assert_eq!(within("the close", producer.close(Duration::ZERO)).await.kept, 3);
    back(&cluster);
    cluster
        .topic_error(
            "nowhere",
            rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        )
        .unwrap();
    let failures = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&failures);
    let next = MessageProducer::builder(cluster.bootstrap_servers())
        .property("topic.metadata.propagation.max.ms", "1000")
        .message_bytes_max(3000)
        .outbox(dir.path())
        .on_delivery(move |report| {
            if let Err(error) = &report.outcome {
                told.lock().unwrap().push((report.ticket.0, error.is_kept(), error.reason.clone()));
            }
        })
        .build()
        .await
        .unwrap();
    assert_eq!(within("the close", next.close(SOON * 2)).await, CloseReport::default());
    let mut failures = failures.lock().unwrap().clone();
    failures.sort();
    let [(0, false, absent), (1, false, large)] = &failures[..] else { panic!("{failures:?}") };
    assert!(absent.contains("Unknown"), "{absent}");
    assert!(large.contains("over the limit of 3000"), "{large}");
    assert!(firsts(&cluster)["key"].iter().copied().eq([2]));
    let status = OutboxStatus::read(dir.path()).unwrap();
    assert_eq!((status.undelivered, status.rejected), (0, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_aside_is_delivered_in_its_order_once_the_reason_is_gone() {
    use rdkafka::types::RDKafkaRespErr as Code;
    let (cluster, dir) = (mock(), tempfile::tempdir().unwrap());
    leave(&cluster, &dir, 0..20).await;
    cluster.topic_error(TOPIC, Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let builder = MessageProducer::builder(cluster.bootstrap_servers());
    let impatient = builder.property("topic.metadata.propagation.max.ms", "1000");
    let producer = impatient.outbox(dir.path()).build().await.unwrap();
    assert_eq!(within("the close", producer.close(SOON * 2)).await, CloseReport::default());
    let status = OutboxStatus::read(dir.path()).unwrap();
    assert_eq!((status.undelivered, status.rejected), (0, 20));
    cluster.topic_error(TOPIC, Code::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    assert_eq!(OutboxRejects::of(dir.path()).retry().unwrap().messages, 20);
    let builder = MessageProducer::builder(cluster.bootstrap_servers());
    let next = builder.outbox(dir.path()).build().await.unwrap();
    assert_eq!(within("the close", next.close(SOON)).await, CloseReport::default());
    assert!(firsts(&cluster)["key"].iter().copied().eq(0..20));
    let status = OutboxStatus::read(dir.path()).unwrap();
    assert_eq!((status.undelivered, status.rejected), (0, 0));
}

/// What memory has no room for meets the missing topic on its way out of the outbox.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_in_the_outbox_for_a_topic_that_vanishes_wait_until_it_is_back() {
    let (cluster, dir, events) = (mock(), tempfile::tempdir().unwrap(), Events::default());
    let patience = Duration::from_secs(3);
    let producer = heard(&cluster, &events)
        .property("topic.metadata.propagation.max.ms", patience.as_millis().to_string())
        .property("topic.metadata.refresh.interval.ms", "100")
        .outbox(dir.path())
        .build()
        .await
        .unwrap();
    within("the first", producer.send(TOPIC, &numbered(0)).await.unwrap()).await.unwrap();
    // A topic that was made a moment ago is believed to be on its way.
    tokio::time::sleep(patience).await;
    let gone = rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.topic_error(TOPIC, gone).unwrap();
    let noticed = Duration::from_millis(600);
    tokio::time::sleep(noticed).await;
    // The first may be on its way out before the last was accepted: then that one is refused at once.
    let mut end = 1;
    while end < 20 && within("send", producer.send(TOPIC, &numbered(end))).await.is_ok() {
        end += 1;
    }
    assert!(1 < end, "none was accepted");
    events.wait(1, remade).await;
    cluster.topic_error(TOPIC, rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    assert_eq!(within("the close", producer.close(SOON)).await, CloseReport::default());
    let status = OutboxStatus::read(dir.path()).unwrap();
    assert_eq!((status.undelivered, status.rejected), (0, 0));
    assert!(firsts(&cluster)["key"].iter().copied().eq(0..end));
}

/// Nobody knows what came of it, so it is neither given up nor put aside: it is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_old_client_does_not_report_is_not_put_aside() {
    let (cluster, dir, events) = (mock(), tempfile::tempdir().unwrap(), Events::default());
    let builder = heard(&cluster, &events).memory_messages(1).outbox(dir.path());
    let producer = builder.build().await.unwrap();
    // In the client's hands as far as the books know, and never reported.
    let under_way = |_| Entry {
        ticket: Ticket(0),
        id: None,
        topic: TOPIC.into(),
        cost: 1,
        route: books::Route::Chosen,
        before: Persisted::No,
    };
    let taken = |_: &Client, _| Ok::<_, Refused<NotAccepting>>(());
    assert!(matches!(producer.books.accept(None, under_way, 1, taken), Ok(Accepted::At(..))));
    drop(within("send", producer.send(TOPIC, &numbered(0))).await.unwrap());
    break_client(&producer);
    // Longer than a client has to report what is left.
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(events.count(remade), 0);
    assert_eq!(within("the close", producer.close(Duration::ZERO)).await.kept, 1);
    let status = OutboxStatus::read(dir.path()).unwrap();
    assert_eq!((status.undelivered, status.rejected), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_outbox_refuses_if_that_was_chosen_and_health_says_so_until_there_is_room() {
    let (cluster, dir) = (mock(), tempfile::tempdir().unwrap());
    away(&cluster);
    let outbox = OutboxConfig::from(dir.path()).bytes_max(1 << 20).when_full(WhenFull::Refuse);
    let builder = MessageProducer::builder(cluster.bootstrap_servers())
        .message_bytes_max(200_000)
        .outbox(outbox);
    let health = builder.health();
    let producer = builder.build().await.unwrap();
    let large = message(&"x".repeat(100_000));
    let mut accepted = 0;
    let refused = loop {
        match within("send", producer.send(TOPIC, &large)).await {
            Ok(delivery) => drop(delivery),
            Err(refused) => break refused,
        }
        accepted += 1;
    };
    assert!(matches!(refused, SendError::Outbox { .. }) && refused.is_retriable(), "{refused}");
    assert!((8..=10).contains(&accepted), "{accepted}");
    let full = |one: &Condition| matches!(one, Condition::OutboxNotTaking { .. });
    assert!(health.now().conditions.iter().any(full) && health.now().is_live());
    back(&cluster);
    let room = async {
        while producer.send(TOPIC, &large).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("room", room).await;
    assert!(!health.now().conditions.iter().any(full), "{}", health.now());
    assert_eq!(within("the close", producer.close(SOON)).await, CloseReport::default());
}

/// Until the next start, which finds it kept aside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_outbox_is_in_the_health_of_the_producer_that_finds_it() {
    let (cluster, dir) = (mock(), tempfile::tempdir().unwrap());
    leave(&cluster, &dir, 0..3).await;
    let segment = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
    let segment =
        segment.into_iter().find(|path| path.extension().is_some_and(|is| is == "segment"));
    let mut bytes = std::fs::read(segment.as_ref().unwrap()).unwrap();
    // Of the first message.
    bytes[60] ^= 1;
    std::fs::write(segment.unwrap(), bytes).unwrap();
    let damaged = |one: &Condition| matches!(one, Condition::OutboxDamaged { more: 0, .. });
    for found in [true, false] {
        let builder = MessageProducer::builder(cluster.bootstrap_servers());
        let health = builder.health();
        let producer = builder.outbox(dir.path()).build().await.unwrap();
        within("the flush", producer.flush(SOON)).await.unwrap();
        let now = health.now();
        assert_eq!(now.conditions.iter().any(damaged), found, "{now}");
        assert!(now.is_live() && now.is_ready() != found, "{now}");
        assert_eq!(producer.close(SOON).await, CloseReport::default());
    }
    assert!(firsts(&cluster)["key"].iter().copied().eq(1..3));
}

#[tokio::test]
async fn what_gives_messages_up_or_never_waits_is_refused_beside_an_outbox() {
    let (cluster, dir) = (mock(), tempfile::tempdir().unwrap());
    let builder = || MessageProducer::builder(cluster.bootstrap_servers()).outbox(dir.path());
    let classic = builder().delivery(DeliveryProfile::OneInFlight).build().await.unwrap_err();
    assert!(classic.to_string().contains("does not send it again"), "{classic}");
    let deadline = builder().delivery_deadline(SOON).build().await.unwrap_err();
    assert!(deadline.to_string().contains("delivery_deadline"), "{deadline}");
    let small = OutboxConfig::from(dir.path()).bytes_max(100);
    let small = builder().outbox(small).build().await.unwrap_err();
    assert!(small.to_string().contains("outbox.bytes_max"), "{small}");
    let producer = builder().build().await.unwrap();
    let error = producer.try_send(TOPIC, &message("now")).unwrap_err();
    assert!(matches!(error, SendError::OutboxWaits) && !error.is_retriable(), "{error}");
    let bare = producer.try_send_record(TOPIC, &OutgoingRecord::default());
    assert!(matches!(bare, Err(SendError::OutboxWaits)), "{bare:?}");
    let second = builder().build().await.unwrap_err();
    assert!(second.to_string().contains(&format!("by process {}", std::process::id())), "{second}");
}
