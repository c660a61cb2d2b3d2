//! What the application gives kurier: a handler for one message or for a batch, and its answers.
//!
//! It owns the traits, what a handler may answer, and the retry policy. When and where handlers run is
//! the consumers' affair.

mod attempt;
mod batch;
mod retry;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use attempt::{Attempted, attempt};
pub use batch::{Batch, Outcomes};
pub(crate) use retry::Decides;
pub use retry::{Decision, RetryPolicy};

use crate::Received;

/// Any error a handler may fail with.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// Why a handler did not handle a message.
///
/// Every error converts into [`Failure::Retry`], so `?` in a handler means "try again". `Failure` is
/// not an error type itself; that is what makes this conversion possible.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// Try again, as often as the [`RetryPolicy`] says.
    Retry {
        /// The pause before the next attempt, when the handler knows better than the policy.
        after: Option<Duration>,
        /// What went wrong.
        source: BoxError,
    },
    /// Trying again is of no use.
    Reject {
        /// Why, in words for the log and the report.
        reason: String,
        /// What went wrong underneath, if anything did.
        source: Option<BoxError>,
    },
}

impl Failure {
    /// Try again after the policy's pause.
    pub fn retry(source: impl Into<BoxError>) -> Self {
        Self::Retry { after: None, source: source.into() }
    }

    /// Try again after `pause`.
    pub fn retry_after(pause: Duration, source: impl Into<BoxError>) -> Self {
        Self::Retry { after: Some(pause), source: source.into() }
    }

    /// True when the handler did not answer but panic.
    pub(crate) fn is_panic(&self) -> bool {
        matches!(self, Self::Retry { source, .. } if source.is::<attempt::Panicked>())
    }

    /// Trying again is of no use: the message can't be handled.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject { reason: reason.into(), source: None }
    }
}

impl<E: Into<BoxError>> From<E> for Failure {
    fn from(source: E) -> Self {
        Self::retry(source)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry { source, .. } => write_chain(f, source.as_ref()),
            Self::Reject { reason, source: None } => write!(f, "rejected: {reason}"),
            Self::Reject { reason, source: Some(source) } => {
                write!(f, "rejected: {reason}: ")?;
                write_chain(f, source.as_ref())
            }
        }
    }
}

fn write_chain(f: &mut fmt::Formatter<'_>, error: &(dyn Error + 'static)) -> fmt::Result {
    write!(f, "{error}")?;
    let mut next = error.source();
    while let Some(source) = next {
        write!(f, ": {source}")?;
        next = source.source();
    }
    Ok(())
}

/// What a handler may know about the call it is in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    attempt: u32,
    membership: Arc<Membership>,
}

/// Who consumes: the same for every call of one consumer.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) group: String,
    pub(crate) instance: String,
}

impl Context {
    pub(crate) fn new(membership: Arc<Membership>) -> Self {
        Self { attempt: 1, membership }
    }

    pub(crate) fn at_attempt(&self, attempt: u32) -> Self {
        Self { attempt, membership: Arc::clone(&self.membership) }
    }

    /// Which attempt in this process this is, from 1. Above 1 only after a failure; a message that is
    /// redelivered after a crash or a rebalance starts again at 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The consumer group.
    pub fn group(&self) -> &str {
        &self.membership.group
    }

    /// This consumer's instance name.
    pub fn instance(&self) -> &str {
        &self.membership.instance
    }
}

/// Handles one message at a time, in order within a partition, partitions at the same time; or many keys of
/// a partition at once, each in order, see [`Concurrency`](crate::Concurrency).
///
/// Every `Fn(Arc<Received<M>>, Context) -> impl Future<Output = Result<(), Failure>> + Send` is one.
/// `Ok` means the message is handled and may be committed; an error or a panic means it is not.
///
/// # Cancel safety
/// The future is dropped before its end only if the run's future is dropped, or the shutdown deadline
/// has passed; the message was then not handled and is delivered again. A message may come more than
/// once, so handling it twice must be harmless.
pub trait Handler<M>: Send + Sync + 'static {
    /// Handles `message`.
    fn handle(
        &self,
        message: Arc<Received<M>>,
        context: Context,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl<M, F, Fut> Handler<M> for F
where
    M: Send + Sync + 'static,
    F: Fn(Arc<Received<M>>, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    fn handle(
        &self,
        message: Arc<Received<M>>,
        context: Context,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        self(message, context)
    }
}

/// Handles a batch of messages of one partition.
///
/// Every `Fn(Arc<Batch<M>>, Context) -> impl Future<Output = Result<Outcomes, Failure>> + Send` is one.
/// `Ok` answers message by message, with [`Batch::all_done`] or [`Batch::outcomes`]; `Err` answers for
/// all of them.
///
/// Messages that failed are retried in their place, as a smaller batch and in order, before any later
/// message of the partition; those that succeeded are settled and do not come again. Cancel safety is
/// that of [`Handler`].
pub trait BatchHandler<M>: Send + Sync + 'static {
    /// Handles `batch`.
    fn handle(
        &self,
        batch: Arc<Batch<M>>,
        context: Context,
    ) -> impl Future<Output = Result<Outcomes, Failure>> + Send;
}

impl<M, F, Fut> BatchHandler<M> for F
where
    M: Send + Sync + 'static,
    F: Fn(Arc<Batch<M>>, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcomes, Failure>> + Send,
{
    fn handle(
        &self,
        batch: Arc<Batch<M>>,
        context: Context,
    ) -> impl Future<Output = Result<Outcomes, Failure>> + Send {
        self(batch, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_mark_means_retry() {
        fn handler() -> Result<(), Failure> {
            let _: u8 = "x".parse::<u8>()?;
            Ok(())
        }
        let failure = handler().expect_err("x is no number");
        assert!(matches!(failure, Failure::Retry { after: None, .. }));
        assert_eq!(failure.to_string(), "invalid digit found in string");
    }

    #[test]
    fn a_failure_tells_its_whole_chain() {
        #[derive(Debug, thiserror::Error)]
        #[error("store order 7")]
        struct Outer(#[source] std::num::ParseIntError);
        let inner = "x".parse::<u8>().expect_err("x is no number");
        let failure = Failure::retry(Outer(inner));
        assert_eq!(failure.to_string(), "store order 7: invalid digit found in string");
        assert_eq!(Failure::reject("no such customer").to_string(), "rejected: no such customer");
    }
}
