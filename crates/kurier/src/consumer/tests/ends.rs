//! Where a run begins and when it ends by itself.

use super::*;
use crate::StartFrom;

/// The mock lets a group that exists wait for its session timeout, less a second, at each join.
fn brief(bootstrap: &str) -> ConsumerBuilder<Single, RawDecoder> {
    let mut builder = single(bootstrap);
    builder.config_mut().session_timeout = Duration::from_secs(4);
    builder.config_mut().heartbeat_interval = Duration::from_millis(500);
    builder
}

fn ignore(_: Message, _: Context) -> std::future::Ready<Result<(), Failure>> {
    std::future::ready(Ok(()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_at_end_covers_empty_partitions_and_leaves_later_messages() {
    let cluster = mock(3);
    let bootstrap = cluster.bootstrap_servers();
    // Partition 2 is empty.
    produce(&bootstrap, numbered(2, 100));
    let run = || brief(&bootstrap).exit_at_end(true).run(ignore, CancellationToken::new());
    let report = within(60, "the end", run()).await.unwrap();
    assert_eq!((report.handled, report.ended), (100, Ended::AtEnd));
    assert_eq!(report.closed, Closed::Clean);
    // Everything is committed: the second run begins at its end.
    let report = within(60, "the end again", run()).await.unwrap();
    assert_eq!((report.handled, report.ended), (0, Ended::AtEnd));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_exit_waits_for_handlers_and_for_silence() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 3));
    let handler = |message: Message, _: Context| async move {
        if value(&message) == 2 {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
        Ok::<(), Failure>(())
    };
    let run = brief(&bootstrap)
        .idle_exit(Duration::from_millis(500))
        .run(handler, CancellationToken::new());
    let report = within(60, "silence", run).await.unwrap();
    assert_eq!((report.handled, report.ended, report.outstanding), (3, Ended::Idle, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_passes_over_what_was_there_and_nothing_else() {
    let cluster = mock(2);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(2, 100));
    let assigned = Arc::new(tokio::sync::Notify::new());
    let (tell, shutdown) = (Arc::clone(&assigned), CancellationToken::new());
    let seen = Arc::new(Seen::default());
    let (notes, stop) = (Arc::clone(&seen), shutdown.clone());
    let run = brief(&bootstrap)
        .from(StartFrom::Latest)
        .on_event(move |event| {
            if matches!(event, ConsumerEvent::Assigned { .. }) {
                tell.notify_one();
            }
        })
        .run(
            move |message: Message, _: Context| {
                if notes.note(&message) == 10 {
                    stop.cancel();
                }
                std::future::ready(Ok::<(), Failure>(()))
            },
            shutdown,
        );
    let later = async {
        assigned.notified().await;
        let bootstrap = bootstrap.clone();
        let values = (100..110).map(|number| (number % 2, number.to_string()));
        tokio::task::spawn_blocking(move || produce(&bootstrap, values)).await.unwrap();
    };
    let (report, ()) = within(60, "later ones", async { tokio::join!(run, later) }).await;
    assert_eq!(report.unwrap().handled, 10);
    let seen = seen.0.lock().unwrap();
    assert!(seen.values().flatten().all(|(_, value)| 100 <= *value), "{seen:?}");
    assert_eq!(committed(&bootstrap, "g", 2), BTreeMap::from([(0, 55), (1, 55)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_has_committed_goes_on_from_there_whatever_from_says() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 10));
    let run = |from| {
        let run = brief(&bootstrap).from(from).exit_at_end(true);
        run.run(ignore, CancellationToken::new())
    };
    assert_eq!(within(60, "first", run(StartFrom::Earliest)).await.unwrap().handled, 10);
    produce(&bootstrap, numbered(1, 5));
    assert_eq!(within(60, "second", run(StartFrom::Latest)).await.unwrap().handled, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_does_not_exist_yet_is_waited_for() {
    let cluster = MockCluster::new(3).unwrap();
    // The mock makes every topic it is asked for, unless it has been told that this one is unknown.
    let bootstrap = cluster.bootstrap_servers();
    let unknown = rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.create_topic(TOPIC, 1, 3).unwrap();
    cluster.topic_error(TOPIC, unknown).unwrap();
    let (told, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let run = brief(&bootstrap)
        .on_event(move |event| match event {
            ConsumerEvent::WaitingForTopics { topics } => told.send(topics.clone()).unwrap(),
            ConsumerEvent::ClusterBack => told.send(Vec::new()).unwrap(),
            _ => {}
        })
        .run(
            move |_: Message, _: Context| {
                stop.cancel();
                std::future::ready(Ok::<(), Failure>(()))
            },
            shutdown,
        );
    let later = async {
        assert_eq!(waiting.recv().await.unwrap(), [TOPIC]);
        cluster
            .topic_error(TOPIC, rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR)
            .unwrap();
        let bootstrap = bootstrap.clone();
        tokio::task::spawn_blocking(move || produce(&bootstrap, numbered(1, 1))).await.unwrap();
        assert!(waiting.recv().await.unwrap().is_empty(), "the topics are there");
    };
    let (report, ()) = within(60, "the topic", async { tokio::join!(run, later) }).await;
    assert_eq!(report.unwrap().handled, 1);
    assert!(waiting.recv().await.is_none(), "said once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_does_not_answer_is_waited_for() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 5));
    for node in 1..=3 {
        cluster.broker_down(node).unwrap();
    }
    let (told, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    // One address: several are tried one after another, with pauses, before all count as down.
    let first = bootstrap.split(',').next().unwrap();
    let run = brief(first)
        .property("reconnect.backoff.max.ms", "500")
        .on_event(move |event| match event {
            ConsumerEvent::WaitingForCluster { .. } => told.send("waiting").unwrap(),
            ConsumerEvent::ClusterBack => told.send("back").unwrap(),
            _ => {}
        })
        .exit_at_end(true)
        .run(ignore, CancellationToken::new());
    let later = async {
        assert_eq!(waiting.recv().await, Some("waiting"));
        for node in 1..=3 {
            cluster.broker_up(node).unwrap();
        }
    };
    let (report, ()) = within(60, "the cluster", async { tokio::join!(run, later) }).await;
    assert_eq!(report.unwrap().handled, 5);
    // While the nodes come back one after another it may be so again; each outage is said once.
    let mut next = "back";
    while let Some(told) = waiting.recv().await {
        assert_eq!(told, next);
        next = if next == "back" { "waiting" } else { "back" };
    }
    assert_eq!(next, "waiting", "it was back in the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_consumer_tells_of_an_outage_and_goes_on_after_it() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    produce(&bootstrap, numbered(1, 5));
    let (told, mut events) = tokio::sync::mpsc::unbounded_channel();
    let shutdown = CancellationToken::new();
    let run = brief(&bootstrap)
        .property("reconnect.backoff.max.ms", "500")
        .on_event(move |event| match event {
            ConsumerEvent::WaitingForCluster { .. } => told.send("waiting").unwrap(),
            ConsumerEvent::ClusterBack => told.send("back").unwrap(),
            ConsumerEvent::Handled { offset: Offset(4 | 9), .. } => told.send("handled").unwrap(),
            _ => {}
        })
        .run(ignore, shutdown.clone());
    let later = async {
        assert_eq!(events.recv().await, Some("handled"));
        for node in 1..=3 {
            cluster.broker_down(node).unwrap();
        }
        assert_eq!(events.recv().await, Some("waiting"));
        for node in 1..=3 {
            cluster.broker_up(node).unwrap();
        }
        while events.recv().await != Some("back") {}
        let bootstrap = bootstrap.clone();
        tokio::task::spawn_blocking(move || produce(&bootstrap, numbered(1, 5))).await.unwrap();
        while events.recv().await != Some("handled") {}
        shutdown.cancel();
    };
    let (report, ()) = within(90, "the outage", async { tokio::join!(run, later) }).await;
    let report = report.unwrap();
    assert!(10 <= report.handled, "{report:?}");
    assert_eq!(committed(&bootstrap, "g", 1), BTreeMap::from([(0, 10)]));
}
