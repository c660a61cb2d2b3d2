//! The requests of consumer groups: handed to the coordinator, and waited for.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;

use super::{Call, Refused, decode, encode};
use crate::core::Core;
use crate::group::{ClientInfo, GroupRequest, GroupResponse, Ticket};
use crate::wire::frame::{EncodeError, Request};

/// The frame that answers; waits as long as the coordinator does.
pub async fn answer(call: &Call, client_id: String, request: &Request) -> Result<Bytes, Refused> {
    let asked = asked(request)?;
    let client = ClientInfo { client_id, host: format!("/{}", call.peer) };
    let (ticket, answer) =
        call.core.change(|state| state.group(Instant::now(), call.node, &client, &asked));
    let mut waiting = Waiting { core: Arc::clone(&call.core), ticket: Some(ticket) };
    let response = match answer.await {
        Ok(response) => response,
        // The coordinator answers every ticket; should it forget one, the client asks again.
        Err(_) => asked.refuse(ResponseError::CoordinatorNotAvailable),
    };
    waiting.ticket = None;
    Ok(framed(request, &response)?)
}

/// The frame that answers with this error, wherever the API keeps errors.
pub fn refused(request: &Request, error: ResponseError) -> Result<Bytes, Refused> {
    Ok(framed(request, &asked(request)?.refuse(error))?)
}

fn framed(request: &Request, response: &GroupResponse) -> Result<Bytes, EncodeError> {
    match response {
        GroupResponse::Join(response) => encode(request, response),
        GroupResponse::Sync(response) => encode(request, response),
        GroupResponse::Heartbeat(response) => encode(request, response),
        GroupResponse::Leave(response) => encode(request, response),
        GroupResponse::OffsetCommit(response) => encode(request, response),
        GroupResponse::OffsetFetch(response) => encode(request, response),
        GroupResponse::Describe(response) => encode(request, response),
        GroupResponse::List(response) => encode(request, response),
        GroupResponse::DeleteGroups(response) => encode(request, response),
        GroupResponse::OffsetDelete(response) => encode(request, response),
    }
}

fn asked(request: &Request) -> Result<GroupRequest, Refused> {
    let version = request.version;
    Ok(match request.key {
        ApiKey::JoinGroup => GroupRequest::Join(decode(request)?, version),
        ApiKey::SyncGroup => GroupRequest::Sync(decode(request)?, version),
        ApiKey::Heartbeat => GroupRequest::Heartbeat(decode(request)?, version),
        ApiKey::LeaveGroup => GroupRequest::Leave(decode(request)?, version),
        ApiKey::OffsetCommit => GroupRequest::OffsetCommit(decode(request)?, version),
        ApiKey::OffsetFetch => GroupRequest::OffsetFetch(decode(request)?, version),
        ApiKey::DescribeGroups => GroupRequest::Describe(decode(request)?, version),
        ApiKey::ListGroups => GroupRequest::List(decode(request)?, version),
        ApiKey::DeleteGroups => GroupRequest::DeleteGroups(decode(request)?, version),
        ApiKey::OffsetDelete => GroupRequest::OffsetDelete(decode(request)?, version),
        key => return Err(Refused::Decode(format!("{key:?} has no handler"))),
    })
}

/// Takes its ticket back when its connection goes before the answer comes.
struct Waiting {
    core: Arc<Core>,
    ticket: Option<Ticket>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.core.change(|state| state.abandon(Instant::now(), ticket));
        }
    }
}
