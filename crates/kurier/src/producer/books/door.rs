//! The door between the books and the client. While it is shut the client is being made again, and what
//! was accepted before goes out before anything else is accepted.

use std::sync::Arc;

use super::{Books, State};
use crate::producer::client::Client;

pub(super) enum Door {
    Open(Arc<Client>),
    /// With the last client, for questions that go beside.
    Shut(Arc<Client>),
    Gone,
}

impl Books {
    /// Accepts nothing for now: those who come wait behind those who wait already.
    pub(in crate::producer) fn shut(&self) {
        self.lock().shut();
    }

    /// Behind the shut door, another client in the place of the last.
    pub(in crate::producer) fn exchange(&self, client: &Arc<Client>) {
        let last = std::mem::replace(&mut self.lock().door, Door::Shut(Arc::clone(client)));
        // Outside the lock: it may be the last reference.
        drop(last);
    }

    /// Goes on accepting, with the client behind the door.
    pub(in crate::producer) fn open(&self) {
        let mut state = self.lock();
        state.door = match std::mem::replace(&mut state.door, Door::Gone) {
            Door::Shut(client) => Door::Open(client),
            door => door,
        };
        if let Some(place) = state.admission.granted() {
            state.let_in(place);
        }
        state.grant();
    }

    /// The client of now, if there is one.
    pub(in crate::producer) fn client(&self) -> Option<Arc<Client>> {
        match &self.lock().door {
            Door::Open(client) | Door::Shut(client) => Some(Arc::clone(client)),
            Door::Gone => None,
        }
    }

    /// Has no client any more.
    pub(in crate::producer) fn give_up_client(&self) {
        let gone = std::mem::replace(&mut self.lock().door, Door::Gone);
        // Outside the lock: it may be the last reference.
        drop(gone);
    }
}

impl State {
    pub(super) fn shut(&mut self) {
        if let Door::Open(client) = &self.door {
            self.door = Door::Shut(Arc::clone(client));
        }
    }
}
