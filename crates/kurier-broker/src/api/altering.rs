//! AlterConfigs and IncrementalAlterConfigs: topics are set to something else, whole or name by name.
//! Any node answers them; there is one controller in all.

use std::collections::BTreeSet;
use std::time::Instant;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, alter_configs_request, alter_configs_response,
    incremental_alter_configs_request, incremental_alter_configs_response,
};

use super::configs::{BROKER, TOPIC};
use super::topics::told;
use super::{Call, text};
use crate::settings::TopicSettings;

type Refusal = (ResponseError, String);

/// Changes the settings that are named, and no other.
pub fn alter(
    call: &Call,
    now: Instant,
    request: &IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let results = request.resources.iter().map(|resource| {
        let (kind, name) = (resource.resource_type, &*resource.resource_name);
        let altered = topic(kind).and_then(|()| {
            let changes = &resource.configs;
            unnamed_twice(changes.iter().map(|change| &*change.name))?;
            set(call, now, name, request.validate_only, |present| changed(present, changes))
        });
        altered_result(resource, altered.err())
    });
    IncrementalAlterConfigsResponse::default().with_responses(results.collect())
}

/// Sets topics to what is named, and to the defaults in all else.
pub fn replace(call: &Call, now: Instant, request: &AlterConfigsRequest) -> AlterConfigsResponse {
    let results = request.resources.iter().map(|resource| {
        let (kind, name) = (resource.resource_type, &*resource.resource_name);
        let replaced = topic(kind).and_then(|()| {
            unnamed_twice(resource.configs.iter().map(|config| &*config.name))?;
            set(call, now, name, request.validate_only, |_| {
                let mut settings = TopicSettings::default();
                for config in &resource.configs {
                    let value = config.value.as_deref().unwrap_or_default();
                    settings.set(&config.name, value).map_err(told)?;
                }
                Ok(settings)
            })
        });
        replaced_result(resource, replaced.err())
    });
    AlterConfigsResponse::default().with_responses(results.collect())
}

/// The answer that gives this error for every resource.
pub fn refused_alter(
    request: &IncrementalAlterConfigsRequest,
    error: ResponseError,
) -> IncrementalAlterConfigsResponse {
    let results = request.resources.iter();
    let results = results.map(|resource| altered_result(resource, Some((error, String::new()))));
    IncrementalAlterConfigsResponse::default().with_responses(results.collect())
}

/// The answer that gives this error for every resource.
pub fn refused_replace(
    request: &AlterConfigsRequest,
    error: ResponseError,
) -> AlterConfigsResponse {
    let results = request.resources.iter();
    let results = results.map(|resource| replaced_result(resource, Some((error, String::new()))));
    AlterConfigsResponse::default().with_responses(results.collect())
}

fn topic(kind: i8) -> Result<(), Refusal> {
    let message = match kind {
        TOPIC => return Ok(()),
        BROKER => "the settings of an embedded cluster's nodes can't be changed while it runs",
        _ => "an embedded cluster has settings of topics and brokers",
    };
    Err((ResponseError::InvalidRequest, message.to_owned()))
}

fn unnamed_twice<'a>(mut names: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    match names.find(|name| !seen.insert(*name)) {
        None => Ok(()),
        Some(_) => Err((ResponseError::InvalidRequest, "a setting is named twice".to_owned())),
    }
}

fn set(
    call: &Call,
    now: Instant,
    topic: &str,
    validate_only: bool,
    settings: impl FnOnce(&TopicSettings) -> Result<TopicSettings, Refusal>,
) -> Result<(), Refusal> {
    call.core.change(|state| {
        let unknown = || (ResponseError::UnknownTopicOrPartition, String::new());
        let present = &state.topics.get(topic).ok_or_else(unknown)?.settings;
        let settings = settings(present)?;
        state.alter_topic(now, topic, settings, validate_only).map_err(told)
    })
}

/// The present settings with these changes.
fn changed(
    present: &TopicSettings,
    changes: &[incremental_alter_configs_request::AlterableConfig],
) -> Result<TopicSettings, Refusal> {
    // The protocol's numbers (`AlterConfigOp.OpType` in Apache Kafka).
    const SET: i8 = 0;
    const DELETE: i8 = 1;
    let mut settings = present.clone();
    for change in changes {
        match change.config_operation {
            SET => {
                let value = change.value.as_deref().unwrap_or_default();
                settings.set(&change.name, value).map_err(told)?;
            }
            DELETE => settings = settings.without(&change.name),
            _ => {
                let message = "no setting of an embedded cluster is a list that can be added to";
                return Err((ResponseError::InvalidConfig, message.to_owned()));
            }
        }
    }
    Ok(settings)
}

/// Both responses look alike and are of different types.
macro_rules! result {
    ($name:ident, $request:ident, $response:ident) => {
        fn $name(
            resource: &$request::AlterConfigsResource,
            refusal: Option<Refusal>,
        ) -> $response::AlterConfigsResourceResponse {
            let (error, message) = refusal.map_or((0, None), |(error, message)| {
                (error.code(), Some(message).filter(|message| !message.is_empty()))
            });
            $response::AlterConfigsResourceResponse::default()
                .with_error_code(error)
                .with_error_message(message.map(text))
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone())
        }
    };
}

result!(altered_result, incremental_alter_configs_request, incremental_alter_configs_response);
result!(replaced_result, alter_configs_request, alter_configs_response);

#[cfg(test)]
#[path = "altering_tests.rs"]
mod tests;
