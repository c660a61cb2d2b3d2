//! `kurier probe`: asks a process that serves its health how it is.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::Context;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::args::{Global, Output, ProbeCommand};
use crate::exit::{Exit, Unanswered};
use crate::output;

/// The longest answer that is read, in bytes.
const BODY_MAX: usize = 1 << 20;

/// Prints the answer; the exit code says what it was.
///
/// # Errors
/// When nobody answers in time, or what answers is no kurier.
pub async fn run(command: ProbeCommand, global: &Global) -> anyhow::Result<Exit> {
    let (path, address) = match &command {
        ProbeCommand::Live { address } => ("/livez", address),
        ProbeCommand::Ready { address } => ("/readyz", address),
    };
    let (status, body) = ask(address, path, global.admin_timeout()).await?;
    let exit = match status {
        StatusCode::OK => Exit::Done,
        StatusCode::SERVICE_UNAVAILABLE => Exit::Unhealthy,
        other => anyhow::bail!("{address}{path} answers {other}: it is not kurier's"),
    };
    output::unless_unread(match global.output {
        Output::Table => output::bytes(&body),
        Output::Json => output::json(&object(address, path, exit == Exit::Done, &body)),
    })?;
    Ok(exit)
}

/// The answer for programs: its first line is the verdict, each other one a check, `ok` or `failing`.
fn object(address: &str, path: &str, yes: bool, body: &[u8]) -> Value {
    let body = String::from_utf8_lossy(body);
    let checks = body.lines().skip(1).map(|line| match line.split_once(' ') {
        Some((state @ ("ok" | "failing"), of)) => json!({ "ok": state == "ok", "check": of }),
        _ => json!({ "ok": yes, "check": line }),
    });
    let checks: Vec<Value> = checks.collect();
    json!({ "address": address, "asked": path, "yes": yes, "checks": checks })
}

async fn ask(address: &str, path: &str, patience: Duration) -> anyhow::Result<(StatusCode, Bytes)> {
    let unanswered = |reason: String| Unanswered { address: address.to_owned(), reason };
    let asked = async {
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|error| {
            unanswered(match error.kind() {
                ErrorKind::ConnectionRefused => format!(
                    "nobody listens there; `kurier produce` and `consume` do, with --metrics {address}"
                ),
                _ => error.to_string(),
            })
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(path).header(HOST, address).body(Empty::<Bytes>::new())?;
        let answered = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), BODY_MAX).collect().await;
            let body = body.map_err(anyhow::Error::from_boxed)?;
            // The connection ends with its sender.
            drop(sender);
            anyhow::Ok((status, body.to_bytes()))
        };
        let (answered, _) = tokio::join!(answered, connection);
        answered.with_context(|| format!("ask {address}"))
    };
    let answered = tokio::time::timeout(patience, asked).await;
    answered.map_err(|_| unanswered(format!("no answer within {patience:?}")))?
}
