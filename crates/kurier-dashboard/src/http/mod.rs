//! The dashboard over HTTP: routes, who may ask, and what is always so of an answer.
//!
//! `server` owns sockets and connections, `guard` (pure) says who may ask and change, `asked` and `refused`
//! how requests are read and turned down, `api` what each path answers, `bounds` tells of all bounds. What asks Kafka: `browse` and
//! `letters`, which walk through a topic (`walk`) as far as it reaches (`spans`), `tail`, `replay` and
//! `reset`.

mod api;
mod asked;
mod bounds;
mod browse;
mod errors;
mod forms;
mod guard;
mod letters;
mod look;
mod page;
mod reading;
mod refused;
mod replay;
mod reset;
mod server;
mod spans;
mod sse;
mod stream;
mod tail;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use kurier::{ClientConfig, ConfigProblems};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use bounds::{Bound, Waits, bounds};
pub(crate) use guard::{Guard, Token};
use look::Looking;
use refused::Refused;
use replay::Replays;
use server::Local;
pub(crate) use server::serve;

use crate::Watch;

/// What every request has to do with.
#[derive(Debug)]
pub(crate) struct Shared {
    watch: Watch,
    guard: Guard,
    looking: Looking,
    replays: Replays,
    streams: Arc<Semaphore>,
    tasks: TaskTracker,
    /// Ends streams, and replays with what is on its way.
    stop: CancellationToken,
    waits: Waits,
}

/// The longest that a request takes; streams begin within it.
const REQUEST_WAIT: Duration = Duration::from_secs(20);

/// Nothing but the page's own files and requests, and in no frame: a message that were taken for a script
/// would still do nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// What every answer has.
const ALWAYS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

impl Shared {
    /// # Errors
    /// Every problem with the client's configuration.
    pub(crate) fn new(
        watch: Watch,
        guard: Guard,
        client: &ClientConfig,
        tasks: TaskTracker,
        (stop, leave): (CancellationToken, CancellationToken),
        waits: Waits,
    ) -> Result<Self, ConfigProblems> {
        let looking = Looking::new(client, tasks.clone())?;
        let replays = Replays::new(client.clone(), tasks.clone(), (stop.clone(), leave), waits);
        let streams = Arc::new(Semaphore::new(stream::STREAMS_MAX));
        Ok(Self { watch, guard, looking, replays, streams, tasks, stop, waits })
    }
}

/// All paths.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/overview", get(api::overview))
        .route("/brokers", get(api::brokers))
        .route("/topics", get(api::topics))
        .route("/topics/{topic}", get(api::topic))
        .route("/groups", get(api::groups))
        .route("/groups/{group}", get(api::group))
        .route("/groups/{group}/reset", post(api::group_reset))
        .route("/clients", get(api::clients))
        .route("/dead-letters", get(api::dead_letter_topics))
        .route("/dead-letters/{topic}", get(api::dead_letters))
        .route("/dead-letters/{topic}/replay", get(api::replay_of).post(api::replay))
        .route("/messages/{topic}", get(api::messages))
        .route("/messages/{topic}/tail", get(api::messages_tail))
        .route("/events", get(api::events))
        .route("/stream", get(api::changes));
    Router::new()
        .route("/", get(page::index))
        .route("/dashboard.css", get(page::style))
        .route("/dashboard.js", get(page::script))
        .route("/livez", get(api::livez))
        .route("/readyz", get(api::readyz))
        .route("/metrics", get(api::metrics))
        .nest("/api/v1", api)
        .fallback(async |request: Request| {
            Refused::not_there(format!("there is nothing at {:?}", request.uri().path()))
        })
        .method_not_allowed_fallback(async |method: Method| {
            let reason = format!("{method} is not possible here");
            Refused::new(StatusCode::METHOD_NOT_ALLOWED, reason)
        })
        .layer(from_fn_with_state(Arc::clone(&shared), around))
        .with_state(shared)
}

/// Turns away whoever may not ask, ends what takes too long, and adds what every answer has.
async fn around(
    State(shared): State<Arc<Shared>>,
    Extension(Local(local)): Extension<Local>,
    request: Request,
    next: Next,
) -> Response {
    let wait = shared.waits.request;
    let answered = match shared.guard.admit(request.uri(), request.headers(), local) {
        Ok(()) => tokio::time::timeout(wait, next.run(request)).await.map_err(|_| {
            Refused::too_slow(format!("this took longer than {}", bounds::time(wait)))
        }),
        Err(refused) => Err(refused),
    };
    let mut response = answered.unwrap_or_else(|refused| refused.into_response());
    for (name, value) in ALWAYS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
