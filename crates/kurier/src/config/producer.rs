//! The producer's configuration, and what librdkafka gets for it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::options::{self, millis};
use super::{ClientConfig, ConfigProblem, ConfigProblems, Scope, properties};
use crate::OutboxConfig;

/// How a producer retries and keeps order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DeliveryProfile {
    /// Idempotent, no attempt limit: a message is retried until it is delivered or the caller's own
    /// deadline passes. Retries neither reorder nor duplicate, as long as librdkafka's client can go on;
    /// what happens otherwise is told at [`MessageProducer`](crate::MessageProducer).
    #[default]
    Default,
    /// The classic settings: `acks=all`, `retries=5`, `retry.backoff.ms=1000`,
    /// `max.in.flight.requests.per.connection=1`, without idempotence.
    ///
    /// A message whose five retries are used up fails; kurier does not send it again, since the
    /// messages behind it may be delivered by then. A retry may write a message twice. Waiting for
    /// a broker that can't be reached is not a retry and has no limit.
    OneInFlight,
}

/// Everything a producer can be told. The defaults are those of [`OPTIONS`](super::OPTIONS).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerConfig {
    /// The cluster, the client's name (default `kurier-producer`) and librdkafka's properties.
    pub client: ClientConfig,
    /// How messages are retried. Default: [`DeliveryProfile::Default`].
    pub delivery: DeliveryProfile,
    /// Bytes accepted and not yet delivered. Default: 192 MiB. At the bound `send` waits.
    pub memory_bytes: usize,
    /// Messages accepted and not yet delivered. Default: 500,000. At the bound `send` waits.
    pub memory_messages: usize,
    /// The largest message, in bytes. Default: 1,000,000. Kafka: `message.max.bytes`.
    pub message_bytes_max: usize,
    /// How long a batch waits for more messages. Default: 5 ms. Kafka: `linger.ms`.
    pub linger: Duration,
    /// When an accepted message is given up. Default: never. Kafka: `delivery.timeout.ms`.
    pub delivery_deadline: Option<Duration>,
    /// Where messages are kept on disk until they are delivered. Default: nowhere.
    pub outbox: Option<OutboxConfig>,
    /// Time without a delivery before the producer says it waits. Default: 3 s.
    pub stall_after: Duration,
    /// How long an unknown topic is asked about again. Default: 2 s.
    pub unknown_topic_grace: Duration,
}

impl ProducerConfig {
    /// The defaults, for the cluster at `bootstrap`.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self {
            client: ClientConfig::new(bootstrap),
            delivery: DeliveryProfile::Default,
            memory_bytes: options::MEMORY_BYTES.default_count(),
            memory_messages: options::MEMORY_MESSAGES.default_count(),
            message_bytes_max: options::MESSAGE_BYTES_MAX.default_count(),
            linger: options::LINGER.default_time(),
            delivery_deadline: None,
            outbox: None,
            stall_after: options::STALL_AFTER.default_time(),
            unknown_topic_grace: options::UNKNOWN_TOPIC_GRACE.default_time(),
        }
    }

    /// The classic profile, for the cluster at `bootstrap`.
    pub fn one_in_flight(bootstrap: impl Into<String>) -> Self {
        Self { delivery: DeliveryProfile::OneInFlight, ..Self::new(bootstrap) }
    }

    /// Checks everything at once. The result has the properties that are options (`linger.ms`,
    /// `message.max.bytes`, by any of their names) moved into their fields.
    ///
    /// # Errors
    /// Every problem that can be seen without a cluster.
    pub fn checked(&self) -> Result<Self, ConfigProblems> {
        let mut problems = Vec::new();
        let mut checked = self.clone();
        let mut own = self.client.checked_properties(self.scope(), &mut problems);
        if let Some(linger) = take_number(&mut own, "linger.ms", &mut problems) {
            checked.linger = Duration::from_millis(linger);
        }
        if let Some(bytes) = take_number(&mut own, "message.max.bytes", &mut problems) {
            checked.message_bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        checked.client.properties = own;
        checked.check_fields(&mut problems);
        ConfigProblems::or(checked, problems)
    }

    /// What librdkafka gets: kurier's choices with the caller's properties over them.
    ///
    /// # Errors
    /// As [`checked`](Self::checked).
    pub fn properties(&self) -> Result<Vec<(String, String)>, ConfigProblems> {
        let checked = self.checked()?;
        let mut base = checked.client.base_properties("kurier-producer")?;
        base.extend(checked.common_properties());
        base.extend(checked.delivery.properties());
        Ok(properties::merge(base, checked.client.properties))
    }

    fn scope(&self) -> Scope {
        match self.delivery {
            DeliveryProfile::Default => Scope::DefaultProducer,
            DeliveryProfile::OneInFlight => Scope::OneInFlightProducer,
        }
    }

    fn check_fields(&self, problems: &mut Vec<ConfigProblem>) {
        options::MEMORY_BYTES.check_count(self.memory_bytes, problems);
        options::MEMORY_MESSAGES.check_count(self.memory_messages, problems);
        options::MESSAGE_BYTES_MAX.check_count(self.message_bytes_max, problems);
        options::LINGER.check_time(self.linger, problems);
        options::STALL_AFTER.check_time(self.stall_after, problems);
        options::UNKNOWN_TOPIC_GRACE.check_time(self.unknown_topic_grace, problems);
        if let Some(deadline) = self.delivery_deadline {
            options::DELIVERY_DEADLINE.check_time(deadline, problems);
            if deadline <= self.linger {
                let reason = format!("must be longer than linger, {} ms", millis(self.linger));
                let found = format!("{} ms", millis(deadline));
                problems.push(ConfigProblem::new("delivery_deadline", &found, reason));
            }
        }
        if let Some(outbox) = &self.outbox {
            self.check_outbox(outbox, problems);
        }
        // A message that can never be admitted would wait for ever.
        if self.memory_bytes < self.message_bytes_max.saturating_add(MESSAGE_OVERHEAD_BYTES) {
            let reason = format!(
                "must hold at least one message of message_bytes_max = {} and {} bytes of overhead",
                self.message_bytes_max, MESSAGE_OVERHEAD_BYTES
            );
            let found = self.memory_bytes.to_string();
            problems.push(ConfigProblem::new("memory_bytes", &found, reason));
        }
    }

    fn check_outbox(&self, outbox: &OutboxConfig, problems: &mut Vec<ConfigProblem>) {
        let dir = outbox.dir.display().to_string();
        if self.delivery == DeliveryProfile::OneInFlight {
            let reason = "not with the classic profile (one-in-flight): that gives a message up after its retries and does not send it again, since those behind it may be delivered by then; an outbox promises to go on. Use the default profile";
            problems.push(ConfigProblem::new("outbox", &dir, reason));
        }
        if self.delivery_deadline.is_some() {
            let reason =
                "not together with delivery_deadline: what is in an outbox is not given up";
            problems.push(ConfigProblem::new("outbox", &dir, reason));
        }
        if dir.is_empty() {
            problems.push(ConfigProblem::new("outbox", &dir, "must name a folder"));
        }
        let bytes = usize::try_from(outbox.bytes_max).unwrap_or(usize::MAX);
        options::OUTBOX_BYTES_MAX.check_count(bytes, problems);
        if bytes < self.message_bytes_max.saturating_add(MESSAGE_OVERHEAD_BYTES) {
            let reason = format!(
                "must hold at least one message of message_bytes_max = {} and {} bytes of overhead",
                self.message_bytes_max, MESSAGE_OVERHEAD_BYTES
            );
            problems.push(ConfigProblem::new("outbox.bytes_max", &bytes.to_string(), reason));
        }
    }

    /// What both profiles have.
    fn common_properties(&self) -> Vec<(&'static str, String)> {
        // Ours is at most three quarters of librdkafka's, which therefore never fills up.
        let kbytes = self.memory_bytes.div_ceil(3).saturating_mul(4).div_ceil(1024);
        let deadline = self.delivery_deadline.map_or(0, millis);
        [
            ("acks", "all"),
            ("queue.buffering.max.messages", "0"),
            ("batch.size", "1000000"),
            ("batch.num.messages", "10000"),
            ("compression.type", "lz4"),
            // As Java and kafka-python: librdkafka's own default is CRC32.
            ("partitioner", "murmur2_random"),
            ("request.timeout.ms", "30000"),
            // A leader change waits for requests of the old leader; 60 s is librdkafka's default.
            ("socket.timeout.ms", "30000"),
            ("topic.metadata.propagation.max.ms", "30000"),
            // Follows retry.backoff.ms unless set, and would take the classic profile's 1000.
            ("topic.metadata.refresh.fast.interval.ms", "100"),
            ("delivery.report.only.error", "false"),
        ]
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .chain([
            ("queue.buffering.max.kbytes", kbytes.min(i32::MAX as usize).to_string()),
            ("message.max.bytes", self.message_bytes_max.to_string()),
            ("linger.ms", millis(self.linger).to_string()),
            ("delivery.timeout.ms", deadline.to_string()),
        ])
        .collect()
    }
}

impl DeliveryProfile {
    /// What tells the profiles apart.
    fn properties(self) -> Vec<(&'static str, String)> {
        let rows: &[(&str, &str)] = match self {
            Self::Default => &[
                ("enable.idempotence", "true"),
                // When a broker refuses a batch for ever nothing behind it is sent until the producer
                // has dealt with it; otherwise that would overtake the good records of the batch.
                ("enable.gapless.guarantee", "true"),
                ("max.in.flight.requests.per.connection", "5"),
                ("retries", "2147483647"),
                ("retry.backoff.ms", "100"),
                ("retry.backoff.max.ms", "1000"),
            ],
            // delivery.timeout.ms stays 0: five retries of a request that times out after 30 s are
            // longer than librdkafka's default of 300 s leaves room for under load, and a deadline
            // would give up messages that were never tried.
            Self::OneInFlight => &[
                ("enable.idempotence", "false"),
                ("enable.gapless.guarantee", "false"),
                ("max.in.flight.requests.per.connection", "1"),
                ("retries", "5"),
                ("retry.backoff.ms", "1000"),
                // librdkafka doubles the wait up to this; equal to the first it stays constant.
                ("retry.backoff.max.ms", "1000"),
            ],
        };
        rows.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    }
}

/// What one message costs beside its bytes, here and in librdkafka.
pub(crate) const MESSAGE_OVERHEAD_BYTES: usize = 512;

/// Takes a property that is an option of ours out of `own`.
pub(super) fn take_number(
    own: &mut BTreeMap<String, String>,
    name: &str,
    problems: &mut Vec<ConfigProblem>,
) -> Option<u64> {
    let value = own.remove(name)?;
    match value.parse() {
        Ok(number) => Some(number),
        Err(_) => {
            problems.push(ConfigProblem::new(name, &value, "must be a whole number"));
            None
        }
    }
}
