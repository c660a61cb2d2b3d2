//! What comes and can't be read: it is fetched again, and when that does not help, its partition stops before it.
//!
//! librdkafka says that a batch can't be read, and reads on behind it, wherever it takes that to be; what comes from there may
//! be anything but the next message (2.12.1: a batch of an unknown version is passed; behind a wrong checksum
//! `rd_kafka_buf_skip_to` lands within the batch, and what it takes for an offset there may have reading reset to the
//! beginning, while it is sought elsewhere). So nothing that comes behind it is taken before it was fetched again.

use rdkafka::Offset as KafkaOffset;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;

use super::poll::Keeper;
use super::report::StoppedPartition;
use super::start::{QUESTION, answers, list_of};
use crate::sys::Unread;
use crate::{Offset, TopicPartition};

/// So often a place is sought before its partition stops. What a network breaks is whole the next time, and what a disk
/// has broken is not.
const FETCHES_MAX: u32 = 5;

/// A place that can't be read.
#[derive(Debug)]
pub(super) struct Hole {
    unread: Unread,
    fetched: u32,
}

impl Hole {
    /// The same place again, or another one.
    fn met(before: Option<Self>, unread: Unread) -> Self {
        let same = before.filter(|before| before.unread.offset == unread.offset);
        Self { unread, fetched: same.map_or(0, |before| before.fetched) + 1 }
    }

    /// True when it was fetched often enough.
    pub(super) fn stays(&self) -> bool {
        FETCHES_MAX <= self.fetched
    }
}

impl Keeper {
    /// Has what could not be read fetched again, from where reading stands.
    pub(super) fn fetch_again(&mut self, partition: &TopicPartition, unread: Unread) {
        let Some(held) = self.held.get_mut(partition) else { return };
        tracing::warn!(%partition, offset = %unread.offset, reason = %unread.reason, "a batch can't be read");
        let offset = unread.offset;
        held.hole = Some(Hole::met(held.hole.take(), unread));
        if held.is_before_a_hole() {
            return;
        }
        let sought = self.place_before(partition, offset).and_then(|place| {
            self.tracker.reach(partition, place);
            self.seek(&[(partition.clone(), place)])
        });
        if let Err(error) = sought {
            self.fail(&error, || format!("read {partition} again"));
        }
    }

    /// True when reading went back because of a hole, and is sent to its place again.
    pub(super) fn went_back_from_hole(&mut self, partition: &TopicPartition) -> bool {
        let hole = self.held.get(partition).and_then(|held| held.hole.as_ref());
        let Some(unread) = hole.map(|hole| hole.unread.clone()) else { return false };
        self.fetch_again(partition, unread);
        true
    }

    /// Where reading stands before what can't be read; it may begin amid a batch.
    fn place_before(&self, partition: &TopicPartition, unread: Offset) -> KafkaResult<Offset> {
        if let Some(reached) = self.tracker.reached(partition) {
            return Ok(reached);
        }
        self.beat();
        let asked = list_of([(partition, KafkaOffset::Invalid)])?;
        let committed = self.client.committed_offsets(asked, QUESTION)?;
        let position = answers(&committed).pop().map_or(Ok(None), |(_, position)| position);
        Ok(position?.unwrap_or(unread))
    }

    /// Stops the partitions where everything before what can't be read is handled.
    pub(super) fn stop_before_holes(&mut self) {
        let reached = self.held.iter().filter(|(partition, held)| {
            held.is_before_a_hole() && !held.stopped && self.tracker.span(partition) == 0
        });
        let stopped: Vec<_> = reached
            .filter_map(|(partition, held)| {
                let Hole { unread, fetched } = held.hole.as_ref()?;
                let offset = self.tracker.reached(partition).max(Some(unread.offset))?;
                let reason = format!("it can't be read: {}", unread.reason);
                let stopped = StoppedPartition {
                    partition: partition.clone(),
                    offset,
                    attempts: *fetched,
                    reason,
                };
                Some((held.epoch, stopped))
            })
            .collect();
        for (epoch, stopped) in stopped {
            self.lane_stopped(epoch, stopped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Offset;

    #[test]
    fn a_place_stays_unreadable_when_it_was_so_often_enough_in_a_row() {
        let unread = |offset| Unread { offset: Offset(offset), reason: String::new() };
        let mut hole = None;
        let four = [(4, false); 4];
        let seven = [(7, false), (7, false), (7, false), (7, false), (7, true), (7, true)];
        for (offset, stays) in four.into_iter().chain(seven) {
            let met = Hole::met(hole.take(), unread(offset));
            assert_eq!(met.stays(), stays, "{met:?}");
            hole = Some(met);
        }
    }
}
