//! Against librdkafka's mock cluster, as far as it goes: it answers for metadata, offsets and
//! coordinators, but neither creates topics on request nor describes groups.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::{Offset, PartitionId, TopicPartition};

type Mock = MockCluster<'static, DefaultProducerContext>;

fn mock(partitions: i32) -> Mock {
    let mock = MockCluster::new(3).unwrap();
    mock.create_topic("orders", partitions, 3).unwrap();
    mock
}

fn connect(bootstrap: &str, timeout: Duration) -> Admin {
    Admin::connect(&ClientConfig::new(bootstrap)).unwrap().with_timeout(timeout)
}

fn produce(bootstrap: &str, partition: i32, count: usize) {
    let producer: BaseProducer =
        rdkafka::ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    for _ in 0..count {
        let record = BaseRecord::<(), _>::to("orders").partition(partition).payload("x");
        producer.send(record).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
}

const TEN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_cluster_and_its_topics() {
    let mock = mock(3);
    let admin = connect(&mock.bootstrap_servers(), TEN);

    let cluster = admin.cluster_info().await.unwrap();
    let ids: Vec<_> = cluster.brokers.iter().map(|broker| broker.id).collect();
    assert_eq!(ids, [NodeId(1), NodeId(2), NodeId(3)]);
    let addresses: Vec<_> = cluster.brokers.iter().map(Broker::address).collect();
    assert_eq!(addresses.join(","), mock.bootstrap_servers());
    assert!(cluster.id.is_some() && cluster.controller.is_some(), "{cluster:?}");

    let topics = admin.list_topics().await.unwrap();
    assert_eq!(topics, [admin.describe_topic("orders").await.unwrap()]);
    for (number, partition) in topics[0].partitions.iter().enumerate() {
        assert_eq!(partition.partition.0 as usize, number);
        assert_eq!((partition.replicas.len(), partition.isr.len()), (3, 3));
        assert!(partition.replicas.contains(&partition.leader.unwrap()));
    }
    admin.close().await;
}

#[tokio::test]
async fn how_far_partitions_reach() {
    let mock = mock(2);
    let bootstrap = mock.bootstrap_servers();
    tokio::task::spawn_blocking(move || produce(&bootstrap, 1, 7)).await.unwrap();
    let admin = connect(&mock.bootstrap_servers(), TEN);

    let reach = admin.watermarks("orders").await.unwrap();
    let expected = [(0, 0), (1, 7)].map(|(partition, end)| {
        (PartitionId(partition), Watermarks { earliest: Offset(0), end: Offset(end) })
    });
    assert_eq!(reach, expected.into());
}

#[tokio::test]
async fn an_unknown_topic_says_so() {
    let mock = mock(1);
    let admin = connect(&mock.bootstrap_servers(), Duration::from_secs(5));
    mock.topic_error("nowhere", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();

    let error = admin.describe_topic("nowhere").await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("describe topic nowhere: "), "{text}");
    assert!(text.contains("UnknownTopicOrPartition"), "{text}");
    assert!(!error.is_retriable());
}

#[tokio::test]
async fn waiting_for_a_topic_ends_with_leaders_or_with_what_is_missing() {
    let mock = mock(1);
    let admin = connect(&mock.bootstrap_servers(), TEN);
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    mock.topic_error("late", unknown).unwrap();
    mock.partition_leader("orders", 0, Some(-1)).unwrap();

    let short = Duration::from_millis(400);
    let error = admin.wait_for_topic("orders", short).await.unwrap_err();
    assert!(error.to_string().contains("partition 0 has no leader"), "{error}");
    let error = admin.wait_for_topic("late", short).await.unwrap_err();
    assert!(error.to_string().contains("UnknownTopicOrPartition"), "{error}");

    let elect = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        mock.partition_leader("orders", 0, Some(2)).unwrap();
    };
    let (topic, ()) = tokio::join!(admin.wait_for_topic("orders", TEN), elect);
    assert_eq!(topic.unwrap().partitions[0].leader, Some(NodeId(2)));
}

#[tokio::test]
async fn a_question_is_asked_again_while_the_answer_passes() {
    let mock = mock(1);
    let admin = connect(&mock.bootstrap_servers(), TEN);
    let partitions = [TopicPartition::new("orders", PartitionId(0))];
    for passing in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE,
    ] {
        mock.request_errors(RDKafkaApiKey::ListOffsets, &[passing, passing, passing]);
        let offsets = admin.offsets(&partitions, OffsetAt::End).await.unwrap();
        assert_eq!(offsets.values().collect::<Vec<_>>(), [&Some(Offset(0))]);
    }
}

/// librdkafka says of the partitions of a leader that did not answer that all is well, and that their offset
/// is -1001.
#[tokio::test]
async fn a_leader_that_is_away_is_the_error_of_its_own_partitions() {
    let mock = mock(3);
    for (partition, leader) in [(0, 1), (1, 2), (2, 3)] {
        mock.partition_leader("orders", partition, Some(leader)).unwrap();
    }
    let admin = connect(&mock.bootstrap_servers(), TEN);
    let partitions = admin.describe_topic("orders").await.unwrap().topic_partitions();
    admin.offsets(&partitions, OffsetAt::End).await.unwrap();
    mock.broker_down(2).unwrap();

    let admin = admin.with_timeout(Duration::from_secs(2));
    let found = admin.offsets_of_each(&partitions, OffsetAt::End).await.unwrap();
    let known: Vec<_> = found.iter().map(|(_, offset)| offset.clone().ok()).collect();
    assert_eq!(known, [Some(Some(Offset(0))), None, Some(Some(Offset(0)))], "{found:?}");

    let found = admin.offsets_each(&partitions, OffsetAt::End).await.unwrap();
    let known: Vec<_> = found.iter().map(|(_, offset)| offset.ok()).collect();
    assert_eq!(known, [Some(Offset(0)), None, Some(Offset(0))], "{found:?}");
    let error = admin.offsets(&partitions, OffsetAt::End).await.unwrap_err();
    assert!(error.to_string().contains("orders[1]") && error.is_retriable(), "{error}");
}

#[tokio::test]
async fn no_broker_there_is_said_within_the_timeout() {
    // A port that was free a moment ago refuses connections.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let bootstrap = format!("127.0.0.1:{port}");
    let admin = connect(&bootstrap, Duration::from_millis(800));
    let started = Instant::now();

    let asked = [
        admin.cluster_info().await.unwrap_err(),
        admin.list_topics().await.unwrap_err(),
        admin.create_topic(&NewTopic::new("orders")).await.unwrap_err(),
        admin.describe_group("g").await.unwrap_err(),
        admin.group_offsets("g").await.unwrap_err(),
    ];
    for error in asked {
        let ClientError::Unreachable { bootstrap: tried, reason, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*tried, bootstrap);
        assert!(reason.contains("Connection refused"), "{reason}");
        assert!(error.is_retriable());
    }
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
    admin.close().await;
}

#[tokio::test]
async fn a_cluster_that_dies_is_out_of_reach_and_one_that_returns_answers() {
    let mock = mock(1);
    let admin = connect(&mock.bootstrap_servers(), Duration::from_secs(2));
    admin.cluster_info().await.unwrap();
    for node in 1..=3 {
        mock.broker_down(node).unwrap();
    }
    let error = admin.cluster_info().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");

    for node in 1..=3 {
        mock.broker_up(node).unwrap();
    }
    let admin = admin.with_timeout(Duration::from_secs(15));
    admin.cluster_info().await.unwrap();
}

#[tokio::test]
async fn impossible_requests_are_refused_before_they_are_sent() {
    let mock = mock(1);
    let admin = connect(&mock.bootstrap_servers(), Duration::from_secs(2));
    use RDKafkaErrorCode as C;
    for (topic, expected) in [
        (NewTopic::new(""), C::InvalidTopic),
        (NewTopic::new("a\0b"), C::InvalidTopic),
        (NewTopic::new("a b"), C::InvalidTopic),
        (NewTopic::new("t").partitions(0), C::InvalidArgument),
        (NewTopic::new("t").replication(0), C::InvalidArgument),
        (NewTopic::new("t").partitions(u32::MAX), C::InvalidArgument),
        (NewTopic::new("t").config("retention.ms", "a\0b"), C::InvalidArgument),
    ] {
        let error = admin.create_topic(&topic).await.unwrap_err();
        let refused = matches!(&error, ClientError::Kafka { code, .. } if *code == expected);
        assert!(refused && !error.is_retriable(), "{topic:?}: {error:?}");
    }
    let error = admin.describe_group("a\0b").await.unwrap_err();
    assert!(error.to_string().contains("NUL"), "{error}");
}

#[tokio::test]
async fn dropping_a_call_and_the_client_leaves_nothing_hanging() {
    let mock = mock(1);
    let admin = connect(&mock.bootstrap_servers(), TEN);
    mock.broker_round_trip_time(1, Duration::from_millis(300)).unwrap();
    for _ in 0..20 {
        let call = tokio::time::timeout(Duration::from_millis(1), admin.cluster_info());
        drop(call.await);
    }
    tokio::time::timeout(TEN, admin.close()).await.unwrap();

    for _ in 0..20 {
        drop(connect(&mock.bootstrap_servers(), TEN));
    }
}

#[test]
fn lag_is_end_less_commit_or_nothing() {
    let row = |committed: Option<i64>, end: Option<i64>| LagRow {
        partition: TopicPartition::new("orders", PartitionId(0)),
        committed: committed.map(Offset),
        end: end.map(Offset),
        member: None,
    };
    assert_eq!(row(Some(3), Some(10)).lag(), Some(7));
    assert_eq!(row(Some(10), Some(3)).lag(), Some(-7));
    assert_eq!(row(None, Some(10)).lag(), None);
    assert_eq!(row(Some(3), None).lag(), None);
}
