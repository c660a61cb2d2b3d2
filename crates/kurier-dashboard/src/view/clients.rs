//! Our own clients: `/api/v1/clients`. What they say of themselves on `/metrics` and `/readyz`.

use jiff::Timestamp;
use serde::Serialize;

use super::Series;

/// All of our own clients together, for the overview.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClientTotals {
    /// Addresses that answer.
    pub there: usize,
    /// Addresses that answered once, or are known by name, and don't.
    pub gone: usize,
    /// Messages delivered. Like all that follow, over the restarts of clients, those that are gone
    /// included.
    pub delivered: f64,
    /// Messages given up by a producer: whoever sent them was told.
    pub failed: f64,
    /// Messages handled.
    pub handled: f64,
    /// Attempts of handlers that were followed by another.
    pub retried: f64,
    /// Messages in dead-letter topics.
    pub dead_lettered: f64,
    /// Messages lost, as far as a proof that runs beside the clients says; none where there is none.
    pub lost: Option<u64>,
}

/// `/api/v1/clients` answers `Panel<Vec<ClientProcess>>`: one for each address that is or was scraped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClientProcess {
    /// Where it is asked: `127.0.0.1:9464`; of a name each address it has, `consumer:9464 (172.18.0.5)`.
    pub address: String,
    /// Whether it answered when it was asked last.
    pub there: bool,
    /// Since when it is there, or gone.
    pub since: Timestamp,
    /// When it last answered.
    pub as_of: Option<Timestamp>,
    /// Why it does not answer.
    pub error: Option<String>,
    /// Whether it says it is ready, and what it has against it.
    pub ready: Option<bool>,
    /// The lines of `/readyz`.
    pub checks: Vec<String>,
    /// Its producers.
    pub producers: Vec<ProducerPipeline>,
    /// Its consumers.
    pub consumers: Vec<ConsumerPipeline>,
}

/// A producer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProducerPipeline {
    /// Its client's name.
    pub client: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Messages accepted and not delivered.
    pub in_flight: f64,
    /// Messages acknowledged a second.
    pub acked_per_second: Option<f64>,
    /// Messages acknowledged.
    pub acked: f64,
    /// Messages given up, by the reason.
    pub failed: Vec<(String, f64)>,
    /// Seconds from handing over to acknowledgement, of the last minute.
    pub ack_latency: Percentiles,
    /// Requests sent again by librdkafka.
    pub retries: f64,
    /// Times that another client was made.
    pub remakes: f64,
    /// Its outbox; none without one.
    pub outbox: Option<OutboxState>,
    /// Messages acknowledged a second, over the last quarter of an hour.
    pub history: Series,
}

/// An outbox.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutboxState {
    /// Messages in it that are not delivered.
    pub waiting: f64,
    /// Bytes on disk: files go once all in them is delivered.
    pub bytes: f64,
    /// At so many bytes new messages wait or are refused.
    pub limit_bytes: f64,
    /// For how long the oldest of them has been there, in seconds; none when there is none.
    pub oldest_seconds: Option<f64>,
    /// Messages that no broker took, kept aside until somebody removes them.
    pub put_aside: f64,
}

/// A consumer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConsumerPipeline {
    /// Its client's name.
    pub client: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Messages handled a second.
    pub handled_per_second: Option<f64>,
    /// Messages handled.
    pub handled: f64,
    /// Messages read and not handled.
    pub in_flight: f64,
    /// Attempts followed by another.
    pub retries: f64,
    /// Attempts that failed.
    pub failures: f64,
    /// Messages handled again, as far as it knows.
    pub redelivered: f64,
    /// Messages put into the dead-letter topic.
    pub dead_lettered: f64,
    /// Partitions it has.
    pub partitions: f64,
    /// Partitions that stopped at a message.
    pub stopped: f64,
    /// Offsets behind the ends, over its partitions.
    pub lag: Option<f64>,
    /// Seconds a call of the handler takes, of the last minute.
    pub handler_latency: Percentiles,
    /// Seconds from a record's time until it is handled, of the last minute.
    pub end_to_end_latency: Percentiles,
    /// Messages handled a second, over the last quarter of an hour.
    pub history: Series,
}

/// Seconds, estimated within the buckets of a histogram; none when nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half are faster.
    pub p50: Option<f64>,
    /// One of a hundred is slower.
    pub p99: Option<f64>,
    /// One of a thousand is slower.
    pub p999: Option<f64>,
}
