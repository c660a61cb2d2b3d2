//! What is accepted and not yet reported: one slot for each message, the budget, and who waits.
//!
//! One lock. A message gets its slot and goes to librdkafka under it, so that the order of acceptance is
//! the order in the log. Slots are used again, so a message costs no allocation here. The client is
//! behind a door: while it is shut, the client is being made again, and what is accepted before goes out
//! before anything else is accepted.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use uuid::Uuid;

use super::admission::{Admission, Place};
use super::client::Client;
use super::delivery::{DeliveryReport, Outcome, Ticket, Unsent};
use super::error::NotAccepting;
use crate::sys::{Persisted, Report};

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
    pub(super) route: Route,
    /// What its earlier attempts came to, if there were any.
    pub(super) before: Persisted,
}

/// Who chose a message's partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// The sender.
    Given,
    /// Its key, or chance.
    Chosen,
}

/// What came of offering a message.
pub(super) enum Accepted<'a> {
    At(SlotId, Ticket),
    /// There is no room, or the door is shut. A place that was waited for is still held.
    NotNow(Option<Granted<'a>>),
}

/// Why a message was not sent.
pub(super) enum Refused<E> {
    /// The client can't go on, and will be made again.
    ClientBroke,
    /// It will never be sent.
    Error(E),
}

/// The books of one producer.
pub(super) struct Books {
    state: Mutex<State>,
    /// After each round of reports, for those who flush.
    pub(super) settled: Notify,
}

struct State {
    door: Door,
    admission: Admission,
    slots: Vec<Slot>,
    free: Vec<usize>,
    under_way: usize,
    next_ticket: u64,
    turns: HashMap<Place, Turn>,
    refusal: Option<NotAccepting>,
}

enum Door {
    Open(Arc<Client>),
    /// With the last client, for questions that go beside.
    Shut(Arc<Client>),
    Gone,
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
    /// Empty books with this budget, open to `client`.
    pub(super) fn new(bytes: usize, messages: usize, client: Arc<Client>) -> Self {
        let state = State {
            door: Door::Open(client),
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
    /// for; `send` hands it to librdkafka under the lock.
    ///
    /// # Errors
    /// When nothing is accepted any more, or `send` fails; nothing is kept then.
    pub(super) fn accept<'a, E: From<NotAccepting>>(
        &'a self,
        granted: Option<Granted<'a>>,
        entry: impl FnOnce(Ticket) -> Entry,
        cost: usize,
        send: impl FnOnce(&Client, SlotId) -> Result<(), Refused<E>>,
    ) -> Result<Accepted<'a>, E> {
        let mut state = self.lock();
        if let Some(refusal) = state.refusal.clone() {
            // To give up what was granted takes the lock again.
            drop(state);
            return Err(refusal.into());
        }
        if !matches!(state.door, Door::Open(_)) {
            return Ok(Accepted::NotNow(state.back(granted)));
        }
        if granted.is_none() && !state.admission.admit(cost) {
            return Ok(Accepted::NotNow(None));
        }
        let slot = state.take_slot();
        let sent = match &state.door {
            Door::Open(client) => send(client, SlotId(slot)),
            Door::Shut(_) | Door::Gone => Err(Refused::ClientBroke),
        };
        if let Err(refused) = sent {
            state.free.push(slot);
            if matches!(refused, Refused::ClientBroke) {
                state.shut();
            }
            if granted.is_none() {
                state.release(cost);
            }
            return match refused {
                Refused::ClientBroke => Ok(Accepted::NotNow(state.back(granted))),
                Refused::Error(error) => {
                    drop(state);
                    Err(error)
                }
            };
        }
        if let Some(granted) = granted {
            granted.use_up(&mut state);
        }
        let ticket = Ticket(state.next_ticket);
        state.next_ticket += 1;
        state.under_way += 1;
        state.slots[slot] = Slot::UnderWay { entry: entry(ticket), listener: Listener::Held };
        // The next in the queue comes after this one, which is in librdkafka's hands now.
        state.grant();
        Ok(Accepted::At(SlotId(slot), ticket))
    }

    /// Queues up for room; first come, first served.
    pub(super) fn queue_up(&self, cost: usize) -> Granted<'_> {
        let mut state = self.lock();
        let place = state.admission.wait(cost);
        state.turns.insert(place, Turn::Waits(None));
        // What there is room for by now must not wait for the next report.
        state.grant();
        Granted { books: self, place }
    }

    /// Accepts nothing for now: those who come wait behind those who wait already.
    pub(super) fn shut(&self) {
        self.lock().shut();
    }

    /// Behind the shut door, another client in the place of the last.
    pub(super) fn exchange(&self, client: &Arc<Client>) {
        let last = std::mem::replace(&mut self.lock().door, Door::Shut(Arc::clone(client)));
        // Outside the lock: it may be the last reference.
        drop(last);
    }

    /// Goes on accepting, with the client behind the door.
    pub(super) fn open(&self) {
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
    pub(super) fn client(&self) -> Option<Arc<Client>> {
        match &self.lock().door {
            Door::Open(client) | Door::Shut(client) => Some(Arc::clone(client)),
            Door::Gone => None,
        }
    }

    /// Has no client any more.
    pub(super) fn give_up_client(&self) {
        let gone = std::mem::replace(&mut self.lock().door, Door::Gone);
        // Outside the lock: it may be the last reference.
        drop(gone);
    }

    /// What is known of the message in a slot, if it is under way.
    pub(super) fn entry(&self, slot: SlotId) -> Option<Entry> {
        match self.lock().slots.get(slot.0)? {
            Slot::UnderWay { entry, .. } => Some(entry.clone()),
            Slot::Free | Slot::Done(_) => None,
        }
    }

    /// Remembers what one attempt came to, of a message that goes out again.
    pub(super) fn attempted(&self, slot: SlotId, persisted: Persisted) {
        if let Some(Slot::UnderWay { entry, .. }) = self.lock().slots.get_mut(slot.0) {
            entry.before = entry.before.max(persisted);
        }
    }

    /// Settles reported messages. `tell` hears of each after the lock is released.
    pub(super) fn settle(
        &self,
        reports: &[Report],
        mut outcome: impl FnMut(Entry, &Report) -> Outcome,
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
    /// Waits for the room. Dropped before it is used it gives its place up.
    ///
    /// # Errors
    /// When nothing is accepted any more.
    pub(super) async fn turn(&self) -> Result<(), NotAccepting> {
        std::future::poll_fn(|cx| self.books.poll_turn(self.place, cx)).await
    }

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

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books").finish_non_exhaustive()
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

    fn shut(&mut self) {
        if let Door::Open(client) = &self.door {
            self.door = Door::Shut(Arc::clone(client));
        }
    }

    /// Whoever came with room finds the door shut, and keeps the room until it opens.
    fn back<'a>(&mut self, granted: Option<Granted<'a>>) -> Option<Granted<'a>> {
        if let Some(granted) = &granted {
            self.turns.insert(granted.place, Turn::Waits(None));
        }
        granted
    }

    /// Gives room to those who wait, in order. Wakes under the lock: a waker only schedules, and there
    /// are few.
    fn grant(&mut self) {
        while matches!(self.door, Door::Open(_))
            && let Some(place) = self.admission.grant()
        {
            self.let_in(place);
        }
    }

    fn let_in(&mut self, place: Place) {
        if let Some(turn) = self.turns.get_mut(&place)
            && let Turn::Waits(Some(waker)) = std::mem::replace(turn, Turn::Granted)
        {
            waker.wake();
        }
    }
}
