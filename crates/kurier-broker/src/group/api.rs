//! What goes into the group coordinator and what comes out: tickets, requests, responses, effects.
//!
//! Knows Kafka's message classes, not sockets and not the coordinator's state.

use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse,
};

/// Names one request for as long as it has no reply.
///
/// The driver makes them and never uses one twice; the coordinator answers each with exactly one
/// [`Effect::Reply`], at once or later, unless the driver takes it back with
/// [`GroupCoordinator::abandon`](super::GroupCoordinator::abandon).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Who sent a request: shown by DescribeGroups, and the first part of a new member's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// The request header's client id; empty when the client sent none.
    pub client_id: String,
    /// The client's address as the node sees it. Kafka writes `/127.0.0.1`.
    pub host: String,
}

/// A decoded request with the API version it came in, which decides what its reply may hold.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupRequest {
    /// JoinGroup, versions 0 to 9. May wait.
    Join(JoinGroupRequest, i16),
    /// SyncGroup, versions 0 to 5. May wait.
    Sync(SyncGroupRequest, i16),
    /// Heartbeat, versions 0 to 4.
    Heartbeat(HeartbeatRequest, i16),
    /// LeaveGroup, versions 0 to 5.
    Leave(LeaveGroupRequest, i16),
    /// OffsetCommit, versions 2 to 9.
    OffsetCommit(OffsetCommitRequest, i16),
    /// OffsetFetch, versions 1 to 9.
    OffsetFetch(OffsetFetchRequest, i16),
    /// DescribeGroups, versions 0 to 6.
    Describe(DescribeGroupsRequest, i16),
    /// ListGroups, versions 0 to 5.
    List(ListGroupsRequest, i16),
    /// DeleteGroups, versions 0 to 2.
    DeleteGroups(DeleteGroupsRequest, i16),
    /// OffsetDelete, version 0.
    OffsetDelete(OffsetDeleteRequest, i16),
}

/// The reply to the [`GroupRequest`] of the same name, fit to be encoded in the request's version.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupResponse {
    /// Reply to [`GroupRequest::Join`].
    Join(JoinGroupResponse),
    /// Reply to [`GroupRequest::Sync`].
    Sync(SyncGroupResponse),
    /// Reply to [`GroupRequest::Heartbeat`].
    Heartbeat(HeartbeatResponse),
    /// Reply to [`GroupRequest::Leave`].
    Leave(LeaveGroupResponse),
    /// Reply to [`GroupRequest::OffsetCommit`].
    OffsetCommit(OffsetCommitResponse),
    /// Reply to [`GroupRequest::OffsetFetch`].
    OffsetFetch(OffsetFetchResponse),
    /// Reply to [`GroupRequest::Describe`].
    Describe(DescribeGroupsResponse),
    /// Reply to [`GroupRequest::List`].
    List(ListGroupsResponse),
    /// Reply to [`GroupRequest::DeleteGroups`].
    DeleteGroups(DeleteGroupsResponse),
    /// Reply to [`GroupRequest::OffsetDelete`].
    OffsetDelete(OffsetDeleteResponse),
}

/// What the driver has to do after an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send this response to the request that the ticket names. Said once for each ticket.
    Reply(Ticket, GroupResponse),
}

/// What the coordinator must know of the cluster to judge a request.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Whether the node that got the request coordinates this group. Groups for which it doesn't are
    /// answered `NOT_COORDINATOR` one by one, and are not listed.
    pub coordinates: &'a dyn Fn(&str) -> bool,
    /// Whether this partition of this topic exists. Commits to one that doesn't are answered
    /// `UNKNOWN_TOPIC_OR_PARTITION`, as Kafka's request handler does.
    pub partition_exists: &'a dyn Fn(&str, i32) -> bool,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Surroundings").finish_non_exhaustive()
    }
}
