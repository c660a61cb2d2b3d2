//! Frames: a length of four bytes, then a header, then a body.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

use super::guard::{self, Malformed};
use super::versions::{self, Api};

/// The largest request that carries records (`socket.request.max.bytes`).
pub const REQUEST_BYTES_MAX: usize = 100 << 20;
/// The largest request of any other kind.
pub const PLAIN_REQUEST_BYTES_MAX: usize = 4 << 20;

/// A request whose body may be decoded.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which API.
    pub key: ApiKey,
    /// In which version.
    pub version: i16,
    /// Repeated in the answer.
    pub correlation: i32,
    /// What the client calls itself; empty when it said nothing.
    pub client_id: String,
    /// The body, walked by the guard.
    pub body: Bytes,
}

impl Request {
    /// The same with another body.
    ///
    /// # Errors
    /// When the codec refuses the body.
    pub fn with_body(&self, body: &impl Encodable) -> Result<Self, EncodeError> {
        let mut bytes = BytesMut::new();
        body.encode(&mut bytes, self.version).map_err(|error| EncodeError(error.to_string()))?;
        Ok(Self { body: bytes.freeze(), ..self.clone() })
    }
}

/// What a frame holds.
#[derive(Debug)]
pub enum Incoming {
    /// A request of Kafka's protocol.
    Kafka(Request),
    /// `ApiVersions` in a version that is not known: answered in version 0 with the versions that are.
    UnknownApiVersions {
        /// Repeated in the answer.
        correlation: i32,
    },
    /// A request to the cluster's own control API.
    Control {
        /// Repeated in the answer.
        correlation: i32,
        /// The rest of the frame.
        body: Bytes,
    },
}

/// Why a frame is no request; the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is negative or above the limit.
    #[error("a request of {0} bytes")]
    Size(i64),
    /// An API or a version that is not spoken.
    #[error("API {key} version {version} is not spoken here")]
    Unsupported {
        /// The API's number.
        key: i16,
        /// The version.
        version: i16,
    },
    /// The bytes make no sense.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// The API number of the control requests: far outside of what Kafka has given out.
pub const CONTROL_KEY: i16 = 31_337;

/// The bytes to come after the length field, once `head`, the frame's first bytes, has as many as the
/// length and the API's number take.
///
/// # Errors
/// When the length is out of bounds for that API.
pub fn size(head: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some((length, rest)) = head.split_first_chunk() else { return Ok(None) };
    let length = i32::from_be_bytes(*length);
    let refused = FrameError::Size(i64::from(length));
    let length = usize::try_from(length).map_err(|_| refused)?;
    if length > REQUEST_BYTES_MAX {
        return Err(refused);
    }
    let Some(key) = rest.first_chunk() else { return Ok((length < 2).then_some(length)) };
    let carries_records = i16::from_be_bytes(*key) == ApiKey::Produce as i16;
    if length > PLAIN_REQUEST_BYTES_MAX && !carries_records {
        return Err(refused);
    }
    Ok(Some(length))
}

/// Reads the header of a frame (without its length) and lets the guard walk the body.
///
/// # Errors
/// When it is not a request that is spoken here.
pub fn parse(frame: &Bytes) -> Result<Incoming, FrameError> {
    let fixed: &[u8; 8] = frame.first_chunk().ok_or(Malformed::Truncated)?;
    let key = i16::from_be_bytes([fixed[0], fixed[1]]);
    let version = i16::from_be_bytes([fixed[2], fixed[3]]);
    let correlation = i32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
    if key == CONTROL_KEY {
        return Ok(Incoming::Control { correlation, body: frame.slice(8..) });
    }
    let api = versions::find(key).ok_or(FrameError::Unsupported { key, version })?;
    if !(api.min..=api.max).contains(&version) {
        return match api.key {
            ApiKey::ApiVersions => Ok(Incoming::UnknownApiVersions { correlation }),
            _ => Err(FrameError::Unsupported { key, version }),
        };
    }
    let (client_id, body) = rest_of_header(api, version, &frame.slice(8..))?;
    guard::check(api.schema, version, &body)?;
    Ok(Incoming::Kafka(Request { key: api.key, version, correlation, client_id, body }))
}

/// The whole frame of a response: length, header, body.
///
/// # Errors
/// When the codec refuses the response, which is a mistake of ours.
pub fn response<R: Encodable + HeaderVersion>(
    correlation: i32,
    version: i16,
    response: &R,
) -> Result<Bytes, EncodeError> {
    let header = ResponseHeader::default().with_correlation_id(correlation);
    let header_version = R::header_version(version);
    let body_size =
        response.compute_size(version).map_err(|error| EncodeError(error.to_string()))?;
    let mut frame = BytesMut::with_capacity(16 + body_size);
    frame.put_i32(0);
    header
        .encode(&mut frame, header_version)
        .and_then(|()| response.encode(&mut frame, version))
        .map_err(|error| EncodeError(error.to_string()))?;
    let length = u32::try_from(frame.len() - 4).map_err(|error| EncodeError(error.to_string()))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

/// The response that a frame of [`response`] holds.
///
/// # Errors
/// When it holds another.
pub fn read_response<R: Decodable + HeaderVersion>(
    mut frame: Bytes,
    version: i16,
) -> Result<R, String> {
    let length = frame.try_get_u32().map_err(|error| error.to_string())?;
    if length as usize != frame.len() {
        return Err(format!("{length} bytes are said, {} are there", frame.len()));
    }
    let response = ResponseHeader::decode(&mut frame, R::header_version(version))
        .and_then(|_| R::decode(&mut frame, version))
        .map_err(|error| error.to_string())?;
    if frame.is_empty() { Ok(response) } else { Err(format!("{} bytes are left", frame.len())) }
}

/// The codec refused one of our responses.
#[derive(Debug, thiserror::Error)]
#[error("a response cannot be encoded: {0}")]
pub struct EncodeError(String);

fn rest_of_header(api: &Api, version: i16, rest: &Bytes) -> Result<(String, Bytes), FrameError> {
    let (length, after) = rest.split_first_chunk().ok_or(Malformed::Truncated)?;
    let length = i16::from_be_bytes(*length);
    let size = match length {
        -1 => 0,
        length => usize::try_from(length).map_err(|_| Malformed::Length)?,
    };
    let name = after.get(..size).ok_or(Malformed::Truncated)?;
    let client_id = String::from_utf8_lossy(name).into_owned();
    let mut body = &after[size..];
    if version >= api.schema.flexible_from {
        body = guard::skip_tags(body)?;
    }
    let at = rest.len() - body.len();
    Ok((client_id, rest.slice(at..)))
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
