//! DescribeConfigs: what a topic and a node are set to. How topics are set to something else is in
//! `altering`; nothing of a node can be changed while the cluster runs.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
    DescribeConfigsSynonym,
};

use super::{Call, text};
use crate::settings::{Setting, Synonym, broker_settings};
use crate::state::State;

/// A topic, by the protocol's numbers (`ConfigResource.Type` in Apache Kafka).
pub const TOPIC: i8 = 2;
/// A node, by the same.
pub const BROKER: i8 = 4;

/// One answer for each resource that was asked for.
pub fn describe(call: &Call, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let state = call.core.lock();
    let results = request.resources.iter().map(|resource| {
        let answer = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
            .with_error_message(None);
        match settings(call, &state, resource) {
            Ok(mut all) => {
                pretend(&state, &mut all);
                let picked = picked(resource, all).map(|setting| shown(request, setting));
                answer.with_configs(picked.collect())
            }
            Err((error, message)) => {
                answer.with_error_code(error.code()).with_error_message(message.map(text))
            }
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// The answer that gives this error for every resource.
pub fn refused(request: &DescribeConfigsRequest, error: ResponseError) -> DescribeConfigsResponse {
    let results = request.resources.iter().map(|resource| {
        DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
            .with_error_code(error.code())
            .with_error_message(None)
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// What is asked about, and what is said about it.
fn settings(
    call: &Call,
    state: &State,
    of: &DescribeConfigsResource,
) -> Result<Vec<Setting>, (ResponseError, Option<String>)> {
    match of.resource_type {
        TOPIC => match state.topics.get(&*of.resource_name) {
            Some(topic) => Ok(topic.settings.list(&state.settings)),
            None => Err((ResponseError::UnknownTopicOrPartition, None)),
        },
        // An empty name asks for what was changed for all brokers; nothing can be.
        BROKER if of.resource_name.is_empty() => Ok(Vec::new()),
        BROKER if *of.resource_name == *call.node.to_string() => {
            Ok(broker_settings(state, call.node))
        }
        BROKER => {
            let message = format!("node {} answers for itself only", call.node);
            Err((ResponseError::InvalidRequest, Some(message)))
        }
        _ => {
            let message = "an embedded cluster has settings of topics and brokers".to_owned();
            Err((ResponseError::InvalidRequest, Some(message)))
        }
    }
}

/// Puts the values in that the cluster's builder wants to be shown.
fn pretend(state: &State, all: &mut [Setting]) {
    for setting in all {
        if let Some(value) = state.settings.pretended.settings.get(setting.name) {
            let source = setting.source;
            setting.value.clone_from(value);
            setting
                .synonyms
                .insert(0, Synonym { name: setting.name, value: value.clone(), source });
        }
    }
}

fn picked(of: &DescribeConfigsResource, all: Vec<Setting>) -> impl Iterator<Item = Setting> {
    all.into_iter().filter(|setting| {
        let keys = of.configuration_keys.as_ref();
        keys.is_none_or(|keys| keys.iter().any(|key| **key == *setting.name))
    })
}

fn shown(request: &DescribeConfigsRequest, setting: Setting) -> DescribeConfigsResourceResult {
    let synonyms = setting.synonyms.into_iter().filter(|_| request.include_synonyms);
    let synonyms = synonyms.map(|said| {
        DescribeConfigsSynonym::default()
            .with_name(text(said.name))
            .with_value(Some(text(said.value)))
            .with_source(said.source as i8)
    });
    DescribeConfigsResourceResult::default()
        .with_name(text(setting.name))
        .with_value(Some(text(setting.value)))
        .with_read_only(setting.fixed)
        .with_config_source(setting.source as i8)
        .with_synonyms(synonyms.collect())
        .with_config_type(setting.kind as i8)
        .with_documentation(request.include_documentation.then(|| text(setting.about)))
}
