//! Messages shown as they come.

use std::time::Duration;

use kurier_broker::EmbeddedCluster;
use serde_json::json;

use crate::asking::{Events, Written, dashboard, get, write, write_numbers};

#[tokio::test]
async fn what_comes_is_shown_and_what_was_there_is_not() {
    let cluster = EmbeddedCluster::builder().topic("orders", 3).start().await.unwrap();
    write_numbers(&cluster.bootstrap(), "orders", 30).await;
    let dashboard = dashboard(&cluster).await;
    let mut tail = Events::open(&dashboard, "/api/v1/messages/orders/tail?value=%3C").await;
    let begun = tail.next().await.unwrap();
    let expected = json!({ "partitions": [[0, 10], [1, 10], [2, 10]], "left_out": [] });
    assert_eq!(begun, ("begun".to_owned(), expected));
    let record = |value: &str| Written { value: value.into(), ..Written::default() };
    let records = vec![record("other"), record("<script>a\n\ndata: b</script>")];
    write(&cluster.bootstrap(), "orders", records).await;
    let (name, message) = tail.next().await.unwrap();
    assert_eq!(name, "message");
    assert_eq!(message["value"]["text"], "<script>a\n\ndata: b</script>");
    assert_eq!((&message["partition"], &message["offset"]), (&json!(0), &json!(11)));
    dashboard.close().await;
    let (name, ended) = tail.next().await.unwrap();
    assert_eq!((name.as_str(), &ended), ("ended", &json!({ "error": "the dashboard ends" })));
    assert!(tail.next().await.is_none());
}

#[tokio::test]
async fn when_more_comes_than_can_be_shown_the_rest_is_counted() {
    const COUNT: i64 = 5000;
    let cluster = EmbeddedCluster::builder().topic("orders", 3).start().await.unwrap();
    let dashboard = dashboard(&cluster).await;
    let mut tail = Events::open(&dashboard, "/api/v1/messages/orders/tail").await;
    assert_eq!(tail.next().await.unwrap().0, "begun");
    write_numbers(&cluster.bootstrap(), "orders", COUNT).await;
    let (mut shown, mut left_out) = (0, 0);
    while shown + left_out < COUNT {
        match tail.next().await.unwrap() {
            (name, _) if name == "message" => shown += 1,
            (name, told) if name == "left-out" => left_out = told["messages"].as_i64().unwrap(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(shown + left_out, COUNT, "each is shown or counted");
    assert!(0 < shown && shown < COUNT / 2, "{shown} were shown");
    dashboard.close().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_up_nobody() {
    let cluster = EmbeddedCluster::builder().topic("orders", 3).start().await.unwrap();
    let dashboard = dashboard(&cluster).await;
    let stuck = Events::open(&dashboard, "/api/v1/messages/orders/tail").await;
    let mut read = Events::open(&dashboard, "/api/v1/messages/orders/tail?key=key-1").await;
    assert_eq!(read.next().await.unwrap().0, "begun");
    write_numbers(&cluster.bootstrap(), "orders", 20_000).await;
    assert_eq!(read.next().await.unwrap().0, "message");
    let answer = get(&dashboard, "/api/v1/overview").await;
    assert!(answer.status == 200 && answer.took < Duration::from_secs(1), "{:?}", answer.took);
    tokio::time::timeout(Duration::from_secs(5), dashboard.close()).await.unwrap();
    drop(stuck);
}
