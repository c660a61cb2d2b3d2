//! What a reset does, partition by partition. Pure.

use kurier::{Offset, TopicPartition, Watermarks};

/// A partition as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    pub partition: TopicPartition,
    /// The next offset the group would read; None without a commit.
    pub committed: Option<Offset>,
    /// How far its log reaches.
    pub log: Watermarks,
}

/// Where the group is to go on in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    Earliest,
    Latest,
    /// Where it is, wherever that is.
    Current,
    Offset(Offset),
    /// So many offsets on from what is committed.
    Shift(i64),
}

/// A partition as it will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub present: Present,
    pub new: Offset,
    /// What was asked for, where the log has no such offset: `new` is the nearest that it has.
    pub asked: Option<Offset>,
}

impl Step {
    /// Kept within the log, but for where the group is now. None: there is nothing to go on from.
    pub fn of(present: Present, goal: Goal) -> Option<Self> {
        let Watermarks { earliest, end } = present.log;
        let wanted = match goal {
            Goal::Earliest => earliest,
            Goal::Latest => end,
            Goal::Current => {
                let new = present.committed?;
                return Some(Self { present, new, asked: None });
            }
            Goal::Offset(offset) => offset,
            Goal::Shift(by) => Offset(present.committed?.0.saturating_add(by)),
        };
        let new = wanted.max(earliest).min(end);
        Some(Self { present, new, asked: Some(wanted).filter(|wanted| *wanted != new) })
    }

    /// How far the group moves; None where it had no place.
    pub fn difference(&self) -> Option<i64> {
        Some(self.new.0 - self.present.committed?.0)
    }

    /// How far it is behind then.
    pub fn lag(&self) -> i64 {
        self.present.log.end.0 - self.new.0
    }
}

#[cfg(test)]
mod tests {
    use kurier::PartitionId;

    use super::*;

    fn present(committed: Option<i64>) -> Present {
        let log = Watermarks { earliest: Offset(10), end: Offset(100) };
        let partition = TopicPartition::new("orders", PartitionId(0));
        Present { partition, committed: committed.map(Offset), log }
    }

    #[test]
    fn each_goal_has_its_offset_within_the_log() {
        for (committed, goal, new, asked, difference, lag) in [
            (Some(50), Goal::Earliest, 10, None, Some(-40), 90),
            (Some(50), Goal::Latest, 100, None, Some(50), 0),
            (Some(50), Goal::Current, 50, None, Some(0), 50),
            (Some(50), Goal::Offset(Offset(70)), 70, None, Some(20), 30),
            (Some(50), Goal::Shift(-5), 45, None, Some(-5), 55),
            (None, Goal::Earliest, 10, None, None, 90),
            (None, Goal::Offset(Offset(70)), 70, None, None, 30),
            // What the log has not is the nearest that it has, and told.
            (Some(50), Goal::Offset(Offset(3)), 10, Some(3), Some(-40), 90),
            (Some(50), Goal::Offset(Offset(101)), 100, Some(101), Some(50), 0),
            (Some(50), Goal::Shift(-60), 10, Some(-10), Some(-40), 90),
            (Some(50), Goal::Shift(i64::MAX), 100, Some(i64::MAX), Some(50), 0),
            // A commit that the log has no more is a commit all the same.
            (Some(3), Goal::Current, 3, None, Some(0), 97),
        ] {
            let step = Step::of(present(committed), goal).expect("a place");
            let found = (step.new, step.asked, step.difference(), step.lag());
            let expected = (Offset(new), asked.map(Offset), difference, lag);
            assert_eq!(found, expected, "{committed:?} {goal:?}");
        }
    }

    #[test]
    fn without_a_commit_there_is_nothing_to_shift_or_keep() {
        for goal in [Goal::Current, Goal::Shift(1)] {
            assert_eq!(Step::of(present(None), goal), None);
        }
    }
}
