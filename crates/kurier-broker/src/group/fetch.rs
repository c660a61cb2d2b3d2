//! OffsetFetch: what a group, or several, committed.
//!
//! Changes nothing. There are no transactions, so every offset is stable and `require_stable` asks
//! for nothing.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::offsets::Committed;
use super::refuse::{NO_EPOCH, NO_OFFSET};
use super::state::Group;

/// Answers a request for one group, before version 8. A group that does not exist committed nothing.
pub(super) fn fetch_one(
    group: Option<&Group>,
    request: &OffsetFetchRequest,
) -> OffsetFetchResponse {
    let asked = request.topics.as_ref().map(|topics| {
        topics.iter().map(|topic| (&topic.name, &topic.partition_indexes[..])).collect()
    });
    let topics = answers(group, asked).into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|answer| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(answer.partition)
                .with_committed_offset(answer.offset)
                .with_committed_leader_epoch(answer.leader_epoch)
                .with_metadata(Some(answer.metadata))
        });
        OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

/// Answers for one of several groups, from version 8 on.
pub(super) fn fetch_of_many(
    group: Option<&Group>,
    request: &OffsetFetchRequestGroup,
) -> OffsetFetchResponseGroup {
    let asked = request.topics.as_ref().map(|topics| {
        topics.iter().map(|topic| (&topic.name, &topic.partition_indexes[..])).collect()
    });
    let topics = answers(group, asked).into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|answer| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(answer.partition)
                .with_committed_offset(answer.offset)
                .with_committed_leader_epoch(answer.leader_epoch)
                .with_metadata(Some(answer.metadata))
        });
        OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions.collect())
    });
    OffsetFetchResponseGroup::default()
        .with_group_id(request.group_id.clone())
        .with_topics(topics.collect())
}

/// An error for one of several groups.
pub(super) fn refuse_one_of_many(
    request: &OffsetFetchRequestGroup,
    error: ResponseError,
) -> OffsetFetchResponseGroup {
    OffsetFetchResponseGroup::default()
        .with_group_id(request.group_id.clone())
        .with_error_code(error.code())
}

/// What is said of one partition, in any version.
struct Answer {
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: StrBytes,
}

impl Answer {
    fn new(partition: i32, committed: Option<&Committed>) -> Self {
        Self {
            partition,
            offset: committed.map_or(NO_OFFSET, |it| it.offset),
            leader_epoch: committed.map_or(NO_EPOCH, |it| it.leader_epoch),
            metadata: committed.map(|it| it.metadata.clone()).unwrap_or_default(),
        }
    }
}

/// The asked partitions, or all that have an offset when none are named.
fn answers(
    group: Option<&Group>,
    asked: Option<Vec<(&TopicName, &[i32])>>,
) -> Vec<(TopicName, Vec<Answer>)> {
    let Some(asked) = asked else {
        let all = group.into_iter().flat_map(|group| group.offsets.topics());
        return all
            .map(|(topic, partitions)| {
                let answers = partitions.iter().map(|(index, it)| Answer::new(*index, Some(it)));
                (StrBytes::from_string(topic.to_owned()).into(), answers.collect())
            })
            .collect();
    };
    asked
        .into_iter()
        .map(|(topic, partitions)| {
            let of = |index: i32| group.and_then(|group| group.offsets.get(topic, index));
            let answers = partitions.iter().map(|index| Answer::new(*index, of(*index)));
            (topic.clone(), answers.collect())
        })
        .collect()
}
