//! The cluster's metadata, from any broker that is up.
//!
//! librdkafka's admin requests for the same wait for the controller, which may be the broker that has
//! just died. rdkafka's own call for one topic lets go of the topic before it is used
//! (`Client::fetch_metadata` of 0.39).

use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as rd;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

use super::admin::{Destroy, Fault};
use super::{error_code, text};
use crate::admin::{Broker, ClusterInfo, NodeId, PartitionDescription, TopicDescription};
use crate::ids::PartitionId;

/// Which topics to ask about.
#[derive(Debug, Clone)]
pub(crate) enum Topics {
    /// None: only the brokers.
    None,
    /// This one.
    One(String),
    /// Every one.
    All,
}

/// What a broker sees.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) cluster: ClusterInfo,
    pub(crate) topics: Vec<(String, Result<TopicDescription, Fault>)>,
}

/// Asks a broker that is up, and blocks for at most `timeout`.
pub(crate) fn metadata<C: ClientContext>(
    client: &Client<C>,
    topics: &Topics,
    timeout: Duration,
) -> Result<Metadata, Fault> {
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is alive; the topic is let go of after the call, and the metadata when it is
    // read.
    unsafe {
        let topic = match topics {
            Topics::One(name) => Some(topic(client, name)?),
            Topics::None | Topics::All => None,
        };
        let all = i32::from(matches!(topics, Topics::All));
        let only = topic.as_ref().map_or(ptr::null_mut(), |topic| topic.0);
        let mut metadata = ptr::null();
        let asked = rd::rd_kafka_metadata(client.native_ptr(), all, only, &mut metadata, millis);
        if let Some(code) = error_code(asked) {
            return Err(Fault::of(code));
        }
        let metadata = Destroy(metadata.cast_mut(), destroy_metadata);
        let (cluster, topics) = (cluster(client, &*metadata.0), read_topics(&*metadata.0));
        Ok(Metadata { cluster, topics })
    }
}

/// True once a broker has answered, which is known without asking.
pub(crate) fn was_reached<C: ClientContext>(client: &Client<C>) -> bool {
    cluster_id(client).is_some()
}

fn cluster_id<C: ClientContext>(client: &Client<C>) -> Option<String> {
    // SAFETY: the client is alive; 0 does not wait. The text is ours to free.
    unsafe {
        let id = rd::rd_kafka_clusterid(client.native_ptr(), 0);
        let id = (!id.is_null()).then(|| Destroy(id, free_text))?;
        Some(text(id.0))
    }
}

/// # Safety
/// What is returned is dropped before the client.
unsafe fn topic<C: ClientContext>(
    client: &Client<C>,
    name: &str,
) -> Result<Destroy<rd::rd_kafka_topic_t>, Fault> {
    let invalid =
        |reason: &str| Fault { code: RDKafkaErrorCode::InvalidTopic, reason: reason.to_owned() };
    let name = CString::new(name).map_err(|_| invalid("a NUL character in its name"))?;
    // SAFETY: the client is alive, the name is copied; null leaves the topic's configuration as it is
    // by default.
    let topic =
        unsafe { rd::rd_kafka_topic_new(client.native_ptr(), name.as_ptr(), ptr::null_mut()) };
    if topic.is_null() {
        return Err(invalid("not a topic's name"));
    }
    Ok(Destroy(topic, rd::rd_kafka_topic_destroy))
}

/// # Safety
/// `metadata` is alive.
unsafe fn cluster<C: ClientContext>(
    client: &Client<C>,
    metadata: &rd::rd_kafka_metadata,
) -> ClusterInfo {
    // SAFETY: the caller's; the brokers are as many as counted. 0 does not wait.
    let (mut brokers, controller) = unsafe {
        let read = |broker: &rd::rd_kafka_metadata_broker| Broker {
            id: NodeId(broker.id),
            host: text(broker.host),
            port: u16::try_from(broker.port).unwrap_or(0),
        };
        let brokers = slice(metadata.brokers, metadata.broker_cnt).iter().map(read);
        (brokers.collect::<Vec<_>>(), rd::rd_kafka_controllerid(client.native_ptr(), 0))
    };
    brokers.sort_by_key(|broker| broker.id);
    let controller = (0 <= controller).then_some(NodeId(controller));
    ClusterInfo { id: cluster_id(client), controller, brokers }
}

/// # Safety
/// `metadata` is alive.
unsafe fn read_topics(
    metadata: &rd::rd_kafka_metadata,
) -> Vec<(String, Result<TopicDescription, Fault>)> {
    // SAFETY: the caller's; everything is as many as counted; here and below.
    let topics = unsafe { slice(metadata.topics, metadata.topic_cnt) }.iter().map(|topic| unsafe {
        let name = text(topic.topic);
        if let Some(code) = error_code(topic.err) {
            return (name, Err(Fault::of(code)));
        }
        let partitions = slice(topic.partitions, topic.partition_cnt).iter();
        let mut partitions: Vec<_> = partitions.map(|found| partition(found)).collect();
        partitions.sort_by_key(|partition| partition.partition);
        (name.clone(), Ok(TopicDescription { internal: is_internal(&name), name, partitions }))
    });
    topics.collect()
}

/// # Safety
/// The partition's metadata is alive.
unsafe fn partition(found: &rd::rd_kafka_metadata_partition) -> PartitionDescription {
    let nodes = |ids: &[i32]| ids.iter().copied().map(NodeId).collect();
    // SAFETY: the caller's.
    let (replicas, isr) =
        unsafe { (slice(found.replicas, found.replica_cnt), slice(found.isrs, found.isr_cnt)) };
    PartitionDescription {
        partition: PartitionId(found.id),
        leader: (0 <= found.leader).then_some(NodeId(found.leader)),
        replicas: nodes(replicas),
        isr: nodes(isr),
    }
}

/// Kafka's own list (`org.apache.kafka.common.internals.Topic`, 4.3).
fn is_internal(topic: &str) -> bool {
    matches!(topic, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

/// # Safety
/// `start` is null, or points at `count` things that live during `'a`.
unsafe fn slice<'a, T>(start: *const T, count: i32) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: the caller's.
        Ok(count) if !start.is_null() => unsafe { std::slice::from_raw_parts(start, count) },
        _ => &[],
    }
}

unsafe extern "C" fn destroy_metadata(metadata: *mut rd::rd_kafka_metadata) {
    // SAFETY: the caller's: given to us, and destroyed once.
    unsafe { rd::rd_kafka_metadata_destroy(metadata) }
}

unsafe extern "C" fn free_text(text: *mut std::ffi::c_char) {
    // SAFETY: the caller's: librdkafka's memory, freed once. Null: it belongs to no client.
    unsafe { rd::rd_kafka_mem_free(ptr::null_mut(), text.cast()) }
}
