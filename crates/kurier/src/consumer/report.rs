//! How a consumer's run ended: the report, and the errors that end one.

use std::collections::BTreeMap;
use std::{fmt, io};

use crate::{
    BuildError, ClientError, ConfigProblems, DeadLetterTopicError, Offset, Position, TopicPartition,
};

/// What one run did, and what it left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumeReport {
    /// Messages handled, those included that came more than once.
    pub handled: u64,
    /// Messages that can't be handled whose copies are in the dead-letter topic, those included that came
    /// more than once. They count as handled for what is committed, and are not among `handled`.
    pub dead_lettered: u64,
    /// Failed attempts that were followed by another one.
    pub retried: u64,
    /// Messages handled after their partition was taken away: others are given them again.
    pub handled_too_late: u64,
    /// Partitions that went no further because of one message, in the order they stopped.
    pub stopped: Vec<StoppedPartition>,
    /// The last position the group stored for each partition this run committed.
    pub committed: BTreeMap<TopicPartition, Offset>,
    /// Positions of the partitions held to the end that the group did not store: what lies between is
    /// delivered again. What a rebalance took before the end is not in here, but the work of its next
    /// owner.
    pub uncommitted: BTreeMap<TopicPartition, Offset>,
    /// Messages whose handler was still at work when the run ended: they are delivered again.
    pub outstanding: u64,
    /// Messages given up whose copies were not known to be in the dead-letter topic when the run ended: they
    /// are delivered again. A copy that was on its way may be there all the same.
    pub unwritten_letters: Vec<Position>,
    /// Why the run ended.
    pub ended: Ended,
    /// Whether the client is closed.
    pub closed: Closed,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The caller asked for it.
    #[default]
    Shutdown,
    /// Every partition of this instance was read to the end it had at the start
    /// ([`exit_at_end`](super::ConsumerBuilder::exit_at_end)).
    AtEnd,
    /// No message came for as long as the caller wanted to wait
    /// ([`idle_exit`](super::ConsumerBuilder::idle_exit)).
    Idle,
    /// A partition stopped, and the run was to end with it ([`OnFailure::Exit`](super::OnFailure)).
    PartitionStopped,
    /// An error ended it; see [`ConsumeError`].
    Failed,
}

/// In words: because …
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shutdown => "it was asked to",
            Self::AtEnd => "the end was reached",
            Self::Idle => "no message came",
            Self::PartitionStopped => "a partition stopped",
            Self::Failed => "an error",
        })
    }
}

/// Whether the client was closed within the shutdown deadline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// The group was left and every thread has ended. After a fatal error, as a fenced instance's, there
    /// was no group to leave.
    #[default]
    Clean,
    /// No broker answered, and nothing was left to commit: the run did not wait for one to leave the group. A thread
    /// goes on closing; the group notices by the session timeout.
    NotLeft,
    /// The deadline passed first; a thread of this name goes on closing. The group notices by the
    /// session timeout at the latest.
    LeftBehind {
        /// The thread's name.
        thread: String,
        /// What it was waiting for.
        waiting_for: String,
    },
}

/// A partition that stopped at a message which can't be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoppedPartition {
    /// The partition. Nothing after `offset` was handled, or nothing that counts.
    pub partition: TopicPartition,
    /// The message. The group's position stays at or before it.
    pub offset: Offset,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it can't be handled.
    pub reason: String,
}

/// A run that could not begin, or that an error ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumeError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigProblems),
    /// The thread that owns the client could not be started.
    #[error("start the consumer's thread")]
    Thread(#[source] io::Error),
    /// The dead-letter topic is not there, or not fit for what it is for. Nothing was consumed.
    #[error(transparent)]
    DeadLetterTopic(#[from] DeadLetterTopicError),
    /// The producer of dead letters could not be made. Nothing was consumed.
    #[error("make the producer of dead letters")]
    DeadLetterProducer(#[source] BuildError),
    /// The cluster refused this consumer, or the client can't go on. What was handled until then was
    /// committed where that was still possible.
    #[error("the consumer can't go on")]
    Failed {
        /// Why.
        #[source]
        source: ClientError,
        /// What the run had done.
        report: Box<ConsumeReport>,
    },
}

impl ConsumeError {
    /// True when the same run may succeed later without a change by the caller.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Config(_) | Self::DeadLetterProducer(_) => false,
            Self::DeadLetterTopic(error) => error.is_retriable(),
            Self::Thread(_) => true,
            Self::Failed { source, .. } => source.is_retriable(),
        }
    }

    /// True when handlers may have been called before the error.
    pub fn may_have_been_applied(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::Thread(_)
            | Self::DeadLetterTopic(_)
            | Self::DeadLetterProducer(_) => false,
            Self::Failed { report, .. } => report.has_called(),
        }
    }
}

impl ConsumeReport {
    /// True when a handler may have been called. A message that could not be read counts too: the report does not tell
    /// it apart.
    fn has_called(&self) -> bool {
        let counts = [
            self.handled,
            self.dead_lettered,
            self.retried,
            self.handled_too_late,
            self.outstanding,
        ];
        counts.iter().any(|count| 0 < *count)
            || !self.stopped.is_empty()
            || !self.unwritten_letters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode;

    use super::*;
    use crate::PartitionId;

    #[test]
    fn each_trace_of_a_handler_says_that_it_may_have_been_called() {
        let partition = || TopicPartition::new("orders", PartitionId(0));
        let stopped = || StoppedPartition {
            partition: partition(),
            offset: Offset(0),
            attempts: 1,
            reason: String::new(),
        };
        let none = ConsumeReport::default;
        let traces = [
            ConsumeReport { handled: 1, ..none() },
            ConsumeReport { dead_lettered: 1, ..none() },
            ConsumeReport { retried: 1, ..none() },
            ConsumeReport { handled_too_late: 1, ..none() },
            ConsumeReport { outstanding: 1, ..none() },
            ConsumeReport { stopped: vec![stopped()], ..none() },
            ConsumeReport {
                unwritten_letters: vec![Position::new(partition(), Offset(0))],
                ..none()
            },
        ];
        let failed = |report| {
            let source = ClientError::from_code("consume", RDKafkaErrorCode::Fail, "");
            ConsumeError::Failed { source, report: Box::new(report) }.may_have_been_applied()
        };
        for report in traces {
            assert!(failed(report.clone()), "{report:?}");
        }
        assert!(!failed(none()));
        let placed = [(partition(), Offset(7))];
        assert!(!failed(ConsumeReport { committed: placed.clone().into(), ..none() }), "a start");
        assert!(!failed(ConsumeReport { uncommitted: placed.into(), ..none() }), "a start");
    }
}
