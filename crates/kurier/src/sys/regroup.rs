//! A group's offsets set to something else, or the group deleted, by a client that never joins it.

use std::slice;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

use super::admin::{Answer, Destroy, Fault, Options, c_string};
use super::answer::{ByPartition, all, fault, missing, partitions};
use super::stored::answered;
use super::{Queue, put_notes};
use crate::ids::{Offset, TopicPartition};

/// Commits `offsets`, each with its note, for `group` as one that is no member, which a coordinator only takes for a
/// group without members. Waits for the answer: `timeout` at most, and a little.
///
/// # Errors
/// When the request can't be put, no answer comes, or it says no.
pub(crate) fn set_offsets<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    group: &str,
    offsets: &[(TopicPartition, Offset)],
    note: impl Fn(&str) -> Option<String>,
    timeout: Duration,
) -> Result<Answer, Fault> {
    let group = c_string(group)?;
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (TopicPartition { topic, partition }, offset) in offsets {
        if topic.contains('\0') {
            return Err(Fault::invalid("a NUL character in a name"));
        }
        list.add_partition_offset(topic, partition.0, rdkafka::Offset::Offset(offset.0))
            .map_err(|error| Fault::invalid(error.to_string()))?;
    }
    put_notes(&list, note);
    let handle = client.client().native_ptr();
    let op = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS;
    // SAFETY: the client is alive; options, list and request are copied by the call and destroyed here. An
    // answer that nobody waits for any more is freed with the queue.
    let queue = unsafe {
        let options = Options::of_coordinator(handle, op)?;
        let asked = rd::rd_kafka_AlterConsumerGroupOffsets_new(group.as_ptr(), list.ptr());
        let asked = Destroy(asked, rd::rd_kafka_AlterConsumerGroupOffsets_destroy);
        let queue = Queue::new(rd::rd_kafka_queue_new(handle));
        let groups = slice::from_ref(&asked.0).as_ptr().cast_mut();
        rd::rd_kafka_AlterConsumerGroupOffsets(handle, groups, 1, options.0, queue.0.as_ptr());
        queue
    };
    answered(&queue, timeout)
}

/// Deletes `group`, and waits for the answer: `timeout` at most, and a little.
///
/// # Errors
/// When the request can't be put, no answer comes, or it says no.
pub(crate) fn delete_group<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    group: &str,
    timeout: Duration,
) -> Result<Answer, Fault> {
    let group = c_string(group)?;
    let handle = client.client().native_ptr();
    let op = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETEGROUPS;
    // SAFETY: as in `set_offsets`.
    let queue = unsafe {
        let options = Options::of_coordinator(handle, op)?;
        let asked = rd::rd_kafka_DeleteGroup_new(group.as_ptr());
        let asked = Destroy(asked, rd::rd_kafka_DeleteGroup_destroy);
        let queue = Queue::new(rd::rd_kafka_queue_new(handle));
        let groups = slice::from_ref(&asked.0).as_ptr().cast_mut();
        rd::rd_kafka_DeleteGroups(handle, groups, 1, options.0, queue.0.as_ptr());
        queue
    };
    answered(&queue, timeout)
}

impl Answer {
    /// What became of each offset that was to be set.
    pub(crate) fn offsets_set(&self) -> Result<ByPartition<Offset>, Fault> {
        let mut count = 0;
        // SAFETY: the event is alive and owns all that is read. A result of another kind reads as null.
        let mut groups = unsafe {
            let result = rd::rd_kafka_event_AlterConsumerGroupOffsets_result(self.0.0.as_ptr());
            if result.is_null() {
                return Err(missing());
            }
            let groups = rd::rd_kafka_AlterConsumerGroupOffsets_result_groups(result, &mut count);
            all(groups, count, |group| match fault(rd::rd_kafka_group_result_error(group)) {
                Some(fault) => Err(fault),
                None => Ok(partitions(rd::rd_kafka_group_result_partitions(group))),
            })
        };
        groups.pop().unwrap_or_else(|| Err(missing()))
    }

    /// What became of the one group that was to be deleted.
    pub(crate) fn group_deleted(&self) -> Result<(), Fault> {
        let mut count = 0;
        // SAFETY: see `offsets_set`.
        let mut groups = unsafe {
            let result = rd::rd_kafka_event_DeleteGroups_result(self.0.0.as_ptr());
            if result.is_null() {
                return Err(missing());
            }
            let groups = rd::rd_kafka_DeleteGroups_result_groups(result, &mut count);
            all(groups, count, |group| {
                fault(rd::rd_kafka_group_result_error(group)).map_or(Ok(()), Err)
            })
        };
        groups.pop().unwrap_or_else(|| Err(missing()))
    }
}
