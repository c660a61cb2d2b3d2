//! Where partitions end, asked through a consumer without waiting, answered later.
//!
//! `rd_kafka_query_watermark_offsets` would block its thread, one partition after another;
//! `ListOffsets` goes to all leaders at once.

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

use super::admin::{Answer, Destroy, Options};
use super::{ByPartition, Queue};
use crate::{Offset, TopicPartition};

/// A question that was asked and is not answered yet. To be dropped before the client is closed.
#[derive(Debug)]
pub(crate) struct PendingEnds(Queue);

impl PendingEnds {
    /// Asks the leaders of `partitions` where these end for a reader of what is committed. An answer
    /// comes within `deadline` and a little, for each partition an offset or an error. `None`: it can't
    /// be asked.
    pub(crate) fn ask<C: ConsumerContext>(
        client: &BaseConsumer<C>,
        partitions: &[TopicPartition],
        deadline: Duration,
    ) -> Option<Self> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for TopicPartition { topic, partition } in partitions {
            list.add_partition_offset(topic, partition.0, rdkafka::Offset::End).ok()?;
        }
        let handle = client.client().native_ptr();
        // SAFETY: the client is alive; options and list are copied by the request and destroyed here, as
        // is the error, null when there is none. The queue is counted: an answer that nobody waits for
        // any more is freed with it.
        unsafe {
            let op = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS;
            let options = Options::new(handle, op, deadline).ok()?;
            let committed = rd::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED;
            let refused = rd::rd_kafka_AdminOptions_set_isolation_level(options.0, committed);
            if !refused.is_null() {
                drop(Destroy(refused, rd::rd_kafka_error_destroy));
                return None;
            }
            let queue = Queue::new(rd::rd_kafka_queue_new(handle));
            rd::rd_kafka_ListOffsets(handle, list.ptr(), options.0, queue.0.as_ptr());
            Some(Self(queue))
        }
    }

    /// What the leaders said, once they did. A partition that is missing in it has no answer.
    pub(crate) fn answer(&self) -> Option<ByPartition<Offset>> {
        let answer = Answer(self.0.poll(Duration::ZERO)?);
        Some(answer.fault().map_or_else(|| answer.offsets(), |_| Vec::new()))
    }
}
