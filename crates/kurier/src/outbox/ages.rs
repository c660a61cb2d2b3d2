//! When messages of an outbox were accepted: of so few that it fits into memory however long a cluster is
//! away, and exact enough to tell how old the oldest is. *Pure.*

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::frame::Sequence;

/// At the bound the marks are made twice as sparse: so the error is a thousandth of what they span.
const MARKS_MAX: usize = 1024;
/// Between two marks at first.
const STEP: Duration = Duration::from_millis(100);

/// Messages and the times of their acceptance, in order. What lies between two is as old as the one
/// before it, or a step less.
#[derive(Debug)]
pub(super) struct Ages {
    marks: VecDeque<(Sequence, Timestamp)>,
    step: Duration,
}

impl Default for Ages {
    fn default() -> Self {
        Self { marks: VecDeque::new(), step: STEP }
    }
}

impl Ages {
    /// A message was accepted at this time, and those behind it no earlier.
    pub(super) fn mark(&mut self, sequence: Sequence, at: Timestamp) {
        if self.marks.back().is_some_and(|(last, then)| sequence <= *last || at < *then + self.step)
        {
            return;
        }
        self.marks.push_back((sequence, at));
        if MARKS_MAX < self.marks.len() {
            self.thin();
        }
    }

    /// Nobody asks for anything before `oldest` any more.
    pub(super) fn forget_before(&mut self, oldest: Sequence) {
        while self.marks.get(1).is_some_and(|(next, _)| *next <= oldest) {
            self.marks.pop_front();
        }
        if self.marks.len() <= 1 {
            self.step = STEP;
        }
    }

    /// When this one was accepted, if that is known.
    pub(super) fn of(&self, sequence: Sequence) -> Option<Timestamp> {
        let behind = self.marks.partition_point(|(marked, _)| *marked <= sequence);
        Some(self.marks.get(behind.checked_sub(1)?)?.1)
    }

    fn thin(&mut self) {
        self.step *= 2;
        let mut kept: Option<Timestamp> = None;
        let step = self.step;
        self.marks.retain(|(_, at)| {
            let keep = kept.is_none_or(|kept| kept + step <= *at);
            kept = if keep { Some(*at) } else { kept };
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn a_message_is_as_old_as_the_mark_before_it() {
        let mut ages = Ages::default();
        assert_eq!(ages.of(Sequence(0)), None);
        for (sequence, millis) in [(5, 1_000), (6, 1_050), (8, 1_100), (9, 900), (20, 5_000)] {
            ages.mark(Sequence(sequence), at(millis));
        }
        for (sequence, known) in [
            (4, None),
            (5, Some(1_000)),
            (7, Some(1_000)),
            (8, Some(1_100)),
            (19, Some(1_100)),
            (20, Some(5_000)),
            (99, Some(5_000)),
        ] {
            assert_eq!(ages.of(Sequence(sequence)), known.map(at), "{sequence}");
        }
        ages.forget_before(Sequence(19));
        assert_eq!((ages.of(Sequence(7)), ages.of(Sequence(19))), (None, Some(at(1_100))));
    }

    /// An outage of ten days with a message every 100 ms.
    #[test]
    fn however_long_it_takes_marks_are_few_and_the_error_is_small() {
        let mut ages = Ages::default();
        let count = 10 * 24 * 3600 * 10_u64;
        for number in 0..count {
            ages.mark(Sequence(number), at(100 * number));
        }
        assert!(ages.marks.len() <= MARKS_MAX);
        for number in (0..count).step_by(99_991) {
            let told = ages.of(Sequence(number)).expect("it is marked");
            let error = at(100 * number).duration_since(told);
            assert!(!error.is_negative(), "never younger than it is");
            assert!(error.as_secs_f64() <= 0.003 * (count as f64 / 10.0), "{number}: {error:?}");
        }
        ages.forget_before(Sequence(count));
        assert_eq!((ages.marks.len(), ages.step), (1, STEP), "all is delivered: exact again");
    }
}
