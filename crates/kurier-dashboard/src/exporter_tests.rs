use std::time::Duration;

use super::*;
use crate::watch::samples::{at, cluster, groups, offsets};

/// All parts as of 20, the cluster as of another moment.
fn page_at(now: i64, cluster_as_of: i64) -> String {
    let age = |name, as_of| Age {
        name,
        as_of: Some(at(as_of)),
        error: None,
        limit: Duration::from_secs(8),
    };
    let ages = [age("cluster", cluster_as_of), age("offsets", 20), age("groups", 20)];
    let (cluster, offsets, groups) = (cluster(), offsets(), groups());
    let facts = Facts {
        ages: &ages,
        cluster: Some(&cluster),
        offsets: Some(&offsets),
        groups: Some(&groups),
    };
    page(at(now), &facts)
}

#[test]
fn the_names_and_labels_of_kafka_exporter() {
    let page = page_at(25, 20);
    let samples: Vec<&str> =
        page.lines().filter(|line| line.starts_with("kafka_") && !line.contains(".dlq")).collect();
    assert_eq!(
        samples,
        [
            "kafka_brokers 2",
            r#"kafka_broker_info{id="1",address="kafka1:9092"} 1"#,
            r#"kafka_broker_info{id="2",address="kafka2:9092"} 1"#,
            r#"kafka_topic_partitions{topic="orders"} 2"#,
            r#"kafka_topic_partition_leader{topic="orders",partition="0"} 1"#,
            r#"kafka_topic_partition_leader{topic="orders",partition="1"} -1"#,
            r#"kafka_topic_partition_leader_is_preferred{topic="orders",partition="0"} 1"#,
            r#"kafka_topic_partition_leader_is_preferred{topic="orders",partition="1"} 0"#,
            r#"kafka_topic_partition_replicas{topic="orders",partition="0"} 2"#,
            r#"kafka_topic_partition_replicas{topic="orders",partition="1"} 2"#,
            r#"kafka_topic_partition_in_sync_replica{topic="orders",partition="0"} 2"#,
            r#"kafka_topic_partition_in_sync_replica{topic="orders",partition="1"} 1"#,
            r#"kafka_topic_partition_under_replicated_partition{topic="orders",partition="0"} 0"#,
            r#"kafka_topic_partition_under_replicated_partition{topic="orders",partition="1"} 1"#,
            r#"kafka_topic_partition_current_offset{topic="orders",partition="0"} 35"#,
            r#"kafka_topic_partition_oldest_offset{topic="orders",partition="0"} 5"#,
            r#"kafka_consumergroup_current_offset{consumergroup="workers",topic="orders",partition="0"} 31"#,
            r#"kafka_consumergroup_current_offset_sum{consumergroup="workers",topic="orders"} 31"#,
            r#"kafka_consumergroup_lag{consumergroup="workers",topic="orders",partition="0"} 4"#,
            r#"kafka_consumergroup_lag_sum{consumergroup="workers",topic="orders"} 4"#,
            r#"kafka_consumergroup_members{consumergroup="workers"} 1"#,
        ]
    );
    assert!(page.contains("\n# TYPE kafka_consumergroup_lag gauge\n"), "{page}");
}

#[test]
fn what_was_not_told_lately_is_left_out() {
    let page = page_at(25, 20);
    let dead_letters = r#"current_offset{topic="orders.dlq""#;
    assert!(!page.contains(dead_letters), "told of at 10 for the last time: {page}");
    let page = page_at(25, 10);
    assert!(!page.contains("kafka_brokers") && page.contains("kafka_consumergroup_lag{"), "{page}");
    assert!(page.contains("kurier_dashboard_up{part=\"cluster\"} 0\n"), "{page}");
    assert!(page.contains("kurier_dashboard_age_seconds{part=\"cluster\"} 15\n"), "{page}");
    let page = page_at(40, 40);
    assert!(page.contains("kafka_brokers 2\n") && !page.contains("kafka_consumergroup"), "{page}");
}

#[test]
fn labels_are_escaped() {
    let mut page = Page::default();
    page.metric("kafka_topic_partitions", &["topic"], "").put(&["a\"b\\c\nd"], 1);
    assert!(page.0.ends_with("kafka_topic_partitions{topic=\"a\\\"b\\\\c\\nd\"} 1\n"));
}
