//! What a group has committed, asked by a consumer that never joins it.
//!
//! Not by the admin client, a producer: where a coordinator has just moved, the answer to this request
//! makes librdkafka look for it on behalf of its own group, and a producer has none (librdkafka 2.12.1,
//! `rd_kafka_handle_OffsetFetch`: the process dies).

use std::time::{Duration, Instant};
use std::{ptr, slice};

use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;

use super::Queue;
use super::admin::{Answer, Destroy, Fault, Options, c_string};

/// Asks for all offsets of `group`, and waits for the answer: `timeout` at most, and a little.
///
/// # Errors
/// When the request can't be put, no answer comes, or it says no.
pub(crate) fn stored<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    group: &str,
    timeout: Duration,
) -> Result<Answer, Fault> {
    let group = c_string(group)?;
    let handle = client.client().native_ptr();
    let op = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
    // SAFETY: the client is alive; options and request are copied by the call and destroyed here. Null
    // asks for all partitions. An answer that nobody waits for any more is freed with the queue.
    let queue = unsafe {
        let options = Options::of_coordinator(handle, op)?;
        let asked = rd::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), ptr::null());
        let asked = Destroy(asked, rd::rd_kafka_ListConsumerGroupOffsets_destroy);
        let queue = Queue::new(rd::rd_kafka_queue_new(handle));
        let groups = slice::from_ref(&asked.0).as_ptr().cast_mut();
        rd::rd_kafka_ListConsumerGroupOffsets(handle, groups, 1, options.0, queue.0.as_ptr());
        queue
    };
    answered(&queue, timeout)
}

/// Waits for the one answer that arrives on `queue`, `timeout` at most.
///
/// # Errors
/// When none comes, or it says no.
pub(super) fn answered(queue: &Queue, timeout: Duration) -> Result<Answer, Fault> {
    let end = Instant::now() + timeout;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        if let Some(event) = queue.poll(left) {
            let answer = Answer(event);
            return answer.fault().map_or(Ok(answer), Err);
        }
    }
    let reason = "no answer came".to_owned();
    Err(Fault { code: RDKafkaErrorCode::OperationTimedOut, reason })
}
