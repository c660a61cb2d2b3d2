//! The typed message: what a producer accepts and a consumer hands on.
//!
//! Owns the five parts of a [`Message`] and the rule that an invalid one cannot exist: it is checked
//! when made and when read. The JSON form is in `json`, the check that content survives JSON in
//! `content`, the timestamp's text in `timestamp`. Knows nothing of Kafka.

mod content;
mod error;
mod headers;
mod json;
mod json_str;
mod survives;
#[cfg(test)]
mod tests;
mod timestamp;

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

pub use content::{Content, IntoContent};
pub use error::{Excerpt, Field, MessageError};
pub use headers::{Header, Headers};
pub(crate) use json::{json_fault, utf8};

/// What one message is: an id, a content, a moment, and optionally a key and headers.
///
/// `id`, `content` and `timestamp` travel in the record's value as JSON; key and headers travel as
/// Kafka's own. The wire form is, with these very separators:
///
/// ```text
/// {"id": "<uuid>", "content": <string or any JSON>, "timestamp": "2026-11-23T21:59:58.123456+00:00"}
/// ```
///
/// A message is immutable in what was checked: content can be looked at and taken out, not changed.
///
/// ```
/// use kurier::Message;
///
/// let message = Message::new("hello")?.with_key("order-17").with_header("source", "web");
/// let again: Message = Message::from_json(message.to_json()?.as_bytes())?;
/// assert_eq!(again.id(), message.id());
/// assert_eq!(again.content(), "hello");
/// assert_eq!(again.timestamp(), message.timestamp());
/// # Ok::<(), kurier::MessageError>(())
/// ```
#[derive(Clone)]
pub struct Message<T = String> {
    id: Uuid,
    content: T,
    /// Whole microseconds, years 0001 to 9999: what the wire form holds exactly.
    timestamp: Timestamp,
    key: Option<Bytes>,
    headers: Headers,
    /// The content's JSON when it had to be made in order to be checked; writing then copies it.
    /// None for text (cheaper to escape again than to keep twice) and for messages that were read.
    encoded: Option<Bytes>,
}

impl<T: Content> Message<T> {
    /// A message with this content, a new random id (UUID v4) and the present moment.
    ///
    /// A `&str` makes a `Message<String>`; anything else is taken as the [`Content`] it is. The size
    /// limit is [`MessageLimits::default`]; [`new_within`](Self::new_within) takes another.
    ///
    /// # Errors
    /// Content that is empty (`""` or JSON's `null`), larger than the limit, refused by
    /// [`Content::validate`], or that JSON cannot carry: it fails to serialise, or would read back
    /// as something else (NaN and infinities become `null`, `Some(None)` becomes `None`, …).
    pub fn new(content: impl IntoContent<Content = T>) -> Result<Self, MessageError> {
        Self::new_within(content, &MessageLimits::default())
    }

    /// As [`new`](Self::new), within the caller's limits.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn new_within(
        content: impl IntoContent<Content = T>,
        limits: &MessageLimits,
    ) -> Result<Self, MessageError> {
        let content = content.into_content();
        let encoded = content::check(&content, limits)?;
        Ok(Self {
            id: Uuid::new_v4(),
            content,
            timestamp: timestamp::now(),
            key: None,
            headers: Headers::default(),
            encoded,
        })
    }

    /// Appends the wire form to `out`, which a sender reuses; nothing is allocated once `out` has
    /// grown to the size of the messages.
    ///
    /// # Errors
    /// None for a message made by [`new`](Self::new). One that was read and is written again can
    /// fail where its type's own serde code is not symmetric. `out` is then as it was.
    pub fn write_json(&self, out: &mut Vec<u8>) -> Result<(), MessageError> {
        json::write(self, out)
    }

    /// The wire form as a string.
    ///
    /// # Errors
    /// Those of [`write_json`](Self::write_json).
    pub fn to_json(&self) -> Result<String, MessageError> {
        json::to_string(self)
    }

    /// Reads the wire form, within [`MessageLimits::default`].
    ///
    /// The timestamp may have any RFC 3339 offset, `Z`, or none (Python's naive `isoformat()`), which
    /// is taken as UTC; the date and time may be separated by `T` or a space. What it says below a
    /// microsecond is cut off. The id is any valid UUID. Unknown fields are ignored. Key and headers
    /// are not part of the JSON and stay empty.
    ///
    /// # Errors
    /// Each fault has its own variant of [`MessageError`]; of several, the first in the order
    /// text, structure, id, content, timestamp is reported.
    pub fn from_json(json: &[u8]) -> Result<Self, MessageError> {
        Self::from_json_within(json, &MessageLimits::default())
    }

    /// As [`from_json`](Self::from_json), within the caller's limits.
    ///
    /// # Errors
    /// Those of [`from_json`](Self::from_json).
    pub fn from_json_within(json: &[u8], limits: &MessageLimits) -> Result<Self, MessageError> {
        json::read(json, limits)
    }
}

impl<T> Message<T> {
    /// The same message under the caller's id: any UUID, of any version.
    #[must_use]
    pub fn with_id(mut self, id: Uuid) -> Self {
        self.id = id;
        self
    }

    /// The same message at another moment, cut to whole microseconds, since that is what the wire
    /// form holds.
    ///
    /// # Errors
    /// [`MessageError::BadTimestamp`] for a moment before the year 1 (in UTC): neither RFC 3339 nor
    /// Python could name it.
    pub fn with_timestamp(mut self, timestamp: Timestamp) -> Result<Self, MessageError> {
        self.timestamp = timestamp::cut(timestamp)?;
        Ok(self)
    }

    /// The same message with a key: messages of one key keep their order.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same message with one more header, after those it has. Names may repeat.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push(name, Some(value.into()));
        self
    }

    /// The same message with these headers in place of those it has.
    #[must_use]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// The message's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What the message says.
    pub fn content(&self) -> &T {
        &self.content
    }

    /// What the message says, leaving the rest behind.
    pub fn into_content(self) -> T {
        self.content
    }

    /// When the message was made, in whole microseconds.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The record's key, which decides the partition. None: any partition, no order.
    pub fn key(&self) -> Option<&Bytes> {
        self.key.as_ref()
    }

    /// The record's headers, in order, repeated names included.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Adds what travelled beside the JSON. None leaves the message without a key.
    pub(crate) fn beside(mut self, key: Option<Bytes>, headers: Headers) -> Self {
        self.key = key;
        self.headers = headers;
        self
    }
}

/// Two messages are equal when all five parts are.
impl<T: PartialEq> PartialEq for Message<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.content == other.content
            && self.timestamp == other.timestamp
            && self.key == other.key
            && self.headers == other.headers
    }
}

impl<T: Eq> Eq for Message<T> {}

impl<T: fmt::Debug> fmt::Debug for Message<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("content", &self.content)
            .field("timestamp", &self.timestamp)
            .field("key", &self.key)
            .field("headers", &self.headers)
            .finish()
    }
}

/// How large a message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLimits {
    /// The content's size as JSON, in bytes, quotes and escapes included. Larger content is refused
    /// when a message is made and when it is read. Default: [`CONTENT_BYTES_MAX_DEFAULT`].
    pub content_bytes_max: usize,
}

/// The default of [`MessageLimits::content_bytes_max`]: librdkafka's and Kafka's default record limit
/// (`message.max.bytes`, 1,000,000 bytes), less a thousand bytes for the rest of the wire form (113
/// bytes), the record's own framing, and a key or headers of ordinary size.
pub const CONTENT_BYTES_MAX_DEFAULT: usize = 999_000;

impl Default for MessageLimits {
    fn default() -> Self {
        Self { content_bytes_max: CONTENT_BYTES_MAX_DEFAULT }
    }
}
