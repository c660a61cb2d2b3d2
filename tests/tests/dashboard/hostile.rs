//! What somebody sends, names or does that nobody in good faith would; and a cluster that answers in part.

use std::time::{Duration, Instant};

use kurier::{Admin, ClientConfig, Offset, PartitionId, TopicPartition};
use kurier_broker::{Api, EmbeddedCluster, Fault, FaultAction};
use kurier_dashboard::Dashboard;
use kurier_tests::waits::within;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::asking::{AUTHORIZED, configured, dashboard, get, post, write_numbers};
use kurier_tests::answer::sent;

/// Within what time an answer comes, on a busy machine; who waits for a cluster that is silent takes longer.
const SOON: Duration = Duration::from_secs(5);
/// How long what must come is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until what is answered `is` so, and gives that.
async fn until(dashboard: &Dashboard, path: &str, is: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let answer = get(dashboard, path).await;
        assert!(answer.took < SOON, "{path}: {:?}", answer.took);
        let told = answer.json();
        if is(&told) {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE, "{path}: {told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn commit(cluster: &EmbeddedCluster, group: &str, offset: i64) {
    let admin = Admin::connect(&ClientConfig::new(cluster.bootstrap())).unwrap();
    let place = TopicPartition::new("orders", PartitionId(0));
    let set = admin.set_group_offsets(group, &[(place, Offset(offset))].into()).await.unwrap();
    assert!(set.values().all(Result::is_ok), "{set:?}");
    admin.close().await;
}

#[tokio::test]
async fn odd_requests_are_answered_or_refused_and_never_more() {
    let cluster = EmbeddedCluster::builder().topic("orders", 1).start().await.unwrap();
    let dashboard = dashboard(&cluster).await;
    let host = dashboard.address();
    let nul = "/api/v1/messages/a%00b";
    for (request, status) in [
        (format!("OPTIONS * HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), 404..406),
        (format!("CONNECT {host} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), 400..406),
        (format!("GET http://{host}/livez HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), 200..201),
        (format!("GET http://evil/livez HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), 400..401),
        (format!("GET http://u@{host}/ HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), 400..401),
        (format!("GET / HTTP/1.0\r\nhost: {host}\r\n\r\n"), 200..201),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 400..401),
        ("GET / HTTP/1.1\r\nhost: [fe80::1%25eth0]\r\nconnection: close\r\n\r\n".to_owned(), 400..422),
        ("GET / HTTP/1.1\r\nhost: localhost.\r\nconnection: close\r\n\r\n".to_owned(), 421..422),
        (
            "GET / HTTP/1.1\r\nhost: evil\r\nx-forwarded-host: localhost\r\nforwarded: host=localhost\r\nconnection: close\r\n\r\n"
                .to_owned(),
            421..422,
        ),
        (format!("GET / HTTP/1.1\r\nhost: {host}\r\nx-forwarded-host: evil\r\nconnection: close\r\n\r\n"), 200..201),
        (format!("HEAD /api/v1/overview HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), 200..201),
        (format!("GET {nul} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), 400..405),
        (format!("GET {nul}/tail HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), 400..405),
        (format!("GET /api/v1/groups/a%00b HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), 400..401),
        (format!("GET /api/v1/groups/.. HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), 404..405),
        (
            format!("GET /livez HTTP/1.1\r\nhost: {host}\r\ncontent-length: 99999999\r\nconnection: close\r\n\r\n"),
            200..201,
        ),
        (format!("DELETE /api/v1/groups/g HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), 405..406),
    ] {
        let answer = sent(host, request.as_bytes()).await;
        assert!(status.contains(&answer.status), "{request:?}: {answer:?}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{answer:?}");
    }
    // Names that no cluster takes, in what is changed.
    for (path, body) in [
        ("/api/v1/groups/a%00b/reset", json!({ "topic": "orders", "to": "latest" })),
        ("/api/v1/groups/g/reset", json!({ "topic": "a\0b", "to": "latest" })),
        ("/api/v1/dead-letters/a%00b/replay", json!({})),
        ("/api/v1/dead-letters/orders/replay", json!({ "to": "a\0b" })),
    ] {
        let answer = post(&dashboard, path, AUTHORIZED, &body).await;
        assert!((400..503).contains(&answer.status) || answer.status == 200, "{path}: {answer:?}");
        assert_ne!(answer.status, 500, "{path}: {answer:?}");
    }
    assert_eq!(get(&dashboard, "/livez").await.status, 200);
    dashboard.close().await;
}

#[tokio::test]
async fn a_name_of_a_group_is_a_label_and_a_line_and_nothing_more() {
    let cluster = EmbeddedCluster::builder().topic("orders", 1).start().await.unwrap();
    write_numbers(&cluster.bootstrap(), "orders", 1).await;
    let hostile = "g\"} 7\nkafka_brokers 99\n# \\ <script>\u{202e}\u{1b}[2J\r";
    commit(&cluster, hostile, 0).await;
    let dashboard = dashboard(&cluster).await;
    let seen = |told: &Value| told["data"]["rows"][0]["as_of"].is_string();
    let groups = until(&dashboard, "/api/v1/groups", seen).await;
    assert_eq!(groups["data"]["rows"][0]["name"], hostile);
    let page = get(&dashboard, "/metrics").await;
    let page = String::from_utf8(page.body).unwrap();
    assert!(page.lines().any(|line| line == "kafka_brokers 3"), "{page}");
    assert!(!page.lines().any(|line| line.starts_with("kafka_brokers 99")), "{page}");
    let escaped =
        r#"kafka_consumergroup_members{consumergroup="g\"} 7\nkafka_brokers 99\n# \\ <script>"#;
    assert!(page.contains(escaped), "{page}");
    let ready = get(&dashboard, "/readyz").await;
    let lines = String::from_utf8(ready.body).unwrap();
    assert!(lines.lines().all(|line| line.contains("seen ")), "{lines}");
    dashboard.close().await;
}

#[tokio::test]
async fn what_was_changed_is_an_event_also_when_whoever_asked_has_gone_or_it_failed() {
    let cluster = EmbeddedCluster::builder().topic("orders", 3).start().await.unwrap();
    write_numbers(&cluster.bootstrap(), "orders", 30).await;
    commit(&cluster, "shop", 4).await;
    let dashboard = dashboard(&cluster).await;
    let slow = FaultAction::Delay(Duration::from_millis(1500));
    let slow = cluster.faults().add(Fault::on(Api::OffsetCommit).client("kurier-dashboard"), slow);
    let slow = slow.unwrap();
    let body =
        json!({ "topic": "orders", "partition": 0, "to": "latest", "dry_run": false }).to_string();
    let request = format!(
        "POST /api/v1/groups/shop/reset HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{AUTHORIZED}\r\n{body}",
        dashboard.address(),
        body.len()
    );
    let mut leaving = TcpStream::connect(dashboard.address()).await.unwrap();
    leaving.write_all(request.as_bytes()).await.unwrap();
    assert!(within("a commit", slow.reached(1)).await);
    drop(leaving);
    let some = |told: &Value| !told["events"].as_array().unwrap().is_empty();
    let told = until(&dashboard, "/api/v1/events?kind=action", some).await;
    assert_eq!(told["events"][0]["subject"], "group shop", "{told}");
    assert_eq!(told["events"][0]["severity"], "info", "{told}");
    slow.clear();

    let broken = cluster.faults().add(Fault::on(Api::OffsetCommit), FaultAction::Drop).unwrap();
    let body = json!({ "topic": "orders", "partition": 0, "to": "earliest", "dry_run": false });
    let failed = post(&dashboard, "/api/v1/groups/shop/reset", AUTHORIZED, &body).await;
    assert!(500 <= failed.status, "{failed:?}");
    let two = |told: &Value| told["events"].as_array().unwrap().len() == 2;
    let told = until(&dashboard, "/api/v1/events?kind=action", two).await;
    assert_eq!(told["events"][0]["severity"], "error", "{told}");
    broken.clear();
    dashboard.close().await;
}

#[tokio::test]
async fn only_so_many_resets_are_told_or_done_at_once() {
    let cluster = EmbeddedCluster::builder().topic("orders", 1).start().await.unwrap();
    write_numbers(&cluster.bootstrap(), "orders", 1).await;
    commit(&cluster, "shop", 0).await;
    let dashboard = dashboard(&cluster).await;
    let slow = FaultAction::Delay(Duration::from_millis(1000));
    let slow = cluster.faults().add(Fault::on(Api::OffsetFetch).client("kurier-dashboard"), slow);
    let body = json!({ "topic": "orders", "to": "latest" });
    let ask = || post(&dashboard, "/api/v1/groups/shop/reset", "", &body);
    let (a, b, c, d, e, f) = tokio::join!(ask(), ask(), ask(), ask(), ask(), ask());
    let refused = [a, b, c, d, e, f].into_iter().filter(|answer| answer.status == 429).count();
    assert_eq!(refused, 2, "each of them is a client of its own of the cluster's");
    slow.unwrap().clear();
    dashboard.close().await;
}

#[tokio::test]
async fn leaders_that_say_nothing_are_no_health_though_the_cluster_answers() {
    let cluster = EmbeddedCluster::builder().topic("orders", 3).start().await.unwrap();
    let dashboard = dashboard(&cluster).await;
    let state = |told: &Value| told["status"]["state"].as_str().unwrap().to_owned();
    let healthy = |told: &Value| state(told) == "healthy" && told["traffic"]["as_of"].is_string();
    until(&dashboard, "/api/v1/overview", healthy).await;
    let mute = Fault::on(Api::ListOffsets).client("kurier-dashboard");
    let mute = cluster.faults().add(mute, FaultAction::Drop).unwrap();
    let begun = Instant::now();
    let told = until(&dashboard, "/api/v1/overview", |told| state(told) != "healthy").await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(state(&told), "degraded", "{told}");
    assert!(told["status"]["reasons"][0].as_str().unwrap().contains("offsets"), "{told}");
    mute.clear();
    until(&dashboard, "/api/v1/overview", healthy).await;
    dashboard.close().await;
}

/// A process that is stopped takes connections, and says nothing.
#[tokio::test]
async fn a_broker_that_says_nothing_is_seen_and_holds_nobody_up() {
    const APIS: [Api; 8] = [
        Api::ApiVersions,
        Api::Metadata,
        Api::ListOffsets,
        Api::FindCoordinator,
        Api::ListGroups,
        Api::DescribeGroups,
        Api::OffsetFetch,
        Api::DescribeConfigs,
    ];
    let cluster = EmbeddedCluster::builder().topic("orders", 3).start().await.unwrap();
    commit(&cluster, "shop", 0).await;
    let dashboard = dashboard(&cluster).await;
    let state = |told: &Value| told["status"]["state"].as_str().unwrap().to_owned();
    let healthy = |told: &Value| state(told) == "healthy" && told["traffic"]["as_of"].is_string();
    until(&dashboard, "/api/v1/overview", healthy).await;
    let silence = FaultAction::Delay(Duration::from_secs(120));
    let silent =
        APIS.map(|api| cluster.faults().add(Fault::on(api).node(2), silence.clone()).unwrap());
    let begun = Instant::now();
    let told = until(&dashboard, "/api/v1/overview", |told| state(told) != "healthy").await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(told["status"]["reasons"].to_string().contains("broker 2"), "{told}");
    // It goes on to see the rest.
    let later = in_ten_seconds();
    let seen =
        |told: &Value| told["cluster"]["as_of"].as_str().is_some_and(|as_of| *later < *as_of);
    let told = until(&dashboard, "/api/v1/overview", seen).await;
    assert_eq!(state(&told), "degraded", "{told}");
    for one in &silent {
        one.clear();
    }
    until(&dashboard, "/api/v1/overview", healthy).await;
    dashboard.close().await;
}

/// As the dashboard writes it.
fn in_ten_seconds() -> String {
    (jiff::Timestamp::now() + Duration::from_secs(10)).to_string()
}

#[tokio::test]
async fn without_clients_to_ask_nothing_is_said_of_them() {
    let cluster = EmbeddedCluster::builder().start().await.unwrap();
    let dashboard = configured(&cluster.bootstrap()).start().await.unwrap();
    for path in ["/readyz", "/metrics"] {
        let text = String::from_utf8(get(&dashboard, path).await.body).unwrap();
        assert!(!text.contains("clients"), "{path}: an alarm for ever: {text}");
    }
    dashboard.close().await;
}
