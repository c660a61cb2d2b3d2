//! Which failed messages go out again, and whereto. Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

use super::OutgoingRecord;
use super::books::{Route, SlotId};
use super::topics::is_unknown;
use crate::sys::Blame;

/// What a failed delivery means for its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is not the message's fault: it goes out again.
    Again,
    /// It may be: it goes out again, in a batch of its own.
    Alone,
    /// Its topic or partition is not there: it goes out again if that was there before.
    Away,
    /// It failed.
    Final,
}

/// The fate of a message that failed with `code`.
///
/// It goes out again when its client could not go on: the errors of the idempotent producer's protocol
/// themselves (librdkafka's INTRODUCTION.md, "Error handling"), what they make librdkafka purge, and
/// the passing errors that librdkafka retries itself unless its producer id has changed since
/// (`rd_kafka_handle_idempotent_Produce_error`). So does the rest of a batch of which the broker
/// refused one record: it is certainly not written (KIP-467).
///
/// Without a deadline no message's time can be up: what librdkafka calls so was one request's.
pub(super) fn fate(code: RDKafkaErrorCode, blame: Blame, deadline: Option<Duration>) -> Fate {
    use RDKafkaErrorCode as C;
    match code {
        C::Fatal
        | C::PurgeQueue
        | C::PurgeInflight
        // Of a partition that went away with requests under way.
        | C::BrokerDestroy
        | C::OutOfOrderSequenceNumber
        | C::UnknownProducerId
        | C::InvalidProducerEpoch
        | C::ProducerFenced
        | C::Fenced
        | C::GaplessGuarantee
        | C::Inconsistent
        | C::InvalidDifferentRecord => Fate::Again,
        C::BrokerTransportFailure
        | C::Retry
        | C::LeaderNotAvailable
        | C::NotLeaderForPartition
        | C::RequestTimedOut
        | C::BrokerNotAvailable
        | C::ReplicaNotAvailable
        | C::NetworkException
        | C::KafkaStorageError
        | C::NotEnoughReplicas
        | C::NotEnoughReplicasAfterAppend
        | C::InvalidMessage => Fate::Again,
        C::MessageTimedOut if deadline.is_none() => Fate::Again,
        code if is_unknown(code) => Fate::Away,
        _ if blame == Blame::Unknown => Fate::Alone,
        _ => Fate::Final,
    }
}

/// True when another client would break in the same way: it is not allowed to do this, or the brokers
/// are too old.
pub(super) fn is_beyond_help(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        code,
        C::UnsupportedFeature
            | C::ClusterAuthorizationFailed
            | C::TransactionalIdAuthorizationFailed
            | C::InvalidTransactionTimeout
    )
}

/// A message that waits for the next client.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) slot: SlotId,
    pub(super) topic: Arc<str>,
    pub(super) record: OutgoingRecord,
    /// When it was sent first, or last time.
    pub(super) since: Instant,
    pub(super) company: Company,
}

/// Whether a message may share a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    Any,
    None,
}

/// Makes `record`, whose partition is the one it had, ready to go out again.
///
/// A partition that the sender gave stays. A key decides anew, as it does for the messages behind.
/// Without a key the partition that chance chose stays, since the messages before are there; only when
/// the topic went away chance chooses again, as the topic may come back with fewer partitions.
pub(super) fn rerouted(mut record: OutgoingRecord, route: Route, fate: Fate) -> OutgoingRecord {
    if route == Route::Chosen && (record.key.is_some() || fate == Fate::Away) {
        record.partition = None;
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PartitionId;

    #[test]
    fn keys_decide_anew_and_given_partitions_stay() {
        let record = |key: Option<&'static str>| OutgoingRecord {
            key: key.map(Into::into),
            partition: Some(PartitionId(3)),
            ..OutgoingRecord::default()
        };
        let partition = |key, route, fate| rerouted(record(key), route, fate).partition;
        assert_eq!(partition(Some("key"), Route::Chosen, Fate::Again), None);
        assert_eq!(partition(Some(""), Route::Chosen, Fate::Again), None, "an empty key is a key");
        for fate in [Fate::Again, Fate::Away] {
            assert_eq!(partition(Some("key"), Route::Given, fate), Some(PartitionId(3)));
            assert_eq!(partition(None, Route::Given, fate), Some(PartitionId(3)));
        }
        assert_eq!(partition(None, Route::Chosen, Fate::Again), Some(PartitionId(3)));
        assert_eq!(partition(None, Route::Chosen, Fate::Away), None);
    }

    #[test]
    fn what_the_broker_refuses_for_itself_fails_and_its_neighbours_do_not() {
        use RDKafkaErrorCode as C;
        for code in [C::InvalidRecord, C::MessageSizeTooLarge, C::TopicAuthorizationFailed] {
            assert_eq!(fate(code, Blame::Settled, None), Fate::Final);
            assert_eq!(fate(code, Blame::Unknown, None), Fate::Alone);
        }
        assert_eq!(fate(C::InvalidDifferentRecord, Blame::Settled, None), Fate::Again);
        assert_eq!(fate(C::UnknownTopic, Blame::Settled, None), Fate::Away);
        let deadline = Some(Duration::from_secs(1));
        assert_eq!(fate(C::MessageTimedOut, Blame::Settled, deadline), Fate::Final);
        assert_eq!(fate(C::MessageTimedOut, Blame::Settled, None), Fate::Again);
    }
}
