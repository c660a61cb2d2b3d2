//! What a server answers over HTTP, asked by hand, so that nothing in between makes it better or worse.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::waits::within;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// 200 and the like.
    pub status: u16,
    /// Names in small letters, as the dashboard writes them.
    pub headers: BTreeMap<String, String>,
    /// Without what the head says of it.
    pub body: Vec<u8>,
    /// From before the connection to the last byte.
    pub took: Duration,
}

impl Answer {
    /// The body as JSON, which it must be.
    ///
    /// # Panics
    /// When it is none, or not said to be.
    pub fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// What of a request is wrong.
    ///
    /// # Panics
    /// When nothing is.
    pub fn problem(&self) -> String {
        assert!(300 <= self.status, "{self:?}");
        let json = self.json();
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(1), "{json}");
        json["error"].as_str().expect("a sentence").to_owned()
    }
}

/// `GET path` as a browser on this machine sends it.
///
/// # Panics
/// As [`sent`].
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nconnection: close\r\nhost: {address}\r\n\r\n");
    sent(address, request.as_bytes()).await
}

/// Sends these bytes, and reads until the connection is closed.
///
/// # Panics
/// When nobody listens there, or what comes is no answer.
pub async fn sent(address: SocketAddr, request: &[u8]) -> Answer {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await.expect("somebody listens");
    // A server that does not want all of it may close the connection before.
    let _ = stream.write_all(request).await;
    let mut bytes = Vec::new();
    // A server that has not read everything resets the connection after its answer.
    let _ = within("an answer", stream.read_to_end(&mut bytes)).await;
    let took = begun.elapsed();
    let no_answer = || panic!("no answer: {:?}", String::from_utf8_lossy(&bytes));
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(no_answer);
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is text");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").expect("NAME: VALUE");
        (name.to_owned(), value.to_owned())
    };
    let headers = lines.map(header).collect();
    Answer { status: status.expect("a status"), headers, body: bytes[end + 4..].to_vec(), took }
}
