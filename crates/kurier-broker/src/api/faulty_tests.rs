use std::sync::Arc;

use kafka_protocol::messages::*;

use super::*;
use crate::api::testing::{cluster, request};
use crate::faults::{BY_TOPIC, Fault, FaultAction, FaultError, Faults};
use crate::wire::answers::answer_in;
use crate::wire::examples::examples;
use crate::wire::frame::read_response;

#[tokio::test]
async fn every_api_in_every_version_has_a_place_for_an_error() {
    let call = cluster();
    let faults = Faults::new(Arc::clone(&call.core));
    for (key, version, body) in examples() {
        let request = request(key, version, &body);
        let api = request.key;
        let error = FaultAction::Error(ResponseError::KafkaStorageError);
        let fault = faults.add(Fault::on(api).times(1), error).expect("spoken");
        let answer = answer(&call, request).await.expect("answered").expect("with something");
        assert_eq!(fault.fired(), 1, "{api:?} {version}");
        let shown = format!("{:?}", answer_in(api, version, answer).expect("decodes"));
        assert!(shown.contains("error_code: 56"), "{api:?} {version}: {shown}");
    }
}

#[tokio::test]
async fn a_fault_that_could_never_be_shown_is_not_taken() {
    let call = cluster();
    let faults = Faults::new(Arc::clone(&call.core));
    let add = |fault, action| faults.add(fault, action).expect_err("refused");
    let drop = || FaultAction::Drop;
    let api = ApiKey::EndTxn;
    assert_eq!(add(Fault::on(api), drop()), FaultError::NotSpoken(api));
    let api = ApiKey::Heartbeat;
    assert_eq!(add(Fault::on(api).topic("name"), drop()), FaultError::NotByTopic(api));
    let invalid = FaultAction::InvalidRecords { indexes: vec![0], message: String::new() };
    assert_eq!(add(Fault::on(ApiKey::Fetch), invalid), FaultError::NoRecords(ApiKey::Fetch));
    for fault in [Fault::on(ApiKey::Metadata), Fault::on(ApiKey::Fetch).topic("name")] {
        assert_eq!(add(fault, FaultAction::HideTopic), FaultError::NothingToHide);
    }
    assert_eq!(add(Fault::on(ApiKey::Fetch).node(2), drop()), FaultError::Node(2));
}

#[tokio::test]
async fn of_two_topics_one_is_refused_and_the_other_is_processed() {
    use kafka_protocol::messages::list_offsets_request::*;
    let call = cluster();
    let faults = Faults::new(Arc::clone(&call.core));
    let topic = |name: &str| {
        ListOffsetsTopic::default()
            .with_name(TopicName(kafka_protocol::protocol::StrBytes::from_string(name.to_owned())))
            .with_partitions(vec![ListOffsetsPartition::default().with_timestamp(-1)])
    };
    let asked = ListOffsetsRequest::default().with_topics(vec![topic("name"), topic("other")]);
    let mut request = request(ApiKey::ListOffsets as i16, 6, &examples()[0].2);
    request = request.with_body(&asked).expect("encodes");
    let error = FaultAction::Error(ResponseError::NotLeaderOrFollower);
    faults.add(Fault::on(ApiKey::ListOffsets).topic("name"), error).expect("taken");
    let answer = answer(&call, request).await.expect("answered").expect("with something");
    let response = read_response::<ListOffsetsResponse>(answer, 6).expect("decodes");
    let mut found: Vec<(String, i16)> = response
        .topics
        .iter()
        .map(|topic| (topic.name.to_string(), topic.partitions[0].error_code))
        .collect();
    found.sort();
    let expected = [("name".to_owned(), 6), ("other".to_owned(), 0)];
    assert_eq!(found, expected);
}

#[test]
fn the_apis_that_are_answered_by_topic_are_those_that_can_be_split() {
    for api in crate::wire::versions::APIS {
        let call = cluster();
        let (.., version, body) = examples()
            .into_iter()
            .rfind(|(key, ..)| *key == api.key as i16)
            .expect("an example of each");
        let topics = topics(&call, &request(api.key as i16, version, &body)).expect("decodes");
        assert_eq!(topics.is_some(), BY_TOPIC.contains(&api.key), "{:?}", api.key);
    }
}
