//! Which messages are handled again, as far as this instance can know. *Pure.*
//!
//! It owns how far each partition had been handled when it was let go. Below that place every message was
//! handled here, or was the group's to skip; so whatever is handled there later is handled again. What
//! other instances have handled meanwhile is not known, and counts as new.

use std::collections::HashMap;

use super::Completion;
use crate::{Offset, TopicPartition};

/// Partitions that came and went, and the first offset of each that was not handled.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashMap<TopicPartition, Offset>);

impl Seen {
    /// `partition` is let go; everything before `position` is handled.
    pub(crate) fn reached(&mut self, partition: &TopicPartition, position: Offset) {
        let known = self.0.entry(partition.clone()).or_insert(position);
        *known = position.max(*known);
    }

    /// Messages were handled after their partition was let go. What leaves a gap says nothing of it.
    pub(crate) fn late(&mut self, completion: &Completion) {
        if let Some(known) = self.0.get_mut(&completion.partition)
            && completion.first <= *known
        {
            *known = completion.last.next().max(*known);
        }
    }

    /// The offsets of `partition` may be those of other messages from now on.
    pub(crate) fn forget(&mut self, partition: &TopicPartition) {
        self.0.remove(partition);
    }

    /// How many of the `count` messages that were handled now had been handled before.
    pub(crate) fn again(&self, completion: &Completion, count: usize) -> usize {
        let Some(known) = self.0.get(&completion.partition) else { return 0 };
        let below = known.0.saturating_sub(completion.first.0);
        // A completion has at most one message an offset.
        usize::try_from(below).map_or(0, |below| below.min(count))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tracker;
    use super::*;
    use crate::PartitionId;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition::new("orders", PartitionId(number))
    }

    fn completion(number: i32, first: i64, last: i64) -> Completion {
        let mut tracker = Tracker::default();
        let epoch = tracker.begin(partition(number), None);
        let (partition, first, last) = (partition(number), Offset(first), Offset(last));
        Completion { partition, epoch, first, last }
    }

    #[test]
    fn what_lies_below_an_earlier_turns_position_is_handled_again() {
        let mut seen = Seen::default();
        assert_eq!(seen.again(&completion(0, 0, 9), 10), 0, "nothing went before");
        seen.reached(&partition(0), Offset(10));
        for (first, last, count, again) in
            [(0, 9, 10, 10), (8, 11, 4, 2), (10, 19, 10, 0), (0, 9, 3, 3), (9, 9, 1, 1)]
        {
            assert_eq!(seen.again(&completion(0, first, last), count), again, "{first}..={last}");
        }
        assert_eq!(seen.again(&completion(1, 0, 9), 10), 0, "another partition");
        seen.reached(&partition(0), Offset(4));
        assert_eq!(seen.again(&completion(0, 0, 9), 10), 10, "the farther one counts");
        seen.forget(&partition(0));
        assert_eq!(seen.again(&completion(0, 0, 9), 10), 0);
    }

    #[test]
    fn what_is_handled_late_counts_when_it_leaves_no_gap() {
        let mut seen = Seen::default();
        seen.late(&completion(0, 0, 9));
        assert_eq!(seen.again(&completion(0, 0, 9), 10), 0, "not let go yet");
        seen.reached(&partition(0), Offset(10));
        seen.late(&completion(0, 12, 13));
        assert_eq!(seen.again(&completion(0, 10, 13), 4), 0, "10 and 11 were not handled");
        seen.late(&completion(0, 10, 11));
        assert_eq!(seen.again(&completion(0, 10, 13), 4), 2);
    }
}
