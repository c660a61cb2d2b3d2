//! ListOffsets, OffsetForLeaderEpoch, DeleteRecords.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest,
};
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use super::Call;
use crate::storage::{Partition, Stamp};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;

/// The offsets at points in time, the first, the last.
pub fn list(call: &Call, request: &ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
    let mut state = call.core.lock();
    listed(request, |topic, wanted| {
        let led =
            state.led_by(call.node, topic, wanted.partition_index, wanted.current_leader_epoch);
        let stamp = led.and_then(|partition| offset(partition, wanted))?;
        // Before version 4 there is no room for an epoch, and the codec refuses one.
        Ok(Stamp { epoch: if version < 4 { -1 } else { stamp.epoch }, ..stamp })
    })
}

/// The answer that gives this error for every partition.
pub fn refused_list(request: &ListOffsetsRequest, error: ResponseError) -> ListOffsetsResponse {
    listed(request, |_, _| Err(error))
}

fn listed(
    request: &ListOffsetsRequest,
    mut find: impl FnMut(&str, &ListOffsetsPartition) -> Result<Stamp, ResponseError>,
) -> ListOffsetsResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let answer = ListOffsetsPartitionResponse::default()
                .with_partition_index(wanted.partition_index);
            match find(&topic.name, wanted) {
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
    ended(request, |topic, wanted| {
        let led = state.led_by(call.node, topic, wanted.partition, wanted.current_leader_epoch)?;
        Ok(led.epoch_end(wanted.leader_epoch).unwrap_or((-1, -1)))
    })
}

/// The answer that gives this error for every partition.
pub fn refused_for_epoch(
    request: &OffsetForLeaderEpochRequest,
    error: ResponseError,
) -> OffsetForLeaderEpochResponse {
    ended(request, |_, _| Err(error))
}

fn ended(
    request: &OffsetForLeaderEpochRequest,
    mut find: impl FnMut(&str, &OffsetForLeaderPartition) -> Result<(i32, i64), ResponseError>,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let end = EpochEndOffset::default().with_partition(wanted.partition);
            match find(&topic.topic, wanted) {
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
        deleted(request, |topic, wanted| {
            let led = state.led_by(call.node, topic, wanted.partition_index, -1)?;
            led.delete_before(wanted.offset).map_err(|_| ResponseError::OffsetOutOfRange)
        })
    })
}

/// The answer that gives this error for every partition.
pub fn refused_delete(
    request: &DeleteRecordsRequest,
    error: ResponseError,
) -> DeleteRecordsResponse {
    deleted(request, |_, _| Err(error))
}

fn deleted(
    request: &DeleteRecordsRequest,
    mut delete: impl FnMut(&str, &DeleteRecordsPartition) -> Result<i64, ResponseError>,
) -> DeleteRecordsResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let deleted = delete(&topic.name, wanted);
            DeleteRecordsPartitionResult::default()
                .with_partition_index(wanted.partition_index)
                .with_error_code(super::code(&deleted))
                .with_low_watermark(deleted.unwrap_or(-1))
        });
        DeleteRecordsTopicResult::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

#[cfg(test)]
#[path = "offsets_tests.rs"]
mod tests;
