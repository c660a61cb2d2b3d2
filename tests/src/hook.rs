//! The other end of a webhook: an HTTP/1.1 server that answers as the scenario says, and keeps what it was
//! sent.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a scenario stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A request.
#[derive(Debug, Clone)]
pub struct Posted {
    /// When all of it was there.
    pub at: Instant,
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// `POST /path HTTP/1.1`.
    pub line: String,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// What was posted.
    pub body: Vec<u8>,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A status, header lines that each end with CRLF, and a body.
    Status(u16, &'static str, &'static str),
    /// The status 200 and half of the body; then the connection is closed.
    Breaks,
    /// The status 200 and so many bytes of a body in chunks, which ends so.
    Long(usize, Ending),
    /// Nothing, for as long as anyone waits.
    Silent,
}

/// How a body in chunks ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Whole,
    /// The connection is closed.
    Cut,
    /// Nothing more comes.
    Silent,
}

/// The status 200.
pub const DONE: Reply = Reply::Status(200, "", "done");

/// The server. Dropped, its connections are closed.
pub struct Hook {
    address: String,
    posted: Arc<Mutex<Vec<Posted>>>,
    connections: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Hook {
    /// Serves on a free port. `answer` is asked once for each request, of which it is told all, and which
    /// attempt it is at what its idempotency key names, from 1.
    pub async fn serve(answer: impl Fn(&Posted, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve_at("127.0.0.1:0", answer).await
    }

    /// The same at an address.
    pub async fn serve_at(
        address: &str,
        answer: impl Fn(&Posted, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (posted, connections) =
            (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicUsize>::default());
        let (kept, counted, answer) =
            (Arc::clone(&posted), Arc::clone(&connections), Arc::new(answer));
        let serving = tokio::spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let connection = counted.fetch_add(1, Ordering::Relaxed);
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                open.spawn(async move { serve(stream, connection, &kept, &*answer).await });
                while open.try_join_next().is_some() {}
            }
        });
        Self { address, posted, connections, serving }
    }

    /// Where it is: `127.0.0.1:1234`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where messages are to be posted.
    pub fn url(&self) -> String {
        format!("http://{}/orders?of=shop", self.address)
    }

    /// Every request so far, in the order of their ends.
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Posted {
    /// A header's text, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Partition and offset, as the headers say.
    pub fn place(&self) -> (i32, i64) {
        let number = |name| self.header(name).parse().unwrap();
        (i32::try_from(number("kurier-partition")).unwrap(), number("kurier-offset"))
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hook at {}", self.address)
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers until the connection ends.
async fn serve(
    stream: TcpStream,
    connection: usize,
    kept: &Mutex<Vec<Posted>>,
    answer: &(impl Fn(&Posted, usize) -> Reply + Sync),
) {
    let mut stream = BufStream::new(stream);
    while let Some(posted) = request(&mut stream, connection).await {
        let attempt = {
            let mut kept = kept.lock().unwrap();
            kept.push(posted.clone());
            let key = posted.header("idempotency-key");
            kept.iter().filter(|one| one.header("idempotency-key") == key).count()
        };
        let (bytes, ending) = match answer(&posted, attempt) {
            Reply::Silent => (String::new(), Ending::Silent),
            Reply::Breaks => {
                ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\ndone".to_owned(), Ending::Cut)
            }
            Reply::Status(status, headers, body) => {
                let length = body.len();
                let head = format!("HTTP/1.1 {status} Told\r\ncontent-length: {length}\r\n");
                (format!("{head}{headers}\r\n{body}"), Ending::Whole)
            }
            Reply::Long(length, ending) => (chunked(length, ending), ending),
        };
        if stream.write_all(bytes.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        match ending {
            Ending::Whole => {}
            Ending::Cut => return,
            Ending::Silent => std::future::pending().await,
        }
    }
}

/// An answer of so many bytes in chunks; the one that says that it is whole is there only if it is.
fn chunked(length: usize, ending: Ending) -> String {
    let mut answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for from in (0..length).step_by(1 << 10) {
        let chunk = "x".repeat((length - from).min(1 << 10));
        answer.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
    if ending == Ending::Whole {
        answer.push_str("0\r\n\r\n");
    }
    answer
}

/// The next request; `None` at the end of the connection, amid one too.
async fn request(stream: &mut BufStream<TcpStream>, connection: usize) -> Option<Posted> {
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, text)) = header.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), text.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Posted { at: Instant::now(), connection, line: line.trim_end().to_owned(), headers, body })
}
