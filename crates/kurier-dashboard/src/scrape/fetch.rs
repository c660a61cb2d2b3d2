//! One page of one process, by HTTP/1.1: within a time and a size, on a connection of its own, and without
//! following anything.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The largest page; a thousand clients fit.
pub(crate) const BODY_MAX: usize = 4 << 20;
/// The largest head of an answer.
const HEAD_MAX: usize = 16 << 10;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) body: String,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPage {
    #[error("no answer within {} s", .0.as_secs_f64())]
    Late(Duration),
    #[error("{0}")]
    Connect(#[from] std::io::Error),
    #[error("it answers with something else than HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("its answer breaks off, or is larger than {limit} MiB: {0}", limit = BODY_MAX >> 20)]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("its answer is no UTF-8")]
    NoText,
}

/// Asks `address`, by the name `host`, for `path`.
///
/// # Errors
/// When there is no whole answer in time.
pub(super) async fn get(
    address: SocketAddr,
    host: &str,
    path: &'static str,
    deadline: Duration,
) -> Result<Page, NoPage> {
    let asked = tokio::time::timeout(deadline, ask(address, host, path)).await;
    asked.unwrap_or(Err(NoPage::Late(deadline)))
}

async fn ask(address: SocketAddr, host: &str, path: &'static str) -> Result<Page, NoPage> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_MAX).handshake(TokioIo::new(stream)).await?;
    let mut request = Request::get(path).header(ACCEPT, "text/plain").body(Empty::<Bytes>::new());
    if let (Ok(request), Ok(host)) = (&mut request, host.parse()) {
        request.headers_mut().insert(HOST, host);
    }
    let Ok(request) = request else { unreachable!("a constant path and header") };
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, BODY_MAX).collect().await.map_err(NoPage::Body)?;
        let body = String::from_utf8(body.to_bytes().into()).map_err(|_| NoPage::NoText)?;
        Ok(Page { status: head.status, body })
    };
    // The connection goes on for as long as the answer needs it, and ends with it.
    tokio::select! {
        biased;
        answer = answer => answer,
        Err(error) = connection => Err(error.into()),
    }
}
