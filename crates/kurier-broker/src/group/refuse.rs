//! One error as the reply to a whole request: each API keeps its error codes somewhere else.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupResponse, ListGroupsResponse,
    OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse, SyncGroupResponse,
    delete_groups_response::DeletableGroupResult,
    describe_groups_response::DescribedGroup,
    offset_fetch_response::{
        OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
    },
};
use kafka_protocol::protocol::StrBytes;

use super::api::{GroupRequest, GroupResponse};
use super::commit::commit_response;

/// The offset that stands for "nothing committed" on the wire.
pub(super) const NO_OFFSET: i64 = -1;
/// The leader epoch that stands for "not known" on the wire.
pub(super) const NO_EPOCH: i32 = -1;

impl GroupRequest {
    /// The reply that answers this whole request with one error, wherever its API keeps error codes.
    #[must_use]
    pub fn refuse(&self, error: ResponseError) -> GroupResponse {
        let code = error.code();
        match self {
            Self::Join(request, version) => {
                GroupResponse::Join(refused_join(request, *version, error))
            }
            Self::Sync(..) => GroupResponse::Sync(refused_sync(error)),
            Self::Heartbeat(..) => {
                GroupResponse::Heartbeat(HeartbeatResponse::default().with_error_code(code))
            }
            Self::Leave(..) => {
                GroupResponse::Leave(LeaveGroupResponse::default().with_error_code(code))
            }
            Self::OffsetCommit(request, _) => {
                GroupResponse::OffsetCommit(commit_response(request, |_, _| Err(error)))
            }
            Self::OffsetFetch(request, version) => {
                GroupResponse::OffsetFetch(refused_fetch(request, *version, error))
            }
            Self::Describe(request, _) => GroupResponse::Describe(refused_describe(request, error)),
            Self::List(..) => {
                GroupResponse::List(ListGroupsResponse::default().with_error_code(code))
            }
            Self::DeleteGroups(request, _) => {
                GroupResponse::DeleteGroups(refused_delete(request, error))
            }
            Self::OffsetDelete(..) => {
                GroupResponse::OffsetDelete(OffsetDeleteResponse::default().with_error_code(code))
            }
        }
    }
}

/// A JoinGroup reply without a generation. Before version 7 the protocol's name cannot be null.
pub(super) fn join_error(
    member_id: StrBytes,
    version: i16,
    error: ResponseError,
) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(error.code())
        .with_member_id(member_id)
        .with_protocol_name((version < 7).then(StrBytes::new))
}

/// A SyncGroup reply without an assignment.
pub(super) fn refused_sync(error: ResponseError) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(error.code())
}

/// What DescribeGroups says of a group that it can't describe.
pub(super) fn undescribed(group_id: StrBytes, error: Option<ResponseError>) -> DescribedGroup {
    DescribedGroup::default()
        .with_error_code(error.map_or(0, |error| error.code()))
        .with_error_message(None)
        .with_group_id(group_id.into())
        .with_group_state(StrBytes::from_static_str(if error.is_some() { "" } else { "Dead" }))
}

fn refused_join(
    request: &JoinGroupRequest,
    version: i16,
    error: ResponseError,
) -> JoinGroupResponse {
    join_error(request.member_id.clone(), version, error)
}

fn refused_fetch(
    request: &OffsetFetchRequest,
    version: i16,
    error: ResponseError,
) -> OffsetFetchResponse {
    if version >= 8 {
        let groups = request.groups.iter().map(|group| {
            OffsetFetchResponseGroup::default()
                .with_group_id(group.group_id.clone())
                .with_error_code(error.code())
        });
        return OffsetFetchResponse::default().with_groups(groups.collect());
    }
    if version >= 2 {
        return OffsetFetchResponse::default().with_error_code(error.code());
    }
    let topics = request.topics.iter().flatten().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(*index)
                .with_committed_offset(NO_OFFSET)
                .with_committed_leader_epoch(NO_EPOCH)
                .with_error_code(error.code())
        });
        OffsetFetchResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

fn refused_describe(
    request: &DescribeGroupsRequest,
    error: ResponseError,
) -> DescribeGroupsResponse {
    let groups = request.groups.iter().map(|group| undescribed(group.0.clone(), Some(error)));
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn refused_delete(request: &DeleteGroupsRequest, error: ResponseError) -> DeleteGroupsResponse {
    let results = request.groups_names.iter().map(|group| {
        DeletableGroupResult::default().with_group_id(group.clone()).with_error_code(error.code())
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}
