//! Writes down what becomes of each message: the ledger, fed from many threads.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kurier::{
    ConsumerEvent, FailedDelivery, Fingerprint, Instance, Judgement, Ledger, Message, Position,
    Received, Seen, TopicPartition,
};
use serde_json::Value;
use uuid::Uuid;

use super::story::Story;

/// The names under which the two groups stand in the ledger and the report.
pub const SINGLE: &str = "single";
/// See [`SINGLE`].
pub const BATCH: &str = "batch";

/// The ledger of a run.
#[derive(Debug)]
pub struct Witness {
    ledger: Mutex<Ledger>,
    begun: Instant,
    handled: AtomicU64,
    rebalances: AtomicU64,
    letters: Mutex<Letters>,
    story: Arc<Story>,
}

/// Dead letters: what consumers said, and what is there.
#[derive(Debug, Default)]
struct Letters {
    /// By group and place of the original.
    told: BTreeSet<(String, Position)>,
    /// `None` before anyone has looked.
    found: Option<BTreeSet<(String, Position)>>,
}

impl Witness {
    /// An empty ledger; its clock starts now.
    pub fn new(story: Arc<Story>) -> Self {
        Self {
            ledger: Mutex::new(Ledger::new([SINGLE, BATCH])),
            begun: Instant::now(),
            handled: AtomicU64::new(0),
            rebalances: AtomicU64::new(0),
            letters: Mutex::default(),
            story,
        }
    }

    /// Just before a message is sent: its delivery may be reported before `send` returns.
    ///
    /// # Errors
    /// When it has no JSON.
    pub fn intended(&self, message: &Message<Value>) -> anyhow::Result<()> {
        let (key, json) = (message.key(), message.to_json()?);
        let content = Fingerprint::of(key.map(|key| &key[..]), Some(json.as_bytes()));
        let key = key.cloned().unwrap_or_default();
        self.with(|ledger, at| ledger.intended(message.id(), &key, Some(content), at));
        Ok(())
    }

    /// The producer has taken it.
    pub fn accepted(&self, id: Uuid) {
        self.with(|ledger, at| ledger.accepted(id, at));
    }

    /// The producer has not taken it.
    pub fn refused(&self, id: Uuid) {
        self.with(|ledger, at| ledger.refused(id, at));
    }

    /// The cluster acknowledged it.
    pub fn delivered(&self, id: Uuid, place: Option<&Position>) {
        self.with(|ledger, at| ledger.delivered(id, place, at));
    }

    /// Its sender was told that it failed.
    pub fn failed(&self, id: Uuid, how: FailedDelivery) {
        self.with(|ledger, at| ledger.failed(id, how, at));
    }

    /// A handler was given it. That it was handled is among the consumer's events.
    pub fn given(&self, received: &Received<Message<Value>>) {
        let seen = Seen::record(received.record(), received.value().map(Message::id));
        self.with(|ledger, _| ledger.given(&seen));
    }

    /// Something happened to a consumer: noted, and told when it is of interest.
    pub fn saw(&self, group: &str, instance: &str, event: &ConsumerEvent) {
        self.with(|ledger, at| ledger.saw(Instance::inside(group, instance), event, at));
        if let ConsumerEvent::Handled { .. } = event {
            self.handled.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let count = |partitions: &[TopicPartition]| {
            if !partitions.is_empty() {
                self.rebalances.fetch_add(1, Ordering::Relaxed);
            }
        };
        let line = match event {
            ConsumerEvent::Assigned { partitions, owned } if !partitions.is_empty() => {
                format!("{instance} gets {}, has {}", names(partitions), names(owned))
            }
            ConsumerEvent::Revoked { partitions, owned } if !partitions.is_empty() => {
                count(partitions);
                format!("{instance} gives {}, keeps {}", names(partitions), names(owned))
            }
            ConsumerEvent::Lost { partitions, .. } if !partitions.is_empty() => {
                count(partitions);
                format!("{instance} was taken for dead and lost {}", names(partitions))
            }
            ConsumerEvent::WaitingForCluster { .. } => format!("{instance} waits for the cluster"),
            ConsumerEvent::ClusterBack => format!("{instance} is connected again"),
            ConsumerEvent::DeadLettered { partition, offset, reason, receipt, .. } => {
                let place = Position::new(partition.clone(), *offset);
                let line =
                    format!("{instance} gives up {place} ({reason}): copied to {}", receipt.topic);
                self.letters().told.insert((group.to_owned(), place));
                line
            }
            ConsumerEvent::DeadLetterWaiting { topic, reason, .. } => {
                format!("{instance} waits for {topic}: {reason}")
            }
            ConsumerEvent::PartitionStopped(stopped) => {
                format!("{instance} had to stop a partition: {stopped:?}")
            }
            _ => return,
        };
        self.story.tell(&line);
    }

    /// What the topic holds in the end: from now on that decides what is lost.
    pub fn audited(&self, topic: &str, found: Vec<Seen>) {
        self.with(|ledger, at| ledger.audited(topic, found, at));
    }

    /// What the dead-letter topic holds in the end, by group and place of the original.
    pub fn letters_found(&self, found: BTreeSet<(String, Position)>) {
        self.letters().found = Some(found);
    }

    /// How many messages of a group are dead letters, by what is there, else by what was said.
    pub fn dead_lettered(&self, group: &str) -> u64 {
        let letters = self.letters();
        let all = letters.found.as_ref().unwrap_or(&letters.told);
        all.iter().filter(|(of, _)| of == group).count() as u64
    }

    /// How many are said to be dead letters, and are not there.
    pub fn letters_missing(&self) -> u64 {
        let letters = self.letters();
        let missing = |found: &BTreeSet<_>| letters.told.difference(found).count() as u64;
        letters.found.as_ref().map_or(0, missing)
    }

    /// Accepted, delivered and under way, and how often handlers were done, for the line of counters.
    pub fn progress(&self) -> ((u64, u64, u64), u64) {
        let counts = self.with(|ledger, _| ledger.counts());
        (counts, self.handled.load(Ordering::Relaxed))
    }

    /// Whether every message has its outcome and every delivered one was handled by both groups.
    pub fn is_complete(&self) -> bool {
        self.with(|ledger, _| ledger.is_complete())
    }

    /// The verdict, for now.
    pub fn judge(&self) -> Judgement {
        self.with(|ledger, at| ledger.judge(at))
    }

    /// The offenders of a judgement with what happened around them.
    pub fn account(&self, judgement: &Judgement) -> String {
        self.with(|ledger, _| ledger.account(judgement))
    }

    /// Writes every event, the judgement and the account into `folder`.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn keep(&self, judgement: &Judgement, folder: &Path) -> std::io::Result<()> {
        self.with(|ledger, _| ledger.keep(judgement, folder))
    }

    /// How often a rebalance took partitions from an instance.
    pub fn rebalances(&self) -> u64 {
        self.rebalances.load(Ordering::Relaxed)
    }

    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, write: impl FnOnce(&mut Ledger, Duration) -> T) -> T {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that times go the way events go.
        write(&mut ledger, self.begun.elapsed())
    }
}

fn names(partitions: &[TopicPartition]) -> String {
    if partitions.is_empty() {
        return "none".to_owned();
    }
    let numbers: Vec<String> = partitions.iter().map(|it| it.partition.to_string()).collect();
    let word = if numbers.len() == 1 { "partition" } else { "partitions" };
    format!("{word} {}", numbers.join(", "))
}
