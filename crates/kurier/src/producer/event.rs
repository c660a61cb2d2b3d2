//! What a producer tells besides deliveries.

use std::fmt;
use std::sync::Arc;

/// Something that happened to a producer. Each is said once, when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProducerEvent {
    /// No broker answers, or nothing was delivered for `stall_after`; accepted messages wait.
    WaitingForCluster {
        /// What librdkafka last said, or how long it has been silent.
        reason: String,
    },
    /// Messages are delivered again, or a broker answers again.
    ClusterBack,
    /// The producer can't go on; a new one has to be made.
    Fatal {
        /// Why.
        reason: String,
    },
}

/// A function that is told of `E`, if there is one. Called on the producer's own thread.
pub(super) struct Listener<E>(Option<Arc<Tell<E>>>);

type Tell<E> = dyn Fn(&E) + Send + Sync;

impl<E> Listener<E> {
    pub(super) fn new(listener: impl Fn(&E) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// The function.
    pub(super) fn get(&self) -> Option<&dyn Fn(&E)> {
        self.0.as_deref().map(|listener| listener as &dyn Fn(&E))
    }

    /// Tells the event, which is only made if someone listens.
    pub(super) fn tell(&self, event: impl FnOnce() -> E) {
        if let Some(listener) = &self.0 {
            listener(&event());
        }
    }
}

impl<E> Default for Listener<E> {
    fn default() -> Self {
        Self(None)
    }
}

impl<E> Clone for Listener<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> fmt::Debug for Listener<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Listener(Some)" } else { "Listener(None)" })
    }
}
