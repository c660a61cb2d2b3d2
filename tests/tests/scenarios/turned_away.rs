//! Messages that are refused, by the producer or by a broker: only they fail, whoever sent them is told,
//! and what is behind them goes on in its order.

use std::time::{Duration, Instant};

use kurier::{Message, NewTopic, ProducerEvent, SendError};
use kurier_broker::{Api, Fault, FaultAction};
use kurier_tests::audit::Found;
use kurier_tests::cluster::{cluster, create};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::FutureRecord;

use crate::careless::{careless, number, send};
use crate::dispatch::{Dispatch, TOPIC};
use crate::within;

/// Time enough for all that is sent at once to become one batch.
const ONE_BATCH: Duration = Duration::from_millis(150);

fn numbers(found: &[Found]) -> Vec<usize> {
    found.iter().map(number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_is_refused_at_once_and_what_is_behind_it_goes_on() {
    let dispatch = Dispatch::set(1, |builder| builder.message_bytes_max(1_000)).await;
    dispatch.send_all("key", 0..100).await;
    let large = "1".repeat(1_000);
    let refused = dispatch.send("key", &large).await.unwrap_err();
    assert!(matches!(refused, SendError::TooLarge { max: 1_000, .. }), "{refused}");
    assert!(!refused.is_retriable());
    dispatch.send_all("key", 100..200).await;
    let (verdict, found) = dispatch.finish("one too large among 200").await;
    assert_eq!((verdict.failed, verdict.delivered), (0, 200), "{verdict}");
    assert!(numbers(&found).into_iter().eq(0..200));
}

/// A topic that takes 20,000 bytes at once, and a producer that makes batches of up to a million.
async fn narrow() -> Dispatch {
    let cluster = cluster().await.unwrap();
    let topic = NewTopic::new(TOPIC).partitions(1).replication(3);
    create(&*cluster, TOPIC, &topic.config("max.message.bytes", "20000")).await.unwrap();
    Dispatch::on(cluster, None, |builder| builder.linger(ONE_BATCH)).await
}

/// Hardly to be compressed, and 36 times as long.
fn noise(length: usize) -> String {
    (0..length).map(|_| Message::new("x").unwrap().id().to_string()).collect()
}

/// The producer would allow it, and the topic does not. The broker refuses the whole batch, and does not
/// say which record of it was too large.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_batch_with_a_message_too_large_for_its_topic_only_that_one_fails() {
    let dispatch = narrow().await;
    within("the first", dispatch.send("key", "0").await.unwrap()).await.unwrap();
    dispatch.send_all("key", 1..10).await;
    let large = dispatch.send("key", &noise(2_000)).await.unwrap();
    dispatch.send_all("key", 10..20).await;
    let failed = within("the refusal", large).await.unwrap_err();
    assert_eq!(failed.code, RDKafkaErrorCode::MessageSizeTooLarge, "{failed}");
    assert!(!failed.may_have_been_written() && !failed.is_retriable());
    dispatch.send_all("key", 20..40).await;
    let (verdict, found) = dispatch.finish("one too large for its topic in a batch of 20").await;
    assert_eq!((verdict.failed, verdict.delivered), (1, 40), "{verdict}");
    assert!(numbers(&found).into_iter().eq(0..40));
}

/// Each of them is small enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_too_large_for_its_topic_is_delivered_message_by_message() {
    let dispatch = narrow().await;
    within("the first", dispatch.send("key", "0").await.unwrap()).await.unwrap();
    for _ in 0..10 {
        drop(dispatch.send("key", &noise(150)).await.unwrap());
    }
    let events = dispatch.events.clone();
    let (verdict, _) = dispatch.finish("10 messages of 5,400 bytes, 20,000 at once allowed").await;
    assert_eq!((verdict.failed, verdict.delivered), (0, 11), "{verdict}");
    let remaking = |event: &ProducerEvent| matches!(event, ProducerEvent::Remaking { .. });
    assert!(0 < events.count(remaking), "no batch was refused, so this shows nothing");
}

/// By a fault on request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_batch_with_one_invalid_record_only_that_one_fails_and_the_others_keep_their_order() {
    let lingering = |builder: kurier::ProducerBuilder| builder.linger(ONE_BATCH);
    let Some((dispatch, faults)) = Dispatch::with_faults(1, lingering).await else { return };
    within("the first", dispatch.send("key", "0").await.unwrap()).await.unwrap();
    let invalid = FaultAction::InvalidRecords { indexes: vec![3], message: "bad".to_owned() };
    let fault = faults.add(Fault::on(Api::Produce).times(1), invalid).unwrap();
    let mut deliveries = Vec::new();
    for number in 1..=20 {
        deliveries.push(dispatch.send("key", &number.to_string()).await.unwrap());
    }
    assert!(within("the fault", fault.reached(1)).await);
    dispatch.send_all("key", 21..=40).await;
    let mut bad = Vec::new();
    for (number, delivery) in (1..).zip(deliveries) {
        if let Err(error) = within("a delivery", delivery).await {
            bad.push((number, error.code, error.may_have_been_written()));
        }
    }
    let (verdict, found) = dispatch.finish("the fourth of a batch of 20 invalid").await;
    assert_eq!(bad, [(4, RDKafkaErrorCode::InvalidRecord, false)]);
    let expected: Vec<usize> = (0..=40).filter(|number| *number != 4).collect();
    assert_eq!(numbers(&found), expected, "{verdict}");
}

/// The control: librdkafka alone fails them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_librdkafka_alone_fails_every_record_of_a_batch_with_an_invalid_one() {
    let Some((dispatch, faults)) = Dispatch::with_faults(1, |builder| builder).await else {
        return;
    };
    let bootstrap = dispatch.cluster.bootstrap();
    let client = careless(bootstrap, &[("enable.idempotence", "true"), ("linger.ms", "300")]);
    let invalid = FaultAction::InvalidRecords { indexes: vec![3], message: "bad".to_owned() };
    faults.add(Fault::on(Api::Produce).times(1), invalid).unwrap();
    let fates = within("all", send(&client, &dispatch.books, 0..20).join_all()).await;
    let failed = fates.iter().filter(|fate| fate.is_err()).count();
    eprintln!("control: {failed} of 20 failed for one that is invalid");
    assert_eq!(failed, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_never_was_is_refused_at_send_and_named_by_the_delivery_of_one_that_did_not_ask()
 {
    // How long librdkafka believes that a topic is on its way; 30 s in everyday life.
    let brief = ("topic.metadata.propagation.max.ms", "2000");
    let dispatch = Dispatch::set(1, |builder| builder.properties([brief])).await;
    let message = Message::new("x").unwrap();
    let begun = Instant::now();
    let sent = within("the refusal", dispatch.producer.send("nowhere", &message)).await;
    let (refused, asked) = (sent.unwrap_err(), begun.elapsed());
    assert!(
        matches!(&refused, SendError::UnknownTopic { topic } if topic == "nowhere"),
        "{refused}"
    );
    assert!(refused.is_retriable());
    let begun = Instant::now();
    let delivery = dispatch.producer.try_send("nothing", &message).unwrap();
    let failed = within("the delivery", delivery).await.unwrap_err();
    let waited = begun.elapsed();
    assert!(failed.to_string().contains("nothing") && !failed.may_have_been_written(), "{failed}");
    let fatal = |event: &ProducerEvent| matches!(event, ProducerEvent::Fatal { .. });
    assert_eq!(dispatch.events.count(fatal), 0);
    dispatch.send_all("key", 0..10).await;
    let figures = format!("refused after {asked:.1?}; told without asking after {waited:.1?}");
    let (verdict, _) = dispatch.finish(&figures).await;
    assert_eq!((verdict.failed, verdict.delivered), (0, 10), "{verdict}");
}

/// The control: librdkafka alone takes it, and everything behind it, until it gives up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_librdkafka_alone_takes_a_message_for_a_topic_that_never_was() {
    let dispatch = Dispatch::set(1, |builder| builder).await;
    let client = careless(
        dispatch.cluster.bootstrap(),
        &[("topic.metadata.propagation.max.ms", "2000"), ("allow.auto.create.topics", "false")],
    );
    let record = FutureRecord::<(), _>::to("nowhere").payload("x");
    let taken = client.send_result(record).map_err(|(error, _)| error).unwrap();
    let begun = Instant::now();
    let failed = within("the delivery", taken).await.unwrap().unwrap_err().0;
    eprintln!("control: taken, and given up after {:.1?}: {failed}", begun.elapsed());
}
