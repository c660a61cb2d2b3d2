//! A small HTTP server for a monitor's answers. It owns its socket and its connections; what they are
//! told is the [`Monitor`]'s.
//!
//! Whoever can reach the port may send anything, so everything has a bound: connections, the size of a
//! request's head, and the time of one request, after which its connection is closed.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Answer, Monitor};

/// Connections at once; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 32;
/// The longest head of a request, in bytes; hyper wants no less.
const HEAD_MAX: usize = 8 << 10;
/// The most headers of a request.
const HEADERS_MAX: usize = 64;
/// How long a request's head may take to arrive.
const HEAD_WAIT: Duration = Duration::from_secs(5);
/// How long a connection lasts, which is one request and its answer.
const CONNECTION_WAIT: Duration = Duration::from_secs(10);
/// How long answers under way may take when the server is closed.
const CLOSE_WAIT: Duration = Duration::from_secs(1);
/// The pause after the system could not accept: most likely it has no file descriptor to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The type of Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves a [`Monitor`]: `/livez` and `/readyz`, with 200 or 503 and a line for each check, and
/// `/metrics`.
///
/// There is no encryption and no password: bind it to an address that only those reach who may know.
/// Close it after the clients it tells of, so that their draining is seen. Dropped, it ends at once.
#[derive(Debug)]
pub struct MonitorServer {
    address: SocketAddr,
    stop: CancellationToken,
    /// `None` once it is closed.
    accepting: Option<JoinHandle<()>>,
}

impl MonitorServer {
    /// Listens on `address` (`host:port`; port 0 takes a free one), on the tokio runtime this is called
    /// on.
    ///
    /// # Errors
    /// The system's, when the address is taken, not this machine's, or none at all.
    pub async fn bind(address: impl ToSocketAddrs, monitor: &Monitor) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (address, stop) = (listener.local_addr()?, CancellationToken::new());
        let accepting = tokio::spawn(accept(listener, monitor.clone(), stop.clone()));
        Ok(Self { address, stop, accepting: Some(accepting) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more connections, and ends once those it has are answered, or within 1 s.
    pub async fn close(mut self) {
        self.stop.cancel();
        if let Some(accepting) = self.accepting.take()
            && let Err(error) = accepting.await
        {
            tracing::error!(%error, "the server of health and metrics ended badly");
        }
    }
}

impl Drop for MonitorServer {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

async fn accept(listener: TcpListener, monitor: Monitor, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection of the server of health and metrics ended badly");
                }
            }
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, monitor.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection for health or metrics was not accepted");
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

async fn serve(stream: TcpStream, monitor: Monitor) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .header_read_timeout(HEAD_WAIT)
        .serve_connection(TokioIo::new(stream), service_fn(|request| respond(&monitor, &request)));
    match tokio::time::timeout(CONNECTION_WAIT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection for health or metrics failed"),
        Err(_) => tracing::debug!("a connection for health or metrics took too long"),
    }
}

fn respond<B>(
    monitor: &Monitor,
    request: &Request<B>,
) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    let mut response = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/livez") => told(monitor.livez()),
        (&Method::GET | &Method::HEAD, "/readyz") => told(monitor.readyz()),
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let mut page = text(StatusCode::OK, monitor.metrics());
            page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_TYPE));
            page
        }
        (&Method::GET | &Method::HEAD, _) => {
            text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n".to_owned())
        }
        _ => {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refused
        }
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    ready(Ok(response))
}

fn told(answer: Answer) -> Response<Full<Bytes>> {
    match answer {
        Answer::Yes(body) => text(StatusCode::OK, body),
        Answer::No(body) => text(StatusCode::SERVICE_UNAVAILABLE, body),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests;
