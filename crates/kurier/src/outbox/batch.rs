//! Messages that become safe together, and those who wait for that.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Why a message was not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotStored {
    /// There is no room, or the disk fails.
    #[error("{0}")]
    NoRoom(Arc<str>),
    /// The outbox takes nothing more.
    #[error("the outbox is closed")]
    Closed,
}

/// One batch.
#[derive(Debug, Default)]
pub(super) struct Batch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    outcome: Option<Result<(), NotStored>>,
    waiting: Vec<Waker>,
}

impl Batch {
    /// Answers all who wait.
    pub(super) fn resolve(&self, outcome: Result<(), NotStored>) {
        let waiting = {
            let mut state = self.lock();
            state.outcome = Some(outcome);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resolves when a message is stored. Dropped before, the message may be stored all the same.
#[derive(Debug)]
pub(crate) struct Acceptance(Arc<Batch>);

impl Acceptance {
    pub(super) fn of(batch: &Arc<Batch>) -> Self {
        Self(Arc::clone(batch))
    }
}

impl Future for Acceptance {
    type Output = Result<(), NotStored>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        // One task that waits for many of a batch is woken once.
        if !state.waiting.last().is_some_and(|last| last.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
