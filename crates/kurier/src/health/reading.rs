//! Whether reading a partition gets on. *Pure.*
//!
//! Silence alone proves nothing: an idle topic is silent. Only the partition's leader can say that
//! there is more, and it has to be asked: the end that librdkafka keeps for itself is what the last
//! fetch brought, and when fetching has silently stopped, it stands still too. So a partition that is
//! silent is asked about now and then, and reading has stalled when nothing was read for the whole of
//! `stall_after`, while every answer within that time said that there is more.
//!
//! No answer counts as nothing to read: a leader that does not answer is no fault of this process.

use std::time::{Duration, Instant};

use crate::Offset;

/// One partition's reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Since when nothing says that reading gets on.
    since: Instant,
    /// Where the partition ends, if the last answer since then lay beyond what was read.
    behind: Option<Offset>,
}

impl Reading {
    /// Reading begins.
    pub(crate) fn begun(now: Instant) -> Self {
        Self { since: now, behind: None }
    }

    /// Something was read; or nothing is to be read, for the lane has no room; or nobody knows whether
    /// there is something.
    pub(crate) fn gets_on(&mut self, now: Instant) {
        *self = Self::begun(now);
    }

    /// The leader says where the partition ends; reading has reached `reached`, if it has begun.
    pub(crate) fn ends_at(&mut self, end: Offset, reached: Option<Offset>, now: Instant) {
        if reached.unwrap_or(Offset(0)) < end {
            self.behind = Some(end);
        } else {
            self.gets_on(now);
        }
    }

    /// For how long nothing has said that it gets on.
    pub(crate) fn silent(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Where the partition ends, if reading has stalled.
    pub(crate) fn stalled(&self, stall_after: Duration, now: Instant) -> Option<Offset> {
        self.behind.filter(|_| stall_after <= self.silent(now))
    }
}
