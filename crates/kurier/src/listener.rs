//! The function that a client tells its events to.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A function that is told of `E`, if there is one. It is called where it happened.
pub(crate) struct Listener<E>(Option<Arc<Tell<E>>>);

type Tell<E> = dyn Fn(&E) + Send + Sync;

impl<E: fmt::Debug> Listener<E> {
    /// One whose panics are logged: it may run on the thread that owns the client, which must outlive it.
    pub(crate) fn new(listener: impl Fn(&E) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(move |event: &E| {
            if catch_unwind(AssertUnwindSafe(|| listener(event))).is_err() {
                tracing::error!(?event, "the function that is told of this panicked");
            }
        })))
    }
}

impl<E> Listener<E> {
    /// The function.
    pub(crate) fn get(&self) -> Option<&dyn Fn(&E)> {
        self.0.as_deref().map(|listener| listener as &dyn Fn(&E))
    }

    /// Tells what is there already.
    pub(crate) fn tell_of(&self, event: &E) {
        if let Some(listener) = &self.0 {
            listener(event);
        }
    }

    /// Tells the event, which is only made if someone listens.
    pub(crate) fn tell(&self, event: impl FnOnce() -> E) {
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
