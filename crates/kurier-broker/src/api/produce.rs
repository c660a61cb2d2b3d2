//! Produce: one batch for each partition, and the wait for the in-sync replicas.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::{Call, text};
use crate::faults::FaultAction;
use crate::faults::rules::Refusal;
use crate::state::State;
use crate::storage::{AckState, Acks, AppendError, Appended, BatchError};

/// The response, `None` for a producer that wants none.
///
/// # Errors
/// When a producer that wants no answer has to be told something: closing the connection makes it ask
/// for metadata anew, as Kafka does it.
pub async fn produce(
    call: &Call,
    request: ProduceRequest,
) -> Result<Option<ProduceResponse>, ResponseError> {
    let wait = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or_default());
    let until = Instant::now() + wait;
    let acks = match request.acks {
        0 => Ok(Acks::None),
        1 => Ok(Acks::Leader),
        -1 => Ok(Acks::All),
        _ => Err(ResponseError::InvalidRequiredAcks),
    };
    let acks = match acks {
        Ok(_) if request.transactional_id.is_some() => {
            Err(ResponseError::TransactionalIdAuthorizationFailed)
        }
        acks => acks,
    };
    let mut writes = append_all(call, acks, request);
    if acks == Ok(Acks::All) {
        replicated(call, until, &mut writes).await;
    }
    if acks == Ok(Acks::None) {
        let failed = writes.iter().find_map(|write| write.result.as_ref().err());
        return failed.map_or(Ok(None), |failed| Err(failed.error));
    }
    Ok(Some(response(writes)))
}

/// The answer to writes of which a fault says that none was made.
pub fn refused(request: &ProduceRequest, refusal: &Refusal) -> ProduceResponse {
    let (message, records) = match &refusal.action {
        FaultAction::InvalidRecords { indexes, message } => {
            let records = indexes.iter().map(|index| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(*index)
                    .with_batch_index_error_message(Some(text(message)))
            });
            (Some(text("records of the batch are invalid")), records.collect())
        }
        _ => (None, Vec::new()),
    };
    let topics = request.topic_data.iter().map(|topic| {
        let partitions = topic.partition_data.iter().map(|partition| {
            let failed = Failed { error: refusal.error, message: message.clone() };
            failed.answer(partition.index).with_record_errors(records.clone())
        });
        TopicProduceResponse::default()
            .with_name(topic.name.clone())
            .with_partition_responses(partitions.collect())
    });
    ProduceResponse::default().with_responses(topics.collect())
}

struct Write {
    topic: TopicName,
    index: i32,
    result: Result<Appended, Failed>,
    /// Whether the result still depends on other replicas.
    waiting: bool,
}

struct Failed {
    error: ResponseError,
    message: Option<StrBytes>,
}

impl Failed {
    fn answer(self, index: i32) -> PartitionProduceResponse {
        PartitionProduceResponse::default()
            .with_index(index)
            .with_error_code(self.error.code())
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_error_message(self.message)
    }
}

impl From<ResponseError> for Failed {
    fn from(error: ResponseError) -> Self {
        Self { error, message: None }
    }
}

fn append_all(
    call: &Call,
    acks: Result<Acks, ResponseError>,
    request: ProduceRequest,
) -> Vec<Write> {
    call.core.change(|state| {
        let mut writes = Vec::new();
        for topic in request.topic_data {
            for partition in topic.partition_data {
                let result = acks.map_err(Failed::from).and_then(|acks| {
                    append(state, call, acks, &topic.name, partition.index, partition.records)
                });
                let waiting = acks == Ok(Acks::All) && result.is_ok();
                writes.push(Write {
                    topic: topic.name.clone(),
                    index: partition.index,
                    result,
                    waiting,
                });
            }
        }
        writes
    })
}

fn append(
    state: &mut State,
    call: &Call,
    acks: Acks,
    topic: &str,
    index: i32,
    records: Option<Bytes>,
) -> Result<Appended, Failed> {
    let partition = state.led_by(call.node, topic, index, -1)?;
    let records = records.unwrap_or_default();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let appended = partition.append(Instant::now(), since_1970, acks, records);
    let deadline = partition.next_deadline();
    state.laggard_due(deadline);
    appended.map_err(|error| Failed { error: kind(&error), message: Some(text(error.to_string())) })
}

/// Waits until every write is on all in-sync replicas, has failed, or the producer's time is over.
async fn replicated(call: &Call, until: Instant, writes: &mut [Write]) {
    let done = call.core.wait(until, |state| {
        for write in writes.iter_mut().filter(|write| write.waiting) {
            let Ok(appended) = &write.result else { continue };
            let Some(partition) = state.partition(&write.topic, write.index) else {
                write.result = Err(ResponseError::UnknownTopicOrPartition.into());
                write.waiting = false;
                continue;
            };
            match partition.ack_state(appended) {
                AckState::Waiting => continue,
                AckState::Done => {}
                AckState::LeaderMoved => {
                    write.result = Err(ResponseError::NotLeaderOrFollower.into());
                }
                AckState::TooFewReplicas => {
                    write.result = Err(ResponseError::NotEnoughReplicasAfterAppend.into());
                }
            }
            write.waiting = false;
        }
        writes.iter().all(|write| !write.waiting).then_some(())
    });
    if done.await.is_none() {
        for write in writes.iter_mut().filter(|write| write.waiting) {
            write.result = Err(ResponseError::RequestTimedOut.into());
        }
    }
}

fn response(writes: Vec<Write>) -> ProduceResponse {
    let mut topics: Vec<TopicProduceResponse> = Vec::new();
    for write in writes {
        let answer = match write.result {
            Ok(appended) => PartitionProduceResponse::default()
                .with_index(write.index)
                .with_base_offset(appended.base_offset)
                .with_log_start_offset(appended.log_start)
                .with_log_append_time_ms(appended.append_time.unwrap_or(-1))
                .with_error_message(None),
            Err(failed) => failed.answer(write.index),
        };
        match topics.last_mut() {
            Some(topic) if topic.name == write.topic => topic.partition_responses.push(answer),
            _ => topics.push(
                TopicProduceResponse::default()
                    .with_name(write.topic)
                    .with_partition_responses(vec![answer]),
            ),
        }
    }
    ProduceResponse::default().with_responses(topics)
}

fn kind(error: &AppendError) -> ResponseError {
    match error {
        AppendError::Batch(BatchError::Corrupt(_) | BatchError::Checksum) => {
            ResponseError::CorruptMessage
        }
        AppendError::Batch(BatchError::Format(_)) => ResponseError::UnsupportedForMessageFormat,
        AppendError::Batch(BatchError::Timestamp) => ResponseError::InvalidTimestamp,
        AppendError::Batch(BatchError::Invalid(_)) => ResponseError::InvalidRecord,
        AppendError::TooLarge { .. } => ResponseError::MessageTooLarge,
        AppendError::Future(_) => ResponseError::InvalidTimestamp,
        AppendError::OutOfOrder => ResponseError::OutOfOrderSequenceNumber,
        AppendError::OldEpoch => ResponseError::InvalidProducerEpoch,
        AppendError::NotEnoughReplicas { .. } => ResponseError::NotEnoughReplicas,
    }
}
