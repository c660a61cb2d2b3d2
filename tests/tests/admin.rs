//! Clients that end amid their questions.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use kurier::{Admin, ClientConfig};
use kurier_broker::EmbeddedCluster;

/// librdkafka puts together what several brokers answer on whichever thread has an answer when the client ends, and
/// aborts the process when there are two (2.12.1, `rd_kafka_ListConsumerGroups_response_merge`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_end_amid_a_question_to_all_brokers_take_no_process_with_them() {
    let cluster = EmbeddedCluster::builder().start().await.unwrap();
    let mut ends = tokio::task::JoinSet::new();
    for worker in 0..4_u64 {
        let bootstrap = cluster.bootstrap();
        ends.spawn(async move {
            for turn in 0..400_u64 {
                let admin = Admin::connect(&ClientConfig::new(&bootstrap)).unwrap();
                admin.list_groups().await.unwrap();
                let pause = Duration::from_micros((worker * 400 + turn) * 97 % 1_200);
                // Cut off, and the client with it.
                let _ = tokio::time::timeout(pause, admin.list_groups()).await;
                admin.close().await;
            }
        });
    }
    ends.join_all().await;
}
