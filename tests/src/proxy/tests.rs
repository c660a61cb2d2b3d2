#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;

const NODE: NodeId = NodeId(1);
const LIMIT: Duration = Duration::from_secs(60);
/// Long enough to see that nothing comes.
const QUIET: Duration = Duration::from_millis(200);

/// A server that sends back what it gets, behind a proxy.
struct Echo {
    proxy: Proxy,
    listen: SocketAddr,
    _server: JoinSet<()>,
}

async fn echo() -> Echo {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broker = socket.local_addr().unwrap();
    let (held, listen) = deaf();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let _held = held;
        let mut connections = JoinSet::new();
        while let Ok((mut socket, _)) = socket.accept().await {
            connections.spawn(async move {
                let (mut from, mut to) = socket.split();
                // A reset is how some of these tests end.
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    let proxy = Proxy::start(vec![Route { node: NODE, listen, broker }]).await.unwrap();
    Echo { proxy, listen, _server: server }
}

impl Echo {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.listen).await.unwrap()
    }

    fn set(&self, direction: Direction, flow: Flow) {
        self.proxy.set(NODE, direction, flow).unwrap();
    }
}

async fn says_back(socket: &mut TcpStream, text: &[u8]) {
    socket.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    timeout(LIMIT, socket.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(back, text);
}

/// An address where nobody listens, for as long as the socket lives.
fn deaf() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn is_reset(socket: &mut TcpStream) {
    let ended = timeout(LIMIT, socket.read(&mut [0; 1])).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn everything_passes_in_order_and_an_end_is_passed_on() {
    let echo = echo().await;
    let mut socket = echo.connect().await;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let (mut from, mut to) = socket.split();
    let send = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let (_, read) =
        timeout(LIMIT, async { tokio::join!(send, from.read_to_end(&mut back)) }).await.unwrap();
    read.unwrap();
    assert!(back == sent, "{} of {} bytes came back", back.len(), sent.len());
    assert_eq!(echo.proxy.swallowed(NODE).unwrap(), 0);
}

#[tokio::test]
async fn a_delay_holds_bytes_of_its_direction_and_ends_when_it_is_lifted() {
    let echo = echo().await;
    let mut socket = echo.connect().await;
    for direction in [Direction::ToBroker, Direction::ToClient] {
        echo.set(direction, Flow::Delay(QUIET));
        let begun = Instant::now();
        says_back(&mut socket, b"late").await;
        assert!(QUIET <= begun.elapsed(), "{direction:?}: {:?}", begun.elapsed());
        echo.set(direction, Flow::Pass);
    }
    echo.set(Direction::ToClient, Flow::Delay(Duration::from_secs(3600)));
    socket.write_all(b"held").await.unwrap();
    assert!(timeout(QUIET, socket.read(&mut [0; 4])).await.is_err(), "it is held");
    echo.set(Direction::ToClient, Flow::Pass);
    let mut back = [0; 4];
    timeout(LIMIT, socket.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back, b"held");
}

#[tokio::test]
async fn what_is_held_has_a_bound_and_the_sender_waits() {
    let echo = echo().await;
    echo.set(Direction::ToBroker, Flow::Delay(Duration::from_secs(3600)));
    let mut socket = echo.connect().await;
    let chunk = vec![7; 1 << 20];
    // The sockets' own buffers come on top: a few MiB on loopback.
    let mut written = 0;
    while written < 64 * HELD_BYTES_MAX {
        match timeout(QUIET * 5, socket.write(&chunk)).await {
            Ok(bytes) => written += bytes.unwrap(),
            Err(_) => return,
        }
    }
    panic!("{written} bytes went in, and none came out");
}

#[tokio::test]
async fn what_is_swallowed_never_comes_and_its_connection_does_not_go_on() {
    let echo = echo().await;
    for direction in [Direction::ToBroker, Direction::ToClient] {
        let (mut hit, mut idle) = (echo.connect().await, echo.connect().await);
        says_back(&mut hit, b"before").await;
        says_back(&mut idle, b"before").await;
        let before = echo.proxy.swallowed(NODE).unwrap();
        echo.set(direction, Flow::Swallow);
        hit.write_all(b"gone").await.unwrap();
        assert!(
            timeout(QUIET, hit.read(&mut [0; 4])).await.is_err(),
            "nothing comes, nothing ends"
        );
        assert_eq!(echo.proxy.swallowed(NODE).unwrap() - before, 4);
        echo.set(direction, Flow::Pass);
        is_reset(&mut hit).await;
        says_back(&mut idle, b"after").await;
    }
}

#[tokio::test]
async fn bytes_that_are_held_are_swallowed_too() {
    let echo = echo().await;
    let mut socket = echo.connect().await;
    says_back(&mut socket, b"before").await;
    echo.set(Direction::ToClient, Flow::Delay(Duration::from_secs(3600)));
    socket.write_all(b"held").await.unwrap();
    assert!(timeout(QUIET, socket.read(&mut [0; 4])).await.is_err(), "it is held");
    echo.set(Direction::ToClient, Flow::Swallow);
    timeout(LIMIT, async {
        while echo.proxy.swallowed(NODE).unwrap() < 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
    echo.set(Direction::ToClient, Flow::Pass);
    is_reset(&mut socket).await;
}

#[tokio::test]
async fn a_cut_resets_what_is_there_and_lets_new_ones_in() {
    let echo = echo().await;
    let mut socket = echo.connect().await;
    says_back(&mut socket, b"before").await;
    echo.proxy.cut(NODE).await.unwrap();
    is_reset(&mut socket).await;
    says_back(&mut echo.connect().await, b"after").await;
}

#[tokio::test]
async fn who_is_refused_gets_no_connection_until_it_is_admitted() {
    let echo = echo().await;
    let mut socket = echo.connect().await;
    says_back(&mut socket, b"before").await;
    echo.proxy.refuse(NODE).await.unwrap();
    is_reset(&mut socket).await;
    let refused = TcpStream::connect(echo.listen).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    echo.set(Direction::ToClient, Flow::Swallow);
    echo.proxy.heal().await.unwrap();
    says_back(&mut echo.connect().await, b"after").await;
}

#[tokio::test]
async fn a_dead_broker_is_a_reset_and_an_unknown_node_an_error() {
    let (_closed, broker) = deaf();
    let (_held, listen) = deaf();
    let proxy = Proxy::start(vec![Route { node: NODE, listen, broker }]).await.unwrap();
    // The reset may be there before the connection has been looked at.
    match TcpStream::connect(listen).await {
        Ok(mut socket) => is_reset(&mut socket).await,
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
    assert!(proxy.cut(NodeId(9)).await.is_err());
    assert!(Proxy::start(Vec::new()).await.is_err());
}

#[tokio::test]
async fn a_dropped_proxy_leaves_nothing_behind() {
    let echo = echo().await;
    let mut socket = echo.connect().await;
    says_back(&mut socket, b"before").await;
    let listen = echo.listen;
    drop(echo.proxy);
    assert!(timeout(LIMIT, socket.read(&mut [0; 1])).await.unwrap().is_ok_and(|read| read == 0));
    let refused = TcpStream::connect(listen).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}
