//! Messages that can't be handled, with a dead-letter topic for them.

use rdkafka::message::{Headers as _, Message as _};

use super::*;
use crate::handler::{Batch, Outcomes};
use crate::{DeadLetter, DeadLetterCause, Headers, Record, RetryPolicy};

const LETTERS: &str = "orders.dlq";

fn briefly(attempts: u32) -> RetryPolicy {
    RetryPolicy::exponential(attempts, Duration::from_millis(5)..=Duration::from_millis(20))
}

/// The first `count` dead letters, by where they come from.
fn letters(bootstrap: &str, count: usize) -> Vec<DeadLetter> {
    let client: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "looks at letters")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..3 {
        list.add_partition_offset(LETTERS, partition, rdkafka::Offset::Beginning).unwrap();
    }
    client.assign(&list).unwrap();
    let (mut letters, begun) = (Vec::new(), Instant::now());
    while letters.len() < count {
        assert!(begun.elapsed() < Duration::from_secs(30), "{count} letters, not {letters:?}");
        let Some(Ok(message)) = client.poll(Duration::from_millis(100)) else { continue };
        let mut headers = Headers::new();
        for header in message.headers().unwrap().iter() {
            headers.push(header.key, header.value.map(|value| value.to_vec().into()));
        }
        let (partition, offset) = (PartitionId(message.partition()), Offset(message.offset()));
        let mut record = Record::new(LETTERS, partition, offset).with_headers(headers);
        record.value = message.payload().map(|value| value.to_vec().into());
        letters.push(DeadLetter::read(record).unwrap());
    }
    let more = client.poll(Duration::from_millis(300));
    assert!(!matches!(more, Some(Ok(_))), "no more than {count}");
    letters.sort_by(|a, b| a.source.cmp(&b.source));
    letters
}

fn text(letter: &DeadLetter) -> &str {
    std::str::from_utf8(letter.record.value.as_ref().unwrap()).unwrap()
}

/// A cluster with so many partitions and numbered messages, and a dead-letter topic; and where it is.
fn filled(partitions: i32, messages: usize) -> (Mock, String) {
    let cluster = mock_with_letters(partitions);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(partitions, messages));
    (cluster, bootstrap)
}

fn mock_with_letters(partitions: i32) -> Mock {
    let cluster = mock(partitions);
    cluster.create_topic(LETTERS, 3, 3).unwrap();
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_cannot_be_handled_goes_to_the_dead_letter_topic_and_its_partition_goes_on() {
    let (_cluster, bootstrap) = filled(3, 90);
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let handler = |message: Message, _: Context| async move {
        match value(&message) {
            30 => Err(Failure::from("never works")),
            31 => Err(Failure::reject("unknown customer")),
            32 => panic!("a bug"),
            _ => Ok(()),
        }
    };
    let run = single(&bootstrap)
        .retry(&briefly(3))
        .dead_letter(LETTERS)
        .exit_at_end(true)
        .on_event(move |event| {
            if let ConsumerEvent::DeadLettered { partition, offset, attempts, cause, .. } = event {
                tell.lock().unwrap().push((partition.clone(), offset.0, *attempts, *cause));
            }
        })
        .run(handler, CancellationToken::new());
    let report = within(60, "the end", run).await.unwrap();
    assert_eq!((report.ended, report.closed.clone()), (Ended::AtEnd, Closed::Clean));
    assert_eq!((report.handled, report.dead_lettered, report.stopped.len()), (87, 3, 0));
    assert!(report.unwritten_letters.is_empty());
    assert_eq!(committed(&bootstrap, "g", 3), BTreeMap::from([(0, 30), (1, 30), (2, 30)]));
    told.lock().unwrap().sort();
    use DeadLetterCause as Cause;
    let expected = [
        (at(0), 10, 3, Cause::RetriesExhausted),
        (at(1), 10, 1, Cause::Rejected),
        (at(2), 10, 3, Cause::Panicked),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
    let letters = letters(&bootstrap, 3);
    let read: Vec<_> = letters
        .iter()
        .map(|it| {
            let source = (it.source.topic_partition.clone(), it.source.offset.0, it.attempts);
            ((source.0, source.1, source.2, it.cause), text(it), it.error.as_str())
        })
        .collect();
    let [error, reject, panic] = expected;
    assert_eq!(
        read,
        [
            (error, "30", "never works"),
            (reject, "31", "rejected: unknown customer"),
            (panic, "32", "handler panicked: a bug"),
        ]
    );
    for letter in letters {
        assert_eq!((letter.group.as_str(), letter.hops), ("g", 1));
        assert!(letter.source_timestamp.is_some());
        assert!(letter.first_failure <= letter.last_failure);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_goes_there_with_its_bytes_as_they_are() {
    let cluster = mock_with_letters(1);
    let bootstrap = cluster.bootstrap_servers();
    let good = crate::Message::new("hello".to_owned()).unwrap().to_json().unwrap();
    produce(&bootstrap, [(0, good.clone()), (0, "{\"id\": 7}".to_owned()), (0, good)]);
    let handler = |_: Arc<Received<crate::Message>>, _: Context| async { Ok::<(), Failure>(()) };
    let run = SingleMessageConsumer::builder(&bootstrap, TOPIC)
        .group("g")
        .dead_letter(LETTERS)
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    let report = within(60, "the end", run).await.unwrap();
    assert_eq!((report.handled, report.dead_lettered, report.stopped.len()), (2, 1, 0));
    let letters = letters(&bootstrap, 1);
    assert_eq!((text(&letters[0]), letters[0].attempts), ("{\"id\": 7}", 0));
    assert_eq!(letters[0].cause, DeadLetterCause::Unreadable);
    assert!(letters[0].error.starts_with("can't be read: "), "{}", letters[0].error);
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 3)]));
}

/// A handler that fails because it has given up itself, as one whose output nobody reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_when_the_run_was_asked_to_end_is_no_dead_letter() {
    let (_cluster, bootstrap) = filled(1, 20);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let handler = move |message: Message, _: Context| {
        if value(&message) == 7 {
            stop.cancel();
        }
        let fails = 7 <= value(&message);
        async move { if fails { Err(Failure::from("broken pipe")) } else { Ok(()) } }
    };
    let run = single(&bootstrap).retry(&RetryPolicy::never()).dead_letter(LETTERS);
    let report = within(60, "the end", run.run(handler, shutdown)).await.unwrap();
    assert_eq!((report.handled, report.dead_lettered, report.stopped.len()), (7, 0, 0));
    assert!(report.unwritten_letters.is_empty());
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 7)]));
    assert_eq!(letters(&bootstrap, 0), []);
}

type Whole = Arc<Batch<bytes::Bytes>>;

/// Batches of ten, in which a message has three attempts.
fn tens(bootstrap: &str) -> ConsumerBuilder<Batches, RawDecoder> {
    batches(bootstrap).batch(10, Duration::from_secs(20)).retry(&briefly(3)).dead_letter(LETTERS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_a_hundred_go_there_and_the_others_are_handled_once() {
    let (_cluster, bootstrap) = filled(1, 200);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    let handler = move |batch: Whole, context: Context| {
        let seen: Vec<u64> = batch.items().iter().map(|item| value(item)).collect();
        noted.lock().unwrap().push((context.attempt(), seen));
        async move {
            Ok::<Outcomes, Failure>(batch.outcomes(|item| match value(item) {
                3 => Err("never works".into()),
                70 => Err(Failure::reject("no such customer")),
                _ => Ok(()),
            }))
        }
    };
    let run = batches(&bootstrap)
        .batch(100, Duration::from_secs(20))
        .retry(&briefly(3))
        .dead_letter(LETTERS)
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    let report = within(60, "the end", run).await.unwrap();
    assert_eq!((report.handled, report.dead_lettered, report.stopped.len()), (198, 2, 0));
    let expected =
        [(1, (0..100).collect::<Vec<_>>()), (2, vec![3]), (3, vec![3]), (1, (100..200).collect())];
    assert_eq!(*calls.lock().unwrap(), expected);
    let letters = letters(&bootstrap, 2);
    let read: Vec<_> = letters.iter().map(|it| (text(it), it.attempts, it.cause)).collect();
    use DeadLetterCause as Cause;
    assert_eq!(read, [("3", 3, Cause::RetriesExhausted), ("70", 1, Cause::Rejected)]);
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 200)]));
}

/// What is tried again is handled on both sides of a message that is given up and has no copy yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handled_around_a_rejected_message_does_not_settle_it() {
    // The second handler answers for all that is left at once, so that each is tried alone in the end.
    for whole in [false, true] {
        let (_cluster, bootstrap) = filled(1, 10);
        let handler = move |batch: Whole, context: Context| async move {
            if whole && 1 < context.attempt() && 1 < batch.len() {
                return Err(Failure::from("all of them"));
            }
            let first = context.attempt() == 1;
            Ok::<Outcomes, Failure>(batch.outcomes(|item| match value(item) {
                5 => Err(Failure::reject("no such customer")),
                3 | 7 if first => Err("not yet".into()),
                _ => Ok(()),
            }))
        };
        let run = tens(&bootstrap).exit_at_end(true).run(handler, CancellationToken::new());
        let report = within(60, "the end", run).await.unwrap();
        assert_eq!((report.handled, report.dead_lettered), (9, 1), "{whole}");
        assert_eq!(text(&letters(&bootstrap, 1)[0]), "5");
    }
}

/// The run ends after the others are handled and before there is a copy: the message comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_message_of_a_batch_is_not_passed_when_the_run_ends_before_its_copy() {
    let (_cluster, bootstrap) = filled(1, 10);
    let stop = CancellationToken::new();
    let ends = stop.clone();
    let handler = move |batch: Whole, context: Context| {
        let (first, ends) = (context.attempt() == 1, ends.clone());
        async move {
            if !first {
                ends.cancel();
            }
            Ok::<Outcomes, Failure>(batch.outcomes(|item| match value(item) {
                5 => Err(Failure::reject("no such customer")),
                3 | 7 if first => Err("not yet".into()),
                _ => Ok(()),
            }))
        }
    };
    let run = tens(&bootstrap).run(handler, stop);
    let report = within(60, "the end", run).await.unwrap();
    assert_eq!((report.handled, report.dead_lettered), (9, 0));
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 5)]));
}

/// A panic answers for the whole batch; which message it was, only trying them alone tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_harms_its_whole_batch_goes_there_alone() {
    let (_cluster, bootstrap) = filled(1, 20);
    let handler = move |batch: Whole, _: Context| async move {
        if batch.items().iter().any(|item| value(item) == 7) {
            panic!("seven");
        }
        Ok::<Outcomes, Failure>(batch.all_done())
    };
    let run = batches(&bootstrap)
        .batch(10, Duration::from_secs(20))
        .retry(&briefly(2))
        .dead_letter(LETTERS)
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    let report = within(60, "the end", run).await.unwrap();
    assert_eq!((report.handled, report.dead_lettered, report.stopped.len()), (19, 1, 0));
    let letters = letters(&bootstrap, 1);
    let read = (text(&letters[0]), letters[0].attempts, letters[0].cause);
    assert_eq!(read, ("7", 3, DeadLetterCause::Panicked));
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 20)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_topic_that_is_not_there_or_consumed_itself_is_an_error_at_once() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    let handler = |_: Message, _: Context| async { Ok::<(), Failure>(()) };
    let run = single(&bootstrap).dead_letter(LETTERS).run(handler, CancellationToken::new());
    let error = within(30, "the error", run).await.unwrap_err();
    assert!(matches!(error, ConsumeError::DeadLetterTopic(_)), "{error:?}");
    assert!(error.to_string().contains("orders.dlq does not exist"), "{error}");
    let run = single(&bootstrap).dead_letter(TOPIC).run(handler, CancellationToken::new());
    let error = within(30, "the error", run).await.unwrap_err().to_string();
    assert!(error.contains("dead_letter = \"orders\": must not be a topic"), "{error}");
    let mut nowhere = single(&bootstrap).create_dead_letter(true);
    nowhere = nowhere.dead_letter("no/topic");
    let run = nowhere.run(handler, CancellationToken::new());
    let error = within(30, "the error", run).await.unwrap_err().to_string();
    assert!(error.contains("dead_letter = \"no/topic\""), "{error}");
}

/// They are written one after another, and wait together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_a_batch_that_wait_for_their_copies_are_counted_and_named() {
    use rdkafka::types::RDKafkaRespErr as Code;
    let (cluster, bootstrap) = filled(1, 10);
    let (called, away) = (CancellationToken::new(), CancellationToken::new());
    let (calls, gate) = (called.clone(), away.clone());
    let handler = move |batch: Whole, _: Context| {
        calls.cancel();
        let gate = gate.clone();
        async move {
            gate.cancelled().await;
            Ok::<_, Failure>(batch.outcomes(|item| match item.position().offset.0 {
                2 | 5 | 7 => Err(Failure::reject("never")),
                _ => Ok(()),
            }))
        }
    };
    let builder = BatchMessageConsumer::builder(&bootstrap, TOPIC)
        .decoder(crate::RawDecoder)
        .group("g")
        .batch(10, Duration::from_millis(500))
        .dead_letter(LETTERS);
    let (health, shutdown) = (builder.health(), CancellationToken::new());
    let waiting = || {
        health.now().conditions.iter().find_map(|condition| match condition {
            crate::Condition::DeadLetterWaiting { letters, .. } => Some(*letters),
            _ => None,
        })
    };
    let watches = async {
        called.cancelled().await;
        cluster.topic_error(LETTERS, Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE).unwrap();
        away.cancel();
        while waiting().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let letters = waiting();
        shutdown.cancel();
        letters
    };
    let run = builder.run(handler, shutdown.clone());
    let (report, letters) = within(60, "the end", async { tokio::join!(run, watches) }).await;
    assert_eq!(letters, Some(3));
    let left: Vec<i64> = report.unwrap().unwritten_letters.iter().map(|it| it.offset.0).collect();
    assert_eq!(left, [2, 5, 7]);
}
