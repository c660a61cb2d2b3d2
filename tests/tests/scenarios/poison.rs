//! A message that can't be read stops its own partition and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use kurier::Message;
use kurier_tests::binary::Kurier;
use kurier_tests::cluster::{TestCluster, admin, cluster, create_topic};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::within;

const TOPIC: &str = "orders";
const EACH: usize = 40;
/// Where the poison lies in partition 1.
const POISON: usize = 17;

async fn fill(cluster: &dyn TestCluster) {
    create_topic(cluster, TOPIC, 3).await.unwrap();
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    for partition in 0..3 {
        for number in 0..EACH {
            let good = Message::new(number.to_string()).unwrap().to_json().unwrap();
            let poisoned = partition == 1 && number == POISON;
            let value = if poisoned { "{\"id\": 7, not a message" } else { good.as_str() };
            let record = FutureRecord::<(), _>::to(TOPIC).partition(partition).payload(value);
            within("filling", producer.send(record, Duration::from_secs(60))).await.unwrap();
        }
    }
}

async fn consumed(
    cluster: &dyn TestCluster,
    kind: &str,
    more: &[&str],
) -> kurier_tests::binary::Ended {
    let mut args = vec!["consume", kind, TOPIC, "--exit-at-end"];
    args.extend(more);
    let run = Kurier::start(cluster.bootstrap(), &args).unwrap();
    within("consuming", run.wait()).await.unwrap()
}

/// Lines of each partition.
fn counts(lines: &[serde_json::Value]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line["partition"].as_u64().unwrap()).or_default() += 1;
    }
    counts
}

async fn committed(cluster: &dyn TestCluster, group: &str) -> Vec<Option<i64>> {
    let admin = admin(cluster.bootstrap()).unwrap();
    let lag = admin.lag(group).await.unwrap();
    admin.close().await;
    lag.rows.iter().map(|row| row.committed.map(|offset| offset.0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_message_stops_its_partition_and_no_other() {
    let cluster = cluster().await.unwrap();
    fill(&*cluster).await;
    for (kind, group) in [("single", "single_message_group_1"), ("batch", "batch_message_group_1")]
    {
        let ended = consumed(&*cluster, kind, &[]).await;
        assert_eq!(ended.status.code(), Some(1), "{}", ended.talk);
        let wanted = BTreeMap::from([(0, EACH), (1, POISON), (2, EACH)]);
        assert_eq!(counts(&ended.lines), wanted, "{kind}: {}", ended.talk);
        assert!(ended.talk.contains("offset=17"), "the log names the place: {}", ended.talk);
        let (all, stopped) = (Some(EACH as i64), Some(POISON as i64));
        assert_eq!(committed(&*cluster, group).await, [all, stopped, all], "{kind}");
    }
}

/// The control: it is the message, not the place. A reader of bytes passes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_bytes_are_never_poison() {
    let cluster = cluster().await.unwrap();
    fill(&*cluster).await;
    let ended = consumed(&*cluster, "single", &["--decode", "raw"]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.talk);
    assert_eq!(ended.lines.len(), 3 * EACH);
}
