//! Partitions, members and notes, each named once and by a number afterwards.

use std::collections::HashMap;

use super::entry::{MemberNo, NoteNo, PartitionNo, Place};
use super::told::{Instance, Vantage};
use crate::{Position, TopicPartition};

#[derive(Debug, Default)]
pub(super) struct Names {
    partitions: Vec<TopicPartition>,
    by_partition: HashMap<TopicPartition, PartitionNo>,
    members: Vec<Member>,
    notes: Vec<String>,
}

/// An instance that was heard of.
#[derive(Debug)]
pub(super) struct Member {
    /// Its group, by its index in the ledger.
    pub(super) group: usize,
    pub(super) name: String,
    pub(super) vantage: Vantage,
}

impl Names {
    pub(super) fn place(&mut self, position: &Position) -> Place {
        let partition = self.partition(&position.topic_partition);
        Place { partition, offset: position.offset }
    }

    /// The place, when its partition was heard of.
    pub(super) fn find(&self, position: &Position) -> Option<Place> {
        let partition = *self.by_partition.get(&position.topic_partition)?;
        Some(Place { partition, offset: position.offset })
    }

    pub(super) fn partition(&mut self, partition: &TopicPartition) -> PartitionNo {
        if let Some(known) = self.by_partition.get(partition) {
            return *known;
        }
        let number = PartitionNo::new(self.partitions.len());
        self.partitions.push(partition.clone());
        self.by_partition.insert(partition.clone(), number);
        number
    }

    /// There are as many as instances in a run, a few dozen: looked through one after the other.
    pub(super) fn member(&mut self, group: usize, instance: Instance<'_>) -> MemberNo {
        let same = |it: &Member| {
            it.group == group && it.name == instance.name && it.vantage == instance.vantage
        };
        let known = self.members.iter().position(same);
        MemberNo::new(known.unwrap_or_else(|| {
            let (name, vantage) = (instance.name.to_owned(), instance.vantage);
            self.members.push(Member { group, name, vantage });
            self.members.len() - 1
        }))
    }

    pub(super) fn note(&mut self, text: String) -> NoteNo {
        self.notes.push(text);
        NoteNo::new(self.notes.len() - 1)
    }

    /// All that were heard of, by number.
    pub(super) fn partitions(&self) -> &[TopicPartition] {
        &self.partitions
    }

    pub(super) fn of_partition(&self, number: PartitionNo) -> &TopicPartition {
        &self.partitions[number.index()]
    }

    pub(super) fn of_place(&self, place: Place) -> Position {
        Position::new(self.of_partition(place.partition).clone(), place.offset)
    }

    pub(super) fn of_member(&self, number: MemberNo) -> &Member {
        &self.members[number.index()]
    }

    pub(super) fn of_note(&self, number: NoteNo) -> &str {
        &self.notes[number.index()]
    }
}
