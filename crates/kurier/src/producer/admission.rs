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
    bytes_left: usize,
    messages_left: usize,
    waiting: VecDeque<(Place, usize)>,
    next: u64,
}

impl Admission {
    /// An unused budget.
    pub(super) fn new(bytes: usize, messages: usize) -> Self {
        Self { bytes_left: bytes, messages_left: messages, waiting: VecDeque::new(), next: 0 }
    }

    /// Takes `cost` bytes and one message at once, unless there is no room or others wait already.
    pub(super) fn admit(&mut self, cost: usize) -> bool {
        self.waiting.is_empty() && self.take(cost)
    }

    /// Queues up for `cost` bytes.
    pub(super) fn wait(&mut self, cost: usize) -> Place {
        let place = Place(self.next);
        self.next += 1;
        self.waiting.push_back((place, cost));
        place
    }

    /// Gives back what a message took; call [`grant`](Self::grant) until it has nothing to give.
    pub(super) fn release(&mut self, cost: usize) {
        self.bytes_left += cost;
        self.messages_left += 1;
    }

    /// Leaves the queue without having been granted anything: those behind may now have room.
    pub(super) fn leave(&mut self, place: Place) {
        // Places are in order, and the ends of the queue are where most leave.
        if let Ok(index) = self.waiting.binary_search_by_key(&place, |(place, _)| *place) {
            self.waiting.remove(index);
        }
    }

    /// The first in the queue, if there is room for it: it has what it waited for, and left the queue.
    pub(super) fn grant(&mut self) -> Option<Place> {
        let (place, cost) = *self.waiting.front()?;
        if !self.take(cost) {
            return None;
        }
        self.waiting.pop_front();
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
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (1..40_usize).prop_map(Step::Send),
            any::<usize>().prop_map(Step::Release),
            any::<usize>().prop_map(Step::Leave),
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
            let mut queue: Vec<(Place, usize)> = Vec::new();
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
                        admission.leave(queue.remove(any % queue.len()).0);
                    }
                    _ => {}
                }
                while let Some(place) = admission.grant() {
                    let (first, cost) = queue.remove(0);
                    prop_assert_eq!(place, first);
                    held.push(cost);
                }
                let bytes: usize = held.iter().sum();
                prop_assert!(bytes <= BYTES && held.len() <= MESSAGES);
                if let Some((_, cost)) = queue.first() {
                    prop_assert!(BYTES < bytes + cost || held.len() == MESSAGES);
                }
            }
        }
    }
}
