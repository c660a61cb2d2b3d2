//! The wire form, written and read. Reading looks at the text once for its structure and then at each
//! of the three fields on its own, so that every fault is known by its field.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::content::{self, Content};
use super::error::{Excerpt, Field, MessageError};
use super::headers::Headers;
use super::{Message, MessageLimits, json_str, timestamp};

/// Everything of the wire form except the content.
const ENVELOPE_BYTES: usize = r#"{"id": "", "content": , "timestamp": ""}"#.len()
    + uuid::fmt::Hyphenated::LENGTH
    + timestamp::TEXT_BYTES;

pub(super) fn write<T: Content>(
    message: &Message<T>,
    out: &mut Vec<u8>,
) -> Result<(), MessageError> {
    let start = out.len();
    let known_bytes = message.encoded.as_ref().map_or(0, bytes::Bytes::len);
    out.reserve(ENVELOPE_BYTES + known_bytes);
    out.extend_from_slice(br#"{"id": ""#);
    let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
    out.extend_from_slice(message.id.hyphenated().encode_lower(&mut id).as_bytes());
    out.extend_from_slice(br#"", "content": "#);
    if let Some(json) = &message.encoded {
        out.extend_from_slice(json);
    } else if let Some(text) = content::as_text(&message.content) {
        json_str::write(text, out);
    } else {
        content::encode(&message.content, out).inspect_err(|_| out.truncate(start))?;
    }
    out.extend_from_slice(br#", "timestamp": ""#);
    out.extend_from_slice(&timestamp::text(message.timestamp));
    out.extend_from_slice(br#""}"#);
    Ok(())
}

pub(super) fn to_string<T: Content>(message: &Message<T>) -> Result<String, MessageError> {
    let mut json = Vec::new();
    write(message, &mut json)?;
    String::from_utf8(json).map_err(|error| content::not_serialisable::<T>(&error))
}

pub(super) fn read<T: Content>(
    json: &[u8],
    limits: &MessageLimits,
) -> Result<Message<T>, MessageError> {
    let text = utf8(json, Field::Message)?;
    let parts: Parts<'_> =
        serde_json::from_str(text).map_err(|error| json_fault(Field::Message, &error, text))?;
    if let Some((field, second)) = parts.duplicate {
        return Err(MessageError::DuplicateField { field, found: Excerpt::of(second) });
    }
    let missing = |field| MessageError::MissingField { field, found: Excerpt::of(text) };
    let id = read_id(parts.id.ok_or_else(|| missing(Field::Id))?)?;
    let content = read_content(parts.content.ok_or_else(|| missing(Field::Content))?, limits)?;
    let timestamp = parts
        .timestamp
        .ok_or_else(|| MessageError::MissingTimestamp { found: Excerpt::of(text) })?;
    let timestamp = timestamp::parse(&string(timestamp, Field::Timestamp)?)?;
    Ok(Message { id, content, timestamp, key: None, headers: Headers::new(), encoded: None })
}

/// The text of `bytes`, or where it stops being text.
pub(crate) fn utf8(bytes: &[u8], field: Field) -> Result<&str, MessageError> {
    /// How much of the text before the fault is shown.
    const BEFORE: usize = 20;
    str::from_utf8(bytes).map_err(|error| {
        let valid_bytes = error.valid_up_to();
        let shown = bytes.get(valid_bytes.saturating_sub(BEFORE)..).unwrap_or(bytes);
        // Do not begin in the middle of a character of the good part.
        let skipped = shown.iter().take(3).take_while(|&&byte| byte & 0xC0 == 0x80).count();
        let skipped = if BEFORE < valid_bytes { skipped } else { 0 };
        MessageError::NotUtf8 { field, valid_bytes, found: Excerpt::of(&shown[skipped..]) }
    })
}

/// Sorts `serde_json`'s errors: text that is no JSON, or JSON of another type.
pub(crate) fn json_fault(field: Field, error: &serde_json::Error, found: &str) -> MessageError {
    let (reason, found) = (error.to_string(), Excerpt::of(found));
    match error.classify() {
        Category::Data => MessageError::WrongType { field, reason, found },
        Category::Syntax | Category::Eof | Category::Io => {
            MessageError::NotJson { field, reason, found }
        }
    }
}

fn read_id(json: &str) -> Result<Uuid, MessageError> {
    let text = string(json, Field::Id)?;
    Uuid::try_parse(&text).map_err(|error| MessageError::BadId {
        reason: error.to_string(),
        found: Excerpt::of(json),
    })
}

fn read_content<T: Content>(json: &str, limits: &MessageLimits) -> Result<T, MessageError> {
    content::check_json(json.as_bytes(), limits)?;
    let content: T =
        serde_json::from_str(json).map_err(|error| json_fault(Field::Content, &error, json))?;
    content::validate(&content, json.as_bytes())?;
    Ok(content)
}

/// The string that `json` is.
fn string(json: &str, field: Field) -> Result<Cow<'_, str>, MessageError> {
    let Some(quoted) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Err(MessageError::WrongType {
            field,
            reason: "expected a string".to_owned(),
            found: Excerpt::of(json),
        });
    };
    if !quoted.contains('\\') {
        return Ok(Cow::Borrowed(quoted));
    }
    serde_json::from_str(json).map(Cow::Owned).map_err(|error| json_fault(field, &error, json))
}

/// The three fields as JSON text, borrowed from the whole.
#[derive(Default)]
struct Parts<'a> {
    id: Option<&'a str>,
    content: Option<&'a str>,
    timestamp: Option<&'a str>,
    duplicate: Option<(Field, &'a str)>,
}

impl<'de> Deserialize<'de> for Parts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PartsVisitor)
    }
}

struct PartsVisitor;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with id, content and timestamp")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts = Parts::default();
        while let Some(Name(name)) = map.next_key()? {
            let (field, part) = match name {
                Some(Field::Id) => (Field::Id, &mut parts.id),
                Some(Field::Content) => (Field::Content, &mut parts.content),
                Some(Field::Timestamp) => (Field::Timestamp, &mut parts.timestamp),
                Some(Field::Message) | None => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let json = map.next_value::<&RawValue>()?.get();
            if part.replace(json).is_some() {
                parts.duplicate.get_or_insert((field, json));
            }
        }
        Ok(parts)
    }
}

/// A key of the object; None for one that is not ours.
struct Name(Option<Field>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Name, E> {
        let fields = [Field::Id, Field::Content, Field::Timestamp];
        Ok(Name(fields.into_iter().find(|field| field.name() == name)))
    }
}
