//! The batch consumer.

use super::*;
use crate::{Batch, Outcomes, RetryPolicy};

type Whole = Arc<Batch<bytes::Bytes>>;

fn values(batch: &Batch<bytes::Bytes>) -> Vec<u64> {
    batch.items().iter().map(|item| value(item)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_full_by_count_and_of_one_partition() {
    let cluster = mock(2);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(2, 1_000));
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&sizes);
    let handler = move |batch: Whole, _: Context| {
        let partition = batch.partition().partition.0 as u64;
        assert!(batch.items().iter().all(|item| value(item) % 2 == partition));
        noted.lock().unwrap().push(batch.len());
        async move { Ok::<Outcomes, Failure>(batch.all_done()) }
    };
    let run = batches(&bootstrap)
        .batch(100, Duration::from_secs(30))
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    let report = within(60, "ten batches", run).await.unwrap();
    assert_eq!((report.handled, report.ended), (1_000, Ended::AtEnd));
    assert_eq!(*sizes.lock().unwrap(), [100; 10]);
    assert_eq!(committed(&bootstrap, "g", 2), BTreeMap::from([(0, 500), (1, 500)]));
}

#[tokio::test]
async fn what_is_wrong_with_a_batch_is_said_with_all_that_is_wrong_besides() {
    let handler =
        |batch: Whole, _: Context| async move { Ok::<Outcomes, Failure>(batch.all_done()) };
    let mut builder = batches("").batch(0, Duration::MAX).batch_bytes(0);
    builder.config_mut().concurrency = crate::Concurrency::PerKey(7);
    let refused = builder.run(handler, CancellationToken::new()).await;
    let Err(ConsumeError::Config(problems)) = refused else { panic!("accepted") };
    let names: Vec<&str> = problems.problems().iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["bootstrap", "batch", "batch_wait", "batch_bytes", "concurrency"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_full_by_bytes_or_after_its_wait() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    // Three of 8 bytes fill 20 bytes no more than two do; the last one waits.
    produce(&bootstrap, (0..5).map(|number| (0, format!("{:08}", 10_000_000 + number))));
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let (noted, shutdown) = (Arc::clone(&sizes), CancellationToken::new());
    let stop = shutdown.clone();
    let handler = move |batch: Whole, _: Context| {
        let mut noted = noted.lock().unwrap();
        noted.push((batch.len(), Instant::now()));
        if noted.len() == 3 {
            stop.cancel();
        }
        async move { Ok::<Outcomes, Failure>(batch.all_done()) }
    };
    let wait = Duration::from_millis(700);
    let run = batches(&bootstrap).batch(100, wait).batch_bytes(20).run(handler, shutdown);
    let report = within(60, "three batches", run).await.unwrap();
    assert_eq!(report.handled, 5);
    let sizes = sizes.lock().unwrap();
    assert_eq!(sizes.iter().map(|(size, _)| *size).collect::<Vec<_>>(), [2, 2, 1]);
    let waited = sizes[2].1.duration_since(sizes[1].1);
    assert!(wait <= waited + Duration::from_millis(50), "the last one waited {waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_retried_in_its_place_and_what_succeeded_is_not() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 20));
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    let handler = move |batch: Whole, context: Context| {
        noted.lock().unwrap().push((context.attempt(), values(&batch)));
        let attempt = context.attempt();
        async move {
            Ok::<Outcomes, Failure>(batch.outcomes(|item| match (value(item), attempt) {
                (3 | 7, 1) | (7, 2) => Err("not yet".into()),
                _ => Ok(()),
            }))
        }
    };
    let pause = Duration::from_millis(5);
    let run = batches(&bootstrap)
        .batch(10, Duration::from_secs(20))
        .retry(&RetryPolicy::exponential(5, pause..=pause))
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    let report = within(60, "retries", run).await.unwrap();
    assert_eq!((report.handled, report.retried), (20, 2));
    let expected =
        [(1, (0..10).collect::<Vec<_>>()), (2, vec![3, 7]), (3, vec![7]), (1, (10..20).collect())];
    assert_eq!(*calls.lock().unwrap(), expected);
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 20)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_message_of_a_batch_stops_its_partition_there() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 20));
    let handler = move |batch: Whole, context: Context| async move {
        Ok::<Outcomes, Failure>(batch.outcomes(|item| match (value(item), context.attempt()) {
            (4, _) => Err(Failure::reject("no four")),
            (2, 1) => Err("not yet".into()),
            _ => Ok(()),
        }))
    };
    let run = batches(&bootstrap)
        .batch(10, Duration::from_secs(1))
        .on_failure(OnFailure::Exit)
        .run(handler, CancellationToken::new());
    let report = within(60, "the rejection", run).await.unwrap();
    assert_eq!(report.ended, Ended::PartitionStopped);
    assert_eq!(report.handled, 9, "all of the first batch but the rejected one");
    let [stopped] = report.stopped.as_slice() else { panic!("{report:?}") };
    assert_eq!((stopped.offset, stopped.attempts), (Offset(4), 1));
    assert_eq!(stopped.reason, "rejected: no four");
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 4)]));
}

/// Nothing that comes after the end is waited for, so nothing can fill the batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_batch_before_the_end_does_not_wait_for_more() {
    let cluster = mock(3);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(3, 1_000));
    let handler =
        |batch: Whole, _: Context| async move { Ok::<Outcomes, Failure>(batch.all_done()) };
    let run = batches(&bootstrap)
        .batch(300, Duration::from_secs(600))
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    let report = within(60, "the end", run).await.unwrap();
    assert_eq!((report.handled, report.ended), (1_000, Ended::AtEnd));
    assert_eq!((report.outstanding, report.uncommitted.len()), (0, 0));
    assert_eq!(committed(&bootstrap, "g", 3), BTreeMap::from([(0, 334), (1, 333), (2, 333)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_collected_is_handled_when_the_run_is_asked_to_end() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 12));
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let (noted, shutdown) = (Arc::clone(&sizes), CancellationToken::new());
    let handler = move |batch: Whole, _: Context| {
        noted.lock().unwrap().push(batch.len());
        async move { Ok::<Outcomes, Failure>(batch.all_done()) }
    };
    let run = batches(&bootstrap).batch(5, Duration::from_secs(600)).run(handler, shutdown.clone());
    let run = tokio::spawn(run);
    let first_two = async {
        while sizes.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(60, "two batches", first_two).await;
    shutdown.cancel();
    let report = within(30, "the end", run).await.unwrap().unwrap();
    assert_eq!(*sizes.lock().unwrap(), [5, 5, 2]);
    assert_eq!((report.handled, report.ended), (12, Ended::Shutdown));
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 12)]));
}
