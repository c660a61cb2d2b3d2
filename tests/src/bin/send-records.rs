//! Sends records of any kind with kurier's producer, in their order: what `kurier produce` has no words for.
//!
//! ```text
//! send-records BOOTSTRAP TOPIC [PROPERTY=VALUE…] < RECORDS
//! ```
//!
//! A line of input is `{"key": BYTES, "value": BYTES, "headers": [[NAME, BYTES], …], "timestamp": RFC 3339}`,
//! where BYTES is an array of numbers, or null. Ends when every record is delivered.

use std::io::{BufRead as _, stdin};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kurier::{Headers, MessageProducer, OutgoingRecord};
use serde::Deserialize;

/// A line of input.
#[derive(Debug, Deserialize)]
struct Line {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    timestamp: String,
}

/// The longest wait for the last acknowledgement.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().context("first argument: the cluster")?;
    let topic = arguments.next().context("second argument: the topic")?;
    let mut producer = MessageProducer::builder(bootstrap);
    for argument in arguments {
        let (name, value) = argument.split_once('=').context("more arguments: PROPERTY=VALUE")?;
        producer = producer.property(name, value);
    }
    let producer = producer.build().await?;
    let mut deliveries = Vec::new();
    for line in stdin().lock().lines() {
        let record = record(serde_json::from_str(&line?)?)?;
        deliveries.push(producer.send_record(&topic, &record).await?);
    }
    for delivery in deliveries {
        tokio::time::timeout(PATIENCE, delivery).await.context("an acknowledgement")??;
    }
    ensure!(producer.close(PATIENCE).await.unsent.is_empty(), "records were left");
    Ok(())
}

fn record(line: Line) -> anyhow::Result<OutgoingRecord> {
    let mut headers = Headers::new();
    for (name, value) in line.headers {
        headers.push(name, value.map(Into::into));
    }
    Ok(OutgoingRecord {
        key: line.key.map(Into::into),
        value: line.value.map(Into::into),
        headers,
        timestamp: Some(line.timestamp.parse()?),
        partition: None,
    })
}
