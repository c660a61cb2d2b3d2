//! Which records are settled, as ranges: delivered, put aside, or never there. *Pure.*

use std::collections::BTreeMap;
use std::ops::Range;

use super::frame::Sequence;

/// A set of sequences that is small when it has few gaps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds a range; an empty one adds nothing.
    pub(super) fn add(&mut self, range: Range<Sequence>) {
        let (mut start, mut end) = (range.start.0, range.end.0);
        if end <= start {
            return;
        }
        if let Some((before, its_end)) = self.0.range(..=start).next_back().map(|(a, b)| (*a, *b))
            && start <= its_end
        {
            start = before;
            end = end.max(its_end);
        }
        while let Some((inside, its_end)) = self.0.range(start..=end).next().map(|(a, b)| (*a, *b))
        {
            end = end.max(its_end);
            self.0.remove(&inside);
        }
        self.0.insert(start, end);
    }

    /// Adds one.
    pub(super) fn add_one(&mut self, sequence: Sequence) {
        self.add(sequence..sequence.next());
    }

    /// Takes a range out.
    pub(super) fn remove(&mut self, range: &Range<Sequence>) {
        for part in self.within(range).collect::<Vec<_>>() {
            let Some((&start, &end)) = self.0.range(..=part.start.0).next_back() else { continue };
            self.0.remove(&start);
            self.add(Sequence(start)..part.start);
            self.add(part.end..Sequence(end));
        }
    }

    pub(super) fn contains(&self, Sequence(one): Sequence) -> bool {
        self.0.range(..=one).next_back().is_some_and(|(_, end)| one < *end)
    }

    /// True when nothing of `range` is missing.
    pub(super) fn covers(&self, range: &Range<Sequence>) -> bool {
        range.end <= range.start || range.end <= self.end_of_run(range.start)
    }

    /// The first at or after `from` that is not in the set.
    pub(super) fn end_of_run(&self, from: Sequence) -> Sequence {
        match self.0.range(..=from.0).next_back() {
            Some((_, end)) if from.0 < *end => Sequence(*end),
            _ => from,
        }
    }

    /// How many of `range` are in the set.
    pub(super) fn count_in(&self, range: &Range<Sequence>) -> u64 {
        self.within(range).map(|part| part.end.0 - part.start.0).sum()
    }

    /// The parts of the set that lie in `range`, in order.
    pub(super) fn within(&self, range: &Range<Sequence>) -> impl Iterator<Item = Range<Sequence>> {
        let (from, to) = (range.start.0, range.end.0);
        let first = self.0.range(..=from).next_back().map_or(from, |(start, _)| *start);
        self.0.range(first..to.max(first)).filter_map(move |(start, end)| {
            let part = (*start).max(from)..(*end).min(to);
            (part.start < part.end).then_some(Sequence(part.start)..Sequence(part.end))
        })
    }

    /// One past the last of all.
    pub(super) fn end_of_all(&self) -> Sequence {
        Sequence(self.0.last_key_value().map_or(0, |(_, end)| *end))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a set of single numbers.
        #[test]
        fn ranges_are_a_set(
            added in proptest::collection::vec((0..60_u64, 0..8_u64), 0..40),
            from in 0..70_u64,
            length in 0..30_u64,
        ) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (start, length) in added {
                ranges.add(Sequence(start)..Sequence(start + length));
                set.extend(start..start + length);
            }
            let runs: Vec<(u64, u64)> = ranges.0.iter().map(|(a, b)| (*a, *b)).collect();
            prop_assert!(runs.windows(2).all(|two| two[0].1 < two[1].0), "{runs:?}");
            let window = Sequence(from)..Sequence(from + length);
            let inside: Vec<u64> = set.range(from..from + length).copied().collect();
            let parts = ranges.within(&window).flat_map(|part| part.start.0..part.end.0);
            prop_assert_eq!(parts.collect::<Vec<_>>(), inside.clone());
            prop_assert_eq!(ranges.count_in(&window), inside.len() as u64);
            prop_assert_eq!(ranges.covers(&window), inside.len() as u64 == length);
            prop_assert_eq!(ranges.contains(Sequence(from)), set.contains(&from));
            let mut without = ranges.clone();
            without.remove(&window);
            let left: u64 = without.count_in(&(Sequence(0)..Sequence(100)));
            prop_assert_eq!(left as usize, set.len() - inside.len());
            prop_assert_eq!(without.count_in(&window), 0);
            let missing = (from..).find(|one| !set.contains(one));
            prop_assert_eq!(Some(ranges.end_of_run(Sequence(from)).0), missing);
        }
    }
}
