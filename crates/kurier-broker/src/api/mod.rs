//! One handler per kind of request: what a node answers.
//!
//! A handler takes the decoded request and gives the response; most are one look at the state. Those
//! that wait (produce, fetch, joins) are async and lose nothing when dropped with their connection.

mod altering;
mod by_topic;
mod configs;
mod faulty;
mod fetch;
mod groups;
mod metadata;
mod offsets;
mod produce;
mod producers;
#[cfg(test)]
mod testing;
mod topics;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, api_versions_response::ApiVersion};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use crate::core::Core;
use crate::storage::NodeId;
use crate::wire::frame::{self, EncodeError, Request};
use crate::wire::versions::APIS;

/// Who asks whom.
#[derive(Debug, Clone)]
pub struct Call {
    /// What all nodes share.
    pub core: Arc<Core>,
    /// The node that was asked.
    pub node: NodeId,
    /// The address that this connection came to: what clients are told to come back to.
    pub host: IpAddr,
    /// Where the client is.
    pub peer: IpAddr,
}

/// Why a connection is closed instead of answered.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The bytes are no request of that kind.
    #[error("the request cannot be read: {0}")]
    Decode(String),
    /// A request without an answer went wrong; closing is all that can be said.
    #[error("a write that asks for no answer failed: {0:?}")]
    Unanswerable(ResponseError),
    /// A fault that was asked for.
    #[error("a fault drops the connection")]
    Fault,
    /// A mistake of ours.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The frame that answers a request; `None` when it wants no answer.
///
/// # Errors
/// When the connection is to be closed.
pub async fn answer(call: &Call, request: Request) -> Result<Option<Bytes>, Refused> {
    faulty::answer(call, request).await
}

async fn handled(call: &Call, request: Request) -> Result<Option<Bytes>, Refused> {
    let client_id = request.client_id.clone();
    let version = request.version;
    let now = Instant::now();
    let frame = match request.key {
        ApiKey::ApiVersions => encode(&request, &versions(0))?,
        ApiKey::Produce => match produce::produce(call, decode(&request)?).await {
            Ok(Some(response)) => encode(&request, &response)?,
            Ok(None) => return Ok(None),
            Err(error) => return Err(Refused::Unanswerable(error)),
        },
        ApiKey::Fetch => encode(&request, &fetch::fetch(call, &decode(&request)?).await)?,
        ApiKey::ListOffsets => encode(&request, &offsets::list(call, &decode(&request)?, version))?,
        ApiKey::OffsetForLeaderEpoch => {
            encode(&request, &offsets::for_epoch(call, &decode(&request)?))?
        }
        ApiKey::DeleteRecords => encode(&request, &offsets::delete(call, &decode(&request)?))?,
        ApiKey::Metadata => {
            encode(&request, &metadata::metadata(call, &decode(&request)?, version))?
        }
        ApiKey::DescribeCluster => encode(&request, &metadata::cluster(call))?,
        ApiKey::FindCoordinator => {
            encode(&request, &metadata::coordinators(call, &decode(&request)?, version))?
        }
        ApiKey::CreateTopics => encode(&request, &topics::create(call, now, &decode(&request)?))?,
        ApiKey::DeleteTopics => {
            encode(&request, &topics::delete(call, &decode(&request)?, version))?
        }
        ApiKey::CreatePartitions => encode(&request, &topics::grow(call, now, &decode(&request)?))?,
        ApiKey::DescribeConfigs => encode(&request, &configs::describe(call, &decode(&request)?))?,
        ApiKey::AlterConfigs => {
            encode(&request, &altering::replace(call, now, &decode(&request)?))?
        }
        ApiKey::IncrementalAlterConfigs => {
            encode(&request, &altering::alter(call, now, &decode(&request)?))?
        }
        ApiKey::InitProducerId => encode(&request, &producers::init(call, &decode(&request)?))?,
        _ => return groups::answer(call, client_id, &request).await.map(Some),
    };
    Ok(Some(frame))
}

/// The answer to ApiVersions in a version that is not known: version 0, with the versions that are.
///
/// # Errors
/// Never, but for a mistake of ours.
pub fn unknown_api_versions(correlation: i32) -> Result<Bytes, EncodeError> {
    frame::response(correlation, 0, &versions(ResponseError::UnsupportedVersion.code()))
}

fn versions(error: i16) -> ApiVersionsResponse {
    let keys = APIS.iter().map(|api| {
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(api.min_advertised)
            .with_max_version(api.max)
    });
    ApiVersionsResponse::default().with_error_code(error).with_api_keys(keys.collect())
}

fn decode<R: Decodable>(request: &Request) -> Result<R, Refused> {
    R::decode(&mut request.body.clone(), request.version)
        .map_err(|error| Refused::Decode(error.to_string()))
}

fn encode<R: Encodable + HeaderVersion>(
    request: &Request,
    response: &R,
) -> Result<Bytes, EncodeError> {
    frame::response(request.correlation, request.version, response)
}

fn code<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}

fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}
