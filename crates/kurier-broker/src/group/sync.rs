//! SyncGroup: the leader hands in the assignments, every member gets its own.
//!
//! Does not look into assignments, and does not decide who leads.

use std::collections::HashMap;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::api::{GroupResponse, Ticket};
use super::member::{Waiting, own_bytes};
use super::refuse::refused_sync;
use super::state::{Group, Phase};
use super::turn::Turn;

impl Group {
    /// Takes a SyncGroup whose group id is in order.
    pub(super) fn sync(&mut self, turn: &mut Turn<'_>, ticket: Ticket, request: &SyncGroupRequest) {
        if let Err(error) = self.try_sync(turn, ticket, request) {
            turn.reply(ticket, GroupResponse::Sync(refused_sync(error)));
        }
    }

    fn try_sync(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        request: &SyncGroupRequest,
    ) -> Result<(), ResponseError> {
        let at = self.member_at(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let differs = |theirs: &Option<_>, ours: &Option<_>| theirs.is_some() && theirs != ours;
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol)
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        match self.phase {
            Phase::Empty => return Err(ResponseError::UnknownMemberId),
            Phase::Preparing(_) => return Err(ResponseError::RebalanceInProgress),
            Phase::Completing | Phase::Stable => {}
        }
        let member = &mut self.members[at];
        member.dismiss(turn, ResponseError::RebalanceInProgress);
        member.sync_owed = false;
        member.waiting = Some(Waiting::Sync { ticket });
        member.touch(turn.now);
        if matches!(self.phase, Phase::Stable) {
            self.hand_out(turn);
        } else if self.is_leader(&request.member_id) {
            self.assign(turn, ticket, request);
        }
        Ok(())
    }

    /// The leader has decided: the generation is complete.
    fn assign(&mut self, turn: &mut Turn<'_>, ticket: Ticket, request: &SyncGroupRequest) {
        let given: HashMap<&str, &Bytes> =
            request.assignments.iter().map(|it| (it.member_id.as_str(), &it.assignment)).collect();
        let of = |id: &str| given.get(id).copied();
        let before: usize = self.members.iter().map(|member| member.assignment.len()).sum();
        let after: usize =
            self.members.iter().map(|member| of(&member.id).map_or(0, Bytes::len)).sum();
        if !turn.fits(before, after) {
            for member in &mut self.members {
                if member.waiting == Some(Waiting::Sync { ticket }) {
                    member.dismiss(turn, ResponseError::MessageTooLarge);
                }
            }
            self.prepare_rebalance(turn);
            return;
        }
        for member in &mut self.members {
            // A member that the leader left out gets nothing, which is an answer too.
            member.assignment = of(&member.id).map(own_bytes).unwrap_or_default();
        }
        self.phase = Phase::Stable;
        self.hand_out(turn);
    }

    /// Gives every member that waits for it its assignment.
    fn hand_out(&mut self, turn: &mut Turn<'_>) {
        for member in &mut self.members {
            let Some(Waiting::Sync { ticket }) = member.waiting else { continue };
            member.waiting = None;
            member.touch(turn.now);
            let response = SyncGroupResponse::default()
                .with_protocol_type(self.protocol_type.clone())
                .with_protocol_name(self.protocol.clone())
                .with_assignment(member.assignment.clone());
            turn.reply(ticket, GroupResponse::Sync(response));
        }
        if !self.members.iter().any(|member| member.sync_owed) {
            self.sync_until = None;
        }
    }
}
