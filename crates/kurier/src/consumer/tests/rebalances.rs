//! Partitions that move while messages flow.

use super::*;

/// Short times, so that a test sees in seconds what takes minutes.
fn quick(bootstrap: &str, instance: &str) -> ConsumerBuilder<Single, RawDecoder> {
    let mut builder = single(bootstrap).instance(instance);
    let config = builder.config_mut();
    config.session_timeout = Duration::from_secs(6);
    config.heartbeat_interval = Duration::from_millis(200);
    config.poll_interval_max = Duration::from_secs(6);
    config.commit_interval = Duration::from_millis(100);
    builder
}

/// Waits until `done` says so.
async fn until(what: &str, done: impl Fn() -> bool) {
    let looks = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(40, what, looks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_move_under_load_without_loss_or_repetition() {
    let cluster = mock(4);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(4, 6_000));
    let seen = Arc::new(Seen::default());
    let start = |instance: &str| {
        let (shutdown, notes) = (CancellationToken::new(), Arc::clone(&seen));
        let run = quick(&bootstrap, instance).run(
            move |message: Message, _: Context| {
                let notes = Arc::clone(&notes);
                async move {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    notes.note(&message);
                    Ok::<(), Failure>(())
                }
            },
            shutdown.clone(),
        );
        (tokio::spawn(run), shutdown)
    };
    let (first, stop_first) = start("1");
    until("the first begins", || 200 < seen.count()).await;
    let (second, stop_second) = start("2");
    until("both go on", || 2_500 < seen.count()).await;
    stop_first.cancel();
    let first = within(30, "the first ends", first).await.unwrap().unwrap();
    until("the second does the rest", || 6_000 <= seen.count()).await;
    stop_second.cancel();
    let second = within(30, "the second ends", second).await.unwrap().unwrap();

    assert_eq!((first.closed, second.closed), (Closed::Clean, Closed::Clean));
    assert_eq!(first.handled_too_late + second.handled_too_late, 0);
    assert!(200 < second.handled, "the second had its share: {}", second.handled);
    for (partition, seen) in seen.0.lock().unwrap().iter() {
        let offsets: Vec<i64> = seen.iter().map(|(offset, _)| offset.0).collect();
        assert_eq!(offsets, (0..1_500).collect::<Vec<_>>(), "{partition}: each once, in order");
    }
    let ends = (0..4).map(|number| (number, 1_500)).collect();
    assert_eq!(committed(&bootstrap, "g", 4), ends);
}

/// librdkafka reads a kept partition anew from where it believes reading stands. Idle at the end, that
/// must not be one too far: the next message would be passed over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_kept_at_its_end_goes_on_with_the_next_message() {
    let cluster = mock(2);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(2, 20));
    let seen = Arc::new(Seen::default());
    let revoked = Arc::new(AtomicU64::new(0));
    let start = |instance: &str| {
        let (shutdown, notes) = (CancellationToken::new(), Arc::clone(&seen));
        let told = Arc::clone(&revoked);
        let run = quick(&bootstrap, instance)
            .on_event(move |event| {
                if matches!(event, ConsumerEvent::Revoked { .. }) {
                    told.fetch_add(1, Ordering::Relaxed);
                }
            })
            .run(
                move |message: Message, _: Context| {
                    notes.note(&message);
                    std::future::ready(Ok::<(), Failure>(()))
                },
                shutdown.clone(),
            );
        (tokio::spawn(run), shutdown)
    };
    let (first, stop_first) = start("1");
    let all = || committed(&bootstrap, "g", 2) == BTreeMap::from([(0, 10), (1, 10)]);
    until("both are at their end", all).await;
    let (second, stop_second) = start("2");
    until("one has moved", || revoked.load(Ordering::Relaxed) == 1).await;
    produce(&bootstrap, numbered(2, 20));
    until("the next ones come", || 40 <= seen.count()).await;
    stop_first.cancel();
    stop_second.cancel();
    within(30, "the first ends", first).await.unwrap().unwrap();
    within(30, "the second ends", second).await.unwrap().unwrap();
    for (partition, seen) in seen.0.lock().unwrap().iter() {
        let offsets: Vec<i64> = seen.iter().map(|(offset, _)| offset.0).collect();
        assert_eq!(offsets, (0..20).collect::<Vec<_>>(), "{partition}: each once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_of_three_poll_intervals_costs_no_rebalance() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 3));
    let turns = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&turns);
    let run = quick(&bootstrap, "1")
        .exit_at_end(true)
        .on_event(move |event| match event {
            ConsumerEvent::Assigned { .. } => told.lock().unwrap().push("assigned"),
            ConsumerEvent::Revoked { .. } => told.lock().unwrap().push("revoked"),
            ConsumerEvent::Lost { .. } => told.lock().unwrap().push("lost"),
            ConsumerEvent::Closing => told.lock().unwrap().push("closing"),
            _ => {}
        })
        .run(
            |message: Message, _: Context| async move {
                if value(&message) == 1 {
                    tokio::time::sleep(Duration::from_secs(18)).await;
                }
                Ok::<(), Failure>(())
            },
            CancellationToken::new(),
        );
    let report = within(60, "three messages", run).await.unwrap();
    assert_eq!((report.handled, report.ended), (3, Ended::AtEnd));
    assert_eq!(*turns.lock().unwrap(), ["assigned", "closing"]);
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 3)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_after_the_partition_was_let_go_settles_nothing() {
    let cluster = mock(2);
    let bootstrap = cluster.bootstrap_servers();
    // Both partitions begin with a message that takes its time with the first instance.
    produce(&bootstrap, numbered(2, 2));
    let (begun, release) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
    let mut builder = quick(&bootstrap, "1");
    builder.config_mut().drain_deadline = Some(Duration::from_millis(300));
    let too_late = Arc::new(AtomicU64::new(0));
    let (count, late, gate) = (Arc::clone(&begun), Arc::clone(&too_late), release.clone());
    let stop_first = CancellationToken::new();
    let first = tokio::spawn(
        builder
            .on_event(move |event| {
                if matches!(event, ConsumerEvent::HandledTooLate { .. }) {
                    late.fetch_add(1, Ordering::Relaxed);
                }
            })
            .run(
                move |_: Message, _: Context| {
                    count.fetch_add(1, Ordering::Relaxed);
                    let gate = gate.clone();
                    async move {
                        gate.cancelled().await;
                        Ok::<(), Failure>(())
                    }
                },
                stop_first.clone(),
            ),
    );
    until("both are begun", || begun.load(Ordering::Relaxed) == 2).await;
    let seen = Arc::new(Seen::default());
    let (notes, stop_second) = (Arc::clone(&seen), CancellationToken::new());
    let second = tokio::spawn(quick(&bootstrap, "2").run(
        move |message: Message, _: Context| {
            notes.note(&message);
            std::future::ready(Ok::<(), Failure>(()))
        },
        stop_second.clone(),
    ));
    until("the second has one of them", || seen.count() == 1).await;
    until("and committed it", || committed(&bootstrap, "g", 2).values().any(|at| *at == 1)).await;
    release.cancel();
    until("the first's comes late", || too_late.load(Ordering::Relaxed) == 1).await;
    stop_first.cancel();
    let first = within(30, "the first ends", first).await.unwrap().unwrap();
    assert_eq!((first.handled, first.handled_too_late), (1, 1));
    let handled = first.committed.values().filter(|position| **position == Offset(1)).count();
    assert_eq!(handled, 1, "only what it kept: {first:?}");
    stop_second.cancel();
    within(30, "the second ends", second).await.unwrap().unwrap();
    assert_eq!(committed(&bootstrap, "g", 2), BTreeMap::from([(0, 1), (1, 1)]));
}

/// It keeps its turns, so that whoever wonders why nothing is handled must be able to see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_hangs_when_its_partition_is_gone_is_in_health_and_in_the_metrics() {
    let cluster = mock(2);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(2, 2));
    let (release, monitor) = (CancellationToken::new(), crate::Monitor::default());
    let mut builder = quick(&bootstrap, "1").concurrency(crate::Concurrency::PerKey(4));
    builder.config_mut().drain_deadline = Some(Duration::from_millis(300));
    let builder = builder.monitor(&monitor);
    let (health, gate, stop) = (builder.health(), release.clone(), CancellationToken::new());
    let hangs = move |_: Message, _: Context| {
        let gate = gate.clone();
        async move {
            gate.cancelled().await;
            Ok::<(), Failure>(())
        }
    };
    let first = tokio::spawn(builder.run(hangs, stop.clone()));
    let in_work = |adrift| health.now().in_work.iter().filter(|it| it.adrift == adrift).count();
    let counted = || {
        let page = monitor.metrics();
        let line = page.lines().find(|line| line.starts_with("kurier_consumer_handlers_adrift{"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };
    until("both are begun", || in_work(false) == 2).await;
    assert_eq!((in_work(true), counted()), (0, Some(0)));
    let stop_second = CancellationToken::new();
    let takes = |_: Message, _: Context| std::future::ready(Ok::<(), Failure>(()));
    let second = tokio::spawn(quick(&bootstrap, "2").run(takes, stop_second.clone()));
    until("one is adrift", || (in_work(false), in_work(true)) == (1, 1)).await;
    until("it is counted", || counted() == Some(1)).await;
    release.cancel();
    until("it has ended", || (in_work(true), counted()) == (0, Some(0))).await;
    stop.cancel();
    stop_second.cancel();
    within(30, "the first ends", first).await.unwrap().unwrap();
    within(30, "the second ends", second).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_commits_nothing_and_is_delivered_again() {
    use rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID as UNKNOWN;
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 10));
    let mut builder = quick(&bootstrap, "1");
    builder.config_mut().commit_interval = Duration::from_secs(60);
    let (lost, seen) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Seen::default()));
    let (told, notes, shutdown) = (Arc::clone(&lost), Arc::clone(&seen), CancellationToken::new());
    let (ask, monitor) = (bootstrap.clone(), crate::Monitor::default());
    let counted = |count| {
        let line = format!("records_redelivered_total{{client=\"g-1\"}} {count}\n");
        monitor.metrics().contains(&line)
    };
    let run = tokio::spawn(
        builder
            .monitor(&monitor)
            .on_event(move |event| {
                if let ConsumerEvent::Lost { partitions, owned } = event {
                    let stored = committed(&ask, "g", 1);
                    told.lock().unwrap().push((partitions.clone(), owned.clone(), stored));
                }
            })
            .run(
                move |message: Message, _: Context| {
                    notes.note(&message);
                    std::future::ready(Ok::<(), Failure>(()))
                },
                shutdown.clone(),
            ),
    );
    until("ten are handled", || seen.count() == 10).await;
    assert!(counted(0), "nothing came twice yet: {}", monitor.metrics());
    cluster.request_errors(rdkafka::types::RDKafkaApiKey::Heartbeat, &[UNKNOWN]);
    until("they come again", || seen.count() == 20).await;
    until("and are counted", || counted(10)).await;
    shutdown.cancel();
    let report = within(30, "the end", run).await.unwrap().unwrap();
    assert_eq!(*lost.lock().unwrap(), [(vec![at(0)], vec![], BTreeMap::new())]);
    assert_eq!(report.handled, 20);
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 10)]));
}

/// What a rebalance took is the work of whoever has it next; a run that ends has not left it undone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_lost_before_the_end_is_not_what_the_run_leaves() {
    use rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID as UNKNOWN;
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 10));
    let mut builder = quick(&bootstrap, "1");
    builder.config_mut().commit_interval = Duration::from_secs(60);
    let (seen, shutdown) = (Arc::new(Seen::default()), CancellationToken::new());
    let (notes, stop) = (Arc::clone(&seen), shutdown.clone());
    let run = builder
        .on_event(move |event| {
            if matches!(event, ConsumerEvent::Lost { .. }) {
                stop.cancel();
            }
        })
        .run(
            move |message: Message, _: Context| {
                notes.note(&message);
                std::future::ready(Ok::<(), Failure>(()))
            },
            shutdown,
        );
    let run = tokio::spawn(run);
    until("ten are handled", || seen.count() == 10).await;
    cluster.request_errors(rdkafka::types::RDKafkaApiKey::Heartbeat, &[UNKNOWN]);
    let report = within(60, "the end", run).await.unwrap().unwrap();
    assert_eq!((report.handled, report.outstanding), (10, 0));
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::new(), "they come again");
    assert_eq!(report.uncommitted, BTreeMap::new(), "but not from this run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_does_not_wait_longer_than_its_deadline_for_a_handler() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 10));
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let handler = move |message: Message, _: Context| {
        let stop = stop.clone();
        async move {
            if value(&message) == 4 {
                stop.cancel();
                std::future::pending::<()>().await;
            }
            Ok::<(), Failure>(())
        }
    };
    let run = quick(&bootstrap, "1").shutdown_deadline(Duration::from_secs(6));
    let told = shutdown.clone();
    let (report, took) = tokio::join!(run.run(handler, shutdown), async {
        told.cancelled().await;
        Instant::now()
    });
    let (report, took) = (report.unwrap(), took.elapsed());
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!((report.handled, report.outstanding), (4, 1));
    assert_eq!(report.closed, Closed::Clean);
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 4)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_run_commits_what_was_handled_and_leaves() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 10));
    let seen = Arc::new(Seen::default());
    let notes = Arc::clone(&seen);
    let mut builder = quick(&bootstrap, "1");
    builder.config_mut().commit_interval = Duration::from_secs(60);
    let run = tokio::spawn(builder.run(
        move |message: Message, _: Context| {
            let wait = value(&message) == 7;
            notes.note(&message);
            async move {
                if wait {
                    std::future::pending::<()>().await;
                }
                Ok::<(), Failure>(())
            }
        },
        CancellationToken::new(),
    ));
    until("the eighth is begun", || seen.count() == 8).await;
    run.abort();
    let stored = || committed(&bootstrap, "g", 1) == BTreeMap::from([(0, 7)]);
    until("seven are committed", stored).await;
    // It has left: the next member has the partition at once, not after the session timeout.
    let run = quick(&bootstrap, "2").exit_at_end(true);
    let ignore = |_: Message, _: Context| std::future::ready(Ok::<(), Failure>(()));
    let report = within(30, "the rest", run.run(ignore, CancellationToken::new())).await.unwrap();
    assert_eq!(report.handled, 3);
}

/// What the members of [`closes`] went through.
#[derive(Debug, Default)]
struct Moves {
    taken: AtomicU64,
    given: AtomicU64,
}

/// Opens and closes `count` members of one group, ten at a time, under load. A third closes before it
/// has joined or while it joins, the others soon after a rebalance has reached them: in the midst of
/// those that the closes before theirs have caused.
async fn closes(count: u64) {
    let cluster = mock(12);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(12, 60_000));
    let moves = Arc::new(Moves::default());
    for round in 0..count.div_ceil(10) {
        let mut all = tokio::task::JoinSet::new();
        for number in round * 10..count.min(round * 10 + 10) {
            all.spawn(one_close(bootstrap.clone(), number, Arc::clone(&moves)));
        }
        while let Some(ended) = all.join_next().await {
            ended.unwrap();
        }
    }
    let (taken, given) = (moves.taken.load(Ordering::Relaxed), moves.given.load(Ordering::Relaxed));
    // Else nothing was in the midst of anything.
    assert!(count / 3 <= taken, "{taken} assignments, {given} revocations of {count} members");
}

async fn one_close(bootstrap: String, number: u64, moves: Arc<Moves>) {
    let reached = Arc::new(tokio::sync::Notify::new());
    let (told, shutdown) = (Arc::clone(&reached), CancellationToken::new());
    let tell = move |event: &ConsumerEvent| match event {
        ConsumerEvent::Assigned { partitions, .. } => {
            if !partitions.is_empty() {
                moves.taken.fetch_add(1, Ordering::Relaxed);
            }
            told.notify_one();
        }
        ConsumerEvent::Revoked { .. } | ConsumerEvent::Lost { .. } => {
            moves.given.fetch_add(1, Ordering::Relaxed);
        }
        _ => {}
    };
    let run = quick(&bootstrap, &number.to_string()).on_event(tell).run(
        |_: Message, _: Context| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok::<(), Failure>(())
        },
        shutdown.clone(),
    );
    let run = tokio::spawn(run);
    if number.is_multiple_of(3) {
        tokio::time::sleep(Duration::from_millis(number * 617 % 3_500)).await;
    } else {
        within(40, "a rebalance", reached.notified()).await;
        tokio::time::sleep(Duration::from_millis(number * 137 % 900)).await;
    }
    shutdown.cancel();
    let report = within(40, "a close", run).await.unwrap().unwrap();
    assert_eq!(report.closed, Closed::Clean, "number {number}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_closes_in_the_midst_of_rebalances_hang_not_once() {
    closes(30).await;
}

/// Minutes long: `cargo test -p kurier -- --ignored five_hundred`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; the thirty above are its short form"]
async fn five_hundred_closes_in_the_midst_of_rebalances_hang_not_once() {
    closes(500).await;
}

/// A handler that keeps its thread never waits for anything; what it has done is committed all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_blocking_handler_has_done_is_committed_at_the_usual_interval() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 500));
    let positions = Arc::new(Mutex::new(vec![0]));
    let told = Arc::clone(&positions);
    let run = quick(&bootstrap, "1")
        .exit_at_end(true)
        .on_event(move |event| {
            if let ConsumerEvent::Committed { offset, .. } = event {
                told.lock().unwrap().push(offset.0);
            }
        })
        .run(
            |_: Message, _: Context| {
                std::thread::sleep(Duration::from_millis(10));
                std::future::ready(Ok::<(), Failure>(()))
            },
            CancellationToken::new(),
        );
    let report = within(60, "the end", run).await.unwrap();
    assert_eq!(report.handled, 500);
    // Commits are 100 ms apart, messages 10 ms: about ten at once. Told only when all that were read
    // together are handled, it would be 128.
    let positions = positions.lock().unwrap();
    let most = positions.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(most < Some(100), "{positions:?}");
}
