//! Where a group without commits begins, until the group has stored it.
//!
//! A place that was looked up, as the end of a partition or what came at a time, nobody finds again: whoever looks later
//! finds a later one, and passes over what lies between. So no message is handed to a handler before its place is stored,
//! and a share that is lost before that, and comes back to this run, begins there still.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::poll::Keeper;
use crate::commit::Tracker;
use crate::{Offset, StartFrom, TopicPartition};

/// Pause before a place that the group did not store is asked for again, however far apart commits are.
const AGAIN: Duration = Duration::from_millis(200);

/// Places that were looked up and are not stored, held or not.
#[derive(Debug, Default)]
pub(super) struct Outsets {
    places: BTreeMap<TopicPartition, Offset>,
    /// When they are committed the next time; at once, if nothing is said.
    next: Option<Instant>,
}

impl Outsets {
    /// `partition` is taken in. Where the group has a position it has begun, whatever is known of it here.
    pub(super) fn taken_in(&mut self, partition: &TopicPartition, start: Option<Offset>) {
        match start {
            Some(place) => {
                self.places.insert(partition.clone(), place);
                self.next = None;
            }
            None => self.stored(partition),
        }
    }

    /// The group has a position of `partition`.
    pub(super) fn stored(&mut self, partition: &TopicPartition) {
        self.places.remove(partition);
    }

    /// `partition` begins elsewhere, for its topic is another one.
    pub(super) fn moved(&mut self, partition: &TopicPartition, start: Option<Offset>) {
        if self.places.contains_key(partition) {
            self.taken_in(partition, start);
        }
    }

    /// The place that `partition` begins at and the group does not know.
    pub(super) fn of(&self, partition: &TopicPartition) -> Option<Offset> {
        self.places.get(partition).copied()
    }

    /// Those that are to be committed now, of the partitions that are owned.
    fn due(&mut self, tracker: &Tracker, now: Instant) -> Vec<TopicPartition> {
        if self.places.is_empty() || self.next.is_some_and(|next| now < next) {
            return Vec::new();
        }
        self.next = Some(now + AGAIN);
        let is_open = |one: &&TopicPartition| tracker.committable(one).is_some();
        self.places.keys().filter(is_open).cloned().collect()
    }
}

impl Keeper {
    /// Commits where partitions begin, until the group has stored it.
    pub(super) fn commit_outsets(&mut self, now: Instant) {
        if self.committer.in_flight() {
            return;
        }
        let due = self.outsets.due(&self.tracker, now);
        if !due.is_empty() {
            let until = now + self.config.commit_deadline;
            self.committer.begin_for(&self.client, &self.tracker, &due, until);
        }
    }

    /// Notes where `partition`, which is taken in, begins. A beginning is found again, by whoever comes next.
    pub(super) fn note_outset(&mut self, partition: &TopicPartition, start: Option<Offset>) {
        if self.config.from != StartFrom::Earliest {
            self.outsets.taken_in(partition, start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PartitionId;

    #[test]
    fn a_place_is_known_and_asked_for_until_it_is_stored() {
        let partition = TopicPartition::new("orders", PartitionId(0));
        let (mut outsets, mut tracker) = (Outsets::default(), Tracker::default());
        let now = Instant::now();
        let asked =
            |outsets: &mut Outsets, tracker: &Tracker, now| !outsets.due(tracker, now).is_empty();
        outsets.taken_in(&partition, Some(Offset(100)));
        assert!(!asked(&mut outsets, &tracker, now), "nobody owns it");
        tracker.begin(partition.clone(), Some(Offset(100)));
        assert!(!asked(&mut outsets, &tracker, now), "a moment ago it was in vain");
        assert!(asked(&mut outsets, &tracker, now + AGAIN));
        assert!(!asked(&mut outsets, &tracker, now + AGAIN), "once at a time");

        tracker.end(&partition);
        assert_eq!(outsets.of(&partition), Some(Offset(100)), "lost, and known still");
        outsets.moved(&partition, Some(Offset(0)));
        assert_eq!(outsets.of(&partition), Some(Offset(0)), "a topic that was made anew");
        outsets.stored(&partition);
        assert_eq!(outsets.of(&partition), None);
        outsets.moved(&partition, Some(Offset(0)));
        assert_eq!(outsets.of(&partition), None, "the group knows it");

        outsets.taken_in(&partition, Some(Offset(7)));
        outsets.taken_in(&partition, None);
        assert_eq!(outsets.of(&partition), None, "another member has stored a position");
    }
}
