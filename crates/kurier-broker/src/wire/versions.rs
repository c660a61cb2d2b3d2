//! The APIs that a node speaks, and their versions. The answer to `ApiVersions`, the guard's schemas and
//! the dispatch all follow this table.

use kafka_protocol::messages::ApiKey;

use super::schema::{self, Schema};

/// One API.
#[derive(Debug)]
pub struct Api {
    /// Which one.
    pub key: ApiKey,
    /// The lowest version that is answered.
    pub min: i16,
    /// The lowest version that is advertised; lower than [`min`](Self::min) only for Produce.
    pub min_advertised: i16,
    /// The highest version that is answered.
    pub max: i16,
    /// What its requests look like.
    pub schema: &'static Schema,
}

const fn api(key: ApiKey, min: i16, max: i16, schema: &'static Schema) -> Api {
    Api { key, min, min_advertised: min, max, schema }
}

/// Every API that is spoken. What stands not here (transactions, the newer consumer protocol, ACLs,
/// …) is refused with `UNSUPPORTED_VERSION` by clients that look first, and
/// by closing the connection for those that do not, as Kafka does.
pub const APIS: &[Api] = &[
    // librdkafka looks for Produce 0 and without it silently turns compression off (KAFKA-18659).
    Api { min_advertised: 0, ..api(ApiKey::Produce, 3, 9, &schema::PRODUCE) },
    api(ApiKey::Fetch, 4, 12, &schema::FETCH),
    api(ApiKey::ListOffsets, 1, 7, &schema::LIST_OFFSETS),
    api(ApiKey::Metadata, 0, 12, &schema::METADATA),
    api(ApiKey::OffsetCommit, 2, 8, &schema::OFFSET_COMMIT),
    api(ApiKey::OffsetFetch, 1, 8, &schema::OFFSET_FETCH),
    api(ApiKey::FindCoordinator, 0, 4, &schema::FIND_COORDINATOR),
    api(ApiKey::JoinGroup, 0, 9, &schema::JOIN_GROUP),
    api(ApiKey::Heartbeat, 0, 4, &schema::HEARTBEAT),
    api(ApiKey::LeaveGroup, 0, 5, &schema::LEAVE_GROUP),
    api(ApiKey::SyncGroup, 0, 5, &schema::SYNC_GROUP),
    api(ApiKey::DescribeGroups, 0, 5, &schema::DESCRIBE_GROUPS),
    api(ApiKey::ListGroups, 0, 5, &schema::LIST_GROUPS),
    api(ApiKey::ApiVersions, 0, 4, &schema::API_VERSIONS),
    api(ApiKey::CreateTopics, 2, 7, &schema::CREATE_TOPICS),
    api(ApiKey::DeleteTopics, 1, 6, &schema::DELETE_TOPICS),
    api(ApiKey::DeleteRecords, 0, 2, &schema::DELETE_RECORDS),
    api(ApiKey::InitProducerId, 0, 4, &schema::INIT_PRODUCER_ID),
    api(ApiKey::OffsetForLeaderEpoch, 2, 4, &schema::OFFSET_FOR_LEADER_EPOCH),
    api(ApiKey::DescribeConfigs, 1, 4, &schema::DESCRIBE_CONFIGS),
    api(ApiKey::AlterConfigs, 0, 2, &schema::ALTER_CONFIGS),
    api(ApiKey::CreatePartitions, 0, 3, &schema::CREATE_PARTITIONS),
    api(ApiKey::DeleteGroups, 0, 2, &schema::DELETE_GROUPS),
    api(ApiKey::IncrementalAlterConfigs, 0, 1, &schema::INCREMENTAL_ALTER_CONFIGS),
    api(ApiKey::OffsetDelete, 0, 0, &schema::OFFSET_DELETE),
    api(ApiKey::DescribeCluster, 0, 1, &schema::DESCRIBE_CLUSTER),
];

/// The API with this number on the wire.
pub fn find(key: i16) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key as i16 == key)
}
