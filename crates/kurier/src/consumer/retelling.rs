//! How often it is said that messages are tried again. *Pure.*
//!
//! A service that is down fails every message of a partition, again and again: that is worth one line now
//! and then, with how many there were since the last.

use std::time::{Duration, Instant};

/// What one partition has said of it.
#[derive(Debug, Default)]
pub(super) struct Retelling {
    said: Option<Instant>,
    unsaid: u64,
}

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(30);

impl Retelling {
    /// An attempt failed that is followed by another. When that is to be said: how many were not, since
    /// the last that was.
    pub(super) fn note(&mut self, now: Instant) -> Option<u64> {
        if self.said.is_some_and(|said| now < said + EVERY) {
            self.unsaid += 1;
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_then_one_of_many_with_their_number() {
        let (mut retelling, begun) = (Retelling::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let said = [0, 1, 29, 30, 31, 200].map(|seconds| retelling.note(at(seconds)));
        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
