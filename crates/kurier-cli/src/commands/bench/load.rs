//! Messages ready to go, and the loop that sends them.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use kurier::{Acceptance, Headers, Message, MessageProducer, OutgoingRecord, SendError};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::figures::{Latencies, Spread};
use super::meter::Meter;
use super::payload::{Payloads, STAMP_BYTES, Stamp};
use crate::args::LoadArgs;
use crate::commands::pace::Pace;
use crate::exit::UsageError;

/// What is sent.
#[derive(Debug)]
pub(super) struct Load {
    payloads: Payloads,
    keys: Vec<Bytes>,
    typed: bool,
    /// The run's number, when each message is to say which one it is.
    stamp: Option<u32>,
}

/// Keys that are made ahead, at most.
const KEYS_MAX: u64 = 1_000_000;

/// When there is nothing more to send.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    Messages(u64),
    Time(Duration),
}

impl Until {
    /// As the arguments say.
    pub(super) fn of(args: &LoadArgs) -> Self {
        match (args.length, args.messages) {
            (Some(length), _) => Self::Time(length),
            (None, messages) => Self::Messages(messages.unwrap_or(100_000)),
        }
    }
}

impl Load {
    /// As the arguments say; with a run's number, each message is stamped.
    ///
    /// # Errors
    /// When the size leaves no room for what a message is to say.
    pub(super) fn new(args: &LoadArgs, stamp: Option<u32>) -> anyhow::Result<Self> {
        let around = if args.typed { around_content()? } else { 0 };
        let least = around + stamp.map_or(1, |_| STAMP_BYTES);
        if args.size < least {
            let what = if args.typed {
                "messages in JSON"
            } else {
                "messages that say when they were due"
            };
            return Err(UsageError(format!(
                "--size {}: {what} have at least {least} bytes",
                args.size
            ))
            .into());
        }
        let keys = args.keys.map_or(0, std::num::NonZeroU64::get);
        if KEYS_MAX < keys {
            return Err(UsageError(format!("--keys {keys}: at most {KEYS_MAX}")).into());
        }
        Ok(Self {
            payloads: Payloads::new(args.size - around, args.compressible, args.seed),
            keys: (1..=keys).map(|number| format!("key-{number}").into()).collect(),
            typed: args.typed,
            stamp,
        })
    }

    fn key(&self, number: u64) -> Option<Bytes> {
        let count = self.keys.len() as u64;
        let index = number.checked_rem(count)?;
        // Below the count, which is a usize.
        Some(self.keys[index as usize].clone())
    }

    /// Takes the place of message `number` in the producer.
    async fn queue(
        &self,
        producer: &MessageProducer,
        topic: &str,
        number: u64,
        due: Duration,
    ) -> anyhow::Result<Acceptance> {
        let stamp = self.stamp.map(|run| {
            let due = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
            Stamp { run, number, due }.text()
        });
        if self.typed {
            let text = self.payloads.text(number);
            let content = match stamp {
                Some(stamp) => stamp + &text[STAMP_BYTES..],
                None => text.to_owned(),
            };
            let mut message = Message::new(content)?;
            if let Some(key) = self.key(number) {
                message = message.with_key(key);
            }
            return Ok(producer.queue(topic, &message).await?);
        }
        let payload = self.payloads.get(number);
        let value = match stamp {
            Some(stamp) => [stamp.as_bytes(), &payload[STAMP_BYTES..]].concat().into(),
            None => payload,
        };
        let record = OutgoingRecord {
            key: self.key(number),
            value: Some(value),
            headers: Headers::new(),
            ..OutgoingRecord::default()
        };
        Ok(producer.queue_record(topic, &record).await?)
    }
}

/// Bytes of JSON around a message's content.
fn around_content() -> anyhow::Result<usize> {
    let empty = Message::new("x").and_then(|message| message.to_json());
    Ok(empty.context("a message of one letter")?.len() - 1)
}

/// Who sends what where, and how fast.
pub(super) struct Sender<'a> {
    pub(super) producer: &'a MessageProducer,
    pub(super) topic: &'a str,
    pub(super) load: &'a Load,
    pub(super) meter: &'a Meter,
    pub(super) rate: Option<u64>,
    /// Whether messages wait for a disk before they are accepted.
    pub(super) has_outbox: bool,
}

/// Messages between two looks at the signals.
const LOOK_EVERY: u64 = 64;
/// Messages that may wait for the disk: one fsync serves them all.
const WAITING_MAX: usize = 10_000;

impl Sender<'_> {
    /// Sends messages, from the meter's next place on, until there are enough or `stop`. Returns when all
    /// are accepted how much later than due they were given to the producer; acknowledgements go to the
    /// meter.
    ///
    /// # Errors
    /// When nothing more can be sent.
    pub(super) async fn send(
        &self,
        until: Until,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Spread>> {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        let sending = async move { self.queue_all(until, stop, waiting).await };
        let (sent, accepted) = tokio::join!(sending, self.accept_all(queue));
        accepted?;
        sent
    }

    async fn queue_all(
        &self,
        until: Until,
        stop: &CancellationToken,
        waiting: mpsc::Sender<Acceptance>,
    ) -> anyhow::Result<Option<Spread>> {
        let (begun, mut pace) = (Instant::now(), Pace::new(self.rate));
        let mut delays = Latencies::default();
        let first = self.meter.next_place();
        let mut sent = 0;
        loop {
            if u64::is_multiple_of(sent, LOOK_EVERY) && stop.is_cancelled() {
                break;
            }
            if matches!(until, Until::Messages(count) if count <= sent) {
                break;
            }
            let due = tokio::select! {
                biased;
                due = pace.next() => due,
                () = stop.cancelled() => break,
            };
            let since = due.saturating_duration_since(begun);
            if matches!(until, Until::Time(length) if length <= since) {
                break;
            }
            delays.record(due.elapsed());
            let due = self.meter.due(first + sent, due);
            let acceptance = self.load.queue(self.producer, self.topic, first + sent, due).await?;
            sent += 1;
            if !self.has_outbox {
                // It is accepted already; its outcome goes to the meter.
                drop(acceptance.await?);
            } else if waiting.send(acceptance).await.is_err() {
                // Why, is said where acceptances are awaited.
                break;
            }
        }
        self.meter.placed(first + sent);
        Ok(delays.spread())
    }

    async fn accept_all(&self, mut queue: mpsc::Receiver<Acceptance>) -> Result<(), SendError> {
        while let Some(acceptance) = queue.recv().await {
            // Its outcome goes to the meter.
            drop(acceptance.await?);
        }
        Ok(())
    }
}

/// The arguments, for `result.json`.
pub(super) fn described(args: &LoadArgs, rate: Option<u64>) -> Value {
    json!({
        "messages": args.messages, "for_seconds": args.length.map(|length| length.as_secs_f64()),
        "size": args.size, "rate": rate, "keys": args.keys, "typed": args.typed,
        "compressible_percent": args.compressible, "seed": args.seed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(size: usize, typed: bool) -> LoadArgs {
        LoadArgs {
            messages: None,
            length: None,
            size,
            keys: std::num::NonZeroU64::new(3),
            typed,
            compressible: 0,
            seed: 1,
        }
    }

    #[test]
    fn a_message_in_json_has_the_size_that_was_asked_for() {
        let load = Load::new(&args(200, true), None).expect("enough room");
        let message = Message::new(load.payloads.text(7)).expect("a message");
        assert_eq!(message.to_json().expect("JSON").len(), 200);
    }

    #[test]
    fn a_size_that_is_too_small_is_refused_with_the_least_one() {
        for (size, typed, stamp, least) in [
            (39, false, Some(1), "at least 40 bytes"),
            (100, true, None, "at least 111 bytes"),
            (140, true, Some(1), "at least 150 bytes"),
        ] {
            let error = Load::new(&args(size, typed), stamp).expect_err("too small");
            assert!(error.to_string().contains(least), "{error}");
        }
        assert!(Load::new(&args(1, false), None).is_ok());
    }

    #[test]
    fn keys_come_in_turn() {
        let load = Load::new(&args(200, false), None).expect("enough room");
        let keys: Vec<Bytes> = (2..5).filter_map(|number| load.key(number)).collect();
        assert_eq!(keys, ["key-3", "key-1", "key-2"]);
    }
}
