//! The state behind its lock, and the two signals: something changed, and an earlier deadline.
//!
//! Waiters look at the state themselves after each change; nothing is handed from one to another.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::faults::rules::Rules;
use crate::state::State;

/// What all connections of all nodes share.
#[derive(Debug)]
pub struct Core {
    state: Mutex<State>,
    faults: Mutex<Rules>,
    changed: Notify,
    sooner: Notify,
}

impl Core {
    /// Takes the state.
    pub fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            faults: Mutex::default(),
            changed: Notify::new(),
            sooner: Notify::new(),
        }
    }

    /// The state; never held across an await. A panic of another holder left whole entries, since each
    /// change is one call into a pure part.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The faults that were asked for; never held across an await, nor together with the state.
    pub fn faults(&self) -> MutexGuard<'_, Rules> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, wakes those who wait for it, and sees that the clock wakes in time.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let next = state.next_deadline();
        let wakes = state.wakes;
        drop(state);
        self.changed.notify_waiters();
        if next.is_some_and(|next| wakes.is_none_or(|wakes| next < wakes)) {
            self.sooner.notify_one();
        }
        result
    }

    /// Waits until `look` finds what it looks for or `until` has come, looking again after each change.
    pub async fn wait<T>(
        &self,
        until: Instant,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let mut timer = std::pin::pin!(tokio::time::sleep_until(until.into()));
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before the look, so that no change falls between.
            changed.as_mut().enable();
            if let Some(found) = look(&mut self.lock()) {
                return Some(found);
            }
            tokio::select! {
                () = changed => {}
                () = &mut timer => return None,
            }
        }
    }

    /// Lets time pass for the state, until dropped.
    pub async fn run_clock(&self) {
        loop {
            let next = {
                let mut state = self.lock();
                state.wakes = state.next_deadline();
                state.wakes
            };
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.change(|state| state.tick(Instant::now())),
                () = self.sooner.notified() => {}
            }
        }
    }
}
