//! What the page of one process says of each of its clients. *Pure.*

use std::collections::BTreeMap;

use super::buckets::Buckets;
use super::text::{NotPrometheus, Sample, samples};

/// Clients of one process.
pub(crate) const CLIENTS_MAX: usize = 1_000;
/// Bytes of a name.
const NAME_MAX: usize = 300;
/// Reasons of failures of one producer.
const REASONS_MAX: usize = 100;
/// What the rest of them is called.
pub(super) const OTHER_REASONS: &str = "(others)";

/// Why a page is none of clients of kurier's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoFigures {
    #[error(transparent)]
    NotPrometheus(#[from] NotPrometheus),
    #[error("it tells of more than {CLIENTS_MAX} clients")]
    Clients,
    #[error("it tells of a client with a name longer than {NAME_MAX} bytes")]
    Name,
    #[error("it tells of a histogram with more buckets than kurier's have")]
    Buckets,
}

/// The clients of a process, by their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) producers: BTreeMap<String, ProducerFigures>,
    pub(super) consumers: BTreeMap<String, ConsumerFigures>,
}

/// A producer's, as they stand on the page: counters begin at 0 with their client.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ProducerFigures {
    pub(super) ready: bool,
    pub(super) in_flight: f64,
    pub(super) acked: f64,
    /// By the reason.
    pub(super) failed: BTreeMap<String, f64>,
    pub(super) ack_latency: Buckets,
    pub(super) request_retries: f64,
    pub(super) remakes: f64,
    pub(super) outbox: Option<OutboxFigures>,
}

/// An outbox's.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct OutboxFigures {
    pub(super) undelivered: f64,
    pub(super) oldest_seconds: f64,
    pub(super) bytes: f64,
    pub(super) limit: f64,
    pub(super) put_aside: f64,
}

/// A consumer's.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ConsumerFigures {
    pub(super) ready: bool,
    pub(super) handled: f64,
    pub(super) in_flight: f64,
    pub(super) retries: f64,
    pub(super) failures: f64,
    pub(super) redelivered: f64,
    pub(super) dead_lettered: f64,
    /// Messages that stopped their partitions.
    pub(super) stopped_at: f64,
    pub(super) partitions: f64,
    pub(super) stopped: f64,
    /// The topic of its dead letters, if it has one.
    pub(super) letters_in: Option<String>,
    /// None while no partition's is known.
    pub(super) lag: Option<f64>,
    pub(super) handler_latency: Buckets,
    pub(super) end_to_end_latency: Buckets,
}

impl Figures {
    /// Reads a page. What is not of a client of kurier's is passed over.
    ///
    /// # Errors
    /// The first line that is not Prometheus' text format, or more than can be of clients of kurier's.
    pub(super) fn read(page: &str) -> Result<Self, NoFigures> {
        let mut figures = Self::default();
        for sample in samples(page) {
            let sample = sample?;
            if let Some(client) = sample.label("client")
                && sample.value.is_finite()
            {
                if NAME_MAX < client.len() {
                    return Err(NoFigures::Name);
                }
                if !figures.take(client, &sample) {
                    return Err(NoFigures::Buckets);
                }
                if CLIENTS_MAX < figures.producers.len() + figures.consumers.len() {
                    return Err(NoFigures::Clients);
                }
            }
        }
        Ok(figures)
    }

    /// False when it is one bucket too many.
    fn take(&mut self, client: &str, sample: &Sample<'_>) -> bool {
        match (sample.name, sample.label("role")) {
            ("kurier_client_ready", Some("producer")) => {
                self.producer(client).ready = sample.value == 1.0;
            }
            ("kurier_client_ready", Some("consumer")) => {
                self.consumer(client).ready = sample.value == 1.0;
            }
            ("kurier_librdkafka_broker_request_retries_total", Some("producer")) => {
                self.producer(client).request_retries += sample.value;
            }
            (name, _) if name.starts_with("kurier_producer_") => {
                return self.producer(client).take(sample);
            }
            (name, _) if name.starts_with("kurier_outbox_") => {
                self.producer(client).outbox.get_or_insert_default().take(sample);
            }
            ("kurier_e2e_latency_seconds_bucket", _) => return self.consumer(client).take(sample),
            (name, _) if name.starts_with("kurier_consumer_") => {
                return self.consumer(client).take(sample);
            }
            _ => {}
        }
        true
    }

    fn producer(&mut self, client: &str) -> &mut ProducerFigures {
        one_of(&mut self.producers, client)
    }

    fn consumer(&mut self, client: &str) -> &mut ConsumerFigures {
        one_of(&mut self.consumers, client)
    }
}

fn one_of<'a, T: Default>(clients: &'a mut BTreeMap<String, T>, client: &str) -> &'a mut T {
    clients.entry(client.to_owned()).or_default()
}

impl ProducerFigures {
    fn take(&mut self, sample: &Sample<'_>) -> bool {
        let value = sample.value;
        match sample.name {
            "kurier_producer_records_in_flight" => self.in_flight = value,
            "kurier_producer_records_acked_total" => self.acked = value,
            "kurier_producer_records_failed_total" => {
                let error = sample.label("error").unwrap_or_default();
                let is_one_more = REASONS_MAX <= self.failed.len() + 1;
                if NAME_MAX < error.len() || is_one_more && !self.failed.contains_key(error) {
                    *self.failed.entry(OTHER_REASONS.to_owned()).or_default() += value;
                } else {
                    self.failed.insert(error.to_owned(), value);
                }
            }
            "kurier_producer_ack_latency_seconds_bucket" => {
                return bucket(&mut self.ack_latency, sample);
            }
            "kurier_producer_remakes_total" => self.remakes = value,
            _ => {}
        }
        true
    }
}

impl OutboxFigures {
    fn take(&mut self, sample: &Sample<'_>) {
        let place = match sample.name {
            "kurier_outbox_undelivered_records" => &mut self.undelivered,
            "kurier_outbox_oldest_age_seconds" => &mut self.oldest_seconds,
            "kurier_outbox_size_bytes" => &mut self.bytes,
            "kurier_outbox_limit_bytes" => &mut self.limit,
            "kurier_outbox_put_aside_records" => &mut self.put_aside,
            _ => return,
        };
        *place = sample.value;
    }
}

impl ConsumerFigures {
    fn take(&mut self, sample: &Sample<'_>) -> bool {
        let place = match sample.name {
            "kurier_consumer_records_processed_total" => &mut self.handled,
            "kurier_consumer_records_in_flight" => &mut self.in_flight,
            "kurier_consumer_retries_total" => &mut self.retries,
            "kurier_consumer_handler_failures_total" => &mut self.failures,
            "kurier_consumer_records_redelivered_total" => &mut self.redelivered,
            "kurier_consumer_records_dead_lettered_total" => &mut self.dead_lettered,
            "kurier_consumer_records_failed_total" => &mut self.stopped_at,
            "kurier_consumer_partitions_assigned" => &mut self.partitions,
            "kurier_consumer_partitions_stopped" => &mut self.stopped,
            "kurier_consumer_lag_records" => {
                *self.lag.get_or_insert_default() += sample.value;
                return true;
            }
            "kurier_consumer_dead_letter_topic" => {
                let topic = sample.label("topic").filter(|topic| topic.len() <= NAME_MAX);
                self.letters_in = topic.map(str::to_owned);
                return true;
            }
            "kurier_consumer_handler_seconds_bucket" => {
                return bucket(&mut self.handler_latency, sample);
            }
            "kurier_e2e_latency_seconds_bucket" => {
                return bucket(&mut self.end_to_end_latency, sample);
            }
            _ => return true,
        };
        *place = sample.value;
        true
    }
}

/// False when it is one too many.
fn bucket(buckets: &mut Buckets, sample: &Sample<'_>) -> bool {
    let bound = sample.label("le").and_then(|bound| bound.parse().ok());
    bound.is_none_or(|bound| buckets.add(bound, sample.value))
}

#[cfg(test)]
mod tests {
    use kurier::{METRICS, MetricKind};

    use super::*;

    #[test]
    fn a_page_is_read_by_client() {
        let page = r#"
# TYPE kurier_client_ready gauge
kurier_client_ready{client="p",role="producer"} 1
kurier_client_ready{client="p",role="consumer"} 0
kurier_producer_records_acked_total{client="p"} 12
kurier_producer_records_failed_total{client="p",error="MessageTimedOut"} 2
kurier_librdkafka_broker_request_retries_total{client="p",role="producer",broker="1"} 3
kurier_librdkafka_broker_request_retries_total{client="p",role="producer",broker="2"} 4
kurier_librdkafka_broker_request_retries_total{client="p",role="consumer",broker="2"} 100
kurier_outbox_undelivered_records{client="p"} 7
kurier_outbox_oldest_age_seconds{client="p"} 1.5
kurier_consumer_lag_records{client="g-1",topic="t",partition="0"} 5
kurier_consumer_lag_records{client="g-1",topic="t",partition="1"} 6
kurier_consumer_dead_letter_topic{client="g-1",topic="t.dlq"} 1
kurier_consumer_handler_seconds_bucket{client="g-1",le="0.1"} 3
kurier_consumer_handler_seconds_bucket{client="g-1",le="+Inf"} 4
process_cpu_seconds_total 5
up{client="someone"} 1
"#;
        let figures = Figures::read(page).expect("a page");
        let producer = &figures.producers["p"];
        assert_eq!((producer.ready, producer.acked, producer.request_retries), (true, 12.0, 7.0));
        assert_eq!(
            producer.failed.iter().collect::<Vec<_>>(),
            [(&"MessageTimedOut".to_owned(), &2.0)]
        );
        let outbox = producer.outbox.as_ref().expect("an outbox");
        assert_eq!((outbox.undelivered, outbox.oldest_seconds), (7.0, 1.5));
        let names: Vec<&str> = figures.consumers.keys().map(String::as_str).collect();
        assert_eq!(names, ["g-1", "p"]);
        assert_eq!((figures.consumers["g-1"].lag, figures.consumers["p"].lag), (Some(11.0), None));
        assert_eq!(figures.consumers["g-1"].letters_in.as_deref(), Some("t.dlq"));
        let mut handled = Buckets::default();
        handled.add(0.1, 3.0);
        handled.add(f64::INFINITY, 4.0);
        assert_eq!(figures.consumers["g-1"].handler_latency, handled);
        assert_eq!(figures.producers.len(), 1, "of clients of kurier's alone");
    }

    /// Whoever answers at a client's address may answer anything.
    #[test]
    fn a_page_of_too_many_clients_or_buckets_is_refused_and_figures_are_finite() {
        let clients = |count: usize| -> String {
            (0..count)
                .map(|it| format!("kurier_producer_remakes_total{{client=\"{it}\"}} 1\n"))
                .collect()
        };
        assert!(Figures::read(&clients(1_000)).is_ok());
        let error = Figures::read(&clients(1_001)).expect_err("too many").to_string();
        assert!(error.contains("1000 clients"), "{error}");
        let name = "x".repeat(10_000);
        let page = format!("kurier_producer_remakes_total{{client=\"{name}\"}} 1\n");
        let error = Figures::read(&page).expect_err("too long").to_string();
        assert!(error.len() < 500, "{error}");
        let buckets: String = (0..10_000)
            .map(|le| {
                format!(
                    "kurier_producer_ack_latency_seconds_bucket{{client=\"p\",le=\"{le}\"}} 1\n"
                )
            })
            .collect();
        assert!(Figures::read(&buckets).is_err());
        let figures = Figures::read("kurier_producer_records_acked_total{client=\"p\"} +Inf\n");
        assert_eq!(
            figures.expect("read").producers.get("p").map(|it| it.acked),
            None,
            "not a figure"
        );
    }

    /// A metric that is renamed would silently be 0 for ever.
    #[test]
    fn every_name_here_is_in_the_table() {
        let source = include_str!("figures.rs");
        let word = |char: char| !(char.is_ascii_alphanumeric() || char == '_');
        let names = source.split(word).filter(|it| it.starts_with("kurier_") && !it.ends_with('_'));
        let known = |name: &str| {
            METRICS.iter().any(|metric| {
                let bucket = metric.kind == MetricKind::Histogram;
                metric.name == name || (bucket && format!("{}_bucket", metric.name) == name)
            })
        };
        let unknown: Vec<&str> = names.clone().filter(|name| !known(name)).collect();
        assert_eq!(unknown, [""; 0]);
        assert!(20 < names.count());
    }
}
