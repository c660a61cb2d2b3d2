//! What topics are, asked through any client without waiting, answered later.
//!
//! By `DescribeTopics`: the call for metadata would block its thread, and keeps the topics' ids to itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as rd;
use rdkafka::client::Client;

use super::Queue;
use super::admin::{Answer, Destroy, Fault, Options, c_string};
use crate::TopicPartition;

/// What tells a topic from others that had its name before it (KIP-516).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicId(pub(super) uuid::Uuid);

/// What was said of topics. A topic that a broker can't tell of is not in it.
#[derive(Debug, Default)]
pub(crate) struct Described {
    /// Of topics that have one: brokers before Apache Kafka 2.8 give none.
    pub(crate) ids: BTreeMap<String, TopicId>,
    /// The partitions without a leader.
    pub(crate) leaderless: BTreeSet<TopicPartition>,
}

/// A question that was asked and is not answered yet. To be dropped before the client is closed.
#[derive(Debug)]
pub(crate) struct PendingTopics(Queue);

impl PendingTopics {
    /// Asks a broker about `topics`. An answer comes within `deadline` and a little.
    ///
    /// # Errors
    /// When it can't be asked.
    pub(crate) fn ask<C: ClientContext>(
        client: &Client<C>,
        topics: impl IntoIterator<Item = String>,
        deadline: Duration,
    ) -> Result<Self, Fault> {
        let names: Vec<_> =
            topics.into_iter().map(|topic| c_string(&topic)).collect::<Result<_, _>>()?;
        let mut topics: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let handle = client.native_ptr();
        // SAFETY: the client is alive; options and names are copied by the calls and live until their
        // end. An answer that nobody waits for any more is freed with the queue.
        unsafe {
            let op = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
            let options = Options::new(handle, op, deadline)?;
            let topics =
                rd::rd_kafka_TopicCollection_of_topic_names(topics.as_mut_ptr(), topics.len());
            let topics = Destroy(topics, rd::rd_kafka_TopicCollection_destroy);
            let queue = Queue::new(rd::rd_kafka_queue_new(handle));
            rd::rd_kafka_DescribeTopics(handle, topics.0, options.0, queue.0.as_ptr());
            Ok(Self(queue))
        }
    }

    /// What a broker has said, once it did.
    pub(crate) fn answer(&self) -> Option<Result<Described, Fault>> {
        let answer = Answer(self.0.poll(Duration::ZERO)?);
        Some(answer.fault().map_or_else(|| Ok(answer.described_topics()), Err))
    }
}
