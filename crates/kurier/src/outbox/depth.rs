//! How full an outbox is: what an operator watches.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;

use super::shared::{Outbox, Shared};
use crate::metrics::Histogram;

/// An outbox in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Depth {
    /// Messages that are not delivered.
    pub(crate) undelivered: u64,
    /// For how long the oldest of them has been there; none when there is none, or its time is not known.
    pub(crate) oldest: Option<Duration>,
    /// Bytes that count against the limit.
    pub(crate) bytes: u64,
    /// The limit.
    pub(crate) bytes_max: u64,
    /// Messages that no broker took, by this process or an earlier one.
    pub(crate) put_aside: u64,
}

/// Reads the depth of an outbox for as long as somebody has that open.
#[derive(Clone)]
pub(crate) struct DepthGauge(Weak<Shared>);

impl Outbox {
    pub(crate) fn depth_gauge(&self) -> DepthGauge {
        DepthGauge(Arc::downgrade(&self.shared))
    }
}

impl DepthGauge {
    /// The depth now, and how long writing takes. None when the outbox is closed.
    pub(crate) fn read<T>(&self, look: impl FnOnce(Depth, &Histogram) -> T) -> Option<T> {
        let shared = self.0.upgrade()?;
        let depth = shared.depth(Timestamp::now());
        Some(look(depth, &shared.writes))
    }
}

impl Shared {
    pub(super) fn depth(&self, now: Timestamp) -> Depth {
        let state = self.lock();
        let accepted = state.index.oldest().and_then(|oldest| state.ages.of(oldest));
        // The clock may have been set back.
        let age = |accepted| Duration::try_from(now.duration_since(accepted)).unwrap_or_default();
        Depth {
            undelivered: state.index.undelivered(),
            oldest: accepted.map(age),
            bytes: state.bytes + state.pending.len() as u64,
            bytes_max: self.bytes_max,
            put_aside: state.put_aside,
        }
    }
}

impl fmt::Debug for DepthGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DepthGauge")
    }
}
