//! The records of the run's partitions in the order of the log, as far as they are known: of an audited
//! topic, what the audit found; of another, what was acknowledged or seen.

use std::collections::HashMap;
use std::ops::Range;

use super::super::entry::{MessageNo, PartitionNo, Place};
use super::super::{Found, Ledger};
use crate::Offset;

pub(super) struct Records {
    /// By place, each place once.
    all: Vec<Found>,
    ranges: HashMap<PartitionNo, Range<usize>>,
}

impl Records {
    pub(super) fn of(ledger: &Ledger) -> Self {
        let known = ledger.messages.places().filter(|(place, _)| !ledger.is_audited(*place));
        let known =
            known.map(|(place, message)| Found { place, message: Some(message), content: None });
        let mut all: Vec<Found> = ledger.audits.values().flatten().copied().chain(known).collect();
        all.sort_by_key(|record| record.place);
        all.dedup_by_key(|record| record.place);
        let mut ranges: HashMap<PartitionNo, Range<usize>> = HashMap::new();
        for (index, record) in all.iter().enumerate() {
            let range = ranges.entry(record.place.partition).or_insert(index..index);
            range.end = index + 1;
        }
        Self { all, ranges }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Found> {
        self.all.iter()
    }

    /// Those of one partition.
    pub(super) fn partition(&self, partition: PartitionNo) -> &[Found] {
        self.ranges.get(&partition).map_or(&[], |range| &self.all[range.clone()])
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = PartitionNo> {
        self.ranges.keys().copied()
    }

    pub(super) fn at(&self, place: Place) -> Option<&Found> {
        let records = self.partition(place.partition);
        records.get(before(records, place.offset)).filter(|record| record.place == place)
    }

    /// Which message stands there.
    pub(super) fn message_at(&self, place: Place) -> Option<MessageNo> {
        self.at(place)?.message
    }
}

/// How many of a partition's records lie before `offset`.
pub(super) fn before(records: &[Found], offset: Offset) -> usize {
    records.partition_point(|record| record.place.offset < offset)
}

impl Ledger {
    /// True when an audit has said what the place holds.
    pub(super) fn is_audited(&self, place: Place) -> bool {
        self.audits.contains_key(&*self.names.of_partition(place.partition).topic)
    }
}
