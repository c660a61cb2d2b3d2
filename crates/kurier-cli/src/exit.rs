//! Exit codes: one table, from which the help text is made.

use std::process::ExitCode;

use kurier::{ClientError, Condition, Health};
use rdkafka::error::RDKafkaErrorCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All done.
    Done,
    /// Some message or item failed.
    Failed,
    /// Usage or configuration.
    Usage,
    /// A check found loss.
    Loss,
    /// Work is left.
    Incomplete,
    /// No cluster.
    Unreachable,
    /// Not allowed.
    Unauthorized,
    /// Another process has this instance's name.
    Fenced,
    /// The cluster is not well, or a consumer is not.
    Unhealthy,
    /// A signal (its number), and nothing was left.
    Signal(u8),
}

/// Every code with its meaning.
pub const TABLE: &[(&str, &str)] = &[
    ("0", "all done"),
    (
        "1",
        "some message or item failed, and the rest is done; doctor found a danger; or the command itself failed",
    ),
    ("2", "usage or configuration"),
    ("3", "a check found loss, corruption, a commit too early, or messages out of order"),
    (
        "4",
        "incomplete: work was left, as the message says; what a rebalance took before is not left",
    ),
    ("5", "the cluster, or the process that probe asks, was not reachable in time"),
    ("6", "not let in or not allowed: user, password, certificates, or a right that is missing"),
    (
        "7",
        "fenced: another process has this instance's name; a restart would fence that one in turn",
    ),
    (
        "10",
        "the cluster, or the process that probe asks, is not healthy; or a consumer that did not get on was \
         ended: a restart may help",
    ),
    ("130, 143", "stopped by SIGINT or SIGTERM, with nothing left to do"),
];

impl Exit {
    /// What the process returns.
    pub fn code(self) -> ExitCode {
        ExitCode::from(self.number())
    }

    /// The same as a number.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Loss => 3,
            Self::Incomplete => 4,
            Self::Unreachable => 5,
            Self::Unauthorized => 6,
            Self::Fenced => 7,
            Self::Unhealthy => 10,
            Self::Signal(number) => 128 + number,
        }
    }

    /// The code for a consumer that was ill, by what it had. `None` for one that was not, and for one
    /// that ended with an error, which says more.
    pub fn of_health(health: &Health) -> Option<Self> {
        health.conditions.iter().find_map(|condition| match condition {
            Condition::Fenced { .. } => Some(Self::Fenced),
            Condition::ThreadSilent { .. } | Condition::ReadingStalled { .. } => {
                Some(Self::Unhealthy)
            }
            Condition::PartitionStopped(_) => Some(Self::Failed),
            _ => None,
        })
    }

    /// The code for an error, by what caused it.
    pub fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(by_cause).unwrap_or(Self::Failed)
    }
}

fn by_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    use kurier::DeadLetterTopicError::{Compacted, Missing};
    use kurier::{BuildError, ConfigProblems, ConsumeError, ReadError, ReplayError, SendError};
    use kurier_broker::{StartError, control::ControlError};
    let is_config = cause.is::<ConfigProblems>()
        || cause.is::<UsageError>()
        || matches!(cause.downcast_ref(), Some(BuildError::Config(_)))
        || matches!(cause.downcast_ref(), Some(ConsumeError::Config(_)))
        || matches!(
            cause.downcast_ref(),
            Some(ConsumeError::DeadLetterTopic(Missing { .. } | Compacted { .. }))
        )
        || matches!(cause.downcast_ref(), Some(ReadError::Config(_)))
        || matches!(
            cause.downcast_ref(),
            Some(ReplayError::OwnTopic { .. } | ReplayError::NoTarget { .. })
        )
        || matches!(cause.downcast_ref(), Some(StartError::Topic { .. }))
        || cause.is::<kurier_dashboard::StartError>()
        || is_no_outbox(cause);
    if is_config {
        return Some(Exit::Usage);
    }
    if cause.is::<Unanswered>() {
        return Some(Exit::Unreachable);
    }
    if let Some(SendError::TopicName { .. }) = cause.downcast_ref() {
        return Some(Exit::Usage);
    }
    if cause.downcast_ref().is_some_and(SendError::is_refused) {
        return Some(Exit::Unauthorized);
    }
    match cause.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. }) => Some(Exit::Unreachable),
        Some(ClientError::Unauthorized { .. } | ClientError::Denied(_)) => Some(Exit::Unauthorized),
        Some(ClientError::Kafka { code: RDKafkaErrorCode::InvalidTopic, .. }) => Some(Exit::Usage),
        _ if matches!(cause.downcast_ref(), Some(ControlError::Unreachable { .. })) => {
            Some(Exit::Unreachable)
        }
        _ => None,
    }
}

/// What was named as an outbox is none, and can't become one.
fn is_no_outbox(cause: &(dyn std::error::Error + 'static)) -> bool {
    use kurier::{BuildError, OutboxError};
    let outbox = match cause.downcast_ref() {
        Some(BuildError::Outbox(error)) => Some(error),
        _ => cause.downcast_ref::<OutboxError>(),
    };
    matches!(
        outbox,
        Some(
            OutboxError::NotAFolder { .. }
                | OutboxError::NoFolder { .. }
                | OutboxError::NoOutbox { .. }
        )
    )
}

/// The user asked for something that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// A topic that the cluster does not have.
#[derive(Debug, thiserror::Error)]
#[error("the cluster has no topic {topic:?}; {}`kurier topic list` shows those there are{}", self.hint(), self.way())]
pub struct NoTopic {
    /// The name that was given.
    pub topic: String,
    /// One that is there and much like it.
    pub near: Option<String>,
    /// Whoever named it may have it made, or wait for it.
    pub is_wanted: bool,
}

impl NoTopic {
    fn hint(&self) -> String {
        self.near.as_ref().map_or_else(String::new, |near| format!("{near:?}? "))
    }

    fn way(&self) -> String {
        let Self { topic, is_wanted, .. } = self;
        let way =
            || format!(", `kurier topic create {topic}` makes it, --wait-for-topic waits for it");
        if *is_wanted { way() } else { String::new() }
    }
}

/// Nobody answers where health should be served.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {reason}")]
pub struct Unanswered {
    /// Who was asked.
    pub address: String,
    /// What came of it.
    pub reason: String,
}

/// What librdkafka's words leave unsaid: it takes the beginning of a web server's answer for a size.
pub fn hint(error: &anyhow::Error) -> &'static str {
    let size = i32::from_be_bytes(*b"HTTP");
    if format!("{error:#}").contains(&format!("Invalid response size {size} ")) {
        "; what answers there speaks HTTP and is no broker: --bootstrap takes the address of Kafka's own listener"
    } else {
        ""
    }
}

/// The table as the help shows it.
pub fn help() -> String {
    let rows = TABLE.iter().map(|(code, meaning)| format!("  {code:<9} {meaning}\n"));
    format!("Exit codes:\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_a_consumer_had_is_its_exit_code() {
        let (reason, silent) = (String::new, Duration::ZERO);
        let topics = vec!["orders".to_owned()];
        let table = [
            (Condition::Fenced { reason: reason() }, Some(Exit::Fenced)),
            (Condition::ThreadSilent { silent }, Some(Exit::Unhealthy)),
            (Condition::Failed { reason: reason() }, None),
            (Condition::WaitingForCluster { reason: reason(), waited: silent }, None),
            (Condition::WaitingForTopics { topics }, None),
            (Condition::Ended(kurier::Ended::Shutdown), None),
        ];
        let mut health = Health::default();
        assert_eq!(Exit::of_health(&health), None);
        for (condition, exit) in table {
            health.conditions = vec![condition];
            assert_eq!(Exit::of_health(&health), exit, "{health}");
        }
    }
    #[test]
    fn whoever_is_not_let_in_or_may_not_send_ends_with_6() {
        use kurier::{NotAccepting, ReplayError, SendError};
        let client = |code| SendError::Client { topic: "orders".to_owned(), code };
        let denied = ClientError::Unauthorized {
            doing: "send".to_owned(),
            code: RDKafkaErrorCode::ClusterAuthorizationFailed,
        };
        let table = [
            (client(RDKafkaErrorCode::SSL), Exit::Unauthorized),
            (client(RDKafkaErrorCode::Authentication), Exit::Unauthorized),
            (client(RDKafkaErrorCode::TopicAuthorizationFailed), Exit::Unauthorized),
            (SendError::NotAccepting(NotAccepting::Refused(denied)), Exit::Unauthorized),
            (SendError::NotAccepting(NotAccepting::Closed), Exit::Failed),
            (client(RDKafkaErrorCode::QueueFull), Exit::Failed),
        ];
        for (error, exit) in table {
            let told = error.to_string();
            assert_eq!(Exit::of(&anyhow::Error::new(error.clone())), exit, "{told}");
            assert_eq!(Exit::of(&ReplayError::Send(error).into()), exit, "{told}");
        }
    }
}
