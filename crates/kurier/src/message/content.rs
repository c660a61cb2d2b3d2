//! What may stand in a message, and the one check that decides it before a message exists.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::error::{Excerpt, MessageError};
use super::{MessageLimits, json_str, survives};

/// A type that can be a message's content: any serde type, with an optional validation of its own.
///
/// ```
/// use kurier::{Content, Message};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Order { number: u32, price: f64 }
///
/// impl Content for Order {
///     fn validate(&self) -> Result<(), String> {
///         if self.number == 0 { Err("number: 0 is no order".into()) } else { Ok(()) }
///     }
/// }
///
/// assert!(Message::new(Order { number: 17, price: 9.5 }).is_ok());
/// assert!(Message::new(Order { number: 0, price: 9.5 }).is_err());
/// assert!(Message::new(Order { number: 17, price: f64::NAN }).is_err());
/// ```
///
/// Implemented for strings, numbers, `bool`, `serde_json`'s `Value`, `Map` and `Box<RawValue>` (JSON as
/// it was written, big numbers and the order of fields included), and lists and string-keyed maps of
/// these.
pub trait Content: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// True for a type whose JSON always reads back as an equal value, once its numbers are finite.
    ///
    /// [`Message::new`](crate::Message::new) then saves reading the JSON back, which costs about as
    /// much as decoding the message. Default: false. Leave it false for types with serde attributes
    /// such as `skip_serializing`, `untagged`, `flatten` or `with`: they can lose what they write.
    const READS_BACK: bool = false;

    /// Checked when a message is made and when it is read; the text becomes part of
    /// [`MessageError::ContentInvalid`]. Default: anything goes.
    ///
    /// # Errors
    /// What is wrong, naming the field: "number: 0 is no order".
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What [`Message::new`](crate::Message::new) takes: a [`Content`], or a `&str` for a `String`.
pub trait IntoContent {
    /// The content it becomes.
    type Content: Content;

    /// Becomes the content.
    fn into_content(self) -> Self::Content;
}

impl<T: Content> IntoContent for T {
    type Content = T;

    fn into_content(self) -> T {
        self
    }
}

impl IntoContent for &str {
    type Content = String;

    fn into_content(self) -> String {
        self.to_owned()
    }
}

macro_rules! reads_back {
    ($($content:ty),+ $(,)?) => {
        $(impl Content for $content {
            const READS_BACK: bool = true;
        })+
    };
}

reads_back!(bool, char, f32, f64, i8, i16, i32, i64, i128, isize);
reads_back!(u8, u16, u32, u64, u128, usize, String);
reads_back!(serde_json::Value, serde_json::Map<String, serde_json::Value>, Box<RawValue>);

impl<T: Content> Content for Vec<T> {
    const READS_BACK: bool = T::READS_BACK;

    fn validate(&self) -> Result<(), String> {
        let mut items = self.iter().enumerate();
        items.try_for_each(|(index, item)| {
            item.validate().map_err(|reason| format!("[{index}]: {reason}"))
        })
    }
}

impl<T: Content> Content for BTreeMap<String, T> {
    const READS_BACK: bool = T::READS_BACK;

    fn validate(&self) -> Result<(), String> {
        validate_entries(self)
    }
}

impl<T: Content> Content for HashMap<String, T> {
    const READS_BACK: bool = T::READS_BACK;

    fn validate(&self) -> Result<(), String> {
        validate_entries(self)
    }
}

fn validate_entries<'a, T: Content>(
    entries: impl IntoIterator<Item = (&'a String, &'a T)>,
) -> Result<(), String> {
    entries.into_iter().try_for_each(|(name, value)| {
        value.validate().map_err(|reason| format!("{name:?}: {reason}"))
    })
}

/// Decides whether `content` may become a message. Answers with its JSON where that had to be made.
pub(super) fn check<T: Content>(
    content: &T,
    limits: &MessageLimits,
) -> Result<Option<Bytes>, MessageError> {
    if let Some(text) = as_text(content) {
        check_text(text, limits)?;
        return Ok(None);
    }
    let mut json = Vec::with_capacity(128);
    encode(content, &mut json)?;
    check_json(&json, limits)?;
    validate(content, &json)?;
    if !T::READS_BACK {
        read_back::<T>(&json)?;
    }
    Ok(Some(Bytes::from(json)))
}

/// The content, where it is plain text: the common case, which has a faster way.
pub(super) fn as_text<T: Content>(content: &T) -> Option<&str> {
    (content as &dyn Any).downcast_ref::<String>().map(String::as_str)
}

/// Appends the JSON of content that [`as_text`] says is no text. On an error `out` is as it was.
pub(super) fn encode<T: Content>(content: &T, out: &mut Vec<u8>) -> Result<(), MessageError> {
    // First, since it also bounds how deep serialising recurses.
    survives::check(content)?;
    let start = out.len();
    serde_json::to_writer(&mut *out, content).map_err(|error| {
        out.truncate(start);
        not_serialisable::<T>(&error)
    })
}

/// The checks on the content's JSON that hold for every type.
pub(super) fn check_json(json: &[u8], limits: &MessageLimits) -> Result<(), MessageError> {
    if json == b"null" || json == b"\"\"" {
        return Err(MessageError::EmptyContent { found: Excerpt::of(json) });
    }
    check_size(json.len(), limits)
}

/// The type's own check.
pub(super) fn validate<T: Content>(content: &T, json: &[u8]) -> Result<(), MessageError> {
    content
        .validate()
        .map_err(|reason| MessageError::ContentInvalid { reason, found: Excerpt::of(json) })
}

pub(super) fn not_serialisable<T>(error: &dyn std::fmt::Display) -> MessageError {
    MessageError::ContentNotSerialisable {
        reason: error.to_string(),
        found: Excerpt::of(std::any::type_name::<T>()),
    }
}

fn check_text(text: &str, limits: &MessageLimits) -> Result<(), MessageError> {
    if text.is_empty() {
        return Err(MessageError::EmptyContent { found: Excerpt::of("\"\"") });
    }
    // Not even if every byte needed the longest escape: the usual case, decided without a look.
    if text.len().saturating_mul(6).saturating_add(2) <= limits.content_bytes_max {
        return Ok(());
    }
    check_size(json_str::written_bytes(text), limits)
}

fn check_size(bytes: usize, limits: &MessageLimits) -> Result<(), MessageError> {
    let bytes_max = limits.content_bytes_max;
    if bytes > bytes_max {
        return Err(MessageError::ContentTooLarge { bytes, bytes_max });
    }
    Ok(())
}

/// Reads the JSON as the consumer will, and compares what that would write. `T` need not be
/// comparable; what its `Serialize` shows is what others can see of it.
fn read_back<T: Content>(json: &[u8]) -> Result<(), MessageError> {
    let fault = |reason: String| MessageError::ContentNotReadBack {
        path: "content".to_owned(),
        reason,
        found: Excerpt::of(json),
    };
    let back: T = serde_json::from_slice(json).map_err(|error| fault(error.to_string()))?;
    let again = serde_json::to_vec(&back).map_err(|error| fault(error.to_string()))?;
    if again == json {
        return Ok(());
    }
    // A hash map comes back in another order: the same value, other bytes.
    let value = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json);
    match (value(json), value(&again)) {
        (Ok(written), Ok(read)) if written == read => Ok(()),
        _ => Err(fault(format!("it would come back as {}", Excerpt::of(&again)))),
    }
}
