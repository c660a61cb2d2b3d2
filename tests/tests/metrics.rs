//! The page that Prometheus reads: strictly what its format allows, every row of the table, and the
//! figures of what was really sent and handled.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kurier::{
    Context, Failure, METRICS, Message, MessageProducer, MetricKind, MetricSpec, Monitor, Received,
    RetryPolicy, SingleMessageConsumer,
};
use kurier_broker::EmbeddedCluster;
use tokio_util::sync::CancellationToken;

/// A page by its samples: `NAME{LABELS}` and the value.
type Samples = BTreeMap<String, f64>;

/// Reads a page, and refuses whatever the format does not allow or the table does not say.
fn read(page: &str) -> Samples {
    assert!(page.is_empty() || page.ends_with('\n'));
    let (mut samples, mut begun) = (Samples::new(), BTreeSet::new());
    let mut lines = page.lines().peekable();
    while let Some(help) = lines.next() {
        let (name, help) = help.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
        let spec = METRICS.iter().find(|spec| spec.name == name);
        let spec = spec.unwrap_or_else(|| panic!("{name} is not in the table"));
        assert_eq!(help, spec.help);
        let kind = match spec.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
            other => panic!("{other:?}"),
        };
        assert_eq!(lines.next(), Some(&*format!("# TYPE {name} {kind}")));
        assert!(begun.insert(name), "{name} comes twice");
        let mut any = false;
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            any = true;
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (found, labels) = series.split_once('{').unwrap();
            let suffix = found.strip_prefix(name).unwrap();
            let bucket = match (spec.kind, suffix) {
                (MetricKind::Histogram, "_bucket") => Some("le"),
                (MetricKind::Histogram, "_sum" | "_count") => None,
                (MetricKind::Counter | MetricKind::Gauge, "") => None,
                _ => panic!("{line}"),
            };
            let expected: Vec<&str> = spec.labels.iter().copied().chain(bucket).collect();
            assert_eq!(label_names(labels), expected, "{line}");
            let value: f64 = value.parse().unwrap();
            assert!(
                value.is_finite() && (spec.kind == MetricKind::Gauge || 0.0 <= value),
                "{line}"
            );
            assert!(samples.insert(series.to_owned(), value).is_none(), "{line} comes twice");
        }
        assert!(any, "{name} has no sample");
    }
    buckets_add_up(&samples);
    samples
}

/// The names in `NAME="VALUE",…}`.
fn label_names(mut labels: &str) -> Vec<&str> {
    let mut names = Vec::new();
    while labels != "}" {
        let (name, rest) = labels.split_once("=\"").unwrap();
        let mut escaped = false;
        let end = rest.find(|char| {
            let ends = char == '"' && !escaped;
            escaped = char == '\\' && !escaped;
            ends
        });
        names.push(name);
        let rest = &rest[end.unwrap() + 1..];
        labels = rest.strip_prefix(',').unwrap_or(rest);
    }
    names
}

/// Buckets only grow with their bound, and the last one holds all.
fn buckets_add_up(samples: &Samples) {
    for spec in METRICS.iter().filter(|spec| spec.kind == MetricKind::Histogram) {
        let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (series, count) in samples {
            let Some(labels) = series.strip_prefix(&format!("{}_bucket", spec.name)) else {
                continue;
            };
            let (rest, bound) = labels.rsplit_once(",le=\"").unwrap();
            let bound = bound.trim_end_matches("\"}").parse().unwrap();
            buckets
                .entry(format!("{}_count{rest}}}", spec.name))
                .or_default()
                .push((bound, *count));
        }
        for (whole, mut of_one) in buckets {
            of_one.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(of_one.is_sorted_by(|a, b| a.1 <= b.1), "{whole}: {of_one:?}");
            assert_eq!(of_one.last(), Some(&(f64::INFINITY, samples[&whole])), "{whole}");
        }
    }
}

/// Looks until `there` is; gives the samples that were looked at last.
async fn until(monitor: &Monitor, what: &str, there: impl Fn(&Samples) -> bool) -> Samples {
    let begun = Instant::now();
    loop {
        let page = monitor.metrics();
        let samples = read(&page);
        if there(&samples) {
            return samples;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}:\n{page}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The sum over all series of a metric.
fn sum(samples: &Samples, name: &str) -> f64 {
    let series = format!("{name}{{");
    samples.iter().filter(|(one, _)| one.starts_with(&series)).map(|(_, value)| value).sum()
}

/// Every metric but those of an outbox and a dead-letter topic, which the clients here have not.
fn of_clients_here() -> impl Iterator<Item = &'static MetricSpec> {
    let others = ["kurier_outbox_", "kurier_consumer_dead_letter_topic"];
    METRICS.iter().filter(move |spec| !others.iter().any(|other| spec.name.starts_with(other)))
}

const MESSAGES: usize = 300;
const FAIL_ONCE: usize = 10;

/// Fails once with each message that begins with `once`, and rejects `poison`; waits for `gate`.
async fn handle(
    message: Arc<Received<Message>>,
    context: Context,
    gate: CancellationToken,
) -> Result<(), Failure> {
    gate.cancelled().await;
    let content = message.value().map_or("", |message| message.content().as_str());
    match (content, context.attempt()) {
        ("poison", _) => Err(Failure::reject("poison")),
        (content, 1) if content.starts_with("once") => Err(Failure::retry("once")),
        _ => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_figures_are_those_of_what_was_sent_and_handled() {
    let cluster = EmbeddedCluster::builder().nodes(3).topic("t", 3).start().await.unwrap();
    let monitor = Monitor::default();
    assert_eq!(monitor.metrics(), "", "nothing is there to be told of");
    let builder = MessageProducer::builder(cluster.bootstrap());
    let producer = builder
        .client_id("p")
        .property("topic.metadata.propagation.max.ms", "1000")
        .monitor(&monitor)
        .build()
        .await
        .unwrap();
    // The poison comes last, so that nothing is behind it.
    let plain = (0..MESSAGES - FAIL_ONCE).map(|number| format!("plain {number}"));
    let once = (0..FAIL_ONCE).map(|number| format!("once {number}"));
    for content in plain.chain(once).chain(["poison".to_owned()]) {
        let key = content.rsplit(' ').next().unwrap().to_owned();
        let sent = producer.send("t", &Message::new(content).unwrap().with_key(key)).await;
        drop(sent.unwrap());
    }
    producer.try_send("nowhere", &Message::new("lost").unwrap()).unwrap().await.unwrap_err();
    producer.flush(Duration::from_secs(60)).await.unwrap();

    let (gate, stop) = (CancellationToken::new(), CancellationToken::new());
    let short = RetryPolicy::exponential(5, Duration::from_millis(1)..=Duration::from_millis(5));
    let builder = SingleMessageConsumer::builder(cluster.bootstrap(), "t").instance("1");
    let builder = builder.group("g").retry(&short).monitor(&monitor);
    let (gated, stopped) = (gate.clone(), stop.clone());
    let run = tokio::spawn(
        builder.run(move |message, context| handle(message, context, gated.clone()), stopped),
    );

    let all = (MESSAGES + 1) as f64;
    let lag = |samples: &Samples| sum(samples, "kurier_consumer_lag_records");
    let before = until(&monitor, "all is read and nothing handled", |it| {
        sum(it, "kurier_consumer_records_in_flight") == all && lag(it) == all
    });
    let before = before.await;
    assert_eq!(sum(&before, "kurier_consumer_records_processed_total"), 0.0);
    assert!(0.0 < sum(&before, "kurier_consumer_in_flight_bytes"));
    gate.cancel();
    let after = until(&monitor, "all but the poison is handled, and every metric shown", |it| {
        lag(it) == 1.0
            && sum(it, "kurier_consumer_partitions_stopped") == 1.0
            && sum(it, "kurier_consumer_commits_total") >= 2.0
            && of_clients_here().all(|spec| it.keys().any(|series| series.starts_with(spec.name)))
    });
    let after = after.await;
    for (name, figure) in [
        ("kurier_producer_records_sent_total", all + 1.0),
        ("kurier_producer_records_acked_total", all),
        ("kurier_producer_records_failed_total", 1.0),
        ("kurier_producer_records_in_flight", 0.0),
        ("kurier_producer_in_flight_bytes", 0.0),
        ("kurier_producer_ack_latency_seconds_count", all),
        ("kurier_producer_remakes_total", 0.0),
        ("kurier_consumer_records_received_total", all),
        ("kurier_consumer_records_processed_total", MESSAGES as f64),
        ("kurier_consumer_records_failed_total", 1.0),
        ("kurier_consumer_handler_failures_total", (FAIL_ONCE + 1) as f64),
        ("kurier_consumer_retries_total", FAIL_ONCE as f64),
        ("kurier_consumer_handler_seconds_count", all + FAIL_ONCE as f64),
        ("kurier_consumer_records_redelivered_total", 0.0),
        ("kurier_e2e_latency_seconds_count", MESSAGES as f64),
        ("kurier_consumer_records_in_flight", 1.0),
        ("kurier_consumer_partitions_assigned", 3.0),
        ("kurier_client_live", 2.0),
        ("kurier_client_ready", 1.0),
        ("kurier_client_check_failing", 1.0),
    ] {
        assert_eq!(sum(&after, name), figure, "{name}");
    }
    let failing = r#"kurier_client_check_failing{client="g-1",role="consumer",check="partitions"}"#;
    assert_eq!(after[failing], 1.0);
    let lag_of = r#"kurier_consumer_lag_records{client="g-1",topic="t",partition="#;
    assert_eq!(after.keys().filter(|series| series.starts_with(lag_of)).count(), 3);
    stop.cancel();
    run.await.unwrap().unwrap();
    assert_eq!(producer.close(Duration::from_secs(10)).await.unsent, []);
    let ended = read(&monitor.metrics());
    assert_eq!(sum(&ended, "kurier_consumer_records_processed_total"), MESSAGES as f64);
    assert_eq!(sum(&ended, "kurier_consumer_partitions_assigned"), 0.0);
    assert_eq!(sum(&ended, "kurier_client_ready"), 0.0);
    cluster.close().await;
}
