//! A lane that handles many keys of its partition at once.
//!
//! It owns the tasks that messages are handled in, one for each message that is begun. Which may be begun
//! is decided by [`keys`](super::keys); how many handlers are called at once, by turns that all lanes of
//! the consumer share, first come first served. A message in a pause has no turn, so it keeps back
//! nothing but its own key.
//!
//! When one message can't be handled, the partition is stopped: what the handlers have in their hands is
//! finished, and nothing else is begun. The same goes for a partition that is taken away. When the run ends,
//! what lies before a message that was begun is handled too, for else all that was handled behind it
//! would come again.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::PollSemaphore;

use super::StoppedPartition;
use super::desk::Desk;
use super::keys::{Key, Keys};
use super::lanes::{Lane, Order};
use super::message::{End, Seat, one};
use crate::{Decoder, Handler, Offset, Record};

/// So many handled messages are reason enough to wake the thread that brings the next ones.
const RING_AFTER: usize = 128;

/// What is the same for all lanes of a consumer.
#[derive(Debug)]
pub(super) struct Crew<D, H> {
    pub(super) decoder: D,
    pub(super) handler: H,
    /// One for each handler that may be called at the same time.
    pub(super) turns: Arc<Semaphore>,
}

/// A lane's task.
pub(super) async fn key_by_key<D: Decoder, H: Handler<D::Item>>(lane: Lane, crew: Arc<Crew<D, H>>) {
    // It keeps its place in the queue for turns from one round to the next.
    let mut turns = PollSemaphore::new(Arc::clone(&crew.turns));
    let mut keyed = Keyed::new(lane, crew);
    loop {
        if keyed.catch_up().is_err() || keyed.is_over() {
            return;
        }
        keyed.tell();
        let (open, may_begin) = (!keyed.keys.is_closed(), keyed.keys.may_begin());
        if !may_begin {
            // A turn that nothing is here for is another lane's.
            turns = PollSemaphore::new(Arc::clone(&keyed.crew.turns));
        }
        let turn = poll_fn(|context| turns.poll_acquire(context));
        tokio::select! {
            biased;
            Some(ended) = keyed.tasks.join_next() => {
                if keyed.end(ended).is_err() {
                    return;
                }
            }
            records = keyed.lane.records(), if open => keyed.take_in(records),
            () = keyed.desk.orders.heard(Order::Stop), if may_begin => {}
            Some(turn) = turn, if may_begin => keyed.begin(turn),
        }
    }
}

/// A lane, its messages and their tasks.
struct Keyed<D: Decoder, H: Handler<D::Item>> {
    lane: Lane,
    keys: Keys,
    tasks: JoinSet<Ended>,
    crew: Arc<Crew<D, H>>,
    desk: Arc<Desk>,
    /// Messages whose handler was called and whose end is not known here.
    at_work: Arc<AtomicUsize>,
    /// Handled, and not settled yet: where each one was, and its size.
    done: Vec<(Offset, usize)>,
    /// Settled since the poll thread was woken last.
    unrung: usize,
}

/// How the handling of one message ended.
struct Ended {
    key: Key,
    offset: Offset,
    bytes: usize,
    end: End,
}

/// The runtime is going down, and takes the lane with it.
struct GoingDown;

impl<D: Decoder, H: Handler<D::Item>> Keyed<D, H> {
    fn new(lane: Lane, crew: Arc<Crew<D, H>>) -> Self {
        let desk = Arc::clone(lane.desk());
        let (keys, tasks, at_work) = (Keys::default(), JoinSet::new(), Arc::default());
        Self { lane, keys, tasks, crew, desk, at_work, done: Vec::new(), unrung: 0 }
    }

    /// Everything that can be done without waiting.
    fn catch_up(&mut self) -> Result<(), GoingDown> {
        while let Some(ended) = self.tasks.try_join_next() {
            self.end(ended)?;
        }
        if self.desk.ordered(Order::Stop) {
            self.keys.close();
        } else if self.desk.ordered(Order::Finish) && !self.keys.is_closed() {
            self.keys.finish();
        }
        while self.keys.may_begin() {
            let Ok(turn) = Arc::clone(&self.crew.turns).try_acquire_owned() else { break };
            self.begin(turn);
        }
        Ok(())
    }

    /// True when nothing is in anyone's hands, and nothing more will be.
    fn is_over(&self) -> bool {
        self.keys.is_closed() && self.tasks.is_empty() && !self.keys.may_begin()
    }

    fn take_in(&mut self, records: Option<Vec<Record>>) {
        match records {
            Some(records) => records.into_iter().for_each(|record| self.keys.arrive(record)),
            None => self.keys.finish(),
        }
    }

    /// Begins the next message, with a turn to call the handler.
    fn begin(&mut self, turn: OwnedSemaphorePermit) {
        let Some(record) = self.keys.begin() else { return };
        let mut seat = KeySeat {
            desk: Arc::clone(&self.desk),
            turns: Arc::clone(&self.crew.turns),
            turn: Some(turn),
            at_work: Arc::clone(&self.at_work),
            since: None,
        };
        let crew = Arc::clone(&self.crew);
        self.tasks.spawn(async move {
            let (key, offset, bytes) = (record.key.clone(), record.offset, record.size());
            let end = one(&mut seat, &crew.decoder, &crew.handler, record).await;
            seat.desk.in_hand.put_back(offset);
            Ended { key, offset, bytes, end }
        });
    }

    fn end(&mut self, ended: Result<Ended, JoinError>) -> Result<(), GoingDown> {
        let Ended { key, offset, bytes, end } = ended.map_err(|_| GoingDown)?;
        match end {
            End::Handled => {
                self.at_work.fetch_sub(1, Ordering::Relaxed);
                self.done.push((offset, bytes));
                self.keys.end(key);
            }
            End::DeadLettered => {
                self.settle();
                self.lane.settle_letter(offset, bytes);
                self.unrung += 1;
                self.keys.end(key);
            }
            End::Stop(stopped) => self.stop(stopped),
            End::Halted => {}
        }
        Ok(())
    }

    /// The partition goes no further. That is told at once: what others have in their hands may take long.
    fn stop(&mut self, stopped: StoppedPartition) {
        self.keys.close();
        self.settle();
        self.lane.tell_stopped(stopped);
    }

    fn settle(&mut self) {
        // In order, for neighbours are told together.
        self.done.sort_unstable();
        self.unrung += self.done.len();
        self.done.drain(..).for_each(|(offset, bytes)| self.lane.settle_alone(offset, bytes));
    }

    /// Tells what was handled, before a wait.
    fn tell(&mut self) {
        self.settle();
        let ring = RING_AFTER <= self.unrung || (0 < self.unrung && self.keys.waiting() == 0);
        if ring {
            self.unrung = 0;
        }
        self.lane.flush(ring);
    }
}

impl<D: Decoder, H: Handler<D::Item>> Drop for Keyed<D, H> {
    /// Before the tasks: what they have in their hands is told by the lane.
    fn drop(&mut self) {
        // Those that have ended and were not asked yet are handled too.
        while let Some(ended) = self.tasks.try_join_next() {
            if self.end(ended).is_err() {
                break;
            }
        }
        self.settle();
        self.lane.left_at_work(self.at_work.load(Ordering::Relaxed));
    }
}

/// The task of one message.
struct KeySeat {
    desk: Arc<Desk>,
    turns: Arc<Semaphore>,
    turn: Option<OwnedSemaphorePermit>,
    at_work: Arc<AtomicUsize>,
    /// When the handler was called, if anyone wants to know.
    since: Option<Instant>,
}

impl Seat for KeySeat {
    fn desk(&self) -> &Desk {
        &self.desk
    }

    fn may_begin(&self, attempt: u32) -> bool {
        // The first attempt at what was passed is what a finishing lane still owes.
        !self.desk.ordered(if attempt == 1 { Order::Stop } else { Order::Finish })
    }

    async fn turn(&mut self) {
        if self.turn.is_some() {
            return;
        }
        let turn = Arc::clone(&self.turns).acquire_owned();
        self.turn = tokio::select! {
            biased;
            () = self.desk.orders.heard(Order::Finish) => None,
            // Nobody closes it.
            turn = turn => turn.ok(),
        };
    }

    fn called(&mut self, offset: Offset, attempt: u32) {
        self.desk.in_hand.hold(offset, attempt);
        self.at_work.fetch_add(1, Ordering::Relaxed);
        self.since = self.desk.common.figures.handler().map(|_| Instant::now());
    }

    fn waits(&mut self) {}

    fn rests(&mut self) {
        self.turn = None;
    }

    fn returned(&mut self, handled: bool) {
        if !handled {
            self.at_work.fetch_sub(1, Ordering::Relaxed);
        }
        let figures = &self.desk.common.figures;
        if let (Some(histogram), Some(since)) = (figures.handler(), self.since.take()) {
            histogram.note(self.desk.worker(), since.elapsed());
        }
    }
}
