//! When a run ends by itself: at the end of what there was, or after a silence.
//!
//! It owns the rules; the poll thread asks it in every round.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::builder::EndRules;
use super::held::Held;
use super::report::Ended;
use crate::commit::Tracker;
use crate::{Offset, TopicPartition};

/// How long an instance that has no partition waits for one before it leaves at the end.
const EMPTY_HANDED: Duration = Duration::from_secs(3);
/// From this time between two looks on the process stood still, and what came meanwhile is not known.
const STANDSTILL: Duration = Duration::from_secs(1);

/// The rules, and what is known towards them.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) rules: EndRules,
    /// Where each partition ended when the run began.
    pub(super) targets: BTreeMap<TopicPartition, Offset>,
    /// The last share that the group gave, which may be an empty one. None while it is to say what the share is: before
    /// the first, and once all was taken away.
    given: Option<Instant>,
    /// The last message that came or was handled.
    active: Instant,
    looked: Instant,
}

impl Ends {
    pub(super) fn new(rules: EndRules, now: Instant) -> Self {
        Self { rules, targets: BTreeMap::new(), given: None, active: now, looked: now }
    }

    /// Something came, or was handled; or nothing could come.
    pub(super) fn active(&mut self) {
        if self.rules.idle.is_some() {
            self.active = Instant::now();
        }
    }

    /// The group has said which partitions are this instance's.
    pub(super) fn given(&mut self, now: Instant) {
        if self.given.is_none() {
            self.active = now;
        }
        self.given = Some(now);
    }

    /// The last partition was let go. That is no share without work: the next one may be the same again.
    pub(super) fn all_taken(&mut self) {
        self.given = None;
    }

    /// The rule that applies, if one does; `away` while no broker answers.
    pub(super) fn reached(
        &mut self,
        held: &HashMap<TopicPartition, Held>,
        tracker: &Tracker,
        away: bool,
        now: Instant,
    ) -> Option<Ended> {
        let still = now.saturating_duration_since(std::mem::replace(&mut self.looked, now));
        if STANDSTILL <= still {
            self.active = now.min(self.active + still);
        }
        let given = self.given?;
        if self.rules.at_end {
            let is_over = match held.is_empty() {
                true => !away && EMPTY_HANDED <= now.saturating_duration_since(given),
                false => held.iter().all(|(name, held)| held.stopped || self.done(name, tracker)),
            };
            if is_over {
                return Some(Ended::AtEnd);
            }
        }
        let silence = self.rules.idle?;
        let at_work = held.values().any(|held| !held.stopped && 0 < held.waiting());
        let silent = now.saturating_duration_since(self.active);
        (!at_work && silence <= silent).then_some(Ended::Idle)
    }

    /// The offset at which handing over `partition`'s messages ends, if it does.
    pub(super) fn hands_over_before(&self, partition: &TopicPartition) -> Option<Offset> {
        // A partition that was added since had nothing when the run began.
        let target = || self.targets.get(partition).copied().unwrap_or(Offset(0));
        self.rules.nothing_later.then(target)
    }

    /// True when everything of `partition` that the run waits for was read.
    pub(super) fn all_read(&self, partition: &TopicPartition, tracker: &Tracker) -> bool {
        let target = self.targets.get(partition);
        target.is_some_and(|target| tracker.reached(partition).is_some_and(|at| *target <= at))
    }

    fn done(&self, partition: &TopicPartition, tracker: &Tracker) -> bool {
        // A partition that was added since had nothing when the run began.
        let Some(target) = self.targets.get(partition) else { return true };
        tracker.position(partition).is_some_and(|position| *target <= position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Of an instance that holds nothing, looked at every 50 ms, as the poll thread does, from the begin of the run on.
    struct Empty {
        ends: Ends,
        now: Instant,
    }

    impl Empty {
        fn handed(at_end: bool, idle: Option<Duration>) -> Self {
            let now = Instant::now();
            Self { ends: Ends::new(EndRules { at_end, idle, ..EndRules::default() }, now), now }
        }

        /// What a look says after that time without one.
        fn frozen(&mut self, time: Duration, away: bool) -> Option<Ended> {
            self.now += time;
            self.ends.reached(&HashMap::new(), &Tracker::default(), away, self.now)
        }

        fn look(&mut self, time: Duration, away: bool) -> Option<Ended> {
            let until = self.now + time;
            while self.now < until {
                if let Some(ended) = self.frozen(Duration::from_millis(50), away) {
                    return Some(ended);
                }
            }
            None
        }
    }

    #[test]
    fn an_empty_share_is_the_end_and_one_that_was_taken_is_not() {
        let mut one = Empty::handed(true, None);
        assert_eq!(one.look(60 * SECOND, false), None, "the group has not answered");
        one.ends.given(one.now);
        assert_eq!(one.look(2 * SECOND, false), None, "a share may follow");
        one.ends.all_taken();
        assert_eq!(
            one.look(60 * SECOND, false),
            None,
            "lost, or revoked before the next assignment"
        );
        one.ends.given(one.now);
        assert_eq!(one.look(2 * SECOND, false), None, "a share may follow");
        assert_eq!(one.look(60 * SECOND, true), None, "nobody is there who would give one");
        assert_eq!(one.look(2 * SECOND, false), Some(Ended::AtEnd));
    }

    #[test]
    fn silence_counts_from_the_share_on_and_only_while_something_could_come() {
        let mut one = Empty::handed(false, Some(5 * SECOND));
        assert_eq!(one.look(60 * SECOND, false), None, "nothing can come yet");
        one.ends.given(one.now);
        assert_eq!(one.look(4 * SECOND, false), None);
        one.ends.all_taken();
        assert_eq!(one.look(60 * SECOND, false), None, "nothing can come any more");
        one.ends.given(one.now);
        assert_eq!(one.look(4 * SECOND, false), None, "the silence begins anew");
        assert_eq!(one.frozen(60 * SECOND, false), None, "what came meanwhile is not known");
        assert_eq!(one.look(2 * SECOND, false), Some(Ended::Idle));
    }
}
