//! What a fault makes of a request: it waits, is answered with an error in the API's own place for
//! errors, or loses its connection before or after it was processed.
//!
//! The handlers know nothing of this. A request of which only one topic is refused goes to its handler
//! without that topic, and the two answers are put together.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    ApiKey, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest,
    DeleteTopicsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest,
    OffsetForLeaderEpochRequest, ProduceRequest,
};

use super::by_topic::ByTopic;
use super::{
    Call, Refused, altering, configs, decode, encode, groups, handled, metadata, producers,
    versions,
};
use crate::faults::rules::{Ending, Facts, Refusal};
use crate::wire::frame::{self, Request};

/// The frame that answers a request, after the faults that are for it; `None` when it wants no answer.
///
/// # Errors
/// When the connection is to be closed.
pub async fn answer(call: &Call, request: Request) -> Result<Option<Bytes>, Refused> {
    if !call.core.faults().concern(request.key) {
        return handled(call, request).await;
    }
    let facts = Facts {
        api: request.key,
        node: call.node,
        client: &request.client_id,
        topics: topics(call, &request)?,
    };
    let plan = call.core.faults().judge(&facts);
    tokio::time::sleep(plan.delay).await;
    if plan.ending == Ending::Drop {
        return Err(Refused::Fault);
    }
    let answer = with_errors(call, request, &plan.refusals).await?;
    if plan.ending == Ending::DropReply { Err(Refused::Fault) } else { Ok(answer) }
}

/// Does what `$by_topic` says with `$kind` as the request's type, or what `$metadata` or `$other` say.
macro_rules! by_kind {
    ($key:expr, $kind:ident => $by_topic:expr, $metadata:expr, $other:expr) => {
        by_kind!(@ $key, $kind => $by_topic, $metadata, $other;
            Produce ProduceRequest, Fetch FetchRequest, ListOffsets ListOffsetsRequest,
            OffsetCommit OffsetCommitRequest, CreateTopics CreateTopicsRequest,
            DeleteTopics DeleteTopicsRequest, DeleteRecords DeleteRecordsRequest,
            OffsetForLeaderEpoch OffsetForLeaderEpochRequest,
            CreatePartitions CreatePartitionsRequest)
    };
    (@ $key:expr, $kind:ident => $by_topic:expr, $metadata:expr, $other:expr; $($api:ident $type:ty),*) => {
        match $key {
            $(ApiKey::$api => { type $kind = $type; $by_topic })*
            ApiKey::Metadata => $metadata,
            _ => $other,
        }
    };
}

fn topics(call: &Call, request: &Request) -> Result<Option<Vec<String>>, Refused> {
    Ok(by_kind!(request.key,
        Kind => Some(decode::<Kind>(request)?.topics()),
        Some(metadata::topics(&metadata::metadata(call, &decode(request)?, request.version))),
        None
    ))
}

async fn with_errors(
    call: &Call,
    request: Request,
    refusals: &[Refusal],
) -> Result<Option<Bytes>, Refused> {
    let Some(first) = refusals.first() else { return handled(call, request).await };
    by_kind!(request.key,
        Kind => part_by_part::<Kind>(call, request, refusals).await,
        {
            let asked: MetadataRequest = decode(&request)?;
            let mut response = metadata::metadata(call, &asked, request.version);
            metadata::refuse(&mut response, &asked, request.version, refusals);
            Ok(Some(encode(&request, &response)?))
        },
        refused(call, &request, first.error).map(Some)
    )
}

/// The answer of which some topics are refused and the others processed.
async fn part_by_part<R: ByTopic>(
    call: &Call,
    request: Request,
    refusals: &[Refusal],
) -> Result<Option<Bytes>, Refused> {
    let mut rest: R = decode(&request)?;
    let refused = refusals.iter();
    let refused: Vec<R::Response> =
        refused.map(|it| rest.take(it.topic.as_deref()).refused(it)).collect();
    rest.hurry();
    let mut response = R::Response::default();
    if !rest.topics().is_empty()
        && let Some(frame) = handled(call, request.with_body(&rest)?).await?
    {
        response = frame::read_response(frame, request.version).map_err(Refused::Decode)?;
    }
    for part in refused {
        R::join(&mut response, part);
    }
    match refusals.first() {
        Some(first) if !rest.wants_answer() => Err(Refused::Unanswerable(first.error)),
        _ => Ok(Some(encode(&request, &response)?)),
    }
}

/// The answer to a whole request of an API whose errors do not stand on topics.
fn refused(call: &Call, request: &Request, error: ResponseError) -> Result<Bytes, Refused> {
    Ok(match request.key {
        ApiKey::ApiVersions => encode(request, &versions(error.code()))?,
        ApiKey::InitProducerId => encode(request, &producers::refused(error))?,
        ApiKey::DescribeConfigs => encode(request, &configs::refused(&decode(request)?, error))?,
        ApiKey::AlterConfigs => {
            encode(request, &altering::refused_replace(&decode(request)?, error))?
        }
        ApiKey::IncrementalAlterConfigs => {
            encode(request, &altering::refused_alter(&decode(request)?, error))?
        }
        ApiKey::DescribeCluster => {
            encode(request, &metadata::cluster(call).with_error_code(error.code()))?
        }
        ApiKey::FindCoordinator => {
            encode(request, &metadata::no_coordinators(&decode(request)?, request.version, error))?
        }
        _ => groups::refused(request, error)?,
    })
}

#[cfg(test)]
#[path = "faulty_tests.rs"]
mod tests;
