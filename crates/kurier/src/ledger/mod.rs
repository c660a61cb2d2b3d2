//! The ledger: the judge of one run. It is told what was sent, acknowledged, handled, assigned and
//! committed, and in the end what the topic holds, and says what was lost, corrupted, left unhandled,
//! committed too early or out of order.
//!
//! It owns no clock and, but for writing its evidence ([`Ledger::write_events`], [`Ledger::keep`]), does no
//! I/O: time is the [`Duration`] since the run began, passed in. The order of the calls is the order of events. What is told is in `told`,
//! one event as it is kept in `entry`, what is counted while the run goes on in `messages` and `group`;
//! everything else is decided in the end by `judge`.

mod account;
mod entry;
mod evidence;
mod group;
mod judge;
mod judgement;
mod messages;
mod names;
mod offence;
mod stall;
mod tell;
#[cfg(test)]
mod tests;
mod told;

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use entry::{Entry, MessageNo, Place};
use group::Group;
use messages::Messages;
use names::Names;
use stall::Stall;

pub use judgement::{GroupJudgement, Judgement, LogJudgement};
pub use offence::{Offence, OffenceKind};
pub use told::{FailedDelivery, Fingerprint, Instance, Seen, Vantage};

/// What happened to the messages of one run; [`judge`](Ledger::judge) says whether that is right.
///
/// Every group named at the beginning is promised every message, from the beginning of each partition
/// or from where [`begins_at`](Ledger::begins_at) says. Events of other groups are ignored.
///
/// Memory is about 350 bytes a message, 100 more for each group that handles it, and 40 for each record
/// of an audit; a message that is handled again adds 100, a note its text. Vectors may hold up to twice that while they
/// grow.
#[derive(Debug, Default)]
pub struct Ledger {
    names: Names,
    messages: Messages,
    groups: Vec<Group>,
    entries: Vec<Entry>,
    /// What was seen that is not what was sent.
    wrong: Vec<Wrong>,
    /// What each topic holds, by the last audit of it.
    audits: BTreeMap<String, Vec<Found>>,
    tally: Tally,
    acknowledging: Stall,
}

/// How many messages have which fate.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    accepted: u64,
    delivered: u64,
    failed: u64,
    under_way: u64,
}

/// A record of an audit.
#[derive(Debug, Clone, Copy)]
struct Found {
    place: Place,
    message: Option<MessageNo>,
    content: Option<Fingerprint>,
}

/// A record that was seen and is not what was sent.
#[derive(Debug, Clone, Copy)]
struct Wrong {
    /// The entry after which it was seen.
    after: usize,
    message: MessageNo,
    place: Option<Place>,
    how: How,
}

#[derive(Debug, Clone, Copy)]
enum How {
    /// Its key or value is another.
    Content,
    /// Another message is said to stand there.
    TakenBy(MessageNo),
}

impl Ledger {
    /// An empty ledger for a run that `groups` are to handle completely.
    pub fn new<G: Into<String>>(groups: impl IntoIterator<Item = G>) -> Self {
        let groups = groups.into_iter().map(|name| Group::new(name.into())).collect();
        Self { groups, ..Self::default() }
    }

    /// How many messages were accepted, delivered, and are still under way.
    pub fn counts(&self) -> (u64, u64, u64) {
        let Tally { accepted, delivered, under_way, .. } = self.tally;
        (accepted, delivered, under_way)
    }

    /// How many events it was told; each has its number, from 0.
    pub fn events(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The number of the event by which the message was intended; None for a foreign one.
    pub fn intent(&self, id: Uuid) -> Option<u64> {
        let sent = self.messages[self.messages.find(id)?].sent?;
        Some(sent.turn.index() as u64)
    }

    /// How many different messages of this run the group has handled.
    pub fn handled_by(&self, group: &str) -> u64 {
        self.groups.iter().find(|known| known.name == group).map_or(0, Group::count)
    }

    /// True when every acknowledged message was handled by every group and none is under way.
    pub fn is_complete(&self) -> bool {
        self.tally.under_way == 0 && self.groups.iter().all(|group| group.owed() == 0)
    }

    /// The judgement on everything told so far; `at` closes a stall that still lasts. Takes time in
    /// proportion to the events, and sorts the records.
    pub fn judge(&self, at: Duration) -> Judgement {
        judge::judge(self, at)
    }
}
