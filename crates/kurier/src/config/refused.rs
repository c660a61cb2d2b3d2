//! librdkafka's properties that would break one of kurier's promises: refused by name, aliases
//! included, each with its reason.
//!
//! A property whose value is what kurier sets anyway changes nothing and is let through, so that a
//! properties file which says `acks=all` need not be edited.

/// The client a refusal holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Any client, admin included.
    Client,
    /// A producer of either profile.
    Producer,
    /// A producer of the default profile.
    DefaultProducer,
    /// A producer of the classic profile, [`DeliveryProfile::OneInFlight`](super::DeliveryProfile).
    OneInFlightProducer,
    /// A consumer.
    Consumer,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
enum Values {
    /// All but these are refused; none: whatever its value.
    AllBut(&'static [&'static str]),
    /// Only these are refused.
    Only(&'static [&'static str]),
}

/// A refused property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// Where it is refused.
    pub scope: Scope,
    /// Its canonical name; its aliases are refused too.
    pub name: &'static str,
    /// Which values are refused.
    values: Values,
    /// What it would break.
    pub reason: &'static str,
    /// The option to set instead.
    pub instead: Option<&'static str>,
}

impl Refusal {
    /// True when `value` is refused.
    pub fn refuses(&self, value: &str) -> bool {
        let among = |values: &[&str]| values.iter().any(|other| other.eq_ignore_ascii_case(value));
        match self.values {
            Values::AllBut(harmless) => !among(harmless),
            Values::Only(harmful) => among(harmful),
        }
    }

    /// The reason with the way out.
    pub fn explanation(&self) -> String {
        let Self { reason, .. } = self;
        match (self.instead, self.values) {
            (Some(option), _) => format!("refused: {reason}; set {option} instead"),
            (None, Values::AllBut([])) | (None, Values::Only(_)) => format!("refused: {reason}"),
            (None, Values::AllBut(harmless)) => {
                format!("refused: {reason}; only {} is taken", harmless.join(" or "))
            }
        }
    }
}

/// The refusal of `name` (canonical) with `value` for a client in `scope`.
pub(super) fn refusal(scope: Scope, name: &str, value: &str) -> Option<&'static Refusal> {
    REFUSED.iter().find(|r| r.name == name && r.scope.covers(scope) && r.refuses(value))
}

impl Scope {
    /// True when what holds for `self` holds for a client in `scope`.
    fn covers(self, scope: Self) -> bool {
        match self {
            Self::Client => true,
            Self::Producer => {
                matches!(scope, Self::Producer | Self::DefaultProducer | Self::OneInFlightProducer)
            }
            _ => self == scope,
        }
    }
}

const TRUE: &[&str] = &["true", "t", "1"];
const FALSE: &[&str] = &["false", "f", "0"];
const UNLIMITED: &[&str] = &["2147483647"];

/// One row of the table.
const fn row(
    scope: Scope,
    name: &'static str,
    values: Values,
    reason: &'static str,
    instead: Option<&'static str>,
) -> Refusal {
    Refusal { scope, name, values, reason, instead }
}

use Scope::{Client, Consumer, DefaultProducer, OneInFlightProducer, Producer};
use Values::{AllBut, Only};

/// Every refused property, with its reason.
#[rustfmt::skip]
pub const REFUSED: &[Refusal] = &[
    row(Client, "bootstrap.servers", AllBut(&[]), "the cluster is named once", Some("bootstrap")),
    row(Client, "client.id", AllBut(&[]), "the client is named once", Some("client_id (a consumer: instance)")),
    row(Client, "allow.auto.create.topics", AllBut(FALSE), "a typo would create a topic with the broker's default replicas", None),
    row(Client, "test.mock.num.brokers", AllBut(&["0"]), "messages would go to a mock in this process instead of the cluster", None),
    row(Client, "topic.blacklist", AllBut(&[""]), "a topic that matches would be ignored without a word", None),
    row(Client, "api.version.request", AllBut(TRUE), "without it the client speaks a protocol without idempotence and headers", None),
    row(Client, "enabled_events", AllBut(&[]), "kurier needs the events it asks for", None),
    row(Client, "enable.ssl.certificate.verification", AllBut(TRUE), "anybody could play the cluster, and be given the password", Some("security.verify (kurier.toml: tls.verify = \"insecure-nothing\")")),
    row(Client, "ssl.endpoint.identification.algorithm", AllBut(&["https"]), "whoever has any certificate of the authority could play the cluster", Some("security.verify (kurier.toml: tls.verify = \"insecure-any-host\")")),
    row(Client, "log.queue", AllBut(TRUE), "librdkafka's log goes through kurier's", None),

    row(Producer, "acks", AllBut(&["all", "-1"]), "fewer acknowledgements lose acknowledged messages when a broker dies", None),
    row(Producer, "delivery.report.only.error", AllBut(FALSE), "no delivery would ever be confirmed", None),
    row(Producer, "queuing.strategy", AllBut(&["fifo"]), "lifo turns the order round", None),
    row(Producer, "transactional.id", AllBut(&[]), "kurier does not do transactions; without begin and commit nothing would become visible", None),
    row(Producer, "delivery.timeout.ms", AllBut(&["0"]), "accepted messages would be given up", Some("delivery_deadline")),
    row(Producer, "queue.buffering.max.messages", AllBut(&["0"]), "a full queue in librdkafka turns the order round", Some("memory_messages")),
    row(Producer, "queue.buffering.max.kbytes", AllBut(&[]), "a full queue in librdkafka turns the order round", Some("memory_bytes")),
    row(Producer, "partitioner", Only(&["random"]), "messages of one key would go to many partitions and lose their order", None),
    row(Producer, "internal.termination.signal", AllBut(&["0"]), "signals belong to the program", None),
    row(DefaultProducer, "enable.idempotence", AllBut(TRUE), "a retry could turn the order round", None),
    row(DefaultProducer, "enable.gapless.guarantee", AllBut(TRUE), "what follows a refused batch would overtake its good records", None),
    row(DefaultProducer, "max.in.flight.requests.per.connection", Only(&["0"]), "nothing would be sent", None),
    row(DefaultProducer, "retries", AllBut(UNLIMITED), "accepted messages would be given up after a few attempts", Some("delivery_deadline or the one-in-flight profile")),
    row(OneInFlightProducer, "enable.idempotence", AllBut(FALSE), "the one-in-flight profile is defined without it", None),
    row(OneInFlightProducer, "enable.gapless.guarantee", AllBut(FALSE), "it needs idempotence", None),
    row(OneInFlightProducer, "max.in.flight.requests.per.connection", AllBut(&["1"]), "with more than one request in flight a retry turns the order round", None),
    row(OneInFlightProducer, "retries", AllBut(&["5"]), "the one-in-flight profile is defined with 5", None),
    row(OneInFlightProducer, "retry.backoff.ms", AllBut(&["1000"]), "the one-in-flight profile is defined with 1000", None),
    row(OneInFlightProducer, "retry.backoff.max.ms", AllBut(&["1000"]), "the one-in-flight profile waits 1000 ms before each retry, not longer each time", None),

    row(Consumer, "group.id", AllBut(&[]), "the group is named once", Some("group")),
    row(Consumer, "group.instance.id", AllBut(&[]), "it follows from the instance", Some("static_membership and instance")),
    row(Consumer, "group.protocol", AllBut(&["classic"]), "the consumer protocol of KIP-848 is sound from librdkafka 2.15 on; 2.12 is linked", None),
    row(Consumer, "group.remote.assignor", AllBut(&[]), "it belongs to the consumer protocol, which is refused", None),
    row(Consumer, "enable.auto.commit", AllBut(FALSE), "a second committer could commit a message that is not handled", None),
    row(Consumer, "auto.commit.interval.ms", AllBut(&[]), "kurier commits, not librdkafka's timer", Some("commit_interval")),
    row(Consumer, "enable.auto.offset.store", AllBut(FALSE), "an offset would be stored before its message is handled", None),
    row(Consumer, "offset.store.method", AllBut(&["broker"]), "offsets live in the group", None),
    row(Consumer, "auto.offset.reset", AllBut(&[]), "where a group without commits starts is said once", Some("from")),
    row(Consumer, "queued.max.messages.kbytes", AllBut(&[]), "it holds per partition and would break the memory bound", Some("memory_bytes")),
    row(Consumer, "enable.partition.eof", AllBut(TRUE), "without these events a partition that ends in transaction markers never counts as read", None),
];
