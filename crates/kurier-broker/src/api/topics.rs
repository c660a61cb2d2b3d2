//! CreateTopics, DeleteTopics, CreatePartitions. Any node answers them; there is one controller in all.

use std::time::Instant;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use kafka_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use kafka_protocol::messages::delete_topics_response::{
    DeletableTopicResult, DeleteTopicsResponse,
};

use super::metadata::NO_ID;
use super::{Call, text};
use crate::settings::{Setting, TopicSettings};
use crate::state::State;
use crate::topic::TopicError;

/// Makes topics, or says whether it could.
pub fn create(call: &Call, now: Instant, request: &CreateTopicsRequest) -> CreateTopicsResponse {
    call.core.change(|state| {
        let results = request.topics.iter().map(|wanted| {
            let times = request.topics.iter().filter(|other| other.name == wanted.name).count();
            let created = match times {
                1 => create_one(state, now, wanted, request.validate_only),
                _ => Err((ResponseError::InvalidRequest, "the request names it twice".to_owned())),
            };
            match created {
                Ok(made) => described(
                    CreatableTopicResult::default().with_name(wanted.name.clone()),
                    made.as_ref(),
                ),
                Err((error, message)) => not_created(wanted, error, Some(message)),
            }
        });
        CreateTopicsResponse::default().with_topics(results.collect())
    })
}

/// The answer that gives this error for every topic.
pub fn refused_create(request: &CreateTopicsRequest, error: ResponseError) -> CreateTopicsResponse {
    let results = request.topics.iter().map(|wanted| not_created(wanted, error, None));
    CreateTopicsResponse::default().with_topics(results.collect())
}

fn not_created(
    wanted: &CreatableTopic,
    error: ResponseError,
    message: Option<String>,
) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(wanted.name.clone())
        .with_error_code(error.code())
        .with_error_message(message.map(text))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
}

type Made = (uuid::Uuid, i32, i16, Vec<Setting>);

fn create_one(
    state: &mut State,
    now: Instant,
    wanted: &CreatableTopic,
    validate_only: bool,
) -> Result<Option<Made>, (ResponseError, String)> {
    if !wanted.assignments.is_empty() {
        let message = "an embedded cluster places replicas itself".to_owned();
        return Err((ResponseError::InvalidReplicaAssignment, message));
    }
    let mut settings = TopicSettings::default();
    for config in &wanted.configs {
        settings.set(&config.name, config.value.as_deref().unwrap_or_default()).map_err(told)?;
    }
    let (partitions, replicas) = (wanted.num_partitions, wanted.replication_factor);
    if validate_only {
        state.check_topic(&wanted.name, partitions, replicas, &settings).map_err(told)?;
        return Ok(None);
    }
    state.create_topic(now, &wanted.name, partitions, replicas, settings).map_err(told)?;
    Ok(state.topics.get(wanted.name.as_str()).map(|topic| {
        let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let replicas = i16::try_from(topic.replicas).unwrap_or(i16::MAX);
        (topic.id, partitions, replicas, topic.settings.list(&state.settings))
    }))
}

fn described(answer: CreatableTopicResult, made: Option<&Made>) -> CreatableTopicResult {
    let answer = answer.with_error_message(None);
    let Some((id, partitions, replicas, settings)) = made else { return answer };
    let configs = settings.iter().map(|setting| {
        CreatableTopicConfigs::default()
            .with_name(text(setting.name))
            .with_value(Some(text(&setting.value)))
            .with_config_source(setting.source as i8)
    });
    answer
        .with_topic_id(*id)
        .with_num_partitions(*partitions)
        .with_replication_factor(*replicas)
        .with_configs(Some(configs.collect()))
}

/// Deletes topics by name or id.
pub fn delete(call: &Call, request: &DeleteTopicsRequest, version: i16) -> DeleteTopicsResponse {
    call.core.change(|state| {
        let results: Vec<DeletableTopicResult> = if version >= 6 {
            let wanted = request.topics.iter();
            wanted.map(|wanted| delete_one(state, wanted.name.as_ref(), wanted.topic_id)).collect()
        } else {
            request.topic_names.iter().map(|name| delete_one(state, Some(name), NO_ID)).collect()
        };
        DeleteTopicsResponse::default().with_responses(results)
    })
}

/// The answer that gives this error for every topic.
pub fn refused_delete(request: &DeleteTopicsRequest, error: ResponseError) -> DeleteTopicsResponse {
    let by_name = request.topic_names.iter().map(|name| (Some(name.clone()), NO_ID));
    let states = request.topics.iter().map(|state| (state.name.clone(), state.topic_id));
    let results = by_name.chain(states).map(|(name, id)| {
        DeletableTopicResult::default()
            .with_name(name)
            .with_topic_id(id)
            .with_error_code(error.code())
            .with_error_message(None)
    });
    DeleteTopicsResponse::default().with_responses(results.collect())
}

/// What a topic to be deleted is called in the request.
pub fn name_or_id(wanted: &DeleteTopicState) -> String {
    match &wanted.name {
        Some(name) => name.to_string(),
        None => wanted.topic_id.to_string(),
    }
}

fn delete_one(state: &mut State, name: Option<&TopicName>, id: uuid::Uuid) -> DeletableTopicResult {
    let (found, unknown) = match name {
        Some(name) => {
            let found = state.topics.get_key_value(name.as_str());
            (found, ResponseError::UnknownTopicOrPartition)
        }
        None => {
            let found = state.topics.iter().find(|(_, topic)| topic.id == id);
            (found, ResponseError::UnknownTopicId)
        }
    };
    let answer = DeletableTopicResult::default().with_error_message(None);
    match found.map(|(name, topic)| (name.clone(), topic.id)) {
        Some((name, id)) => {
            state.delete_topic(&name);
            answer.with_name(Some(TopicName(text(name)))).with_topic_id(id)
        }
        None => answer.with_name(name.cloned()).with_topic_id(id).with_error_code(unknown.code()),
    }
}

/// Gives topics more partitions.
pub fn grow(
    call: &Call,
    now: Instant,
    request: &CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    call.core.change(|state| {
        let results = request.topics.iter().map(|wanted| {
            let grown = if wanted.assignments.is_some() {
                let message = "an embedded cluster places replicas itself".to_owned();
                Err((ResponseError::InvalidReplicaAssignment, message))
            } else {
                let validate_only = request.validate_only;
                state.add_partitions(now, &wanted.name, wanted.count, validate_only).map_err(told)
            };
            match grown {
                Ok(()) => grown_to(wanted, 0, None),
                Err((error, message)) => grown_to(wanted, error.code(), Some(message)),
            }
        });
        CreatePartitionsResponse::default().with_results(results.collect())
    })
}

/// The answer that gives this error for every topic.
pub fn refused_grow(
    request: &CreatePartitionsRequest,
    error: ResponseError,
) -> CreatePartitionsResponse {
    let results = request.topics.iter().map(|wanted| grown_to(wanted, error.code(), None));
    CreatePartitionsResponse::default().with_results(results.collect())
}

fn grown_to(
    wanted: &CreatePartitionsTopic,
    code: i16,
    message: Option<String>,
) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult::default()
        .with_name(wanted.name.clone())
        .with_error_code(code)
        .with_error_message(message.map(text))
}

/// The protocol's error for a topic that can't be made or changed, and the words.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
pub fn told(error: TopicError) -> (ResponseError, String) {
    let kind = match &error {
        TopicError::Name(_) => ResponseError::InvalidTopicException,
        TopicError::Exists => ResponseError::TopicAlreadyExists,
        TopicError::Unknown => ResponseError::UnknownTopicOrPartition,
        TopicError::Replicas { .. } => ResponseError::InvalidReplicationFactor,
        TopicError::Partitions { .. } | TopicError::Fewer { .. } => {
            ResponseError::InvalidPartitions
        }
        TopicError::Setting { .. } => ResponseError::InvalidConfig,
    };
    (kind, error.to_string())
}
