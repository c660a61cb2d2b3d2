//! Groups that are set elsewhere, and pages that are told of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kurier::{
    Admin, ClientConfig, Context, Failure, Offset, PartitionId, Received, SingleMessageConsumer,
    TextDecoder, TopicPartition,
};
use kurier_broker::EmbeddedCluster;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::asking::{AUTHORIZED, Events, dashboard, get, post, write_numbers};

fn place(partition: i32) -> TopicPartition {
    TopicPartition::new("orders", PartitionId(partition))
}

async fn committed(admin: &Admin) -> BTreeMap<i32, i64> {
    let offsets = admin.group_offsets("shop/é").await.unwrap();
    offsets.into_iter().map(|(place, offset)| (place.partition.0, offset.0)).collect()
}

#[tokio::test]
async fn a_group_without_members_is_reset_when_that_is_meant_and_pages_are_told() {
    let cluster = EmbeddedCluster::builder().topic("orders", 3).start().await.unwrap();
    write_numbers(&cluster.bootstrap(), "orders", 30).await;
    let admin = Admin::connect(&ClientConfig::new(cluster.bootstrap())).unwrap();
    let before: BTreeMap<_, _> = (0..3).map(|number| (place(number), Offset(4))).collect();
    admin.set_group_offsets("shop/é", &before).await.unwrap();
    let dashboard = dashboard(&cluster).await;
    let path = "/api/v1/groups/shop%2F%C3%A9/reset";
    let mut told = Events::open(&dashboard, "/api/v1/stream").await;

    let dry = post(&dashboard, path, "", &json!({ "topic": "orders", "to": "latest" })).await;
    let expected = json!([
        { "partition": 0, "from": 4, "to": 10, "error": null },
        { "partition": 1, "from": 4, "to": 10, "error": null },
        { "partition": 2, "from": 4, "to": 10, "error": null },
    ]);
    assert_eq!(dry.json(), json!({ "done": false, "moves": expected }));
    assert_eq!(committed(&admin).await, [(0, 4), (1, 4), (2, 4)].into(), "nothing was set");

    let one = json!({ "topic": "orders", "to": "7", "partition": 1, "dry_run": false });
    let done = post(&dashboard, path, AUTHORIZED, &one).await.json();
    assert_eq!(done["done"], true, "{done}");
    assert_eq!(committed(&admin).await, [(0, 4), (1, 7), (2, 4)].into());
    let time = json!({ "topic": "orders", "to": "2023-11-14T22:13:20.015Z", "dry_run": false });
    post(&dashboard, path, AUTHORIZED, &time).await.json();
    assert_eq!(committed(&admin).await, [(0, 5), (1, 5), (2, 5)].into(), "of number 15 on");

    let events = get(&dashboard, "/api/v1/events?kind=action").await.json();
    let events = events["events"].as_array().unwrap().clone();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0]["subject"], "group shop/é");
    loop {
        let (name, changed) = told.next().await.unwrap();
        assert_eq!(name, "changed");
        if changed["parts"].as_array().unwrap().contains(&Value::from("events")) {
            break;
        }
    }
    for (body, status) in [
        (json!({ "topic": "orders", "to": "now" }), 400),
        (json!({ "topic": "none", "to": "latest" }), 404),
        (json!({ "topic": "orders", "to": "latest", "partition": 3 }), 404),
        (json!({ "to": "latest" }), 400),
    ] {
        let refused = post(&dashboard, path, AUTHORIZED, &body).await;
        assert_eq!(refused.status, status, "{body}: {refused:?}");
    }
    dashboard.close().await;
}

#[tokio::test]
async fn a_group_with_members_is_left_as_it_is() {
    let cluster = EmbeddedCluster::builder().topic("orders", 3).start().await.unwrap();
    write_numbers(&cluster.bootstrap(), "orders", 30).await;
    let (seen, mut handled) = tokio::sync::mpsc::channel(100);
    let stop = CancellationToken::new();
    let handler = move |_: Arc<Received<String>>, _: Context| {
        let seen = seen.clone();
        async move { seen.send(()).await.map_err(Failure::retry) }
    };
    let running = SingleMessageConsumer::builder(cluster.bootstrap(), "orders")
        .decoder(TextDecoder)
        .group("busy");
    let running = tokio::spawn(running.run(handler, stop.clone()));
    for _ in 0..30 {
        kurier_tests::waits::within("handling", handled.recv()).await.unwrap();
    }
    let dashboard = dashboard(&cluster).await;
    for dry_run in [true, false] {
        let body = json!({ "topic": "orders", "to": "earliest", "dry_run": dry_run });
        let refused = post(&dashboard, "/api/v1/groups/busy/reset", AUTHORIZED, &body).await;
        assert_eq!(refused.status, 409, "{refused:?}");
        assert!(refused.problem().contains("1 member"), "{refused:?}");
    }
    stop.cancel();
    running.await.unwrap().unwrap();
    // Once they are gone, it is set.
    let body = json!({ "topic": "orders", "to": "earliest", "dry_run": false });
    let done = post(&dashboard, "/api/v1/groups/busy/reset", AUTHORIZED, &body).await;
    assert_eq!(done.json()["done"], true);
    let none = json!({ "topic": "orders", "to": "earliest" });
    assert_eq!(post(&dashboard, "/api/v1/groups/none/reset", "", &none).await.status, 404);
    tokio::time::timeout(Duration::from_secs(5), dashboard.close()).await.unwrap();
}
