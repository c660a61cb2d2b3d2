//! What is accepted and not yet reported: one slot for each message, the budget, and who waits.
//!
//! One lock. A message gets its slot and goes to librdkafka under it, so that the order of acceptance is
//! the order in the log. Slots are used again, so a message costs no allocation here. The client is
//! behind a door: while it is shut, the client is being made again, and what is accepted before goes out
//! before anything else is accepted.

mod door;
mod slots;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use uuid::Uuid;

use super::admission::{Admission, Place};
use super::client::Client;
use super::delivery::{Outcome, Ticket};
use super::error::NotAccepting;
use crate::metrics::ProducerFigures;
use crate::sys::Persisted;
use door::Door;

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
    /// Nothing is accepted any more.
    refused: Notify,
    figures: Arc<ProducerFigures>,
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
    /// Empty books with this budget, open to `client`, that count in `figures`.
    pub(super) fn new(
        bytes: usize,
        messages: usize,
        client: Arc<Client>,
        figures: Arc<ProducerFigures>,
    ) -> Self {
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
        Self { state: Mutex::new(state), settled: Notify::new(), refused: Notify::new(), figures }
    }

    /// Accepts a message if there is room now and nobody waits, or if it comes with the room it waited
    /// for; `send` hands it to librdkafka under the lock. `entry` gets the ticket that is due, and may have
    /// a later one.
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
        let entry = entry(Ticket(state.next_ticket));
        let ticket = entry.ticket;
        state.next_ticket = ticket.0 + 1;
        state.under_way += 1;
        state.slots[slot] = Slot::UnderWay { entry, listener: Listener::Held };
        // The next in the queue comes after this one, which is in librdkafka's hands now.
        state.grant();
        state.count(&self.figures);
        Ok(Accepted::At(SlotId(slot), ticket))
    }

    /// Queues up for room; first come, first served.
    pub(super) fn queue_up(&self, cost: usize) -> Granted<'_> {
        let mut state = self.lock();
        self.figures.admission_waits.add(1);
        let place = state.admission.wait(cost);
        state.turns.insert(place, Turn::Waits(None));
        // What there is room for by now must not wait for the next report.
        state.grant();
        Granted { books: self, place }
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
        self.refused.notify_waiters();
    }

    /// Waits until nothing is accepted any more. Cancel safe.
    pub(super) async fn refusal(&self) -> NotAccepting {
        loop {
            let mut refused = std::pin::pin!(self.refused.notified());
            refused.as_mut().enable();
            if let Some(refusal) = self.lock().refusal.clone() {
                return refusal;
            }
            refused.await;
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
    fn count(&self, figures: &ProducerFigures) {
        figures.under_way(self.next_ticket, self.under_way, self.admission.used());
    }

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
