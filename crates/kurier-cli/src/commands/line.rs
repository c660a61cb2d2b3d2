//! A record as one line of JSON, written straight into a buffer: this is the hot path of `consume`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use kurier::{Message, Received};
use serde::Serialize;
use serde_json::value::RawValue;

/// Something a value was read as. JSON is shown as it was written: numbers of any size, fields in their
/// order.
pub trait Show: Send + Sync + 'static {
    /// Writes its field or fields, each with a comma before it. Line breaks are spaces of JSON, and may
    /// be written.
    ///
    /// # Errors
    /// When it can't be written as JSON.
    fn show(&self, line: &mut Vec<u8>) -> anyhow::Result<()>;
}

impl Show for Message<Box<RawValue>> {
    fn show(&self, line: &mut Vec<u8>) -> anyhow::Result<()> {
        line.extend_from_slice(b",\"message\":");
        Ok(self.write_json(line)?)
    }
}

impl Show for Box<RawValue> {
    fn show(&self, line: &mut Vec<u8>) -> anyhow::Result<()> {
        put(line, "value", self)
    }
}

impl Show for String {
    fn show(&self, line: &mut Vec<u8>) -> anyhow::Result<()> {
        put(line, "value", self)
    }
}

impl Show for Bytes {
    fn show(&self, line: &mut Vec<u8>) -> anyhow::Result<()> {
        put_bytes(line, "value", Some(self))
    }
}

/// Writes `received` and a line's end: `topic, partition, offset, key, timestamp, headers`, and what
/// its value was read as; a tombstone is a `message` that is null. Bytes that are not UTF-8 stand as
/// `…_base64`.
///
/// # Errors
/// When its value can't be written as JSON.
pub fn write<M: Show>(line: &mut Vec<u8>, received: &Received<M>) -> anyhow::Result<()> {
    line.extend_from_slice(b"{\"topic\":");
    serde_json::to_writer(&mut *line, received.topic())?;
    put(line, "partition", &received.partition().0)?;
    put(line, "offset", &received.offset().0)?;
    put_bytes(line, "key", received.key().map(|key| &**key))?;
    put(line, "timestamp", &received.timestamp().map(Shown))?;
    line.extend_from_slice(b",\"headers\":[");
    for (index, header) in received.headers().iter().enumerate() {
        line.extend_from_slice(if index == 0 { b"{\"key\":" } else { b",{\"key\":" });
        serde_json::to_writer(&mut *line, &header.name)?;
        put_bytes(line, "value", header.value.as_deref())?;
        line.push(b'}');
    }
    line.push(b']');
    let shown = line.len();
    match received.value() {
        Some(value) => value.show(line)?,
        None => put(line, "message", &())?,
    }
    // In JSON they stand only between tokens: within a string they are escaped.
    let breaks = line[shown..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r'));
    breaks.for_each(|byte| *byte = b' ');
    line.extend_from_slice(b"}\n");
    Ok(())
}

/// A time in its usual text, without a string between.
struct Shown(jiff::Timestamp);

impl Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Writes `,"name":value`; names are ours and need no escapes.
fn put(line: &mut Vec<u8>, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
    Ok(serde_json::to_writer(line, value)?)
}

fn put_bytes(line: &mut Vec<u8>, name: &str, bytes: Option<&[u8]>) -> anyhow::Result<()> {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => put(line, name, &()),
        Some((Ok(text), _)) => put(line, name, &text),
        Some((Err(_), bytes)) => put(line, &format!("{name}_base64"), &BASE64.encode(bytes)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use kurier::{Decoder, Headers, MessageDecoder, Offset, PartitionId, Record};
    use serde_json::{Value, json};

    use super::*;

    fn shown<M: Show>(record: Record, value: Option<M>) -> Value {
        let mut line = Vec::new();
        write(&mut line, &Received::new(record, value)).unwrap();
        assert_eq!(line.pop(), Some(b'\n'));
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn a_line_holds_all_of_a_record() {
        let mut headers = Headers::new();
        headers.push("n \"quoted\"", Some(Bytes::from_static(b"1")));
        headers.push("n", None);
        headers.push("n", Some(Bytes::from_static(&[255])));
        let record = Record::new("orders", PartitionId(2), Offset(17)).with_key("a\nb");
        let record = record.with_headers(headers);
        let record = record.with_timestamp(jiff::Timestamp::from_millisecond(1).unwrap());
        assert_eq!(
            shown(record, Some(Bytes::from_static(&[0xc3, 0x28]))),
            json!({
                "topic": "orders", "partition": 2, "offset": 17, "key": "a\nb",
                "timestamp": "1970-01-01T00:00:00.001Z",
                "headers": [
                    {"key": "n \"quoted\"", "value": "1"}, {"key": "n", "value": null},
                    {"key": "n", "value_base64": "/w=="},
                ],
                "value_base64": "wyg=",
            })
        );
    }

    #[test]
    fn a_tombstone_and_a_message() {
        let record = || Record::new("orders", PartitionId(0), Offset(0));
        assert_eq!(shown::<String>(record(), None)["message"], Value::Null);
        let content = RawValue::from_string(r#"{"a": [1, null]}"#.to_owned()).unwrap();
        let message = Message::new(content).unwrap();
        let line = shown(record(), Some(message.clone()));
        assert_eq!(line["message"]["id"], json!(message.id()));
        assert_eq!(line["message"]["content"], json!({"a": [1, null]}));
        assert_eq!(line["key"], Value::Null);
    }

    /// Other people's producers break lines within their JSON, and write numbers that no float holds.
    #[test]
    fn json_keeps_its_numbers_and_order_and_stays_on_one_line() {
        let written = "{\"id\": \"0b6e1a60-8d0f-4f0e-9d3c-0d7f6f5c1a11\",\r\n \"content\":\n{\"z\": \
                       123456789012345678901234567890,\n\"a\": \"b\\nc\"}, \"timestamp\": \"2026-01-01T00:00:00Z\"}";
        let record = Record::new("orders", PartitionId(0), Offset(0)).with_value(written);
        let message = MessageDecoder::<Box<RawValue>>::default().decode(&record).unwrap();
        let mut line = Vec::new();
        write(&mut line, &Received::new(record, Some(message))).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line.lines().count(), 1, "{line}");
        let content = r#"{"z": 123456789012345678901234567890, "a": "b\nc"}"#;
        assert!(line.contains(content), "{line}");
    }
}
