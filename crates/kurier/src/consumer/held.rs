//! One partition while this instance holds it: its queue, its lane, and what the lane has room for.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::context::Callbacks;
use super::lanes::{Order, Orders};
use super::unreadable::Hole;
use super::vitals::InHand;
use crate::commit::{Epoch, OutOfOrder, Tracker};
use crate::health::{Hand, Reading};
use crate::metrics::HeldFigures;
use crate::sys::{Looked, PartitionFeed, TopicId};
use crate::{ConsumerConfig, Offset, Record, TopicPartition};

/// What lanes may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// One lane, of messages that are not handled.
    pub(super) lane: Space,
    /// All lanes together.
    pub(super) all: Space,
    /// What a lane gets in any case.
    pub(super) least: Space,
    /// From the first message of a partition that is not handled to the last that was read.
    pub(super) ahead: usize,
}

/// Room in both measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl Room {
    pub(super) fn of(config: &ConsumerConfig) -> Self {
        Self {
            lane: Space { messages: config.lane_messages_max, bytes: config.lane_bytes_max },
            all: Space {
                messages: config.in_flight_messages_max,
                bytes: config.in_flight_bytes_max,
            },
            least: Space { messages: 1, bytes: 1 },
            ahead: config.ahead_messages_max,
        }
    }

    /// What each of so many lanes may hold. Equal parts, so that one which does not get on takes nothing
    /// from the others.
    pub(super) fn share(&self, lanes: usize) -> Space {
        let of = |measure: fn(&Space) -> usize| {
            let part = measure(&self.all) / lanes.max(1);
            measure(&self.lane).min(part).max(measure(&self.least))
        };
        Space { messages: of(|space| space.messages), bytes: of(|space| space.bytes) }
    }

    /// The most that one lane can be given.
    pub(super) fn places(&self) -> usize {
        self.lane.messages.max(self.least.messages)
    }
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
    messages: usize,
    bytes: usize,
    largest: usize,
    /// The lane's task has ended and will settle nothing more.
    pub(super) ended: bool,
    /// A message can't be handled; nothing after it is read.
    pub(super) stopped: bool,
    /// Whether reading gets on.
    pub(super) reading: Reading,
    /// What came last that could not be read.
    pub(super) hole: Option<Hole>,
    /// Which topic its offsets belong to, once it is known.
    pub(super) topic: Option<TopicId>,
    in_hand: Arc<InHand>,
    hand: Option<Hand>,
}

/// A lane that was let go while its handler was at work. What it does counts no more, but it may keep turns
/// that other lanes wait for.
#[derive(Debug, Clone)]
pub(super) struct Adrift {
    pub(super) epoch: Epoch,
    /// To drop the handler's future with.
    pub(super) task: AbortHandle,
    pub(super) partition: TopicPartition,
    in_hand: Arc<InHand>,
    hand: Option<Hand>,
}

impl Adrift {
    /// What its handler has in its hands, and since when.
    pub(super) fn hand(&mut self, now: Instant) -> Option<Hand> {
        self.hand = self.in_hand.look(self.hand, now);
        self.hand
    }

    /// How many calls of the handler are at work.
    pub(super) fn calls(&self) -> usize {
        self.in_hand.count()
    }
}

/// What feeding a lane came to.
#[derive(Debug)]
pub(super) enum Fed {
    /// So much was read; `more` when there may be more at once.
    Read { looked: Looked, more: bool },
    /// Reading went back behind what was delivered: the lane must begin anew with these records, which are behind
    /// those that were read before.
    WentBack(Vec<Record>),
}

/// Drops the records from `end` on; gives the offset of the first of them.
fn cut(records: &mut Vec<Record>, end: Offset, looked: &mut Looked) -> Option<Offset> {
    let kept = records.partition_point(|record| record.offset < end);
    let first = records.get(kept)?.offset;
    for record in records.drain(kept..) {
        looked.messages -= 1;
        looked.bytes -= record.size();
    }
    Some(first)
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
    pub(super) fn new(feed: PartitionFeed<Callbacks>, lane: LaneEnds, now: Instant) -> Self {
        Self {
            epoch: lane.epoch,
            feed,
            lane: Some(lane.sender),
            orders: lane.orders,
            task: lane.task,
            messages: 0,
            bytes: 0,
            largest: 0,
            ended: false,
            stopped: false,
            reading: Reading::begun(now),
            hole: None,
            topic: None,
            in_hand: lane.in_hand,
            hand: None,
        }
    }

    /// Reads what the lane has room for and hands it over, up to `end` if there is one: `space` in the lane,
    /// and `ahead` messages from the first that is not handled. Never waits.
    pub(super) fn feed(
        &mut self,
        partition: &TopicPartition,
        tracker: &mut Tracker,
        (space, ahead): (Space, usize),
        end: Option<Offset>,
        now: Instant,
    ) -> Fed {
        let ahead = ahead.saturating_sub(tracker.span(partition));
        let limit = self.limit_after(&Looked::default(), space).min(ahead);
        let mut records = Vec::new();
        let over = end.is_some_and(|end| tracker.reached(partition).is_some_and(|at| end <= at));
        if limit == 0 || over || self.is_before_a_hole() {
            self.reading.gets_on(now);
            return Fed::Read { looked: Looked::default(), more: false };
        }
        records.reserve(limit.min(CHUNK_MAX));
        let mut looked = self.feed.take(limit, &mut records);
        if 0 < looked.messages || looked.end.is_some() {
            self.reading.gets_on(now);
        }
        self.largest = looked.largest.max(self.largest - self.largest / 8);
        let beyond = end.and_then(|end| cut(&mut records, end, &mut looked));
        let offsets = records.iter().map(|record| record.offset);
        if let Err(OutOfOrder { noted }) = tracker.deliver(partition, offsets) {
            return Fed::WentBack(records.split_off(noted));
        }
        if 0 < looked.messages {
            self.hole = None;
        }
        // What was cut off is read, and yet neither handled nor to be passed.
        if let Some(reached) = beyond.or(looked.end) {
            tracker.reach(partition, reached);
        }
        let more = looked.taken == limit
            && looked.unread.is_none()
            && looked.messages < ahead
            && 0 < self.limit_after(&looked, space);
        self.hand_over(records, &looked);
        Fed::Read { looked, more }
    }

    /// True when nothing more is read: what comes next can't be.
    pub(super) fn is_before_a_hole(&self) -> bool {
        self.hole.as_ref().is_some_and(Hole::stays)
    }

    /// See [`PartitionFeed::unsplit`].
    #[cfg(test)]
    pub(super) fn unsplit(&self) {
        self.feed.unsplit();
    }

    /// Puts a new lane in the place of the old one, whose completions come late from now on. Gives what is
    /// left of the old one.
    pub(super) fn renew(&mut self, partition: &TopicPartition, lane: LaneEnds) -> Adrift {
        self.orders.give(Order::Stop);
        let old = self.adrift(partition);
        (self.epoch, self.task) = (lane.epoch, lane.task);
        self.lane = Some(lane.sender);
        self.orders = lane.orders;
        (self.in_hand, self.hand) = (lane.in_hand, None);
        (self.messages, self.bytes, self.ended, self.hole) = (0, 0, false, None);
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

    /// What is left of the lane once it is let go.
    pub(super) fn adrift(&self, partition: &TopicPartition) -> Adrift {
        Adrift {
            epoch: self.epoch,
            task: self.task.clone(),
            partition: partition.clone(),
            in_hand: Arc::clone(&self.in_hand),
            hand: self.hand,
        }
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

    fn limit_after(&self, looked: &Looked, space: Space) -> usize {
        if self.lane.is_none() {
            return 0;
        }
        let messages = space.messages.saturating_sub(self.messages + looked.messages);
        let bytes = space.bytes.saturating_sub(self.bytes + looked.bytes);
        if bytes == 0 {
            return 0;
        }
        let by_bytes = bytes.checked_div(self.largest).map_or(FIRST_CHUNK, |fit| fit.max(1));
        messages.min(by_bytes).min(CHUNK_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_get_equal_parts_of_the_room_within_their_own_and_something_in_any_case() {
        let space = |messages, bytes| Space { messages, bytes };
        let room = Room {
            lane: space(1_000, 4_000),
            all: space(10_000, 8_000),
            least: space(20, 1),
            ahead: 0,
        };
        let table = [(0, 1_000, 4_000), (1, 1_000, 4_000), (2, 1_000, 4_000), (20, 500, 400)];
        for (lanes, messages, bytes) in table {
            assert_eq!(room.share(lanes), space(messages, bytes), "{lanes} lanes");
        }
        assert_eq!(room.share(1_000), space(20, 8), "as little as there has to be");
        assert_eq!(room.share(100_000), space(20, 1));
    }
}
