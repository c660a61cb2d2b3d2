//! JoinGroup: who is let in, as whom, and whether it starts a rebalance.
//!
//! When a rebalance ends is decided in `rebalance.rs`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::protocol::StrBytes;

use super::api::{ClientInfo, GroupResponse, Ticket};
use super::member::{Member, Pending, Profile, own_text, session_timeout};
use super::refuse::join_error;
use super::state::{Group, Phase};
use super::turn::Turn;

/// Most strategies one member may offer: keeps the search for a common one short. Clients offer two.
const PROTOCOLS_MAX: usize = 64;
/// From this version on a dynamic member first fetches its id, so that ids of joins whose reply got
/// lost are not left in the group (KIP-394).
const ID_FIRST_VERSION: i16 = 4;
/// From this version on a returning static leader can be told to keep its assignments (KIP-814).
const SKIP_ASSIGNMENT_VERSION: i16 = 9;

/// A JoinGroup request on its way into a group.
#[derive(Debug)]
pub(super) struct Joining<'a> {
    pub(super) ticket: Ticket,
    pub(super) client: &'a ClientInfo,
    pub(super) request: &'a JoinGroupRequest,
    pub(super) version: i16,
}

impl Joining<'_> {
    fn profile(&self) -> Profile {
        Profile::of(self.client, self.request)
    }

    fn refuse(&self, turn: &mut Turn<'_>, error: ResponseError) {
        let response = join_error(self.request.member_id.clone(), self.version, error);
        turn.reply(self.ticket, GroupResponse::Join(response));
    }
}

impl Group {
    /// Takes a JoinGroup whose group id and session timeout are in order.
    pub(super) fn join(&mut self, turn: &mut Turn<'_>, joining: &Joining<'_>) {
        if let Err(error) = self.try_join(turn, joining) {
            joining.refuse(turn, error);
        }
    }

    fn try_join(
        &mut self,
        turn: &mut Turn<'_>,
        joining: &Joining<'_>,
    ) -> Result<(), ResponseError> {
        let request = joining.request;
        if request.protocols.len() > PROTOCOLS_MAX {
            return Err(ResponseError::InvalidRequest);
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let instance = request.group_instance_id.as_ref();
        if !request.member_id.is_empty() {
            if instance.is_none() && self.is_pending(&request.member_id) {
                return self.join_as_promised(turn, joining);
            }
            let at = self.member_at(&request.member_id, instance)?;
            return self.rejoin(turn, joining, at);
        }
        match instance {
            Some(instance) => match self.position_of_instance(instance) {
                Some(at) => self.replace_static(turn, joining, at),
                None => {
                    let id = turn.ids.next(instance);
                    self.join_new(turn, joining, id)
                }
            },
            None if joining.version >= ID_FIRST_VERSION => self.promise_id(turn, joining),
            None => {
                let id = turn.ids.next(&joining.client.client_id);
                self.join_new(turn, joining, id)
            }
        }
    }

    /// Tells a new member its id, with which it has to come again.
    fn promise_id(
        &mut self,
        turn: &mut Turn<'_>,
        joining: &Joining<'_>,
    ) -> Result<(), ResponseError> {
        let max = turn.settings.group_members_max;
        let id = turn.ids.next(&joining.client.client_id);
        let session = session_timeout(joining.request).unwrap_or_default();
        let pending = Pending { id: id.clone(), session, until: turn.now + session };
        let full = self.members.len() >= max || self.pending.len() >= max;
        if full || !turn.fits(0, pending.weight()) {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        self.pending.push(pending);
        let response = join_error(id, joining.version, ResponseError::MemberIdRequired);
        turn.reply(joining.ticket, GroupResponse::Join(response));
        Ok(())
    }

    fn join_as_promised(
        &mut self,
        turn: &mut Turn<'_>,
        joining: &Joining<'_>,
    ) -> Result<(), ResponseError> {
        let id = own_text(&joining.request.member_id);
        self.pending.retain(|pending| pending.id != id);
        let joined = self.join_new(turn, joining, id);
        if joined.is_err() {
            // The others need not wait for it any longer.
            self.complete_if_gathered(turn);
        }
        joined
    }

    fn join_new(
        &mut self,
        turn: &mut Turn<'_>,
        joining: &Joining<'_>,
        id: StrBytes,
    ) -> Result<(), ResponseError> {
        let request = joining.request;
        let id_known = request.member_id == id;
        let instance = request.group_instance_id.as_ref().map(own_text);
        let mut member = Member::new(id, instance, joining.profile(), turn.now);
        member.id_known = id_known;
        let full = self.members.len() >= turn.settings.group_members_max;
        if full || !turn.fits(0, member.weight()) {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        if self.members.is_empty() {
            self.protocol_type = Some(own_text(&request.protocol_type));
            self.leader = Some(member.id.clone());
        }
        member.await_join(turn, joining.ticket, joining.version);
        self.members.push(member);
        if let Phase::Preparing(gathering) = &mut self.phase
            && let Some(window) = &mut gathering.window
        {
            window.grew = true;
        }
        self.members_changed(turn);
        Ok(())
    }

    /// A member comes back under the id it has.
    fn rejoin(
        &mut self,
        turn: &mut Turn<'_>,
        joining: &Joining<'_>,
        at: usize,
    ) -> Result<(), ResponseError> {
        let leads = self.is_leader(&self.members[at].id);
        let same = self.members[at].matches(&joining.request.protocols);
        let keeps_generation = match self.phase {
            Phase::Empty => return Err(ResponseError::UnknownMemberId),
            Phase::Preparing(_) => false,
            // It did not get the reply to its join.
            Phase::Completing => same,
            // A leader that joins again has seen a change that the coordinator cannot see, such as
            // new partitions.
            Phase::Stable => same && !leads,
        };
        if keeps_generation {
            self.members[at].dismiss(turn, ResponseError::RebalanceInProgress);
            let with_members = leads && matches!(self.phase, Phase::Completing);
            self.answer_join(turn, at, joining.ticket, joining.version, with_members);
            return Ok(());
        }
        self.update(turn, joining, at)?;
        self.members[at].await_join(turn, joining.ticket, joining.version);
        self.members_changed(turn);
        Ok(())
    }

    fn update(
        &mut self,
        turn: &mut Turn<'_>,
        joining: &Joining<'_>,
        at: usize,
    ) -> Result<(), ResponseError> {
        let profile = joining.profile();
        let member = &mut self.members[at];
        if !turn.fits(member.profile.weight(), profile.weight()) {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        member.profile = profile;
        Ok(())
    }

    /// A static member's process was started again: it takes the place of its former self, which is
    /// fenced. In a stable group nobody else notices, as long as the strategy stays the same; its
    /// metadata is not compared, as it may well tell what the former process owned.
    fn replace_static(
        &mut self,
        turn: &mut Turn<'_>,
        joining: &Joining<'_>,
        at: usize,
    ) -> Result<(), ResponseError> {
        self.update(turn, joining, at)?;
        let former_leader = self.leader.clone();
        let id = turn.ids.next(self.members[at].instance.as_deref().unwrap_or_default());
        let member = &mut self.members[at];
        member.dismiss(turn, ResponseError::FencedInstanceId);
        let former = std::mem::replace(&mut member.id, id.clone());
        member.id_known = false;
        member.touch(turn.now);
        let leads = self.is_leader(&former);
        if leads {
            self.leader = Some(id);
        }
        if !matches!(self.phase, Phase::Stable) || self.select_protocol() != self.protocol {
            self.members[at].await_join(turn, joining.ticket, joining.version);
            self.members_changed(turn);
            return Ok(());
        }
        if joining.version < SKIP_ASSIGNMENT_VERSION {
            // Told who led before, a leader takes itself for a follower and asks for its assignment.
            let leader = std::mem::replace(&mut self.leader, former_leader);
            self.answer_join(turn, at, joining.ticket, joining.version, false);
            self.leader = leader;
            return Ok(());
        }
        let members = if leads { self.roll() } else { Vec::new() };
        let response = self
            .joined_response(at, joining.version)
            .with_skip_assignment(leads)
            .with_members(members);
        self.members[at].id_known = true;
        turn.reply(joining.ticket, GroupResponse::Join(response));
        Ok(())
    }
}
