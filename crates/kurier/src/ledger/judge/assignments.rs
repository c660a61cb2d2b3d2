//! Whether an instance, while it had a partition, passed over a record or went back.
//!
//! At the first attempt at a record, everything between the first one of this assignment and this one
//! must have been handled in it: consumers handle a partition in order, and a batch and its retries
//! come to their end before the next is begun. Of a batch only its first record is told to have begun,
//! which is why what was handled is what counts.

use std::collections::{HashMap, HashSet};

use super::super::OffenceKind;
use super::super::entry::{Attempt, MemberNo, PartitionNo, Place, What};
use super::Case;
use super::offences::{About, Offences};
use crate::Offset;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Assignments {
    pub(super) skipped: u64,
    pub(super) went_back: u64,
}

/// One instance's hold of one partition.
#[derive(Default)]
struct Hold {
    /// Where it began last, at first attempts.
    reached: Option<Reached>,
    /// Handled, and not passed yet.
    handled: HashSet<Offset>,
}

#[derive(Clone, Copy)]
struct Reached {
    /// All records of the partition before this one are passed.
    record: usize,
    offset: Offset,
}

pub(super) fn judge(case: &Case<'_>, group: usize, offences: &mut Offences<'_>) -> Assignments {
    let mut holds: HashMap<(MemberNo, PartitionNo), Hold> = HashMap::new();
    let mut count = Assignments::default();
    let ours = |by: MemberNo| case.ledger.names.of_member(by).group == group;
    for (seq, entry) in case.entries() {
        match entry.what {
            What::Assigned(by, partition) if ours(by) => {
                holds.insert((by, partition), Hold::default());
            }
            What::Revoked(by, partition) | What::Lost(by, partition) => {
                holds.remove(&(by, partition));
            }
            What::Handled { by, place: Some(place), .. } => {
                if let Some(hold) = holds.get_mut(&(by, place.partition)) {
                    hold.handled.insert(place.offset);
                }
            }
            What::Started { by, place, attempt: Attempt::First } => {
                let Some(hold) = holds.get_mut(&(by, place.partition)) else { continue };
                let about = About { group: Some(group), event: Some(seq), ..About::default() };
                hold.start(case, place, about, &mut count, offences);
            }
            _ => {}
        }
    }
    count
}

impl Hold {
    fn start(
        &mut self,
        case: &Case<'_>,
        place: Place,
        about: About,
        count: &mut Assignments,
        offences: &mut Offences<'_>,
    ) {
        let records = case.records.partition(place.partition);
        let Some(Reached { mut record, offset }) = self.reached else {
            let record = case.records.before(place).len();
            self.reached = Some(Reached { record, offset: place.offset });
            return;
        };
        if place.offset <= offset {
            count.went_back += 1;
            let (message, words) =
                (case.records.message_at(place), format!("after offset {offset}"));
            let about = About { message, place: Some(place), ..about };
            offences.add(OffenceKind::WentBack, about, || words);
            return;
        }
        while let Some(passed) = records.get(record).filter(|it| it.place.offset < place.offset) {
            if !self.handled.remove(&passed.place.offset) {
                count.skipped += 1;
                let about = About { message: passed.message, place: Some(passed.place), ..about };
                let words = || format!("not handled when offset {} was begun", place.offset);
                offences.add(OffenceKind::Skipped, about, words);
            }
            record += 1;
        }
        self.reached = Some(Reached { record, offset: place.offset });
    }
}
