//! A quarter of an hour of one figure, at even steps, in a few hundred bytes. *Pure.*

use jiff::Timestamp;

use crate::view::Series;

/// Seconds between two values.
pub(crate) const STEP_SECONDS: i64 = 10;

/// How many values are kept: a quarter of an hour.
const VALUES_MAX: usize = 90;

/// The step that a moment lies in. Steps of all histories are the same, so that they can be added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step(i64);

impl Step {
    pub(crate) fn of(at: Timestamp) -> Self {
        Self(at.as_second().div_euclid(STEP_SECONDS))
    }
}

/// Values of the last steps. Single precision: these are for drawing, and there may be thousands.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct History {
    /// Oldest first; not a number where nothing was seen.
    values: Vec<f32>,
    /// The step of the last value.
    last: Option<Step>,
}

impl History {
    /// Enters what was seen in a step; the last of several in the same step counts. Steps in between
    /// in which nothing was seen stay empty. A clock that is set back by more than a step begins anew.
    pub(crate) fn enter(&mut self, at: Timestamp, value: Option<f64>) {
        let step = Step::of(at);
        let value = value.map_or(f32::NAN, |value| value as f32);
        if self.last.is_some_and(|last| step.0 < last.0 - 1) {
            *self = Self::default();
        }
        match self.last {
            Some(last) if step <= last => {
                if let Some(newest) = self.values.last_mut().filter(|_| !value.is_nan()) {
                    *newest = value;
                }
                return;
            }
            Some(last) => {
                let missed = usize::try_from(step.0 - last.0 - 1).unwrap_or(VALUES_MAX);
                for _ in 0..missed.min(VALUES_MAX) {
                    self.push(f32::NAN);
                }
            }
            None => {}
        }
        self.push(value);
        self.last = Some(step);
    }

    fn push(&mut self, value: f32) {
        if self.values.len() == VALUES_MAX {
            self.values.remove(0);
        }
        if self.values.len() == self.values.capacity() {
            let room = VALUES_MAX - self.values.len();
            let more = (self.values.len() / 2).max(6).min(room);
            self.values.reserve_exact(more);
        }
        self.values.push(value);
    }

    /// The last values, at most `count`, oldest first, up to `now`; none where nothing was seen.
    pub(crate) fn latest(&self, now: Timestamp, count: usize) -> Vec<Option<f64>> {
        let silent = self.last.map_or(0, |last| Step::of(now).0 - last.0);
        let silent = usize::try_from(silent).unwrap_or(0).min(count);
        let seen = self.values.len().min(count - silent);
        let values = self.values[self.values.len() - seen..].iter().map(|value| known(*value));
        values.chain(std::iter::repeat_n(None, silent)).collect()
    }

    /// As it is drawn.
    pub(crate) fn series(&self) -> Series {
        let until = self.last.and_then(|last| Timestamp::from_second(last.0 * STEP_SECONDS).ok());
        Series {
            until: until.unwrap_or(Timestamp::UNIX_EPOCH),
            step_seconds: STEP_SECONDS as f64,
            values: self.values.iter().map(|value| known(*value)).collect(),
        }
    }
}

fn known(value: f32) -> Option<f64> {
    (!value.is_nan()).then(|| f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000_000 + second).expect("in range")
    }

    fn history(entries: &[(i64, Option<f64>)]) -> History {
        let mut history = History::default();
        for (second, value) in entries {
            history.enter(at(*second), *value);
        }
        history
    }

    #[test]
    fn a_value_a_step_and_nothing_where_nothing_was_seen() {
        let of = |entries: &[_]| history(entries).series().values;
        assert_eq!(of(&[]), [None; 0]);
        assert_eq!(of(&[(0, Some(1.0)), (3, Some(2.0)), (12, Some(3.0))]), [Some(2.0), Some(3.0)]);
        assert_eq!(of(&[(0, Some(1.0)), (25, Some(2.0))]), [Some(1.0), None, Some(2.0)]);
        assert_eq!(
            of(&[(0, Some(0.0)), (10, None), (20, Some(0.0))]),
            [Some(0.0), None, Some(0.0)]
        );
        assert_eq!(of(&[(0, Some(1.0)), (4, None)]), [Some(1.0)], "seen once in the step");
        assert_eq!(of(&[(20, Some(1.0)), (0, Some(2.0))]), [Some(2.0)], "a clock that goes back");
        assert_eq!(history(&[(7, Some(1.0))]).series().until, at(0));
    }

    #[test]
    fn it_keeps_a_quarter_of_an_hour() {
        let entries: Vec<_> = (0..200).map(|step| (step * 10, Some(step as f64))).collect();
        let history = history(&entries);
        let values = history.series().values;
        assert_eq!((values.len(), values[0], values[89]), (90, Some(110.0), Some(199.0)));
        assert!(history.values.capacity() <= VALUES_MAX, "{}", history.values.capacity());
    }

    /// A copy has no room to spare, of however many values it is.
    #[test]
    fn a_copy_goes_on() {
        for count in 0..100 {
            let entries: Vec<_> = (0..count).map(|step| (step * 10, Some(1.0))).collect();
            let mut copy = history(&entries).clone();
            copy.enter(at(count * 10), Some(2.0));
            assert_eq!(copy.series().values.last(), Some(&Some(2.0)));
        }
    }

    #[test]
    fn a_long_silence_empties_it() {
        let mut history = history(&[(0, Some(1.0))]);
        history.enter(at(1_000_000), Some(2.0));
        let values = history.series().values;
        assert_eq!((values.len(), values[0], values[89]), (90, None, Some(2.0)));
    }

    /// Else nothing would be drawn for as long as the clock was set back.
    #[test]
    fn a_clock_that_is_set_back_far_empties_it() {
        let mut history = history(&[(0, Some(1.0)), (3_600, Some(2.0)), (0, Some(3.0))]);
        assert_eq!((history.series().values, history.series().until), (vec![Some(3.0)], at(0)));
        history.enter(at(10), Some(4.0));
        assert_eq!(history.series().values, [Some(3.0), Some(4.0)]);
    }

    #[test]
    fn the_latest_end_now() {
        let history = history(&[(0, Some(1.0)), (10, Some(2.0)), (20, Some(3.0))]);
        let latest = |now, count| history.latest(at(now), count);
        assert_eq!(latest(25, 2), [Some(2.0), Some(3.0)]);
        assert_eq!(latest(25, 9), [Some(1.0), Some(2.0), Some(3.0)]);
        assert_eq!(latest(45, 3), [Some(3.0), None, None]);
        assert_eq!(latest(900, 3), [None; 3]);
        assert_eq!(History::default().latest(at(0), 3), [None; 0]);
    }
}
