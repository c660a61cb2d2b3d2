//! Each request to its group: what is checked before a group is asked, and replies that several
//! groups have a part in.
//!
//! What happens inside a group is in the files named after the requests.

use std::collections::HashSet;
use std::time::Instant;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    HeartbeatResponse, JoinGroupRequest, ListGroupsRequest, ListGroupsResponse,
    OffsetCommitRequest, OffsetFetchRequest, OffsetFetchResponse,
};

use super::api::{ClientInfo, Effect, GroupRequest, GroupResponse, Surroundings, Ticket};
use super::join::Joining;
use super::member::session_timeout;
use super::state::Group;
use super::{GroupCoordinator, commit, describe, fetch, refuse};

/// From this version on an OffsetFetch asks for several groups (KIP-709).
const MANY_FETCH_VERSION: i16 = 8;

/// What comes with every request.
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub(super) now: Instant,
    pub(super) ticket: Ticket,
    pub(super) client: &'a ClientInfo,
    pub(super) surroundings: Surroundings<'a>,
}

impl Event<'_> {
    fn coordinates(&self, group: &str) -> Result<(), ResponseError> {
        if (self.surroundings.coordinates)(group) {
            Ok(())
        } else {
            Err(ResponseError::NotCoordinator)
        }
    }

    /// The same, for requests of members. Offsets may be kept under an empty name, which old
    /// consumers that assign themselves have.
    fn serves_members_of(&self, group: &str) -> Result<(), ResponseError> {
        if group.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        self.coordinates(group)
    }
}

impl GroupCoordinator {
    pub(super) fn dispatch(
        &mut self,
        event: &Event<'_>,
        request: &GroupRequest,
        effects: &mut Vec<Effect>,
    ) {
        let answer = match request {
            GroupRequest::Join(join, version) => self.join(event, join, *version, effects),
            GroupRequest::Sync(sync, _) => event.serves_members_of(&sync.group_id).and_then(|()| {
                self.visit(event.now, &sync.group_id, effects, |group, turn| {
                    group.sync(turn, event.ticket, sync);
                })
                .map(|()| None)
                .ok_or(ResponseError::UnknownMemberId)
            }),
            GroupRequest::Heartbeat(heartbeat, _) => {
                event.serves_members_of(&heartbeat.group_id).and_then(|()| {
                    self.visit(event.now, &heartbeat.group_id, effects, |group, turn| {
                        group.heartbeat(turn, heartbeat)
                    })
                    .unwrap_or(Err(ResponseError::UnknownMemberId))
                    .map(|()| Some(GroupResponse::Heartbeat(HeartbeatResponse::default())))
                })
            }
            GroupRequest::Leave(leave, version) => {
                event.serves_members_of(&leave.group_id).and_then(|()| {
                    self.visit(event.now, &leave.group_id, effects, |group, turn| {
                        group.leave(turn, leave, *version)
                    })
                    .map(|response| Some(GroupResponse::Leave(response)))
                    .ok_or(ResponseError::UnknownMemberId)
                })
            }
            GroupRequest::OffsetCommit(request, _) => {
                self.commit(event, request, effects).map(Some)
            }
            GroupRequest::OffsetFetch(request, version) => {
                self.fetch(event, request, *version).map(Some)
            }
            GroupRequest::Describe(request, version) => {
                Ok(Some(self.describe(event, request, *version)))
            }
            GroupRequest::List(request, _) => Ok(Some(self.list(event, request))),
            GroupRequest::DeleteGroups(request, _) => Ok(Some(self.delete_groups(event, request))),
            GroupRequest::OffsetDelete(request, _) => {
                event.coordinates(&request.group_id).and_then(|()| {
                    self.visit(event.now, &request.group_id, effects, |group, _| {
                        group.delete_offsets(request, event.surroundings)
                    })
                    .unwrap_or(Err(ResponseError::GroupIdNotFound))
                    .map(|response| Some(GroupResponse::OffsetDelete(response)))
                })
            }
        };
        match answer {
            Ok(Some(response)) => effects.push(Effect::Reply(event.ticket, response)),
            Ok(None) => self.park(event.ticket, request, effects),
            Err(error) => effects.push(Effect::Reply(event.ticket, request.refuse(error))),
        }
    }

    /// Notes where a request waits, if it was not answered already.
    fn park(&mut self, ticket: Ticket, request: &GroupRequest, effects: &[Effect]) {
        let group = match request {
            GroupRequest::Join(request, _) => &request.group_id,
            GroupRequest::Sync(request, _) => &request.group_id,
            _ => return,
        };
        let answered = effects.iter().any(|Effect::Reply(answered, _)| *answered == ticket);
        if !answered && let Some((name, _)) = self.groups.get_key_value(group.as_str()) {
            self.parked.insert(ticket, name.clone());
        }
    }

    fn join(
        &mut self,
        event: &Event<'_>,
        request: &JoinGroupRequest,
        version: i16,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<GroupResponse>, ResponseError> {
        event.serves_members_of(&request.group_id)?;
        let allowed = self.settings.session_timeout_min..=self.settings.session_timeout_max;
        if !session_timeout(request).is_some_and(|session| allowed.contains(&session)) {
            return Err(ResponseError::InvalidSessionTimeout);
        }
        if request.member_id.is_empty() && !self.ensure(event.now, &request.group_id) {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        let joining = Joining { ticket: event.ticket, client: event.client, request, version };
        self.visit(event.now, &request.group_id, effects, |group, turn| group.join(turn, &joining))
            .map(|()| None)
            .ok_or(ResponseError::UnknownMemberId)
    }

    fn commit(
        &mut self,
        event: &Event<'_>,
        request: &OffsetCommitRequest,
        effects: &mut Vec<Effect>,
    ) -> Result<GroupResponse, ResponseError> {
        event.coordinates(&request.group_id)?;
        let simple = request.generation_id_or_member_epoch < 0;
        let error = if simple && !self.ensure(event.now, &request.group_id) {
            ResponseError::InvalidCommitOffsetSize
        } else {
            // Such a generation cannot be one of a group that is not there.
            ResponseError::IllegalGeneration
        };
        let response = self
            .visit(event.now, &request.group_id, effects, |group, turn| {
                group.commit(turn, request, event.surroundings)
            })
            .unwrap_or_else(|| commit::commit_response(request, |_, _| Err(error)));
        Ok(GroupResponse::OffsetCommit(response))
    }

    fn fetch(
        &self,
        event: &Event<'_>,
        request: &OffsetFetchRequest,
        version: i16,
    ) -> Result<GroupResponse, ResponseError> {
        if version < MANY_FETCH_VERSION {
            event.coordinates(&request.group_id)?;
            let response = fetch::fetch_one(self.group(&request.group_id), request);
            return Ok(GroupResponse::OffsetFetch(response));
        }
        // What a group holds is told once, or a small request would make a reply of any size.
        let mut told = HashSet::new();
        let asked = request.groups.iter();
        let asked = asked.filter(|asked| asked.topics.is_some() || told.insert(&asked.group_id));
        let groups = asked.map(|asked| match event.coordinates(&asked.group_id) {
            Ok(()) => fetch::fetch_of_many(self.group(&asked.group_id), asked),
            Err(error) => fetch::refuse_one_of_many(asked, error),
        });
        let response = OffsetFetchResponse::default().with_groups(groups.collect());
        Ok(GroupResponse::OffsetFetch(response))
    }

    fn describe(
        &self,
        event: &Event<'_>,
        request: &DescribeGroupsRequest,
        version: i16,
    ) -> GroupResponse {
        let mut told = HashSet::new();
        let asked = request.groups.iter().filter(|id| told.insert(*id));
        let groups = asked.map(|id| {
            let described = match (event.coordinates(id), self.group(id)) {
                (Err(error), _) => refuse::undescribed(id.0.clone(), Some(error)),
                (Ok(()), None) => describe::describe_unknown(id.0.clone(), version),
                (Ok(()), Some(group)) => group.describe(),
            };
            describe::with_operations(described, request.include_authorized_operations, version)
        });
        let response = DescribeGroupsResponse::default().with_groups(groups.collect());
        GroupResponse::Describe(response)
    }

    fn list(&self, event: &Event<'_>, request: &ListGroupsRequest) -> GroupResponse {
        let groups = self.groups.iter().filter(|(name, _)| event.coordinates(name).is_ok());
        let groups = groups.filter_map(|(_, entry)| entry.group.list(request));
        GroupResponse::List(ListGroupsResponse::default().with_groups(groups.collect()))
    }

    fn delete_groups(&mut self, event: &Event<'_>, request: &DeleteGroupsRequest) -> GroupResponse {
        let results = request.groups_names.iter().map(|id| {
            let error = self.delete_group(event, id).err();
            DeletableGroupResult::default()
                .with_group_id(id.clone())
                .with_error_code(error.map_or(0, |error| error.code()))
        });
        let response = DeleteGroupsResponse::default().with_results(results.collect());
        GroupResponse::DeleteGroups(response)
    }

    fn delete_group(&mut self, event: &Event<'_>, id: &str) -> Result<(), ResponseError> {
        event.coordinates(id)?;
        let group = self.group(id).ok_or(ResponseError::GroupIdNotFound)?;
        if !group.is_empty() {
            return Err(ResponseError::NonEmptyGroup);
        }
        self.remove(id);
        Ok(())
    }

    fn group(&self, id: &str) -> Option<&Group> {
        self.groups.get(id).map(|entry| &entry.group)
    }
}
