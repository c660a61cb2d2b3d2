//! Answers that librdkafka can't go on from, or gives messages up for: the producer makes another client,
//! and sends again what is undelivered. By faults on request, so on the embedded cluster only.

use std::sync::Arc;
use std::time::Duration;

use kurier::{Condition, OffenceKind, ProducerBuilder, ProducerEvent};
use kurier_broker::{Api, Fault, FaultAction, ResponseError};
use kurier_tests::load::Load;
use rdkafka::error::RDKafkaErrorCode;

use crate::careless::{careless, number, send};
use crate::dispatch::{Dispatch, TOPIC};
use crate::{until, within};

const LOAD: Load = Load { keys: 16, each: 200, pause: Duration::from_millis(2) };

fn remaking(event: &ProducerEvent) -> bool {
    matches!(event, ProducerEvent::Remaking { .. })
}

fn remade(event: &ProducerEvent) -> bool {
    matches!(event, ProducerEvent::Remade { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_gap_in_the_sequence_the_client_is_remade_and_no_order_is_lost() {
    let Some((dispatch, faults)) = Dispatch::with_faults(3, |builder| builder).await else {
        return;
    };
    let load = LOAD.start(&dispatch.producer, TOPIC, &dispatch.books);
    for round in 1..=3 {
        let before = dispatch.books.counts().1;
        until("the load", || before + 200 < dispatch.books.counts().1).await;
        let gap = FaultAction::Error(ResponseError::OutOfOrderSequenceNumber);
        let fault = faults.add(Fault::on(Api::Produce), gap).unwrap();
        // It lasts, so that the next client meets it too and health can be looked at.
        let unready = || {
            let health = dispatch.health.now();
            let is_remaking = |it: &Condition| matches!(it, Condition::Remaking { .. });
            health.is_live() && !health.is_ready() && health.conditions.iter().any(is_remaking)
        };
        until("health says so", unready).await;
        dispatch.books.note(&format!("gap {round}: {}", dispatch.health.now()));
        fault.clear();
        until("ready again", || dispatch.health.now().is_ready()).await;
    }
    within("the load", load.finish()).await.unwrap();
    let told = (dispatch.events.count(remaking), dispatch.events.count(remade));
    let figures = format!("3 gaps, {} times remaking, {} remade", told.0, told.1);
    let (verdict, _) = dispatch.finish(&figures).await;
    assert!(3 <= told.1 && told.1 <= told.0, "{told:?}");
    assert_eq!(verdict.failed, 0, "{verdict}");
}

/// The control: librdkafka alone is done for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_after_a_gap_in_the_sequence_librdkafka_alone_delivers_nothing_more() {
    let Some((dispatch, faults)) = Dispatch::with_faults(1, |builder| builder).await else {
        return;
    };
    let bootstrap = dispatch.cluster.bootstrap();
    let client = careless(bootstrap, &[("enable.idempotence", "true")]);
    let gap = FaultAction::Error(ResponseError::OutOfOrderSequenceNumber);
    faults.add(Fault::on(Api::Produce).times(1), gap).unwrap();
    let fates = within("all", send(&client, &dispatch.books, 0..20).join_all()).await;
    let failed = fates.iter().filter(|fate| fate.is_err()).count();
    eprintln!("control: {failed} of 20 failed after one gap in the sequence");
    assert_eq!(failed, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_the_brokers_have_forgotten_loses_nothing_and_no_order() {
    let Some((dispatch, faults)) = Dispatch::with_faults(3, |builder| builder).await else {
        return;
    };
    let load = LOAD.start(&dispatch.producer, TOPIC, &dispatch.books);
    for error in [ResponseError::UnknownProducerId, ResponseError::InvalidProducerEpoch] {
        let before = dispatch.books.counts().1;
        until("the load", || before + 200 < dispatch.books.counts().1).await;
        let rule = Fault::on(Api::Produce).times(2);
        let fault = faults.add(rule, FaultAction::Error(error)).unwrap();
        assert!(within("the fault", fault.reached(2)).await);
    }
    within("the load", load.finish()).await.unwrap();
    let told = dispatch.events.count(remade);
    let (verdict, _) = dispatch.finish(&format!("forgotten twice, {told} times remade")).await;
    assert_eq!(verdict.failed, 0, "{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_replicas_after_the_append_are_asked_again_and_nothing_is_lost() {
    let Some((dispatch, faults)) = Dispatch::with_faults(3, |builder| builder).await else {
        return;
    };
    let load = LOAD.start(&dispatch.producer, TOPIC, &dispatch.books);
    until("the load", || 200 < dispatch.books.counts().1).await;
    // Appended, and the answer lost; then the same request fails as it does where replicas went amid it.
    let lost = faults.add(Fault::on(Api::Produce).times(1), FaultAction::DropReply).unwrap();
    assert!(within("a lost answer", lost.reached(1)).await);
    let few = FaultAction::Error(ResponseError::NotEnoughReplicasAfterAppend);
    let few = faults.add(Fault::on(Api::Produce).times(10), few).unwrap();
    assert!(within("the fault", few.reached(10)).await);
    within("the load", load.finish()).await.unwrap();
    let (verdict, _) = dispatch.finish("10 answers of too few replicas after the append").await;
    assert_eq!(verdict.failed, 0, "{verdict}");
    assert_eq!(verdict.count(OffenceKind::WrittenAgain), 0, "{verdict}");
}

/// The control: without another attempt they fail, though they are in the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_another_attempt_too_few_replicas_after_the_append_fail_messages() {
    let Some((dispatch, faults)) = Dispatch::with_faults(1, |builder| builder).await else {
        return;
    };
    let once = [("enable.idempotence", "false"), ("retries", "0")];
    let client = careless(dispatch.cluster.bootstrap(), &once);
    let few = FaultAction::Error(ResponseError::NotEnoughReplicasAfterAppend);
    faults.add(Fault::on(Api::Produce).times(1), few).unwrap();
    let fates = within("all", send(&client, &dispatch.books, 0..20).join_all()).await;
    let failed = Err(RDKafkaErrorCode::NotEnoughReplicasAfterAppend);
    let failed = fates.iter().filter(|fate| **fate == failed).count();
    eprintln!("control: {failed} of 20 failed after one answer of too few replicas");
    assert!(0 < failed);
}

/// Longer than the time that librdkafka gives a topic before it believes that it is gone.
fn forgetful(builder: ProducerBuilder) -> ProducerBuilder {
    builder
        .linger(Duration::from_secs(3))
        .property("topic.metadata.propagation.max.ms", "2000")
        .property("topic.metadata.refresh.interval.ms", "100")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_queued_for_a_topic_that_vanishes_is_kept_until_it_is_back() {
    let Some((dispatch, faults)) = Dispatch::with_faults(1, forgetful).await else { return };
    within("the first", dispatch.send("key", "0").await.unwrap()).await.unwrap();
    dispatch.send_all("key", 1..200).await;
    let rule = Fault::on(Api::Metadata).topic(TOPIC);
    let hidden = faults.add(rule, FaultAction::HideTopic).unwrap();
    until("the topic is missed", || 0 < dispatch.events.count(remaking)).await;
    hidden.clear();
    let (verdict, found) = dispatch.finish("a topic vanished with 199 queued, and came back").await;
    assert_eq!((verdict.failed, verdict.delivered), (0, 200), "{verdict}");
    assert!(found.iter().map(number).eq(0..200));
}

/// The control: librdkafka alone fails what is queued.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_librdkafka_alone_fails_what_is_queued_for_a_topic_that_vanishes() {
    let Some((dispatch, faults)) = Dispatch::with_faults(1, |builder| builder).await else {
        return;
    };
    let client = careless(
        dispatch.cluster.bootstrap(),
        &[
            ("enable.idempotence", "true"),
            ("linger.ms", "3000"),
            ("topic.metadata.propagation.max.ms", "2000"),
            ("topic.metadata.refresh.interval.ms", "100"),
        ],
    );
    let books = Arc::clone(&dispatch.books);
    within("the first", send(&client, &books, 0..1).join_all()).await;
    let queued = send(&client, &books, 1..200);
    let rule = Fault::on(Api::Metadata).topic(TOPIC);
    faults.add(rule, FaultAction::HideTopic).unwrap();
    let fates = within("all", queued.join_all()).await;
    let failed = fates.iter().filter(|fate| fate.is_err()).count();
    eprintln!("control: {failed} of 199 failed when their topic vanished");
    assert_eq!(failed, 199);
}
