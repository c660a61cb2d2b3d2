//! What a line of input becomes: a message, or a bare record, with its key.

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroU64;

use kurier::{Headers, Message, OutgoingRecord};
use serde_json::value::RawValue;

use super::input::{LINE_BYTES_MAX, Line};
use crate::args::{Input, ProduceArgs};
use crate::commands::readable::Readable;

/// What goes out for one line.
pub(super) enum Outgoing {
    Text(Message),
    Json(Message<Box<RawValue>>),
    Bare(OutgoingRecord),
}

/// What `line` becomes, as the arguments say.
///
/// # Errors
/// Why it can't be sent, in words.
pub(super) fn outgoing(args: &ProduceArgs, line: &Line) -> Result<Outgoing, String> {
    if line.cut {
        return Err(format!("the line is {LINE_BYTES_MAX} bytes or longer"));
    }
    let (key, value) = match &args.key_delimiter {
        Some(delimiter) => {
            let at = find(&line.bytes, delimiter.as_bytes());
            let at = at.ok_or_else(|| format!("there is no key: {delimiter:?} does not occur"))?;
            (Some(line.bytes[..at].to_vec()), &line.bytes[at + delimiter.len()..])
        }
        None => (args.sample_keys.map(|keys| sample_key(line.number, keys)), &line.bytes[..]),
    };
    let said = |error: &dyn std::error::Error| error.to_string();
    match args.input {
        Input::Raw => {
            let value = Some(value.to_vec().into());
            let key = key.map(Into::into);
            Ok(Outgoing::Bare(OutgoingRecord {
                key,
                value,
                headers: Headers::new(),
                ..Default::default()
            }))
        }
        Input::Lines => {
            let text = std::str::from_utf8(value).map_err(|error| format!("not UTF-8: {error}"))?;
            let message = Message::new(text).map_err(|error| said(&error))?;
            Ok(Outgoing::Text(match key {
                Some(key) => message.with_key(key),
                None => message,
            }))
        }
        Input::Ndjson => {
            // As it was written: numbers that no float holds, and fields in their order.
            let not_json = |error| format!("not JSON: {error}");
            serde_json::from_slice::<Readable>(value).map_err(not_json)?;
            let json: Box<RawValue> = serde_json::from_slice(value).map_err(not_json)?;
            let fields = fields(&json);
            let key = args.key.as_deref().map(|field| key_of(&fields, field)).transpose()?.or(key);
            let whole =
                ["id", "content", "timestamp"].iter().all(|field| fields.contains_key(*field));
            drop(fields);
            let message = if whole { Message::from_json(value) } else { Message::new(json) };
            let message = message.map_err(|error| said(&error))?;
            Ok(Outgoing::Json(match key {
                Some(key) => message.with_key(key),
                None => message,
            }))
        }
    }
}

/// Samples are numbered from 1.
fn sample_key(number: u64, keys: NonZeroU64) -> Vec<u8> {
    format!("key-{}", (number - 1) % keys + 1).into_bytes()
}

type Fields<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

/// The fields of an object; anything else has none.
fn fields(json: &RawValue) -> Fields<'_> {
    serde_json::from_str(json.get()).unwrap_or_default()
}

/// The field's value as a key: a string's text, anything else as its JSON stands there.
fn key_of(json: &Fields<'_>, field: &str) -> Result<Vec<u8>, String> {
    let inside = || fields(json.get("content")?).remove(field);
    let found = json.get(field).copied().or_else(inside).map(RawValue::get);
    match found {
        Some("null") | None => Err(format!("there is no key: it has no field {field:?}")),
        Some(text) if text.starts_with('"') => {
            let key: String = serde_json::from_str(text).map_err(|error| error.to_string())?;
            Ok(key.into_bytes())
        }
        Some(other) => Ok(other.as_bytes().to_vec()),
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    text.windows(wanted.len()).position(|window| window == wanted)
}
