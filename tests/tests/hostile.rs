//! Bytes that are no requests close their connection, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use kurier_broker::EmbeddedCluster;

/// ApiVersions, version 0: what any client says first.
const HELLO: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 255, 255];

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// The next answer without its length; `None` when the node has closed the connection.
fn answer(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut size = [0; 4];
    stream.read_exact(&mut size).ok()?;
    let mut body = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut body).unwrap();
    Some(body)
}

fn frame(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut rest = Vec::new();
    rest.extend(key.to_be_bytes());
    rest.extend(version.to_be_bytes());
    rest.extend(7_i32.to_be_bytes());
    rest.extend((-1_i16).to_be_bytes());
    rest.extend(body);
    let mut frame = u32::try_from(rest.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(rest);
    frame
}

fn still_answers(address: &str) {
    let mut stream = connect(address);
    stream.write_all(&HELLO).unwrap();
    assert_eq!(answer(&mut stream).unwrap()[..6], [0, 0, 0, 7, 0, 0]);
}

async fn on_a_cluster(attack: impl FnOnce(&str) + Send + 'static) {
    let cluster = EmbeddedCluster::builder().nodes(1).topic("t", 1).start().await.unwrap();
    let address = cluster.info().nodes[0].address.clone();
    tokio::task::spawn_blocking(move || {
        attack(&address);
        still_answers(&address);
    })
    .await
    .unwrap();
    cluster.close().await;
}

#[tokio::test]
async fn frames_that_make_no_sense_close_their_connection_only() {
    on_a_cluster(|address| {
        let huge = i32::MAX.to_be_bytes();
        let cases = [
            ("2 GiB", i32::MAX.to_be_bytes().to_vec()),
            ("a negative size", (-5_i32).to_be_bytes().to_vec()),
            ("an empty frame", vec![0, 0, 0, 0]),
            ("metadata of 2^31 topics", frame(3, 1, &huge)),
            (
                "a write to 2^31 topics",
                frame(0, 3, &[&[255, 255, 255, 255, 0, 0, 0, 1], &huge[..]].concat()),
            ),
            ("metadata without its end", frame(3, 4, &[0, 0])),
            ("an API that is none", frame(999, 0, &[])),
            ("a version that is none", frame(3, 99, &[])),
            ("a fetch of nothing", frame(1, 4, &[])),
        ];
        for (what, bytes) in cases {
            let mut stream = connect(address);
            // The node may close before all is written, or half a frame may wait for its rest.
            let _ = stream.write_all(&bytes);
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(answer(&mut stream), None, "{what}");
            still_answers(address);
        }
    })
    .await;
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_with_what_is_known() {
    on_a_cluster(|address| {
        let mut stream = connect(address);
        stream.write_all(&frame(18, 127, &[1, 2, 3])).unwrap();
        let body = answer(&mut stream).unwrap();
        // Correlation, UNSUPPORTED_VERSION in the layout of version 0, and a list that is not empty.
        assert_eq!(body[..6], [0, 0, 0, 7, 0, 35]);
        assert!(i32::from_be_bytes(body[6..10].try_into().unwrap()) > 20);
    })
    .await;
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order() {
    on_a_cluster(|address| {
        let mut stream = connect(address);
        // A fetch that waits 300 ms for a record that never comes, then a question.
        let mut body = Vec::new();
        body.extend((-1_i32).to_be_bytes());
        body.extend(300_i32.to_be_bytes());
        body.extend(1_i32.to_be_bytes());
        body.extend(1_000_i32.to_be_bytes());
        body.push(0);
        body.extend(1_i32.to_be_bytes());
        body.extend([0, 1, b't']);
        body.extend(1_i32.to_be_bytes());
        body.extend(0_i32.to_be_bytes());
        body.extend(0_i64.to_be_bytes());
        body.extend(1_000_i32.to_be_bytes());
        let mut both = frame(1, 4, &body);
        both[11] = 1;
        both.extend(HELLO);
        stream.write_all(&both).unwrap();
        assert_eq!(answer(&mut stream).unwrap()[..4], [0, 0, 0, 1]);
        assert_eq!(answer(&mut stream).unwrap()[..4], [0, 0, 0, 7]);
    })
    .await;
}

/// Bodies of noise for every request that is spoken: answered or closed, never the end of the process or
/// of another connection. (Valid requests with damage are the affair of `fuzz/`, without sockets.)
#[tokio::test]
async fn thousands_of_requests_of_noise_hurt_nobody() {
    on_a_cluster(|address| {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for _ in 0..3_000 {
            let key = i16::try_from(random() % 61).unwrap();
            let version = i16::try_from(random() % 13).unwrap();
            let length = usize::try_from(random() % 60).unwrap();
            // Small numbers and zeros, as real requests have, with a wild one here and there.
            let mut byte = || match random() % 8 {
                0 => random().to_be_bytes()[0],
                1..=3 => u8::try_from(random() % 4).unwrap(),
                _ => 0,
            };
            let body: Vec<u8> = (0..length).map(|_| byte()).collect();
            let mut stream = connect(address);
            let _ = stream.write_all(&frame(key, version, &body));
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = answer(&mut stream);
        }
    })
    .await;
}
