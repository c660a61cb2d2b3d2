//! `--webhook`: a POST for each message, or each batch; the status is the answer.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Request, Response};
use hyper_tls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;
use kurier::Failure;
use native_tls::{Certificate, TlsConnector};

use super::answer::{self, Verdict};
use super::endpoint::Endpoint;
use super::errand::{Carrier, Errand, is_visible};
use crate::exit::UsageError;

/// Many servers take 8 KiB for all headers together.
const HEADERS: Carrier = Carrier { takes: is_visible, key_bytes_max: 4 * 1024 };

/// How much of an answer is kept to say why a message was not handled.
const REASON_CHARS_MAX: usize = 200;
/// Connections that are used for nothing are closed after this time. Servers close them too, most of them
/// later; a request that meets such an end before it was sent is sent again on another connection.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Posts messages. Connections are kept and used again.
#[derive(Debug)]
pub struct Webhook {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    endpoint: Endpoint,
    /// How long one exchange may take, from the connection to the end of the answer.
    limit: Duration,
}

impl Webhook {
    /// Connects to nothing yet. No proxy is used and no redirect followed.
    ///
    /// # Errors
    /// When `authorities`, a file of certificates, can't be read.
    pub fn new(
        endpoint: Endpoint,
        limit: Duration,
        authorities: Option<&Path>,
    ) -> Result<Self, UsageError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let https = HttpsConnector::from((http, tls(authorities)?.into()));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_timer(TokioTimer::new())
            .build(https);
        Ok(Self { client, endpoint, limit })
    }

    /// Posts it once.
    ///
    /// # Errors
    /// When it was not handled.
    ///
    /// # Cancel safety
    /// When it is dropped, the connection is closed; the server may have handled the message.
    pub async fn handle(&self, errand: Errand) -> Result<(), Failure> {
        let request = self.request(errand)?;
        let limit = self.limit;
        match tokio::time::timeout(limit, self.exchange(request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.said(&format!("no answer within {limit:?}"))),
        }
    }

    fn broken(&self, error: &(dyn Error + 'static)) -> Failure {
        self.said(&chain(error))
    }

    fn said(&self, reason: &str) -> Failure {
        Failure::retry(format!("{}: {reason}", self.endpoint))
    }

    fn request(&self, errand: Errand) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::post(&self.endpoint.uri)
            .header(header::USER_AGENT, concat!("kurier/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_TYPE, errand.content_type)
            .header(IDEMPOTENCY_KEY, &errand.id);
        if let Some(authorization) = &self.endpoint.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        for (name, text) in errand.facts(&HEADERS) {
            let name = format!("kurier-{}", name.to_ascii_lowercase().replace('_', "-"));
            request = request.header(name, text);
        }
        for (name, text) in &errand.trace {
            request = request.header(*name, text);
        }
        Ok(request.body(Full::new(errand.body))?)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(), Failure> {
        let response = self.client.request(request).await.map_err(|error| self.broken(&error))?;
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.map(HeaderValue::to_str).and_then(Result::ok);
        let verdict = answer::judge(status, retry_after, Timestamp::now());
        // An answer that breaks off is none: whoever gave it may have died before the work was done.
        let text = begin_of(response).await.map_err(|error| self.broken(&error))?;
        let reason = match text.as_str() {
            "" => status.to_string(),
            text => format!("{status}: {text}"),
        };
        match verdict {
            Verdict::Handled => Ok(()),
            Verdict::Again(Some(pause)) => Err(Failure::retry_after(pause, reason)),
            Verdict::Again(None) => Err(Failure::retry(reason)),
            Verdict::Rejected => Err(Failure::reject(reason)),
        }
    }
}

/// [The draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/), which is what
/// those who know one name use.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Reads the answer to its end, however long it is, and keeps how it begins.
async fn begin_of(response: Response<Incoming>) -> hyper::Result<String> {
    let mut body = response.into_body();
    let mut begin = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = (4 * REASON_CHARS_MAX).saturating_sub(begin.len());
        begin.extend_from_slice(&data[..data.len().min(room)]);
    }
    let text = String::from_utf8_lossy(&begin);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(words.chars().filter(|one| !one.is_control()).take(REASON_CHARS_MAX).collect())
}

/// The whole chain as one text; it holds no address.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

fn tls(authorities: Option<&Path>) -> Result<TlsConnector, UsageError> {
    let mut builder = TlsConnector::builder();
    if let Some(path) = authorities {
        let wrong =
            |reason: String| UsageError(format!("--webhook-ca-file {}: {reason}", path.display()));
        let pem = fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let certificates =
            Certificate::stack_from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
        if certificates.is_empty() {
            return Err(wrong("there is no certificate in it".to_owned()));
        }
        for certificate in certificates {
            builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|error| UsageError(format!("--webhook: TLS: {error}")))
}
