//! How many partitions a topic had when its group began. *Pure.*
//!
//! A group that begins at the end, or at a time, begins so in the partitions that are there. One that is added later is
//! read from its first message, also by a process that was started after it was added, and sees no difference. So each
//! commit says, beside its position, how many partitions there were.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::TopicPartition;

/// What the group's commits say of each topic.
#[derive(Debug, Default)]
pub(crate) struct Begun(BTreeMap<Arc<str>, i32>);

/// What is stored with a position, and a number behind it; short, since brokers may limit it (`offset.metadata.max.bytes`).
const NOTE: &str = "kurier:partitions=";

impl Begun {
    /// The group began when `topic` had so many partitions. Members may have come one after another while partitions
    /// were added: the least number counts.
    pub(crate) fn learn(&mut self, topic: &Arc<str>, partitions: i32) {
        let known = self.0.entry(Arc::clone(topic)).or_insert(partitions);
        *known = partitions.min(*known);
    }

    /// The topic was made anew: all its partitions came later.
    pub(crate) fn made_anew(&mut self, topic: &Arc<str>) {
        self.learn(topic, 0);
    }

    pub(crate) fn knows(&self, topic: &str) -> bool {
        self.0.contains_key(topic)
    }

    /// Whether `partition` was there when the group began. False where nothing is known.
    pub(crate) fn had(&self, partition: &TopicPartition) -> bool {
        self.0.get(&partition.topic).is_some_and(|count| partition.partition.0 < *count)
    }

    /// What is to be stored with each position in `topic`.
    pub(crate) fn note(&self, topic: &str) -> Option<String> {
        self.0.get(topic).map(|count| format!("{NOTE}{count}"))
    }

    /// The number in a note. Others store other things there.
    pub(crate) fn read(note: &[u8]) -> Option<i32> {
        let count = std::str::from_utf8(note).ok()?.strip_prefix(NOTE)?;
        count.parse().ok().filter(|count| 0 <= *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PartitionId;

    #[test]
    fn what_was_there_is_told_from_what_came_later_by_what_commits_say() {
        let (topic, other) = (Arc::from("orders"), Arc::from("other"));
        let partition = |number| TopicPartition::new("orders", PartitionId(number));
        let mut begun = Begun::default();
        assert!(!begun.knows(&topic) && !begun.had(&partition(0)));
        assert_eq!(begun.note(&topic), None);
        begun.learn(&topic, 3);
        begun.learn(&other, 9);
        begun.learn(&topic, 2);
        begun.learn(&topic, 3);
        assert!(begun.knows(&topic) && begun.had(&partition(1)) && !begun.had(&partition(2)));
        let noted = |begun: &Begun| Begun::read(begun.note(&topic)?.as_bytes());
        assert_eq!(noted(&begun), Some(2));
        begun.made_anew(&topic);
        assert!(!begun.had(&partition(0)));
        assert_eq!(noted(&begun), Some(0));
    }

    #[test]
    fn what_others_store_with_a_position_is_no_number() {
        for note in [&b""[..], b"2", b"kurier: ", b"\xff\xfe", b"kurier:partitions=x"] {
            assert_eq!(Begun::read(note), None, "{note:?}");
        }
        let negative = format!("{NOTE}-1");
        assert_eq!(Begun::read(negative.as_bytes()), None);
    }
}
