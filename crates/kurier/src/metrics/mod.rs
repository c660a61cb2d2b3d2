//! The figures of clients, and the page that Prometheus reads.
//!
//! Owns the one table of metrics (`table`), what clients count with (`counts`), the figures of a
//! producer and a consumer (`producer`, `consumer`), what librdkafka says of itself (`statistics`), and
//! the text format (`page`). When something is counted is the clients' affair; who asks is `serve`'s.
//!
//! Counting takes no lock and allocates nothing for a message. What needs a clock for each message is
//! counted only when someone watches.

mod consumer;
mod counts;
mod page;
mod producer;
mod statistics;
mod table;

pub(crate) use consumer::{ConsumerFigures, HeldFigures, Shown};
pub(crate) use counts::Histogram;
pub(crate) use page::Page;
pub use page::escape_label;
pub(crate) use producer::ProducerFigures;
pub(crate) use table::{CHECK_FAILING, CLIENT_LIVE, CLIENT_READY};
pub use table::{METRICS, MetricKind, MetricSpec};

use std::sync::Arc;

/// Whether anyone looks at the figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Watch {
    /// What costs a clock for each message is not counted.
    #[default]
    Nobody,
    Someone,
}

/// What is asked of librdkafka when someone watches, unless the caller has asked for something.
const STATISTICS_EVERY_MS: &str = "1000";

/// Asks librdkafka for its statistics if someone watches.
pub(crate) fn ask_statistics(
    watch: Watch,
    properties: &mut std::collections::BTreeMap<String, String>,
) {
    if watch == Watch::Someone {
        let interval = properties.entry("statistics.interval.ms".to_owned());
        interval.or_insert_with(|| STATISTICS_EVERY_MS.to_owned());
    }
}

/// The figures of one client.
#[derive(Debug, Clone)]
pub(crate) enum Figures {
    Producer(Arc<ProducerFigures>),
    Consumer(Arc<ConsumerFigures>),
}

impl Figures {
    /// What the client is, as a label says it.
    pub(crate) fn role(&self) -> &'static str {
        match self {
            Self::Producer(_) => "producer",
            Self::Consumer(_) => "consumer",
        }
    }

    /// Writes them down, for the client of this name.
    pub(crate) fn write(&self, client: &str, page: &mut Page) {
        let statistics = match self {
            Self::Producer(figures) => {
                figures.write(client, page);
                &figures.statistics
            }
            Self::Consumer(figures) => {
                figures.write(client, page);
                &figures.statistics
            }
        };
        statistics.write(client, self.role(), page);
    }
}
