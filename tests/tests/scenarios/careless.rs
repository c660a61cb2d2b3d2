//! Producers that are not kurier's, for the controls.

use std::sync::Arc;

use bytes::Bytes;
use kurier::{Message, Offset, PartitionId, Receipt};
use kurier_tests::audit::Found;
use kurier_tests::books::Books;
use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::task::JoinSet;

use crate::dispatch::TOPIC;

/// What became of a message: delivered, or librdkafka's code.
pub type Fate = Result<(), RDKafkaErrorCode>;

/// librdkafka alone, with these properties and its own defaults.
pub fn careless(bootstrap: &str, properties: &[(&str, &str)]) -> FutureProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    for (name, value) in properties {
        config.set(*name, *value);
    }
    config.create().unwrap()
}

/// Hands over these numbers with one key to partition 0, one after another, and enters each in the books,
/// with its outcome once it is delivered.
pub fn send(
    client: &FutureProducer,
    books: &Arc<Books>,
    numbers: impl IntoIterator<Item = usize>,
) -> JoinSet<Fate> {
    let key = Bytes::from_static(b"key");
    let mut fates = JoinSet::new();
    for number in numbers {
        let message = Message::new(number.to_string()).unwrap().with_key(key.clone());
        let json = message.to_json().unwrap();
        books.intended(&message).unwrap();
        books.sent(message.id());
        let record = FutureRecord::to(TOPIC).partition(0).key(&key[..]).payload(&json);
        let delivery = client.send_result(record).map_err(|(error, _)| error).unwrap();
        let (books, id) = (Arc::clone(books), message.id());
        fates.spawn(async move {
            let place = delivery.await.unwrap().map_err(|(error, _)| {
                error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)
            })?;
            let receipt = Receipt {
                topic: TOPIC.into(),
                partition: PartitionId(place.partition),
                offset: Some(Offset(place.offset)),
                timestamp: None,
            };
            books.settled(id, &Ok(receipt));
            Ok(())
        });
    }
    fates
}

/// The number that a message of these scenarios has as its content.
pub fn number(found: &Found) -> usize {
    let json = found.value.as_deref().unwrap();
    let value: serde_json::Value = serde_json::from_slice(json).unwrap();
    value["content"].as_str().unwrap().parse().unwrap()
}
