//! How lanes, librdkafka's threads and the caller reach the poll thread: one list and one bell.
//!
//! The list is bounded by what lanes hold: each letter settles a message that was delivered to a lane,
//! or says that a lane stops, or is its last, and letters that follow each other within a partition become one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StoppedPartition;
use crate::commit::{Completion, Epoch};
use crate::sys::Wake;
use crate::{Offset, TopicPartition};

/// Something the poll thread has to know.
#[derive(Debug)]
pub(super) enum Letter {
    /// A lane has dealt with these messages: all that were delivered to it within the offsets.
    Settled { completion: Completion, messages: usize, bytes: usize, how: How },
    /// A lane has met a message that can't be handled. It finishes what is in handlers' hands, and then ends.
    Stopped { epoch: Epoch, stopped: StoppedPartition },
    /// A lane has ended; it will not write again.
    Ended {
        partition: TopicPartition,
        epoch: Epoch,
        /// Messages that were in the handler's hands, if its future was dropped.
        at_work: usize,
        stopped: Option<StoppedPartition>,
        /// Messages that were given up, and whose dead letters are not acknowledged.
        unwritten: Vec<Offset>,
    },
}

/// How messages were dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By the handler.
    Handled,
    /// Their copies are in the dead-letter topic.
    DeadLettered,
}

/// How a run is told to end from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// Handlers at work may finish, until the instant.
    Orderly(Instant),
    /// Nobody waits for the run any more: handlers are dropped.
    Abandoned(Instant),
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    letters: Vec<Letter>,
    ending: Option<Ending>,
}

/// The poll thread's letter box.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    bell: Condvar,
}

impl Mailbox {
    /// Leaves a letter; `ring` when the poll thread should not wait for its next look, which is at most
    /// 50 ms away.
    pub(super) fn post(&self, letter: Letter, ring: bool) {
        let mut state = self.state();
        if !state.letters.last_mut().is_some_and(|last| joins(last, &letter)) {
            state.letters.push(letter);
        }
        self.ring_if(state, ring);
    }

    /// Wakes the poll thread.
    pub(super) fn ring(&self) {
        self.ring_if(self.state(), true);
    }

    /// The bell as a function, for librdkafka's queues.
    pub(super) fn wake(self: &Arc<Self>) -> Wake {
        let mailbox = Arc::clone(self);
        Arc::new(move || mailbox.ring())
    }

    /// Asks the run to end. The later kind of ending wins.
    pub(super) fn end(&self, ending: Ending) {
        let mut state = self.state();
        let harder = match (state.ending, ending) {
            (None, _) => true,
            (Some(Ending::Orderly(_)), Ending::Abandoned(_)) => true,
            (Some(_), _) => false,
        };
        if harder {
            state.ending = Some(ending);
        }
        self.ring_if(state, true);
    }

    /// What was asked for, if the run is to end.
    pub(super) fn ending(&self) -> Option<Ending> {
        self.state().ending
    }

    /// Appends all letters to `letters`; waits for the bell, at most `timeout`.
    pub(super) fn collect(&self, letters: &mut Vec<Letter>, timeout: Duration) {
        let mut state = self.state();
        if !timeout.is_zero() && !state.rung {
            state = self
                .bell
                .wait_timeout_while(state, timeout, |state| !state.rung)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.rung = false;
        letters.append(&mut state.letters);
    }

    fn ring_if(&self, mut state: MutexGuard<'_, State>, ring: bool) {
        if ring && !state.rung {
            state.rung = true;
            drop(state);
            self.bell.notify_one();
        }
    }

    /// The state is whole after any panic: each change is one assignment or one push.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True when `letter` went into `last`, which is the same lane's and lies right before it.
fn joins(last: &mut Letter, letter: &Letter) -> bool {
    if let Letter::Settled { completion: whole, messages, bytes, how } = last
        && let Letter::Settled { completion: part, messages: more, bytes: size, how: same } = letter
        && how == same
        && whole.epoch == part.epoch
        && whole.partition == part.partition
        && follows(whole.last, part.first)
    {
        whole.last = part.last;
        *messages += more;
        *bytes += size;
        return true;
    }
    false
}

/// A lane that handles in order settles ranges in order, but a batch may leave failed messages between
/// two ranges, and many keys at once end in any order: only neighbours by offset are joined.
fn follows(last: Offset, first: Offset) -> bool {
    last.next() == first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PartitionId;
    use crate::commit::Tracker;

    fn settled(epoch: Epoch, number: i32, first: i64, last: i64) -> Letter {
        let partition = TopicPartition::new("t", PartitionId(number));
        let (first, last) = (Offset(first), Offset(last));
        Letter::Settled {
            completion: Completion { partition, epoch, first, last },
            messages: 1,
            bytes: 10,
            how: How::Handled,
        }
    }

    #[test]
    fn neighbours_become_one_letter() {
        let epoch = Tracker::default().begin(TopicPartition::new("t", PartitionId(0)), None);
        let mailbox = Mailbox::default();
        for (number, first, last) in [(0, 1, 1), (0, 2, 3), (0, 5, 5), (1, 6, 6)] {
            mailbox.post(settled(epoch, number, first, last), false);
        }
        let mut letters = Vec::new();
        mailbox.collect(&mut letters, Duration::ZERO);
        let ranges: Vec<_> = letters
            .iter()
            .filter_map(|letter| match letter {
                Letter::Settled { completion, messages, bytes, .. } => {
                    Some((completion.first.0, completion.last.0, *messages, *bytes))
                }
                Letter::Stopped { .. } | Letter::Ended { .. } => None,
            })
            .collect();
        assert_eq!(ranges, [(1, 3, 2, 20), (5, 5, 1, 10), (6, 6, 1, 10)]);
    }

    #[test]
    fn the_bell_ends_a_wait_and_an_ending_only_gets_harder() {
        let mailbox = Arc::new(Mailbox::default());
        let ringer = mailbox.wake();
        let begun = Instant::now();
        let thread = std::thread::spawn(move || ringer());
        mailbox.collect(&mut Vec::new(), Duration::from_secs(60));
        assert!(begun.elapsed() < Duration::from_secs(30), "the bell was heard");
        thread.join().expect("it only rings");

        mailbox.end(Ending::Abandoned(begun));
        mailbox.end(Ending::Orderly(begun));
        assert_eq!(mailbox.ending(), Some(Ending::Abandoned(begun)));
    }
}
