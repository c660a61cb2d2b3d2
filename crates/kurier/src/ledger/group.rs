//! One group's progress while the run goes on: how often it handled each message, and whether
//! something waits for it. The rest is decided in the end, by `judge`.

use std::collections::HashMap;
use std::time::Duration;

use super::entry::{MessageNo, PartitionNo, Place};
use super::messages::{Fate, Messages};
use super::stall::Stall;
use crate::Offset;

#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// How often each message was handled, by number.
    times: Vec<u32>,
    /// The same for places of which nobody knows yet what stands there.
    unknown: HashMap<Place, u32>,
    /// What lies before is not the group's; 0 where nothing is said.
    begins: HashMap<PartitionNo, Offset>,
    /// Different messages of this run that it has handled.
    handled: u64,
    pub(super) foreign: u64,
    /// Delivered messages that it owes.
    owed: u64,
    /// Set with its first sign of life: before that, nothing of it can stall.
    lives: Option<Duration>,
    stall: Stall,
}

impl Group {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            times: Vec::new(),
            unknown: HashMap::new(),
            begins: HashMap::new(),
            handled: 0,
            foreign: 0,
            owed: 0,
            lives: None,
            stall: Stall::default(),
        }
    }

    /// The group does something for the first time.
    pub(super) fn lives(&mut self, at: Duration) {
        if self.lives.is_none() {
            self.lives = Some(at);
            self.watch(at);
        }
    }

    /// A message was acknowledged.
    pub(super) fn delivered(&mut self, number: MessageNo, messages: &Messages, at: Duration) {
        if self.times(number) == 0 && self.owes(number, messages) {
            self.owed += 1;
            self.watch(at);
        }
    }

    /// It handled a message.
    pub(super) fn handled(&mut self, number: MessageNo, messages: &Messages, at: Duration) {
        self.credit(number, 1, messages);
        self.stall.step(at, self.owed);
    }

    /// It handled whatever stands there.
    pub(super) fn handled_unknown(&mut self, place: Place, at: Duration) {
        *self.unknown.entry(place).or_default() += 1;
        self.stall.step(at, self.owed);
    }

    /// It is known now what stands at `place`.
    pub(super) fn learn(&mut self, place: Place, number: MessageNo, messages: &Messages) {
        if let Some(times) = self.unknown.remove(&place) {
            self.credit(number, times, messages);
        }
    }

    /// The group owes nothing before `place`.
    pub(super) fn begin(&mut self, place: Place, messages: &Messages) {
        self.begins.insert(place.partition, place.offset);
        let owed = |(number, _): &(MessageNo, _)| self.is_missing(*number, messages);
        self.owed = messages.iter().filter(owed).count() as u64;
    }

    /// How often it handled the message.
    pub(super) fn times(&self, number: MessageNo) -> u32 {
        self.times.get(number.index()).copied().unwrap_or(0)
    }

    /// True for an acknowledged message that it must handle and has not.
    pub(super) fn is_missing(&self, number: MessageNo, messages: &Messages) -> bool {
        messages[number].fate == Fate::Delivered
            && self.times(number) == 0
            && self.owes(number, messages)
    }

    /// Where it begins in a partition.
    pub(super) fn begins(&self, partition: PartitionNo) -> Offset {
        self.begins.get(&partition).copied().unwrap_or(Offset(0))
    }

    /// Different messages of this run that it has handled.
    pub(super) fn count(&self) -> u64 {
        self.handled
    }

    /// How many acknowledged messages it must handle and has not.
    pub(super) fn owed(&self) -> u64 {
        self.owed
    }

    /// Places it has handled of which nobody has said what stands there, and how often.
    pub(super) fn unknown(&self) -> impl Iterator<Item = u32> {
        self.unknown.values().copied()
    }

    pub(super) fn longest_stall(&self, at: Duration) -> Duration {
        self.stall.longest(at)
    }

    fn credit(&mut self, number: MessageNo, times: u32, messages: &Messages) {
        if self.times.len() <= number.index() {
            self.times.resize(number.index() + 1, 0);
        }
        let fate = messages[number].fate;
        if fate == Fate::Foreign {
            self.foreign += u64::from(times);
        } else if self.times[number.index()] == 0 {
            self.handled += 1;
            if fate == Fate::Delivered && self.owes(number, messages) {
                self.owed -= 1;
            }
        }
        let known = &mut self.times[number.index()];
        *known = known.saturating_add(times);
    }

    fn owes(&self, number: MessageNo, messages: &Messages) -> bool {
        let place = messages[number].acknowledged;
        place.is_none_or(|place| self.begins(place.partition) <= place.offset)
    }

    fn watch(&mut self, at: Duration) {
        if self.lives.is_some() && 0 < self.owed {
            self.stall.wait(at);
        }
    }
}
