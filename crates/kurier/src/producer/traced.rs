//! Where senders are in a trace: a function of the caller's, which knows the tracing system.

use std::fmt;
use std::sync::Arc;

use crate::trace::TRACEPARENT;
use crate::{Headers, TraceContext};

/// The function, if there is one.
#[derive(Clone, Default)]
pub(super) struct TraceSource(Option<Arc<Ask>>);

type Ask = dyn Fn() -> Option<TraceContext> + Send + Sync;

impl TraceSource {
    pub(super) fn new(ask: impl Fn() -> Option<TraceContext> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(ask)))
    }

    /// Where the sender of a message with these headers is, unless they say so themselves.
    pub(super) fn beside(&self, headers: &Headers) -> Option<TraceContext> {
        let ask = self.0.as_ref()?;
        if headers.all(TRACEPARENT).next().is_some() { None } else { ask() }
    }
}

impl fmt::Debug for TraceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "TraceSource(Some)" } else { "TraceSource(None)" })
    }
}
