//! Bounds of time, made so short that a test can wait for them.

use std::time::{Duration, Instant};

use kurier_broker::{Api, EmbeddedCluster, Fault, FaultAction};
use kurier_dashboard::{Dashboard, Waits};
use kurier_tests::waits::within;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::asking::{AUTHORIZED, Events, TOKEN, configured, get, post, write_numbers};
use crate::letters::{REPLAY, all_replayed, filled, settled};

const SHORT: Duration = Duration::from_millis(300);
/// A machine that is busy takes longer than it should; the bounds themselves are longer.
const LATE: Duration = Duration::from_secs(4);

fn default() -> Waits {
    Waits::default()
}

/// A dashboard of nothing, whose own pages are there.
async fn alone(waits: Waits) -> Dashboard {
    configured("127.0.0.1:1").waits(waits).start().await.unwrap()
}

/// Sends some bytes again and again until the other side does not take them any more; says how long that was.
async fn until_cut(stream: &mut TcpStream, more: &[u8]) -> Duration {
    let begun = Instant::now();
    within("being cut", async {
        while stream.write_all(more).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    begun.elapsed()
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    let dashboard = alone(Waits { head: SHORT, ..default() }).await;
    let mut stream = TcpStream::connect(dashboard.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    let took = until_cut(&mut stream, b"y").await;
    assert!(SHORT <= took + Duration::from_millis(50) && took < LATE, "{took:?}");
    dashboard.close().await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_and_one_with_requests_stays() {
    let dashboard = alone(Waits { head: SHORT, ..default() }).await;
    let mut stream = TcpStream::connect(dashboard.address()).await.unwrap();
    let request = format!("GET /livez HTTP/1.1\r\nhost: {}\r\n\r\n", dashboard.address());
    // Longer in all than it may be without one.
    for _ in 0..5 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 2048];
        let length = within("an answer", stream.read(&mut answer)).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 "), "{length}");
        tokio::time::sleep(SHORT / 4).await;
    }
    let begun = Instant::now();
    within("the end", stream.read_to_end(&mut Vec::new())).await.unwrap();
    assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
    dashboard.close().await;
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_cut_and_who_takes_it_slowly_has_it_all() {
    // More than the system keeps on the way.
    const ANSWERS: usize = 400;
    let dashboard = alone(Waits { take: SHORT, ..default() }).await;
    let request = format!("GET /dashboard.js HTTP/1.1\r\nhost: {}\r\n\r\n", dashboard.address());
    let length = get(&dashboard, "/dashboard.js").await.body.len();
    assert!(16 << 20 < ANSWERS * length, "{length} bytes are too few for this test");
    let many = request.repeat(ANSWERS);

    let mut idle = TcpStream::connect(dashboard.address()).await.unwrap();
    idle.write_all(many.as_bytes()).await.unwrap();
    let took = until_cut(&mut idle, b"G").await;
    assert!(SHORT <= took + Duration::from_millis(50) && took < LATE, "{took:?}");

    let mut slow = TcpStream::connect(dashboard.address()).await.unwrap();
    slow.write_all(many.as_bytes()).await.unwrap();
    let (begun, mut taken, mut some) = (Instant::now(), 0, vec![0; 1 << 20]);
    while taken < ANSWERS * length {
        let read = within("more of the answers", slow.read(&mut some)).await.unwrap();
        assert_ne!(read, 0, "cut after {taken} bytes and {:?}", begun.elapsed());
        taken += read;
        if begun.elapsed() < 3 * SHORT {
            tokio::time::sleep(SHORT / 10).await;
        }
    }
    dashboard.close().await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_that_it_does() {
    let cluster = EmbeddedCluster::builder().topic("orders", 1).start().await.unwrap();
    write_numbers(&cluster.bootstrap(), "orders", 1).await;
    let waits = Waits { request: SHORT, ..default() };
    let dashboard = configured(&cluster.bootstrap()).waits(waits).start().await.unwrap();
    let slow = FaultAction::Delay(Duration::from_secs(2));
    let slow =
        cluster.faults().add(Fault::on(Api::Fetch).client("kurier-dashboard"), slow).unwrap();
    let answer = get(&dashboard, "/api/v1/messages/orders?from=start").await;
    assert_eq!((answer.status, answer.headers["retry-after"].as_str()), (503, "5"));
    assert!(answer.problem().contains("longer than 300 ms"), "{answer:?}");
    assert!(answer.took < Duration::from_secs(2), "{:?}", answer.took);
    slow.clear();
    dashboard.close().await;
}

#[tokio::test]
async fn a_live_tail_ends_and_says_so() {
    let cluster = EmbeddedCluster::builder().topic("orders", 1).start().await.unwrap();
    let waits = Waits { tail: SHORT, ..default() };
    let dashboard = configured(&cluster.bootstrap()).waits(waits).start().await.unwrap();
    let mut tail = Events::open(&dashboard, "/api/v1/messages/orders/tail").await;
    assert_eq!(tail.next().await.unwrap().0, "begun");
    let ended = json!({ "error": "a live tail goes on for 300 ms" });
    assert_eq!(tail.next().await, Some(("ended".to_owned(), ended)));
    assert_eq!(tail.next().await, None);
    dashboard.close().await;
}

#[tokio::test]
async fn a_replay_that_takes_too_long_stops_and_the_same_one_does_the_rest() {
    let cluster = filled().await;
    let waits = Waits { preview: SHORT, replay_answer: SHORT, replay: 2 * SHORT, ..default() };
    let dashboard = configured(&cluster.bootstrap()).token(TOKEN).waits(waits);
    let dashboard = dashboard.start().await.unwrap();
    let slow = FaultAction::Delay(Duration::from_millis(1500));
    let slow = cluster.faults().add(Fault::on(Api::Fetch).topic("orders.dlq"), slow).unwrap();
    let told = post(&dashboard, REPLAY, "", &json!({ "dry_run": true })).await.json();
    let stopped = "not everything was looked at: that takes longer than 300 ms";
    assert_eq!((&told["replayed"], &told["stopped"]), (&json!(0), &json!(stopped)), "{told}");

    let all = json!({ "dry_run": false });
    let begun = post(&dashboard, REPLAY, AUTHORIZED, &all).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let done = settled(&dashboard, get(&dashboard, REPLAY).await).await;
    let stopped = done["stopped"].as_str().unwrap();
    assert!(stopped.contains("the same replay goes on"), "{done}");
    assert_eq!((&done["running"], &done["replayed"]), (&json!(false), &json!(0)), "{done}");
    slow.clear();
    dashboard.close().await;
    all_replayed(&cluster).await;
}
