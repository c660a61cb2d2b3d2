//! The options kurier has, each once: name, Kafka's name, unit, default, bounds, what it does.
//!
//! The defaults of the structs, the validation, the documents and the help are made from these rows.

use std::time::Duration;

use super::ConfigProblem;

/// Which client an option belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Side {
    /// [`MessageProducer`](crate::MessageProducer).
    Producer,
    /// The consumers.
    Consumer,
}

/// What an option's number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Messages.
    Messages,
    /// Milliseconds; the field is a [`Duration`].
    Milliseconds,
    /// Tries of one message, the first included.
    Attempts,
    /// Calls of a handler.
    Calls,
}

/// The smallest and the largest value, both allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The smallest value.
    pub min: u64,
    /// The largest value.
    pub max: u64,
}

/// One option: everything its documentation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionSpec {
    /// Whose it is.
    pub side: Side,
    /// The name of the field in the config struct; of a batch's rules, which the consumer's builder is told, their own.
    pub name: &'static str,
    /// librdkafka's property, if it is one; the property is then taken for the option.
    pub kafka: Option<&'static str>,
    /// What the number counts.
    pub unit: Unit,
    /// The default; `None`: not set, see the text.
    pub default: Option<u64>,
    /// What is allowed.
    pub bounds: Bounds,
    /// What it does, and what happens at its bound.
    pub doc: &'static str,
}

impl OptionSpec {
    /// The default of an option that counts.
    pub(super) const fn default_count(&self) -> usize {
        match self.default {
            Some(default) => default as usize,
            None => 0,
        }
    }

    /// The default of an option that is a time.
    pub(super) const fn default_time(&self) -> Duration {
        match self.default {
            Some(default) => Duration::from_millis(default),
            None => Duration::ZERO,
        }
    }

    pub(super) fn check_count(&self, value: usize, problems: &mut Vec<ConfigProblem>) {
        self.check(u64::try_from(value).unwrap_or(u64::MAX), problems);
    }

    pub(super) fn check_time(&self, value: Duration, problems: &mut Vec<ConfigProblem>) {
        self.check(millis(value), problems);
    }

    fn check(&self, value: u64, problems: &mut Vec<ConfigProblem>) {
        let Bounds { min, max } = self.bounds;
        if value < min || max < value {
            let unit = self.unit.name();
            let reason = format!("must be between {min} and {max} {unit}");
            problems.push(ConfigProblem::new(self.name, &value.to_string(), reason));
        }
    }
}

impl Unit {
    /// The unit's name, as in "between 1 and 10 bytes".
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Messages => "messages",
            Self::Milliseconds => "ms",
            Self::Attempts => "attempts",
            Self::Calls => "calls",
        }
    }
}

/// Whole milliseconds, which is what librdkafka takes.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const MIB: u64 = 1024 * 1024;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;
const I32_MAX: u64 = i32::MAX as u64;

macro_rules! options {
    ($($const:ident = $side:ident, $name:literal, $kafka:expr, $unit:ident, $default:expr, $min:expr, $max:expr, $doc:literal;)*) => {
        $(pub(super) const $const: OptionSpec = OptionSpec {
            side: Side::$side,
            name: $name,
            kafka: $kafka,
            unit: Unit::$unit,
            default: $default,
            bounds: Bounds { min: $min, max: $max },
            doc: $doc,
        };)*
        /// Every option of the library that is a number or a time, in the order of the documents.
        pub const OPTIONS: &[OptionSpec] = &[$($const),*];
    };
}

options! {
    MEMORY_BYTES = Producer, "memory_bytes", None, Bytes, Some(192 * MIB), MIB, 1024 * 1024 * MIB,
        "Accepted messages that are not yet delivered take at most this much memory (content, key, headers and 512 bytes each). At the bound `send` waits, first in first out, and `try_send` hands the message back. librdkafka's own bound is set a third higher, so that it is never met.";
    MEMORY_MESSAGES = Producer, "memory_messages", None, Messages, Some(500_000), 1, 100_000_000,
        "The same bound in messages.";
    MESSAGE_BYTES_MAX = Producer, "message_bytes_max", Some("message.max.bytes"), Bytes, Some(1_000_000), 1000, 1_000_000_000,
        "The largest message: value, key, headers and framing. A larger one is refused before it is accepted. The broker's `max.message.bytes` must not be smaller.";
    LINGER = Producer, "linger", Some("linger.ms"), Milliseconds, Some(5), 0, 900_000,
        "How long librdkafka waits for more messages before it sends a batch. Higher: larger batches and more throughput; lower: sooner delivery.";
    DELIVERY_DEADLINE = Producer, "delivery_deadline", Some("delivery.timeout.ms"), Milliseconds, None, 1, I32_MAX,
        "When an accepted message is given up as failed. Default: never; librdkafka goes on until it is delivered. With a deadline, later messages of the partition may be delivered after an earlier one failed.";
    STALL_AFTER = Producer, "stall_after", None, Milliseconds, Some(3000), 100, HOUR_MS,
        "After this long with accepted messages and no delivery the producer says, once, that it waits for the cluster.";
    UNKNOWN_TOPIC_GRACE = Producer, "unknown_topic_grace", None, Milliseconds, Some(2_000), 0, 60_000,
        "How long a topic the cluster does not know is asked about again before `send` fails: one created a moment ago is not known to every broker at once.";
    OUTBOX_BYTES_MAX = Producer, "outbox.bytes_max", None, Bytes, Some(1024 * MIB), MIB, 1024 * 1024 * MIB,
        "Undelivered messages in an outbox take at most this much room on the disk, about 60 bytes each included. At the bound new messages wait or are refused, as the outbox's `when_full` says.";
    SESSION_TIMEOUT = Consumer, "session_timeout", Some("session.timeout.ms"), Milliseconds, Some(45_000), 1, HOUR_MS,
        "A member that is silent this long is taken for dead and its partitions go to others.";
    HEARTBEAT_INTERVAL = Consumer, "heartbeat_interval", Some("heartbeat.interval.ms"), Milliseconds, Some(3000), 1, HOUR_MS,
        "How often a member says it is alive; at most a third of the session timeout.";
    POLL_INTERVAL_MAX = Consumer, "poll_interval_max", Some("max.poll.interval.ms"), Milliseconds, Some(300_000), 1, DAY_MS,
        "The poll thread must come back this often, or the member leaves the group. Handlers may take longer: they do not run on that thread. It bounds the time a rebalance waits for handlers, see `drain_deadline`.";
    CONSUMER_MEMORY_BYTES = Consumer, "memory_bytes", None, Bytes, Some(64 * MIB), MIB, 1024 * 1024 * MIB,
        "Fetched messages that wait for a lane, shared out among 16 partitions: each may hold a sixteenth (64 KiB to 64 MiB), so more than 16 exceed it in proportion. The sixteenth becomes `queued.max.messages.kbytes`. At the bound a partition is not fetched until its handlers have caught up.";
    LANE_MESSAGES_MAX = Consumer, "lane_messages_max", None, Messages, Some(1024), 1, 10_000_000,
        "Messages of one partition handed to its lane and not yet handled. At the bound the partition's queue is not polled; others flow on.";
    LANE_BYTES_MAX = Consumer, "lane_bytes_max", None, Bytes, Some(4 * MIB), 1, 1024 * 1024 * MIB,
        "The same bound in bytes. One message that is larger than the bound is let through alone.";
    IN_FLIGHT_MESSAGES_MAX = Consumer, "in_flight_messages_max", None, Messages, Some(100_000), 1, 100_000_000,
        "Messages handed to all lanes of this consumer together and not yet handled. Each partition gets an equal share of it, at least one message, so that one whose handler hangs takes nothing from the others; a lane's own bound holds where it is smaller. A lane of a batch consumer holds a batch all the same.";
    IN_FLIGHT_BYTES_MAX = Consumer, "in_flight_bytes_max", None, Bytes, Some(64 * MIB), 1, 1024 * 1024 * MIB,
        "The same bound in bytes. With partitions in the hundreds and slow handlers memory comes to this, a sixteenth of `memory_bytes` for each partition, and what one fetch brings.";
    AHEAD_MESSAGES_MAX = Consumer, "ahead_messages_max", None, Messages, Some(20_000), 1, 10_000_000,
        "Messages of one partition read from the first one on that is not handled, with those handled out of order behind it. Only with concurrency per key are there any of these. At the bound the partition's queue is not polled until that message is handled. At most so many come again after a crash, or when the partition goes to another member.";
    CONCURRENCY = Consumer, "concurrency", None, Calls, None, 1, 10_000,
        "Handler calls at once in the whole consumer, in order per key (`Concurrency::PerKey`); only for the single consumer. Default: one message of a partition at a time, partitions at the same time.";
    CONSUMER_STALL_AFTER = Consumer, "stall_after", None, Milliseconds, Some(60_000), 5000, HOUR_MS,
        "After this long without reading anything from a partition whose leader says that there is more, or without the consumer's thread coming round, the consumer's health is not live. A handler that is slow, a cluster that is away and a topic without new messages are no such thing. Partitions that are silent are asked about four times within it.";
    COMMIT_INTERVAL = Consumer, "commit_interval", None, Milliseconds, Some(1000), 1, HOUR_MS,
        "How often handled offsets are committed. After a crash at most this much is handled again, and what was being handled.";
    COMMIT_DEADLINE = Consumer, "commit_deadline", None, Milliseconds, Some(10_000), 1, HOUR_MS,
        "How long one commit may take before it is counted as failed and tried again with the next.";
    DRAIN_DEADLINE = Consumer, "drain_deadline", None, Milliseconds, None, 0, HOUR_MS,
        "When partitions are taken away, handlers get this long to finish before what is handled is committed and the partitions are let go. Default: the lesser of 10 s and a quarter of `poll_interval_max`; never more than that quarter.";
    SHUTDOWN_DEADLINE = Consumer, "shutdown_deadline", None, Milliseconds, Some(25_000), 0, HOUR_MS,
        "Draining, committing, leaving the group and closing take at most this long; then the rest is reported as left behind. Kubernetes kills after 30 s.";
    RETRY_ATTEMPTS = Consumer, "retry_attempts", None, Attempts, Some(5), 1, 1_000_000,
        "How often a message is handed to the handler before it counts as one that can't be handled.";
    RETRY_BACKOFF_MIN = Consumer, "retry_backoff_min", None, Milliseconds, Some(100), 0, HOUR_MS,
        "The wait before the second attempt; doubled for each further one, with jitter.";
    RETRY_BACKOFF_MAX = Consumer, "retry_backoff_max", None, Milliseconds, Some(30_000), 0, HOUR_MS,
        "The longest wait between two attempts.";
    BATCH = Consumer, "batch", None, Messages, Some(100), 1, 1_000_000,
        "Messages in a batch. It is handed over when it has so many, when `batch_wait` has passed since its first one, or when one more would exceed `batch_bytes`. A lane has room for two, whatever its own bounds say.";
    BATCH_WAIT = Consumer, "batch_wait", None, Milliseconds, Some(1000), 0, DAY_MS,
        "How long a batch waits for more messages after its first one; at the end the run is to leave at, or when it is asked to end, not at all.";
    BATCH_BYTES = Consumer, "batch_bytes", None, Bytes, Some(MIB), 1, 1024 * 1024 * MIB,
        "Keys, values and headers in a batch; one message may exceed it alone.";
}
