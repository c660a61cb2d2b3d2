//! Messages shown as they come. When more come than a page can show, some are left out, and counted.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use kurier::{Offset, TopicPartition, TopicReader};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::browse::Filter;
use super::look::Look;
use super::refused::Refused;
use super::spans::spans;
use super::{bounds, forms, sse};
use crate::view::{LeftOut, Problem, TailAsked, TailBegun};

/// How long a tail goes on: a page that is forgotten reads nothing for ever.
pub(super) const LIFE: Duration = Duration::from_secs(30 * 60);
/// Messages that are shown in a [`TURN`]; a page draws no more.
pub(super) const SHOWN_MAX: u32 = 50;
/// Bytes of a message that is shown: more are headers without number.
const WEIGHT_MAX: usize = 1 << 20;
/// The time they are counted in.
const TURN: Duration = Duration::from_secs(1);

/// Begins to show what comes to `topic`, from now on.
///
/// # Errors
/// When there is no such topic, or the cluster does not answer.
pub(super) async fn tail(
    look: Look,
    topic: &str,
    asked: &TailAsked,
    stop: CancellationToken,
    life: Duration,
) -> Result<Response, Refused> {
    let spans = spans(&look.admin, topic, asked.partition, None).await?;
    let begun = TailBegun {
        partitions: spans.known.iter().map(|(number, span)| (number.0, span.log.end)).collect(),
        left_out: spans.left_out,
    };
    let from: BTreeMap<_, _> = spans
        .known
        .into_iter()
        .map(|(number, span)| (TopicPartition::new(topic, number), (Offset(span.log.end), None)))
        .collect();
    let reader = look
        .reading
        .begin(from)
        .map_err(|error| Refused::new(StatusCode::BAD_GATEWAY, error.to_string()))?;
    let filter = Filter::new(&asked.key, &asked.value, &asked.header);
    let (events, response) = sse::stream(look.permit);
    look.reading.tasks.spawn(async move {
        let mut reader = reader;
        let why = follow(&mut reader, &filter, (&begun, life), &events, &stop).await;
        if let Some(error) = why {
            // Whoever is gone, or takes nothing, is not told.
            let _ = events.try_send(sse::event("ended", &Problem { error }));
        }
        drop(events);
        reader.close().await;
    });
    Ok(response)
}

/// Why the stream ends; none when nobody reads it any more.
async fn follow(
    reader: &mut TopicReader,
    filter: &Filter,
    (begun, life): (&TailBegun, Duration),
    events: &sse::Events,
    stop: &CancellationToken,
) -> Option<String> {
    events.send(sse::event("begun", begun)).await.ok()?;
    let mut end = std::pin::pin!(tokio::time::sleep(life));
    let mut sieve = Sieve::default();
    let mut turns = tokio::time::interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = Instant::now();
    loop {
        // In turn: neither many messages nor many turns keep the others from being heard.
        let record = tokio::select! {
            () = stop.cancelled() => return Some("the dashboard ends".to_owned()),
            () = events.closed() => return None,
            () = &mut end => {
                return Some(format!("a live tail goes on for {}", bounds::time(life)));
            }
            _ = turns.tick() => {
                let event = match sieve.turn() {
                    Some(messages) => sse::event("left-out", &LeftOut { messages }),
                    None if sse::SILENCE_MAX <= said.elapsed() => sse::ALIVE,
                    None => continue,
                };
                // A page that takes nothing now is told in a later turn.
                match events.try_send(event) {
                    Ok(()) => said = Instant::now(),
                    Err(_) => sieve.untold(),
                }
                continue;
            }
            record = reader.next() => record,
        };
        match record {
            None => return Some("the topic can't be read any more".to_owned()),
            Some(Err(error)) => return Some(error.to_string()),
            Some(Ok(record)) if filter.takes(&record) && WEIGHT_MAX < forms::weight(&record) => {
                sieve.leave_out();
            }
            Some(Ok(record)) if filter.takes(&record) && sieve.shows() => {
                let event = sse::event("message", &forms::message(&record));
                match events.try_send(event) {
                    Ok(()) => said = Instant::now(),
                    Err(_) => sieve.leave_out(),
                }
            }
            Some(Ok(_)) => {}
        }
    }
}

/// Which messages are shown, and how many are not. *Pure.*
#[derive(Debug, Default)]
struct Sieve {
    /// In this turn.
    shown: u32,
    left_out: u64,
    /// Of those left out, how many were told.
    told: u64,
    told_before: u64,
}

impl Sieve {
    /// Whether the next message is shown.
    fn shows(&mut self) -> bool {
        let shows = self.shown < SHOWN_MAX;
        if shows {
            self.shown += 1;
        } else {
            self.leave_out();
        }
        shows
    }

    fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// A new turn begins. Says how many were left out so far, if that is new.
    fn turn(&mut self) -> Option<u64> {
        self.shown = 0;
        self.told_before = self.told;
        (self.told < self.left_out).then(|| {
            self.told = self.left_out;
            self.left_out
        })
    }

    /// What the last turn said could not be told.
    fn untold(&mut self) {
        self.told = self.told_before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_and_told_once() {
        let mut sieve = Sieve::default();
        let shown = |sieve: &mut Sieve, come: u32| (0..come).filter(|_| sieve.shows()).count();
        assert_eq!(shown(&mut sieve, 10), 10);
        assert_eq!(sieve.turn(), None);
        assert_eq!(shown(&mut sieve, SHOWN_MAX + 7), SHOWN_MAX as usize);
        assert_eq!(sieve.turn(), Some(7));
        assert_eq!(sieve.turn(), None, "nothing new");
        assert_eq!(shown(&mut sieve, SHOWN_MAX), SHOWN_MAX as usize);
        sieve.leave_out();
        assert_eq!(sieve.turn(), Some(8));
        sieve.untold();
        assert_eq!(sieve.turn(), Some(8), "told when it can be");
    }
}
