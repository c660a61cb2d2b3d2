//! What one event may use while it changes a group: the time, the settings, and where replies go.
//!
//! Decides nothing.

use std::time::Instant;

use super::api::{Effect, GroupResponse, Ticket};
use super::member::MemberIds;
use super::settings::GroupSettings;

/// The surroundings of one event.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) settings: &'a GroupSettings,
    pub(super) ids: &'a mut MemberIds,
    pub(super) effects: &'a mut Vec<Effect>,
    /// How many more bytes all groups together may keep.
    pub(super) bytes_left: usize,
}

impl Turn<'_> {
    pub(super) fn reply(&mut self, ticket: Ticket, response: GroupResponse) {
        self.effects.push(Effect::Reply(ticket, response));
    }

    /// Whether something that weighed `before` may weigh `after`.
    pub(super) fn fits(&self, before: usize, after: usize) -> bool {
        after.saturating_sub(before) <= self.bytes_left
    }
}
