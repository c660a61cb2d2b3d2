//! Prometheus' text format, version 0.0.4, made by hand: figures are read under their clients' own locks
//! when someone asks, so a library's registry would hold each of them a second time, and the names,
//! kinds and help come from the table. *Pure.*
//!
//! The format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::counts::{BOUNDS, Histogram};
use super::table::{METRICS, MetricKind, MetricSpec};

/// The page in the making: the samples of each metric stay together, in the order of the table.
#[derive(Debug)]
pub(crate) struct Page(Vec<String>);

impl Page {
    pub(crate) fn new() -> Self {
        Self(METRICS.iter().map(|_| String::new()).collect())
    }

    /// Adds a sample; `labels` are the values of the metric's labels, in their order.
    pub(crate) fn put<const N: usize>(
        &mut self,
        metric: &MetricSpec,
        labels: [&str; N],
        value: impl Display,
    ) {
        self.sample(metric, "", &labels, None, value);
    }

    /// Adds a time, in seconds.
    pub(super) fn put_seconds<const N: usize>(
        &mut self,
        metric: &MetricSpec,
        labels: [&str; N],
        value: Duration,
    ) {
        self.put(metric, labels, value.as_secs_f64());
    }

    /// Adds all samples of a histogram.
    pub(super) fn put_histogram<const N: usize>(
        &mut self,
        metric: &MetricSpec,
        labels: [&str; N],
        histogram: &Histogram,
    ) {
        let (cumulative, sum) = histogram.read();
        let shown = BOUNDS.iter().map(|(_, shown)| *shown).chain(["+Inf"]);
        for (bound, count) in shown.zip(cumulative) {
            self.sample(metric, "_bucket", &labels, Some(bound), count);
        }
        self.sample(metric, "_sum", &labels, None, sum.as_secs_f64());
        self.sample(metric, "_count", &labels, None, cumulative[BOUNDS.len()]);
    }

    /// The whole page.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (spec, samples) in METRICS.iter().zip(&self.0).filter(|(_, one)| !one.is_empty()) {
            let MetricSpec { name, kind, help, .. } = spec;
            let kind = match kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
            };
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}");
        }
        text
    }

    fn sample(
        &mut self,
        metric: &MetricSpec,
        suffix: &str,
        labels: &[&str],
        bound: Option<&str>,
        value: impl Display,
    ) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        let place = METRICS.iter().position(|spec| spec.name == metric.name);
        let Some(text) = place.and_then(|place| self.0.get_mut(place)) else {
            debug_assert!(false, "{} is not in the table", metric.name);
            return;
        };
        let names = metric.labels.iter().copied().chain(["le"]);
        let pairs = names.zip(labels.iter().copied().chain(bound));
        let _ = write!(text, "{}{suffix}", metric.name);
        for (number, (name, label)) in pairs.enumerate() {
            let _ = write!(text, "{}{name}=\"", if number == 0 { '{' } else { ',' });
            escape_label(text, label);
            text.push('"');
        }
        let _ = writeln!(text, "}} {value}");
    }
}

/// Appends the value of a label as it stands between the quotes in Prometheus' text format, so that whatever
/// is in it stays there.
///
/// ```
/// let mut text = String::from("up{name=\"");
/// kurier::escape_label(&mut text, "a\"b\\c\nd");
/// assert_eq!(text, r#"up{name="a\"b\\c\nd"#);
/// ```
pub fn escape_label(text: &mut String, label: &str) {
    for char in label.chars() {
        match char {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            char => text.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::{ACK_LATENCY, CLIENT_LIVE};
    use super::*;

    #[test]
    fn labels_are_escaped_and_the_samples_of_a_metric_stay_together() {
        let (mut page, histogram) = (Page::new(), Histogram::default());
        histogram.note(0, Duration::from_millis(3));
        page.put(&CLIENT_LIVE, ["a\"b\\c\nd", "producer"], 1);
        page.put_histogram(&ACK_LATENCY, ["a"], &histogram);
        page.put(&CLIENT_LIVE, ["b", "consumer"], 0);
        let text = page.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("# HELP kurier_client_live "), "{text}");
        assert_eq!(lines[1], "# TYPE kurier_client_live gauge");
        assert_eq!(lines[2], r#"kurier_client_live{client="a\"b\\c\nd",role="producer"} 1"#);
        assert_eq!(lines[3], r#"kurier_client_live{client="b",role="consumer"} 0"#);
        assert_eq!(lines[5], "# TYPE kurier_producer_ack_latency_seconds histogram");
        let histogram = |part: &str| format!("kurier_producer_ack_latency_seconds{part}");
        assert_eq!(lines[6], histogram(r#"_bucket{client="a",le="0.0001"} 0"#));
        assert!(lines.contains(&&*histogram(r#"_bucket{client="a",le="0.005"} 1"#)), "{text}");
        assert_eq!(lines[22], histogram(r#"_bucket{client="a",le="+Inf"} 1"#));
        assert_eq!(
            lines[23..],
            [histogram(r#"_sum{client="a"} 0.003"#), histogram(r#"_count{client="a"} 1"#)]
        );
    }
}
