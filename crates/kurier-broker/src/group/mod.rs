//! The coordinator of classic consumer groups: membership, generations, committed offsets.
//!
//! Pure: each event is given with its time and answered with effects. It owns no socket, no clock and
//! no task, and never knows which node it speaks for: the driver says so in [`Surroundings`].
//! One coordinator serves the whole cluster, so its state outlives the death of a node, as it would
//! with a replicated offsets topic.

mod api;
mod refuse;
mod settings;

use std::time::Instant;

use kafka_protocol::error::ResponseError;

pub use api::{ClientInfo, Effect, GroupRequest, GroupResponse, Surroundings, Ticket};
pub use settings::GroupSettings;

/// All consumer groups of a cluster.
#[derive(Debug)]
pub struct GroupCoordinator {
    settings: GroupSettings,
}

impl GroupCoordinator {
    /// A coordinator without groups.
    #[must_use]
    pub fn new(settings: GroupSettings) -> Self {
        Self { settings }
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &GroupSettings {
        &self.settings
    }

    /// Takes a request. The ticket is answered among the returned effects or, for a join or sync that
    /// has to wait, among those of a later call; other tickets may be answered too.
    pub fn handle(
        &mut self,
        _now: Instant,
        ticket: Ticket,
        _client: &ClientInfo,
        request: &GroupRequest,
        _surroundings: Surroundings<'_>,
    ) -> Vec<Effect> {
        vec![Effect::Reply(ticket, request.refuse(ResponseError::CoordinatorNotAvailable))]
    }

    /// Lets time pass: to be called when [`next_deadline`](Self::next_deadline) is reached.
    pub fn tick(&mut self, _now: Instant) -> Vec<Effect> {
        Vec::new()
    }

    /// When [`tick`](Self::tick) has something to do next. After a tick it lies in the future.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// Takes back a ticket: its connection is gone and nobody reads the reply. The member stays until
    /// its session ends, as in Kafka, unless its id was never told to anyone. Other tickets may be
    /// answered. A ticket that was answered already is left alone.
    pub fn abandon(&mut self, _now: Instant, _ticket: Ticket) -> Vec<Effect> {
        Vec::new()
    }

    /// Another node coordinates this group from now on: waiting joins and syncs are answered
    /// `NOT_COORDINATOR`, sessions start anew, generation and offsets stay.
    pub fn coordinator_moved(&mut self, _now: Instant, _group: &str) -> Vec<Effect> {
        Vec::new()
    }

    /// A topic was deleted: its committed offsets go in every group.
    pub fn topic_deleted(&mut self, _topic: &str) {}
}
