//! The one table of metrics: the page that Prometheus reads and `docs/metrics.md` are made from it.
//!
//! Names follow Prometheus' rules: base units (seconds, bytes) end the name, `_total` ends a counter's.

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricSpec {
    /// Its name.
    pub name: &'static str,
    /// What kind it is.
    pub kind: MetricKind,
    /// The names of its labels; each has few values, see the help.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// What kind a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows, and begins anew at 0 with its client.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Cumulative buckets, a sum and a count.
    Histogram,
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricSpec {
    MetricSpec { name, kind: MetricKind::Counter, labels, help }
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricSpec {
    MetricSpec { name, kind: MetricKind::Gauge, labels, help }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricSpec {
    MetricSpec { name, kind: MetricKind::Histogram, labels, help }
}

const CLIENT: &[&str] = &["client"];
const ROLE: &[&str] = &["client", "role"];
const BROKER: &[&str] = &["client", "role", "broker"];
const WINDOW: &[&str] = &["client", "role", "broker", "stat"];
const PARTITION: &[&str] = &["client", "topic", "partition"];

macro_rules! table {
    ($($(#[$about:meta])* $constant:ident = $row:expr;)*) => {
        $($(#[$about])* pub(crate) const $constant: MetricSpec = $row;)*
        /// Every metric, in the order they are shown.
        pub const METRICS: &[MetricSpec] = &[$($constant),*];
    };
}

table! {
    CLIENT_LIVE = gauge("kurier_client_live", ROLE,
        "1 when /livez has nothing against the client, else 0.");
    CLIENT_READY = gauge("kurier_client_ready", ROLE,
        "1 when /readyz has nothing against the client, else 0.");
    CHECK_FAILING = gauge("kurier_client_check_failing", &["client", "role", "check"],
        "1 when this check of /readyz fails, else 0.");

    SENT = counter("kurier_producer_records_sent_total", CLIENT,
        "Messages that send accepted; with an outbox those that were read from it, to be sent.");
    ACKED = counter("kurier_producer_records_acked_total", CLIENT,
        "Messages that are delivered: every in-sync replica has them.");
    FAILED = counter("kurier_producer_records_failed_total", &["client", "error"],
        "Accepted messages that were given up, by librdkafka's name of the reason.");
    IN_FLIGHT = gauge("kurier_producer_records_in_flight", CLIENT,
        "Messages that are accepted and neither delivered nor given up; with an outbox those of them that are in memory too.");
    IN_FLIGHT_BYTES = gauge("kurier_producer_in_flight_bytes", CLIENT,
        "What counts against memory_bytes: messages in flight with their overhead, and room that is granted.");
    ADMISSION_WAITS = counter("kurier_producer_admission_waits_total", CLIENT,
        "Calls of send that had to wait for room, or for another client to be made.");
    ACK_LATENCY = histogram("kurier_producer_ack_latency_seconds", CLIENT,
        "From the message's last handing over to librdkafka until its acknowledgement.");
    REMAKES = counter("kurier_producer_remakes_total", CLIENT,
        "Times that librdkafka's client could not go on and another was made.");
    REPLAYED = counter("kurier_producer_records_replayed_total", CLIENT,
        "Messages that another client was given to send again.");

    OUTBOX_UNDELIVERED = gauge("kurier_outbox_undelivered_records", CLIENT,
        "Messages in the producer's outbox that are not delivered, those of an earlier process included.");
    OUTBOX_OLDEST = gauge("kurier_outbox_oldest_age_seconds", CLIENT,
        "For how long the oldest undelivered message has been in the outbox, by the clocks of the machines that accepted it and that tell it; 0 when there is none.");
    OUTBOX_BYTES = gauge("kurier_outbox_size_bytes", CLIENT,
        "Bytes that count against the outbox's limit: its segments, which are deleted one by one when all in them is delivered.");
    OUTBOX_BYTES_MAX = gauge("kurier_outbox_limit_bytes", CLIENT,
        "The outbox's limit, at which new messages wait or are refused.");
    OUTBOX_PUT_ASIDE = gauge("kurier_outbox_put_aside_records", CLIENT,
        "Messages that no broker took, kept aside in the outbox's folder with the reason until somebody removes them.");
    OUTBOX_WRITE = histogram("kurier_outbox_write_seconds", CLIENT,
        "How long it takes to write a batch of messages to the outbox and to make it as safe as was asked for.");

    RECEIVED = counter("kurier_consumer_records_received_total", CLIENT,
        "Messages read from partitions, those included that came more than once.");
    PROCESSED = counter("kurier_consumer_records_processed_total", CLIENT,
        "Messages handled, those included that came more than once.");
    DEAD_LETTERED = counter("kurier_consumer_records_dead_lettered_total", CLIENT,
        "Messages given up whose copies are in the dead-letter topic, those included that came more than once: they count as handled for what is committed.");
    DEAD_LETTER_TOPIC = gauge("kurier_consumer_dead_letter_topic", &["client", "topic"],
        "1 for the topic that the consumer writes dead letters to. Not there without one.");
    TOO_LATE = counter("kurier_consumer_records_processed_too_late_total", CLIENT,
        "Messages handled after their partition was taken away: others are given them again.");
    STOPPED_AT = counter("kurier_consumer_records_failed_total", CLIENT,
        "Messages that can't be handled or read and have no place in a dead-letter topic: their partition stopped there.");
    HANDLER_FAILURES = counter("kurier_consumer_handler_failures_total", CLIENT,
        "Attempts of the handler that failed.");
    RETRIES = counter("kurier_consumer_retries_total", CLIENT,
        "Attempts of the handler that failed and are followed by another.");
    HANDLER_SECONDS = histogram("kurier_consumer_handler_seconds", CLIENT,
        "How long calls of the handler take, attempts that fail included.");
    E2E_LATENCY = histogram("kurier_e2e_latency_seconds", CLIENT,
        "From the timestamp of a message's record until it is handled, by this machine's clock; a time ahead of that counts as 0. Messages whose records have no time are not in it.");
    REDELIVERED = counter("kurier_consumer_records_redelivered_total", CLIENT,
        "Messages handled again, by their offsets: this instance had gone past them when it had the partition before. What other instances had handled, it can't know.");
    WAITING = gauge("kurier_consumer_records_in_flight", CLIENT,
        "Messages read and not yet handled.");
    WAITING_BYTES = gauge("kurier_consumer_in_flight_bytes", CLIENT,
        "Bytes of the messages read and not yet handled.");
    LAG = gauge("kurier_consumer_lag_records", PARTITION,
        "Offsets between the first message that is not handled and the partition's end, of every partition that this instance has. Not there until both are known.");
    COMMITS = counter("kurier_consumer_commits_total", &["client", "result"],
        "Positions of partitions that the group was to store, by what came of it: stored or failed.");
    COMMIT_LATENCY = histogram("kurier_consumer_commit_latency_seconds", CLIENT,
        "From the question to store positions until its answer; one without an answer counts with the time it was given.");
    REBALANCES = counter("kurier_consumer_rebalances_total", &["client", "kind"],
        "Rebalances that gave this instance partitions or took some, by kind: assigned, revoked or lost.");
    ASSIGNED = gauge("kurier_consumer_partitions_assigned", CLIENT,
        "Partitions that this instance has.");
    STOPPED = gauge("kurier_consumer_partitions_stopped", CLIENT,
        "Partitions that this instance has and that stopped at a message.");
    ADRIFT = gauge("kurier_consumer_handlers_adrift", CLIENT,
        "Calls of the handler that are still at work though their partition was taken away: what they do counts no more, and with concurrency per key each keeps one of its turns.");

    STATISTICS_AGE = gauge("kurier_librdkafka_statistics_age_seconds", ROLE,
        "How old librdkafka's statistics are: what follows below, and the ends that the lag is counted to.");
    QUEUE_RECORDS = gauge("kurier_librdkafka_queue_records", ROLE,
        "Messages in librdkafka's queues of a producer.");
    QUEUE_BYTES = gauge("kurier_librdkafka_queue_bytes", ROLE,
        "Bytes in librdkafka's queues of a producer.");
    BROKER_UP = gauge("kurier_librdkafka_broker_up", BROKER,
        "1 when there is a connection to the broker, else 0. A broker without work for the client has none.");
    BROKER_RTT = gauge("kurier_librdkafka_broker_rtt_seconds", WINDOW,
        "Round trip of a request within the last interval of the statistics: avg, p50, p99 and max. Not there when there was none.");
    BROKER_REQUEST_LATENCY = gauge("kurier_librdkafka_broker_request_latency_seconds", WINDOW,
        "Time of a request before it is sent within the last interval: avg, p50, p99 and max. Not there when there was none.");
    BROKER_THROTTLE = gauge("kurier_librdkafka_broker_throttle_seconds", WINDOW,
        "For how long the broker throttled within the last interval: avg, p50, p99 and max.");
    BROKER_QUEUED = gauge("kurier_librdkafka_broker_requests_queued", BROKER,
        "Requests that wait to be sent.");
    BROKER_WAITING = gauge("kurier_librdkafka_broker_requests_in_flight", BROKER,
        "Requests that wait for their answer.");
    BROKER_REQUESTS = counter("kurier_librdkafka_broker_requests_total", BROKER,
        "Requests sent. Like all counters of librdkafka it begins anew when a producer's client is made again.");
    BROKER_RETRIES = counter("kurier_librdkafka_broker_request_retries_total", BROKER,
        "Requests sent again.");
    BROKER_TIMEOUTS = counter("kurier_librdkafka_broker_request_timeouts_total", BROKER,
        "Requests without an answer in time.");
    BROKER_ERRORS = counter("kurier_librdkafka_broker_errors_total", BROKER,
        "Errors while sending or receiving.");
    BROKER_SENT = counter("kurier_librdkafka_broker_sent_bytes_total", BROKER,
        "Bytes sent.");
    BROKER_RECEIVED = counter("kurier_librdkafka_broker_received_bytes_total", BROKER,
        "Bytes received.");
    BROKER_CONNECTS = counter("kurier_librdkafka_broker_connects_total", BROKER,
        "Attempts to connect.");
    BROKER_DISCONNECTS = counter("kurier_librdkafka_broker_disconnects_total", BROKER,
        "Connections that ended.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        for MetricSpec { name, kind, labels, help } in METRICS {
            let plain = |text: &str| {
                let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
                text.chars().all(|char| plain(char) || char == '_')
            };
            assert!(name.starts_with("kurier_") && plain(name) && !name.contains("__"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == MetricKind::Counter, "{name}");
            let histogram = *kind == MetricKind::Histogram;
            assert!(!histogram || name.ends_with("_seconds"), "{name}");
            for reserved in ["_bucket", "_sum", "_count"] {
                assert!(!name.ends_with(reserved), "{name}");
            }
            let scaled = ["_ms", "_us", "_millis", "_kb", "_mb", "_percent"];
            assert!(!scaled.iter().any(|unit| name.ends_with(unit)), "{name}");
            assert!(labels.iter().all(|label| plain(label) && *label != "le"), "{name}");
            assert_eq!(labels.first(), Some(&"client"), "{name}");
            let line = help.ends_with('.') && !help.contains(['\n', '\\', '|']);
            assert!(line && help.starts_with(char::is_alphanumeric), "{name}");
            assert_eq!(METRICS.iter().filter(|other| other.name == *name).count(), 1, "{name}");
        }
    }
}
