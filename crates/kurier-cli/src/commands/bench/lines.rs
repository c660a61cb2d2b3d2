//! The lines of Kafka's own tools, kafka-producer-perf-test and kafka-consumer-perf-test, so that what
//! reads those reads these. A MB is 2^20 bytes in both. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::figures::{Spread, Summary, Window, rate};

/// What the producer's tool says every few seconds.
pub fn producing(window: &Window) -> String {
    let Window { messages, messages_per_second, mib_per_second, .. } = window;
    let (mean, max) = window.latency_ms.map_or((0.0, 0.0), |spread| (spread.mean, spread.max));
    format!(
        "{messages} records sent, {messages_per_second:.1} records/sec ({mib_per_second:.2} MB/sec), \
         {mean:.1} ms avg latency, {max:.1} ms max latency."
    )
}

/// What it says in the end. Percentiles are whole milliseconds, rounded; `result.json` has the rest.
pub fn produced(summary: &Summary) -> String {
    let Summary { messages, messages_per_second, mib_per_second, .. } = summary;
    let none = Spread {
        mean: 0.0,
        p50: 0.0,
        p90: 0.0,
        p95: 0.0,
        p99: 0.0,
        p99_9: 0.0,
        p99_99: 0.0,
        max: 0.0,
    };
    let Spread { mean, p50, p95, p99, p99_9, max, .. } = summary.latency_ms.unwrap_or(none);
    format!(
        "{messages} records sent, {messages_per_second:.1} records/sec ({mib_per_second:.2} MB/sec), \
         {mean:.2} ms avg latency, {max:.2} ms max latency, {p50:.0} ms 50th, {p95:.0} ms 95th, \
         {p99:.0} ms 99th, {p99_9:.0} ms 99.9th."
    )
}

/// What is said every few seconds of messages handled, which have no latency: they were there before.
pub fn consuming(window: &Window) -> String {
    let Window { messages, messages_per_second, mib_per_second, .. } = window;
    format!(
        "{messages} records consumed, {messages_per_second:.1} records/sec ({mib_per_second:.2} MB/sec)."
    )
}

/// The headings of the consumer's tool.
pub const CONSUMED: &str = "start.time, end.time, data.consumed.in.MB, MB.sec, \
                            data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, \
                            fetch.MB.sec, fetch.nMsg.sec";

/// What stands below them; times are UTC. `joining` is the time to the first message; the rates named
/// `fetch` are without it, as those of the summary are.
pub fn consumed(start: Timestamp, joining: Duration, summary: &Summary) -> String {
    let reading = Duration::try_from_secs_f64(summary.seconds).unwrap_or_default();
    let whole = joining + reading;
    let end = start.checked_add(whole).unwrap_or(start);
    let time = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M:%S:%3f").to_string();
    let mib = summary.bytes as f64 / f64::from(1 << 20);
    let mib_rate = if whole.is_zero() { 0.0 } else { mib / whole.as_secs_f64() };
    format!(
        "{}, {}, {mib:.4}, {mib_rate:.4}, {}, {:.4}, {}, {}, {:.4}, {:.4}",
        time(start),
        time(end),
        summary.messages,
        rate(summary.messages, whole),
        joining.as_millis(),
        reading.as_millis(),
        summary.mib_per_second,
        summary.messages_per_second,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(latency_ms: Option<Spread>) -> Summary {
        Summary {
            messages: 50_000,
            bytes: 50_000 * 200,
            failed: 0,
            seconds: 2.0,
            messages_per_second: 25_000.0,
            mib_per_second: 4.768_371,
            latency_ms,
            unmeasured: 0,
        }
    }

    const SPREAD: Spread = Spread {
        mean: 3.144,
        p50: 2.4,
        p90: 5.0,
        p95: 5.6,
        p99: 12.5,
        p99_9: 40.0,
        p99_99: 41.0,
        max: 41.234,
    };

    #[test]
    fn the_final_line_is_that_of_the_producers_tool() {
        assert_eq!(
            produced(&summary(Some(SPREAD))),
            "50000 records sent, 25000.0 records/sec (4.77 MB/sec), 3.14 ms avg latency, 41.23 ms max latency, \
             2 ms 50th, 6 ms 95th, 12 ms 99th, 40 ms 99.9th."
        );
        assert!(
            produced(&summary(None))
                .ends_with("0.00 ms max latency, 0 ms 50th, 0 ms 95th, 0 ms 99th, 0 ms 99.9th.")
        );
    }

    #[test]
    fn a_window_is_its_line_between() {
        let window = Window {
            from: 0.0,
            to: 5.0,
            messages: 1_000,
            messages_per_second: 200.0,
            mib_per_second: 0.038,
            latency_ms: Some(SPREAD),
        };
        assert_eq!(
            producing(&window),
            "1000 records sent, 200.0 records/sec (0.04 MB/sec), 3.1 ms avg latency, 41.2 ms max latency."
        );
        assert_eq!(consuming(&window), "1000 records consumed, 200.0 records/sec (0.04 MB/sec).");
    }

    #[test]
    fn the_consumers_line_has_a_figure_for_each_heading() {
        let start: Timestamp = "2026-01-31T12:00:00.25Z".parse().expect("a time");
        let line = consumed(start, Duration::from_millis(500), &summary(None));
        assert_eq!(
            line,
            "2026-01-31 12:00:00:250, 2026-01-31 12:00:02:750, 9.5367, 3.8147, 50000, 20000.0000, 500, 2000, \
             4.7684, 25000.0000"
        );
        assert_eq!(line.split(", ").count(), CONSUMED.split(", ").count());
    }
}
