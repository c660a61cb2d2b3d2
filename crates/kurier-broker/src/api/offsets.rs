//! ListOffsets, OffsetForLeaderEpoch, DeleteRecords.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_request::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderEpochRequest;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use super::Call;
use crate::storage::{Partition, Stamp};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;

/// The offsets at points in time, the first, the last.
pub fn list(call: &Call, request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let mut state = call.core.lock();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let answer = ListOffsetsPartitionResponse::default()
                .with_partition_index(wanted.partition_index);
            let led = state.led_by(
                call.node,
                &topic.name,
                wanted.partition_index,
                wanted.current_leader_epoch,
            );
            match led.and_then(|partition| offset(partition, wanted)) {
                Ok(stamp) => answer
                    .with_offset(stamp.offset)
                    .with_timestamp(stamp.timestamp)
                    .with_leader_epoch(stamp.epoch),
                Err(error) => answer
                    .with_error_code(error.code())
                    .with_offset(-1)
                    .with_timestamp(-1)
                    .with_leader_epoch(-1),
            }
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn offset(partition: &Partition, wanted: &ListOffsetsPartition) -> Result<Stamp, ResponseError> {
    let at = |offset, epoch| Stamp { offset, timestamp: -1, epoch };
    let none = at(-1, -1);
    match wanted.timestamp {
        LATEST => Ok(at(partition.high_watermark(), partition.epoch())),
        EARLIEST => Ok(at(partition.log_start(), partition.epoch())),
        MAX_TIMESTAMP => Ok(partition.latest_timestamp().unwrap_or(none)),
        timestamp if timestamp >= 0 => Ok(partition.at_or_after(timestamp).unwrap_or(none)),
        _ => Err(ResponseError::UnsupportedVersion),
    }
}

/// Where leader epochs end: how a client learns that what it has read was truncated.
pub fn for_epoch(
    call: &Call,
    request: &OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut state = call.core.lock();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let led = state.led_by(
                call.node,
                &topic.topic,
                wanted.partition,
                wanted.current_leader_epoch,
            );
            let end = EpochEndOffset::default().with_partition(wanted.partition);
            match led.map(|partition| partition.epoch_end(wanted.leader_epoch).unwrap_or((-1, -1)))
            {
                Ok((epoch, offset)) => end.with_leader_epoch(epoch).with_end_offset(offset),
                Err(error) => {
                    end.with_error_code(error.code()).with_leader_epoch(-1).with_end_offset(-1)
                }
            }
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

/// Moves the starts of logs.
pub fn delete(call: &Call, request: &DeleteRecordsRequest) -> DeleteRecordsResponse {
    call.core.change(|state| {
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|wanted| {
                let led = state.led_by(call.node, &topic.name, wanted.partition_index, -1);
                let deleted = led.and_then(|partition| {
                    let deleted = partition.delete_before(wanted.offset);
                    deleted.map_err(|_| ResponseError::OffsetOutOfRange)
                });
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(wanted.partition_index)
                    .with_error_code(super::code(&deleted))
                    .with_low_watermark(deleted.unwrap_or(-1))
            });
            let partitions = partitions.collect();
            DeleteRecordsTopicResult::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions)
        });
        DeleteRecordsResponse::default().with_topics(topics.collect())
    })
}
