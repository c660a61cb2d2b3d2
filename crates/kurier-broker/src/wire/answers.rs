//! Answers as a client reads them, of whatever kind: for tests and fuzzing.

use std::fmt::Debug;

use bytes::Bytes;
use kafka_protocol::messages::*;

use super::frame::read_response;

/// The answer in a frame, as what the API and the version say that it is.
///
/// # Errors
/// When it is something else.
pub fn answer_in(key: ApiKey, version: i16, frame: Bytes) -> Result<Box<dyn Debug>, String> {
    macro_rules! read {
        ($($api:ident $response:ident,)*) => {
            match key {
                $(ApiKey::$api => Ok(Box::new(read_response::<$response>(frame, version)?)),)*
                other => Err(format!("{other:?} is not spoken")),
            }
        };
    }
    read! {
        Produce ProduceResponse, Fetch FetchResponse, ListOffsets ListOffsetsResponse,
        Metadata MetadataResponse, OffsetCommit OffsetCommitResponse,
        OffsetFetch OffsetFetchResponse, FindCoordinator FindCoordinatorResponse,
        JoinGroup JoinGroupResponse, Heartbeat HeartbeatResponse, LeaveGroup LeaveGroupResponse,
        SyncGroup SyncGroupResponse, DescribeGroups DescribeGroupsResponse,
        ListGroups ListGroupsResponse, ApiVersions ApiVersionsResponse,
        CreateTopics CreateTopicsResponse, DeleteTopics DeleteTopicsResponse,
        DeleteRecords DeleteRecordsResponse, InitProducerId InitProducerIdResponse,
        OffsetForLeaderEpoch OffsetForLeaderEpochResponse,
        DescribeConfigs DescribeConfigsResponse, AlterConfigs AlterConfigsResponse,
        IncrementalAlterConfigs IncrementalAlterConfigsResponse,
        CreatePartitions CreatePartitionsResponse,
        DeleteGroups DeleteGroupsResponse, OffsetDelete OffsetDeleteResponse,
        DescribeCluster DescribeClusterResponse,
    }
}
