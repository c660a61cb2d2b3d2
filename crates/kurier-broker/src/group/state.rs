//! One group: its phase, generation and members, and the questions every request asks of them.
//!
//! Changes of the phase are in `rebalance.rs`; the requests have files of their own. A group that is
//! not in the coordinator's map is Dead, so that state has no value here.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::protocol::StrBytes;

use super::member::{Member, Pending};
use super::offsets::Offsets;
use super::subscription;

/// What a group costs beyond what is in it.
const GROUP_OVERHEAD: usize = 512;
/// The protocol type of consumers, whose metadata Kafka looks into.
const CONSUMER: &str = "consumer";

/// Where a group is in its life.
#[derive(Debug)]
pub(super) enum Phase {
    /// Without members, perhaps with offsets.
    Empty,
    /// Waits for members to join.
    Preparing(Gathering),
    /// Waits for the leader's assignments.
    Completing,
    /// Every member has its assignment, or can fetch it.
    Stable,
}

/// How long joins are waited for.
#[derive(Debug)]
pub(super) struct Gathering {
    /// The rebalance timeout: whoever has not joined by then is out.
    pub(super) until: Instant,
    /// In the first rebalance of an empty group: the initial delay.
    pub(super) window: Option<Window>,
    /// When it is to be looked at again.
    pub(super) due: Instant,
}

/// The initial delay of a first rebalance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) ends: Instant,
    /// Whether somebody joined since it began; then it is extended.
    pub(super) grew: bool,
}

impl Phase {
    /// The state's name in DescribeGroups and ListGroups.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing(_) => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// One consumer group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: StrBytes,
    pub(super) phase: Phase,
    pub(super) generation: i32,
    /// `consumer`, `connect`, …; none while only offsets were committed.
    pub(super) protocol_type: Option<StrBytes>,
    /// The assignment strategy of the current generation.
    pub(super) protocol: Option<StrBytes>,
    pub(super) leader: Option<StrBytes>,
    /// In the order they came.
    pub(super) members: Vec<Member>,
    pub(super) pending: Vec<Pending>,
    /// When members that owe a SyncGroup are removed.
    pub(super) sync_until: Option<Instant>,
    /// Since when there are no members, if there ever were.
    pub(super) empty_since: Option<Instant>,
    pub(super) offsets: Offsets,
}

impl Group {
    pub(super) fn new(id: StrBytes) -> Self {
        Self {
            id,
            phase: Phase::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: Vec::new(),
            pending: Vec::new(),
            sync_until: None,
            empty_since: None,
            offsets: Offsets::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self.phase, Phase::Empty)
    }

    /// Nothing would be lost with it: no members, none expected, no offsets.
    pub(super) fn is_forgettable(&self) -> bool {
        self.is_empty() && self.pending.is_empty() && self.offsets.is_empty()
    }

    /// Nothing ever came of it.
    pub(super) fn is_void(&self) -> bool {
        self.is_forgettable() && self.generation == 0
    }

    /// Bytes it keeps.
    pub(super) fn weight(&self) -> usize {
        GROUP_OVERHEAD
            + self.id.len()
            + self.members.iter().map(Member::weight).sum::<usize>()
            + self.pending.iter().map(Pending::weight).sum::<usize>()
            + self.offsets.weight()
    }

    /// When time changes something in it next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let gathering = match &self.phase {
            Phase::Preparing(gathering) => Some(gathering.due),
            Phase::Empty | Phase::Completing | Phase::Stable => None,
        };
        let members = self.members.iter().filter_map(Member::session_ends);
        let pending = self.pending.iter().map(|pending| pending.until);
        members.chain(pending).chain(gathering).chain(self.sync_until).min()
    }

    pub(super) fn position(&self, id: &str) -> Option<usize> {
        self.members.iter().position(|member| member.id.as_str() == id)
    }

    pub(super) fn position_of_instance(&self, instance: &str) -> Option<usize> {
        self.members.iter().position(|member| member.instance.as_deref() == Some(instance))
    }

    pub(super) fn is_pending(&self, id: &str) -> bool {
        self.pending.iter().any(|pending| pending.id.as_str() == id)
    }

    pub(super) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    /// The member a request speaks for. With an instance id, an id that is no longer the one of the
    /// instance is fenced: two processes run with the same instance id.
    pub(super) fn member_at(
        &self,
        id: &str,
        instance: Option<&StrBytes>,
    ) -> Result<usize, ResponseError> {
        let Some(instance) = instance else {
            return self.position(id).ok_or(ResponseError::UnknownMemberId);
        };
        let at = self.position_of_instance(instance).ok_or(ResponseError::UnknownMemberId)?;
        if self.members[at].id.as_str() == id {
            Ok(at)
        } else {
            Err(ResponseError::FencedInstanceId)
        }
    }

    /// The longest rebalance timeout of its members.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.members.iter().map(|member| member.profile.rebalance).max().unwrap_or_default()
    }

    /// Whether a member with these protocols leaves one that all members offer.
    pub(super) fn supports(&self, kind: &str, protocols: &[JoinGroupRequestProtocol]) -> bool {
        if self.is_empty() {
            return !kind.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(kind)
            && protocols.iter().any(|protocol| self.all_offer(&protocol.name))
    }

    fn all_offer(&self, protocol: &str) -> bool {
        self.members.iter().all(|member| member.offers(protocol))
    }

    /// The strategy of the next generation: of those that all members offer, the one that most of
    /// them like best; of several such, the one that was named first.
    pub(super) fn select_protocol(&self) -> Option<StrBytes> {
        let first = self.members.first()?;
        let offered = first.profile.protocols.iter().map(|protocol| &protocol.name);
        let mut votes: Vec<(&StrBytes, usize)> =
            offered.filter(|name| self.all_offer(name)).map(|name| (name, 0)).collect();
        for member in &self.members {
            let choice = member
                .profile
                .protocols
                .iter()
                .find_map(|it| votes.iter().position(|(name, _)| **name == it.name));
            if let Some(choice) = choice {
                votes[choice].1 += 1;
            }
        }
        let most = votes.iter().map(|(_, count)| *count).max()?;
        votes.iter().find(|(_, count)| *count == most).map(|(name, _)| (*name).clone())
    }

    /// Whether it is a group of consumers, which tell what they subscribe to.
    pub(super) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// The topics its members subscribe to; nothing when that can't be read, and then it must be
    /// taken for any topic.
    pub(super) fn subscribed(&self) -> Option<HashSet<String>> {
        let mut all = HashSet::new();
        for member in &self.members {
            let metadata = member.metadata(self.protocol.as_deref()?);
            all.extend(subscription::topics(&metadata)?.into_iter().map(str::to_owned));
        }
        Some(all)
    }
}
