//! Callers that do not wait for the end: they drop the producer, a future or a delivery, or give a flush
//! and a close only so much time.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use kurier::Message;
use kurier_tests::audit;
use rdkafka::producer::FutureRecord;
use uuid::Uuid;

use crate::careless::careless;
use crate::dispatch::{Dispatch, LIMIT_TO_CLOSE, TOPIC, end_silence, judge, silence};
use crate::within;

/// Some of them on their way to nodes that have just fallen silent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_of_a_dropped_producer_all_have_an_outcome_that_is_true() {
    const ALL: usize = 10_000;
    let dispatch = Dispatch::set(3, |builder| builder).await;
    within("the first", dispatch.send("key", "0").await.unwrap()).await.unwrap();
    let mut deliveries = Vec::new();
    for number in 1..=ALL {
        if number == ALL / 10 {
            silence(&*dispatch.cluster).await;
        }
        let key = format!("key {}", number % 16);
        deliveries.push(dispatch.send(&key, &number.to_string()).await.unwrap());
    }
    let under_way = dispatch.books.counts().2;
    assert!(ALL as u64 / 2 < under_way, "{under_way} are left to be dropped");
    let Dispatch { cluster, books, producer, .. } = dispatch;
    let begun = Instant::now();
    drop(producer);
    let (mut written, mut unknown, mut not_written) = (0, 0, 0);
    for delivery in deliveries {
        match within("an outcome", delivery).await {
            Ok(_) => written += 1,
            Err(error) if error.may_have_been_written() => unknown += 1,
            Err(_) => not_written += 1,
        }
    }
    let took = begun.elapsed();
    end_silence(&*cluster).await;
    let figures = format!(
        "dropped with {under_way} unsent, all told in {took:.1?}: {written} written, {unknown} unknown, \
         {not_written} not written"
    );
    let (verdict, _) = judge(&*cluster, &books, &figures).await;
    assert_eq!((verdict.accepted, verdict.under_way), (1 + ALL as u64, 0), "{verdict}");
    assert_eq!(verdict.failed, unknown + not_written, "{verdict}");
}

/// Whoever waits for room and goes has sent nothing; whoever has sent and goes has sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_future_that_is_cancelled_has_sent_nothing_and_a_dropped_delivery_everything() {
    const ROOM: usize = 10;
    let dispatch = Dispatch::set(1, |builder| builder.memory_messages(ROOM)).await;
    within("the first", dispatch.send("key", "0").await.unwrap()).await.unwrap();
    let mut cancelled = HashSet::new();
    // At any point on the way, while the memory is full most of the time.
    for number in 1..=400 {
        cancelled.extend(cancelled_after(&dispatch, number, 40 * (number as u64 % 50)).await);
    }
    let amid = cancelled.len();
    within("room", dispatch.producer.flush(LIMIT_TO_CLOSE)).await.unwrap();
    silence(&*dispatch.cluster).await;
    dispatch.send_all("key", 1_000..1_000 + ROOM).await;
    for number in 2_000..2_005 {
        let gone = cancelled_after(&dispatch, number, 50_000).await;
        assert!(gone.is_some(), "there is no room, and it was accepted");
        cancelled.extend(gone);
    }
    end_silence(&*dispatch.cluster).await;
    let accepted = dispatch.books.counts().0;
    let figures = format!("{accepted} accepted, {amid} cancelled amid a load, 5 without room");
    let (verdict, found) = dispatch.finish(&figures).await;
    assert_eq!(verdict.failed, 0, "{verdict}");
    assert!(0 < amid, "none was cancelled amid a load");
    let there: HashSet<Uuid> = found.iter().filter_map(audit::Found::id).collect();
    assert_eq!(there.len() as u64, accepted, "accepted and there");
    assert!(there.is_disjoint(&cancelled), "cancelled and there");
}

/// The control: librdkafka's own future, where whoever goes can't know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_future_of_librdkafka_alone_that_is_cancelled_has_sent_all_the_same() {
    let dispatch = Dispatch::set(1, |builder| builder).await;
    let client = careless(dispatch.cluster.bootstrap(), &[("enable.idempotence", "true")]);
    let mut cancelled = HashSet::new();
    for number in 0..100 {
        let message = Message::new(number.to_string()).unwrap().with_key("key");
        let json = message.to_json().unwrap();
        dispatch.books.intended(&message).unwrap();
        let record = FutureRecord::to(TOPIC).partition(0).key("key").payload(&json);
        let sending = client.send(record, LIMIT_TO_CLOSE);
        match tokio::time::timeout(Duration::from_micros(40 * (number % 50)), sending).await {
            Ok(sent) => drop(sent.unwrap()),
            Err(_) => {
                cancelled.insert(message.id());
            }
        }
    }
    // In one partition, so behind all others.
    let last = FutureRecord::<(), _>::to(TOPIC).partition(0).payload("last");
    within("the last", client.send(last, LIMIT_TO_CLOSE)).await.unwrap();
    let found = audit::enter(&dispatch.books, dispatch.cluster.bootstrap(), TOPIC).await.unwrap();
    let there = found.iter().filter_map(audit::Found::id).filter(|id| cancelled.contains(id));
    let there = there.count();
    eprintln!(
        "{:?}, control: {there} of {} cancelled are there",
        dispatch.cluster.kind(),
        cancelled.len()
    );
    assert!(0 < there, "this suite sees nothing that a cancelled future has sent");
}

/// Sends, and goes after so many microseconds. The message's id, if it was not accepted by then.
async fn cancelled_after(dispatch: &Dispatch, number: usize, microseconds: u64) -> Option<Uuid> {
    let message = Message::new(number.to_string()).unwrap().with_key("key");
    let id = message.id();
    dispatch.books.intended(&message).unwrap();
    let sending = dispatch.producer.send(TOPIC, &message);
    match tokio::time::timeout(Duration::from_micros(microseconds), sending).await {
        Ok(accepted) => {
            drop(accepted.unwrap());
            dispatch.books.sent(id);
            None
        }
        Err(_) => {
            dispatch.books.refused(id);
            Some(id)
        }
    }
}

/// The control: with a cluster nothing is unsent, and nobody is named for having been accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_with_a_cluster_a_flush_and_a_close_name_nothing() {
    let dispatch = Dispatch::set(3, |builder| builder).await;
    for key in 0..16 {
        dispatch.send_all(&format!("key {key}"), 0..30).await;
    }
    within("a flush", dispatch.producer.flush(LIMIT_TO_CLOSE)).await.unwrap();
    let (verdict, _) = dispatch.finish("flushed and closed with a cluster").await;
    assert_eq!((verdict.delivered, verdict.failed), (480, 0), "{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_cluster_a_flush_and_a_close_end_in_time_and_name_all_that_is_unsent() {
    const UNSENT: usize = 500;
    const DEADLINE: Duration = Duration::from_secs(1);
    let dispatch = Dispatch::set(3, |builder| builder).await;
    within("the first", dispatch.send("key", "0").await.unwrap()).await.unwrap();
    silence(&*dispatch.cluster).await;
    let mut expected = Vec::new();
    for number in 0..UNSENT {
        let text = number.to_string();
        let message = Message::new(&*text).unwrap().with_key(format!("key {}", number % 16));
        let delivery = dispatch.send_message(&message).await.unwrap();
        expected.push((delivery.ticket(), Some(message.id())));
    }
    let begun = Instant::now();
    let flushed = dispatch.producer.flush(DEADLINE).await.unwrap_err();
    let flushing = begun.elapsed();
    assert_eq!((flushed.outstanding, flushed.waited), (UNSENT, DEADLINE));
    assert!((DEADLINE..3 * DEADLINE).contains(&flushing), "{flushing:?}");
    let begun = Instant::now();
    let report = dispatch.producer.close(DEADLINE).await;
    let closing = begun.elapsed();
    // "Within a few seconds of the deadline".
    assert!((DEADLINE..DEADLINE + Duration::from_secs(5)).contains(&closing), "{closing:?}");
    let unsent: Vec<_> = report.unsent.iter().map(|unsent| (unsent.ticket, unsent.id)).collect();
    assert_eq!(unsent, expected);
    let unknown = report.unsent.iter().filter(|unsent| unsent.may_have_been_written).count();
    end_silence(&*dispatch.cluster).await;
    let figures = format!(
        "flush of 1 s ended after {flushing:.1?}, close of 1 s after {closing:.1?} with {UNSENT} unsent, \
         {unknown} of them perhaps written"
    );
    let (verdict, _) = dispatch.judge(&figures).await;
    assert_eq!((verdict.failed, verdict.under_way), (UNSENT as u64, 0), "{verdict}");
}
