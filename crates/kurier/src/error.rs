//! What can go wrong between this process and the cluster, as data.
//!
//! Errors of one surface stand beside it (the message, the producer, the consumers); this is the part
//! they share. Those of sending, consuming and asking the cluster answer an operator's questions: may I
//! retry, and may it have been applied?

use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;

use crate::Denial;

/// The cluster could not be reached, refused us, or answered with an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No broker answered in time.
    #[error("no broker of {bootstrap} answered within {waited:?}: {reason}")]
    Unreachable {
        /// The addresses that were tried.
        bootstrap: String,
        /// How long we waited.
        waited: Duration,
        /// What the client last said.
        reason: String,
    },
    /// No broker has let this client in, or none is one that it trusts, and at least one has said so.
    #[error("{0}")]
    Denied(Denial),
    /// The cluster does not let this client do that.
    #[error("{doing}: not authorised ({code:?}); {}", needed(*code))]
    Unauthorized {
        /// What was being done, as a fragment: "create topic orders".
        doing: String,
        /// The protocol's code.
        code: RDKafkaErrorCode,
    },
    /// The cluster, or librdkafka, answered with an error code.
    #[error("{doing}: {reason} ({code:?})")]
    Kafka {
        /// What was being done, as a fragment: "create topic orders".
        doing: String,
        /// The protocol's code, or librdkafka's own.
        code: RDKafkaErrorCode,
        /// The message that came with it.
        reason: String,
    },
}

impl ClientError {
    /// Sorts an error code into the variant an operator acts on.
    pub(crate) fn from_code(
        doing: impl Into<String>,
        code: RDKafkaErrorCode,
        reason: impl Into<String>,
    ) -> Self {
        use RDKafkaErrorCode as C;
        match code {
            C::TopicAuthorizationFailed
            | C::GroupAuthorizationFailed
            | C::ClusterAuthorizationFailed
            | C::TransactionalIdAuthorizationFailed
            | C::SaslAuthenticationFailed
            | C::Authentication => Self::Unauthorized { doing: doing.into(), code },
            _ => Self::Kafka { doing: doing.into(), code, reason: reason.into() },
        }
    }

    /// True when a topic that was asked for does not exist, or not yet as far as the broker knows.
    pub fn is_unknown_topic(&self) -> bool {
        matches!(self, Self::Kafka { code, .. } if is_unknown_topic(*code))
    }

    /// True when a group that was asked for does not exist.
    pub fn is_unknown_group(&self) -> bool {
        matches!(self, Self::Kafka { code: RDKafkaErrorCode::GroupIdNotFound, .. })
    }

    /// True when the same call may succeed later without a change by the caller.
    pub fn is_retriable(&self) -> bool {
        use RDKafkaErrorCode as C;
        match self {
            Self::Unreachable { .. } => true,
            Self::Denied(_) | Self::Unauthorized { .. } => false,
            Self::Kafka { code, .. } => matches!(
                code,
                C::BrokerTransportFailure
                    | C::AllBrokersDown
                    | C::Resolve
                    | C::OperationTimedOut
                    | C::RequestTimedOut
                    | C::LeaderNotAvailable
                    | C::NotLeaderForPartition
                    // A moment after an election (KIP-320, KIP-207).
                    | C::FencedLeaderEpoch
                    | C::UnknownLeaderEpoch
                    | C::OffsetNotAvailable
                    | C::NotEnoughReplicas
                    | C::NotEnoughReplicasAfterAppend
                    | C::CoordinatorNotAvailable
                    | C::CoordinatorLoadInProgress
                    | C::NotCoordinator
                    | C::NotController
                    | C::RebalanceInProgress
                    | C::NetworkException
            ),
        }
    }

    /// True when the cluster may have done what was asked although we got an error.
    pub fn may_have_been_applied(&self) -> bool {
        use RDKafkaErrorCode as C;
        match self {
            Self::Unreachable { .. } => true,
            Self::Denied(_) | Self::Unauthorized { .. } => false,
            Self::Kafka { code, .. } => matches!(
                code,
                C::BrokerTransportFailure
                    | C::OperationTimedOut
                    | C::RequestTimedOut
                    | C::NotEnoughReplicasAfterAppend
                    | C::NetworkException
            ),
        }
    }
}

/// True for what brokers and librdkafka say of a topic that is not there.
pub(crate) fn is_unknown_topic(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)
}

/// True for codes that say that the client is not let in, or may not do that: an operator can change it.
pub(crate) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        code,
        C::Authentication
            | C::SSL
            | C::TopicAuthorizationFailed
            | C::GroupAuthorizationFailed
            | C::ClusterAuthorizationFailed
    )
}

/// The rights that are missing, by what was refused (Kafka's documentation, "Authorization and ACLs").
pub(crate) fn needed(code: RDKafkaErrorCode) -> &'static str {
    use RDKafkaErrorCode as C;
    match code {
        C::TopicAuthorizationFailed => {
            "an ACL must allow it on the topic: WRITE to send, READ to consume, DESCRIBE to look, CREATE or DELETE"
        }
        C::GroupAuthorizationFailed => {
            "an ACL must allow it on the group: READ to consume, DESCRIBE to look"
        }
        C::ClusterAuthorizationFailed => {
            "an ACL must allow it: to send, WRITE on a topic (or IDEMPOTENT_WRITE on the cluster); else CREATE, ALTER or DESCRIBE on the cluster"
        }
        C::SaslAuthenticationFailed | C::Authentication => "check the user and the password",
        _ => "an ACL must allow it",
    }
}
