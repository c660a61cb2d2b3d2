//! Why a message was not accepted, a producer not built, a flush not finished.

use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;

use super::delivery::Unsent;
use crate::error::{is_refusal, needed};
use crate::{ClientError, ConfigProblems, MessageError, OutboxError};

/// The message was not accepted: nothing of it is kept, and nothing was written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The message cannot be put into bytes that read back.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Key, value and headers together are over `message_bytes_max`.
    #[error(
        "a message of {found} bytes for {topic} is over the limit of {max} (message.max.bytes)"
    )]
    TooLarge {
        /// Where it was to go.
        topic: String,
        /// Bytes of key, value and headers.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// No such topic, after having been asked for a while.
    #[error("the cluster has no topic {topic:?}; create it, or look for a misspelling")]
    UnknownTopic {
        /// The name that was given.
        topic: String,
    },
    /// A name that no topic can have.
    #[error("{topic:?}: {reason}")]
    TopicName {
        /// The name that was given.
        topic: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Only from `try_send`: the memory budget is used up, or others wait for it, or what is undelivered
    /// is being sent again.
    #[error("the producer's memory is full: accepted messages wait for the cluster")]
    Full,
    /// Only from `try_send`, which never waits: with an outbox a message is accepted once it is on disk,
    /// and that takes a wait.
    #[error("with an outbox a message is accepted once it is on disk: use send, or queue")]
    OutboxWaits,
    /// The outbox is full or its disk fails, and senders do not want to wait.
    #[error("not accepted: {reason}")]
    Outbox {
        /// Why.
        reason: String,
    },
    /// Nothing is accepted any more.
    #[error(transparent)]
    NotAccepting(#[from] NotAccepting),
    /// librdkafka did not take the message; the topic may be one that this client may not write to.
    #[error("no message for {topic} is taken: {}", why(*code))]
    Client {
        /// Where it was to go.
        topic: String,
        /// librdkafka's code.
        code: RDKafkaErrorCode,
    },
}

impl SendError {
    /// True when the same message may be accepted later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        matches!(
            self,
            Self::Full | Self::Outbox { .. } | Self::UnknownTopic { .. } | Self::Client { .. }
        )
    }

    /// True when the cluster does not let this client in, or not do that: user, password, certificates, or a
    /// right that is missing.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Client { code, .. } => is_refusal(*code),
            Self::NotAccepting(NotAccepting::Refused(_)) => true,
            _ => false,
        }
    }
}

/// Why a producer accepts nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAccepting {
    /// It was closed.
    #[error("the producer is closed")]
    Closed,
    /// librdkafka can't go on, and a new client would fail in the same way: the brokers are too old.
    #[error("the producer cannot go on: {0}")]
    Fatal(String),
    /// The cluster does not let this client in, or does not let it send.
    #[error("the producer cannot go on: {0}")]
    Refused(ClientError),
}

/// A producer could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigProblems),
    /// The outbox is in use, or can't be read or written.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The system gave no thread.
    #[error("no thread for the producer: {0}")]
    Thread(std::io::Error),
}

/// The time to flush was not long enough; what is outstanding goes on being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} not delivered after {waited:?}; {} on being sent",
    if *outstanding == 1 { "1 message is".to_owned() } else { format!("{outstanding} messages are") },
    if *outstanding == 1 { "it goes" } else { "they go" })]
pub struct FlushError {
    /// How many of the messages accepted before the flush are not reported.
    pub outstanding: usize,
    /// How long was waited.
    pub waited: Duration,
}

/// What a producer left behind when it closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "what was not sent is only said here"]
pub struct CloseReport {
    /// Accepted messages that were not delivered, in the order of acceptance. Empty with an outbox.
    pub unsent: Vec<Unsent>,
    /// Accepted messages that were not delivered and are safe in the outbox: they are sent once another
    /// producer opens it.
    pub kept: u64,
}

fn why(code: RDKafkaErrorCode) -> String {
    match code {
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            format!("not authorised ({code:?}); {}", needed(code))
        }
        _ => format!("{code:?}"),
    }
}
