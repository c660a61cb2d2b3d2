//! What arrives from Kafka.

use bytes::Bytes;

use crate::message::Headers;
use crate::{Offset, TopicPartition};

/// One record as Kafka has it.
#[derive(Debug, Clone)]
pub struct Record {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: Offset,
    pub(crate) timestamp: Option<jiff::Timestamp>,
    pub(crate) key: Option<Bytes>,
    pub(crate) headers: Headers,
    pub(crate) value: Option<Bytes>,
}

/// Why a value could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// Reads values.
pub trait Decoder: Send + Sync + 'static {
    /// What a value becomes.
    type Item: Send + Sync + 'static;
    /// Reads the value of `record`, which is not null.
    ///
    /// # Errors
    /// When the value is not of this form.
    fn decode(&self, record: &Record) -> Result<Self::Item, DecodeError>;
}

/// Values as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawDecoder;

impl Decoder for RawDecoder {
    type Item = Bytes;
    fn decode(&self, record: &Record) -> Result<Bytes, DecodeError> {
        Ok(record.value.clone().unwrap_or_default())
    }
}

/// A record and what its value was read as; `None` is a tombstone.
#[derive(Debug)]
pub struct Received<M> {
    pub(crate) record: Record,
    pub(crate) value: Option<M>,
}
