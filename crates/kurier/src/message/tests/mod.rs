//! The message as the outside sees it: what is refused and how it says so, what is written, what is
//! read, and the same from Python.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod made;
mod python;
mod read;
mod round;

use super::*;

const ID: &str = "6f9619ff-8b86-4011-b42d-00cf4fc964ff";
const AT: &str = "2026-11-23T21:59:58.123456+00:00";

/// The wire form of these parts, each as JSON.
fn wire(id: &str, content: &str, timestamp: &str) -> String {
    format!(r#"{{"id": {id}, "content": {content}, "timestamp": {timestamp}}}"#)
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn with_content(content: &str) -> String {
    wire(&quoted(ID), content, &quoted(AT))
}

fn with_timestamp(timestamp: &str) -> String {
    wire(&quoted(ID), "\"hello\"", timestamp)
}

fn read<T: Content>(json: impl AsRef<[u8]>) -> Result<Message<T>, MessageError> {
    Message::from_json(json.as_ref())
}

fn fault<T: Content>(json: impl AsRef<[u8]>) -> MessageError {
    match Message::<T>::from_json(json.as_ref()) {
        Ok(message) => panic!("read as {:?}", message.to_json()),
        Err(error) => error,
    }
}
