//! The coordinator of classic consumer groups: membership, generations, committed offsets.
//!
//! Pure: each event is given with its time and answered with effects. It owns no socket, no clock and
//! no task, and never knows which node it speaks for: the driver says so in [`Surroundings`].
//! One coordinator serves the whole cluster, so its state outlives the death of a node, as it would
//! with a replicated offsets topic.

mod api;
mod commit;
mod describe;
mod dispatch;
mod fetch;
mod join;
mod member;
mod offsets;
mod rebalance;
mod refuse;
mod session;
mod settings;
mod state;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::protocol::StrBytes;

pub use api::{ClientInfo, Effect, GroupRequest, GroupResponse, Surroundings, Ticket};
pub use commit::commit_response;
pub use settings::GroupSettings;

use member::MemberIds;
use state::Group;
use turn::Turn;

/// All consumer groups of a cluster.
#[derive(Debug)]
pub struct GroupCoordinator {
    settings: GroupSettings,
    ids: MemberIds,
    groups: BTreeMap<Arc<str>, Entry>,
    /// The next deadline of every group that has one.
    deadlines: BTreeSet<(Instant, Arc<str>)>,
    /// In which group a request waits.
    parked: HashMap<Ticket, Arc<str>>,
    /// What all groups keep together.
    bytes: usize,
    /// When expired offsets are looked for next; never while there are no groups.
    retention_check: Option<Instant>,
}

/// A group with what the coordinator has noted of it.
#[derive(Debug)]
struct Entry {
    group: Group,
    deadline: Option<Instant>,
    bytes: usize,
}

impl GroupCoordinator {
    /// A coordinator without groups.
    #[must_use]
    pub fn new(settings: GroupSettings) -> Self {
        Self {
            ids: MemberIds::new(settings.member_id_seed),
            settings,
            groups: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            parked: HashMap::new(),
            bytes: 0,
            retention_check: None,
        }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &GroupSettings {
        &self.settings
    }

    /// Takes a request. The ticket is answered among the returned effects or, for a join or sync that
    /// has to wait, among those of a later call; other tickets may be answered too.
    pub fn handle(
        &mut self,
        now: Instant,
        ticket: Ticket,
        client: &ClientInfo,
        request: &GroupRequest,
        surroundings: Surroundings<'_>,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let event = dispatch::Event { now, ticket, client, surroundings };
        self.dispatch(&event, request, &mut effects);
        effects
    }

    /// Lets time pass: to be called when [`next_deadline`](Self::next_deadline) is reached.
    pub fn tick(&mut self, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        let due: Vec<Arc<str>> = self
            .deadlines
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, name)| name.clone())
            .collect();
        for name in due {
            self.visit(now, &name, &mut effects, Group::tick);
        }
        if self.retention_check.is_some_and(|at| at <= now) {
            self.forget(now, &mut effects);
            let next = self.next_retention_check(now);
            self.retention_check = (!self.groups.is_empty()).then_some(next);
        }
        effects
    }

    /// When [`tick`](Self::tick) has something to do next. After a tick it lies in the future.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let groups = self.deadlines.first().map(|(at, _)| *at);
        groups.into_iter().chain(self.retention_check).min()
    }

    /// Takes back a ticket: its connection is gone and nobody reads the reply. The member stays until
    /// its session ends, as in Kafka, unless its id was never told to anyone. Other tickets may be
    /// answered. A ticket that was answered already is left alone.
    pub fn abandon(&mut self, now: Instant, ticket: Ticket) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(name) = self.parked.remove(&ticket) {
            self.visit(now, &name, &mut effects, |group, turn| group.abandon(turn, ticket));
        }
        effects
    }

    /// Another node coordinates this group from now on: waiting joins and syncs are answered
    /// `NOT_COORDINATOR`, sessions start anew, generation and offsets stay.
    pub fn coordinator_moved(&mut self, now: Instant, group: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.visit(now, group, &mut effects, Group::move_away);
        effects
    }

    /// The names of all groups.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(|name| &**name)
    }

    /// A topic was deleted: its committed offsets go in every group.
    pub fn topic_deleted(&mut self, topic: &str) {
        for entry in self.groups.values_mut() {
            entry.group.offsets.remove_topic(topic);
            let bytes = entry.group.weight();
            self.bytes = self.bytes - entry.bytes + bytes;
            entry.bytes = bytes;
        }
    }

    /// Lets something happen to a group, and notes what that changed. Nothing happens, and nothing is
    /// returned, when there is no such group.
    fn visit<T>(
        &mut self,
        now: Instant,
        name: &str,
        effects: &mut Vec<Effect>,
        act: impl FnOnce(&mut Group, &mut Turn<'_>) -> T,
    ) -> Option<T> {
        let (name, _) = self.groups.get_key_value(name)?;
        let name = name.clone();
        let entry = self.groups.get_mut(&name)?;
        let answered_before = effects.len();
        let mut turn = Turn {
            now,
            settings: &self.settings,
            ids: &mut self.ids,
            effects,
            bytes_left: self.settings.bytes_max.saturating_sub(self.bytes),
        };
        let outcome = act(&mut entry.group, &mut turn);
        for Effect::Reply(ticket, _) in &effects[answered_before..] {
            self.parked.remove(ticket);
        }
        let bytes = entry.group.weight();
        self.bytes = self.bytes - entry.bytes + bytes;
        entry.bytes = bytes;
        let deadline = entry.group.next_deadline();
        if deadline != entry.deadline {
            if let Some(former) = std::mem::replace(&mut entry.deadline, deadline) {
                self.deadlines.remove(&(former, name.clone()));
            }
            self.deadlines.extend(deadline.map(|at| (at, name.clone())));
        }
        if entry.group.is_void() {
            self.remove(&name);
        }
        Some(outcome)
    }

    /// Makes sure that there is such a group. Tells whether there is.
    fn ensure(&mut self, now: Instant, id: &StrBytes) -> bool {
        if self.groups.contains_key(id.as_str()) {
            return true;
        }
        let group = Group::new(member::own_text(id));
        let bytes = group.weight();
        if self.groups.len() >= self.settings.groups_max {
            // Those that only wait to be forgotten are in nobody's way.
            let idle = self.groups.iter().find(|(_, entry)| entry.group.is_forgettable());
            if let Some(name) = idle.map(|(name, _)| name.clone()) {
                self.remove(&name);
            }
        }
        if self.groups.len() >= self.settings.groups_max
            || self.bytes.saturating_add(bytes) > self.settings.bytes_max
        {
            return false;
        }
        self.bytes += bytes;
        self.groups.insert(id.as_str().into(), Entry { group, deadline: None, bytes });
        let next_check = self.next_retention_check(now);
        self.retention_check.get_or_insert(next_check);
        true
    }

    /// Always in the future, or the driver would have no rest.
    fn next_retention_check(&self, now: Instant) -> Instant {
        now + self.settings.offsets_retention_check_interval.max(Duration::from_millis(1))
    }

    fn remove(&mut self, name: &str) {
        let Some((name, entry)) = self.groups.remove_entry(name) else { return };
        self.bytes -= entry.bytes;
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(&(deadline, name));
        }
    }

    /// Forgets offsets whose time is over, and groups of which nothing is left.
    fn forget(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let retention = self.settings.offsets_retention;
        let names: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for name in names {
            let over = self.visit(now, &name, effects, |group, _| {
                group.expire_offsets(now, retention);
                group.is_forgettable()
            });
            if over == Some(true) {
                self.remove(&name);
            }
        }
    }
}
