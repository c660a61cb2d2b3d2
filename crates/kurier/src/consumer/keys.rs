//! Which messages of one partition may be handled at the same time. *Pure.*
//!
//! It owns the messages of a lane that wait for a handler, by key. Of each key one message is begun at a
//! time, in the order of arrival; those without a key are one key more. What a key is, is said by its
//! bytes, not by a hash of them: two keys never wait for each other.
//!
//! It is as large as the lane that feeds it: a message leaves it by being begun, or when the lane is to
//! end. An end that is orderly still begins what lies before a message that was begun: if it were left, the
//! position would stay at it, and all that was handled behind it would come again.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;

use crate::{Offset, Record};

/// A message's key within its partition; `None`: it has none.
pub(super) type Key = Option<Bytes>;

/// The messages that wait, and the keys that are at work.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// What waits behind the message at work, for each key that is at work or has a message.
    queues: HashMap<Key, Queue>,
    /// The keys that may begin a message, by that message's offset: the oldest is begun first, for it is
    /// the one that holds the partition's position back.
    ready: BTreeMap<Offset, Key>,
    waiting: usize,
    /// The latest message that was begun.
    latest: Option<Offset>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Record>,
    at_work: bool,
}

impl Keys {
    /// A message arrived. After [`finish`](Self::finish) or [`close`](Self::close) it is dropped.
    pub(super) fn arrive(&mut self, record: Record) {
        if self.closed {
            return;
        }
        let (key, offset) = (record.key.clone(), record.offset);
        let queue = self.queues.entry(key.clone()).or_default();
        if !queue.at_work && queue.waiting.is_empty() {
            self.ready.insert(offset, key);
        }
        queue.waiting.push_back(record);
        self.waiting += 1;
    }

    /// The next message to begin, if there is one whose key is not at work. Its key is, from now on.
    pub(super) fn begin(&mut self) -> Option<Record> {
        let (_, key) = self.ready.pop_first()?;
        let queue = self.queues.get_mut(&key)?;
        let record = queue.waiting.pop_front()?;
        queue.at_work = true;
        self.waiting -= 1;
        self.latest = self.latest.max(Some(record.offset));
        Some(record)
    }

    /// The message of `key` that was begun is done with: the key's next one may begin.
    pub(super) fn end(&mut self, key: Key) {
        let Entry::Occupied(mut entry) = self.queues.entry(key) else { return };
        match entry.get().waiting.front() {
            Some(next) => {
                self.ready.insert(next.offset, entry.key().clone());
                entry.get_mut().at_work = false;
            }
            None => {
                entry.remove();
            }
        }
    }

    /// Of what waits only that is begun which lies before a message that was begun. The rest is dropped.
    pub(super) fn finish(&mut self) {
        self.closed = true;
        let latest = self.latest;
        let is_passed = |offset: Offset| Some(offset) < latest;
        self.queues.retain(|_, queue| {
            queue.waiting.retain(|record| is_passed(record.offset));
            queue.at_work || !queue.waiting.is_empty()
        });
        self.ready.retain(|offset, _| is_passed(*offset));
        self.waiting = self.queues.values().map(|queue| queue.waiting.len()).sum();
    }

    /// Nothing more is begun. What waits is dropped.
    pub(super) fn close(&mut self) {
        *self = Self { closed: true, ..Self::default() };
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// True when [`begin`](Self::begin) has one.
    pub(super) fn may_begin(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Messages that are not begun.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::PartitionId;

    fn record(offset: i64, key: Option<&[u8]>) -> Record {
        let record = Record::new("t", PartitionId(0), Offset(offset));
        Record { key: key.map(Bytes::copy_from_slice), ..record }
    }

    fn begun(keys: &mut Keys) -> Vec<i64> {
        std::iter::from_fn(|| keys.begin()).map(|record| record.offset.0).collect()
    }

    #[test]
    fn one_of_each_key_the_oldest_first() {
        let mut keys = Keys::default();
        let key = |text: &'static str| Some(text.as_bytes());
        for (offset, key) in [(0, key("a")), (1, key("a")), (2, key("b")), (3, None), (4, None)] {
            keys.arrive(record(offset, key));
        }
        assert_eq!(begun(&mut keys), [0, 2, 3]);
        keys.end(None);
        keys.end(Some("a".into()));
        assert_eq!(begun(&mut keys), [1, 4]);
        assert_eq!((keys.waiting(), keys.may_begin()), (0, false));
    }

    #[test]
    fn an_empty_key_is_a_key_and_none_is_not() {
        let mut keys = Keys::default();
        keys.arrive(record(0, Some(b"")));
        keys.arrive(record(1, None));
        assert_eq!(begun(&mut keys), [0, 1]);
    }

    #[test]
    fn after_the_close_nothing_begins_whatever_ends_or_arrives() {
        let mut keys = Keys::default();
        keys.arrive(record(0, None));
        keys.arrive(record(1, None));
        keys.arrive(record(2, Some(b"a")));
        assert_eq!(keys.begin().map(|record| record.offset.0), Some(0));
        keys.close();
        keys.end(None);
        keys.arrive(record(3, None));
        assert_eq!((begun(&mut keys), keys.waiting()), (vec![], 0));
    }

    #[test]
    fn an_orderly_end_begins_what_was_passed_and_nothing_else() {
        let mut keys = Keys::default();
        let key = |text: &'static str| Some(text.as_bytes());
        // Of a, 0 is begun, 1 and 4 wait; of b, 2 is; of c, 3 is; of d, 5 waits.
        for (offset, key) in [(0, "a"), (1, "a"), (2, "b"), (3, "c"), (4, "a"), (5, "d")] {
            keys.arrive(record(offset, Some(key.as_bytes())));
        }
        for offset in [0, 2, 3] {
            assert_eq!(keys.begin().map(|record| record.offset), Some(Offset(offset)));
        }
        keys.finish();
        keys.arrive(record(6, key("e")));
        assert_eq!((keys.waiting(), keys.may_begin()), (1, false));
        for ended in ["c", "a"] {
            keys.end(Some(ended.into()));
        }
        assert_eq!(begun(&mut keys), [1]);
        keys.end(Some("a".into()));
        keys.end(Some("b".into()));
        assert_eq!((begun(&mut keys), keys.waiting(), keys.queues.len()), (vec![], 0, 0));
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// A message of one of a few keys; 0 is none.
        Arrive(u8),
        Begin,
        /// Of those at work, this one ends.
        End(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0_u8..6).prop_map(Step::Arrive),
            4 => Just(Step::Begin),
            3 => (0_usize..8).prop_map(Step::End),
        ]
    }

    fn named(number: u8) -> Key {
        (0 < number).then(|| Bytes::copy_from_slice(&[number]))
    }

    proptest! {
        /// Beside the plainest model: a list of what waits, and a set of keys at work.
        #[test]
        fn order_per_key_one_at_a_time_each_once_and_none_waits_without_need(
            steps in prop::collection::vec(step(), 1..300)
        ) {
            let (mut keys, mut next) = (Keys::default(), 0);
            let mut waiting: Vec<(i64, u8)> = Vec::new();
            let mut at_work: BTreeMap<u8, i64> = BTreeMap::new();
            let mut last: BTreeMap<u8, i64> = BTreeMap::new();
            let mut ever = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Arrive(key) => {
                        keys.arrive(record(next, named(key).as_deref()));
                        waiting.push((next, key));
                        // Offsets have gaps.
                        next += 1 + i64::from(key % 3);
                    }
                    Step::Begin => {
                        let free = waiting.iter().position(|(_, key)| !at_work.contains_key(key));
                        let got = keys.begin();
                        let expected = free.map(|at| waiting.remove(at));
                        prop_assert_eq!(got.as_ref().map(|it| it.offset.0), expected.map(|it| it.0));
                        let (Some(got), Some((offset, key))) = (got, expected) else { continue };
                        prop_assert_eq!(got.key, named(key));
                        prop_assert!(at_work.insert(key, offset).is_none(), "two of a key");
                        prop_assert!(last.insert(key, offset).is_none_or(|last| last < offset));
                        prop_assert!(ever.insert(offset), "begun twice");
                    }
                    Step::End(which) => {
                        let Some(key) = at_work.keys().nth(which % at_work.len().max(1)).copied()
                        else { continue };
                        at_work.remove(&key);
                        keys.end(named(key));
                    }
                }
                prop_assert_eq!(keys.waiting(), waiting.len());
                let may = waiting.iter().any(|(_, key)| !at_work.contains_key(key));
                prop_assert_eq!(keys.may_begin(), may);
                let kept: BTreeSet<u8> =
                    waiting.iter().map(|(_, key)| *key).chain(at_work.keys().copied()).collect();
                prop_assert_eq!(keys.queues.len(), kept.len(), "keys without a message are forgotten");
            }
        }
    }
}
