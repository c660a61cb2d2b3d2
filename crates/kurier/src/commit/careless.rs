//! The tracker's two rules, each taken away: the same events then commit past a message that waits.
//!
//! Controls. They show that the sequences here tell a tracker that keeps the rules from one that does
//! not.

use std::collections::BTreeMap;

use super::tracker::{Completion, Epoch, Tracker};
use crate::{Offset, PartitionId, TopicPartition};

/// Decides what may be committed for one partition.
trait Decides: Default {
    fn begin(&mut self) -> Epoch;
    fn deliver(&mut self, offset: i64);
    fn settle(&mut self, epoch: Epoch, offset: i64);
    fn position(&self) -> Option<i64>;
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", PartitionId(0))
}

fn completion(epoch: Epoch, offset: i64) -> Completion {
    let (partition, first) = (partition(), Offset(offset));
    Completion { partition, epoch, first, last: first }
}

impl Decides for Tracker {
    fn begin(&mut self) -> Epoch {
        Self::begin(self, partition(), None)
    }

    fn deliver(&mut self, offset: i64) {
        Self::deliver(self, &partition(), [Offset(offset)]).expect("offsets only grow");
    }

    fn settle(&mut self, epoch: Epoch, offset: i64) {
        Self::settle(self, &completion(epoch, offset));
    }

    fn position(&self) -> Option<i64> {
        Self::position(self, &partition()).map(|position| position.0)
    }
}

/// Takes a completion for one of the present ownership, whosever it is.
#[derive(Default)]
struct IgnoresEpochs {
    tracker: Tracker,
    now: Option<Epoch>,
}

impl Decides for IgnoresEpochs {
    fn begin(&mut self) -> Epoch {
        let epoch = Decides::begin(&mut self.tracker);
        *self.now.insert(epoch)
    }

    fn deliver(&mut self, offset: i64) {
        Decides::deliver(&mut self.tracker, offset);
    }

    fn settle(&mut self, _: Epoch, offset: i64) {
        if let Some(now) = self.now {
            Decides::settle(&mut self.tracker, now, offset);
        }
    }

    fn position(&self) -> Option<i64> {
        Decides::position(&self.tracker)
    }
}

/// Commits past the highest offset that is handled, whatever waits below it.
#[derive(Default)]
struct CommitsTheHighest {
    tracker: Tracker,
    epoch: Option<Epoch>,
    highest: Option<i64>,
}

impl Decides for CommitsTheHighest {
    fn begin(&mut self) -> Epoch {
        self.highest = None;
        *self.epoch.insert(Decides::begin(&mut self.tracker))
    }

    fn deliver(&mut self, offset: i64) {
        Decides::deliver(&mut self.tracker, offset);
    }

    fn settle(&mut self, epoch: Epoch, offset: i64) {
        if self.epoch == Some(epoch) {
            self.highest = self.highest.max(Some(offset));
        }
    }

    fn position(&self) -> Option<i64> {
        self.highest.map_or_else(|| Decides::position(&self.tracker), |highest| Some(highest + 1))
    }
}

/// What happens to one partition. Ownerships are numbered from 0 in the order they begin.
#[derive(Clone, Copy)]
enum Event {
    Begin,
    Deliver(i64),
    /// The handler of that ownership has handled the offset.
    Settle(usize, i64),
}

/// The position at the first moment that it lay past a message which the present owner was given and
/// has not handled.
fn ahead<D: Decides>(events: &[Event]) -> Option<i64> {
    let (mut decides, mut epochs) = (D::default(), Vec::new());
    let mut handled: BTreeMap<i64, bool> = BTreeMap::new();
    for event in events {
        match *event {
            Event::Begin => {
                epochs.push(decides.begin());
                handled.clear();
            }
            Event::Deliver(offset) => {
                decides.deliver(offset);
                handled.insert(offset, false);
            }
            Event::Settle(ownership, offset) => {
                decides.settle(epochs[ownership], offset);
                if ownership + 1 == epochs.len() {
                    handled.insert(offset, true);
                }
            }
        }
        let waits = handled.iter().find(|(_, handled)| !**handled).map(|(offset, _)| *offset);
        let position = decides.position();
        if waits.is_some_and(|waits| position.is_some_and(|position| waits < position)) {
            return position;
        }
    }
    None
}

use Event::{Begin, Deliver, Settle};

/// Given, taken away, given back; the acknowledgement of the first delivery comes during the second.
const GIVEN_BACK: &[Event] = &[Begin, Deliver(3), Begin, Deliver(3), Settle(0, 3), Settle(1, 3)];

/// The second of two is done first.
const OUT_OF_ORDER: &[Event] = &[Begin, Deliver(0), Deliver(1), Settle(0, 1), Settle(0, 0)];

#[test]
fn a_tracker_that_keeps_the_rules_is_never_ahead() {
    assert_eq!(ahead::<Tracker>(GIVEN_BACK), None);
    assert_eq!(ahead::<Tracker>(OUT_OF_ORDER), None);
}

#[test]
fn control_without_epochs_a_late_acknowledgement_commits_too_far() {
    assert_eq!(ahead::<IgnoresEpochs>(GIVEN_BACK), Some(4));
    assert_eq!(ahead::<IgnoresEpochs>(OUT_OF_ORDER), None, "it is the epoch alone");
}

#[test]
fn control_the_highest_instead_of_the_contiguous_commits_too_far() {
    assert_eq!(ahead::<CommitsTheHighest>(OUT_OF_ORDER), Some(2));
    assert_eq!(ahead::<CommitsTheHighest>(GIVEN_BACK), None, "it is the prefix alone");
}
