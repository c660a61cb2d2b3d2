//! The embedded cluster as librdkafka and the consumers see it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kurier::{Closed, Context, Ended, Failure, Received, SingleMessageConsumer, TextDecoder};
use kurier_broker::EmbeddedCluster;
use kurier_broker::control::{Action, Client, ControlError};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Message as _, Timestamp};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

const TOPIC: &str = "orders";

fn producer(bootstrap: &str, acks: &str) -> FutureProducer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", acks)
        .set("enable.idempotence", if acks == "all" { "true" } else { "false" })
        .set("message.timeout.ms", "60000")
        .set("linger.ms", "5")
        .create()
        .unwrap()
}

/// Sends numbers until `until` says stop; the acknowledged ones come back.
async fn send(producer: &FutureProducer, numbers: std::ops::Range<u64>) -> HashSet<u64> {
    let mut sends = tokio::task::JoinSet::new();
    for number in numbers {
        let producer = producer.clone();
        sends.spawn(async move {
            let (key, value) = (format!("key {}", number % 50), number.to_string());
            let record = FutureRecord::to(TOPIC).key(&key).payload(&value);
            let sent = producer.send(record, Duration::from_secs(60)).await;
            sent.map(|_| number).map_err(|(error, _)| error)
        });
    }
    let mut acknowledged = HashSet::new();
    while let Some(sent) = sends.join_next().await {
        if let Ok(number) = sent.unwrap() {
            acknowledged.insert(number);
        }
    }
    acknowledged
}

/// Everything that a new group finds.
async fn read_all(bootstrap: &str) -> (HashSet<u64>, u64) {
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let saw = Arc::clone(&seen);
    let handler = move |message: Arc<Received<String>>, _: Context| {
        let number = message.value().unwrap().parse().unwrap();
        saw.lock().unwrap().insert(number);
        std::future::ready(Ok::<(), Failure>(()))
    };
    let run = SingleMessageConsumer::builder(bootstrap, TOPIC)
        .group("reader")
        .decoder(TextDecoder)
        .exit_at_end(true)
        .run(handler, CancellationToken::new());
    let report = tokio::time::timeout(Duration::from_secs(60), run).await.unwrap().unwrap();
    assert_eq!((report.ended, report.closed), (Ended::AtEnd, Closed::Clean));
    let seen = seen.lock().unwrap().clone();
    (seen, report.handled)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_is_read_once_and_a_group_goes_on_where_it_was() {
    let cluster = EmbeddedCluster::builder().topic(TOPIC, 3).start().await.unwrap();
    let bootstrap = cluster.bootstrap();
    let acknowledged = send(&producer(&bootstrap, "all"), 0..2_000).await;
    assert_eq!(acknowledged.len(), 2_000);
    let (seen, handled) = read_all(&bootstrap).await;
    assert_eq!((seen.len(), handled), (2_000, 2_000));
    let (seen, _) = read_all(&bootstrap).await;
    assert_eq!(seen.len(), 0, "committed, so not read again");
    cluster.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_under_load_loses_nothing_that_all_replicas_acknowledged() {
    let cluster = EmbeddedCluster::builder().topic(TOPIC, 3).start().await.unwrap();
    let bootstrap = cluster.bootstrap();
    let producer = producer(&bootstrap, "all");
    let mut acknowledged = HashSet::new();
    for round in 0..6_u64 {
        let load = send(&producer, round * 3_000..(round + 1) * 3_000);
        let trouble = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            match round {
                1 => cluster.kill(2).await.unwrap(),
                3 => cluster.start(2).await.unwrap(),
                4 => cluster.stop(1).await.unwrap(),
                _ => {}
            }
        };
        let (sent, ()) = tokio::join!(load, trouble);
        acknowledged.extend(sent);
    }
    assert_eq!(acknowledged.len(), 18_000);
    let (seen, handled) = read_all(&bootstrap).await;
    assert_eq!(acknowledged.difference(&seen).count(), 0);
    assert_eq!(handled, 18_000, "idempotence: nothing stands twice");
}

/// A cluster with one partition, its leader, and the two that follow.
async fn led() -> (EmbeddedCluster, i32, Vec<i32>) {
    let cluster = EmbeddedCluster::builder().topic(TOPIC, 1).start().await.unwrap();
    let nodes = cluster.info().nodes;
    let (leaders, followers): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| 0 < node.leads);
    let followers = followers.iter().map(|node| node.node).collect();
    (cluster, leaders[0].node, followers)
}

/// The control of the test above: what only the leader had dies with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_acks_1_frozen_followers_and_a_killed_leader_acknowledged_messages_are_lost() {
    let (cluster, leader, followers) = led().await;
    let bootstrap = cluster.bootstrap();
    let producer = producer(&bootstrap, "1");
    let mut acknowledged = send(&producer, 0..1_000).await;
    for &follower in &followers {
        cluster.freeze(follower).await.unwrap();
    }
    acknowledged.extend(send(&producer, 1_000..2_000).await);
    assert_eq!(acknowledged.len(), 2_000);
    cluster.kill(leader).await.unwrap();
    for &follower in &followers {
        cluster.thaw(follower).await.unwrap();
    }
    let (seen, _) = read_all(&bootstrap).await;
    assert!(acknowledged.difference(&seen).count() > 0);
    assert!((0..1_000).all(|number| seen.contains(&number)), "what all had stays");
}

/// The other half: under the same fault `acks=all` acknowledges nothing that could be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_acks_all_frozen_followers_and_a_killed_leader_lose_nothing() {
    let (cluster, leader, followers) = led().await;
    let bootstrap = cluster.bootstrap();
    let producer = producer(&bootstrap, "all");
    let mut acknowledged = send(&producer, 0..1_000).await;
    for &follower in &followers {
        cluster.freeze(follower).await.unwrap();
    }
    let before = cluster.info().bytes;
    let later = tokio::spawn(async move { send(&producer, 1_000..2_000).await });
    // Only the leader has it, which dies now.
    tokio::time::timeout(Duration::from_secs(60), async {
        while cluster.info().bytes <= before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("a batch reaches the leader");
    assert!(!later.is_finished(), "nothing of it is acknowledged");
    cluster.kill(leader).await.unwrap();
    for &follower in &followers {
        cluster.thaw(follower).await.unwrap();
    }
    acknowledged.extend(later.await.unwrap());
    assert_eq!(acknowledged.len(), 2_000);
    let (seen, _) = read_all(&bootstrap).await;
    assert_eq!(acknowledged.difference(&seen).count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_controlled_from_outside_by_any_live_node() {
    let cluster = EmbeddedCluster::builder().topic(TOPIC, 3).start().await.unwrap();
    let info = Client::new(&cluster.bootstrap(), Duration::from_secs(5)).info().await.unwrap();
    assert_eq!(info, cluster.info());
    // Only node 2's address is known, and it is told to kill itself.
    let second = Client::new(&info.nodes[1].address, Duration::from_secs(5));
    second.act(Action::Kill, 2).await.unwrap();
    let all = Client::new(&cluster.bootstrap(), Duration::from_secs(5));
    while all.info().await.unwrap().nodes[1].up {
        tokio::task::yield_now().await;
    }
    assert!(matches!(second.info().await, Err(ControlError::Unreachable { .. })));
    let again = all.act(Action::Kill, 2).await.unwrap_err();
    assert_eq!(again.to_string(), "node 2 is down already");
    let unknown = all.act(Action::Stop, 9).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no node 9: this cluster has nodes 1 to 3");
    all.act(Action::Start, 2).await.unwrap();
    assert!(second.info().await.unwrap().nodes[1].up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_kafka_is_not_controlled() {
    let other = rdkafka::mocking::MockCluster::new(1).unwrap();
    let client = Client::new(&other.bootstrap_servers(), Duration::from_secs(5));
    let error = client.act(Action::Kill, 1).await.unwrap_err();
    assert!(matches!(error, ControlError::NotEmbedded(_)), "{error}");
}

/// librdkafka's request for all topics has bytes behind its end, which Kafka takes no notice of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_topics_are_listed() {
    let cluster = EmbeddedCluster::builder().topic(TOPIC, 3).topic("more", 1).start().await;
    let cluster = cluster.unwrap();
    let admin = kurier::Admin::connect(&kurier::ClientConfig::new(cluster.bootstrap())).unwrap();
    let topics = admin.list_topics().await.unwrap();
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, ["more", TOPIC]);
    assert_eq!(topics[1].partitions.len(), 3);
}

/// The time of appending stands in the header of a batch alone, whatever is inside; readers check its
/// sum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_with_the_time_of_appending_gives_that_to_producers_and_readers() {
    let cluster = EmbeddedCluster::builder().start().await.unwrap();
    let admin = kurier::Admin::connect(&kurier::ClientConfig::new(cluster.bootstrap())).unwrap();
    let topic = kurier::NewTopic::new(TOPIC).partitions(1).replication(3);
    let topic = topic.config("message.timestamp.type", "LogAppendTime");
    admin.create_topic(&topic).await.unwrap();
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let before = now().as_millis() as i64;
    for compression in ["none", "lz4"] {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap())
            .set("compression.type", compression)
            .create()
            .unwrap();
        let value = compression.repeat(100);
        let record = FutureRecord::<str, str>::to(TOPIC).payload(&value).timestamp(5);
        let sent = producer.send(record, Duration::from_secs(30)).await.unwrap();
        assert!(matches!(sent.timestamp, Timestamp::LogAppendTime(_)), "{:?}", sent.timestamp);
    }
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .set("group.id", "never joined")
        .set("check.crcs", "true")
        .create()
        .unwrap();
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&start).unwrap();
    for _ in 0..2 {
        let record = consumer.poll(Duration::from_secs(30)).unwrap().unwrap();
        let Timestamp::LogAppendTime(at) = record.timestamp() else {
            panic!("{:?}", record.timestamp())
        };
        assert!((before..=now().as_millis() as i64).contains(&at), "{at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_that_is_not_honoured_makes_no_topic_and_says_why() {
    let cluster = EmbeddedCluster::builder().start().await.unwrap();
    let admin = kurier::Admin::connect(&kurier::ClientConfig::new(cluster.bootstrap())).unwrap();
    let topic = kurier::NewTopic::new(TOPIC).partitions(1).replication(3);
    let compacted = topic.clone().config("cleanup.policy", "compact");
    let error = admin.create_topic(&compacted).await.unwrap_err();
    let said = format!("{error} {:?}", std::error::Error::source(&error));
    assert!(said.contains("only delete is possible in an embedded cluster"), "{said}");
    assert_eq!(admin.list_topics().await.unwrap(), []);
    admin.create_topic(&topic.config("retention.bytes", "1000000")).await.unwrap();
    let configs = admin.topic_configs(TOPIC).await.unwrap();
    let set = configs.iter().filter(|it| it.source == kurier::ConfigSource::Topic);
    let set: Vec<_> = set.map(|it| (it.name.as_str(), it.value.as_deref().unwrap())).collect();
    assert_eq!(set, [("retention.bytes", "1000000")]);
    assert!(configs.iter().any(|it| it.name == "message.timestamp.type"));
}

#[tokio::test]
async fn a_dropped_cluster_leaves_no_socket() {
    let cluster = EmbeddedCluster::builder().nodes(1).start().await.unwrap();
    let address = cluster.info().nodes[0].address.clone();
    drop(cluster);
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
