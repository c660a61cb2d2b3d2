//! The records of the run's partitions in the order of the log, as far as they are known: of an audited
//! topic, what the audit found; of another, what was acknowledged or seen.

use std::ops::Range;

use super::super::entry::{MessageNo, PartitionNo, Place};
use super::super::{Found, Ledger};

pub(super) struct Records {
    /// By place, each place once.
    all: Vec<Found>,
    /// Each partition's part of them, by its number.
    ranges: Vec<Range<usize>>,
    /// Whether an audit has said what a partition holds, by its number.
    audited: Vec<bool>,
}

impl Records {
    pub(super) fn of(ledger: &Ledger) -> Self {
        let has_audit = |topic: &str| ledger.audits.contains_key(topic);
        let partitions = ledger.names.partitions();
        let audited: Vec<bool> = partitions.iter().map(|it| has_audit(&it.topic)).collect();
        let known = ledger.messages.places();
        let known = known.filter(|(place, _)| !audited[place.partition.index()]);
        let known =
            known.map(|(place, message)| Found { place, message: Some(message), content: None });
        let mut all: Vec<Found> = ledger.audits.values().flatten().copied().chain(known).collect();
        all.sort_unstable_by_key(|record| record.place);
        all.dedup_by_key(|record| record.place);
        let mut ranges = vec![0..0; audited.len()];
        let mut begin = 0;
        for part in all.chunk_by(|one, next| one.place.partition == next.place.partition) {
            ranges[part[0].place.partition.index()] = begin..begin + part.len();
            begin += part.len();
        }
        Self { all, ranges, audited }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Found> {
        self.all.iter()
    }

    /// Those that an audit found.
    pub(super) fn audited(&self) -> impl Iterator<Item = &Found> {
        self.all.iter().filter(|record| self.is_audited(record.place))
    }

    /// True when an audit has said what the place holds.
    pub(super) fn is_audited(&self, place: Place) -> bool {
        self.audited[place.partition.index()]
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those of one partition.
    pub(super) fn partition(&self, partition: PartitionNo) -> &[Found] {
        &self.all[self.ranges[partition.index()].clone()]
    }

    /// A place's index among all records.
    pub(super) fn index_of(&self, place: Place) -> Option<usize> {
        let Range { start, end } = self.ranges[place.partition.index()];
        // Offsets mostly grow by one: the guess is right but for gaps before it.
        let first = self.all.get(start).filter(|_| start < end)?.place.offset.0;
        let guess = usize::try_from(place.offset.0.checked_sub(first)?).ok()?.checked_add(start)?;
        if self.all.get(guess).is_some_and(|record| record.place == place) {
            return Some(guess);
        }
        let found = self.all[start..end].binary_search_by_key(&place, |record| record.place);
        found.ok().map(|index| start + index)
    }

    pub(super) fn get(&self, index: usize) -> &Found {
        &self.all[index]
    }

    /// The indexes of a partition's records before a position in it.
    pub(super) fn before(&self, next: Place) -> Range<usize> {
        let Range { start, end } = self.ranges[next.partition.index()];
        let count = self.all[start..end].partition_point(|record| record.place < next);
        start..start + count
    }

    pub(super) fn at(&self, place: Place) -> Option<&Found> {
        self.index_of(place).map(|index| &self.all[index])
    }

    /// Which message stands there.
    pub(super) fn message_at(&self, place: Place) -> Option<MessageNo> {
        self.at(place)?.message
    }
}
