use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use kafka_protocol::messages::*;

use super::*;
use crate::core::Core;
use crate::faults::{BY_TOPIC, Fault, FaultAction, FaultError, Faults};
use crate::settings::TopicSettings;
use crate::state::{ClusterSettings, State};
use crate::storage::NodeId;
use crate::wire::examples::{examples, frame};
use crate::wire::frame::{Incoming, parse, read_response};

fn cluster() -> Call {
    let mut state = State::new(ClusterSettings::default(), [9092]);
    for topic in ["name", "other"] {
        let made = state.create_topic(Instant::now(), topic, 1, 1, TopicSettings::default());
        made.expect("a topic");
    }
    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Call { core: Arc::new(Core::new(state)), node: NodeId(1), host, peer: host }
}

fn request(key: i16, version: i16, body: &[u8]) -> Request {
    match parse(&frame(key, version, body)) {
        Ok(Incoming::Kafka(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// A response as text, decoded as what its request's API and version say that it is.
fn shown(key: ApiKey, version: i16, frame: Bytes) -> String {
    macro_rules! shown {
        ($($api:ident $response:ident,)*) => {
            match key {
                $(ApiKey::$api => {
                    format!("{:?}", read_response::<$response>(frame, version).expect("decodes"))
                })*
                other => panic!("{other:?} is not spoken"),
            }
        };
    }
    shown! {
        Produce ProduceResponse, Fetch FetchResponse, ListOffsets ListOffsetsResponse,
        Metadata MetadataResponse, OffsetCommit OffsetCommitResponse,
        OffsetFetch OffsetFetchResponse, FindCoordinator FindCoordinatorResponse,
        JoinGroup JoinGroupResponse, Heartbeat HeartbeatResponse, LeaveGroup LeaveGroupResponse,
        SyncGroup SyncGroupResponse, DescribeGroups DescribeGroupsResponse,
        ListGroups ListGroupsResponse, ApiVersions ApiVersionsResponse,
        CreateTopics CreateTopicsResponse, DeleteTopics DeleteTopicsResponse,
        DeleteRecords DeleteRecordsResponse, InitProducerId InitProducerIdResponse,
        OffsetForLeaderEpoch OffsetForLeaderEpochResponse,
        DescribeConfigs DescribeConfigsResponse, CreatePartitions CreatePartitionsResponse,
        DeleteGroups DeleteGroupsResponse, OffsetDelete OffsetDeleteResponse,
        DescribeCluster DescribeClusterResponse,
    }
}

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
        let shown = shown(api, version, answer);
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
