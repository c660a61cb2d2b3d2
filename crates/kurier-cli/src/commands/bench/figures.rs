//! What is measured: counts and latencies, in windows and in all. Pure: time is an argument, from the
//! beginning of the run.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The figures of a run so far.
#[derive(Debug)]
pub struct Figures {
    messages: u64,
    bytes: u64,
    failed: u64,
    /// Their latency is not known.
    unmeasured: u64,
    /// When the last one was counted.
    last: Duration,
    latencies: Latencies,
    window: Begun,
}

/// The window that is not over yet.
#[derive(Debug, Default)]
struct Begun {
    from: Duration,
    messages: u64,
    bytes: u64,
    latencies: Latencies,
}

/// Some seconds of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Window {
    /// Seconds from the beginning of the run.
    pub from: f64,
    /// The same.
    pub to: f64,
    /// Messages acknowledged, or handled, in it.
    pub messages: u64,
    /// A second.
    pub messages_per_second: f64,
    /// 2^20 bytes a second.
    pub mib_per_second: f64,
    /// Of these messages, in milliseconds.
    pub latency_ms: Option<Spread>,
}

/// All of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Messages acknowledged, or handled.
    pub messages: u64,
    /// Their bytes: values, without keys and headers.
    pub bytes: u64,
    /// Messages given up.
    pub failed: u64,
    /// From the first to the last message.
    pub seconds: f64,
    /// A second.
    pub messages_per_second: f64,
    /// 2^20 bytes a second.
    pub mib_per_second: f64,
    /// From the time a message was to be sent, in milliseconds; none where nothing is sent.
    pub latency_ms: Option<Spread>,
    /// Messages that are counted, but not among the latencies.
    pub unmeasured: u64,
}

/// How times are spread, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[allow(missing_docs, reason = "percentiles say it themselves")]
pub struct Spread {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub p99_99: f64,
    pub max: f64,
}

impl Figures {
    /// Of a run that begins now, and whose clock is at `from`.
    pub fn begin(from: Duration) -> Self {
        Self {
            messages: 0,
            bytes: 0,
            failed: 0,
            unmeasured: 0,
            last: from,
            latencies: Latencies::default(),
            window: Begun { from, ..Begun::default() },
        }
    }

    /// A message of so many bytes is done at `at`, and was to be sent at `due`, if that is known.
    pub fn done(&mut self, at: Duration, bytes: u64, due: Option<Duration>) {
        self.counted(at, 1, bytes);
        match due {
            Some(due) => {
                let latency = at.saturating_sub(due);
                self.latencies.record(latency);
                self.window.latencies.record(latency);
            }
            None => self.unmeasured += 1,
        }
    }

    /// Messages of so many bytes are done by `at`; they have no latency.
    pub fn counted(&mut self, at: Duration, messages: u64, bytes: u64) {
        self.messages += messages;
        self.bytes += bytes;
        self.window.messages += messages;
        self.window.bytes += bytes;
        self.last = self.last.max(at);
    }

    /// A message was given up.
    pub fn failed(&mut self) {
        self.failed += 1;
    }

    /// Messages done, and their bytes.
    pub fn counts(&self) -> (u64, u64) {
        (self.messages, self.bytes)
    }

    /// Ends the window at `at`, and begins the next; `None` when nothing can have happened in it.
    pub fn window(&mut self, at: Duration) -> Option<Window> {
        let length = at.checked_sub(self.window.from).filter(|length| !length.is_zero())?;
        let over = std::mem::replace(&mut self.window, Begun { from: at, ..Begun::default() });
        Some(Window {
            from: over.from.as_secs_f64(),
            to: at.as_secs_f64(),
            messages: over.messages,
            messages_per_second: rate(over.messages, length),
            mib_per_second: mib(over.bytes, length),
            latency_ms: over.latencies.spread(),
        })
    }

    /// All there is, from `first` on.
    pub fn summary(&self, first: Duration) -> Summary {
        let length = self.last.saturating_sub(first);
        Summary {
            messages: self.messages,
            bytes: self.bytes,
            failed: self.failed,
            seconds: length.as_secs_f64(),
            messages_per_second: rate(self.messages, length),
            mib_per_second: mib(self.bytes, length),
            latency_ms: self.latencies.spread(),
            unmeasured: self.unmeasured,
        }
    }
}

/// Times in microseconds, to three digits, up to an hour; a longer one counts as an hour.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

const LONGEST_MICROS: u64 = 3_600_000_000;
const DIGITS: u8 = 3;

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_MICROS, DIGITS);
        Self(histogram.expect("constants that a histogram takes"))
    }
}

impl Latencies {
    /// Counts one.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// How they are spread; `None` when there are none.
    pub fn spread(&self) -> Option<Spread> {
        let millis = |micros: u64| micros as f64 / 1000.0;
        let at = |quantile| millis(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| Spread {
            mean: self.0.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: millis(self.0.max()),
        })
    }
}

/// A second.
pub fn rate(count: u64, length: Duration) -> f64 {
    if length.is_zero() { 0.0 } else { count as f64 / length.as_secs_f64() }
}

fn mib(bytes: u64, length: Duration) -> f64 {
    rate(bytes, length) / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// One message a millisecond, but for a pause of a second behind the hundredth: the hundred that were
    /// to be sent in the pause's last tenth waited too, and count as that.
    #[test]
    fn latency_counts_from_the_intended_time_so_a_pause_is_seen_by_all_it_held_up() {
        let mut figures = Figures::begin(Duration::ZERO);
        for number in 0..2_000 {
            let due = ms(number);
            let sent = if (100..1_100).contains(&number) { ms(1_100) } else { due };
            figures.done(sent + ms(1), 200, Some(due));
        }
        let spread = figures.summary(Duration::ZERO).latency_ms.expect("messages");
        // 1,000 of 2,000 waited, half a second on average, and 1 ms for all.
        assert!((251.0..252.0).contains(&spread.mean), "{spread:?}");
        assert!((1.0..1.01).contains(&spread.p50), "{spread:?}");
        assert!((800.0..804.0).contains(&spread.p90), "{spread:?}");
        assert!((1_001.0..1_002.0).contains(&spread.max), "{spread:?}");
    }

    #[test]
    fn a_window_has_what_happened_in_it_and_the_summary_has_all() {
        let mut figures = Figures::begin(ms(500));
        figures.done(ms(600), 1 << 20, Some(ms(590)));
        figures.done(ms(700), 1 << 20, None);
        let first = figures.window(ms(1_000)).expect("half a second");
        assert_eq!((first.from, first.to, first.messages), (0.5, 1.0, 2));
        assert_eq!((first.messages_per_second, first.mib_per_second), (4.0, 4.0));
        assert!((10.0..10.1).contains(&first.latency_ms.expect("one was measured").max));
        figures.counted(ms(1_500), 8, 0);
        figures.failed();
        let second = figures.window(ms(1_500)).expect("half a second");
        assert_eq!((second.messages, second.latency_ms), (8, None));
        assert_eq!(figures.window(ms(1_500)), None, "no time has passed");
        let summary = figures.summary(ms(500));
        assert_eq!((summary.messages, summary.failed, summary.unmeasured), (10, 1, 1));
        assert_eq!((summary.seconds, summary.messages_per_second), (1.0, 10.0));
        assert_eq!(summary.mib_per_second, 2.0);
    }

    #[test]
    fn nothing_measured_is_no_division_by_it() {
        let summary = Figures::begin(ms(5)).summary(ms(5));
        assert_eq!((summary.messages_per_second, summary.latency_ms), (0.0, None));
        assert_eq!(Figures::begin(ms(5)).window(ms(4)), None, "a clock that is behind");
    }

    #[test]
    fn times_beyond_the_bounds_count_as_the_bounds() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::ZERO);
        latencies.record(Duration::from_secs(1_000_000));
        let spread = latencies.spread().expect("two");
        assert!((3_600_000.0..3_604_000.0).contains(&spread.max), "{spread:?}");
    }
}
