//! Against servers that are well, and others.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::Ipv4Addr;

use kurier::{MessageProducer, Monitor, MonitorServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const DEADLINE: Duration = Duration::from_millis(1_500);

async fn shown(scraper: &mut Scraper) -> ClientProcess {
    scraper.look().await;
    let [process] = &scraper.processes()[..] else { panic!("{:?}", scraper.processes()) };
    process.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_of_ours_is_shown_with_its_clients_gone_when_it_is_and_back_again() {
    let monitor = Monitor::default();
    let server = MonitorServer::bind("127.0.0.1:0", &monitor).await.unwrap();
    let address = server.address();
    let name = format!("localhost:{}", address.port());
    let mut scraper = Scraper::new(vec![name.clone()], DEADLINE);
    let empty = shown(&mut scraper).await;
    assert_eq!(empty.address, format!("{name} (127.0.0.1)"));
    assert_eq!((empty.there, empty.ready), (true, Some(false)));
    assert_eq!(empty.checks, ["no client runs yet"]);

    let folder = tempfile::tempdir().unwrap();
    let builder = MessageProducer::builder("127.0.0.1:1").outbox(folder.path()).client_id("p");
    let producer = builder.monitor(&monitor).build().await.unwrap();
    let well = shown(&mut scraper).await;
    assert_eq!((well.ready, well.checks.len(), well.consumers.len()), (Some(true), 5, 0));
    let [pipeline] = &well.producers[..] else { panic!("{well:?}") };
    assert_eq!((pipeline.client.as_str(), pipeline.ready), ("p", true));
    let outbox = pipeline.outbox.as_ref().unwrap();
    assert_eq!((outbox.waiting, outbox.oldest_seconds, outbox.put_aside), (0.0, None, 0.0));
    assert_eq!(outbox.limit_bytes, 2_f64.powi(30));

    server.close().await;
    let notes = scraper.look().await;
    assert_eq!(notes.len(), 1, "{notes:?}");
    let gone = scraper.processes().remove(0);
    assert!(!gone.there && gone.as_of.is_some() && gone.error.is_some(), "{gone:?}");
    assert_eq!((scraper.totals().there, scraper.totals().gone), (0, 1));
    let server = MonitorServer::bind(address, &monitor).await.unwrap();
    let back = shown(&mut scraper).await;
    assert!(back.there && gone.since < back.since && back.error.is_none());
    assert_eq!(producer.close(Duration::ZERO).await.kept, 0);
    server.close().await;
}

/// A server that gives everybody this answer, and then is silent.
async fn answers(answer: impl Into<Vec<u8>>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let name = listener.local_addr().unwrap().to_string();
    let answer: Vec<u8> = answer.into();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                // Nobody may be there any more to hear it.
                let _ = stream.write_all(&answer).await;
                std::future::pending::<()>().await;
            });
        }
    });
    name
}

fn http(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_else_answers_costs_a_deadline_at_most_and_is_told_by_its_fault() {
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let (half, large) = (head(100) + "up 1", head(9 << 20) + &"#".repeat(9 << 20));
    let html = http("200 OK", "<!DOCTYPE html>\n");
    let binary = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe".to_vec();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let closed = free.local_addr().unwrap().to_string();
    drop(free);
    for (name, error) in [
        (answers("").await, "no answer within 1.5 s"),
        (answers(half).await, "no answer within 1.5 s"),
        (answers(large).await, "larger than 4 MiB"),
        (answers(html).await, "line 1 is not in Prometheus' text format: <!DOCTYPE html>"),
        (answers(binary).await, "no UTF-8"),
        (
            answers(http("302 Found\r\nLocation: http://127.0.0.1:1/", "")).await,
            "answered with 302",
        ),
        (answers("220 mail.example ESMTP\r\n").await, "something else than HTTP"),
        (closed, "refused"),
        ("no-such-name.invalid:1".to_owned(), "its name"),
        ("no-port".to_owned(), "its name can't be resolved"),
    ] {
        let mut scraper = Scraper::new(vec![name.clone()], DEADLINE);
        let begun = std::time::Instant::now();
        let found = shown(&mut scraper).await;
        let told = found.error.clone().unwrap_or_default();
        assert!(!found.there && told.contains(error), "{name}: {told}");
        assert!(begun.elapsed() < 3 * DEADLINE, "{name}: {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_without_readiness_are_enough() {
    let page = "kurier_client_ready{client=\"p\",role=\"producer\"} 1\n";
    // The same for /readyz: 200 says ready, whatever the text.
    let mut scraper = Scraper::new(vec![answers(http("200 OK", page)).await], DEADLINE);
    let process = shown(&mut scraper).await;
    assert_eq!((process.there, process.ready, process.producers.len()), (true, Some(true), 1));
    assert_eq!(
        readiness(&Page { status: StatusCode::NOT_FOUND, body: String::new() }),
        (None, vec![])
    );
}
