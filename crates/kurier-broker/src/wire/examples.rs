//! Valid requests of every kind, for tests that send all of them.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::versions;
use crate::storage::testing::BatchSpec;

/// The record batches in them: one without a producer's id, and one with.
pub fn batches() -> [Bytes; 2] {
    [BatchSpec::of(2).build(), BatchSpec::of(2).at(1_000).sequenced(7, 0, 0).build()]
}

/// A filled-in request of every API in every version: API, version, body.
pub fn examples() -> Vec<(i16, i16, Bytes)> {
    let mut found = Vec::new();
    let mut add = |key: ApiKey, encode: &dyn Fn(i16) -> Option<BytesMut>| {
        let api = versions::find(key as i16).expect("in the table");
        for version in api.min..=api.max {
            let body = encode(version).unwrap_or_else(|| panic!("{key:?} version {version}"));
            found.push((key as i16, version, body.freeze()));
        }
    };
    fn put(request: &impl Encodable, version: i16) -> Option<BytesMut> {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).ok().map(|()| body)
    }
    let text = || StrBytes::from_static_str("name");
    let topic = || TopicName(text());
    let group = || GroupId(text());
    add(ApiKey::Produce, &|v| {
        use produce_request::*;
        let partitions = (0..).zip(batches()).map(|(index, batch)| {
            PartitionProduceData::default().with_index(index).with_records(Some(batch))
        });
        let data = TopicProduceData::default()
            .with_name(topic())
            .with_partition_data(partitions.collect());
        put(&ProduceRequest::default().with_acks(1).with_topic_data(vec![data]), v)
    });
    add(ApiKey::Fetch, &|v| {
        use fetch_request::*;
        let data = FetchTopic::default()
            .with_topic(topic())
            .with_partitions(vec![FetchPartition::default(), FetchPartition::default()]);
        let mut request = FetchRequest::default().with_topics(vec![data]);
        if v >= 7 {
            let gone = ForgottenTopic::default().with_topic(topic()).with_partitions(vec![1, 2]);
            request = request.with_forgotten_topics_data(vec![gone]);
        }
        put(&request, v)
    });
    add(ApiKey::ListOffsets, &|v| {
        use list_offsets_request::*;
        let data = ListOffsetsTopic::default()
            .with_name(topic())
            .with_partitions(vec![ListOffsetsPartition::default()]);
        put(&ListOffsetsRequest::default().with_topics(vec![data]), v)
    });
    add(ApiKey::Metadata, &|v| {
        use metadata_request::*;
        let data = MetadataRequestTopic::default().with_name(Some(topic()));
        put(&MetadataRequest::default().with_topics(Some(vec![data.clone(), data])), v)
    });
    add(ApiKey::OffsetCommit, &|v| {
        use offset_commit_request::*;
        let partition =
            OffsetCommitRequestPartition::default().with_committed_metadata(Some(text()));
        let data =
            OffsetCommitRequestTopic::default().with_name(topic()).with_partitions(vec![partition]);
        put(&OffsetCommitRequest::default().with_group_id(group()).with_topics(vec![data]), v)
    });
    add(ApiKey::OffsetFetch, &|v| {
        use offset_fetch_request::*;
        if v >= 8 {
            let topics = OffsetFetchRequestTopics::default()
                .with_name(topic())
                .with_partition_indexes(vec![1, 2]);
            let data = OffsetFetchRequestGroup::default()
                .with_group_id(group())
                .with_topics(Some(vec![topics]));
            return put(&OffsetFetchRequest::default().with_groups(vec![data]), v);
        }
        let topics = OffsetFetchRequestTopic::default()
            .with_name(topic())
            .with_partition_indexes(vec![1, 2]);
        put(
            &OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![topics])),
            v,
        )
    });
    add(ApiKey::FindCoordinator, &|v| {
        let request = FindCoordinatorRequest::default();
        put(
            &if v >= 4 {
                request.with_coordinator_keys(vec![text(), text()])
            } else {
                request.with_key(text())
            },
            v,
        )
    });
    add(ApiKey::JoinGroup, &|v| {
        use join_group_request::*;
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text())
            .with_metadata(Bytes::from_static(b"xyz"));
        put(&JoinGroupRequest::default().with_group_id(group()).with_protocols(vec![protocol]), v)
    });
    add(ApiKey::Heartbeat, &|v| put(&HeartbeatRequest::default().with_group_id(group()), v));
    add(ApiKey::LeaveGroup, &|v| {
        use leave_group_request::*;
        let request = LeaveGroupRequest::default().with_group_id(group());
        let member = MemberIdentity::default().with_member_id(text());
        put(&if v >= 3 { request.with_members(vec![member]) } else { request }, v)
    });
    add(ApiKey::SyncGroup, &|v| {
        use sync_group_request::*;
        let one = SyncGroupRequestAssignment::default().with_assignment(Bytes::from_static(b"q"));
        put(&SyncGroupRequest::default().with_group_id(group()).with_assignments(vec![one]), v)
    });
    add(ApiKey::DescribeGroups, &|v| {
        put(&DescribeGroupsRequest::default().with_groups(vec![group(), group()]), v)
    });
    add(ApiKey::ListGroups, &|v| {
        let request = ListGroupsRequest::default();
        put(&if v >= 4 { request.with_states_filter(vec![text()]) } else { request }, v)
    });
    add(ApiKey::ApiVersions, &|v| {
        put(&ApiVersionsRequest::default().with_client_software_name(text()), v)
    });
    add(ApiKey::CreateTopics, &|v| {
        use create_topics_request::*;
        let assignment = CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1)]);
        let config = CreatableTopicConfig::default().with_name(text()).with_value(Some(text()));
        let data = CreatableTopic::default()
            .with_name(topic())
            .with_assignments(vec![assignment])
            .with_configs(vec![config]);
        put(&CreateTopicsRequest::default().with_topics(vec![data]), v)
    });
    add(ApiKey::DeleteTopics, &|v| {
        use delete_topics_request::*;
        let request = DeleteTopicsRequest::default();
        put(
            &if v >= 6 {
                request.with_topics(vec![DeleteTopicState::default().with_name(Some(topic()))])
            } else {
                request.with_topic_names(vec![topic()])
            },
            v,
        )
    });
    add(ApiKey::DeleteRecords, &|v| {
        use delete_records_request::*;
        let data = DeleteRecordsTopic::default()
            .with_name(topic())
            .with_partitions(vec![DeleteRecordsPartition::default()]);
        put(&DeleteRecordsRequest::default().with_topics(vec![data]), v)
    });
    add(ApiKey::InitProducerId, &|v| put(&InitProducerIdRequest::default(), v));
    add(ApiKey::OffsetForLeaderEpoch, &|v| {
        use offset_for_leader_epoch_request::*;
        let data = OffsetForLeaderTopic::default()
            .with_topic(topic())
            .with_partitions(vec![OffsetForLeaderPartition::default()]);
        put(&OffsetForLeaderEpochRequest::default().with_topics(vec![data]), v)
    });
    add(ApiKey::DescribeConfigs, &|v| {
        use describe_configs_request::*;
        let data = DescribeConfigsResource::default()
            .with_resource_name(text())
            .with_configuration_keys(Some(vec![text()]));
        put(&DescribeConfigsRequest::default().with_resources(vec![data]), v)
    });
    add(ApiKey::AlterConfigs, &|v| {
        use alter_configs_request::*;
        let one = AlterableConfig::default().with_name(text()).with_value(Some(text()));
        let data = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text())
            .with_configs(vec![one]);
        put(&AlterConfigsRequest::default().with_resources(vec![data]), v)
    });
    add(ApiKey::IncrementalAlterConfigs, &|v| {
        use incremental_alter_configs_request::*;
        let one = AlterableConfig::default().with_name(text()).with_value(Some(text()));
        let data = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text())
            .with_configs(vec![one]);
        put(&IncrementalAlterConfigsRequest::default().with_resources(vec![data]), v)
    });
    add(ApiKey::CreatePartitions, &|v| {
        use create_partitions_request::*;
        let one = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
        let data =
            CreatePartitionsTopic::default().with_name(topic()).with_assignments(Some(vec![one]));
        put(&CreatePartitionsRequest::default().with_topics(vec![data]), v)
    });
    add(ApiKey::DeleteGroups, &|v| {
        put(&DeleteGroupsRequest::default().with_groups_names(vec![group()]), v)
    });
    add(ApiKey::OffsetDelete, &|v| {
        use offset_delete_request::*;
        let data = OffsetDeleteRequestTopic::default()
            .with_name(topic())
            .with_partitions(vec![OffsetDeleteRequestPartition::default()]);
        put(&OffsetDeleteRequest::default().with_group_id(group()).with_topics(vec![data]), v)
    });
    add(ApiKey::DescribeCluster, &|v| put(&DescribeClusterRequest::default(), v));
    found
}

/// A frame without its length, with a client id and, for a flexible version, no tags.
pub fn frame(key: i16, version: i16, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(77);
    frame.put_i16(2);
    frame.put_slice(b"me");
    if versions::find(key).is_some_and(|api| version >= api.schema.flexible_from) {
        frame.put_u8(0);
    }
    frame.put_slice(body);
    frame.freeze()
}
