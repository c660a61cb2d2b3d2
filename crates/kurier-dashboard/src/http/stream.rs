//! `/api/v1/stream`: says which parts are newer, so that a page asks only for what it shows of them.

use std::time::Duration;

use axum::body::Bytes;
use axum::response::Response;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::sse;
use crate::view::Changed;
use crate::{Versions, Watch};

/// Pages that are told at once.
pub(super) const STREAMS_MAX: usize = 64;
/// The pause between two messages: what is published within it is one.
const PAUSE: Duration = Duration::from_millis(200);
/// What a browser is told of how soon to come back when the connection is lost.
const RETRY: Bytes = Bytes::from_static(b"retry: 2000\n\n");

/// Begins to tell. The first message names every part that was seen so far.
pub(super) fn stream(
    watch: &Watch,
    permit: OwnedSemaphorePermit,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Response {
    let versions = watch.changes();
    let (events, response) = sse::stream(permit);
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tell(versions, &events) => {}
        }
    });
    response
}

/// Ends when nobody reads it any more, or nothing is watched.
async fn tell(mut versions: watch::Receiver<Versions>, events: &sse::Events) {
    let mut told = Versions::default();
    let mut event = RETRY;
    let mut is_new = true;
    while events.send(event).await.is_ok() {
        if !is_new {
            tokio::select! {
                () = events.closed() => return,
                () = tokio::time::sleep(sse::SILENCE_MAX) => {
                    event = sse::ALIVE;
                    continue;
                }
                changed = versions.changed() => match changed {
                    Ok(()) => tokio::time::sleep(PAUSE).await,
                    Err(_) => return,
                },
            }
        }
        is_new = false;
        let seen = *versions.borrow_and_update();
        let parts = seen.newer_than(&told);
        told = seen;
        event = sse::event("changed", &Changed { now: Timestamp::now(), parts });
    }
}
