//! Clients that ask too much, too slowly, or never leave.

use std::time::{Duration, Instant};

use kurier_broker::{Api, EmbeddedCluster, Fault, FaultAction};
use kurier_tests::answer::sent;
use kurier_tests::waits::within;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::asking::{AUTHORIZED, Events, configured, dashboard, get, write_numbers};

#[tokio::test]
async fn a_body_that_is_too_large_too_slow_or_no_json_is_refused() {
    let cluster = EmbeddedCluster::builder().topic("orders.dlq", 1).start().await.unwrap();
    let dashboard = dashboard(&cluster).await;
    let (host, path) = (dashboard.address(), "/api/v1/dead-letters/orders.dlq/replay");
    let head = |kind: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{AUTHORIZED}content-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let json = "application/json";
    let padded = format!("{{{}}}", " ".repeat(65 << 10));
    for (request, status, reason) in [
        (head(json, padded.len()) + &padded, 413, "larger than"),
        (head(json, 1 << 40), 413, "larger than"),
        (head("text/plain", 2) + "{}", 415, "application/json"),
        (head("application/x-www-form-urlencoded", 9) + "dry_run=0", 415, "application/json"),
        (head(json, 4) + "{a:1", 400, "the body: "),
        (head(json, 11) + "{\"dry\":true", 400, "the body: "),
        (head(json, 12) + "{\"dry\":true}", 400, "unknown field"),
        (head(json, 9) + "{\"max\":0}", 400, "max"),
        (head(json, 15) + "{\"cause\":\"bad\"}", 400, "cause"),
    ] {
        let answer = sent(dashboard.address(), request.as_bytes()).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.problem().contains(reason), "{answer:?}");
    }
    let slow = head(json, 100) + "{";
    let answer = sent(dashboard.address(), slow.as_bytes()).await;
    assert_eq!(answer.status, 408, "{answer:?}");
    assert!(answer.took < Duration::from_secs(15), "{:?}", answer.took);
    dashboard.close().await;
}

#[tokio::test]
async fn heads_that_are_too_large_or_never_end_cost_nobody_else() {
    let cluster = EmbeddedCluster::builder().start().await.unwrap();
    let dashboard = dashboard(&cluster).await;
    let large = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(64 << 10));
    assert_eq!(sent(dashboard.address(), large.as_bytes()).await.status, 431);
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(100));
    assert_eq!(sent(dashboard.address(), many.as_bytes()).await.status, 431);
    // As many as are answered at once, each of which says a little and no more.
    let mut slow = Vec::new();
    for _ in 0..128 {
        let mut stream = TcpStream::connect(dashboard.address()).await.unwrap();
        stream.write_all(b"GET / HT").await.unwrap();
        slow.push(stream);
    }
    let begun = Instant::now();
    let mut refused = get(&dashboard, "/livez").await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.headers["retry-after"], "2");
    assert!(refused.problem().contains("128 connections"), "{refused:?}");
    while refused.status == 503 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        refused = get(&dashboard, "/livez").await;
    }
    assert_eq!(refused.status, 200, "they are cut, and others are answered");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    dashboard.close().await;
}

#[tokio::test]
async fn as_many_streams_as_may_be_are_open_and_one_more_when_one_has_gone() {
    let cluster = EmbeddedCluster::builder().topic("orders", 1).start().await.unwrap();
    let dashboard = dashboard(&cluster).await;
    for (path, most) in [("/api/v1/messages/orders/tail", 8), ("/api/v1/stream", 64)] {
        let mut open = Vec::new();
        for _ in 0..most {
            open.push(Events::open(&dashboard, path).await);
        }
        let refused = get(&dashboard, path).await;
        assert_eq!(refused.status, 429, "{path}");
        assert_eq!(refused.headers["retry-after"], "2");
        assert!(refused.problem().contains(&most.to_string()), "{refused:?}");
        drop(open.pop());
        // That its client is gone is seen without anything being sent.
        let begun = Instant::now();
        while get_status(&dashboard, path).await == 429 {
            assert!(begun.elapsed() < Duration::from_secs(30), "{path}: nobody is let in");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    dashboard.close().await;
}

#[tokio::test]
async fn only_so_many_look_at_once_and_the_next_is_told_to_come_later() {
    let cluster = EmbeddedCluster::builder().topic("orders", 1).start().await.unwrap();
    write_numbers(&cluster.bootstrap(), "orders", 1).await;
    let dashboard = dashboard(&cluster).await;
    let slow = FaultAction::Delay(Duration::from_millis(1500));
    let slow = cluster.faults().add(Fault::on(Api::Fetch).client("kurier-dashboard"), slow);
    let slow = slow.unwrap();
    let look = || get(&dashboard, "/api/v1/messages/orders?from=start");
    let (a, b, c, d, e, f) = tokio::join!(look(), look(), look(), look(), look(), look());
    let (told, refused): (Vec<_>, Vec<_>) =
        [a, b, c, d, e, f].into_iter().partition(|answer| answer.status == 200);
    assert_eq!((told.len(), refused.len()), (4, 2), "{told:?} {refused:?}");
    for answer in refused {
        assert_eq!((answer.status, answer.headers["retry-after"].as_str()), (429, "2"));
        assert!(answer.problem().contains("4 look at messages"), "{answer:?}");
    }
    slow.clear();
    dashboard.close().await;
}

/// The status of a stream's head, whose connection is then closed.
async fn get_status(dashboard: &kurier_dashboard::Dashboard, path: &str) -> u16 {
    let mut stream = TcpStream::connect(dashboard.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", dashboard.address());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}

#[tokio::test]
async fn it_starts_without_a_cluster_and_closes_in_time_with_whatever_is_open() {
    let nobody = configured("127.0.0.1:1").start().await.unwrap();
    for path in ["/", "/livez", "/api/v1/overview", "/api/v1/topics"] {
        let answer = get(&nobody, path).await;
        assert_eq!((answer.status, answer.took < Duration::from_secs(1)), (200, true), "{path}");
    }
    assert_eq!(get(&nobody, "/readyz").await.status, 503);
    let away = get(&nobody, "/api/v1/messages/orders").await;
    assert_eq!(away.status, 503, "{away:?}");
    assert!(away.took < Duration::from_secs(6), "{away:?}");
    let mut stream = Events::open(&nobody, "/api/v1/stream").await;
    let mut half = TcpStream::connect(nobody.address()).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut kept = TcpStream::connect(nobody.address()).await.unwrap();
    let request = format!("GET /livez HTTP/1.1\r\nhost: {}\r\n\r\n", nobody.address());
    kept.write_all(request.as_bytes()).await.unwrap();
    kept.read_exact(&mut [0; 12]).await.unwrap();
    let address = nobody.address();
    let begun = Instant::now();
    nobody.close().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    while stream.next().await.is_some() {}
    within("the end of a connection", kept.read_to_end(&mut Vec::new())).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
