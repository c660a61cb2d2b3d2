//! What a client observes of itself, shared with whoever asks.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Health, Observed};

/// Reads the health of one client: from any thread, at any time, also before it runs and after it has
/// ended. Cheap to clone; reading takes a lock that nobody holds for long.
#[derive(Clone, Default)]
pub struct HealthHandle(Arc<Mutex<Observed>>);

impl HealthHandle {
    /// How the client is now. What is said of a consumer is at most 100 ms old, unless its thread
    /// is silent, which is among the conditions once it has lasted for `stall_after`.
    pub fn now(&self) -> Health {
        self.observed().health(Instant::now())
    }

    /// Writes down what was observed.
    pub(crate) fn write(&self, write: impl FnOnce(&mut Observed)) {
        write(&mut self.observed());
    }

    /// What was observed is whole after any panic: it is replaced field by field.
    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for HealthHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HealthHandle").field(&self.now()).finish()
    }
}

/// The handle of a builder that is cloned by `derive`: the clone becomes another client, with a health
/// of its own.
#[derive(Debug, Default)]
pub(crate) struct OwnHandle(HealthHandle);

impl OwnHandle {
    pub(crate) fn get(&self) -> HealthHandle {
        self.0.clone()
    }
}

impl Clone for OwnHandle {
    fn clone(&self) -> Self {
        Self::default()
    }
}
