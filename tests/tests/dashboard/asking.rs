//! What a browser, and whoever means no good, sends; and what comes back.

use std::time::Duration;

use kurier::ClientConfig;
use kurier_broker::EmbeddedCluster;
use kurier_dashboard::{Dashboard, DashboardBuilder};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;

use kurier_tests::answer::{self, Answer, sent};
use kurier_tests::waits::within;

/// The token of these dashboards.
pub const TOKEN: &str = "0123456789abcdef";
/// The same as a header.
pub const AUTHORIZED: &str = "authorization: Bearer 0123456789abcdef\r\n";

/// A dashboard of `cluster` on a free port, with a token.
pub async fn dashboard(cluster: &EmbeddedCluster) -> Dashboard {
    configured(&cluster.bootstrap()).token(TOKEN).start().await.unwrap()
}

/// A dashboard on a free port to be.
pub fn configured(bootstrap: &str) -> DashboardBuilder {
    Dashboard::builder(ClientConfig::new(bootstrap)).listen("127.0.0.1:0")
}

/// `GET path` as a browser on this machine sends it.
pub async fn get(dashboard: &Dashboard, path: &str) -> Answer {
    answer::get(dashboard.address(), path).await
}

/// The same with these header lines.
pub async fn get_with(dashboard: &Dashboard, path: &str, headers: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
    sent(dashboard.address(), request.as_bytes()).await
}

/// `POST path` with a body of JSON and these header lines.
pub async fn post(dashboard: &Dashboard, path: &str, headers: &str, body: &Value) -> Answer {
    let (host, body) = (dashboard.address(), body.to_string());
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    sent(dashboard.address(), request.as_bytes()).await
}

/// A stream of server-sent events.
pub struct Events(Lines<BufReader<TcpStream>>);

impl Events {
    /// Opens it.
    pub async fn open(dashboard: &Dashboard, path: &str) -> Self {
        let mut stream = TcpStream::connect(dashboard.address()).await.unwrap();
        // Of HTTP/1.0, whose answers have no chunks.
        let request = format!("GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", dashboard.address());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let mut head = Vec::new();
        while let Some(line) = within("a head", lines.next_line()).await.unwrap() {
            if line.is_empty() {
                break;
            }
            head.push(line);
        }
        assert!(head[0].contains(" 200 "), "{head:?}");
        assert!(head.contains(&"content-type: text/event-stream".to_owned()), "{head:?}");
        Self(lines)
    }

    /// The next event with its data; none when the stream ends.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        let mut name = None;
        while let Some(line) = within("an event", self.0.next_line()).await.unwrap() {
            if let Some(event) = line.strip_prefix("event: ") {
                name = Some(event.to_owned());
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((name.unwrap(), serde_json::from_str(data).unwrap()));
            }
        }
        None
    }
}

/// A record that is written as it is.
#[derive(Debug, Clone, Default)]
pub struct Written {
    pub partition: i32,
    pub key: Option<String>,
    pub value: Vec<u8>,
    pub millis: i64,
    pub headers: Vec<(&'static str, String)>,
}

/// Writes records, in their order.
pub async fn write(bootstrap: &str, topic: &str, records: Vec<Written>) {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("enable.idempotence", "true");
    let producer: ThreadedProducer<_> = config.create().unwrap();
    let topic = topic.to_owned();
    let writing = tokio::task::spawn_blocking(move || {
        for Written { partition, key, value, millis, headers } in records {
            let mut own = OwnedHeaders::new();
            for (key, value) in &headers {
                own = own.insert(Header { key, value: Some(value) });
            }
            let record = BaseRecord::<String, _>::to(&topic).payload(&value).headers(own);
            let mut record = record.partition(partition).timestamp(millis);
            if let Some(key) = &key {
                record = record.key(key);
            }
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(120)).unwrap();
    });
    within("writing", writing).await.unwrap();
}

/// Writes so many numbers over three partitions, in the order of their times.
pub async fn write_numbers(bootstrap: &str, topic: &str, count: i64) {
    let record = |number: i64| Written {
        partition: i32::try_from(number % 3).unwrap(),
        key: Some(format!("key-{}", number % 7)),
        value: number.to_string().into_bytes(),
        millis: 1_700_000_000_000 + number,
        headers: Vec::new(),
    };
    write(bootstrap, topic, (0..count).map(record).collect()).await;
}

/// The values of the messages in an answer, which are numbers.
pub fn numbers(answer: &Value) -> Vec<i64> {
    let messages = answer["messages"].as_array().unwrap().iter();
    messages.map(|row| row["value"]["text"].as_str().unwrap().parse().unwrap()).collect()
}
