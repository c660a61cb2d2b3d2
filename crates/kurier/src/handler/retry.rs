//! How often, and how long apart, a failed message is tried again. *Pure*: the random number comes
//! from the caller.

use std::fmt;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::{BoxError, Failure};

/// Attempts of one message, and the pauses between them.
///
/// A message is retried in its place: later messages of its partition wait, or with
/// [`Concurrency::PerKey`](crate::Concurrency::PerKey) those of its key; all others flow. The
/// pause before attempt *n* + 1 doubles with every attempt, from the shortest to the longest, and is
/// drawn from the upper half of that (jitter), so that many consumers do not strike a recovering
/// service at once.
///
/// The default is 5 attempts with pauses from 100 ms to 30 s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts: u32,
    shortest: Duration,
    longest: Duration,
    pub(crate) decides: Option<Decides>,
}

/// What a [`RetryPolicy`] makes of an error, see [`RetryPolicy::deciding`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Try again, as often and as far apart as the policy says.
    Retry,
    /// Try again after this pause, as often as the policy says.
    RetryAfter(Duration),
    /// Trying again is of no use: the message can't be handled.
    Reject,
}

/// The function that looks at errors.
#[derive(Clone)]
pub(crate) struct Decides(Arc<dyn Fn(&BoxError) -> Decision + Send + Sync>);

impl fmt::Debug for Decides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decides")
    }
}

impl PartialEq for Decides {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Decides {}

impl RetryPolicy {
    /// `attempts` in all (the first one included; 0 is taken as 1), with pauses that double within
    /// `pauses`. A range whose end lies before its start is a constant pause of its start.
    pub fn exponential(attempts: u32, pauses: RangeInclusive<Duration>) -> Self {
        let (shortest, longest) = pauses.into_inner();
        Self { attempts: attempts.max(1), shortest, longest: longest.max(shortest), decides: None }
    }

    /// One attempt: the first failure of a message stops its partition.
    pub fn never() -> Self {
        Self::exponential(1, Duration::ZERO..=Duration::ZERO)
    }

    /// Lets `decide` look at each error a handler fails with, to tell those that pass from those that stay:
    /// `error.downcast_ref::<MyError>()` says which one it is. Default: every error may pass.
    ///
    /// Where the handler itself has decided, with [`Failure::retry_after`] or [`Failure::reject`], it is
    /// not asked. A handler that panicked fails with an error that is only text. Should `decide` panic, the
    /// error may pass.
    pub fn deciding(
        mut self,
        decide: impl Fn(&BoxError) -> Decision + Send + Sync + 'static,
    ) -> Self {
        self.decides = Some(Decides(Arc::new(decide)));
        self
    }

    /// The same policy with another one's rule about errors.
    pub(crate) fn with(self, decides: Option<Decides>) -> Self {
        Self { decides, ..self }
    }

    /// The failure, with what the policy has decided about its error.
    pub(crate) fn decided(&self, failure: Failure) -> Failure {
        let Some(Decides(decide)) = &self.decides else { return failure };
        let Failure::Retry { after: None, source } = failure else { return failure };
        match catch_unwind(AssertUnwindSafe(|| decide(&source))) {
            Ok(Decision::Retry) => Failure::Retry { after: None, source },
            Ok(Decision::RetryAfter(pause)) => Failure::Retry { after: Some(pause), source },
            Ok(Decision::Reject) => {
                let reason = "trying again is of no use".to_owned();
                Failure::Reject { reason, source: Some(source) }
            }
            Err(_) => {
                tracing::error!(error = %source, "the function that decides about errors panicked");
                Failure::Retry { after: None, source }
            }
        }
    }

    /// Attempts in all, the first one included.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The shortest pause, before jitter.
    pub fn shortest(&self) -> Duration {
        self.shortest
    }

    /// The longest pause.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The pause after failed attempt number `attempt` (from 1), or `None` when that was the last one.
    /// `random` is uniform over all `u64`: the same number gives the same pause.
    pub fn pause_after(&self, attempt: u32, random: u64) -> Option<Duration> {
        if self.attempts <= attempt {
            return None;
        }
        let doublings = attempt.saturating_sub(1).min(31);
        let whole = self.shortest.saturating_mul(1 << doublings).min(self.longest);
        let fraction = (random >> 11) as f64 / (1_u64 << 53) as f64;
        Some(whole / 2 + (whole / 2).mul_f64(fraction))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::exponential(5, Duration::from_millis(100)..=Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn pauses_as_a_table() {
        let policy = RetryPolicy::exponential(6, ms(100)..=ms(1_000));
        // attempt that failed, random number, pause
        let table = [
            (1, 0, Some(ms(50))),
            (2, 0, Some(ms(100))),
            (3, 0, Some(ms(200))),
            (4, 0, Some(ms(400))),
            (5, 0, Some(ms(500))),
            (6, 0, None),
            (7, 0, None),
            (1, 1 << 63, Some(ms(75))),
            (5, 1 << 63, Some(ms(750))),
        ];
        for (attempt, random, pause) in table {
            assert_eq!(policy.pause_after(attempt, random), pause, "attempt {attempt}");
        }
    }

    #[test]
    fn errors_are_decided_by_their_class_unless_the_handler_has_decided() {
        let policy = RetryPolicy::default().deciding(|error| {
            if error.is::<std::num::ParseIntError>() {
                Decision::Reject
            } else if error.is::<fmt::Error>() {
                Decision::RetryAfter(ms(7))
            } else if error.to_string() == "odd" {
                panic!("no idea")
            } else {
                Decision::Retry
            }
        });
        let bad_number = || "x".parse::<u8>().expect_err("no number");
        let rejected = policy.decided(bad_number().into());
        assert_eq!(
            rejected.to_string(),
            "rejected: trying again is of no use: invalid digit found in string"
        );
        let after = |failure| match policy.decided(failure) {
            Failure::Retry { after, .. } => after,
            Failure::Reject { .. } => panic!("rejected"),
        };
        assert_eq!(after(fmt::Error.into()), Some(ms(7)));
        assert_eq!(after("odd".into()), None);
        assert_eq!(after("any other".into()), None);
        assert_eq!(after(Failure::retry_after(ms(3), bad_number())), Some(ms(3)));
        assert_eq!(policy, policy.clone());
        assert_ne!(policy, RetryPolicy::default());
    }

    #[test]
    fn odd_arguments_have_a_meaning() {
        let backwards = std::ops::RangeInclusive::new(ms(200), ms(100));
        let policy = RetryPolicy::exponential(0, backwards);
        assert_eq!(policy.attempts(), 1);
        assert_eq!(policy.pause_after(1, 0), None);
        assert_eq!(RetryPolicy::never().pause_after(1, 0), None);
        assert_eq!(RetryPolicy::default().attempts(), 5);
    }

    proptest! {
        #[test]
        fn a_pause_is_within_its_bounds(
            attempts in 1_u32..=u32::MAX, attempt in 1_u32..=u32::MAX, random: u64,
            shortest in 0_u64..1_000, extra in 0_u64..100_000,
        ) {
            let policy = RetryPolicy::exponential(attempts, ms(shortest)..=ms(shortest + extra));
            match policy.pause_after(attempt, random) {
                None => prop_assert!(attempts <= attempt),
                Some(pause) => {
                    prop_assert!(ms(shortest) / 2 <= pause && pause <= ms(shortest + extra));
                }
            }
        }
    }
}
