//! Whose turn it is to be looked at: each group in turn, with those that do not answer at the back, so
//! that they never keep the others from being looked at. *Pure.*

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many groups are looked at at once.
pub(crate) const AT_ONCE: usize = 16;

/// How many of these may be groups that did not answer.
const FAILING_AT_ONCE: usize = 6;

/// How long a group that does not answer is left alone at most.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// The turns of all groups.
#[derive(Debug)]
pub(crate) struct Turns {
    every: Duration,
    groups: BTreeMap<Arc<str>, Turn>,
    under_way: usize,
    failing_under_way: usize,
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    due: Instant,
    /// How often in a row it did not answer.
    failed: u32,
    under_way: bool,
}

impl Turns {
    /// Each group is due so long after it was looked at.
    pub(crate) fn every(every: Duration) -> Self {
        Self { every, groups: BTreeMap::new(), under_way: 0, failing_under_way: 0 }
    }

    /// Takes in which groups there are: new ones are due at once.
    pub(crate) fn list<'a>(&mut self, now: Instant, names: impl Iterator<Item = &'a Arc<str>>) {
        let mut old = std::mem::take(&mut self.groups);
        for name in names {
            let new = Turn { due: now, failed: 0, under_way: false };
            let turn = old.remove(name).unwrap_or(new);
            self.groups.insert(Arc::clone(name), turn);
        }
        // One that is gone ends as if it was never there.
        for turn in old.into_values().filter(|turn| turn.under_way) {
            self.ends(turn.failed);
        }
    }

    /// The group that has been due for longest, if one more may be looked at; it is under way then.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Arc<str>> {
        if AT_ONCE <= self.under_way {
            return None;
        }
        let failing_too = self.failing_under_way < FAILING_AT_ONCE;
        let due = self.groups.iter_mut().filter(|(_, turn)| {
            !turn.under_way && turn.due <= now && (turn.failed == 0 || failing_too)
        });
        let (name, turn) = due.min_by_key(|(_, turn)| (turn.failed != 0, turn.due))?;
        turn.under_way = true;
        self.under_way += 1;
        self.failing_under_way += usize::from(turn.failed != 0);
        Some(Arc::clone(name))
    }

    /// A look has ended.
    pub(crate) fn ended(&mut self, now: Instant, name: &str, answered: bool) {
        let Some(turn) = self.groups.get_mut(name).filter(|turn| turn.under_way) else { return };
        let failed = turn.failed;
        turn.under_way = false;
        turn.failed = if answered { 0 } else { failed.saturating_add(1) };
        turn.due = now + (self.every * (1 << turn.failed.min(4))).min(PAUSE_MAX.max(self.every));
        self.ends(failed);
    }

    /// When the next group becomes due. One that is due already waits for another to end.
    pub(crate) fn wakes(&self, now: Instant) -> Option<Instant> {
        let waiting = self.groups.values().filter(|turn| !turn.under_way && now < turn.due);
        waiting.map(|turn| turn.due).min()
    }

    fn ends(&mut self, failed: u32) {
        self.under_way -= 1;
        self.failing_under_way -= usize::from(failed != 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(3);

    fn names(count: usize) -> Vec<Arc<str>> {
        (0..count).map(|number| format!("g{number:03}").into()).collect()
    }

    fn all_due(turns: &mut Turns, now: Instant) -> Vec<Arc<str>> {
        std::iter::from_fn(|| turns.next(now)).collect()
    }

    #[test]
    fn so_many_at_once_and_each_in_turn() {
        let (now, names, mut turns) = (Instant::now(), names(40), Turns::every(EVERY));
        turns.list(now, names.iter());
        let first = all_due(&mut turns, now);
        assert_eq!(first, names[..AT_ONCE]);
        turns.ended(now, &first[0], true);
        assert_eq!(all_due(&mut turns, now), [Arc::clone(&names[AT_ONCE])]);
        for name in &first[1..] {
            turns.ended(now, name, true);
        }
        assert_eq!(all_due(&mut turns, now), names[AT_ONCE + 1..2 * AT_ONCE]);
        assert_eq!(turns.wakes(now), Some(now + EVERY));
    }

    #[test]
    fn one_that_answered_is_due_after_a_while() {
        let (now, names, mut turns) = (Instant::now(), names(1), Turns::every(EVERY));
        turns.list(now, names.iter());
        assert_eq!(turns.next(now).as_ref(), Some(&names[0]));
        assert_eq!((turns.next(now), turns.wakes(now)), (None, None), "under way");
        turns.ended(now, "g000", true);
        assert_eq!((turns.next(now), turns.wakes(now)), (None, Some(now + EVERY)));
        assert_eq!(turns.next(now + EVERY).as_ref(), Some(&names[0]));
    }

    #[test]
    fn those_that_do_not_answer_leave_room_for_the_others() {
        let (mut now, names, mut turns) = (Instant::now(), names(40), Turns::every(EVERY));
        turns.list(now, names[..30].iter());
        loop {
            let due = all_due(&mut turns, now);
            if due.is_empty() {
                break;
            }
            due.iter().for_each(|name| turns.ended(now, name, false));
        }
        now += PAUSE_MAX;
        turns.list(now, names.iter());
        let due = all_due(&mut turns, now);
        assert_eq!(due[..10], names[30..], "those that were never asked come first");
        assert_eq!(due.len(), 10 + FAILING_AT_ONCE);
    }

    #[test]
    fn one_that_does_not_answer_is_asked_less_and_less_often() {
        let (mut now, names, mut turns) = (Instant::now(), names(1), Turns::every(EVERY));
        turns.list(now, names.iter());
        for seconds in [6, 12, 15, 15] {
            assert!(turns.next(now).is_some());
            turns.ended(now, "g000", false);
            let due = now + Duration::from_secs(seconds);
            assert_eq!(turns.wakes(now), Some(due));
            now = due;
        }
        assert!(turns.next(now).is_some());
        turns.ended(now, "g000", true);
        assert_eq!(turns.wakes(now), Some(now + EVERY));
    }

    #[test]
    fn one_that_is_gone_gives_its_place_back() {
        let (now, names, mut turns) = (Instant::now(), names(2), Turns::every(EVERY));
        turns.list(now, names.iter());
        assert_eq!(all_due(&mut turns, now).len(), 2);
        turns.list(now, names[1..].iter());
        turns.ended(now, "g000", true);
        assert_eq!((turns.under_way, turns.groups.len()), (1, 1));
        turns.ended(now, "g001", true);
        assert_eq!((turns.under_way, turns.failing_under_way), (0, 0));
    }
}
