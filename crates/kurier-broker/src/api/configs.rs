//! DescribeConfigs: what a topic and a node are set to. Nothing can be changed while the cluster runs.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
};

use super::{Call, text};
use crate::state::State;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// One answer for each resource that was asked for.
pub fn describe(call: &Call, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let state = call.core.lock();
    let results = request.resources.iter().map(|resource| {
        let answer = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
            .with_error_message(None);
        match settings(&state, resource) {
            Ok(settings) => answer.with_configs(picked(resource, settings)),
            Err(error) => answer.with_error_code(error.code()),
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

type Setting = (&'static str, String, bool);

fn settings(state: &State, of: &DescribeConfigsResource) -> Result<Vec<Setting>, ResponseError> {
    match of.resource_type {
        TOPIC => {
            let topic = state.topics.get(&*of.resource_name);
            let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
            Ok(topic.settings.list())
        }
        // An empty name asks for what all brokers share.
        BROKER => Ok(vec![
            ("auto.create.topics.enable", "false".to_owned(), false),
            ("broker.id", of.resource_name.to_string(), false),
            ("default.replication.factor", state.nodes.len().min(3).to_string(), false),
            ("log.retention.bytes", state.settings.partition_bytes_max.to_string(), false),
            ("num.partitions", state.settings.partitions_default.to_string(), false),
            (
                "replica.lag.time.max.ms",
                state.settings.replica_lag_max.as_millis().to_string(),
                true,
            ),
        ]),
        _ => Err(ResponseError::InvalidRequest),
    }
}

fn picked(of: &DescribeConfigsResource, all: Vec<Setting>) -> Vec<DescribeConfigsResourceResult> {
    const STATIC_BROKER: i8 = 4;
    const DEFAULT: i8 = 5;
    const TOPIC_SET: i8 = 1;
    let wanted = |name: &str| {
        let keys = of.configuration_keys.as_ref();
        keys.is_none_or(|keys| keys.iter().any(|key| &**key == name))
    };
    let picked = all.into_iter().filter(|(name, ..)| wanted(name));
    picked
        .map(|(name, value, default)| {
            let source = match (default, of.resource_type) {
                (true, _) => DEFAULT,
                (false, TOPIC) => TOPIC_SET,
                (false, _) => STATIC_BROKER,
            };
            DescribeConfigsResourceResult::default()
                .with_name(text(name))
                .with_value(Some(text(value)))
                .with_read_only(true)
                .with_config_source(source)
                .with_documentation(None)
        })
        .collect()
}
