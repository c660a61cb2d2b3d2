//! Fetch: answers at once when there is enough or something is wrong, else when there is or time is over.
//!
//! Without fetch sessions: each answer is whole and carries session id 0, which every client takes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest};
use kafka_protocol::messages::fetch_response::{
    FetchResponse, FetchableTopicResponse, PartitionData,
};

use super::Call;
use crate::state::State;
use crate::storage::Partition;

/// The response, after a wait of at most what the client asks for.
pub async fn fetch(call: &Call, request: &FetchRequest) -> FetchResponse {
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or_default());
    let until = Instant::now() + wait;
    if request.session_id != 0 && request.session_epoch > 0 {
        let error = ResponseError::FetchSessionIdNotFound.code();
        return FetchResponse::default().with_error_code(error);
    }
    let ready = |state: &mut State| ready(call, state, request).then(|| read(call, state, request));
    match call.core.wait(until, ready).await {
        Some(response) => response,
        None => read(call, &mut call.core.lock(), request),
    }
}

/// The answer that gives this error for every partition.
pub fn refused(request: &FetchRequest, error: ResponseError) -> FetchResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| failed(wanted, error));
        FetchableTopicResponse::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    FetchResponse::default().with_responses(topics.collect())
}

/// Whether there is enough to answer, or something that does not wait.
fn ready(call: &Call, state: &mut State, request: &FetchRequest) -> bool {
    let enough = usize::try_from(request.min_bytes).unwrap_or_default();
    let mut found = 0;
    let mut any = false;
    for topic in &request.topics {
        for wanted in &topic.partitions {
            any = true;
            let partition = state.led_by(
                call.node,
                &topic.topic,
                wanted.partition,
                wanted.current_leader_epoch,
            );
            let Ok(partition) = partition else { return true };
            if diverges(partition, wanted) {
                return true;
            }
            match partition.readable(wanted.fetch_offset, enough.max(1)) {
                Ok(bytes) => found += bytes,
                Err(_) => return true,
            }
        }
    }
    !any || found >= enough
}

fn read(call: &Call, state: &mut State, request: &FetchRequest) -> FetchResponse {
    // What one answer may hold besides: a client's 2 GiB are not promised to fit.
    let mut room = usize::try_from(request.max_bytes).unwrap_or_default().min(RESPONSE_BYTES_MAX);
    let mut empty = true;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let partition = state.led_by(
                call.node,
                &topic.topic,
                wanted.partition,
                wanted.current_leader_epoch,
            );
            let data = match partition {
                Ok(partition) => one(partition, wanted, room, empty),
                Err(error) => failed(wanted, error),
            };
            let bytes = data.records.as_ref().map_or(0, Bytes::len);
            empty &= bytes == 0;
            room = room.saturating_sub(bytes);
            partitions.push(data);
        }
        topics.push(
            FetchableTopicResponse::default()
                .with_topic(topic.topic.clone())
                .with_partitions(partitions),
        );
    }
    FetchResponse::default().with_responses(topics)
}

const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// The first batch of an answer may be over the limits, or a large one could never be read; the others
/// may not (KIP-74).
fn one(partition: &Partition, wanted: &FetchPartition, room: usize, first: bool) -> PartitionData {
    let data = PartitionData::default()
        .with_partition_index(wanted.partition)
        .with_high_watermark(partition.high_watermark())
        .with_last_stable_offset(partition.high_watermark())
        .with_log_start_offset(partition.log_start())
        .with_aborted_transactions(None);
    if let Some((epoch, end)) = divergence(partition, wanted) {
        let mut data = data.with_records(Some(Bytes::new()));
        data.diverging_epoch.epoch = epoch;
        data.diverging_epoch.end_offset = end;
        return data;
    }
    let max = usize::try_from(wanted.partition_max_bytes).unwrap_or_default().min(room);
    match partition.read(wanted.fetch_offset, max, first) {
        Ok(records) => data.with_records(Some(records)),
        Err(_) => failed(wanted, ResponseError::OffsetOutOfRange)
            .with_log_start_offset(partition.log_start()),
    }
}

fn failed(wanted: &FetchPartition, error: ResponseError) -> PartitionData {
    PartitionData::default()
        .with_partition_index(wanted.partition)
        .with_error_code(error.code())
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        .with_aborted_transactions(None)
        // Empty, not null: librdkafka takes null for a broken size.
        .with_records(Some(Bytes::new()))
}

fn diverges(partition: &Partition, wanted: &FetchPartition) -> bool {
    divergence(partition, wanted).is_some()
}

/// Where the client's log and this one part, when the client has read past what was truncated (KIP-595).
fn divergence(partition: &Partition, wanted: &FetchPartition) -> Option<(i32, i64)> {
    if wanted.last_fetched_epoch < 0 {
        return None;
    }
    let (epoch, end) = partition.epoch_end(wanted.last_fetched_epoch)?;
    (epoch < wanted.last_fetched_epoch || end < wanted.fetch_offset).then_some((epoch, end))
}
