//! DescribeGroups and ListGroups: what operators see of a group.
//!
//! Changes nothing.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ListGroupsRequest;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::protocol::StrBytes;

use super::refuse::undescribed;
use super::state::{Group, Phase};

/// The type of groups that are not of the newer consumer protocol.
const CLASSIC: &str = "classic";
/// From this version on a group that does not exist is an error, not a dead group (KIP-1043).
const UNKNOWN_IS_ERROR_VERSION: i16 = 6;
/// READ, DELETE and DESCRIBE as a bit field of Kafka's ACL operations: without an authorizer
/// everybody may do everything to a group.
const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8;
/// From this version on a client can ask what it may do.
const OPERATIONS_VERSION: i16 = 3;

/// What DescribeGroups says of a group that does not exist.
pub(super) fn describe_unknown(id: StrBytes, version: i16) -> DescribedGroup {
    if version < UNKNOWN_IS_ERROR_VERSION {
        return undescribed(id, None);
    }
    let message = StrBytes::from_string(format!("Group {id} not found."));
    undescribed(id, None)
        .with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(message))
}

/// Adds what the client may do, if it asked for that.
pub(super) fn with_operations(group: DescribedGroup, asked: bool, version: i16) -> DescribedGroup {
    if asked && version >= OPERATIONS_VERSION && group.error_code == 0 {
        group.with_authorized_operations(ALL_OPERATIONS)
    } else {
        group
    }
}

impl Group {
    pub(super) fn describe(&self) -> DescribedGroup {
        // Between generations members have neither a strategy nor assignments.
        let protocol = match self.phase {
            Phase::Stable => self.protocol.clone(),
            Phase::Empty | Phase::Preparing(_) | Phase::Completing => None,
        };
        let members = self.members.iter().map(|member| {
            let described = DescribedGroupMember::default()
                .with_member_id(member.id.clone())
                .with_group_instance_id(member.instance.clone())
                .with_client_id(StrBytes::from_string(member.profile.client.client_id.clone()))
                .with_client_host(StrBytes::from_string(member.profile.client.host.clone()));
            match &protocol {
                Some(protocol) => described
                    .with_member_metadata(member.metadata(protocol))
                    .with_member_assignment(member.assignment.clone()),
                None => described,
            }
        });
        DescribedGroup::default()
            .with_error_message(None)
            .with_group_id(self.id.clone().into())
            .with_group_state(StrBytes::from_static_str(self.phase.name()))
            .with_protocol_type(self.protocol_type.clone().unwrap_or_default())
            .with_members(members.collect())
            .with_protocol_data(protocol.unwrap_or_default())
    }

    /// The group's line in ListGroups, if it passes the filters. Empty filters let everything pass.
    pub(super) fn list(&self, request: &ListGroupsRequest) -> Option<ListedGroup> {
        let state = self.phase.name();
        let passes = |filter: &[StrBytes], value: &str| {
            filter.is_empty() || filter.iter().any(|it| it.eq_ignore_ascii_case(value))
        };
        if !passes(&request.states_filter, state) || !passes(&request.types_filter, CLASSIC) {
            return None;
        }
        let listed = ListedGroup::default()
            .with_group_id(self.id.clone().into())
            .with_protocol_type(self.protocol_type.clone().unwrap_or_default())
            .with_group_state(StrBytes::from_static_str(state))
            .with_group_type(StrBytes::from_static_str(CLASSIC));
        Some(listed)
    }
}
