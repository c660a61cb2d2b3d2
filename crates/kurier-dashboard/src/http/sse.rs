//! Server-sent events: how one is written, and a body that gives them as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Events that wait until the client takes them. Whoever makes them decides what becomes of more.
const WAITING_MAX: usize = 64;

/// Bytes of them. One event alone may have more.
pub(super) const WAITING_BYTES_MAX: usize = 1 << 20;

/// How long a stream may be silent: a comment then shows that it is alive.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(15);

/// The comment. It is not an event.
pub(super) const ALIVE: Bytes = Bytes::from_static(b": alive\n\n");

/// One event.
pub(super) fn event(name: &str, data: &impl Serialize) -> Bytes {
    // JSON has its line breaks escaped, so that it is one line. Of these types none fails.
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// A stream that is as long as its sender, and holds `permit` as long. The sender is closed as soon as the
/// client is gone.
pub(super) fn stream(permit: OwnedSemaphorePermit) -> (Events, Response) {
    let (events, stream) = channel(permit);
    let mut response = Response::new(Body::new(stream));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    (events, response)
}

fn channel(permit: OwnedSemaphorePermit) -> (Events, Stream) {
    let (events, waiting) = mpsc::channel(WAITING_MAX);
    let bytes = Arc::new(AtomicUsize::new(0));
    let stream = Stream { waiting, bytes: Arc::clone(&bytes), _permit: permit };
    (Events { events, bytes }, stream)
}

/// Where events go in. One task has it.
#[derive(Debug)]
pub(super) struct Events {
    events: mpsc::Sender<Bytes>,
    /// That wait.
    bytes: Arc<AtomicUsize>,
}

/// An event was not taken: the client is gone, or as much waits for it as may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotTaken;

impl Events {
    /// Waits until there is room for one more event, however long it is: for those that come seldom.
    pub(super) async fn send(&self, event: Bytes) -> Result<(), NotTaken> {
        let length = event.len();
        let place = self.events.reserve().await.map_err(|_| NotTaken)?;
        self.bytes.fetch_add(length, Ordering::AcqRel);
        place.send(event);
        Ok(())
    }

    /// Gives an event if there is room for it now.
    pub(super) fn try_send(&self, event: Bytes) -> Result<(), NotTaken> {
        let (waiting, length) = (self.bytes.load(Ordering::Acquire), event.len());
        if 0 < waiting && WAITING_BYTES_MAX < waiting + length {
            return Err(NotTaken);
        }
        let place = self.events.try_reserve().map_err(|_| NotTaken)?;
        self.bytes.fetch_add(length, Ordering::AcqRel);
        place.send(event);
        Ok(())
    }

    /// Ends when the client is gone.
    pub(super) async fn closed(&self) {
        self.events.closed().await;
    }
}

struct Stream {
    waiting: mpsc::Receiver<Bytes>,
    bytes: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = ready!(self.waiting.poll_recv(cx));
        if let Some(event) = &event {
            self.bytes.fetch_sub(event.len(), Ordering::AcqRel);
        }
        Poll::Ready(event.map(|event| Ok(Frame::data(event))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Problem;

    /// A message of a megabyte may be several as JSON, and a page that takes nothing is not cut at once.
    #[tokio::test]
    async fn what_waits_is_bounded_in_events_and_in_bytes() {
        let places = Arc::new(tokio::sync::Semaphore::new(1));
        let permit = || Arc::clone(&places).try_acquire_owned().expect("a place");
        let taken = |length: usize| {
            let (events, stream) = channel(permit());
            let event = Bytes::from(vec![b'x'; length]);
            let count = (0..1_000).filter(|_| events.try_send(event.clone()).is_ok()).count();
            (count, events, stream)
        };
        assert_eq!(taken(10).0, WAITING_MAX);
        assert_eq!(taken(WAITING_BYTES_MAX / 4).0, 4);
        let (count, events, mut stream) = taken(2 * WAITING_BYTES_MAX);
        assert_eq!(count, 1, "one alone goes through");
        let frame = std::future::poll_fn(|cx| Pin::new(&mut stream).poll_frame(cx)).await;
        assert!(frame.is_some());
        assert_eq!(events.try_send(ALIVE), Ok(()), "there is room again");
        drop(stream);
        assert_eq!(events.try_send(ALIVE), Err(NotTaken));
        events.closed().await;
    }

    #[test]
    fn an_event_is_two_lines_whatever_is_in_it() {
        let error = "a\r\nevent: b\u{2028}<script>".to_owned();
        let event = event("ended", &Problem { error });
        let text = String::from_utf8(event.to_vec()).expect("text");
        assert_eq!(text, "event: ended\ndata: {\"error\":\"a\\r\\nevent: b\u{2028}<script>\"}\n\n");
    }
}
