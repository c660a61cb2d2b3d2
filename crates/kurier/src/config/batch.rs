//! When a batch is full.

use std::time::Duration;

use super::ConfigProblem;
use super::options;

/// Whichever is first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchRules {
    pub(crate) count: usize,
    /// From its first message on.
    pub(crate) wait: Duration,
    pub(crate) bytes: usize,
}

impl Default for BatchRules {
    fn default() -> Self {
        Self {
            count: options::BATCH.default_count(),
            wait: options::BATCH_WAIT.default_time(),
            bytes: options::BATCH_BYTES.default_count(),
        }
    }
}

impl BatchRules {
    pub(crate) fn check(&self, problems: &mut Vec<ConfigProblem>) {
        options::BATCH.check_count(self.count, problems);
        options::BATCH_WAIT.check_time(self.wait, problems);
        options::BATCH_BYTES.check_count(self.bytes, problems);
    }
}
