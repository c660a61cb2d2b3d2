//! The books of a run: kurier's ledger, fed from many tasks, and its verdict.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kurier::{Judgement, Ledger, Message, Outcome, Received};
use uuid::Uuid;

/// The name under which [`audit`](crate::audit) stands in the ledger beside the groups: what the topic
/// itself holds.
pub const LOG: &str = "the log";

/// A ledger and its clock.
#[derive(Debug)]
pub struct Books {
    ledger: Mutex<Ledger>,
    begun: Instant,
}

impl Books {
    /// Empty books for a run that these groups are to handle; the log is always judged too.
    pub fn new(groups: &[&str]) -> Self {
        let all = groups.iter().copied().chain([LOG]);
        Self { ledger: Mutex::new(Ledger::new(all)), begun: Instant::now() }
    }

    /// The producer accepted a message.
    pub fn accepted(&self, id: Uuid, key: &Bytes) {
        self.with(|ledger, at| ledger.accepted(id, key, at));
    }

    /// Its delivery ended.
    pub fn settled(&self, id: Uuid, outcome: &Outcome) {
        self.with(|ledger, at| match outcome {
            Ok(receipt) => {
                let place = receipt.offset.map(|offset| (receipt.partition, offset));
                ledger.delivered(id, place, at);
            }
            Err(_) => ledger.failed(id, at),
        });
    }

    /// A group handled it, or the log holds it.
    pub fn handled(&self, group: &str, id: Uuid) {
        self.with(|ledger, _| ledger.handled(group, id));
    }

    /// A group's handler was given it.
    pub fn received<T>(&self, group: &str, received: &Received<Message<T>>) {
        if let Some(message) = received.value() {
            self.handled(group, message.id());
        }
    }

    /// Accepted, delivered, under way.
    pub fn counts(&self) -> (u64, u64, u64) {
        self.with(|ledger, _| ledger.counts())
    }

    /// How many different messages the group handled.
    pub fn handled_by(&self, group: &str) -> u64 {
        let judgement = self.judge();
        judgement.groups.iter().find(|it| it.group == group).map_or(0, |it| it.handled)
    }

    /// The verdict.
    pub fn judge(&self) -> Judgement {
        self.with(|ledger, at| ledger.judge(at))
    }

    fn with<T>(&self, write: impl FnOnce(&mut Ledger, Duration) -> T) -> T {
        let at = self.begun.elapsed();
        write(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner), at)
    }
}
