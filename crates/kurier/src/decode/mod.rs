//! What arrives from Kafka, and how its value is read.
//!
//! Owns the [`Decoder`] trait, the rule that a tombstone is never decoded, and errors that say where
//! the value was. The records are in `record`, the forms that come with kurier in `forms`.

mod forms;
mod record;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;

pub use forms::{JsonDecoder, MessageDecoder, RawDecoder, TextDecoder};
pub use record::{Received, Record};

use crate::message::MessageError;
use crate::{BoxError, Position};

/// Reads the values of records.
///
/// One decoder is used for all partitions at once and many times a second: it should neither block
/// nor keep state. With kurier come [`MessageDecoder`], [`JsonDecoder`], [`TextDecoder`] and
/// [`RawDecoder`].
///
/// ```
/// use kurier::{DecodeError, Decoder, Offset, PartitionId, Received, Record};
///
/// struct Numbers;
///
/// impl Decoder for Numbers {
///     type Item = u64;
///
///     fn decode(&self, record: &Record) -> Result<u64, DecodeError> {
///         let value = record.value().map_or(&b""[..], |value| value);
///         let bytes = value.try_into().map_err(|_| DecodeError::new(record, "not eight bytes"))?;
///         Ok(u64::from_be_bytes(bytes))
///     }
/// }
///
/// let record = Record::new("numbers", PartitionId(0), Offset(3));
/// assert_eq!(Received::decode(&Numbers, record.clone())?.value(), None); // a tombstone
/// let error = Received::decode(&Numbers, record.with_value("17")).unwrap_err();
/// assert_eq!(error.to_string(), "numbers[0] offset 3: not eight bytes");
/// # Ok::<(), DecodeError>(())
/// ```
pub trait Decoder: Send + Sync + 'static {
    /// What a value becomes.
    type Item: Send + Sync + 'static;

    /// Reads the value of `record`, which is never null: a tombstone is delivered without asking.
    ///
    /// # Errors
    /// When the value is not of this form. The same record fails again, so nothing is retried.
    fn decode(&self, record: &Record) -> Result<Self::Item, DecodeError>;
}

impl<M> Received<M> {
    /// Reads the value of `record`. A tombstone's is `None`, without asking the decoder.
    ///
    /// # Errors
    /// The decoder's.
    pub fn decode<D: Decoder<Item = M>>(decoder: &D, record: Record) -> Result<Self, DecodeError> {
        let value = match record.value {
            Some(_) => Some(decoder.decode(&record)?),
            None => None,
        };
        Ok(Self { record, value })
    }
}

/// Why a value could not be read, and where it is.
///
/// Its text is the whole story in one line: `python-topic[0] offset 17: id: not a UUID: …, found "7"`.
#[derive(Debug)]
pub struct DecodeError {
    position: Position,
    reason: BoxError,
}

impl DecodeError {
    /// The value of `record` could not be read because of `reason`: an error, or a text.
    pub fn new(record: &Record, reason: impl Into<BoxError>) -> Self {
        Self { position: record.position(), reason: reason.into() }
    }

    /// Where the value is: topic, partition and offset.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// What is wrong with the value.
    pub fn reason(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.reason
    }

    /// What is wrong, where one of kurier's own decoders found it: it names the field and what was
    /// found there.
    pub fn message_error(&self) -> Option<&MessageError> {
        self.reason.downcast_ref()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.reason)
    }
}

/// The source is the reason's own, since the reason is part of the text.
impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.reason.source()
    }
}
