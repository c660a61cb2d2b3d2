//! Metadata, DescribeCluster, FindCoordinator: who is where.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::{
    DescribeClusterBroker, DescribeClusterResponse,
};
use kafka_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Call, text};
use crate::faults::FaultAction;
use crate::faults::rules::Refusal;
use crate::state::State;
use crate::storage::{NodeId, Partition, ReplicaInfo};
use crate::topic::Topic;

/// Stands for "not asked for" where authorized operations would be.
const NO_OPERATIONS: i32 = i32::MIN;

/// The nodes that are up, and the topics that were asked for. Topics are never made on the way: a topic
/// that comes up by a misspelt name hides the mistake.
pub fn metadata(call: &Call, request: &MetadataRequest, version: i16) -> MetadataResponse {
    let state = call.core.lock();
    let brokers = state.live().map(|(id, _)| {
        let (host, port) = state.advertised(id, call.host);
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(id.0))
            .with_host(text(host))
            .with_port(port)
            .with_rack(None)
    });
    let topics = if asks_for_all(request, version) {
        state.topics.iter().map(|(name, topic)| described(name, topic)).collect()
    } else {
        request.topics.iter().flatten().map(|wanted| wanted_topic(&state, wanted)).collect()
    };
    MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_cluster_id(Some(text(state.cluster_id.clone())))
        .with_controller_id(BrokerId(state.controller().map_or(-1, |id| id.0)))
        .with_topics(topics)
        .with_cluster_authorized_operations(NO_OPERATIONS)
}

/// The topics that an answer is about.
pub fn topics(response: &MetadataResponse) -> Vec<String> {
    let names = response.topics.iter().filter_map(|topic| topic.name.as_ref());
    names.map(|name| name.to_string()).collect()
}

/// Puts errors in the places of topics; a hidden one is left out where all were asked for.
pub fn refuse(
    response: &mut MetadataResponse,
    request: &MetadataRequest,
    version: i16,
    refusals: &[Refusal],
) {
    let all = asks_for_all(request, version);
    response.topics.retain_mut(|topic| {
        let is_for = |refusal: &&Refusal| match (&refusal.topic, &topic.name) {
            (Some(refused), Some(name)) => *refused == name.0.as_str(),
            (refused, _) => refused.is_none(),
        };
        let Some(refusal) = refusals.iter().find(is_for) else { return true };
        *topic = without_partitions(topic.name.take(), topic.topic_id, refusal.error);
        !all || refusal.action != FaultAction::HideTopic
    });
}

fn asks_for_all(request: &MetadataRequest, version: i16) -> bool {
    // In version 0 an empty list asks for all; null cannot be said.
    request.topics.as_ref().is_none_or(|topics| version == 0 && topics.is_empty())
}

fn wanted_topic(state: &State, wanted: &MetadataRequestTopic) -> MetadataResponseTopic {
    let (name, found) = match &wanted.name {
        Some(name) => (Some(name.clone()), state.topics.get_key_value(name.as_str())),
        None => {
            let by_id = |(_, topic): &(&String, &Topic)| topic.id == wanted.topic_id;
            (None, state.topics.iter().find(by_id))
        }
    };
    if let Some((name, topic)) = found {
        return described(name, topic);
    }
    let error = match &name {
        Some(name) if Topic::check_name(name).is_err() => ResponseError::InvalidTopicException,
        Some(_) => ResponseError::UnknownTopicOrPartition,
        None => ResponseError::UnknownTopicId,
    };
    without_partitions(name, wanted.topic_id, error)
}

fn without_partitions(
    name: Option<TopicName>,
    id: Uuid,
    error: ResponseError,
) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(name)
        .with_topic_id(id)
        .with_topic_authorized_operations(NO_OPERATIONS)
}

fn described(name: &str, topic: &Topic) -> MetadataResponseTopic {
    let partitions = (0..).zip(&topic.partitions).map(|(index, it)| described_partition(index, it));
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(name))))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(NO_OPERATIONS)
}

fn described_partition(index: i32, partition: &Partition) -> MetadataResponsePartition {
    let those = |pick: fn(&ReplicaInfo) -> bool| -> Vec<BrokerId> {
        partition.replicas().filter(pick).map(|replica| BrokerId(replica.node.0)).collect()
    };
    let error = match partition.leader() {
        Some(_) => 0,
        None => ResponseError::LeaderNotAvailable.code(),
    };
    MetadataResponsePartition::default()
        .with_error_code(error)
        .with_partition_index(index)
        .with_leader_id(BrokerId(partition.leader().map_or(-1, |id| id.0)))
        .with_leader_epoch(partition.epoch())
        .with_replica_nodes(those(|_| true))
        .with_isr_nodes(those(|replica| replica.in_sync))
        .with_offline_replicas(those(|replica| !replica.up))
}

/// The nodes that are up.
pub fn cluster(call: &Call) -> DescribeClusterResponse {
    let state = call.core.lock();
    let brokers = state.live().map(|(id, _)| {
        let (host, port) = state.advertised(id, call.host);
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(id.0))
            .with_host(text(host))
            .with_port(port)
            .with_rack(None)
    });
    DescribeClusterResponse::default()
        .with_error_message(None)
        .with_cluster_id(text(state.cluster_id.clone()))
        .with_controller_id(BrokerId(state.controller().map_or(-1, |id| id.0)))
        .with_brokers(brokers.collect())
        .with_cluster_authorized_operations(NO_OPERATIONS)
}

/// Where groups are coordinated.
pub fn coordinators(
    call: &Call,
    request: &FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let state = call.core.lock();
    found(request, version, |key| coordinator(call, &state, key, request.key_type))
}

/// The answer that gives this error for every key.
pub fn no_coordinators(
    request: &FindCoordinatorRequest,
    version: i16,
    error: ResponseError,
) -> FindCoordinatorResponse {
    found(request, version, |key| no_coordinator(key, error, None))
}

fn found(
    request: &FindCoordinatorRequest,
    version: i16,
    find: impl Fn(&StrBytes) -> Coordinator,
) -> FindCoordinatorResponse {
    if version >= 4 {
        let all = request.coordinator_keys.iter().map(find);
        return FindCoordinatorResponse::default()
            .with_error_message(None)
            .with_coordinators(all.collect());
    }
    let one = find(&request.key);
    FindCoordinatorResponse::default()
        .with_error_code(one.error_code)
        .with_error_message(one.error_message)
        .with_node_id(one.node_id)
        .with_host(one.host)
        .with_port(one.port)
}

fn coordinator(call: &Call, state: &State, key: &StrBytes, key_type: i8) -> Coordinator {
    const GROUP: i8 = 0;
    let found: Result<NodeId, (ResponseError, Option<&str>)> = if key_type == GROUP {
        state.coordinator(key).ok_or((ResponseError::CoordinatorNotAvailable, None))
    } else {
        let reason = "an embedded cluster coordinates consumer groups only, no transactions";
        Err((ResponseError::InvalidRequest, Some(reason)))
    };
    match found {
        Ok(id) => {
            let (host, port) = state.advertised(id, call.host);
            Coordinator::default()
                .with_key(key.clone())
                .with_error_message(None)
                .with_node_id(BrokerId(id.0))
                .with_host(text(host))
                .with_port(port)
        }
        Err((error, message)) => no_coordinator(key, error, message),
    }
}

fn no_coordinator(key: &StrBytes, error: ResponseError, message: Option<&str>) -> Coordinator {
    Coordinator::default()
        .with_key(key.clone())
        .with_error_code(error.code())
        .with_error_message(message.map(text))
        .with_node_id(BrokerId(-1))
        .with_port(-1)
}

/// A topic's id when there is none.
pub(super) const NO_ID: Uuid = Uuid::nil();
