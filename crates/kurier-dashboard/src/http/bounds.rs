//! What the dashboard takes at most, as `docs/dashboard.md` tells it. Each figure has its place where it is kept
//! to; here they are put into words.

use std::time::Duration;

use super::{api, asked, browse, forms, letters, look, replay, server, sse, stream, tail};
use crate::{scrape, watch};

/// One bound, and what happens there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// What is bounded.
    pub of: &'static str,
    /// The figures.
    pub bound: String,
    /// What happens at the bound.
    pub then: &'static str,
}

/// The bounds that are times, with the values that the dashboard has. Only for tests, which can't wait so long.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// For a request's head, and for a request on a connection that has none.
    pub head: Duration,
    /// For a client that takes nothing of its answer.
    pub take: Duration,
    /// For the answer to a request.
    pub request: Duration,
    /// For a dry run.
    pub preview: Duration,
    /// For the end of a replay, before the request is answered without it.
    pub replay_answer: Duration,
    /// For the end of a replay.
    pub replay: Duration,
    /// For the end of a live tail.
    pub tail: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            head: server::HEAD_WAIT,
            take: server::TAKE_WAIT,
            request: super::REQUEST_WAIT,
            preview: replay::LOOK_WAIT,
            replay_answer: replay::ANSWER_WAIT,
            replay: replay::RUN_MAX,
            tail: tail::LIFE,
        }
    }
}

/// All bounds, in the order of a request's way.
pub fn bounds() -> Vec<Bound> {
    let Waits { head, take, request, preview, replay_answer, replay, tail } = Waits::default();
    let row = |of, bound, then| Bound { of, bound, then };
    let head =
        format!("{}, {} headers, {}", bytes(server::HEAD_MAX), server::HEADERS_MAX, time(head));
    let body = format!("{}, {}", bytes(asked::BODY_MAX), time(asked::BODY_WAIT));
    let tails = format!(
        "{}; {} each, {} messages a second, {} that waits to be taken",
        look::TAILS_MAX,
        time(tail),
        tail::SHOWN_MAX,
        bytes(sse::WAITING_BYTES_MAX)
    );
    let looks = format!(
        "{} at once; {} and {} each",
        look::LOOKS_MAX,
        time(browse::TIME),
        bytes(browse::BYTES)
    );
    let messages = format!("{}, {}", browse::LIMIT_MAX, bytes(browse::ANSWER_BYTES));
    let value = format!("{} as text, {} as hex", bytes(forms::TEXT_MAX), bytes(forms::HEX_MAX));
    let letters = format!("{}, {}", letters::LIMIT_MAX, bytes(browse::ANSWER_BYTES));
    let events = format!("{}; {} bytes of text each", watch::EVENTS_MAX, watch::EVENT_TEXT_MAX);
    let page = format!(
        "{}, {} clients, {} buckets of a histogram",
        bytes(scrape::PAGE_MAX),
        scrape::CLIENTS_MAX,
        scrape::BUCKETS_MAX
    );
    let replays = format!("{} at once, one a topic; {} each", replay::RUNS_MAX, time(replay));
    vec![
        row("connections", server::CONNECTIONS_MAX.to_string(), "503 and `Retry-After`"),
        row("a request's head", head, "431, or the connection is cut"),
        row("a request's body", body, "413, 408"),
        row("a request", time(request), "503 and `Retry-After`"),
        row(
            "an answer that nobody reads",
            format!("{} without a byte taken", time(take)),
            "the connection is cut",
        ),
        row(
            "pages that are told of changes",
            stream::STREAMS_MAX.to_string(),
            "429 and `Retry-After`",
        ),
        row("rows of a list's page", api::ROWS_MAX.to_string(), "400"),
        row("live tails", tails, "429; the end is told; the rest is counted and told"),
        row("looks at messages and dead letters", looks, "429; what was found, and why it stopped"),
        row("messages of an answer", messages, "400; `next` is where to go on"),
        row("dead letters of an answer", letters, "400; the newest are shown"),
        row(
            "resets, dry runs too, and dry runs of replays",
            format!("{} at once, those looks included", look::LOOKS_MAX),
            "429",
        ),
        row("events", events, "the oldest are forgotten, and counted; a text is cut"),
        row(
            "a client's `/metrics`",
            page,
            "the process is shown as one that does not answer, with the reason",
        ),
        row("a value that is shown", value, "it is cut, and said to be"),
        row(
            "a dry run of a replay",
            time(preview),
            "what was counted until then, and that it is not all",
        ),
        row(
            "waiting for a replay",
            time(replay_answer),
            "202; it goes on, and `GET …/replay` says how far it is",
        ),
        row("replays", replays, "429, 409; the same replay goes on where it stopped"),
    ]
}

/// As people say it: 4 MiB.
fn bytes(bytes: usize) -> String {
    match bytes {
        bytes if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        bytes if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

/// As people say it: 5 min.
pub(super) fn time(time: Duration) -> String {
    match time.as_millis() {
        millis if millis.is_multiple_of(60_000) => format!("{} min", millis / 60_000),
        millis if millis.is_multiple_of(1000) => format!("{} s", millis / 1000),
        millis => format!("{millis} ms"),
    }
}
