//! Reading a topic without a group.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use kurier::{
    Admin, ClientConfig, ClientError, Message, MessageProducer, OutgoingRecord, PartitionId,
    ReadError, ReadUntil, StartFrom, TopicReader,
};
use kurier_broker::EmbeddedCluster;

const TOPIC: &str = "orders";

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

async fn cluster_with(count: u64) -> (EmbeddedCluster, MessageProducer, Admin, ClientConfig) {
    let cluster = EmbeddedCluster::builder().topic(TOPIC, 3).start().await.unwrap();
    let config = ClientConfig::new(cluster.bootstrap());
    let producer = MessageProducer::builder(cluster.bootstrap()).build().await.unwrap();
    for number in 0..count {
        let message = Message::new(number.to_string()).unwrap().with_key(number.to_string());
        drop(producer.send(TOPIC, &message).await.unwrap());
    }
    producer.flush(Duration::from_secs(30)).await.unwrap();
    let admin = Admin::connect(&config).unwrap();
    (cluster, producer, admin, config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_read_to_the_end_twice_and_no_group_is_there_afterwards() {
    let (_cluster, _producer, admin, config) = cluster_with(3_000).await;
    for _ in 0..2 {
        let reader = TopicReader::open(&admin, &config, TOPIC, StartFrom::Earliest, ReadUntil::End);
        let mut reader = within("open", reader).await.unwrap();
        let mut next = [0; 3];
        while let Some(record) = within("reading", reader.next()).await {
            let record = record.unwrap();
            let next = &mut next[usize::try_from(record.partition().0).unwrap()];
            assert_eq!(record.offset().0, *next, "each partition in its order, without a gap");
            *next += 1;
        }
        assert_eq!(next.iter().sum::<i64>(), 3_000);
        within("close", reader.close()).await;
    }
    assert_eq!(admin.list_groups().await.unwrap(), [], "nothing joined and nothing committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_shows_only_what_comes_and_goes_on_until_it_is_closed() {
    let (_cluster, producer, admin, config) = cluster_with(100).await;
    let reader = TopicReader::open(&admin, &config, TOPIC, StartFrom::Latest, ReadUntil::Closed);
    let mut reader = within("open", reader).await.unwrap();
    let new = OutgoingRecord { partition: Some(PartitionId(1)), ..OutgoingRecord::default() };
    producer.send_record(TOPIC, &new).await.unwrap().await.unwrap();
    let found = within("the new one", reader.next()).await.unwrap().unwrap();
    assert!(found.is_tombstone() && found.partition() == PartitionId(1));
    let nothing = tokio::time::timeout(Duration::from_millis(300), reader.next()).await;
    assert!(nothing.is_err(), "it waits for more");
    within("close", reader.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_topic_ends_at_once_and_a_missing_one_is_an_error() {
    let (_cluster, _producer, admin, config) = cluster_with(0).await;
    let reader = TopicReader::open(&admin, &config, TOPIC, StartFrom::Earliest, ReadUntil::End);
    let mut reader = within("open", reader).await.unwrap();
    assert!(within("the end", reader.next()).await.is_none());
    let missing = TopicReader::open(&admin, &config, "nope", StartFrom::Earliest, ReadUntil::End);
    let error = within("open", missing).await.unwrap_err();
    assert!(matches!(error, ReadError::Cluster { source: ClientError::Kafka { .. }, .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_topic_ends_reading_with_an_error() {
    let (_cluster, _producer, admin, mut config) = cluster_with(10).await;
    // How long librdkafka takes a missing topic for one that is not known everywhere yet: 30 s.
    let patience = "topic.metadata.propagation.max.ms";
    config.properties.insert(patience.to_owned(), "500".to_owned());
    let reader = TopicReader::open(&admin, &config, TOPIC, StartFrom::Latest, ReadUntil::Closed);
    let mut reader = within("open", reader).await.unwrap();
    admin.delete_topic(TOPIC).await.unwrap();
    let gone = within("the error", reader.next()).await.unwrap();
    assert!(gone.is_err(), "{gone:?}");
}
