//! Many keys of a partition at once.

use std::collections::HashSet;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::{Concurrency, RetryPolicy};

/// Sends `values` to partition 0, each with its key.
pub(super) fn produce_keyed(
    bootstrap: &str,
    values: impl IntoIterator<Item = (Option<String>, String)>,
) {
    let producer: BaseProducer =
        rdkafka::ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    for (key, value) in values {
        let mut record = BaseRecord::<str, str>::to(TOPIC).partition(0).payload(&value);
        record.key = key.as_deref();
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

fn keyed(bootstrap: &str, calls: usize) -> ConsumerBuilder<Single, RawDecoder> {
    single(bootstrap).concurrency(Concurrency::PerKey(calls))
}

fn brief_pauses(attempts: u32) -> RetryPolicy {
    RetryPolicy::exponential(attempts, Duration::from_millis(5)..=Duration::from_millis(10))
}

fn key(message: &Received<bytes::Bytes>) -> Option<String> {
    message.key().map(|key| String::from_utf8(key.to_vec()).unwrap())
}

/// How many are at work at once, at most.
#[derive(Debug, Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Crowd {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_handlers_are_called_at_once_and_no_more() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    let of = |number: usize| (Some((number % 40).to_string()), number.to_string());
    produce_keyed(&bootstrap, (0..400).map(of));
    let crowd = Arc::new(Crowd::default());
    let counted = Arc::clone(&crowd);
    let handler = move |_: Message, _: Context| {
        let crowd = Arc::clone(&counted);
        async move {
            crowd.enter();
            tokio::time::sleep(Duration::from_millis(5)).await;
            crowd.leave();
            Ok::<(), Failure>(())
        }
    };
    let run = keyed(&bootstrap, 16).exit_at_end(true).run(handler, CancellationToken::new());
    let report = within(60, "four hundred", run).await.unwrap();
    assert_eq!((report.handled, report.ended, report.outstanding), (400, Ended::AtEnd, 0));
    assert_eq!(crowd.most.load(Ordering::SeqCst), 16);
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 400)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_retried_holds_the_commit_but_no_other_key_and_no_handler() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    let of = |number: usize| (Some((number % 5).to_string()), number.to_string());
    produce_keyed(&bootstrap, (0..100).map(of));
    let (done, shutdown) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
    let noted = Arc::clone(&done);
    // One handler at a time: a message in a pause must not keep it.
    let handler = move |message: Message, context: Context| {
        let noted = Arc::clone(&noted);
        async move {
            let others = noted.lock().unwrap().iter().filter(|value| *value % 5 != 1).count();
            if value(&message) == 1 && others < 80 {
                assert!(context.attempt() < 5_000);
                return Err(Failure::from("not before all others"));
            }
            noted.lock().unwrap().push(value(&message));
            Ok(())
        }
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let run = keyed(&bootstrap, 1)
        .retry(&brief_pauses(10_000))
        .exit_at_end(true)
        .on_event(move |event| {
            if let ConsumerEvent::Committed { offset, .. } = event {
                tell.lock().unwrap().push(offset.0);
            }
        })
        .run(handler, shutdown);
    let report = within(60, "a hundred", run).await.unwrap();
    assert_eq!((report.handled, report.stopped.len()), (100, 0));
    let order = done.lock().unwrap().clone();
    let of_key = |rest| order.iter().copied().filter(move |value| value % 5 == rest);
    for rest in 0..5 {
        assert!(of_key(rest).eq((0..20).map(|number| number * 5 + rest)), "{order:?}");
    }
    assert_eq!(order.iter().position(|value| *value == 1), Some(80));
    assert!(told.lock().unwrap().iter().all(|position| [1, 100].contains(position)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_can_not_be_handled_stops_the_partition_once_others_in_hand_are_finished() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce_keyed(&bootstrap, (0..50).map(|number| (Some(number.to_string()), number.to_string())));
    let (begun, finish) = (Arc::new(Seen::default()), CancellationToken::new());
    let (noted, finishes) = (Arc::clone(&begun), finish.clone());
    let handler = move |message: Message, _: Context| {
        noted.note(&message);
        let (noted, finishes) = (Arc::clone(&noted), finishes.clone());
        async move {
            match value(&message) {
                4 => {
                    while noted.count() < 8 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    Err(Failure::reject("no four"))
                }
                // In a pause when the partition stops.
                5 => Err(Failure::retry_after(Duration::from_secs(600), "later")),
                0..4 => Ok(()),
                _ => {
                    finishes.cancelled().await;
                    Ok(())
                }
            }
        }
    };
    let health = keyed(&bootstrap, 4);
    let seen = health.health();
    let run = health
        .on_event(move |event| {
            if let ConsumerEvent::PartitionStopped(stopped) = event {
                // Told while others are in hand.
                assert_eq!((stopped.offset, stopped.attempts), (Offset(4), 1));
                assert!(!finish.is_cancelled());
                finish.cancel();
            }
        })
        .on_failure(OnFailure::Exit)
        .run(handler, CancellationToken::new());
    let report = within(60, "the stop", run).await.unwrap();
    assert_eq!((report.ended, report.outstanding), (Ended::PartitionStopped, 0));
    assert_eq!(report.stopped.len(), 1);
    assert_eq!(report.handled as usize, begun.count() - 2, "all in hand were finished");
    assert!(begun.count() < 12, "nothing else was begun: {begun:?}");
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 4)]));
    assert!(seen.now().conditions.iter().any(|one| one.to_string().contains("no four")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_waits_for_all_in_hand_and_what_is_dropped_is_told() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce_keyed(&bootstrap, (0..30).map(|number| (Some(number.to_string()), number.to_string())));
    let (shutdown, begun) = (CancellationToken::new(), Arc::new(Seen::default()));
    let (stop, noted) = (shutdown.clone(), Arc::clone(&begun));
    // The last one never ends.
    let handler = move |message: Message, _: Context| {
        let number = value(&message);
        if noted.note(&message) == 8 {
            stop.cancel();
        }
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            if number == 3 {
                std::future::pending::<()>().await;
            }
            Ok::<(), Failure>(())
        }
    };
    let builder = keyed(&bootstrap, 8).shutdown_deadline(Duration::from_secs(4));
    let health = builder.health();
    let run = tokio::spawn(builder.run(handler, shutdown.clone()));
    within(30, "the stop", shutdown.cancelled()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let in_work: Vec<_> = health.now().in_work.iter().map(|it| it.offset).collect();
    assert_eq!(in_work, [Offset(3)], "the one that is left is shown");
    let report = within(60, "the end", run).await.unwrap().unwrap();
    assert_eq!((report.handled, report.outstanding), (7, 1));
    assert_eq!(begun.count(), 8, "nothing else was begun");
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 3)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_without_a_key_are_in_order_among_themselves() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    let named = |number: usize| number.is_multiple_of(2).then(|| (number % 14).to_string());
    produce_keyed(&bootstrap, (0..300).map(|number| (named(number), number.to_string())));
    let (order, at_work) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(HashSet::new())));
    let noted = Arc::clone(&order);
    let handler = move |message: Message, _: Context| {
        let (noted, at_work) = (Arc::clone(&noted), Arc::clone(&at_work));
        async move {
            let (key, value) = (key(&message), value(&message));
            assert!(at_work.lock().unwrap().insert(key.clone()), "two of {key:?} at once");
            tokio::time::sleep(Duration::from_millis(value % 3)).await;
            at_work.lock().unwrap().remove(&key);
            noted.lock().unwrap().push((key, value));
            Ok::<(), Failure>(())
        }
    };
    let run = keyed(&bootstrap, 32).exit_at_end(true).run(handler, CancellationToken::new());
    let report = within(60, "three hundred", run).await.unwrap();
    assert_eq!((report.handled, report.retried), (300, 0));
    let order = order.lock().unwrap();
    let without: Vec<u64> = order.iter().filter(|it| it.0.is_none()).map(|it| it.1).collect();
    assert!(without.is_sorted() && without.len() == 150, "{without:?}");
    assert!(!order.iter().map(|it| it.1).is_sorted(), "keys ran beside each other");
}

/// A message that hangs must not let everything behind it in: after a crash all of it comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_hangs_lets_so_many_past_it_and_no_more() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce_keyed(
        &bootstrap,
        (0..500).map(|number| (Some(number.to_string()), number.to_string())),
    );
    let (done, hangs) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
    let (counted, hanging) = (Arc::clone(&done), hangs.clone());
    let handler = move |message: Message, _: Context| {
        let (counted, hanging) = (Arc::clone(&counted), hanging.clone());
        async move {
            if value(&message) == 10 {
                hanging.cancelled().await;
            }
            counted.fetch_add(1, Ordering::SeqCst);
            Ok::<(), Failure>(())
        }
    };
    let mut builder = keyed(&bootstrap, 4).exit_at_end(true);
    builder.config_mut().ahead_messages_max = 100;
    let run = tokio::spawn(builder.run(handler, CancellationToken::new()));
    let all_it_may = async {
        while done.load(Ordering::SeqCst) < 10 + 99 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(30, "as many as may", all_it_may).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(done.load(Ordering::SeqCst), 10 + 99);
    hangs.cancel();
    let report = within(60, "the rest", run).await.unwrap().unwrap();
    assert_eq!(report.handled, 500);
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 500)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_calls_as_make_no_sense_and_batches_per_key_are_refused() {
    for calls in [0, 10_001] {
        let run = keyed("127.0.0.1:1", calls).run(
            |_: Message, _: Context| std::future::ready(Ok::<(), Failure>(())),
            CancellationToken::new(),
        );
        let error = run.await.expect_err("refused");
        assert!(error.to_string().contains("concurrency"), "{error}");
    }
    let mut builder = batches("127.0.0.1:1");
    builder.config_mut().concurrency = Concurrency::PerKey(4);
    let handler = |batch: Arc<crate::Batch<bytes::Bytes>>, _: Context| {
        std::future::ready(Ok::<crate::Outcomes, Failure>(batch.all_done()))
    };
    let error = builder.run(handler, CancellationToken::new()).await.expect_err("refused");
    assert!(error.to_string().contains("concurrency"), "{error}");
}

/// A key with many messages lags behind the others; an end that is asked for leaves no gap behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_end_handles_what_others_have_passed_so_that_nothing_comes_again() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    // Every other message is of one key.
    let of = |number: usize| {
        let key = if number.is_multiple_of(2) { "hot".to_owned() } else { number.to_string() };
        (Some(key), number.to_string())
    };
    produce_keyed(&bootstrap, (0..400).map(of));
    let (seen, shutdown) = (Arc::new(Seen::default()), CancellationToken::new());
    let (noted, stop) = (Arc::clone(&seen), shutdown.clone());
    let handler = move |message: Message, _: Context| {
        let (noted, stop) = (Arc::clone(&noted), stop.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if noted.note(&message) == 60 {
                stop.cancel();
            }
            Ok::<(), Failure>(())
        }
    };
    let run = keyed(&bootstrap, 4).run(handler, shutdown);
    let report = within(60, "the end", run).await.unwrap();
    let offsets = seen.0.lock().unwrap()[&at(0)].iter().map(|(at, _)| at.0).collect::<Vec<_>>();
    let latest = offsets.iter().max().unwrap() + 1;
    assert_eq!(offsets.len() as i64, latest, "no gap: {offsets:?}");
    assert!(!offsets.is_sorted() && latest < 400, "others had passed the key: {latest}");
    assert_eq!((report.handled, report.outstanding), (latest as u64, 0));
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, latest)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_handled_goes_to_the_dead_letter_topic_and_its_key_goes_on() {
    let cluster = mock(1);
    cluster.create_topic("orders.dlq", 1, 3).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let of = |number: usize| (Some((number % 6).to_string()), number.to_string());
    produce_keyed(&bootstrap, (0..120).map(of));
    let seen = Arc::new(Seen::default());
    let noted = Arc::clone(&seen);
    let handler = move |message: Message, _: Context| {
        noted.note(&message);
        async move {
            match value(&message) {
                7 | 20 => Err(Failure::reject("not this one")),
                33 => Err(Failure::from("never works")),
                _ => Ok(()),
            }
        }
    };
    let (letters, tell) = (Arc::new(Mutex::new(Vec::new())), Arc::default());
    let (told, waiting): (_, Arc<Mutex<Vec<i64>>>) = (Arc::clone(&letters), Arc::clone(&tell));
    let run = keyed(&bootstrap, 4)
        .retry(&brief_pauses(2))
        .dead_letter("orders.dlq")
        .exit_at_end(true)
        .on_event(move |event| match event {
            ConsumerEvent::DeadLettered { offset, attempts, .. } => {
                told.lock().unwrap().push((offset.0, *attempts));
            }
            ConsumerEvent::PartitionStopped(stopped) => {
                waiting.lock().unwrap().push(stopped.offset.0);
            }
            _ => {}
        })
        .run(handler, CancellationToken::new());
    let report = within(60, "the end", run).await.unwrap();
    assert_eq!((report.handled, report.dead_lettered, report.ended), (117, 3, Ended::AtEnd));
    assert_eq!(*tell.lock().unwrap(), Vec::<i64>::new());
    letters.lock().unwrap().sort_unstable();
    assert_eq!(*letters.lock().unwrap(), [(7, 1), (20, 1), (33, 2)]);
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 120)]));
    let seen = &seen.0.lock().unwrap()[&at(0)];
    for key in 0..6 {
        let of_key: Vec<u64> =
            seen.iter().map(|(_, value)| *value).filter(|value| value % 6 == key).collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
    }
}
