//! What a group may commit, decided without a clock, a thread or a client. *Pure.*
//!
//! It owns, for each partition this process holds: the ownership's epoch, the offsets that were
//! delivered to a lane and in which state they are, and the position that is safe to commit. It does
//! not commit (that is `committer`), and it knows nothing of handlers.
//!
//! # The rule
//! The position of a partition is the offset of its first delivered message that is not settled; when
//! all are settled, it is the place reading has reached. So a committed offset never lies beyond a
//! message that still waits, whatever order completions arrive in, and offsets nobody was given
//! (compacted records, transaction markers) hold nothing up.
//!
//! An ownership has an [`Epoch`]. A completion names the epoch of its delivery; once that ownership has
//! ended, it settles nothing, even if the same partition, and the same offset, came back since.

use std::collections::{HashMap, VecDeque};

use crate::{Offset, TopicPartition};

/// One ownership of one partition: from its assignment to its end. Never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Epoch(u64);

/// Delivered messages of one ownership that are now handled: all that lie in `first..=last`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) partition: TopicPartition,
    pub(crate) epoch: Epoch,
    pub(crate) first: Offset,
    pub(crate) last: Offset,
}

/// A position that may be committed, and the ownership that reached it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committable {
    pub(crate) partition: TopicPartition,
    pub(crate) epoch: Epoch,
    pub(crate) position: Offset,
}

/// What a completion did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// That many messages were waiting and are settled now.
    Now(usize),
    /// Its ownership has ended: nothing changed.
    Late,
}

/// A message came before one that was delivered already; the caller has to begin anew with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfOrder {
    /// How many were noted before it.
    pub(crate) noted: usize,
}

/// The partitions this process holds, and how far each is handled.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    ownerships: HashMap<TopicPartition, Ownership>,
    epochs: u64,
}

#[derive(Debug)]
struct Ownership {
    epoch: Epoch,
    /// Delivered messages from the first unsettled one on, by offset.
    window: VecDeque<Slot>,
    /// The next offset that reading would give; unknown until something was read.
    reached: Option<Offset>,
    /// What the group has stored, as far as this ownership knows.
    committed: Option<Offset>,
    /// Whether something is lost with the position: what is handled would come again, or nobody would know where the
    /// group begins. A place that was only read to is found again.
    owed: bool,
}

#[derive(Debug)]
struct Slot {
    offset: Offset,
    settled: bool,
}

impl Tracker {
    /// Begins to own `partition`, from `start` when it is known. An ownership it still had ends.
    pub(crate) fn begin(&mut self, partition: TopicPartition, start: Option<Offset>) -> Epoch {
        self.epochs += 1;
        let epoch = Epoch(self.epochs);
        let ownership = Ownership {
            epoch,
            window: VecDeque::new(),
            reached: start,
            committed: None,
            owed: false,
        };
        self.ownerships.insert(partition, ownership);
        epoch
    }

    /// Nobody else would find where the ownership of `partition` began.
    pub(crate) fn owe(&mut self, partition: &TopicPartition) {
        if let Some(own) = self.ownerships.get_mut(partition) {
            own.owed = true;
        }
    }

    /// Ends the ownership of `partition`; its completions come late from now on.
    pub(crate) fn end(&mut self, partition: &TopicPartition) {
        self.ownerships.remove(partition);
    }

    /// Notes messages handed to the lane, in reading order.
    ///
    /// # Errors
    /// [`OutOfOrder`] at the first offset that reading had passed; those before it are noted.
    pub(crate) fn deliver(
        &mut self,
        partition: &TopicPartition,
        offsets: impl IntoIterator<Item = Offset>,
    ) -> Result<(), OutOfOrder> {
        let Some(own) = self.ownerships.get_mut(partition) else { return Ok(()) };
        for (noted, offset) in offsets.into_iter().enumerate() {
            if own.reached.is_some_and(|reached| offset < reached) {
                return Err(OutOfOrder { noted });
            }
            own.window.push_back(Slot { offset, settled: false });
            own.reached = Some(offset.next());
        }
        Ok(())
    }

    /// Reading has reached `offset`: there is no message between the last delivered one and it.
    pub(crate) fn reach(&mut self, partition: &TopicPartition, offset: Offset) {
        if let Some(own) = self.ownerships.get_mut(partition) {
            own.reached = own.reached.max(Some(offset));
        }
    }

    /// Settles the delivered messages a completion names.
    pub(crate) fn settle(&mut self, completion: &Completion) -> Settled {
        let Some(own) = self.ownerships.get_mut(&completion.partition) else {
            return Settled::Late;
        };
        if own.epoch != completion.epoch {
            return Settled::Late;
        }
        let from = own.window.partition_point(|slot| slot.offset < completion.first);
        let named = own.window.range_mut(from..).take_while(|slot| slot.offset <= completion.last);
        let mut count = 0;
        for slot in named.filter(|slot| !slot.settled) {
            slot.settled = true;
            count += 1;
        }
        own.owed |= 0 < count;
        while own.window.front().is_some_and(|slot| slot.settled) {
            own.window.pop_front();
        }
        Settled::Now(count)
    }

    /// Notes what the group has stored. A result for an ownership that ended changes nothing.
    pub(crate) fn committed(&mut self, stored: &Committable) {
        if let Some(own) = self.ownerships.get_mut(&stored.partition)
            && own.epoch == stored.epoch
        {
            own.committed = Some(stored.position);
            own.owed &= own.position() != Some(stored.position);
        }
    }

    /// The position of `partition`: see the rule above. `None` before anything was read.
    pub(crate) fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.ownerships.get(partition)?.position()
    }

    /// Where reading stands: one past the last message delivered.
    pub(crate) fn reached(&self, partition: &TopicPartition) -> Option<Offset> {
        self.ownerships.get(partition)?.reached
    }

    /// Messages of `partition` from the first that is not settled to the last delivered.
    pub(crate) fn span(&self, partition: &TopicPartition) -> usize {
        self.ownerships.get(partition).map_or(0, |own| own.window.len())
    }

    /// The position of `partition`, when the group has not stored it yet.
    pub(crate) fn committable(&self, partition: &TopicPartition) -> Option<Committable> {
        let own = self.ownerships.get(partition)?;
        let position = own.position()?;
        (own.committed != Some(position)).then(|| Committable {
            partition: partition.clone(),
            epoch: own.epoch,
            position,
        })
    }

    /// The same, when something is lost with it: worth waiting for when a run ends.
    pub(crate) fn owed(&self, partition: &TopicPartition) -> Option<Committable> {
        self.ownerships.get(partition).filter(|own| own.owed)?;
        self.committable(partition)
    }

    /// Delivered messages of `partition` that are not settled.
    #[cfg(test)]
    pub(crate) fn waiting(&self, partition: &TopicPartition) -> usize {
        let waits = |slot: &&Slot| !slot.settled;
        self.ownerships.get(partition).map_or(0, |own| own.window.iter().filter(waits).count())
    }

    /// Every partition that is owned now.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.ownerships.keys()
    }
}

impl Ownership {
    fn position(&self) -> Option<Offset> {
        self.window.front().map(|first| first.offset).or(self.reached)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::PartitionId;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition::new("t", PartitionId(number))
    }

    fn done(epoch: Epoch, first: i64, last: i64) -> Completion {
        let (first, last) = (Offset(first), Offset(last));
        Completion { partition: partition(0), epoch, first, last }
    }

    fn offsets(list: &[i64]) -> Vec<Offset> {
        list.iter().copied().map(Offset).collect()
    }

    #[test]
    fn the_rule_as_a_table() {
        // start, delivered, settled ranges in order, end of partition seen at, position to commit
        type Row<'a> =
            (&'a str, Option<i64>, &'a [i64], &'a [(i64, i64)], Option<i64>, Option<i64>);
        let table: &[Row<'_>] = &[
            ("nothing read", None, &[], &[], None, None),
            ("start known, nothing read", Some(7), &[], &[], None, Some(7)),
            ("delivered, none handled", None, &[4, 5], &[], None, Some(4)),
            ("first handled", None, &[4, 5], &[(4, 4)], None, Some(5)),
            ("second only", None, &[4, 5], &[(5, 5)], None, Some(4)),
            ("both, backwards", None, &[4, 5], &[(5, 5), (4, 4)], None, Some(6)),
            ("a range", None, &[4, 5, 6], &[(4, 5)], None, Some(6)),
            ("the same twice", None, &[4, 5], &[(4, 4), (4, 4)], None, Some(5)),
            ("never delivered", None, &[4], &[(9, 9)], None, Some(4)),
            ("gap after a handled one", None, &[1, 5], &[(1, 1)], None, Some(5)),
            ("gap, later one handled", None, &[1, 5], &[(5, 5)], None, Some(1)),
            ("gap, both", None, &[1, 5], &[(5, 5), (1, 1)], None, Some(6)),
            ("end beyond a marker", None, &[1], &[(1, 1)], Some(3), Some(3)),
            ("end, but one waits", None, &[1, 2], &[(1, 1)], Some(4), Some(2)),
            ("empty partition", None, &[], &[], Some(9), Some(9)),
            ("end never goes back", None, &[8], &[(8, 8)], Some(2), Some(9)),
        ];
        for (name, start, delivered, settled, end, position) in table {
            let mut tracker = Tracker::default();
            let epoch = tracker.begin(partition(0), start.map(Offset));
            tracker.deliver(&partition(0), offsets(delivered)).unwrap();
            for (first, last) in *settled {
                tracker.settle(&done(epoch, *first, *last));
            }
            if let Some(end) = end {
                tracker.reach(&partition(0), Offset(*end));
            }
            assert_eq!(tracker.position(&partition(0)), position.map(Offset), "{name}");
        }
    }

    #[test]
    fn a_completion_of_an_ended_ownership_settles_nothing() {
        let mut tracker = Tracker::default();
        let first = tracker.begin(partition(0), None);
        tracker.deliver(&partition(0), offsets(&[3])).unwrap();
        tracker.end(&partition(0));
        assert_eq!(tracker.settle(&done(first, 3, 3)), Settled::Late, "nobody owns it");

        let second = tracker.begin(partition(0), None);
        tracker.deliver(&partition(0), offsets(&[3])).unwrap();
        assert_eq!(tracker.settle(&done(first, 3, 3)), Settled::Late, "owned anew, same offset");
        assert_eq!(tracker.position(&partition(0)), Some(Offset(3)));
        assert_eq!(tracker.settle(&done(second, 3, 3)), Settled::Now(1));
        assert_eq!(tracker.position(&partition(0)), Some(Offset(4)));
    }

    #[test]
    fn only_what_is_not_stored_is_committable() {
        let mut tracker = Tracker::default();
        let old = tracker.begin(partition(0), None);
        assert_eq!(tracker.committable(&partition(0)), None, "nothing is known yet");
        tracker.deliver(&partition(0), offsets(&[0])).unwrap();
        tracker.settle(&done(old, 0, 0));
        let stored = tracker.committable(&partition(0)).unwrap();
        assert_eq!(stored.position, Offset(1));

        let _new = tracker.begin(partition(0), Some(Offset(0)));
        tracker.committed(&stored);
        let again = tracker.committable(&partition(0)).unwrap();
        assert_eq!(again.position, Offset(0), "the result was another ownership's");
        tracker.committed(&again);
        assert_eq!(tracker.committable(&partition(0)), None);
    }

    #[test]
    fn what_was_only_read_to_is_not_owed() {
        let mut tracker = Tracker::default();
        let epoch = tracker.begin(partition(0), None);
        tracker.reach(&partition(0), Offset(7));
        tracker.deliver(&partition(0), offsets(&[7, 8])).unwrap();
        assert!(tracker.committable(&partition(0)).is_some());
        assert_eq!(tracker.owed(&partition(0)), None, "nothing is handled");
        tracker.settle(&done(epoch, 7, 7));
        let owed = tracker.owed(&partition(0)).unwrap();
        assert_eq!(owed.position, Offset(8));
        tracker.committed(&owed);
        assert_eq!(tracker.owed(&partition(0)), None, "the group has it");

        tracker.reach(&partition(0), Offset(10));
        assert_eq!(tracker.owed(&partition(0)), None, "a marker that is read over is no work");

        tracker.begin(partition(0), Some(Offset(9)));
        assert_eq!(tracker.owed(&partition(0)), None, "it is found again");
        tracker.owe(&partition(0));
        assert!(tracker.owed(&partition(0)).is_some(), "nobody else knows where it begins");
    }

    #[test]
    fn an_offset_that_was_passed_is_refused() {
        let mut tracker = Tracker::default();
        tracker.begin(partition(0), Some(Offset(5)));
        let before_start = tracker.deliver(&partition(0), offsets(&[4]));
        assert_eq!(before_start, Err(OutOfOrder { noted: 0 }));
        tracker.deliver(&partition(0), offsets(&[6])).unwrap();
        let again = tracker.deliver(&partition(0), offsets(&[6, 7]));
        assert_eq!(again, Err(OutOfOrder { noted: 0 }));
        assert_eq!(tracker.waiting(&partition(0)), 1);
        let within = tracker.deliver(&partition(0), offsets(&[7, 8, 7, 8]));
        assert_eq!(within, Err(OutOfOrder { noted: 2 }), "the same offsets again");
    }

    /// The same thing in the plainest words: a set of delivered offsets and a set of handled ones.
    #[derive(Default)]
    struct Model {
        owned: BTreeMap<i32, Owned>,
    }

    struct Owned {
        epoch: Epoch,
        delivered: BTreeSet<i64>,
        handled: BTreeSet<i64>,
        reached: Option<i64>,
    }

    impl Model {
        fn position(&self, number: i32) -> Option<i64> {
            let own = self.owned.get(&number)?;
            own.delivered.difference(&own.handled).min().copied().or(own.reached)
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Begin(i32),
        End(i32),
        /// Deliver messages with these gaps before each.
        Deliver(i32, Vec<i64>),
        /// Settle `length` offsets from `back` below the reached one, in an epoch `age` ago.
        Settle {
            number: i32,
            back: i64,
            length: i64,
            age: usize,
        },
        Reach(i32, i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let number = 0..3;
        prop_oneof![
            1 => number.clone().prop_map(Step::Begin),
            1 => number.clone().prop_map(Step::End),
            6 => (number.clone(), prop::collection::vec(0_i64..4, 1..6))
                .prop_map(|(number, gaps)| Step::Deliver(number, gaps)),
            9 => (number.clone(), 0_i64..12, 1_i64..5, 0_usize..3)
                .prop_map(|(number, back, length, age)| Step::Settle { number, back, length, age }),
            1 => (number, 0_i64..4).prop_map(|(number, gap)| Step::Reach(number, gap)),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_model(steps in prop::collection::vec(step(), 1..200)) {
            let mut tracker = Tracker::default();
            let mut model = Model::default();
            let mut epochs: BTreeMap<i32, Vec<Epoch>> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Begin(number) => {
                        let epoch = tracker.begin(partition(number), None);
                        epochs.entry(number).or_default().push(epoch);
                        let (delivered, handled) = (BTreeSet::new(), BTreeSet::new());
                        model.owned.insert(number, Owned { epoch, delivered, handled, reached: None });
                    }
                    Step::End(number) => {
                        tracker.end(&partition(number));
                        model.owned.remove(&number);
                    }
                    Step::Deliver(number, gaps) => {
                        let Some(own) = model.owned.get_mut(&number) else { continue };
                        let mut next = own.reached.unwrap_or(0);
                        let mut chunk = Vec::new();
                        for gap in gaps {
                            own.delivered.insert(next + gap);
                            chunk.push(Offset(next + gap));
                            next += gap + 1;
                        }
                        own.reached = Some(next);
                        tracker.deliver(&partition(number), chunk).unwrap();
                    }
                    Step::Reach(number, gap) => {
                        let Some(own) = model.owned.get_mut(&number) else { continue };
                        let end = own.reached.unwrap_or(0) + gap;
                        own.reached = Some(end);
                        tracker.reach(&partition(number), Offset(end));
                    }
                    Step::Settle { number, back, length, age } => {
                        let known = epochs.entry(number).or_default();
                        let Some(&epoch) = known.iter().rev().nth(age) else { continue };
                        let reached = tracker.reached(&partition(number)).map_or(0, |at| at.0);
                        let (first, last) = (reached - back, reached - back + length - 1);
                        let completion = Completion {
                            partition: partition(number),
                            epoch,
                            first: Offset(first),
                            last: Offset(last),
                        };
                        let answer = tracker.settle(&completion);
                        match model.owned.get_mut(&number) {
                            Some(own) if own.epoch == epoch => {
                                let named: BTreeSet<i64> =
                                    own.delivered.range(first..=last).copied().collect();
                                let fresh = named.difference(&own.handled).count();
                                own.handled.extend(named);
                                prop_assert_eq!(answer, Settled::Now(fresh));
                            }
                            _ => prop_assert_eq!(answer, Settled::Late),
                        }
                    }
                }
                for number in 0..3 {
                    let position = tracker.position(&partition(number)).map(|at| at.0);
                    prop_assert_eq!(position, model.position(number));
                    let waiting = model.owned.get(&number)
                        .map_or(0, |own| own.delivered.difference(&own.handled).count());
                    prop_assert_eq!(tracker.waiting(&partition(number)), waiting);
                }
            }
        }
    }
}
