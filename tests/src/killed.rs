//! `kurier produce --outbox`, killed again and again: what it has printed as accepted must be in Kafka
//! after the last start, in the order of each key.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a scenario stops at the first surprise"
)]

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kurier::OutboxStatus;
use serde_json::Value;
use uuid::Uuid;

use crate::audit::{self, Found};
use crate::binary::Kurier;
use crate::cluster::{self, Kind, NODES, TestCluster};
use crate::random::Random;
use crate::waits::{until, within};

/// What the cluster does while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Up,
    /// All nodes go, and come back before the next process starts.
    Down,
    /// All nodes go, and come back while the next process is at work.
    StaysDown,
    /// A node goes and comes, again and again.
    Flapping,
}

/// What has become of all messages.
#[derive(Debug)]
pub struct Toll {
    /// What was printed as accepted.
    accepted: HashSet<Uuid>,
    /// Messages that a next process had to send again or for the first time, over all kills.
    replayed: u64,
    log: Vec<Found>,
}

impl Toll {
    /// What was accepted and is not in the log.
    pub fn lost(&self) -> usize {
        let there: HashSet<Uuid> = self.log.iter().filter_map(Found::id).collect();
        self.accepted.difference(&there).count()
    }

    /// Records that stand in the log once more.
    fn repeated(&self) -> usize {
        let there: HashSet<Uuid> = self.log.iter().filter_map(Found::id).collect();
        self.log.len() - there.len()
    }

    /// The first of each message of a key must stand in the order in which they were sent.
    fn assert_order(&self) {
        let mut last: HashMap<&[u8], u64> = HashMap::new();
        let mut seen = HashSet::new();
        for record in &self.log {
            if !seen.insert(record.id().unwrap()) {
                continue;
            }
            let value: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
            let number: u64 = value["content"].as_str().unwrap().parse().unwrap();
            let last = last.entry(record.key.as_deref().unwrap()).or_default();
            assert!(*last < number, "{number} stands behind {last}, at {record:?}");
            *last = number;
        }
    }
}

/// Kills one process for each seed, all with one outbox, lets a last one send what is left, and looks at
/// the log.
pub async fn producers_are_killed(topic: &str, seeds: Range<u64>) {
    let toll = kill(topic, seeds.clone(), |_| {}).await;
    let (accepted, lost, repeated) = (toll.accepted.len(), toll.lost(), toll.repeated());
    eprintln!(
        "{topic}: seeds {seeds:?}: {accepted} accepted, {lost} lost, {} in the log, {repeated} of them again, {} were undelivered at the kills",
        toll.log.len(),
        toll.replayed,
    );
    assert!(0 < accepted, "nothing was accepted");
    assert_eq!(lost, 0, "0 lost");
    toll.assert_order();
    assert!(repeated as u64 <= toll.replayed, "only what was not known to be delivered repeats");
}

/// As [`producers_are_killed`]; `between` may do something to the outbox of a process that is dead.
pub async fn kill(topic: &str, seeds: Range<u64>, between: impl Fn(&Path)) -> Toll {
    let cluster = cluster::cluster().await.unwrap();
    cluster::create_topic(&*cluster, topic, 3).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (numbers, accepted) = (Arc::new(AtomicU64::new(1)), Arc::default());
    let mut replayed = 0;
    let mut down = false;
    for seed in seeds {
        let mut random = Random::new(seed);
        let weather = match random.below(4) {
            0 => Weather::Up,
            1 => Weather::Down,
            2 => Weather::StaysDown,
            _ => Weather::Flapping,
        };
        let life = Life { cluster: &*cluster, topic, dir: dir.path(), random, weather, down };
        let still_down = life.live(&numbers, &accepted).await;
        replayed += OutboxStatus::read(dir.path()).unwrap().undelivered;
        between(dir.path());
        down = weather == Weather::StaysDown || still_down;
        if !down {
            come_back(&*cluster).await;
        }
    }
    come_back(&*cluster).await;
    let args = ["outbox", "drain", dir.path().to_str().unwrap()];
    let drain = Kurier::start(cluster.bootstrap(), &args).unwrap();
    let ended = within("the drain", drain.wait()).await.unwrap();
    assert!(ended.status.success(), "{}", ended.talk);
    assert_eq!(OutboxStatus::read(dir.path()).unwrap().undelivered, 0);
    cluster::wait_until_in_sync(&*cluster).await.unwrap();
    let (bootstrap, topic) = (cluster.bootstrap().to_owned(), topic.to_owned());
    let log = tokio::task::spawn_blocking(move || audit::read(&bootstrap, &topic)).await;
    let accepted = std::mem::take(&mut *accepted.lock().unwrap());
    Toll { accepted, replayed, log: log.unwrap().unwrap() }
}

type Accepted = Arc<Mutex<HashSet<Uuid>>>;

/// The life of one process.
struct Life<'a> {
    cluster: &'a dyn TestCluster,
    topic: &'a str,
    dir: &'a Path,
    random: Random,
    weather: Weather,
    /// The cluster is down when it begins.
    down: bool,
}

impl Life<'_> {
    /// Whether the cluster is down since before it began.
    async fn live(mut self, numbers: &Arc<AtomicU64>, accepted: &Accepted) -> bool {
        let dir = self.dir.to_str().unwrap();
        let args = [
            "produce",
            self.topic,
            "--outbox",
            dir,
            "--report",
            "each",
            "--key-delimiter",
            ":",
            "--rate",
            "4000",
        ];
        let (entered, here) = (Arc::clone(accepted), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&here);
        let mut process = Kurier::telling(self.cluster.bootstrap(), &args, move |line| {
            if line["event"] == "accepted" {
                entered.lock().unwrap().insert(line["id"].as_str().unwrap().parse().unwrap());
                counted.fetch_add(1, Ordering::Relaxed);
            }
        })
        .unwrap();
        let (mut input, numbers) = (process.input().unwrap(), Arc::clone(numbers));
        let feeds = std::thread::spawn(move || {
            loop {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                // Ends with the process.
                if writeln!(input, "key-{}:{number}", number % 7).is_err() {
                    return;
                }
            }
        });
        // One in four is killed at any moment of its start, and the others at work.
        let early = self.random.below(4) == 0;
        if !early {
            if self.down {
                come_back(self.cluster).await;
                self.down = false;
            }
            until("something is accepted", || 0 < here.load(Ordering::Relaxed)).await;
        }
        let until_death = Duration::from_millis(self.random.below(400));
        self.rages(until_death).await;
        process.kill().unwrap();
        feeds.join().unwrap();
        self.down
    }

    /// The weather of the rest of its life.
    async fn rages(&mut self, until_death: Duration) {
        let before = Duration::from_millis(self.random.below(200)).min(until_death);
        tokio::time::sleep(before).await;
        match self.weather {
            _ if self.down => {}
            Weather::Up => {}
            Weather::Down | Weather::StaysDown => {
                for node in NODES {
                    go(self.cluster, node).await;
                }
            }
            Weather::Flapping => {
                let node = NODES[self.random.below(3) as usize];
                for _ in 0..3 {
                    go(self.cluster, node).await;
                    tokio::time::sleep(Duration::from_millis(self.random.below(60))).await;
                    back(self.cluster, node).await;
                }
            }
        }
        tokio::time::sleep(until_death - before).await;
    }
}

/// On real nodes frozen, as a start takes ten seconds.
async fn go(cluster: &dyn TestCluster, node: kurier::NodeId) {
    match cluster.kind() {
        Kind::Embedded => cluster.kill(node).await.unwrap(),
        Kind::ApacheKafka => cluster.pause(node).await.unwrap(),
    }
}

async fn back(cluster: &dyn TestCluster, node: kurier::NodeId) {
    match cluster.kind() {
        Kind::Embedded => cluster.start(node).await.unwrap(),
        Kind::ApacheKafka => cluster.resume(node).await.unwrap(),
    }
}

async fn come_back(cluster: &dyn TestCluster) {
    match cluster.kind() {
        Kind::Embedded => cluster.start_all().await.unwrap(),
        Kind::ApacheKafka => {
            for node in NODES {
                cluster.resume(node).await.unwrap();
            }
        }
    }
}
