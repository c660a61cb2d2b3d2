#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::health::Phase;
use crate::metrics::Figures;
use crate::{Ended, HealthHandle};

async fn server() -> (Monitor, HealthHandle, MonitorServer) {
    let (monitor, health) = (Monitor::default(), HealthHandle::default());
    monitor.watch("orders", &health, Figures::Producer(std::sync::Arc::default()));
    let server = MonitorServer::bind("127.0.0.1:0", &monitor).await.unwrap();
    (monitor, health, server)
}

/// Sends these bytes, and reads until the server closes the connection.
async fn sent(server: &MonitorServer, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A server that has not read everything resets the connection after its answer.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(server: &MonitorServer, path: &str) -> String {
    sent(server, format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await
}

#[tokio::test]
async fn the_answers_follow_the_health() {
    let (_, health, server) = server().await;
    health.write(|observed| observed.phase = Phase::Running);
    let ready = get(&server, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200 OK\r\n"), "{ready}");
    assert!(ready.contains("\r\n\r\nready\nok producer orders: client\n"), "{ready}");
    health.write(|observed| observed.phase = Phase::Draining);
    let draining = get(&server, "/readyz?verbose").await;
    assert!(draining.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{draining}");
    assert!(draining.contains("failing producer orders: run: draining"), "{draining}");
    assert!(get(&server, "/livez").await.starts_with("HTTP/1.1 200 OK\r\n"));
    health.write(|observed| observed.phase = Phase::Ended(Ended::Shutdown));
    assert!(get(&server, "/readyz").await.contains("run: the run has ended"));
    let head = sent(&server, b"HEAD /livez HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    server.close().await;
}

#[tokio::test]
async fn what_is_not_there_or_too_large_is_refused_and_the_next_is_answered() {
    let (_, _, server) = server().await;
    let long = format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(2 * HEAD_MAX));
    let many = format!("GET /livez HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(HEADERS_MAX + 1));
    let cases: [(&[u8], &str); 5] = [
        (b"GET / HTTP/1.1\r\nhost: test\r\n\r\n", "HTTP/1.1 404 "),
        (b"POST /livez HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 405 "),
        (b"no request\r\n\r\n", "HTTP/1.1 400 "),
        (long.as_bytes(), "HTTP/1.1 431 "),
        (many.as_bytes(), "HTTP/1.1 431 "),
    ];
    for (request, expected) in cases {
        let answer = sent(&server, request).await;
        assert!(answer.starts_with(expected), "{expected}: {answer}");
        assert!(get(&server, "/livez").await.starts_with("HTTP/1.1 200 "));
    }
}

/// They hold every place there is, and are put out in time.
#[tokio::test]
async fn connections_that_say_nothing_do_not_keep_others_out() {
    let (_, _, server) = server().await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        silent.push(TcpStream::connect(server.address()).await.unwrap());
    }
    let begun = Instant::now();
    assert!(get(&server, "/livez").await.starts_with("HTTP/1.1 200 "));
    assert!(HEAD_WAIT / 2 < begun.elapsed(), "{:?}: it had a place", begun.elapsed());
}

#[tokio::test]
async fn a_close_is_over_in_time_and_frees_the_port() {
    let (monitor, _, server) = server().await;
    let address = server.address();
    let taken = MonitorServer::bind(address, &monitor).await.unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    let mut silent = TcpStream::connect(address).await.unwrap();
    get(&server, "/livez").await;
    let begun = Instant::now();
    server.close().await;
    assert!(begun.elapsed() < HEAD_WAIT, "{:?}", begun.elapsed());
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0, "it is cut");
    MonitorServer::bind(address, &monitor).await.unwrap().close().await;
}
