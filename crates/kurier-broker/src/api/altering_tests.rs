use incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::api::testing::cluster;
use crate::storage::testing::BatchSpec;
use crate::storage::{Acks, AppendError};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

fn words(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Asks for these changes to the topic `name`; the error and the words of the answer.
fn ask(call: &Call, changes: &[(&str, i8, &str)]) -> (i16, String) {
    let changes = changes.iter().map(|(name, operation, value)| {
        AlterableConfig::default()
            .with_name(words(name))
            .with_config_operation(*operation)
            .with_value((*operation != DELETE).then(|| words(value)))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(words("name"))
        .with_configs(changes.collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = alter(call, Instant::now(), &request).responses.remove(0);
    (answer.error_code, answer.error_message.map(|text| text.to_string()).unwrap_or_default())
}

/// What the topic `name` was given, with the values.
fn given(call: &Call) -> Vec<(&'static str, String)> {
    let state = call.core.lock();
    let all = state.topics["name"].settings.list(&state.settings);
    let own = all.into_iter().filter(|setting| setting.source == crate::settings::Source::Topic);
    own.map(|setting| (setting.name, setting.value)).collect()
}

#[test]
fn only_what_is_named_changes_and_what_is_deleted_is_the_default_again() {
    let call = cluster();
    let both = [("max.message.bytes", SET, "200"), ("retention.bytes", SET, "5000")];
    assert_eq!(ask(&call, &both), (0, String::new()));
    assert_eq!(ask(&call, &[("max.message.bytes", SET, "300")]).0, 0);
    let expected =
        [("max.message.bytes", "300".to_owned()), ("retention.bytes", "5000".to_owned())];
    assert_eq!(given(&call), expected);
    assert_eq!(ask(&call, &[("max.message.bytes", DELETE, "")]).0, 0);
    assert_eq!(given(&call), expected[1..]);
}

#[test]
fn a_change_that_is_refused_in_part_changes_nothing() {
    let call = cluster();
    let invalid = ResponseError::InvalidConfig.code();
    for (bad, reason) in [
        (("retention.ms", SET, "5"), "retention.ms=5: only -1 is possible in an embedded cluster"),
        (("min.insync.replicas", SET, "2"), "not more than the topic has replicas"),
        (("cleanup.policy", APPEND, "compact"), "a list that can be added to"),
    ] {
        let (code, said) = ask(&call, &[("max.message.bytes", SET, "300"), bad]);
        assert!(code == invalid && said.contains(reason), "{code}: {said}");
        assert_eq!(given(&call), []);
    }
    let twice = [("max.message.bytes", SET, "300"), ("max.message.bytes", DELETE, "")];
    assert_eq!(ask(&call, &twice).0, ResponseError::InvalidRequest.code());
}

#[test]
fn a_partition_behaves_as_its_topic_is_set_from_then_on() {
    let call = cluster();
    let write = || {
        let mut state = call.core.lock();
        let partition = &mut state.topics.get_mut("name").expect("there").partitions[0];
        let batch = BatchSpec::of(2).build();
        partition.append(Instant::now(), std::time::Duration::ZERO, Acks::All, batch)
    };
    let bytes = BatchSpec::of(2).build().len();
    for _ in 0..3 {
        write().expect("appended");
    }
    let bound = (bytes * 2).to_string();
    assert_eq!(ask(&call, &[("retention.bytes", SET, bound.as_str())]).0, 0);
    assert_eq!(call.core.lock().topics["name"].partitions[0].log_start(), 2, "the oldest went");
    assert_eq!(ask(&call, &[("max.message.bytes", SET, "10")]).0, 0);
    assert_eq!(write(), Err(AppendError::TooLarge { found: bytes, max: 10 }));
}

#[test]
fn what_is_set_as_a_whole_leaves_nothing_else() {
    use alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let call = cluster();
    assert_eq!(ask(&call, &[("retention.bytes", SET, "5000")]).0, 0);
    let one = AlterableConfig::default()
        .with_name(words("max.message.bytes"))
        .with_value(Some(words("300")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(words("name"))
        .with_configs(vec![one]);
    let dry =
        AlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(true);
    assert_eq!(replace(&call, Instant::now(), &dry).responses[0].error_code, 0);
    assert_eq!(given(&call), [("retention.bytes", "5000".to_owned())], "only asked whether");
    let request = dry.with_validate_only(false);
    assert_eq!(replace(&call, Instant::now(), &request).responses[0].error_code, 0);
    assert_eq!(given(&call), [("max.message.bytes", "300".to_owned())]);
}

#[test]
fn nodes_and_topics_that_are_not_there_are_not_altered() {
    let call = cluster();
    let ask = |kind: i8, name: &str| {
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(words(name));
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        alter(&call, Instant::now(), &request).responses.remove(0).error_code
    };
    assert_eq!(ask(TOPIC, "missing"), ResponseError::UnknownTopicOrPartition.code());
    assert_eq!(ask(BROKER, "1"), ResponseError::InvalidRequest.code());
}
