//! The consumers' configuration, and what librdkafka gets for it.

use std::time::Duration;

use super::options::{self, millis};
use super::producer::take_number;
use super::{ClientConfig, ConfigProblem, ConfigProblems, Scope, properties};

/// Where a group begins that has committed nothing for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StartFrom {
    /// At the oldest record the partition has: nothing is passed over.
    #[default]
    Earliest,
    /// After the newest record: what is there already is passed over.
    Latest,
    /// At the first record with this time or a later one.
    Time(jiff::Timestamp),
}

/// How many messages of one partition are in handlers' hands at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Concurrency {
    /// One; partitions at the same time.
    #[default]
    PerPartition,
    /// Many, as long as their keys differ: messages of one key go one after another, in order. So many
    /// handler calls at once in the whole consumer, 1 to 10,000; partitions take turns.
    ///
    /// A key is its bytes within one partition. Messages without a key are in order among themselves, as
    /// if they had one in common. What is committed is still a contiguous prefix: a message that waits
    /// holds the position back while later ones are handled, at most
    /// [`ahead_messages_max`](ConsumerConfig::ahead_messages_max) of them; after a crash, or when the partition
    /// goes to another member, those come again. What waits behind it with the same key fills the lane: when
    /// a whole lane of such messages has gathered, its partition waits too.
    ///
    /// A call that never returns keeps its place among the `n` for good, also after its partition has gone to
    /// another member: handlers need timeouts of their own.
    PerKey(usize),
}

/// Everything a consumer can be told. The defaults are those of [`OPTIONS`](super::OPTIONS).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerConfig {
    /// The cluster and librdkafka's properties. `client_id`: default `<group>-<instance>`.
    pub client: ClientConfig,
    /// The topics, at least one, by name.
    pub topics: Vec<String>,
    /// The group, shared by all instances. Kafka: `group.id`.
    pub group: String,
    /// This instance's name within the group. Default: the host's name.
    pub instance: String,
    /// Whether the instance's name is also its `group.instance.id`, so that a restart within the
    /// session timeout moves no partition. Two processes with one name fence each other. Default:
    /// false.
    pub static_membership: bool,
    /// Where a group without commits starts. Default: [`StartFrom::Earliest`].
    pub from: StartFrom,
    /// Silence after which a member is taken for dead. Default: 45 s. Kafka: `session.timeout.ms`.
    pub session_timeout: Duration,
    /// Time between heartbeats. Default: 3 s. Kafka: `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// Longest absence of the poll thread. Default: 300 s. Kafka: `max.poll.interval.ms`.
    pub poll_interval_max: Duration,
    /// Bytes fetched and not yet in a lane, shared out among 16 partitions: an instance that has more
    /// than 16 exceeds it in proportion. Each partition may exceed its share by what one fetch brings:
    /// `max.partition.fetch.bytes`, or a batch that is larger, as it is once decompressed. Default:
    /// 64 MiB.
    pub memory_bytes: usize,
    /// Messages in one partition's lane. Default: 1,024.
    pub lane_messages_max: usize,
    /// Bytes in one partition's lane. Default: 4 MiB.
    pub lane_bytes_max: usize,
    /// Messages in all lanes together: each partition gets an equal share, at least one message.
    /// Default: 100,000.
    pub in_flight_messages_max: usize,
    /// Bytes in all lanes together, shared alike. Default: 64 MiB.
    pub in_flight_bytes_max: usize,
    /// Messages of one partition read from the first on that is not handled, those handled after it
    /// included. Default: 20,000.
    pub ahead_messages_max: usize,
    /// How many messages of a partition are handled at once, by a
    /// [`SingleMessageConsumer`](crate::SingleMessageConsumer). Default: [`Concurrency::PerPartition`].
    pub concurrency: Concurrency,
    /// Time without progress in reading, though there is more to read, after which the consumer's
    /// [`Health`](crate::Health) is not live. Default: 60 s.
    pub stall_after: Duration,
    /// Time between commits. Default: 1 s.
    pub commit_interval: Duration,
    /// Longest time for one commit. Default: 10 s.
    pub commit_deadline: Duration,
    /// Longest wait for handlers when partitions are taken away. Default (`None`): the lesser of 10 s
    /// and a quarter of `poll_interval_max`.
    pub drain_deadline: Option<Duration>,
    /// Longest time for the whole shutdown. Default: 25 s.
    pub shutdown_deadline: Duration,
    /// Where messages go that can't be handled. Default (`None`): nowhere, and their partition stops.
    pub dead_letter: Option<String>,
    /// Whether the dead-letter topic is created at the start if it is not there. Default: false.
    pub create_dead_letter: bool,
    /// Attempts at one message. Default: 5.
    pub retry_attempts: usize,
    /// Wait before the second attempt. Default: 100 ms.
    pub retry_backoff_min: Duration,
    /// Longest wait between attempts. Default: 30 s.
    pub retry_backoff_max: Duration,
}

impl ConsumerConfig {
    /// The defaults, for `group` on the cluster at `bootstrap`; `topics` is still empty.
    pub fn new(bootstrap: impl Into<String>, group: impl Into<String>) -> Self {
        Self {
            client: ClientConfig::new(bootstrap),
            topics: Vec::new(),
            group: group.into(),
            instance: host_name(),
            static_membership: false,
            from: StartFrom::Earliest,
            session_timeout: options::SESSION_TIMEOUT.default_time(),
            heartbeat_interval: options::HEARTBEAT_INTERVAL.default_time(),
            poll_interval_max: options::POLL_INTERVAL_MAX.default_time(),
            memory_bytes: options::CONSUMER_MEMORY_BYTES.default_count(),
            lane_messages_max: options::LANE_MESSAGES_MAX.default_count(),
            lane_bytes_max: options::LANE_BYTES_MAX.default_count(),
            in_flight_messages_max: options::IN_FLIGHT_MESSAGES_MAX.default_count(),
            in_flight_bytes_max: options::IN_FLIGHT_BYTES_MAX.default_count(),
            ahead_messages_max: options::AHEAD_MESSAGES_MAX.default_count(),
            concurrency: Concurrency::PerPartition,
            stall_after: options::CONSUMER_STALL_AFTER.default_time(),
            commit_interval: options::COMMIT_INTERVAL.default_time(),
            commit_deadline: options::COMMIT_DEADLINE.default_time(),
            drain_deadline: None,
            shutdown_deadline: options::SHUTDOWN_DEADLINE.default_time(),
            dead_letter: None,
            create_dead_letter: false,
            retry_attempts: options::RETRY_ATTEMPTS.default_count(),
            retry_backoff_min: options::RETRY_BACKOFF_MIN.default_time(),
            retry_backoff_max: options::RETRY_BACKOFF_MAX.default_time(),
        }
    }

    /// How long a rebalance waits for handlers: within `max.poll.interval.ms` with room to spare,
    /// since past that interval the group gives the partitions away without saying so.
    pub fn effective_drain_deadline(&self) -> Duration {
        let quarter = self.poll_interval_max / 4;
        self.drain_deadline.unwrap_or(Duration::from_secs(10)).min(quarter)
    }

    /// The name brokers see.
    pub fn effective_client_id(&self) -> String {
        let default = || format!("{}-{}", self.group, self.instance);
        self.client.client_id.clone().unwrap_or_else(default)
    }

    /// Checks everything at once. The result has the properties that are options
    /// (`session.timeout.ms`, `heartbeat.interval.ms`, `max.poll.interval.ms`) moved into their
    /// fields.
    ///
    /// # Errors
    /// Every problem that can be seen without a cluster.
    pub fn checked(&self) -> Result<Self, ConfigProblems> {
        let mut problems = Vec::new();
        let mut checked = self.clone();
        let mut own = self.client.checked_properties(Scope::Consumer, &mut problems);
        for (name, field) in [
            ("session.timeout.ms", &mut checked.session_timeout),
            ("heartbeat.interval.ms", &mut checked.heartbeat_interval),
            ("max.poll.interval.ms", &mut checked.poll_interval_max),
        ] {
            if let Some(number) = take_number(&mut own, name, &mut problems) {
                *field = Duration::from_millis(number);
            }
        }
        checked.client.properties = own;
        checked.check_names(&mut problems);
        checked.check_dead_letter(&mut problems);
        checked.check_numbers(&mut problems);
        ConfigProblems::or(checked, problems)
    }

    /// What librdkafka gets when `partitions` partitions may be assigned to this instance: kurier's
    /// choices with the caller's properties over them. Zero partitions count as one.
    ///
    /// # Errors
    /// As [`checked`](Self::checked).
    pub fn properties(&self, partitions: usize) -> Result<Vec<(String, String)>, ConfigProblems> {
        let checked = self.checked()?;
        let mut base = checked.client.base_properties(&checked.effective_client_id())?;
        base.extend(checked.group_properties());
        base.extend(checked.fetch_properties(partitions));
        Ok(properties::merge(base, checked.client.properties))
    }

    fn check_names(&self, problems: &mut Vec<ConfigProblem>) {
        let mut required = |name: &str, value: &str| {
            if value.trim().is_empty() {
                problems.push(ConfigProblem::new(name, value, "must not be empty"));
            }
        };
        required("group", &self.group);
        required("instance", &self.instance);
        if self.topics.is_empty() {
            problems.push(ConfigProblem::new("topics", "", "at least one topic is needed"));
        }
        for (index, topic) in self.topics.iter().enumerate() {
            if self.topics[..index].contains(topic) {
                problems.push(ConfigProblem::new("topics", topic, "named twice"));
            }
            if let Err(reason) = properties::check_topic_name(topic) {
                problems.push(ConfigProblem::new("topics", topic, reason));
            }
        }
    }

    fn check_dead_letter(&self, problems: &mut Vec<ConfigProblem>) {
        let Some(topic) = &self.dead_letter else {
            if self.create_dead_letter {
                let reason = "there is no dead-letter topic to create: name one (dead_letter)";
                problems.push(ConfigProblem::new("create_dead_letter", "true", reason));
            }
            return;
        };
        if let Err(reason) = properties::check_topic_name(topic) {
            problems.push(ConfigProblem::new("dead_letter", topic, reason));
        }
        if self.topics.contains(topic) {
            let reason =
                "must not be a topic that is consumed: its messages would go round for ever";
            problems.push(ConfigProblem::new("dead_letter", topic, reason));
        }
    }

    fn check_numbers(&self, problems: &mut Vec<ConfigProblem>) {
        options::SESSION_TIMEOUT.check_time(self.session_timeout, problems);
        options::HEARTBEAT_INTERVAL.check_time(self.heartbeat_interval, problems);
        options::POLL_INTERVAL_MAX.check_time(self.poll_interval_max, problems);
        options::CONSUMER_MEMORY_BYTES.check_count(self.memory_bytes, problems);
        options::LANE_MESSAGES_MAX.check_count(self.lane_messages_max, problems);
        options::LANE_BYTES_MAX.check_count(self.lane_bytes_max, problems);
        options::IN_FLIGHT_MESSAGES_MAX.check_count(self.in_flight_messages_max, problems);
        options::IN_FLIGHT_BYTES_MAX.check_count(self.in_flight_bytes_max, problems);
        options::AHEAD_MESSAGES_MAX.check_count(self.ahead_messages_max, problems);
        if let Concurrency::PerKey(calls) = self.concurrency {
            options::CONCURRENCY.check_count(calls, problems);
        }
        options::CONSUMER_STALL_AFTER.check_time(self.stall_after, problems);
        options::COMMIT_INTERVAL.check_time(self.commit_interval, problems);
        options::COMMIT_DEADLINE.check_time(self.commit_deadline, problems);
        options::SHUTDOWN_DEADLINE.check_time(self.shutdown_deadline, problems);
        options::RETRY_ATTEMPTS.check_count(self.retry_attempts, problems);
        options::RETRY_BACKOFF_MIN.check_time(self.retry_backoff_min, problems);
        options::RETRY_BACKOFF_MAX.check_time(self.retry_backoff_max, problems);
        if let Some(drain) = self.drain_deadline {
            options::DRAIN_DEADLINE.check_time(drain, problems);
        }
        let mut at_most = |name: &str, value: Duration, limit: Duration, what: &str| {
            if limit < value {
                let found = format!("{} ms", millis(value));
                let reason = format!("must be at most {what}, {} ms", millis(limit));
                problems.push(ConfigProblem::new(name, &found, reason));
            }
        };
        at_most(
            "session_timeout",
            self.session_timeout,
            self.poll_interval_max,
            "poll_interval_max",
        );
        at_most(
            "heartbeat_interval",
            self.heartbeat_interval,
            self.session_timeout / 3,
            "a third of session_timeout",
        );
        at_most(
            "retry_backoff_min",
            self.retry_backoff_min,
            self.retry_backoff_max,
            "retry_backoff_max",
        );
        if let Some(drain) = self.drain_deadline {
            let quarter = self.poll_interval_max / 4;
            at_most("drain_deadline", drain, quarter, "a quarter of poll_interval_max");
        }
    }

    fn group_properties(&self) -> Vec<(&'static str, String)> {
        let mut properties = vec![
            ("group.id", self.group.clone()),
            ("group.protocol", "classic".to_owned()),
            // `range` and `roundrobin` are taken too: with them a group is shared with other clients.
            ("partition.assignment.strategy", "cooperative-sticky".to_owned()),
            ("session.timeout.ms", millis(self.session_timeout).to_string()),
            ("heartbeat.interval.ms", millis(self.heartbeat_interval).to_string()),
            ("max.poll.interval.ms", millis(self.poll_interval_max).to_string()),
            // Commits are ours alone; see the module `commit`.
            ("enable.auto.commit", "false".to_owned()),
            ("enable.auto.offset.store", "false".to_owned()),
            // They tell how far reading is when the last records are markers nobody is given.
            ("enable.partition.eof", "true".to_owned()),
            // Partitions that are added to a topic are seen this soon; the default is 5 minutes.
            ("topic.metadata.refresh.interval.ms", "10000".to_owned()),
            // `from` is resolved by the consumer itself; what is left is a committed offset that the
            // topic no longer has, and then the oldest record is right: nothing is passed over.
            ("auto.offset.reset", "earliest".to_owned()),
            ("isolation.level", "read_committed".to_owned()),
        ];
        if self.static_membership {
            properties.push(("group.instance.id", self.instance.clone()));
        }
        properties
    }

    fn fetch_properties(&self, partitions: usize) -> Vec<(&'static str, String)> {
        // With split queues librdkafka's bound holds for each partition.
        let share = self.memory_bytes / partitions.max(1);
        let kbytes = (share / 1024).clamp(QUEUED_KBYTES_MIN, QUEUED_KBYTES_MAX);
        let fetch_bytes = (kbytes * 1024).clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX);
        vec![
            ("queued.max.messages.kbytes", kbytes.to_string()),
            ("queued.min.messages", "100000".to_owned()),
            ("fetch.max.bytes", fetch_bytes.to_string()),
            // With a byte bound the default of 1000 starves the lanes: measured, five times slower.
            ("fetch.queue.backoff.ms", "20".to_owned()),
            ("check.crcs", "true".to_owned()),
        ]
    }
}

/// Below this a partition's prefetch holds no useful batch; very many partitions then exceed the
/// memory budget by this much each.
const QUEUED_KBYTES_MIN: usize = 64;
/// librdkafka's default and largest useful share of one partition.
const QUEUED_KBYTES_MAX: usize = 65_536;
/// `fetch.max.bytes` must not be below `message.max.bytes`, librdkafka's 1,000,000.
const FETCH_BYTES_MIN: usize = 1_048_576;
/// librdkafka's default.
const FETCH_BYTES_MAX: usize = 52_428_800;

/// The host's name, or a fixed one when it has none that is text.
fn host_name() -> String {
    let name = gethostname::gethostname().into_string().unwrap_or_default();
    if name.trim().is_empty() { "instance".to_owned() } else { name }
}
