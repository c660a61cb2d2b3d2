//! Who is in a group, asked by a consumer that never joins it.

use std::slice;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

use super::Queue;
use super::admin::{Answer, Fault, Options, c_string};
use super::stored::answered;

/// Asks for the state and the members of `group`, and waits for the answer: `timeout` at most, and a
/// little.
///
/// # Errors
/// When the request can't be put, no answer comes, or it says no.
pub(crate) fn described<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    group: &str,
    timeout: Duration,
) -> Result<Answer, Fault> {
    let name = c_string(group)?;
    let group = name.as_ptr();
    let handle = client.client().native_ptr();
    let op = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    // SAFETY: the client is alive; options and name are copied by the call and live until its end. An
    // answer that nobody waits for any more is freed with the queue.
    let queue = unsafe {
        let options = Options::of_coordinator(handle, op)?;
        let queue = Queue::new(rd::rd_kafka_queue_new(handle));
        let groups = slice::from_ref(&group).as_ptr().cast_mut();
        rd::rd_kafka_DescribeConsumerGroups(handle, groups, 1, options.0, queue.0.as_ptr());
        queue
    };
    answered(&queue, timeout)
}
