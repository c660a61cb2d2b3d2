//! Messages that can't be handled, yet or ever.

use super::*;
use crate::{MessageDecoder, RetryPolicy};

fn patient() -> RetryPolicy {
    RetryPolicy::exponential(5, Duration::from_millis(5)..=Duration::from_millis(20))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_and_panics_are_retried_in_place_while_other_partitions_flow() {
    let cluster = mock(2);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(2, 40));
    let seen = Arc::new(Seen::default());
    let notes = Arc::clone(&seen);
    let handler = move |message: Message, context: Context| {
        let notes = Arc::clone(&notes);
        async move {
            match (value(&message), context.attempt()) {
                (10, 1) => return Err(Failure::from("once more")),
                (10, 2) => panic!("and again"),
                (10, 3) => {
                    // Partition 1 goes on to its end in the meantime.
                    let begun = Instant::now();
                    while notes.0.lock().unwrap().get(&at(1)).is_none_or(|seen| seen.len() < 20) {
                        assert!(begun.elapsed() < Duration::from_secs(20), "the other one waits");
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                _ => {}
            }
            notes.note(&message);
            Ok(())
        }
    };
    let run = single(&bootstrap).retry(&patient()).exit_at_end(true);
    let report = within(60, "forty", run.run(handler, CancellationToken::new())).await.unwrap();
    assert_eq!((report.handled, report.retried, report.stopped.len()), (40, 2, 0));
    let evens: Vec<u64> = seen.0.lock().unwrap()[&at(0)].iter().map(|(_, value)| *value).collect();
    assert_eq!(evens, (0..20).map(|number| number * 2).collect::<Vec<_>>(), "in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_message_stops_its_partition_only_and_is_never_passed_over() {
    let cluster = mock(3);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(3, 90));
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    // Partition 0: every attempt fails. Partition 1: rejected. Partition 2: fine.
    let handler = |message: Message, _: Context| async move {
        match value(&message) {
            30 => Err(Failure::from("never works")),
            31 => Err(Failure::reject("unknown customer")),
            _ => Ok(()),
        }
    };
    let run = single(&bootstrap)
        .retry(&patient())
        .exit_at_end(true)
        .on_event(move |event| {
            if let ConsumerEvent::PartitionStopped(stopped) = event {
                tell.lock().unwrap().push(stopped.clone());
            }
        })
        .run(handler, CancellationToken::new());
    let mut report = within(60, "the end", run).await.unwrap();
    assert_eq!(report.ended, Ended::AtEnd, "a stopped partition counts as done");
    assert_eq!((report.handled, report.retried), (50, 4));
    report.stopped.sort_by_key(|stopped| stopped.partition.clone());
    told.lock().unwrap().sort_by_key(|stopped| stopped.partition.clone());
    assert_eq!(*told.lock().unwrap(), report.stopped);
    let stopped: Vec<_> = report
        .stopped
        .iter()
        .map(|one| (one.partition.clone(), one.offset.0, one.attempts, one.reason.as_str()))
        .collect();
    let expected = [(at(0), 10, 5, "never works"), (at(1), 10, 1, "rejected: unknown customer")];
    assert_eq!(stopped, expected);
    let positions = BTreeMap::from([(0, 10), (1, 10), (2, 30)]);
    assert_eq!(committed(&bootstrap, "g", 3), positions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_read_stops_its_partition() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    let good = crate::Message::new("hello".to_owned()).unwrap().to_json().unwrap();
    produce(&bootstrap, [(0, good.clone()), (0, "{\"id\": 7}".to_owned()), (0, good)]);
    let handler = |_: Arc<Received<crate::Message>>, _: Context| async { Ok::<(), Failure>(()) };
    let run = SingleMessageConsumer::builder(&bootstrap, TOPIC)
        .group("g")
        .decoder(MessageDecoder::<String>::new())
        .on_failure(OnFailure::Exit)
        .run(handler, CancellationToken::new());
    let report = within(60, "the exit", run).await.unwrap();
    assert_eq!((report.ended, report.handled), (Ended::PartitionStopped, 1));
    let [stopped] = report.stopped.as_slice() else { panic!("{report:?}") };
    assert_eq!((stopped.offset, stopped.attempts), (Offset(1), 0));
    assert!(stopped.reason.contains("can't be read: ") && stopped.reason.contains("id"));
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 1)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_configuration_is_refused_with_every_problem() {
    let run = SingleMessageConsumer::builder("", TOPIC)
        .property("enable.auto.commit", "true")
        .property("auto.offset.reset", "latest")
        .run(
            |_: Arc<Received<crate::Message>>, _: Context| async { Ok::<(), Failure>(()) },
            CancellationToken::new(),
        );
    let Err(ConsumeError::Config(problems)) = run.await else { panic!("accepted") };
    assert_eq!(problems.problems().len(), 3, "{problems}");
}

/// Whoever is told of events may be wrong; messages flow all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_panics_stops_nothing() {
    let cluster = mock(2);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(2, 100));
    let handler = |_: Message, _: Context| async { Ok::<(), Failure>(()) };
    let run = single(&bootstrap)
        .exit_at_end(true)
        .on_event(|event| panic!("told of {event:?}"))
        .run(handler, CancellationToken::new());
    let report = within(60, "the end", run).await.unwrap();
    assert_eq!((report.handled, report.stopped.len()), (100, 0));
    assert_eq!(report.closed, Closed::Clean);
}

#[derive(Debug, thiserror::Error)]
#[error("{0} is no customer")]
struct NoCustomer(u64);

/// One rule about errors for every handler, by their type; the batch's answers are asked one by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_policy_decides_about_an_error_holds_for_single_messages_and_for_batches() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 10));
    let policy = patient().deciding(|error| {
        if error.is::<NoCustomer>() { crate::Decision::Reject } else { crate::Decision::Retry }
    });
    let answer = |value, attempt| match (value, attempt) {
        (3, 1) => Err(Failure::from("once more")),
        (7, _) => Err(Failure::from(NoCustomer(7))),
        _ => Ok(()),
    };
    let handler = move |message: Message, context: Context| {
        std::future::ready(answer(value(&message), context.attempt()))
    };
    let one_by_one = single(&bootstrap).retry(&policy).exit_at_end(true);
    let of_batches = move |batch: Arc<crate::Batch<bytes::Bytes>>, context: Context| {
        let outcomes = batch.outcomes(|item| answer(value(item), context.attempt()));
        std::future::ready(Ok::<_, Failure>(outcomes))
    };
    let batched = batches(&bootstrap).group("batches").retry(&policy).exit_at_end(true);
    let never = CancellationToken::new;
    for report in [
        within(60, "one by one", one_by_one.run(handler, never())).await.unwrap(),
        within(60, "a batch", batched.run(of_batches, never())).await.unwrap(),
    ] {
        let [stopped] = report.stopped.as_slice() else { panic!("{report:?}") };
        assert_eq!((stopped.offset, report.retried), (Offset(7), 1));
        assert_eq!(stopped.reason, "rejected: trying again is of no use: 7 is no customer");
    }
}

/// Less room than one message for each partition; in partition 0 the first one hangs until all others of
/// all partitions are done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_share_the_room_of_the_consumer_and_one_that_hangs_takes_nothing_from_the_others()
 {
    const PARTITIONS: i32 = 8;
    let cluster = mock(PARTITIONS);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(PARTITIONS, 400));
    let seen = Arc::new(Seen::default());
    let notes = Arc::clone(&seen);
    let handler = move |message: Message, _: Context| {
        let notes = Arc::clone(&notes);
        async move {
            let others = || {
                let seen = notes.0.lock().unwrap();
                seen.iter()
                    .filter(|(of, _)| **of != at(0))
                    .map(|(_, seen)| seen.len())
                    .sum::<usize>()
            };
            while value(&message) == 0 && others() < 350 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            notes.note(&message);
            Ok::<(), Failure>(())
        }
    };
    for (group, calls) in [("one-by-one", None), ("keyed", Some(4))] {
        seen.0.lock().unwrap().clear();
        let mut run = single(&bootstrap).group(group).exit_at_end(true);
        if let Some(calls) = calls {
            run = run.concurrency(crate::Concurrency::PerKey(calls));
        }
        run.config_mut().in_flight_messages_max = 5;
        let run = run.run(handler.clone(), CancellationToken::new());
        let report = within(60, "all", run).await.unwrap();
        assert_eq!((report.handled, report.ended), (400, Ended::AtEnd));
    }
}
