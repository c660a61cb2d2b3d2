//! Requests that are not done: always a status, and a [`Problem`] that says what is wrong and what to do.

use std::time::Duration;

use axum::Json;
use axum::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use kurier::ClientError;

use crate::view::Problem;

/// A request that was refused, or could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    reason: String,
    /// When it may be worth asking again.
    retry_after: Option<Duration>,
}

impl Refused {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), retry_after: None }
    }

    /// What was asked makes no sense.
    pub(super) fn asked_wrong(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// There is no such thing.
    pub(super) fn not_there(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason)
    }

    /// As much is being done as there may be at once.
    pub(super) fn busy(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, reason).retried_after(Duration::from_secs(2))
    }

    /// It took longer than it may.
    pub(super) fn too_slow(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason).retried_after(Duration::from_secs(5))
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    fn retried_after(self, pause: Duration) -> Self {
        Self { retry_after: Some(pause), ..self }
    }
}

/// By what whoever asked can do about it.
impl From<ClientError> for Refused {
    fn from(error: ClientError) -> Self {
        let reason = error.to_string();
        if error.is_unknown_topic() || error.is_unknown_group() {
            return Self::not_there(reason);
        }
        match error {
            ClientError::Unreachable { .. } => Self::too_slow(reason),
            _ => Self::new(StatusCode::BAD_GATEWAY, reason),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self { status, reason, retry_after } = self;
        let mut headers = HeaderMap::new();
        if let Some(pause) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(pause.as_secs()));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        (status, headers, Json(Problem { error: reason })).into_response()
    }
}
