//! How fast, beside librdkafka alone on the same mock cluster. Ignored: a figure, not a promise kept.

use super::*;

/// The mock keeps 5 MB a partition.
const PARTITIONS: i32 = 12;
const COUNT: usize = 200_000;

fn raw(bootstrap: &str, group: &str) -> Duration {
    let client: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "20")
        .create()
        .unwrap();
    client.subscribe(&[TOPIC]).unwrap();
    let (mut first, mut count, mut bytes) = (None, 0, 0);
    while count < COUNT {
        if let Some(message) = client.poll(Duration::from_millis(100)) {
            use rdkafka::Message as _;
            first.get_or_insert_with(Instant::now);
            bytes += message.unwrap().payload().unwrap().len();
            count += 1;
        }
    }
    let took = first.unwrap().elapsed();
    assert!(0 < bytes);
    client.unsubscribe();
    took
}

async fn ours(bootstrap: &str, group: &str) -> Duration {
    let first = Arc::new(std::sync::OnceLock::new());
    let begun = Arc::clone(&first);
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let shutdown = CancellationToken::new();
    let (stop, last) = (shutdown.clone(), Arc::new(Mutex::new(None)));
    let ended = Arc::clone(&last);
    let run = single(bootstrap).group(group).run(
        move |_: Message, _: Context| {
            begun.get_or_init(Instant::now);
            if counted.fetch_add(1, Ordering::Relaxed) + 1 == COUNT as u64 {
                *ended.lock().unwrap() = Some(Instant::now());
                stop.cancel();
            }
            std::future::ready(Ok::<(), Failure>(()))
        },
        shutdown,
    );
    let report = within(120, "all", run).await.unwrap();
    assert_eq!(report.handled, COUNT as u64);
    let last = last.lock().unwrap().unwrap();
    last.duration_since(*first.get().unwrap())
}

/// `cargo test -p kurier --config 'profile.test.package.kurier.opt-level=3' -- --ignored speed`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn speed_beside_librdkafka_alone() {
    let cluster = mock(PARTITIONS);
    let bootstrap = cluster.bootstrap_servers();
    let payload = "x".repeat(200);
    produce(&bootstrap, (0..COUNT).map(|number| (number as i32 % PARTITIONS, payload.clone())));
    for round in 0..4 {
        let raw = {
            let bootstrap = bootstrap.clone();
            let group = format!("raw-{round}");
            tokio::task::spawn_blocking(move || raw(&bootstrap, &group)).await.unwrap()
        };
        let ours = ours(&bootstrap, &format!("ours-{round}")).await;
        let rate = |took: Duration| (COUNT as f64 / took.as_secs_f64() / 1_000.0).round();
        let share = raw.as_secs_f64() / ours.as_secs_f64();
        tracing::info!(raw = rate(raw), ours = rate(ours), share, "thousand messages a second");
        #[allow(clippy::print_stdout, reason = "a measurement is printed")]
        {
            println!("raw {} k/s, ours {} k/s, {share:.2}", rate(raw), rate(ours));
        }
    }
}

/// Messages a second through one partition, each of which waits for a millisecond.
async fn waiting(bootstrap: &str, group: &str, concurrency: crate::Concurrency, count: u64) -> f64 {
    let (begun, handled) = (Arc::new(std::sync::OnceLock::new()), Arc::new(AtomicU64::new(0)));
    let (first, counted) = (Arc::clone(&begun), Arc::clone(&handled));
    let shutdown = CancellationToken::new();
    let (stop, took) = (shutdown.clone(), Arc::new(Mutex::new(None)));
    let last = Arc::clone(&took);
    let handler = move |_: Message, _: Context| {
        let begun = *first.get_or_init(Instant::now);
        let (counted, stop, last) = (Arc::clone(&counted), stop.clone(), Arc::clone(&last));
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if counted.fetch_add(1, Ordering::Relaxed) + 1 == count {
                *last.lock().unwrap() = Some(begun.elapsed());
                stop.cancel();
            }
            Ok::<(), Failure>(())
        }
    };
    let run = single(bootstrap).group(group).concurrency(concurrency).run(handler, shutdown);
    let report = within(120, "all", run).await.unwrap();
    assert!(count <= report.handled);
    let took = took.lock().unwrap().unwrap();
    count as f64 / took.as_secs_f64()
}

/// As above, with the name `many_keys`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn many_keys_beside_one_at_a_time() {
    let cluster = mock(1);
    let bootstrap = cluster.bootstrap_servers();
    let numbered = |number: usize| (Some((number % 1000).to_string()), "x".repeat(50));
    super::keyed::produce_keyed(&bootstrap, (0..40_000).map(numbered));
    for round in 0..3 {
        let one = crate::Concurrency::PerPartition;
        let one = waiting(&bootstrap, &format!("one-{round}"), one, 1_500).await;
        let many = crate::Concurrency::PerKey(64);
        let many = waiting(&bootstrap, &format!("many-{round}"), many, 40_000).await;
        #[allow(clippy::print_stdout, reason = "a measurement is printed")]
        {
            println!("one at a time {one:.0}/s, 64 keys at once {many:.0}/s, {:.1}", many / one);
        }
    }
}
