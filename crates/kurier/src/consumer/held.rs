//! One partition while this instance holds it: its queue, its lane, and what the lane has room for.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::context::Callbacks;
use super::lanes::{Order, Orders};
use super::vitals::InHand;
use crate::commit::{Epoch, Tracker};
use crate::health::{Hand, Reading};
use crate::metrics::HeldFigures;
use crate::sys::{Looked, PartitionFeed};
use crate::{Offset, Record, TopicPartition};

/// What a lane may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// Messages handed to a lane at once. Small enough that a lane works while the next ones are read.
const CHUNK_MAX: usize = 128;
/// Messages read before anything is known of their size.
const FIRST_CHUNK: usize = 16;

/// A partition that is assigned to this instance.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) epoch: Epoch,
    feed: PartitionFeed<Callbacks>,
    lane: Option<mpsc::Sender<Vec<Record>>>,
    orders: Arc<Orders>,
    task: AbortHandle,
    room: Room,
    messages: usize,
    bytes: usize,
    largest: usize,
    /// The lane's task has ended and will settle nothing more.
    pub(super) ended: bool,
    /// A message can't be handled; nothing after it is read.
    pub(super) stopped: bool,
    /// Whether reading gets on.
    pub(super) reading: Reading,
    in_hand: Arc<InHand>,
    hand: Option<Hand>,
}

/// What feeding a lane came to.
#[derive(Debug)]
pub(super) enum Fed {
    /// So much was read; `more` when there may be more at once.
    Read { looked: Looked, more: bool },
    /// Reading went back behind what was delivered: the lane must begin anew with these records.
    WentBack(Vec<Record>),
}

/// The poll thread's ends of a new lane.
#[derive(Debug)]
pub(super) struct LaneEnds {
    pub(super) epoch: Epoch,
    pub(super) sender: mpsc::Sender<Vec<Record>>,
    pub(super) orders: Arc<Orders>,
    pub(super) in_hand: Arc<InHand>,
    pub(super) task: AbortHandle,
}

impl Held {
    pub(super) fn new(
        feed: PartitionFeed<Callbacks>,
        lane: LaneEnds,
        room: Room,
        now: Instant,
    ) -> Self {
        Self {
            epoch: lane.epoch,
            feed,
            lane: Some(lane.sender),
            orders: lane.orders,
            task: lane.task,
            room,
            messages: 0,
            bytes: 0,
            largest: 0,
            ended: false,
            stopped: false,
            reading: Reading::begun(now),
            in_hand: lane.in_hand,
            hand: None,
        }
    }

    /// Reads what the lane has room for and hands it over. Never waits.
    pub(super) fn feed(
        &mut self,
        partition: &TopicPartition,
        tracker: &mut Tracker,
        now: Instant,
    ) -> Fed {
        let limit = self.limit();
        let mut records = Vec::new();
        if limit == 0 {
            self.reading.gets_on(now);
            return Fed::Read { looked: Looked::default(), more: false };
        }
        records.reserve(limit.min(CHUNK_MAX));
        let looked = self.feed.take(limit, &mut records);
        if 0 < looked.messages || looked.end.is_some() {
            self.reading.gets_on(now);
        }
        self.largest = looked.largest.max(self.largest - self.largest / 8);
        let offsets = records.iter().map(|record| record.offset);
        if tracker.deliver(partition, offsets).is_err() {
            return Fed::WentBack(records);
        }
        if let Some(end) = looked.end {
            tracker.reach(partition, end);
        }
        let more = looked.taken == limit && 0 < self.limit_after(&looked);
        self.hand_over(records, &looked);
        Fed::Read { looked, more }
    }

    /// See [`PartitionFeed::unsplit`].
    #[cfg(test)]
    pub(super) fn unsplit(&self) {
        self.feed.unsplit();
    }

    /// Puts a new lane in the place of the old one, whose completions come late from now on. Gives the
    /// old one's name and task.
    pub(super) fn renew(&mut self, lane: LaneEnds) -> (Epoch, AbortHandle) {
        self.orders.give(Order::Stop);
        let old = (self.epoch, std::mem::replace(&mut self.task, lane.task));
        self.epoch = lane.epoch;
        self.lane = Some(lane.sender);
        self.orders = lane.orders;
        (self.in_hand, self.hand) = (lane.in_hand, None);
        (self.messages, self.bytes, self.ended) = (0, 0, false);
        old
    }

    /// Hands records over that were read and delivered already.
    pub(super) fn hand_over(&mut self, records: Vec<Record>, looked: &Looked) {
        if records.is_empty() {
            return;
        }
        self.messages += looked.messages;
        self.bytes += looked.bytes;
        let sent = self.lane.as_ref().map(|lane| lane.try_send(records));
        if !matches!(sent, Some(Ok(()))) {
            // A lane that ended on its own says so in a letter; what it was given stays unsettled. It
            // can't be full: it has a place for each message it may hold.
            self.lane = None;
        }
    }

    /// Gives the room of handled messages back.
    pub(super) fn release(&mut self, messages: usize, bytes: usize) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Orders the lane to finish the message in the handler's hands and to end. No more is read.
    pub(super) fn halt(&mut self) {
        self.end(Order::Stop);
    }

    /// As [`halt`](Self::halt), but what a batch has collected is handled first.
    pub(super) fn finish(&mut self) {
        self.end(Order::Finish);
    }

    /// Everything that counts was handed over: a batch need not wait for more.
    pub(super) fn hurry(&self) {
        self.orders.give(Order::Hurry);
    }

    fn end(&mut self, order: Order) {
        self.lane = None;
        self.orders.give(order);
    }

    /// True when the lane was ordered to end.
    pub(super) fn is_halted(&self) -> bool {
        self.orders.include(Order::Finish)
    }

    /// The lane's name and task, to drop the handler's future with.
    pub(super) fn task(&self) -> (Epoch, AbortHandle) {
        (self.epoch, self.task.clone())
    }

    /// What the handler has in its hands, and since when.
    pub(super) fn hand(&mut self, now: Instant) -> Option<Hand> {
        self.hand = self.in_hand.look(self.hand, now);
        self.hand
    }

    /// Messages in the lane.
    pub(super) fn waiting(&self) -> usize {
        self.messages
    }

    /// What the monitor shows of it; `position` is the first message that is not handled.
    pub(super) fn figures(
        &self,
        partition: &TopicPartition,
        position: Option<Offset>,
    ) -> HeldFigures {
        let Self { messages, bytes, stopped, .. } = *self;
        HeldFigures { partition: partition.clone(), position, messages, bytes, stopped }
    }

    fn limit(&self) -> usize {
        self.limit_after(&Looked::default())
    }

    fn limit_after(&self, looked: &Looked) -> usize {
        if self.lane.is_none() {
            return 0;
        }
        let messages = self.room.messages.saturating_sub(self.messages + looked.messages);
        let bytes = self.room.bytes.saturating_sub(self.bytes + looked.bytes);
        if bytes == 0 {
            return 0;
        }
        let by_bytes = bytes.checked_div(self.largest).map_or(FIRST_CHUNK, |fit| fit.max(1));
        messages.min(by_bytes).min(CHUNK_MAX)
    }
}
