//! Topics that are there, and then are not. The mock cluster's metadata says so; librdkafka believes it
//! once a topic has been known for `topic.metadata.propagation.max.ms`, and a new client waits as long.

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;

use super::remake::{Events, firsts, heard, remaking};
use super::*;

const PATIENCE: Duration = Duration::from_secs(2);
/// Keeps messages in the queue, and is longer than the time that a topic has to be known.
const LINGER: Duration = Duration::from_secs(3);

/// A producer with messages queued for a topic that has just vanished.
async fn queued_when_it_vanishes(
    cluster: &Mock,
    events: &Events,
    on_fatal: OnFatal,
) -> (MessageProducer, Vec<Delivery>) {
    let mut builder = heard(cluster, events)
        .property("topic.metadata.propagation.max.ms", PATIENCE.as_millis().to_string())
        .property("topic.metadata.refresh.interval.ms", "100")
        .linger(LINGER)
        .on_fatal(on_fatal);
    // A new message is refused before what is queued has waited long enough.
    builder.config_mut().unknown_topic_grace = PATIENCE / 4;
    let producer = builder.build().await.unwrap();
    let numbered = |number: usize| message(&number.to_string()).with_key("key");
    within("the first", producer.send(TOPIC, &numbered(0)).await.unwrap()).await.unwrap();
    let mut queued = Vec::new();
    for number in 1..20 {
        queued.push(producer.send(TOPIC, &numbered(number)).await.unwrap());
    }
    let gone = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.topic_error(TOPIC, gone).unwrap();
    (producer, queued)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_for_a_topic_that_vanishes_wait_until_it_is_back() {
    let (cluster, events) = (mock(), Events::default());
    let (producer, queued) = queued_when_it_vanishes(&cluster, &events, OnFatal::Remake).await;
    events.wait(1, remaking).await;
    let error = within("the refusal", producer.send(TOPIC, &message("new"))).await.unwrap_err();
    assert!(matches!(error, SendError::UnknownTopic { .. }) && error.is_retriable(), "{error}");
    cluster.topic_error(TOPIC, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    let last = loop {
        match producer.send(TOPIC, &message("20").with_key("key")).await {
            Ok(delivery) => break delivery,
            Err(SendError::UnknownTopic { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    for delivery in queued.into_iter().chain([last]) {
        within("a delivery", delivery).await.unwrap();
    }
    assert!(firsts(&cluster)["key"].iter().copied().eq(0..=20));
    assert_eq!(events.count(remaking), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_another_client_a_vanished_topic_fails_its_messages_at_once() {
    let (cluster, events) = (mock(), Events::default());
    let (_producer, queued) = queued_when_it_vanishes(&cluster, &events, OnFatal::GiveUp).await;
    let begun = Instant::now();
    for delivery in queued {
        assert!(within("the failure", delivery).await.is_err());
    }
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_for_a_topic_that_stays_away_fail_after_a_while_and_say_why() {
    let (cluster, events) = (mock(), Events::default());
    let (producer, queued) = queued_when_it_vanishes(&cluster, &events, OnFatal::Remake).await;
    let begun = Instant::now();
    for delivery in queued {
        let error = within("the failure", delivery).await.unwrap_err();
        assert!(error.to_string().contains("vanished"), "{error}");
        assert!(error.is_retriable() && !error.may_have_been_written());
    }
    assert!(PATIENCE <= begun.elapsed());
    assert_eq!(events.count(remaking), 1);
    assert_eq!(producer.close(Duration::from_secs(5)).await.unsent, []);
}

/// No broker ever named it: nothing is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_never_was_fails_without_another_client() {
    let (cluster, events) = (mock(), Events::default());
    let producer = heard(&cluster, &events).build().await.unwrap();
    let record = OutgoingRecord {
        value: Some("x".into()),
        partition: Some(crate::PartitionId(9)),
        ..OutgoingRecord::default()
    };
    match producer.send_record(TOPIC, &record).await {
        // librdkafka may know by now, or find out.
        Err(error) => assert!(matches!(error, SendError::UnknownTopic { .. }), "{error}"),
        Ok(delivery) => {
            let error = within("the failure", delivery).await.unwrap_err();
            assert_eq!(error.code, RDKafkaErrorCode::UnknownPartition);
        }
    }
    assert_eq!(events.count(remaking), 0);
}
