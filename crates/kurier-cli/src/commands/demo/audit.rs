//! What is really in the topic, when all is over: read by a client of its own, in no group.

use std::time::Duration;

use anyhow::Context as _;
use kurier::{
    Admin, ClientConfig, DeadLetter, Decoder as _, MessageDecoder, ReadUntil, Record, Seen,
    StartFrom, TopicReader,
};
use serde_json::Value;

/// The longest wait for one more record.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that `topic` holds now, each partition in its order.
///
/// # Errors
/// When it can't be read to its end.
pub async fn read(bootstrap: &str, topic: &str) -> anyhow::Result<Vec<Seen>> {
    let decoder = MessageDecoder::<Value>::default();
    let seen = |record: Record| {
        // What is no message, whoever wrote it, has no id; the ledger calls it foreign.
        let id = decoder.decode(&record).ok().map(|message| message.id());
        Seen::record(&record, id)
    };
    Ok(records(bootstrap, topic).await?.into_iter().map(seen).collect())
}

/// The dead letters that `topic` holds now.
///
/// # Errors
/// When it can't be read to its end, or holds something else.
pub async fn letters(bootstrap: &str, topic: &str) -> anyhow::Result<Vec<DeadLetter>> {
    let records = records(bootstrap, topic).await?;
    Ok(records.into_iter().map(DeadLetter::read).collect::<Result<_, _>>()?)
}

async fn records(bootstrap: &str, topic: &str) -> anyhow::Result<Vec<Record>> {
    let config = ClientConfig::new(bootstrap);
    let admin = Admin::connect(&config)?;
    let reader =
        TopicReader::open(&admin, &config, topic, StartFrom::Earliest, ReadUntil::End).await;
    admin.close().await;
    let mut reader = reader?;
    let mut found = Vec::new();
    loop {
        let next = tokio::time::timeout(PATIENCE, reader.next()).await;
        let next = next.with_context(|| format!("{topic} can't be read to its end"))?;
        let Some(record) = next else { break };
        found.push(record?);
    }
    reader.close().await;
    Ok(found)
}
