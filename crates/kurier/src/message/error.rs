//! Why something is not a message: one variant a fault, each with the field and what was found.
//!
//! Where it was found (topic, partition, offset) is added by [`DecodeError`](crate::DecodeError),
//! since only what came from Kafka has a place.

use std::fmt;

/// A part of the wire form that can be at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The whole value.
    Message,
    /// `id`
    Id,
    /// `content`
    Content,
    /// `timestamp`
    Timestamp,
}

impl Field {
    /// The name as it stands in the JSON; "message" for the whole.
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Id => "id",
            Self::Content => "content",
            Self::Timestamp => "timestamp",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The beginning of what was found: at most 80 bytes of it, control characters and bytes that are not
/// UTF-8 escaped, so that it can stand in one line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    /// How many bytes of what was found are shown.
    pub const BYTES_MAX: usize = 80;

    /// The beginning of `found`.
    pub fn of(found: impl AsRef<[u8]>) -> Self {
        let found = found.as_ref();
        if found.is_empty() {
            return Self("nothing".into());
        }
        let mut end = found.len().min(Self::BYTES_MAX);
        // Not in the middle of a character: step back over at most three continuation bytes.
        if end < found.len() {
            let earliest = end - 3;
            while earliest < end && found[end] & 0xC0 == 0x80 {
                end -= 1;
            }
        }
        let mut text = String::with_capacity(end + 24);
        for chunk in found[..end].utf8_chunks() {
            for c in chunk.valid().chars() {
                // Quotes stay as they are: most of what is shown is JSON.
                if c.is_control() || is_invisible(c) {
                    text.extend(c.escape_unicode());
                } else {
                    text.push(c);
                }
            }
            for byte in chunk.invalid() {
                text.push_str(&format!("\\x{byte:02x}"));
            }
        }
        if end < found.len() {
            text.push_str(&format!("… ({} bytes)", found.len()));
        }
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters that would break or reorder a line on a terminal without being control characters.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why something is not a message. Nothing was sent; the same input fails again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The content says nothing: an empty string or JSON's `null`. (An empty list or object is a
    /// value; a type that wants otherwise says so in [`Content::validate`](crate::Content::validate).)
    #[error("content: is empty, found {found}")]
    EmptyContent {
        /// `""` or `null`.
        found: Excerpt,
    },
    /// The content's JSON is larger than the limit.
    #[error("content: {bytes} bytes as JSON, at most {bytes_max} allowed")]
    ContentTooLarge {
        /// Its size as JSON.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The content type's own validation refused it.
    #[error("content: {reason}, found {found}")]
    ContentInvalid {
        /// What [`Content::validate`](crate::Content::validate) said.
        reason: String,
        /// The content's JSON, as far as it is known; else the type's name.
        found: Excerpt,
    },
    /// The content cannot be serialised to JSON.
    #[error("content: cannot be serialised to JSON: {reason} (a {found})")]
    ContentNotSerialisable {
        /// What its serialisation said.
        reason: String,
        /// The content's type.
        found: Excerpt,
    },
    /// The content serialises, but would not come back equal.
    #[error("{path}: would not read back from JSON: {reason}, found {found}")]
    ContentNotReadBack {
        /// Where in the content: `content.depth_km`.
        path: String,
        /// What would become of it.
        reason: String,
        /// What is there.
        found: Excerpt,
    },
    /// The id is not a UUID.
    #[error("id: not a UUID: {reason}, found {found}")]
    BadId {
        /// What is wrong with it.
        reason: String,
        /// What is there.
        found: Excerpt,
    },
    /// There is no timestamp.
    #[error("timestamp: missing, found {found}")]
    MissingTimestamp {
        /// The message's beginning.
        found: Excerpt,
    },
    /// The timestamp is no moment we can read, or one outside the years 0001 to 9999.
    #[error("timestamp: not a date and time (RFC 3339): {reason}, found {found}")]
    BadTimestamp {
        /// What is wrong with it.
        reason: String,
        /// What is there.
        found: Excerpt,
    },
    /// A field other than the timestamp is not there.
    #[error("{field}: missing, found {found}")]
    MissingField {
        /// The field.
        field: Field,
        /// The message's beginning.
        found: Excerpt,
    },
    /// A field is there twice. Readers differ in which one they take, so neither is taken.
    #[error("{field}: given twice, found {found}")]
    DuplicateField {
        /// The field.
        field: Field,
        /// The second value.
        found: Excerpt,
    },
    /// The bytes are not JSON.
    #[error("{field}: not JSON: {reason}, found {found}")]
    NotJson {
        /// The whole, or the field with text in it that JSON cannot mean (half of a surrogate pair).
        field: Field,
        /// What is wrong, and at which line and column.
        reason: String,
        /// The beginning of what is there.
        found: Excerpt,
    },
    /// The bytes are not UTF-8.
    #[error("{field}: not UTF-8 from byte {valid_bytes} on, found {found}")]
    NotUtf8 {
        /// The whole: which field it would be is not known.
        field: Field,
        /// How many bytes before the fault are UTF-8.
        valid_bytes: usize,
        /// What is there, from a little before the fault.
        found: Excerpt,
    },
    /// JSON of another type than the field has.
    #[error("{field}: wrong type: {reason}, found {found}")]
    WrongType {
        /// The field.
        field: Field,
        /// What was expected.
        reason: String,
        /// What is there.
        found: Excerpt,
    },
}

impl MessageError {
    /// The field at fault.
    pub fn field(&self) -> Field {
        match self {
            Self::EmptyContent { .. }
            | Self::ContentTooLarge { .. }
            | Self::ContentInvalid { .. }
            | Self::ContentNotSerialisable { .. }
            | Self::ContentNotReadBack { .. } => Field::Content,
            Self::BadId { .. } => Field::Id,
            Self::MissingTimestamp { .. } | Self::BadTimestamp { .. } => Field::Timestamp,
            Self::MissingField { field, .. }
            | Self::DuplicateField { field, .. }
            | Self::NotJson { field, .. }
            | Self::NotUtf8 { field, .. }
            | Self::WrongType { field, .. } => *field,
        }
    }
}
