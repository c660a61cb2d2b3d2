//! What is accepted and not yet reported: one slot for each message, the budget, and who waits.
//!
//! One lock. A message gets its slot and goes to librdkafka under it, so that the order of acceptance is
//! the order in the log. Slots are used again, so a message costs no allocation here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use uuid::Uuid;

use super::admission::{Admission, Place};
use super::delivery::{DeliveryReport, Outcome, Ticket, Unsent};
use super::error::NotAccepting;
use crate::sys::Report;

/// Which slot; librdkafka carries it as the message's opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotId(pub(super) usize);

/// What is known of a message while it is under way.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) ticket: Ticket,
    pub(super) id: Option<Uuid>,
    pub(super) topic: Arc<str>,
    pub(super) cost: usize,
}

/// The books of one producer.
#[derive(Debug)]
pub(super) struct Books {
    state: Mutex<State>,
    /// After each round of reports, for those who flush.
    pub(super) settled: Notify,
}

#[derive(Debug)]
struct State {
    admission: Admission,
    slots: Vec<Slot>,
    free: Vec<usize>,
    under_way: usize,
    next_ticket: u64,
    turns: HashMap<Place, Turn>,
    refusal: Option<NotAccepting>,
}

#[derive(Debug)]
enum Slot {
    Free,
    UnderWay {
        entry: Entry,
        listener: Listener,
    },
    /// Reported, and someone holds the delivery.
    Done(Outcome),
}

#[derive(Debug)]
enum Listener {
    /// The delivery is held and was not awaited yet.
    Held,
    Waits(Waker),
    Gone,
}

#[derive(Debug)]
enum Turn {
    Waits(Option<Waker>),
    Granted,
}

impl Books {
    /// Empty books with this budget.
    pub(super) fn new(bytes: usize, messages: usize) -> Self {
        let state = State {
            admission: Admission::new(bytes, messages),
            slots: Vec::new(),
            free: Vec::new(),
            under_way: 0,
            next_ticket: 0,
            turns: HashMap::new(),
            refusal: None,
        };
        Self { state: Mutex::new(state), settled: Notify::new() }
    }

    /// Accepts a message if there is room now and nobody waits, or if it comes with the room it waited
    /// for; `send` hands it to librdkafka under the lock. `Ok(None)`: no room.
    ///
    /// # Errors
    /// When nothing is accepted any more, or `send` fails; nothing is kept then.
    pub(super) fn accept<E: From<NotAccepting>>(
        &self,
        granted: Option<Granted<'_>>,
        entry: impl FnOnce(Ticket) -> Entry,
        cost: usize,
        send: impl FnOnce(SlotId) -> Result<(), E>,
    ) -> Result<Option<(SlotId, Ticket)>, E> {
        let mut state = self.lock();
        if let Some(refusal) = state.refusal.clone() {
            drop(state);
            return Err(refusal.into());
        }
        match granted {
            Some(granted) => granted.use_up(&mut state),
            None if state.admission.admit(cost) => {}
            None => return Ok(None),
        }
        let slot = state.take_slot();
        if let Err(error) = send(SlotId(slot)) {
            state.free.push(slot);
            state.release(cost);
            return Err(error);
        }
        let ticket = Ticket(state.next_ticket);
        state.next_ticket += 1;
        state.under_way += 1;
        state.slots[slot] = Slot::UnderWay { entry: entry(ticket), listener: Listener::Held };
        // The next in the queue comes after this one, which is in librdkafka's hands now.
        state.grant();
        Ok(Some((SlotId(slot), ticket)))
    }

    /// Waits for room; first come, first served. Dropped before it is done it gives its place up.
    pub(super) async fn turn(&self, cost: usize) -> Result<Granted<'_>, NotAccepting> {
        let place = {
            let mut state = self.lock();
            let place = state.admission.wait(cost);
            state.turns.insert(place, Turn::Waits(None));
            // What there is room for by now must not wait for the next report.
            state.grant();
            place
        };
        let granted = Granted { books: self, place };
        std::future::poll_fn(|cx| self.poll_turn(place, cx)).await?;
        Ok(granted)
    }

    /// Settles reported messages. `tell` hears of each after the lock is released.
    pub(super) fn settle(
        &self,
        reports: &[Report],
        outcome: impl Fn(Entry, &Report) -> Outcome,
        tell: Option<&dyn Fn(&DeliveryReport)>,
    ) {
        let mut wakers = Vec::new();
        let mut told = Vec::new();
        let mut state = self.lock();
        for report in reports {
            let slot = report.opaque;
            let Some(found) = state.slots.get_mut(slot) else { continue };
            let Slot::UnderWay { entry, listener } = std::mem::replace(found, Slot::Free) else {
                // librdkafka reports each message once.
                continue;
            };
            state.under_way -= 1;
            state.release(entry.cost);
            let Entry { ticket, id, .. } = entry;
            let outcome = outcome(entry, report);
            if tell.is_some() {
                told.push(DeliveryReport { ticket, id, outcome: outcome.clone() });
            }
            match listener {
                Listener::Gone => state.free.push(slot),
                Listener::Held => state.slots[slot] = Slot::Done(outcome),
                Listener::Waits(waker) => {
                    state.slots[slot] = Slot::Done(outcome);
                    wakers.push(waker);
                }
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        if let Some(tell) = tell {
            told.iter().for_each(tell);
        }
        self.settled.notify_waiters();
    }

    /// Accepts nothing more; those who wait for room are refused too.
    pub(super) fn refuse(&self, refusal: NotAccepting) {
        let mut state = self.lock();
        state.refusal.get_or_insert(refusal);
        let waiting = state.turns.values_mut().filter_map(|turn| match turn {
            Turn::Waits(waker) => waker.take(),
            Turn::Granted => None,
        });
        let waiting: Vec<Waker> = waiting.collect();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// How many accepted messages are not reported yet.
    pub(super) fn under_way(&self) -> usize {
        self.lock().under_way
    }

    /// The ticket that the next message gets.
    pub(super) fn next_ticket(&self) -> Ticket {
        Ticket(self.lock().next_ticket)
    }

    /// A slot, from `from` on, whose message has a ticket before `ticket` and is not reported yet. Slots
    /// that were passed over stay passed over: what they take later has later tickets.
    pub(super) fn open_before(&self, ticket: Ticket, from: SlotId) -> Option<SlotId> {
        let state = self.lock();
        let open =
            |slot: &Slot| matches!(slot, Slot::UnderWay { entry, .. } if entry.ticket < ticket);
        let found = state.slots.iter().skip(from.0).position(open)?;
        Some(SlotId(from.0 + found))
    }

    /// Every message that is not reported, in order of acceptance: nobody knows whether it was written.
    pub(super) fn unreported(&self) -> Vec<(SlotId, Unsent)> {
        let state = self.lock();
        let slots = state.slots.iter().enumerate();
        let mut open: Vec<_> = slots
            .filter_map(|(index, slot)| match slot {
                Slot::UnderWay { entry, .. } => {
                    let Entry { ticket, id, topic, .. } = entry.clone();
                    let unsent = Unsent { ticket, id, topic, may_have_been_written: true };
                    Some((SlotId(index), unsent))
                }
                _ => None,
            })
            .collect();
        open.sort_by_key(|(_, unsent)| unsent.ticket);
        open
    }

    /// The outcome of a slot whose delivery is awaited.
    pub(super) fn poll_slot(&self, slot: SlotId, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = self.lock();
        if let Slot::UnderWay { listener, .. } = &mut state.slots[slot.0] {
            *listener = Listener::Waits(cx.waker().clone());
            return Poll::Pending;
        }
        match std::mem::replace(&mut state.slots[slot.0], Slot::Free) {
            Slot::Done(outcome) => {
                state.free.push(slot.0);
                Poll::Ready(outcome)
            }
            Slot::Free | Slot::UnderWay { .. } => {
                unreachable!("a held slot is kept for its holder")
            }
        }
    }

    /// The delivery of this slot was dropped.
    pub(super) fn let_go(&self, slot: SlotId) {
        let mut state = self.lock();
        match &mut state.slots[slot.0] {
            Slot::UnderWay { listener, .. } => *listener = Listener::Gone,
            done => {
                *done = Slot::Free;
                state.free.push(slot.0);
            }
        }
    }

    fn poll_turn(&self, place: Place, cx: &mut Context<'_>) -> Poll<Result<(), NotAccepting>> {
        let mut state = self.lock();
        if let Some(refusal) = &state.refusal {
            return Poll::Ready(Err(refusal.clone()));
        }
        match state.turns.get_mut(&place) {
            Some(Turn::Granted) => Poll::Ready(Ok(())),
            Some(Turn::Waits(waker)) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            None => unreachable!("a place is kept until its holder leaves"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, with its room once it was waited for; given up when it is not used.
#[derive(Debug)]
pub(super) struct Granted<'a> {
    books: &'a Books,
    place: Place,
}

impl Granted<'_> {
    fn use_up(self, state: &mut State) {
        state.admission.came(self.place);
        state.turns.remove(&self.place);
        // Nothing is left to give up, and the lock that giving up takes is held.
        std::mem::forget(self);
    }
}

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        let mut state = self.books.lock();
        state.turns.remove(&self.place);
        state.admission.leave(self.place);
        state.grant();
    }
}

impl State {
    fn take_slot(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::Free);
            self.slots.len() - 1
        })
    }

    fn release(&mut self, cost: usize) {
        self.admission.release(cost);
        self.grant();
    }

    /// Wakes under the lock: a waker only schedules, and there are few.
    fn grant(&mut self) {
        while let Some(place) = self.admission.grant() {
            if let Some(turn) = self.turns.get_mut(&place)
                && let Turn::Waits(Some(waker)) = std::mem::replace(turn, Turn::Granted)
            {
                waker.wake();
            }
        }
    }
}
