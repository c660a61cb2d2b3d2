//! Writes down what becomes of each message: the ledger, fed from many threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kurier::{ConsumerEvent, Judgement, Ledger, Offset, PartitionId, TopicPartition};
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
    story: Arc<Story>,
}

impl Witness {
    /// An empty ledger; its clock starts now.
    pub fn new(story: Arc<Story>) -> Self {
        Self {
            ledger: Mutex::new(Ledger::new([SINGLE, BATCH])),
            begun: Instant::now(),
            handled: AtomicU64::new(0),
            rebalances: AtomicU64::new(0),
            story,
        }
    }

    /// Just before a message is sent: its delivery may be reported before `send` returns.
    pub fn accepted(&self, id: Uuid, key: &Bytes) {
        self.with(|ledger, at| ledger.accepted(id, key, at));
    }

    /// The cluster acknowledged it.
    pub fn delivered(&self, id: Uuid, place: Option<(PartitionId, Offset)>) {
        self.with(|ledger, at| ledger.delivered(id, place, at));
    }

    /// Its sender was told that it failed.
    pub fn failed(&self, id: Uuid) {
        self.with(|ledger, at| ledger.failed(id, at));
    }

    /// A handler of the group is done with it.
    pub fn handled(&self, group: &str, id: Uuid) {
        self.with(|ledger, _| ledger.handled(group, id));
        self.handled.fetch_add(1, Ordering::Relaxed);
    }

    /// Something happened to a consumer: told when it is of interest.
    pub fn saw(&self, instance: &str, event: &ConsumerEvent) {
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
            ConsumerEvent::PartitionStopped(stopped) => {
                format!("{instance} had to stop a partition: {stopped:?}")
            }
            _ => return,
        };
        self.story.tell(&line);
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

    /// How often a rebalance took partitions from an instance.
    pub fn rebalances(&self) -> u64 {
        self.rebalances.load(Ordering::Relaxed)
    }

    fn with<T>(&self, write: impl FnOnce(&mut Ledger, Duration) -> T) -> T {
        let at = self.begun.elapsed();
        write(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner), at)
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
