//! The health of a run, read from outside while it goes on.

use super::*;
use crate::{Condition, Health, HealthHandle, RetryPolicy};

/// The least that may be configured.
const STALL: Duration = Duration::from_secs(5);

/// Partitions whose queue the poll thread leaves unread: what is injected.
static LEFT_UNREAD: Mutex<Vec<(String, TopicPartition)>> = Mutex::new(Vec::new());

/// Asked by the poll thread.
pub(in crate::consumer) fn is_left_unread(group: &str, partition: &TopicPartition) -> bool {
    let unread = LEFT_UNREAD.lock().unwrap();
    unread.iter().any(|(of, name)| of == group && name == partition)
}

async fn until(what: &str, health: &HealthHandle, is: impl Fn(&Health) -> bool) -> Health {
    let looks = async {
        loop {
            let health = health.now();
            if is(&health) {
                return health;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let last = || health.now().to_string();
    tokio::time::timeout(Duration::from_secs(60), looks)
        .await
        .unwrap_or_else(|_| panic!("{what}: {}", last()))
}

fn fine(_: Message, _: Context) -> std::future::Ready<Result<(), Failure>> {
    std::future::ready(Ok(()))
}

fn quick(bootstrap: &str, group: &str) -> ConsumerBuilder<Single, RawDecoder> {
    let mut builder = single(bootstrap).group(group).stall_after(STALL);
    let config = builder.config_mut();
    config.session_timeout = Duration::from_secs(6);
    config.heartbeat_interval = Duration::from_millis(200);
    config.poll_interval_max = Duration::from_secs(20);
    builder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_ready_until_assigned_and_while_draining_and_readable_to_the_end() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 1));
    let gate = CancellationToken::new();
    let (wait, shutdown) = (gate.clone(), CancellationToken::new());
    let handler = move |_: Message, _: Context| {
        let wait = wait.clone();
        async move {
            wait.cancelled().await;
            Ok::<(), Failure>(())
        }
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let builder = quick(&bootstrap, "g");
    let health = builder.health();
    let (asked, notes) = (health.clone(), Arc::clone(&told));
    let builder = builder.on_event(move |event| {
        if matches!(event, ConsumerEvent::Assigned { .. } | ConsumerEvent::Closing) {
            notes.lock().unwrap().push(asked.now().conditions);
        }
    });
    assert_eq!(health.now().conditions, [Condition::NotStarted]);
    let run = tokio::spawn(builder.run(handler, shutdown.clone()));
    until("not assigned", &health, |it| it.conditions == [Condition::NotAssigned]).await;
    until("ready", &health, Health::is_ready).await;
    let busy = until("the handler is busy", &health, |it| !it.in_work.is_empty()).await;
    assert_eq!((busy.in_work[0].partition.clone(), busy.in_work[0].offset), (at(0), Offset(0)));
    assert!(busy.is_ready(), "{busy}");
    let aged = |it: &Health| it.in_work.iter().any(|one| Duration::from_secs(1) < one.busy);
    until("its message grows old", &health, aged).await;
    shutdown.cancel();
    let draining = until("draining", &health, |it| !it.is_ready()).await;
    assert_eq!(draining.conditions, [Condition::Draining]);
    assert_eq!(draining.in_work[0].offset, Offset(0), "what it waits for is to be seen");
    gate.cancel();
    within(30, "the end", run).await.unwrap().unwrap();
    assert_eq!(health.now().conditions, [Condition::Ended(Ended::Shutdown)]);
    assert!(health.now().is_live() && health.now().in_work.is_empty());
    // Events do not run ahead of it.
    assert_eq!(*told.lock().unwrap(), [vec![], vec![Condition::Draining]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_an_empty_share_is_ready_and_takes_over() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    let start = |instance: &str| {
        let owned = Arc::new(Mutex::new(None));
        let (told, shutdown) = (Arc::clone(&owned), CancellationToken::new());
        let builder = quick(&bootstrap, "g").instance(instance).on_event(move |event| {
            if let ConsumerEvent::Assigned { owned, .. } = event {
                *told.lock().unwrap() = Some(owned.len());
            }
        });
        let health = builder.health();
        (tokio::spawn(builder.run(fine, shutdown.clone())), shutdown, health, owned)
    };
    let (first, stop_first, health, _) = start("1");
    until("the first is ready", &health, Health::is_ready).await;
    let (second, stop_second, health, owned) = start("2");
    until("the second is ready", &health, Health::is_ready).await;
    // It is told of a moment later.
    until("with nothing", &health, |_| *owned.lock().unwrap() == Some(0)).await;
    stop_first.cancel();
    within(30, "the first ends", first).await.unwrap().unwrap();
    let has_it = |_: &Health| *owned.lock().unwrap() == Some(1);
    until("the second has it", &health, has_it).await;
    assert!(health.now().is_ready());
    stop_second.cancel();
    within(30, "the second ends", second).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_partition_is_named_and_costs_readiness_alone() {
    let cluster = mock(2);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(2, 10));
    let builder =
        quick(&bootstrap, "g").retry(&RetryPolicy::exponential(1, Duration::ZERO..=Duration::ZERO));
    let (health, shutdown) = (builder.health(), CancellationToken::new());
    let handler = |message: Message, _: Context| async move {
        if value(&message) == 5 { Err(Failure::reject("unknown customer")) } else { Ok(()) }
    };
    let run = tokio::spawn(builder.run(handler, shutdown.clone()));
    let is_stopped = |it: &Health| it.conditions.len() == 1 && it.is_live();
    let named = |it: &Health| {
        matches!(&it.conditions[..], [Condition::PartitionStopped(one)]
            if one.partition == at(1) && one.offset == Offset(2))
    };
    let ill = until("stopped", &health, |it| is_stopped(it) && named(it)).await;
    assert!(!ill.is_ready() && ill.is_live(), "{ill}");
    shutdown.cancel();
    within(30, "the end", run).await.unwrap().unwrap();
    let after = health.now();
    let [Condition::PartitionStopped(_), Condition::Ended(Ended::Shutdown)] = &after.conditions[..]
    else {
        panic!("{after}")
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_brokers_it_waits_and_is_ready_again_when_they_are_back() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    let builder = quick(&bootstrap, "g");
    let (health, shutdown) = (builder.health(), CancellationToken::new());
    let run = tokio::spawn(builder.run(fine, shutdown.clone()));
    until("ready", &health, Health::is_ready).await;
    (1..=3).for_each(|broker| cluster.broker_down(broker).unwrap());
    let waits = |it: &Health| {
        it.conditions.iter().any(|one| matches!(one, Condition::WaitingForCluster { .. }))
    };
    // Longer than reading may stall: what is away is not what hangs.
    let begun = Instant::now();
    until("it waits", &health, waits).await;
    until("for long", &health, |it| {
        assert!(it.is_live(), "{it}");
        STALL * 2 < begun.elapsed()
    })
    .await;
    (1..=3).for_each(|broker| cluster.broker_up(broker).unwrap());
    until("ready again", &health, |it| {
        assert!(it.is_live(), "the time it was away does not count: {it}");
        it.is_ready()
    })
    .await;
    assert!(!run.is_finished(), "it is the same run");
    shutdown.cancel();
    within(40, "the end", run).await.unwrap().unwrap();
}

/// Half the messages go to each of two partitions, for longer than reading may stall. `unread` is not
/// read from the beginning on. Gives the health at the end and how long it took to be not live.
async fn under_load(group: &str, unread: Option<i32>) -> (Health, Option<Duration>) {
    let cluster = mock(2);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(2, 20));
    let seen = Arc::new(Seen::default());
    let notes = Arc::clone(&seen);
    let builder = quick(&bootstrap, group);
    let (health, shutdown) = (builder.health(), CancellationToken::new());
    let handler = move |message: Message, _: Context| {
        notes.note(&message);
        std::future::ready(Ok::<(), Failure>(()))
    };
    let run = tokio::spawn(builder.run(handler, shutdown.clone()));
    until("all are read", &health, |_| seen.count() == 20).await;
    let (mut ill, begun) = (None, Instant::now());
    if let Some(number) = unread {
        LEFT_UNREAD.lock().unwrap().push((group.to_owned(), at(number)));
    }
    while begun.elapsed() < STALL * 2 {
        let target = bootstrap.clone();
        tokio::task::spawn_blocking(move || produce(&target, numbered(2, 2))).await.unwrap();
        if ill.is_none() && !health.now().is_live() {
            ill = Some(begun.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let last = health.now();
    LEFT_UNREAD.lock().unwrap().retain(|(of, _)| of != group);
    if unread.is_some() {
        until("read again, live again", &health, Health::is_ready).await;
    }
    shutdown.cancel();
    within(30, "the end", run).await.unwrap().unwrap();
    (last, ill)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_is_not_read_while_its_lag_grows_costs_liveness_in_time() {
    let (last, ill) = under_load("unread", Some(1)).await;
    let [Condition::ReadingStalled { partition, reached, end, .. }] = &last.conditions[..] else {
        panic!("{last}")
    };
    assert_eq!(*partition, at(1), "the other one is read");
    assert!(Some(*end) > *reached, "{last}");
    let ill = ill.unwrap();
    assert!(STALL - Duration::from_secs(1) < ill && ill < STALL * 3 / 2, "after {ill:?}: {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_the_same_load_that_is_read_stays_live() {
    let (last, ill) = under_load("read", None).await;
    assert_eq!((ill, last.is_ready()), (None, true), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_handler_and_an_idle_topic_are_no_lack_of_progress() {
    let cluster = mock(2);
    let bootstrap = cluster.bootstrap_servers();
    // Partition 1 is empty; partition 0 has more than its lane holds, and the first takes its time.
    produce(&bootstrap, (0..100).map(|number| (0, number.to_string())));
    let mut builder = quick(&bootstrap, "g");
    builder.config_mut().lane_messages_max = 10;
    let (health, shutdown) = (builder.health(), CancellationToken::new());
    let handled = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&handled);
    let handler = move |message: Message, _: Context| {
        let count = Arc::clone(&count);
        async move {
            if value(&message) == 0 {
                tokio::time::sleep(STALL * 2).await;
            }
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<(), Failure>(())
        }
    };
    let run = tokio::spawn(builder.run(handler, shutdown.clone()));
    until("the handler is busy", &health, |it| !it.in_work.is_empty()).await;
    let old = |it: &Health| {
        assert!(it.is_ready(), "{it}");
        it.in_work.iter().any(|one| STALL * 3 / 2 < one.busy)
    };
    let health_then = until("for longer than reading may stall", &health, old).await;
    assert_eq!(health_then.in_work[0].offset, Offset(0));
    until("then all is done", &health, |_| handled.load(Ordering::Relaxed) == 100).await;
    shutdown.cancel();
    assert_eq!(within(30, "the end", run).await.unwrap().unwrap().handled, 100);
}

/// The answers take so long that a question is out for a good part of the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closes_while_the_leaders_are_asked_are_clean() {
    let cluster = mock(3);
    let bootstrap = cluster.bootstrap_servers();
    let mut runs = tokio::task::JoinSet::new();
    for number in 0..12 {
        let builder = quick(&bootstrap, &format!("g{number}"));
        let (health, shutdown) = (builder.health(), CancellationToken::new());
        runs.spawn(async move {
            let run = tokio::spawn(builder.run(fine, shutdown.clone()));
            until("ready", &health, Health::is_ready).await;
            tokio::time::sleep(STALL / 4 + Duration::from_millis(number * 217)).await;
            shutdown.cancel();
            within(40, "a close", run).await.unwrap().unwrap()
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let slow = Duration::from_millis(400);
    (1..=3).for_each(|broker| cluster.broker_round_trip_time(broker, slow).unwrap());
    while let Some(report) = runs.join_next().await {
        assert_eq!(report.unwrap().closed, Closed::Clean);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_blocks_the_thread_costs_liveness_until_it_comes_back() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let builder = quick(&bootstrap, "g").on_event(move |event| {
        if matches!(event, ConsumerEvent::Assigned { .. }) {
            // Ends when the sender is gone.
            let _ = blocked.lock().unwrap().recv();
        }
    });
    let (health, shutdown) = (builder.health(), CancellationToken::new());
    let run = tokio::spawn(builder.run(fine, shutdown.clone()));
    let ill = until("not live", &health, |it| !it.is_live()).await;
    assert!(
        matches!(&ill.conditions[..], [Condition::ThreadSilent { silent }] if STALL <= *silent)
    );
    drop(release);
    until("live again", &health, Health::is_ready).await;
    shutdown.cancel();
    within(30, "the end", run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_could_not_begin_is_not_live_and_says_why() {
    let builder = single("").property("enable.auto.commit", "true");
    let (health, other) = (builder.health(), builder.clone().health());
    assert!(builder.run(fine, CancellationToken::new()).await.is_err());
    let words = health.now().to_string();
    assert!(words.starts_with("not live, not ready: the client can't go on"), "{words}");
    assert!(words.contains("enable.auto.commit"), "{words}");
    assert_eq!(other.now().conditions, [Condition::NotStarted], "a clone is another run");
}

#[test]
fn statistics_that_are_no_json_are_no_reason_to_panic() {
    use rdkafka::ClientContext as _;
    for broken in [&b"{\"name\":"[..], b"", b"\xff\xfe", b"{\"ts\":\"soon\"}", b"[]"] {
        super::super::context::Callbacks::default().stats_raw(broken);
    }
}
