//! Consumers that are there before the cluster and before the topic.

use std::sync::Arc;

use kurier::{MessageProducer, NodeId};
use kurier_tests::audit;
use kurier_tests::binary::Kurier;
use kurier_tests::books::Books;
use kurier_tests::cluster::{NODES, cluster, create_topic};
use kurier_tests::follow::Follower;
use kurier_tests::load::Load;

use crate::{until, within};

const TOPIC: &str = "not-yet";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_wait_for_the_cluster_and_for_the_topic() {
    let cluster = cluster().await.unwrap();
    for node in NODES.iter().rev() {
        cluster.kill(*node).await.unwrap();
    }
    let bootstrap = cluster.bootstrap();
    let single = Kurier::start(bootstrap, &["consume", "single", TOPIC]).unwrap();
    let batch = Kurier::start(bootstrap, &["consume", "batch", TOPIC]).unwrap();
    until("both say that they wait", || {
        [&single, &batch].iter().all(|it| it.talk().contains("waiting for the cluster"))
    })
    .await;
    // The control: one that was told not to wait ends, and says why by its exit code.
    let impatient = ["--timeout", "1s", "consume", "single", TOPIC, "--group", "impatient"];
    let impatient = Kurier::start(bootstrap, &impatient).unwrap().wait().await.unwrap();
    assert_eq!(impatient.status.code(), Some(5), "{}", impatient.talk);

    within("the start of all nodes", cluster.start_all()).await.unwrap();
    until("both say that they wait for the topic", || {
        [&single, &batch].iter().all(|it| it.talk().contains("waiting for topics"))
    })
    .await;
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let groups = ["single_message_group_1", "batch_message_group_1"];
    let books = Arc::new(Books::new(&groups));
    let followers = groups.map(|group| Follower::new(&books, group, "1"));
    let producer = Arc::new(MessageProducer::builder(bootstrap).build().await.unwrap());
    let load = Load { keys: 8, each: 25, pause: std::time::Duration::ZERO };
    within("sending", load.start(&producer, TOPIC, &books).finish()).await.unwrap();

    until("both handle all", || {
        [&single, &batch].iter().all(|it| it.lines().len() as u64 == books.counts().1)
    })
    .await;
    for (consumer, follower) in [single, batch].into_iter().zip(followers) {
        let ended = consumer.stop().await.unwrap();
        assert_eq!(ended.status.code(), Some(143), "{}", ended.talk);
        assert_eq!(ended.lines.len(), 200);
        follower.end(&ended.lines).unwrap();
    }
    audit::enter(&books, bootstrap, TOPIC).await.unwrap();
    books.expect_holds(&books.judge());
}

#[test]
fn there_are_three_nodes() {
    assert_eq!(NODES, [NodeId(1), NodeId(2), NodeId(3)]);
}
