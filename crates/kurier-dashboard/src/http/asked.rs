//! What a request says, read strictly: what is not known is refused, not ignored.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::refused::Refused;

/// The largest body, in bytes.
pub(super) const BODY_MAX: usize = 64 << 10;
/// How long a body may take to arrive.
pub(super) const BODY_WAIT: Duration = Duration::from_secs(5);

/// The query, `?name=value&…`.
pub(super) struct Asked<T>(pub(super) T);

/// The name of a topic or group in the path, decoded.
pub(super) struct Named(pub(super) String);

/// A body of JSON.
pub(super) struct Posted<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(Refused::asked_wrong(format!("the query: {}", cause(&error)))),
        }
    }
}

/// Takes no parameters: what is given all the same was meant to do something.
pub(super) struct NothingAsked;

impl<S: Send + Sync> FromRequestParts<S> for NothingAsked {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        match parts.uri.query() {
            None | Some("") => Ok(Self),
            Some(_) => Err(Refused::asked_wrong("the query: nothing can be asked for here")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let found: Result<Path<String>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        match found {
            Ok(Path(name)) if name.contains('\0') => {
                Err(Refused::asked_wrong("the path: no name has a NUL character"))
            }
            Ok(Path(name)) => Ok(Self(name)),
            Err(error) => Err(Refused::asked_wrong(format!("the path: {}", cause(&error)))),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Posted<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let kind = request.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes());
        let kind = kind.and_then(|kind| kind.split(|byte| *byte == b';').next());
        // Anything else a foreign page could send without asking before.
        if !kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"application/json")) {
            let reason = "the body is JSON: content-type: application/json";
            return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
        }
        let too_large = || {
            let reason = format!("the body is larger than {BODY_MAX} bytes, or was cut off");
            Refused::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
        };
        let length = request.headers().get(CONTENT_LENGTH).and_then(|it| it.to_str().ok());
        let length: Option<u64> = length.and_then(|length| length.parse().ok());
        if length.is_some_and(|length| (BODY_MAX as u64) < length) {
            return Err(too_large());
        }
        let body = tokio::time::timeout(BODY_WAIT, to_bytes(request.into_body(), BODY_MAX)).await;
        let body = body.map_err(|_| {
            let reason = format!("the body did not come within {BODY_WAIT:?}");
            Refused::new(StatusCode::REQUEST_TIMEOUT, reason)
        })?;
        let body = body.map_err(|_| too_large())?;
        let read = serde_json::from_slice(&body);
        read.map(Self).map_err(|error| Refused::asked_wrong(format!("the body: {error}")))
    }
}

/// Axum says first that it failed, and only its cause says where and why.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().unwrap_or(error).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{MessagesAsked, RowsAsked};

    fn query<T: DeserializeOwned + std::fmt::Debug>(query: &str) -> Result<T, String> {
        let uri = format!("/?{query}").parse().expect("a path");
        Query::<T>::try_from_uri(&uri).map(|Query(asked)| asked).map_err(|error| cause(&error))
    }

    #[test]
    fn a_query_is_read_whole_or_refused_with_the_reason() {
        let asked: MessagesAsked =
            query("from=offset:7&partition=3&key=a%26b&limit=9").expect("read");
        assert_eq!((asked.from.as_str(), asked.partition, asked.limit), ("offset:7", Some(3), 9));
        assert_eq!((asked.key.as_str(), asked.value.as_str()), ("a&b", ""));
        assert_eq!(query::<MessagesAsked>(""), Ok(MessagesAsked::default()));
        for (wrong, named) in [
            ("form=end", "form"),
            ("partition=x", "invalid digit"),
            ("partition=", "empty string"),
            ("limit=-1", "invalid digit"),
            ("key=a&key=b", "duplicate field"),
        ] {
            let error = query::<MessagesAsked>(wrong).expect_err("refused");
            assert!(error.contains(named), "{wrong}: {error}");
        }
        let error = query::<RowsAsked>("order=name").expect_err("refused");
        assert!(error.contains("order"), "{error}");
    }
}
