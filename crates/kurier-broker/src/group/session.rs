//! Heartbeat and LeaveGroup: how a member stays and how it goes of its own will.
//!
//! Sessions that run out are in `rebalance.rs`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{HeartbeatRequest, LeaveGroupRequest, LeaveGroupResponse};

use super::state::{Group, Phase};
use super::turn::Turn;

/// From this version on a request can name several members that leave (KIP-345).
const MANY_LEAVE_VERSION: i16 = 3;

impl Group {
    /// Answers a Heartbeat whose group id is in order.
    pub(super) fn heartbeat(
        &mut self,
        turn: &Turn<'_>,
        request: &HeartbeatRequest,
    ) -> Result<(), ResponseError> {
        let at = self.member_at(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        self.members[at].touch(turn.now);
        match self.phase {
            Phase::Preparing(_) => Err(ResponseError::RebalanceInProgress),
            Phase::Empty | Phase::Completing | Phase::Stable => Ok(()),
        }
    }

    /// Answers a LeaveGroup whose group id is in order.
    pub(super) fn leave(
        &mut self,
        turn: &mut Turn<'_>,
        request: &LeaveGroupRequest,
        version: i16,
    ) -> LeaveGroupResponse {
        if version < MANY_LEAVE_VERSION {
            let one = MemberIdentity::default().with_member_id(request.member_id.clone());
            let before = self.members.len();
            let error = self.leave_one(turn, &one).err();
            self.after_leaving(turn, before);
            return LeaveGroupResponse::default().with_error_code(error.map_or(0, |it| it.code()));
        }
        let before = self.members.len();
        let members = request.members.iter().map(|identity| {
            let error = self.leave_one(turn, identity).err();
            MemberResponse::default()
                .with_member_id(identity.member_id.clone())
                .with_group_instance_id(identity.group_instance_id.clone())
                .with_error_code(error.map_or(0, |it| it.code()))
        });
        let members = members.collect();
        self.after_leaving(turn, before);
        LeaveGroupResponse::default().with_members(members)
    }

    fn leave_one(
        &mut self,
        turn: &mut Turn<'_>,
        identity: &MemberIdentity,
    ) -> Result<(), ResponseError> {
        let id = &identity.member_id;
        let instance = identity.group_instance_id.as_ref();
        if instance.is_none() && self.is_pending(id) {
            self.pending.retain(|pending| pending.id != *id);
            return Ok(());
        }
        let at = match instance {
            // An operator removes a static member without knowing its id.
            Some(instance) if id.is_empty() => {
                self.position_of_instance(instance).ok_or(ResponseError::UnknownMemberId)?
            }
            _ => self.member_at(id, instance)?,
        };
        let gone = self.members[at].id.clone();
        self.remove_where(turn, |member| member.id == gone);
        Ok(())
    }

    /// One rebalance for all that left together.
    fn after_leaving(&mut self, turn: &mut Turn<'_>, before: usize) {
        if self.members.len() < before {
            self.members_went(turn);
        } else {
            self.complete_if_gathered(turn);
        }
    }
}
