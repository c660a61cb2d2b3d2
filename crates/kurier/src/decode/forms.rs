//! The forms of value that come with kurier: its own message, bare JSON, text, and bytes.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{DecodeError, Decoder, Record};
use crate::message::{self, Content, Field, Message, MessageError, MessageLimits};

/// Values that are kurier's messages: JSON with `id`, `content` and `timestamp`.
///
/// The [`Message`] gets its key and headers from the record. The content's size limit is
/// [`MessageLimits::default`] unless [`within`](Self::within) says otherwise.
pub struct MessageDecoder<T = String> {
    limits: MessageLimits,
    content: PhantomData<fn() -> T>,
}

impl<T: Content> MessageDecoder<T> {
    /// Reads messages with content of type `T`.
    pub fn new() -> Self {
        Self::within(MessageLimits::default())
    }

    /// As [`new`](Self::new), with the caller's limits.
    pub fn within(limits: MessageLimits) -> Self {
        Self { limits, content: PhantomData }
    }
}

impl<T: Content> Decoder for MessageDecoder<T> {
    type Item = Message<T>;

    fn decode(&self, record: &Record) -> Result<Message<T>, DecodeError> {
        let message = Message::from_json_within(bytes(record), &self.limits)
            .map_err(|error| DecodeError::new(record, error))?;
        Ok(message.beside(record.key.clone(), record.headers.clone()))
    }
}

/// Values that are JSON of any kind; `T` is any type serde can read.
///
/// `Value`, the default, keeps what a program usually needs; `Box<RawValue>` keeps the text as it was
/// written, big numbers and the order of fields included.
pub struct JsonDecoder<T = serde_json::Value> {
    value: PhantomData<fn() -> T>,
}

impl<T> JsonDecoder<T> {
    /// Reads JSON as `T`.
    pub fn new() -> Self {
        Self { value: PhantomData }
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Decoder for JsonDecoder<T> {
    type Item = T;

    fn decode(&self, record: &Record) -> Result<T, DecodeError> {
        let text = text(record)?;
        serde_json::from_str(text).map_err(|error| {
            DecodeError::new(record, message::json_fault(Field::Message, &error, text))
        })
    }
}

/// Values that are UTF-8 text; an empty value is an empty text.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextDecoder;

impl Decoder for TextDecoder {
    type Item = String;

    fn decode(&self, record: &Record) -> Result<String, DecodeError> {
        text(record).map(str::to_owned)
    }
}

/// Values as they are. Never fails; the bytes are shared with the record.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawDecoder;

impl Decoder for RawDecoder {
    type Item = Bytes;

    fn decode(&self, record: &Record) -> Result<Bytes, DecodeError> {
        Ok(record.value.clone().unwrap_or_default())
    }
}

/// The value; a decoder asked to read a tombstone all the same reads nothing, and says what it makes
/// of that.
fn bytes(record: &Record) -> &[u8] {
    record.value.as_deref().unwrap_or_default()
}

fn text(record: &Record) -> Result<&str, DecodeError> {
    let fault = |error: MessageError| DecodeError::new(record, error);
    message::utf8(bytes(record), Field::Message).map_err(fault)
}

macro_rules! plain_traits {
    ($($decoder:ident),+) => {
        $(
            impl<T> Clone for $decoder<T> {
                fn clone(&self) -> Self {
                    *self
                }
            }

            impl<T> Copy for $decoder<T> {}

            impl<T> fmt::Debug for $decoder<T> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    let content = std::any::type_name::<T>();
                    f.debug_tuple(stringify!($decoder)).field(&content).finish()
                }
            }
        )+
    };
}

plain_traits!(MessageDecoder, JsonDecoder);

impl<T: Content> Default for MessageDecoder<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Default for JsonDecoder<T> {
    fn default() -> Self {
        Self::new()
    }
}
