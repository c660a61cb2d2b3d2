//! What a command or a webhook is handed: a body, and facts beside it. *Pure.*

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use kurier::{Batch, Message, Received};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::commands::line::{self, Show};

/// One message, or a batch.
#[derive(Debug)]
pub struct Errand {
    /// Where it is from, for people: `orders-0@17`, a batch `orders-0@17..42`.
    pub place: String,
    pub body: Bytes,
    /// What the body is.
    pub content_type: &'static str,
    /// The same for every attempt, in whatever process: the message's own id, else its place.
    pub id: String,
    /// The trace that it belongs to, by the names of [W3C Trace Context].
    ///
    /// [W3C Trace Context]: https://www.w3.org/TR/trace-context/
    pub trace: Vec<(&'static str, String)>,
    key: Option<Bytes>,
    facts: Vec<(&'static str, String)>,
}

/// What is in the body of a single message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// The value as it is; of a tombstone nothing.
    Value,
    /// The line that `consume` prints.
    Envelope,
}

/// How several messages make one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Several {
    /// One JSON object a line.
    Lines,
    /// One JSON array.
    Array,
}

/// Whoever carries facts, and what it can carry.
#[derive(Debug)]
pub struct Carrier {
    /// Texts that go as they are; others go as base64.
    pub takes: fn(&str) -> bool,
    /// A longer key is left out, and its length told.
    pub key_bytes_max: usize,
}

/// What a value was read as, for whoever is handed its bytes.
pub trait Payload: Show {
    /// Of the value's bytes.
    const CONTENT_TYPE: &'static str;

    /// The message's own id.
    fn id(&self) -> Option<Uuid> {
        None
    }
}

const JSON: &str = "application/json";

impl Payload for Message<Box<RawValue>> {
    const CONTENT_TYPE: &'static str = JSON;

    fn id(&self) -> Option<Uuid> {
        Some(self.id())
    }
}

impl Payload for Box<RawValue> {
    const CONTENT_TYPE: &'static str = JSON;
}

impl Payload for String {
    const CONTENT_TYPE: &'static str = "text/plain; charset=utf-8";
}

impl Payload for Bytes {
    const CONTENT_TYPE: &'static str = "application/octet-stream";
}

impl Errand {
    /// Of one message.
    ///
    /// # Errors
    /// When its envelope can't be written as JSON.
    pub fn single<M: Payload>(
        message: &Received<M>,
        attempt: u32,
        body: Body,
    ) -> anyhow::Result<Self> {
        let (topic, partition) = (message.topic(), message.partition());
        let offset = message.position().offset;
        let (content_type, body) = match body {
            Body::Value => (M::CONTENT_TYPE, message.record().value().cloned().unwrap_or_default()),
            Body::Envelope => (JSON, lines([message])?.into()),
        };
        let id = message.value().and_then(Payload::id).map(|id| id.to_string());
        let id = id.unwrap_or_else(|| format!("{topic}-{partition}-{offset}"));
        let mut facts = facts(topic, partition.0, offset.0, attempt, &id);
        if message.is_tombstone() {
            facts.push(("TOMBSTONE", "1".to_owned()));
        }
        Ok(Self {
            place: format!("{topic}-{partition}@{offset}"),
            body,
            content_type,
            id,
            trace: trace(message),
            key: message.key().cloned(),
            facts,
        })
    }

    /// Of a batch. It has no key and is in no trace: its messages have.
    ///
    /// # Errors
    /// When a message can't be written as JSON.
    pub fn batch<M: Payload>(
        batch: &Batch<M>,
        attempt: u32,
        several: Several,
    ) -> anyhow::Result<Self> {
        let (topic, partition) = (&batch.partition().topic, batch.partition().partition);
        let offset = |one: Option<&std::sync::Arc<Received<M>>>| {
            // A batch is never empty.
            one.map_or(0, |message| message.position().offset.0)
        };
        let (first, last) = (offset(batch.items().first()), offset(batch.items().last()));
        let mut body = lines(batch.items().iter().map(|item| &**item))?;
        if several == Several::Array {
            // Line breaks stand only between objects.
            let breaks = body.iter_mut().filter(|byte| **byte == b'\n');
            breaks.for_each(|byte| *byte = b',');
            body.pop();
            body.insert(0, b'[');
            body.push(b']');
        }
        let id = format!("{topic}-{partition}-{first}-{last}");
        let mut facts = facts(topic, partition.0, first, attempt, &id);
        facts.push(("LAST_OFFSET", last.to_string()));
        facts.push(("COUNT", batch.len().to_string()));
        Ok(Self {
            place: format!("{topic}-{partition}@{first}..{last}"),
            body: body.into(),
            content_type: match several {
                Several::Lines => "application/x-ndjson",
                Several::Array => JSON,
            },
            id,
            trace: Vec::new(),
            key: None,
            facts,
        })
    }

    /// The facts, by the names that `KURIER_MSG_` and `Kurier-` stand before. No key is no fact; one that
    /// `carrier` can't take stands as `KEY_BASE64`, one that is too long as `KEY_OMITTED`, its length.
    pub fn facts(&self, carrier: &Carrier) -> Vec<(&'static str, String)> {
        let mut facts = self.facts.clone();
        if let Some(key) = &self.key {
            facts.push(match std::str::from_utf8(key) {
                _ if carrier.key_bytes_max < key.len() => ("KEY_OMITTED", key.len().to_string()),
                Ok(text) if (carrier.takes)(text) => ("KEY", text.to_owned()),
                _ => ("KEY_BASE64", BASE64.encode(key)),
            });
        }
        facts
    }
}

fn facts(
    topic: &str,
    partition: i32,
    offset: i64,
    attempt: u32,
    id: &str,
) -> Vec<(&'static str, String)> {
    vec![
        ("TOPIC", topic.to_owned()),
        ("PARTITION", partition.to_string()),
        ("OFFSET", offset.to_string()),
        ("ATTEMPT", attempt.to_string()),
        ("ID", id.to_owned()),
    ]
}

fn lines<'a, M: Show + 'a>(
    messages: impl IntoIterator<Item = &'a Received<M>>,
) -> anyhow::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for message in messages {
        line::write(&mut lines, message)?;
    }
    Ok(lines)
}

/// Longest `tracestate` that is passed on; the specification asks for 512 at least.
const TRACESTATE_BYTES_MAX: usize = 512;

fn trace<M>(message: &Received<M>) -> Vec<(&'static str, String)> {
    let Some(context) = message.trace_context() else { return Vec::new() };
    let mut trace = vec![("traceparent", context.to_string())];
    let state = message.headers().get("tracestate").and_then(|it| std::str::from_utf8(it).ok());
    let fits = |state: &&str| state.len() <= TRACESTATE_BYTES_MAX && is_visible(state);
    trace.extend(state.filter(fits).map(|state| ("tracestate", state.to_owned())));
    trace
}

/// True for texts that may stand in a header as they are, and are read back the same.
pub fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use kurier::{Headers, Offset, PartitionId, Record};

    use super::*;

    const ANY: Carrier = Carrier { takes: |_| true, key_bytes_max: 8 };
    const NONE: Carrier = Carrier { takes: |_| false, key_bytes_max: 8 };

    fn record() -> Record {
        Record::new("orders", PartitionId(2), Offset(17))
    }

    fn key_of(key: &[u8], carrier: &Carrier) -> (&'static str, String) {
        let message = Received::new(record().with_key(key.to_vec()), Some(Bytes::new()));
        let errand = Errand::single(&message, 1, Body::Value).unwrap();
        errand.facts(carrier).pop().unwrap()
    }

    #[test]
    fn a_message_is_its_value_and_a_tombstone_says_that_it_is_one() {
        let value = Bytes::from_static(b"\x00\xff");
        let message = Received::new(record().with_value(value.clone()), Some(value.clone()));
        let errand = Errand::single(&message, 3, Body::Value).unwrap();
        assert_eq!((errand.place.as_str(), &errand.body), ("orders-2@17", &value));
        assert_eq!(errand.id, "orders-2-17");
        let expected = [
            ("TOPIC", "orders"),
            ("PARTITION", "2"),
            ("OFFSET", "17"),
            ("ATTEMPT", "3"),
            ("ID", "orders-2-17"),
        ];
        let expected = expected.map(|(name, text)| (name, text.to_owned()));
        assert_eq!(errand.facts(&ANY), expected);

        let errand = Errand::single(&Received::<String>::new(record(), None), 1, Body::Value);
        let errand = errand.unwrap();
        assert!(errand.body.is_empty());
        assert!(errand.facts(&ANY).contains(&("TOMBSTONE", "1".to_owned())));
    }

    #[test]
    fn a_message_of_kurier_is_named_by_its_own_id() {
        let message = Message::new(RawValue::from_string("7".to_owned()).unwrap()).unwrap();
        let received = Received::new(record().with_value("…"), Some(message.clone()));
        let errand = Errand::single(&received, 1, Body::Envelope).unwrap();
        assert_eq!(errand.id, message.id().to_string());
        let body: serde_json::Value = serde_json::from_slice(&errand.body).unwrap();
        assert_eq!(body["message"]["id"], errand.id);
        assert_eq!(body["offset"], 17);
    }

    #[test]
    fn a_key_goes_as_it_is_as_base64_or_as_its_length() {
        assert_eq!(key_of("Grüße".as_bytes(), &ANY), ("KEY", "Grüße".to_owned()));
        assert_eq!(key_of(b"", &ANY), ("KEY", String::new()));
        assert_eq!(key_of(b"\xff\x00", &ANY), ("KEY_BASE64", "/wA=".to_owned()));
        assert_eq!(key_of(b"a", &NONE), ("KEY_BASE64", "YQ==".to_owned()));
        assert_eq!(key_of(b"123456789", &ANY), ("KEY_OMITTED", "9".to_owned()));
    }

    #[test]
    fn a_trace_is_passed_on_when_it_is_one() {
        let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let traced = |parent: &str, state: &str| {
            let mut headers = Headers::new();
            headers.push("traceparent", Some(parent.to_owned().into()));
            headers.push("tracestate", Some(state.to_owned().into()));
            trace(&Received::<String>::new(record().with_headers(headers), None))
        };
        let parent = ("traceparent", context.to_owned());
        assert_eq!(traced(context, "a=1"), [parent.clone(), ("tracestate", "a=1".to_owned())]);
        let long = "a".repeat(513);
        for state in ["a=1\nEvil: 1", &long] {
            assert_eq!(traced(context, state), std::slice::from_ref(&parent));
        }
        assert_eq!(traced("00-0", "a=1"), []);
    }
}
