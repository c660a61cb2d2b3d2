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

/// The rules, and what is known towards them.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) rules: EndRules,
    /// Where each partition ended when the run began.
    pub(super) targets: BTreeMap<TopicPartition, Offset>,
    /// The last rebalance that was answered.
    turned: Option<Instant>,
    /// The last message that came or was handled.
    active: Instant,
}

impl Ends {
    pub(super) fn new(rules: EndRules) -> Self {
        Self { rules, targets: BTreeMap::new(), turned: None, active: Instant::now() }
    }

    /// Something came, or was handled.
    pub(super) fn active(&mut self) {
        if self.rules.idle.is_some() {
            self.active = Instant::now();
        }
    }

    /// A rebalance was answered.
    pub(super) fn turned(&mut self) {
        let now = Instant::now();
        if self.turned.is_none() {
            self.active = now;
        }
        self.turned = Some(now);
    }

    /// The rule that applies, if one does.
    pub(super) fn reached(
        &self,
        held: &HashMap<TopicPartition, Held>,
        tracker: &Tracker,
    ) -> Option<Ended> {
        let turned = self.turned?;
        if self.rules.at_end {
            let patient = held.is_empty() && turned.elapsed() < EMPTY_HANDED;
            if !patient && held.iter().all(|(name, held)| held.stopped || self.done(name, tracker))
            {
                return Some(Ended::AtEnd);
            }
        }
        let silence = self.rules.idle?;
        let at_work = held.values().any(|held| !held.stopped && 0 < held.waiting());
        (!at_work && silence <= self.active.elapsed()).then_some(Ended::Idle)
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
