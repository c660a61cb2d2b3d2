//! What librdkafka calls back with, written down for the poll thread.
//!
//! A rebalance is not answered inside the callback: librdkafka waits for the answer, however long that
//! takes, and until then the main queue is served as ever, so that draining never looks like absence.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use crate::access::{hint, without_count};
use crate::metrics::ConsumerFigures;
use crate::{PartitionId, TopicPartition};

/// The client of a consumer.
pub(crate) type Client = BaseConsumer<Callbacks>;

/// What the group wants; it waits for `assign` or `unassign` of exactly these partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    Assign(Vec<TopicPartition>),
    Revoke {
        partitions: Vec<TopicPartition>,
        /// The group has given them away already.
        lost: bool,
    },
}

/// Something librdkafka said went wrong; it goes on trying unless the code is a fatal one.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) reason: String,
}

/// Keeps what librdkafka says until the poll thread looks, which is right after: all calls come from
/// its own poll. So the lists stay short.
#[derive(Debug, Default)]
pub(crate) struct Callbacks {
    said: Mutex<Said>,
    figures: Arc<ConsumerFigures>,
}

#[derive(Debug, Default)]
struct Said {
    turns: Vec<Turn>,
    troubles: Vec<Trouble>,
    hint: Option<String>,
}

impl Callbacks {
    /// Those of a client whose statistics go to `figures`.
    pub(super) fn new(figures: Arc<ConsumerFigures>) -> Self {
        Self { figures, ..Self::default() }
    }

    /// Everything said since the last call.
    pub(super) fn take(&self) -> (Vec<Turn>, Vec<Trouble>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut said.turns), std::mem::take(&mut said.troubles))
    }

    /// What may be set wrong, if a broker ended a connection since the last call.
    pub(super) fn hint(&self) -> Option<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).hint.take()
    }

    fn note(&self, write: impl FnOnce(&mut Said)) {
        write(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        if let Some(hint) = hint(line) {
            self.note(|said| said.hint = Some(hint));
        }
        use RDKafkaLogLevel as L;
        match level {
            L::Emerg | L::Alert | L::Critical | L::Error => {
                tracing::warn!(target: "librdkafka", facility, "{line}");
            }
            L::Warning | L::Notice | L::Info => {
                tracing::info!(target: "librdkafka", facility, "{line}");
            }
            L::Debug => tracing::debug!(target: "librdkafka", facility, "{line}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.figures.statistics.read(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        self.note(|said| said.troubles.push(Trouble { code, reason: without_count(reason) }));
    }
}

impl ConsumerContext for Callbacks {
    fn rebalance(
        &self,
        client: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let partitions = names(partitions);
        let turn = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Turn::Assign(partitions)
        } else {
            Turn::Revoke { partitions, lost: client.assignment_lost() }
        };
        self.note(|said| said.turns.push(turn));
    }
}

fn names(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    let mut names: Vec<TopicPartition> = Vec::with_capacity(elements.len());
    for element in elements {
        let partition = PartitionId(element.partition());
        // Partitions of one topic share its name.
        let name = match names.last() {
            Some(last) if *last.topic == *element.topic() => {
                TopicPartition { topic: last.topic.clone(), partition }
            }
            _ => TopicPartition::new(element.topic(), partition),
        };
        names.push(name);
    }
    names
}
