//! Documents say what the code says: the example in the READMEs is compiled, `docs/settings.md` is made
//! from the table of options, `docs/metrics.md` from that of metrics, and the bounds in `docs/dashboard.md` from the
//! dashboard's.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use kurier::{METRICS, MetricKind, MetricSpec, OPTIONS, OptionSpec, Side, Unit};
use kurier_dashboard::Bound;

const EXAMPLE: &str = include_str!("../../crates/kurier/examples/quickstart.rs");

const HEAD: &str = "# Settings

Every setting that is a number or a time, with its default and its bounds. In the library they are fields of
`ProducerConfig` and `ConsumerConfig`, a batch's are said to the consumer's builder, times as `Duration`; on the command line
`-X NAME=VALUE` takes those that have a name of librdkafka's, in its unit, and passes on every other property of librdkafka's
that can't break the promise. What would break it is refused by name, with the reason.
";

#[test]
fn the_example_in_both_languages_is_the_one_that_compiles() {
    let (_, program) = EXAMPLE.split_once("\n\nuse ").expect("a header before the program");
    let program = format!("```rust\nuse {program}```");
    for readme in [include_str!("../../README.md"), include_str!("../../README.ru.md")] {
        assert!(readme.contains(&program), "the example differs from {program}");
    }
}

const COLUMNS: &str = "| setting | property | default | bounds | what it does |
|---|---|---|---|---|";

#[test]
fn the_page_of_settings_says_what_the_table_says() {
    let mut page = HEAD.to_owned();
    for (side, title) in [(Side::Producer, "A producer's"), (Side::Consumer, "A consumer's")] {
        let _ = write!(page, "\n## {title}\n\n{COLUMNS}\n");
        for option in OPTIONS.iter().filter(|option| option.side == side) {
            row(&mut page, option);
        }
    }
    is_the_page("docs/settings.md", &page);
}

fn is_the_page(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "{name} should be:\n{page}");
}

const METRICS_HEAD: &str = "# Metrics

What `/metrics` of `kurier produce|consume --metrics HOST:PORT` says, and `Monitor` in a program, in Prometheus' text format.
Clients are told apart by the label `client`: a producer's is its `client.id`, a consumer's its group and instance; the second
of one name is called `NAME-2`. Labels have few values: brokers by their number, the partitions that an instance has.
What begins with `kurier_librdkafka` is what librdkafka says of itself each second
(`-X statistics.interval.ms=…` for another interval); the ends that a lag is counted to are from there, too.
";

const METRICS_COLUMNS: &str = "| metric | kind | labels | what it says |
|---|---|---|---|";

#[test]
fn the_page_of_metrics_says_what_the_table_says() {
    let mut page = METRICS_HEAD.to_owned();
    for (prefix, title) in [
        ("kurier_client_", "Every client's"),
        ("kurier_producer_", "A producer's"),
        ("kurier_outbox_", "A producer's outbox's"),
        ("kurier_consumer_", "A consumer's"),
        ("kurier_librdkafka_", "librdkafka's"),
    ] {
        let _ = write!(page, "\n## {title}\n\n{METRICS_COLUMNS}\n");
        let of_part = |name: &str| match name {
            // A message's whole way ends in a consumer.
            "kurier_e2e_latency_seconds" => prefix == "kurier_consumer_",
            name => name.starts_with(prefix),
        };
        for metric in METRICS.iter().filter(|metric| of_part(metric.name)) {
            metric_row(&mut page, metric);
        }
    }
    let told = METRICS.iter().filter(|metric| page.contains(&format!("| `{}` |", metric.name)));
    assert_eq!(told.count(), METRICS.len(), "a metric belongs to no part of the page");
    is_the_page("docs/metrics.md", &page);
}

#[test]
fn the_alerts_of_the_operators_page_are_on_metrics_that_there_are() {
    let page = include_str!("../../docs/operations.md");
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let named = page.split(word).filter(|it| it.starts_with("kurier_"));
    let is_there = |named: &str| {
        METRICS.iter().any(|metric| {
            let bucket = format!("{}_bucket", metric.name);
            metric.name == named || (metric.kind == MetricKind::Histogram && bucket == named)
        })
    };
    let unknown: Vec<&str> = named.clone().filter(|it| !is_there(it)).collect();
    assert_eq!(unknown, Vec::<&str>::new());
    assert!(5 < named.count(), "the page names metrics to alert on");
}

#[test]
fn the_page_of_the_dashboard_says_what_its_bounds_are() {
    let mut table =
        "## What it takes at most\n\n| of | bound | at the bound |\n|---|---|---|\n".to_owned();
    for Bound { of, bound, then } in kurier_dashboard::bounds() {
        let _ = writeln!(table, "| {of} | {bound} | {then} |");
    }
    table.push('\n');
    let page = include_str!("../../docs/dashboard.md");
    assert!(page.contains(&table), "docs/dashboard.md should have:\n{table}");
}

fn metric_row(page: &mut String, metric: &MetricSpec) {
    let kind = match metric.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
        other => unreachable!("{other:?} has no name here"),
    };
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let _ =
        writeln!(page, "| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help);
}

fn row(page: &mut String, option: &OptionSpec) {
    let OptionSpec { name, kafka, unit, default, bounds, doc, .. } = option;
    let kafka = kafka.map_or_else(String::new, |kafka| format!("`{kafka}`"));
    let default = default.map_or_else(|| "not set".to_owned(), |value| amount(value, *unit));
    let (min, max) = (amount(bounds.min, *unit), amount(bounds.max, *unit));
    let _ = writeln!(page, "| `{name}` | {kafka} | {default} | {min} to {max} | {doc} |");
}

/// As people say it: 64 MiB, 45 s.
fn amount(value: u64, unit: Unit) -> String {
    let scales: &[(u64, &str)] = match unit {
        Unit::Bytes => &[(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")],
        Unit::Milliseconds => &[(3_600_000, "h"), (60_000, "min"), (1000, "s")],
        _ => &[],
    };
    let whole = |(size, _): &&(u64, &str)| 0 < value && value.is_multiple_of(*size);
    match scales.iter().find(whole) {
        Some((size, name)) => format!("{} {name}", value / size),
        None if matches!(unit, Unit::Bytes | Unit::Milliseconds) => {
            format!("{value} {}", unit.name())
        }
        None => value.to_string(),
    }
}
