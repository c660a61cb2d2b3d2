//! Clients that read a part of a topic, and who waits until they are gone.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kurier::{ClientConfig, Offset, ReadError, TopicPartition, TopicReader, canonical_name};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// What each of them is made of.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    client: ClientConfig,
    pub(super) tasks: TaskTracker,
}

/// What a client has read ahead is bounded over all its partitions, and librdkafka's bounds are those of one:
/// each has its part of the whole, within the least and the most. A message of some bytes takes more than two
/// hundred there, so that they are counted too.
const AHEAD: [(&str, usize, RangeInclusive<usize>); 3] = [
    ("queued.max.messages.kbytes", 4 << 10, 16..=4 << 10),
    ("queued.min.messages", 10_000, 10..=1000),
    ("fetch.message.max.bytes", 512 << 10, 2 << 10..=256 << 10),
];

/// A client that reads a little asks for little at a time, looks again soon when it has as much as it may, and
/// is told soon that a partition ends.
const PROPERTIES: [(&str, &str); 3] = [
    ("fetch.max.bytes", "1048576"),
    ("fetch.queue.backoff.ms", "20"),
    ("fetch.wait.max.ms", "100"),
];

impl Reading {
    pub(super) fn new(mut client: ClientConfig, tasks: TaskTracker) -> Self {
        for (name, value) in PROPERTIES {
            set(&mut client, name, value.to_owned());
        }
        Self { client, tasks }
    }

    /// Begins to read parts of partitions.
    ///
    /// # Errors
    /// A wrong configuration, or no thread.
    pub(super) fn begin(
        &self,
        spans: BTreeMap<TopicPartition, (Offset, Option<Offset>)>,
    ) -> Result<TopicReader, ReadError> {
        let mut client = self.client.clone();
        for (name, value) in ahead(spans.len()) {
            set(&mut client, name, value.to_string());
        }
        TopicReader::read(&client, spans)
    }

    /// Ends it without waiting for that; `held` is, until its client is gone.
    pub(super) fn end(&self, reader: TopicReader, held: impl Send + 'static) -> JoinHandle<()> {
        self.tasks.spawn(async move {
            reader.close().await;
            drop(held);
        })
    }
}

/// What each of so many partitions may have.
fn ahead(partitions: usize) -> [(&'static str, usize); 3] {
    AHEAD.map(|(name, whole, bounds)| {
        (name, (whole / partitions.max(1)).clamp(*bounds.start(), *bounds.end()))
    })
}

/// Unless it was set to something, under whatever name.
fn set(client: &mut ClientConfig, name: &str, value: String) {
    let is_set = client.properties.keys().any(|own| canonical_name(own) == canonical_name(name));
    if !is_set {
        client.properties.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_stays_under_whatever_name() {
        let mut client = ClientConfig::new("localhost:9092");
        for (name, value) in [("max.partition.fetch.bytes", "7000000"), ("client.rack", "a")] {
            client.properties.insert(name.to_owned(), value.to_owned());
        }
        let mut client = Reading::new(client, TaskTracker::new()).client;
        for (name, value) in ahead(1) {
            set(&mut client, name, value.to_string());
        }
        let properties = &client.properties;
        assert_eq!(properties.len(), 2 + PROPERTIES.len() + AHEAD.len() - 1, "{properties:?}");
        assert_eq!(properties["max.partition.fetch.bytes"], "7000000");
        assert!(client.admin_properties().is_ok(), "nothing is given twice");
    }

    #[test]
    fn many_partitions_share_what_one_may_have_read_ahead() {
        let values = |partitions| ahead(partitions).map(|(_, value)| value);
        assert_eq!(values(0), [4096, 1000, 256 << 10]);
        assert_eq!(values(1), [4096, 1000, 256 << 10]);
        assert_eq!(values(64), [64, 156, 8 << 10]);
        assert_eq!(values(100_000), [16, 10, 2 << 10], "something comes of each");
    }
}
