//! From generation to generation: when a rebalance begins, whom it waits for, how it ends, and who is
//! removed by the passing of time.
//!
//! Does not read requests; those call in here when they changed who is a member.

use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::JoinGroupResponse;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::protocol::StrBytes;

use super::api::{GroupResponse, Ticket};
use super::member::{Member, Waiting};
use super::state::{Gathering, Group, Phase, Window};
use super::turn::Turn;

/// How long a rebalance that nobody joined waits at least before it looks again.
const POSTPONE_MIN: Duration = Duration::from_secs(1);

impl Group {
    /// Members came or changed: a new generation is needed, or the one in the making has news.
    pub(super) fn members_changed(&mut self, turn: &mut Turn<'_>) {
        match self.phase {
            Phase::Preparing(_) => self.complete_if_gathered(turn),
            Phase::Empty | Phase::Completing | Phase::Stable => self.prepare_rebalance(turn),
        }
    }

    /// Members went: the same, unless the group has none anyway.
    pub(super) fn members_went(&mut self, turn: &mut Turn<'_>) {
        if !self.is_empty() {
            self.members_changed(turn);
        }
    }

    pub(super) fn prepare_rebalance(&mut self, turn: &mut Turn<'_>) {
        for member in &mut self.members {
            if matches!(member.waiting, Some(Waiting::Sync { .. })) {
                member.dismiss(turn, ResponseError::RebalanceInProgress);
                member.touch(turn.now);
            }
            member.sync_owed = false;
        }
        self.sync_until = None;
        let until = turn.now + self.rebalance_timeout();
        let window = self.is_empty().then(|| Window {
            ends: (turn.now + turn.settings.initial_rebalance_delay).min(until),
            grew: false,
        });
        self.phase = Phase::Preparing(Gathering { until, window, due: until });
        self.complete_if_gathered(turn);
    }

    /// Ends the wait for joins when there is nobody left to wait for, or no time.
    pub(super) fn complete_if_gathered(&mut self, turn: &mut Turn<'_>) {
        let all_joined = self.members.iter().all(|member| member.joined);
        let none_pending = self.pending.is_empty();
        let Phase::Preparing(gathering) = &mut self.phase else { return };
        if self.members.is_empty() {
            self.become_empty(turn.now);
            return;
        }
        gathering.due = match &mut gathering.window {
            None if all_joined && none_pending => turn.now,
            None => gathering.until,
            Some(window) => {
                window.extend(turn.now, turn.settings.initial_rebalance_delay, gathering.until);
                if turn.now < window.ends || none_pending {
                    window.ends
                } else {
                    (window.ends + turn.settings.pending_member_grace).min(gathering.until)
                }
            }
        };
        if gathering.due <= turn.now {
            self.complete(turn);
        }
    }

    fn complete(&mut self, turn: &mut Turn<'_>) {
        // A static member that is down is expected back under its instance id.
        self.remove_where(turn, |member| !member.joined && !member.is_static());
        if self.members.is_empty() {
            self.become_empty(turn.now);
            return;
        }
        if !self.elect() {
            let until = turn.now + self.rebalance_timeout().max(POSTPONE_MIN);
            self.phase = Phase::Preparing(Gathering { until, window: None, due: until });
            return;
        }
        self.generation = next_generation(self.generation);
        self.protocol = self.select_protocol();
        self.phase = Phase::Completing;
        self.sync_until = Some(turn.now + self.rebalance_timeout());
        for at in 0..self.members.len() {
            if let Some(Waiting::Join { ticket, version }) = self.members[at].waiting {
                self.answer_join(turn, at, ticket, version, self.is_leader(&self.members[at].id));
            }
            let member = &mut self.members[at];
            member.sync_owed = member.joined;
            member.new &= !member.joined;
            member.joined = false;
        }
    }

    /// Tells a member the current generation, and the leader of the members in it.
    pub(super) fn answer_join(
        &mut self,
        turn: &mut Turn<'_>,
        at: usize,
        ticket: Ticket,
        version: i16,
        with_members: bool,
    ) {
        let members = if with_members { self.roll() } else { Vec::new() };
        let response = self.joined_response(at, version).with_members(members);
        let member = &mut self.members[at];
        member.waiting = None;
        member.new = false;
        member.id_known = true;
        member.touch(turn.now);
        turn.reply(ticket, GroupResponse::Join(response));
    }

    /// The current generation as a member is told it, without the other members.
    pub(super) fn joined_response(&self, at: usize, version: i16) -> JoinGroupResponse {
        let protocol_type = if version >= 7 { self.protocol_type.clone() } else { None };
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_protocol_type(protocol_type)
            .with_protocol_name(Some(self.protocol.clone().unwrap_or_default()))
            .with_leader(self.leader.clone().unwrap_or_default())
            .with_member_id(self.members[at].id.clone())
    }

    /// All members with what they tell the leader.
    pub(super) fn roll(&self) -> Vec<JoinGroupResponseMember> {
        let protocol: &str = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.iter().map(|member| {
            JoinGroupResponseMember::default()
                .with_member_id(member.id.clone())
                .with_group_instance_id(member.instance.clone())
                .with_metadata(member.metadata(protocol))
        });
        members.collect()
    }

    /// Makes sure that the leader is one who joined, if anybody did. One that still has its
    /// connection is better than one whose reply nobody reads.
    fn elect(&mut self) -> bool {
        let ready = |member: &&Member| member.joined && member.waiting.is_some();
        let leader = self.members.iter().find(|member| self.is_leader(&member.id));
        let chosen = leader
            .filter(ready)
            .or_else(|| self.members.iter().find(ready))
            .or_else(|| self.members.iter().find(|member| member.joined));
        let chosen = chosen.map(|member| member.id.clone());
        let elected = chosen.is_some();
        if elected {
            self.leader = chosen;
        }
        elected
    }

    fn become_empty(&mut self, now: Instant) {
        self.phase = Phase::Empty;
        self.generation = next_generation(self.generation);
        self.protocol = None;
        self.leader = None;
        self.sync_until = None;
        self.empty_since = Some(now);
    }

    /// Removes members and tells them so if they wait. Tells whether there were any.
    pub(super) fn remove_where(
        &mut self,
        turn: &mut Turn<'_>,
        gone: impl Fn(&Member) -> bool,
    ) -> bool {
        let before = self.members.len();
        self.members.retain_mut(|member| {
            let gone = gone(member);
            if gone {
                member.dismiss(turn, ResponseError::UnknownMemberId);
            }
            !gone
        });
        let leads = |leader: &StrBytes| self.members.iter().any(|member| member.id == *leader);
        if !self.leader.as_ref().is_some_and(leads) {
            self.leader = self.members.first().map(|member| member.id.clone());
        }
        self.members.len() < before
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        self.pending.retain(|pending| pending.until > now);
        let mut gone =
            self.remove_where(turn, |member| member.session_ends().is_some_and(|at| at <= now));
        if self.sync_until.is_some_and(|at| at <= now) {
            self.sync_until = None;
            gone |= self.remove_where(turn, |member| member.sync_owed);
        }
        if gone {
            self.members_went(turn);
        } else {
            self.complete_if_gathered(turn);
        }
    }

    /// The connection of a waiting request is gone. A member that can come back keeps its place in
    /// the generation being prepared, as in Kafka, which does not look at connections.
    pub(super) fn abandon(&mut self, turn: &mut Turn<'_>, ticket: Ticket) {
        let waits = |member: &Member| member.waiting.is_some_and(|it| it.ticket() == ticket);
        let Some(at) = self.members.iter().position(waits) else { return };
        let member = &mut self.members[at];
        member.sync_owed |= matches!(member.waiting, Some(Waiting::Sync { .. }));
        member.waiting = None;
        if member.id_known || member.is_static() {
            member.touch(turn.now);
            return;
        }
        let id = member.id.clone();
        self.remove_where(turn, |member| member.id == id);
        self.members_went(turn);
    }

    /// Another node speaks for this group now: nobody waits any more, every session starts anew.
    pub(super) fn move_away(&mut self, turn: &mut Turn<'_>) {
        for member in &mut self.members {
            member.dismiss(turn, ResponseError::NotCoordinator);
            member.joined = false;
            member.touch(turn.now);
        }
        for pending in &mut self.pending {
            pending.until = turn.now + pending.session;
        }
        self.members.retain(|member| member.id_known || member.is_static());
        self.remove_where(turn, |_| false);
        if self.sync_until.is_some() {
            self.sync_until = Some(turn.now + self.rebalance_timeout());
        }
        if matches!(self.phase, Phase::Preparing(_)) {
            let until = turn.now + self.rebalance_timeout();
            self.phase = Phase::Preparing(Gathering { until, window: None, due: until });
            self.complete_if_gathered(turn);
        }
    }
}

impl Window {
    /// Once more the delay if somebody joined during the last one, but never past the end.
    fn extend(&mut self, now: Instant, delay: Duration, end: Instant) {
        while self.grew && self.ends <= now && self.ends < end {
            self.grew = false;
            self.ends = (self.ends + delay).min(end);
        }
    }
}

/// Generations are positive; after two thousand million the numbers start again.
fn next_generation(generation: i32) -> i32 {
    generation.checked_add(1).unwrap_or(1)
}
