//! Who may send next: a budget of bytes and messages, first in first out. Pure.
//!
//! Keeps librdkafka's own queue from ever being full. It knows costs and places, not messages.

use std::collections::VecDeque;

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place(u64);

/// The budget and those who wait for a part of it.
#[derive(Debug)]
pub(super) struct Admission {
    bytes: usize,
    bytes_left: usize,
    messages_left: usize,
    waiting: VecDeque<(Place, usize)>,
    /// The first that waited has its room and has not come for it yet: nobody may overtake it.
    granted: Option<(Place, usize)>,
    next: u64,
}

impl Admission {
    /// An unused budget.
    pub(super) fn new(bytes: usize, messages: usize) -> Self {
        Self {
            bytes,
            bytes_left: bytes,
            messages_left: messages,
            waiting: VecDeque::new(),
            granted: None,
            next: 0,
        }
    }

    /// Takes `cost` bytes and one message at once, unless there is no room or others wait already.
    pub(super) fn admit(&mut self, cost: usize) -> bool {
        self.waiting.is_empty() && self.granted.is_none() && self.take(cost)
    }

    /// Queues up for `cost` bytes.
    pub(super) fn wait(&mut self, cost: usize) -> Place {
        let place = Place(self.next);
        self.next += 1;
        self.waiting.push_back((place, cost));
        place
    }

    /// Gives back what a message took. After this and the two below, [`grant`](Self::grant) may have
    /// something to give.
    pub(super) fn release(&mut self, cost: usize) {
        self.bytes_left += cost;
        self.messages_left += 1;
    }

    /// Bytes that are taken.
    pub(super) fn used(&self) -> usize {
        self.bytes - self.bytes_left
    }

    /// The one that was granted its room and has not come for it yet.
    pub(super) fn granted(&self) -> Option<Place> {
        self.granted.map(|(place, _)| place)
    }

    /// The one that was granted its room has come for it.
    pub(super) fn came(&mut self, place: Place) {
        self.granted.take_if(|(granted, _)| *granted == place);
    }

    /// Gives the place up, and the room if it was granted already.
    pub(super) fn leave(&mut self, place: Place) {
        if let Some((_, cost)) = self.granted.take_if(|(granted, _)| *granted == place) {
            self.release(cost);
        } else if let Ok(index) = self.waiting.binary_search_by_key(&place, |(place, _)| *place) {
            self.waiting.remove(index);
        }
    }

    /// The first that waits, if there is room for it and the one before it has come: it has its room.
    pub(super) fn grant(&mut self) -> Option<Place> {
        let (place, cost) = *self.waiting.front()?;
        if self.granted.is_some() || !self.take(cost) {
            return None;
        }
        self.granted = self.waiting.pop_front();
        Some(place)
    }

    fn take(&mut self, cost: usize) -> bool {
        if self.bytes_left < cost || self.messages_left == 0 {
            return false;
        }
        self.bytes_left -= cost;
        self.messages_left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Send(usize),
        Release(usize),
        Leave(usize),
        Come,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (1..40_usize).prop_map(Step::Send),
            any::<usize>().prop_map(Step::Release),
            any::<usize>().prop_map(Step::Leave),
            Just(Step::Come),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        /// Against a model that adds everything up anew at each step.
        #[test]
        fn the_budget_holds_nobody_overtakes_and_nobody_waits_without_need(steps in steps()) {
            const BYTES: usize = 100;
            const MESSAGES: usize = 6;
            let mut admission = Admission::new(BYTES, MESSAGES);
            let mut held: Vec<usize> = Vec::new();
            // In order; the first may be granted.
            let mut queue: Vec<(Place, usize)> = Vec::new();
            let mut granted = false;
            for step in steps {
                match step {
                    Step::Send(cost) if admission.admit(cost) => {
                        prop_assert!(queue.is_empty());
                        held.push(cost);
                    }
                    Step::Send(cost) => queue.push((admission.wait(cost), cost)),
                    Step::Release(any) if !held.is_empty() => {
                        admission.release(held.remove(any % held.len()));
                    }
                    Step::Leave(any) if !queue.is_empty() => {
                        let index = any % queue.len();
                        granted &= index != 0;
                        admission.leave(queue.remove(index).0);
                    }
                    Step::Come if granted => {
                        let (place, cost) = queue.remove(0);
                        admission.came(place);
                        held.push(cost);
                        granted = false;
                    }
                    _ => {}
                }
                while let Some(place) = admission.grant() {
                    prop_assert!(!granted);
                    prop_assert_eq!(place, queue[0].0);
                    granted = true;
                }
                let first = queue.first().map_or(0, |(_, cost)| *cost);
                let bytes: usize = held.iter().sum::<usize>() + if granted { first } else { 0 };
                let messages = held.len() + usize::from(granted);
                prop_assert!(bytes <= BYTES && messages <= MESSAGES);
                if !granted && !queue.is_empty() {
                    prop_assert!(BYTES < bytes + first || messages == MESSAGES);
                }
            }
        }
    }
}
