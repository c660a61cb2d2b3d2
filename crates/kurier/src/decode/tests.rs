//! What each form makes of a record, and what an error says.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use serde_json::value::RawValue;

use super::*;
use crate::{Field, Headers, MessageLimits, Offset, PartitionId};

const JSON: &str = r#"{"id": "6f9619ff-8b86-4011-b42d-00cf4fc964ff", "content": "hello", "timestamp": "2026-11-23T21:59:58.123456+00:00"}"#;

fn record(value: impl Into<bytes::Bytes>) -> Record {
    Record::new("python-topic", PartitionId(1), Offset(17)).with_value(value)
}

#[test]
fn a_message_gets_key_and_headers_from_the_record() {
    let mut headers = Headers::new();
    headers.push("trace", Some("1".into()));
    headers.push("trace", None);
    let record = record(JSON).with_key("order-17").with_headers(headers.clone());

    let received = Received::decode(&MessageDecoder::<String>::new(), record.clone()).unwrap();

    let message = received.value().unwrap();
    assert_eq!(message.content(), "hello");
    assert_eq!(message.key().map(|key| &key[..]), Some(&b"order-17"[..]));
    assert_eq!(message.headers(), &headers);
    assert_eq!(received.record(), &record);
    assert_eq!(received.position().to_string(), "python-topic[1] offset 17");
}

#[test]
fn what_was_read_leaves_the_record_behind_and_a_tombstone_is_none() {
    let text = Received::decode(&TextDecoder, record("hello")).unwrap();
    assert_eq!(text.into_value().as_deref(), Some("hello"));
    let tombstone = Record::new("python-topic", PartitionId(1), Offset(17));
    assert_eq!(Received::decode(&TextDecoder, tombstone).unwrap().into_value(), None);
}

#[test]
fn no_key_is_not_an_empty_key() {
    let decoder = MessageDecoder::<String>::new();
    assert_eq!(decoder.decode(&record(JSON)).unwrap().key(), None);
    let empty = decoder.decode(&record(JSON).with_key("")).unwrap();
    assert_eq!(empty.key(), Some(&bytes::Bytes::new()));
}

struct Never;

impl Decoder for Never {
    type Item = ();

    fn decode(&self, record: &Record) -> Result<(), DecodeError> {
        Err(DecodeError::new(record, "was asked"))
    }
}

#[test]
fn a_tombstone_is_delivered_without_asking_the_decoder() {
    let tombstone = Record::new("t", PartitionId(0), Offset(0)).with_key("gone");
    let received = Received::decode(&Never, tombstone).unwrap();
    assert!(received.is_tombstone());
    assert_eq!(received.value(), None);
    assert_eq!(received.key().map(|key| &key[..]), Some(&b"gone"[..]));

    let asked = Received::decode(&Never, record("")).unwrap_err();
    assert_eq!(asked.to_string(), "python-topic[1] offset 17: was asked");
}

#[test]
fn an_error_says_where_which_field_and_what_was_found() {
    let bad = JSON.replace("6f9619ff", "6f9619fg");
    let error = MessageDecoder::<String>::new().decode(&record(bad)).unwrap_err();

    assert_eq!(error.position(), &record("").position());
    assert_eq!(error.message_error().unwrap().field(), Field::Id);
    let text = error.to_string();
    assert!(text.starts_with("python-topic[1] offset 17: id: not a UUID: "), "{text}");
    assert!(text.ends_with("found \"6f9619fg-8b86-4011-b42d-00cf4fc964ff\""), "{text}");
}

#[test]
fn limits_hold_when_reading() {
    let decoder = MessageDecoder::<String>::within(MessageLimits { content_bytes_max: 6 });
    let error = decoder.decode(&record(JSON)).unwrap_err();
    let expected = MessageError::ContentTooLarge { bytes: 7, bytes_max: 6 };
    assert_eq!(error.message_error(), Some(&expected));
}

#[test]
fn content_of_the_wrong_type_is_named() {
    let error = MessageDecoder::<Vec<u8>>::new().decode(&record(JSON)).unwrap_err();
    let error = error.message_error().unwrap();
    assert!(matches!(error, MessageError::WrongType { field: Field::Content, .. }), "{error}");
}

#[test]
fn bare_json_as_a_value_and_as_it_was_written() {
    let json = r#"{"b": 123456789012345678901234567890, "a": [1.50]}"#;
    let value = JsonDecoder::<serde_json::Value>::new().decode(&record(json)).unwrap();
    assert_eq!(value["a"][0], 1.5);
    let raw = JsonDecoder::<Box<RawValue>>::new().decode(&record(json)).unwrap();
    assert_eq!(raw.get(), json);
}

#[test]
fn json_that_is_none_says_why() {
    let decoder = JsonDecoder::<serde_json::Value>::new();
    for (value, expected) in [
        (&b""[..], "python-topic[1] offset 17: message: not JSON: EOF while parsing"),
        (b"{\"a\": ", "python-topic[1] offset 17: message: not JSON: EOF while parsing"),
        (b"1 2", "python-topic[1] offset 17: message: not JSON: trailing characters"),
        (b"\"\xff\"", "python-topic[1] offset 17: message: not UTF-8 from byte 1 on"),
    ] {
        let error = decoder.decode(&record(value)).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let error = JsonDecoder::<u8>::new().decode(&record("300")).unwrap_err();
    assert!(matches!(error.message_error(), Some(MessageError::WrongType { .. })), "{error}");
}

#[test]
fn text_is_utf8_and_bytes_are_anything() {
    assert_eq!(TextDecoder.decode(&record("Grüße")).unwrap(), "Grüße");
    assert_eq!(TextDecoder.decode(&record("")).unwrap(), "");
    let error = TextDecoder.decode(&record(&b"ab\xff"[..])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "python-topic[1] offset 17: message: not UTF-8 from byte 2 on, found ab\\xff"
    );
    let bytes = bytes::Bytes::from_static(b"\x00\xff");
    let raw = RawDecoder.decode(&record(bytes.clone())).unwrap();
    assert_eq!(raw.as_ptr(), bytes.as_ptr(), "shared, not copied");
}
