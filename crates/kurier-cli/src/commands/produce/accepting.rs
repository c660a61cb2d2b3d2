//! Messages whose place is taken and that are not on disk yet: many wait at once, so that one fsync
//! serves them all.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kurier::{Acceptance, MessageProducer, NotAccepting, SendError};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Place;
use super::input::Line;
use super::outgoing::Outgoing;
use super::tally::Tally;
use crate::args::{ProduceArgs, ReportKind};

/// Messages that may wait for the disk.
const WAITING_MAX: usize = 10_000;

/// Takes messages into the producer, and tells when they are accepted.
pub(super) struct Accepting {
    waiting: mpsc::Sender<Waiting>,
    told: Option<JoinHandle<Option<Unaccepted>>>,
    unaccepted: Option<Unaccepted>,
    /// Whose acceptance is awaited.
    awaited: Arc<Mutex<Option<Place>>>,
}

/// The first line that was not accepted, though others may be, and why.
pub(super) struct Unaccepted {
    pub(super) file: Arc<str>,
    pub(super) number: u64,
    pub(super) error: SendError,
}

struct Waiting {
    acceptance: Acceptance,
    id: Option<Uuid>,
    file: Arc<str>,
    number: u64,
}

impl Accepting {
    pub(super) fn new(args: &ProduceArgs, tally: &Arc<Tally>) -> Self {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        // Without an outbox a message is in memory alone: only its delivery is worth a line.
        let tells = args.outbox.dir.is_some() && args.report == ReportKind::Each;
        let awaited = Arc::default();
        let told =
            tell(queue, Arc::clone(tally), tells.then(|| args.topic.clone()), Arc::clone(&awaited));
        Self { waiting, told: Some(tokio::spawn(told)), unaccepted: None, awaited }
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When nothing more can be sent.
    pub(super) async fn send(
        &self,
        producer: &MessageProducer,
        topic: &str,
        outgoing: &Outgoing,
        line: &Line,
        tally: &Tally,
    ) -> Result<(), SendError> {
        let queued = match outgoing {
            Outgoing::Text(message) => producer.queue(topic, message).await,
            Outgoing::Json(message) => producer.queue(topic, message).await,
            Outgoing::Bare(record) => producer.queue_record(topic, record).await,
        };
        let id = match outgoing {
            Outgoing::Text(message) => Some(message.id()),
            Outgoing::Json(message) => Some(message.id()),
            Outgoing::Bare(_) => None,
        };
        match queued {
            Ok(acceptance) => {
                let (file, number) = (Arc::clone(&line.file), line.number);
                // Nobody takes it only when it is over.
                let _ = self.waiting.send(Waiting { acceptance, id, file, number }).await;
                Ok(())
            }
            Err(error) if is_of_this_message(&error) => {
                tally.bad(&line.file, line.number, &error.to_string());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// True when one was not accepted, and none will be.
    pub(super) fn is_over(&self) -> bool {
        self.waiting.is_closed()
    }

    /// Waits until everything is accepted or refused. Cancel safe.
    pub(super) async fn finish(&mut self) {
        // Its queue ends with the last sender.
        self.waiting = mpsc::channel(1).0;
        if let Some(told) = &mut self.told {
            self.unaccepted = told.await.ok().flatten();
            self.told = None;
        }
    }

    /// What was not accepted because the end came first; a disk that hangs has not answered by then.
    pub(super) fn unaccepted(self) -> Option<Unaccepted> {
        let awaited = lock(&self.awaited).take();
        let awaited = awaited.map(|(file, number)| Unaccepted {
            file,
            number,
            error: NotAccepting::Closed.into(),
        });
        self.unaccepted.or(awaited)
    }
}

async fn tell(
    mut queue: mpsc::Receiver<Waiting>,
    tally: Arc<Tally>,
    topic: Option<String>,
    awaited: Arc<Mutex<Option<Place>>>,
) -> Option<Unaccepted> {
    while let Some(Waiting { acceptance, id, file, number }) = queue.recv().await {
        let ticket = acceptance.ticket().map(|ticket| ticket.0);
        *lock(&awaited) = Some((Arc::clone(&file), number));
        let answer = acceptance.await;
        *lock(&awaited) = None;
        match answer {
            // Its outcome goes to the tally.
            Ok(delivery) => drop(delivery),
            Err(error) if is_of_this_message(&error) => {
                tally.bad(&file, number, &error.to_string());
                continue;
            }
            Err(error) => return Some(Unaccepted { file, number, error }),
        }
        tally.accepted.fetch_add(1, Ordering::Relaxed);
        if let Some(topic) = &topic {
            tally
                .print(&json!({ "event": "accepted", "id": id, "topic": topic, "ticket": ticket }));
        }
    }
    None
}

fn lock(awaited: &Mutex<Option<Place>>) -> MutexGuard<'_, Option<Place>> {
    awaited.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the next message may fare better.
fn is_of_this_message(error: &SendError) -> bool {
    matches!(error, SendError::Message(_) | SendError::TooLarge { .. } | SendError::Outbox { .. })
}
