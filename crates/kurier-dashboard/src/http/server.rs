//! The socket, the connections and their bounds. What is answered is the router's.
//!
//! Whoever reaches the port may send anything and read nothing: connections are counted, a request's head
//! has its size and time, and an answer that nobody takes is cut off.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::bounds::Waits;

/// Connections that are answered at once.
pub(super) const CONNECTIONS_MAX: usize = 128;
/// Connections that are told so while there are as many; more wait in the system's queue.
const TURNED_AWAY_MAX: usize = 16;
/// The longest head of a request, in bytes; a browser sends about one thousand.
pub(super) const HEAD_MAX: usize = 16 << 10;
/// The most headers of a request.
pub(super) const HEADERS_MAX: usize = 64;
/// How long a request's head may take to arrive, and how long a connection may stay without a request.
pub(super) const HEAD_WAIT: Duration = Duration::from_secs(10);
/// How long a client may take nothing of an answer.
pub(super) const TAKE_WAIT: Duration = Duration::from_secs(15);
/// How long a client that is turned away may take to go.
const TURN_AWAY_WAIT: Duration = Duration::from_secs(1);
/// How long answers under way may take when the server is closed.
const CLOSE_WAIT: Duration = Duration::from_millis(700);
/// The pause after the system could not accept: most likely it has no file descriptor to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The address a request came in at, among its extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local(pub(super) IpAddr);

/// Answers until `stop`, and then until answers under way are given, or [`CLOSE_WAIT`] is over.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    waits: Waits,
) {
    let (mut connections, mut turned_away) = (JoinSet::new(), JoinSet::new());
    loop {
        let is_full = CONNECTIONS_MAX <= connections.len();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => ended_well(ended),
            Some(ended) = turned_away.join_next() => ended_well(ended),
            accepted = listener.accept(), if turned_away.len() < TURNED_AWAY_MAX => match accepted {
                Ok((stream, _)) if is_full => {
                    turned_away.spawn(turn_away(stream));
                }
                Ok((stream, peer)) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    connections.spawn(connection(stream, peer, router, stop, waits));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the dashboard was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let answered = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(CLOSE_WAIT, answered).await.is_err() {
        tracing::debug!("connections that did not end in time are cut");
    }
}

fn ended_well(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection of the dashboard ended badly");
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    stop: CancellationToken,
    waits: Waits,
) {
    let Ok(local) = stream.local_addr() else { return };
    // Small messages of a stream go out at once. Without it they only come later.
    let _ = stream.set_nodelay(true);
    let answering = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Local(local.ip()));
        let answer = answering.call(request);
        async move {
            Ok::<Response<Body>, Infallible>(answer.await.unwrap_or_else(|never| match never {}))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .header_read_timeout(waits.head)
        .serve_connection(TokioIo::new(Impatient::new(stream, waits.take)), service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "a connection to the dashboard failed");
    }
}

/// Says that there are too many connections, and reads what was sent until the client has seen it.
async fn turn_away(mut stream: TcpStream) {
    let body = format!(
        "{{\"error\":\"the dashboard has {CONNECTIONS_MAX} connections, which is as many as it may: close some, or try later\"}}"
    );
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\nretry-after: 2\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let telling = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while 0 < stream.read(&mut unread).await? {}
        Ok::<(), io::Error>(())
    };
    // Whoever does not listen is cut off.
    let _ = tokio::time::timeout(TURN_AWAY_WAIT, telling).await;
}

/// A connection that is cut once the other side has taken nothing for so long of what it is sent.
struct Impatient {
    stream: TcpStream,
    wait: Duration,
    /// Since something waits to be taken.
    until: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn new(stream: TcpStream, wait: Duration) -> Self {
        Self { stream, wait, until: None }
    }

    fn taken<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let wait = self.wait;
        let end = || Box::pin(tokio::time::sleep_until(Instant::now() + wait));
        ready!(self.until.get_or_insert_with(end).as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nobody takes the answer")))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.taken(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.taken(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
