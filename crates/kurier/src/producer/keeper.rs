//! The producer's side of an outbox: messages go into it, and from it, in its order, to librdkafka.
//!
//! What is accepted is on disk, and memory holds no more of it than the budget. One thread reads the
//! outbox and hands over what there is room for; whoever awaits a delivery is found by its number.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;

use super::SendError;
use super::books::{Accepted, Books, Entry as UnderWay, Granted, Refused};
use super::client::Client;
use super::delivery::{Delivery, DeliveryError, DeliveryReport, Outcome, Ticket, Whereabouts};
use super::error::NotAccepting;
use super::record::{NotTaken, Parts};
use super::worker::OnFatal;
use crate::ProducerConfig;
use crate::listener::Listener;
use crate::outbox::{Acceptance, Entry, NotStored, Outbox, Reader, Sequence};
use crate::sys::Persisted;

/// An outbox in the hands of a producer.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) outbox: Outbox,
    waiters: Mutex<HashMap<Ticket, Waiter>>,
    /// Why nothing more is taken.
    refusal: Mutex<Option<NotAccepting>>,
    presence: Mutex<Presence>,
}

/// What is known of topics: one that was there is waited for when it vanishes.
#[derive(Debug, Default)]
struct Presence {
    /// Something was delivered to them since they were away last.
    there: HashSet<Arc<str>>,
    /// Those that a message on its way out of the outbox found missing, for the thread that makes clients.
    missed: Vec<Arc<str>>,
}

#[derive(Debug)]
struct Waiter {
    topic: Arc<str>,
    state: State,
}

#[derive(Debug)]
enum State {
    Held,
    Waits(Waker),
    Done(Outcome),
}

/// Longest wait for the disk at the end.
const END: Duration = Duration::from_secs(5);

impl Keeper {
    pub(super) fn new(outbox: Outbox) -> Self {
        Self {
            outbox,
            waiters: Mutex::default(),
            refusal: Mutex::default(),
            presence: Mutex::default(),
        }
    }

    /// Stores a message at once, if there is room and nobody waits for it.
    pub(super) fn take_now(
        self: &Arc<Self>,
        parts: &Parts<'_>,
    ) -> Result<Option<Stored>, SendError> {
        let mut delivery = None;
        let taken = |sequence| delivery = Some(self.delivery(parts.topic, sequence));
        let acceptance = self.outbox.take_now(&parts.entry(&parts.all_headers()), taken);
        let acceptance = acceptance.map_err(|error| self.refused(error))?;
        Ok(acceptance.zip(delivery).map(|(acceptance, delivery)| Stored {
            acceptance,
            delivery,
            keeper: Arc::clone(self),
        }))
    }

    /// As [`take_now`](Self::take_now), waiting for room.
    pub(super) async fn take(self: &Arc<Self>, parts: &Parts<'_>) -> Result<Stored, SendError> {
        let mut delivery = None;
        let taken = |sequence| delivery = Some(self.delivery(parts.topic, sequence));
        let headers = parts.all_headers();
        let acceptance = self.outbox.take(&parts.entry(&headers), taken).await;
        let acceptance = acceptance.map_err(|error| self.refused(error))?;
        match delivery {
            Some(delivery) => Ok(Stored { acceptance, delivery, keeper: Arc::clone(self) }),
            None => unreachable!("whatever is taken has a number"),
        }
    }

    /// What a message that was not stored means to its sender.
    pub(super) fn refused(&self, error: NotStored) -> SendError {
        match error {
            NotStored::NoRoom(reason) => SendError::Outbox { reason: reason.to_string() },
            NotStored::Closed => {
                let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
                refusal.clone().unwrap_or(NotAccepting::Closed).into()
            }
        }
    }

    /// Takes nothing more.
    pub(super) fn refuse(&self, refusal: NotAccepting) {
        let mut known = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        // What it can't go on for says more than that it is closing.
        if matches!(&*known, None | Some(NotAccepting::Closed)) {
            *known = Some(refusal);
        }
        drop(known);
        self.outbox.close();
    }

    /// Waits until everything before `end` is delivered or put aside, or will not be by this producer.
    pub(super) async fn settled(&self, end: Sequence) {
        let settled = |outbox: &Outbox| outbox.undelivered_before(end) == 0 || self.gave_up();
        self.outbox.until(settled).await;
    }

    fn gave_up(&self) -> bool {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        !matches!(&*refusal, None | Some(NotAccepting::Closed))
    }

    /// Deals with what came of messages, and tells of those that have left the outbox.
    pub(super) fn settle(&self, reports: &[DeliveryReport], tell: &Listener<DeliveryReport>) {
        for report in reports {
            match &report.outcome {
                Err(error) if error.is_kept() => continue,
                Err(error) => {
                    self.outbox.reject(Sequence(report.ticket.0), error.reason.clone());
                }
                Ok(_) => {}
            }
            self.resolve(report.ticket, &report.outcome);
            tell.tell_of(report);
        }
        let delivered = reports.iter().filter(|report| report.outcome.is_ok());
        self.outbox.delivered(delivered.map(|report| Sequence(report.ticket.0)));
        self.are_there(
            reports.iter().filter_map(|report| Some(&report.outcome.as_ref().ok()?.topic)),
        );
    }

    fn are_there<'a>(&self, topics: impl Iterator<Item = &'a Arc<str>>) {
        let mut presence = self.presence();
        let mut last: Option<&Arc<str>> = None;
        for topic in topics {
            // Mostly one and the same.
            if last.is_none_or(|last| !Arc::ptr_eq(last, topic)) && !presence.there.contains(topic)
            {
                presence.there.insert(Arc::clone(topic));
            }
            last = Some(topic);
        }
    }

    /// The cluster says that there is no such topic. True when there was one, which is said once.
    pub(super) fn vanished(&self, topic: &str) -> bool {
        self.presence().there.remove(topic)
    }

    /// As [`vanished`](Self::vanished), for a message that librdkafka did not take for that.
    fn misses(&self, topic: &Arc<str>) -> bool {
        let mut presence = self.presence();
        let was_there = presence.there.remove(topic);
        if was_there {
            presence.missed.push(Arc::clone(topic));
        }
        was_there
    }

    /// Topics that were found missing since the last time.
    pub(super) fn missed(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.presence().missed)
    }

    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those who wait hear that their messages stay in the outbox.
    pub(super) fn keep_the_rest(&self) {
        let tickets: Vec<(Ticket, Arc<str>)> = {
            let waiters = self.lock();
            let open = waiters.iter().filter(|(_, one)| !matches!(one.state, State::Done(_)));
            open.map(|(ticket, waiter)| (*ticket, Arc::clone(&waiter.topic))).collect()
        };
        for (ticket, topic) in tickets {
            self.resolve(
                ticket,
                &Err(DeliveryError {
                    topic,
                    code: RDKafkaErrorCode::PurgeQueue,
                    reason: "the producer ended first; the outbox keeps it".to_owned(),
                    may_have_been_written: true,
                    whereabouts: Whereabouts::Kept,
                }),
            );
        }
    }

    /// Ends it, once nothing is handed over and reported any more.
    pub(super) fn end(&self, feeder: JoinHandle<()>) {
        self.outbox.stop_reading();
        if feeder.join().is_err() {
            tracing::error!("the thread that reads the outbox panicked");
        }
        self.outbox.end(END);
        self.keep_the_rest();
    }

    /// The outcome of a message whose delivery is awaited.
    pub(super) fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut waiters = self.lock();
        let Some(waiter) = waiters.get_mut(&ticket) else {
            unreachable!("a delivery is known until it has resolved")
        };
        match std::mem::replace(&mut waiter.state, State::Waits(cx.waker().clone())) {
            State::Done(outcome) => {
                waiters.remove(&ticket);
                Poll::Ready(outcome)
            }
            State::Held | State::Waits(_) => Poll::Pending,
        }
    }

    /// The delivery was dropped.
    pub(super) fn let_go(&self, ticket: Ticket) {
        self.lock().remove(&ticket);
    }

    fn delivery(self: &Arc<Self>, topic: &Arc<str>, Sequence(number): Sequence) -> Delivery {
        let ticket = Ticket(number);
        self.lock().insert(ticket, Waiter { topic: Arc::clone(topic), state: State::Held });
        Delivery::stored(Arc::clone(self), ticket)
    }

    fn resolve(&self, ticket: Ticket, outcome: &Outcome) {
        let mut waiters = self.lock();
        let Some(waiter) = waiters.get_mut(&ticket) else { return };
        let before = std::mem::replace(&mut waiter.state, State::Done(outcome.clone()));
        drop(waiters);
        if let State::Waits(waker) = before {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ticket, Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message that has its place in the outbox, and is safe once `acceptance` says so.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) acceptance: Acceptance,
    pub(super) delivery: Delivery,
    pub(super) keeper: Arc<Keeper>,
}

/// Hands over to librdkafka what the outbox has.
pub(super) struct Feeder {
    pub(super) keeper: Arc<Keeper>,
    pub(super) books: Arc<Books>,
    pub(super) config: ProducerConfig,
    pub(super) on_delivery: Listener<DeliveryReport>,
}

impl Feeder {
    /// Until the outbox or the books give out.
    pub(super) fn run(self) {
        let mut reader = Reader::new(&self.keeper.outbox);
        let mut topic: Arc<str> = Arc::from("");
        while let Some((sequence, body)) = reader.next() {
            let Some(entry) = Entry::read(body) else {
                self.keeper.outbox.reject(sequence, "it is not a message".to_owned());
                continue;
            };
            if *topic != *entry.topic {
                topic = Arc::from(entry.topic);
            }
            let parts = Parts::of_entry(&topic, &entry);
            match self.hand_over(Ticket(sequence.0), &parts) {
                Ok(()) => {}
                Err(SendError::NotAccepting(_)) => return,
                Err(error) => self.failed(Ticket(sequence.0), &parts, &error),
            }
        }
    }

    fn hand_over(&self, ticket: Ticket, parts: &Parts<'_>) -> Result<(), SendError> {
        let (found, max) = (parts.bytes(), self.config.message_bytes_max);
        // An earlier process may have allowed more.
        if max < found {
            return Err(SendError::TooLarge { topic: parts.topic.to_string(), found, max });
        }
        let cost = parts.cost();
        let send = |client: &Client, slot| {
            parts.hand_over(client, slot).map_err(|not_taken| match not_taken {
                // It goes to the next client, which waits for the topic as long as for one that is new.
                NotTaken::Code(RDKafkaErrorCode::UnknownTopic)
                    if self.keeper.misses(parts.topic) =>
                {
                    Refused::ClientBroke
                }
                not_taken => super::refused(parts.topic, not_taken, OnFatal::Remake),
            })
        };
        let mut granted: Option<Granted<'_>> = None;
        loop {
            let entry = |_| UnderWay {
                ticket,
                id: parts.id,
                topic: Arc::clone(parts.topic),
                cost,
                route: parts.route(),
                before: Persisted::No,
            };
            match self.books.accept(granted, entry, cost, send)? {
                Accepted::At(slot, _) => {
                    self.books.let_go(slot);
                    return Ok(());
                }
                Accepted::NotNow(place) => {
                    let place = place.unwrap_or_else(|| self.books.queue_up(cost));
                    block_on(place.turn())?;
                    granted = Some(place);
                }
            }
        }
    }

    fn failed(&self, ticket: Ticket, parts: &Parts<'_>, error: &SendError) {
        let code = match error {
            SendError::Client { code, .. } => *code,
            SendError::UnknownTopic { .. } => RDKafkaErrorCode::UnknownTopic,
            SendError::TooLarge { .. } => RDKafkaErrorCode::MessageSizeTooLarge,
            _ => RDKafkaErrorCode::Fail,
        };
        let outcome = Err(DeliveryError {
            topic: Arc::clone(parts.topic),
            code,
            reason: error.to_string(),
            may_have_been_written: false,
            whereabouts: Whereabouts::Nowhere,
        });
        let report = DeliveryReport { ticket, id: parts.id, outcome };
        self.keeper.settle(&[report], &self.on_delivery);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on a thread that has no runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(ready) => return ready,
            Poll::Pending => std::thread::park(),
        }
    }
}
