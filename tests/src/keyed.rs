//! A consumer that handles many keys at once, killed again and again: what lies before its position must
//! have been handled, and a next life begins exactly there.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a scenario stops at the first surprise"
)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::cluster::{self, TestCluster, admin};
use crate::random::Random;
use crate::waits::{until, within};
use crate::{audit, process};

const PARTITIONS: i32 = 3;
const KEYS: u64 = 1000;
const CALLS: &str = "64";
/// Messages that are there more for each life.
const EACH: u64 = 1200;

/// Whether the reader keeps the promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// kurier's.
    Kurier,
    /// The control: it commits past the highest offset that is handled.
    CommitsTheHighest,
}

/// What came of all lives.
#[derive(Debug, Default)]
pub struct Toll {
    /// Records of the log.
    pub there: usize,
    /// Of those, never handled.
    pub lost: usize,
    /// Handled once more in a later life.
    pub again: usize,
    /// Handled again though the group's position was past it.
    pub below_the_position: usize,
    /// First handled after a later one of its key.
    pub out_of_order: usize,
    /// Handled before an earlier one of its partition: that many times keys ran past each other.
    pub overtaken: usize,
}

/// A place of the log.
type Place = (i32, i64);

/// Kills the reader once for each seed, at a moment that follows from it; the last life reads to the end.
pub async fn readers_are_killed(
    exe: &Path,
    topic: &str,
    reader: Reader,
    seeds: Range<u64>,
) -> Toll {
    let cluster = cluster::cluster().await.unwrap();
    cluster::create_topic(&*cluster, topic, PARTITIONS.unsigned_abs()).await.unwrap();
    let lives = Lives { cluster: &*cluster, exe, topic, reader };
    let mut handled: Vec<Place> = Vec::new();
    let mut toll = Toll::default();
    let mut position: BTreeMap<i32, i64> = BTreeMap::new();
    for seed in seeds.clone() {
        fill(cluster.bootstrap(), topic, seed);
        let mut random = Random::new(seed);
        let life = lives.begin(seed);
        // One in eight is killed at any moment of its start, and the others at work.
        if random.below(8) != 0 {
            until("something is handled", || !life.handled().is_empty()).await;
        }
        tokio::time::sleep(Duration::from_millis(random.below(300))).await;
        let printed = life.kill();
        let below = |place: &&Place| position.get(&place.0).is_some_and(|next| place.1 < *next);
        toll.below_the_position += printed.iter().filter(below).count();
        handled.extend(printed);
        position = lives.position().await;
    }
    let mut last = lives.begin(seeds.end);
    match reader {
        Reader::Kurier => until("the end of the topic", || last.has_ended()).await,
        Reader::CommitsTheHighest => {
            let end = lives.ends().await;
            within("the end of the topic", async {
                while lives.position().await != end {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
            .await;
        }
    }
    handled.extend(last.kill());
    assert_eq!(lives.position().await, lives.ends().await, "nothing is left");
    judge(&*cluster, topic, &handled, &mut toll).await;
    toll
}

async fn judge(cluster: &dyn TestCluster, topic: &str, handled: &[Place], toll: &mut Toll) {
    let (bootstrap, name) = (cluster.bootstrap().to_owned(), topic.to_owned());
    let log = tokio::task::spawn_blocking(move || audit::read(&bootstrap, &name)).await;
    let log: HashMap<Place, Option<Vec<u8>>> =
        log.unwrap().unwrap().into_iter().map(|it| ((it.partition, it.offset), it.key)).collect();
    let mut seen = HashSet::new();
    let mut of_key: HashMap<(i32, &Option<Vec<u8>>), i64> = HashMap::new();
    let mut of_partition: HashMap<i32, i64> = HashMap::new();
    for place in handled {
        if !seen.insert(*place) {
            toll.again += 1;
            continue;
        }
        let last = of_key.entry((place.0, &log[place])).or_insert(-1);
        toll.out_of_order += usize::from(place.1 < *last);
        *last = place.1.max(*last);
        let last = of_partition.entry(place.0).or_insert(-1);
        toll.overtaken += usize::from(place.1 < *last);
        *last = place.1.max(*last);
    }
    toll.there = log.len();
    toll.lost = log.keys().filter(|place| !seen.contains(place)).count();
}

/// More messages, each of a random one of so many keys; one in fifty has none.
fn fill(bootstrap: &str, topic: &str, seed: u64) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let mut random = Random::new(seed.wrapping_add(1) << 32);
    for number in 0..EACH {
        let key = random.below(KEYS);
        let name = format!("key {key}");
        // Of the partition that all of a key are in, as of a partitioner.
        let partition = i32::try_from(key).unwrap() % PARTITIONS;
        let value = number.to_string();
        let mut record = BaseRecord::to(topic).partition(partition).payload(&value);
        if random.below(50) != 0 {
            record = record.key(&name);
        }
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

struct Lives<'a> {
    cluster: &'a dyn TestCluster,
    exe: &'a Path,
    topic: &'a str,
    reader: Reader,
}

impl Lives<'_> {
    fn begin(&self, seed: u64) -> Life {
        let mut command = Command::new(self.exe);
        let seed = seed.to_string();
        command.args([self.cluster.bootstrap(), self.topic, self.topic, CALLS, &seed]);
        if self.reader == Reader::CommitsTheHighest {
            command.arg("careless");
        }
        command.stdout(Stdio::piped());
        let mut child = process::spawn(command).unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let handled = Arc::<Mutex<Vec<Place>>>::default();
        let noted = Arc::clone(&handled);
        let reading = std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // A killed process may leave half a line; it is as if it had not come to print it.
                let place = line.split_once(' ').and_then(|(partition, offset)| {
                    Some((partition.parse().ok()?, offset.parse().ok()?))
                });
                noted.lock().unwrap().extend(place);
            }
        });
        Life { child, handled, reading: Some(reading) }
    }

    /// What the group has committed.
    async fn position(&self) -> BTreeMap<i32, i64> {
        let admin = admin(self.cluster.bootstrap()).unwrap();
        let offsets = within("offsets", admin.group_offsets(self.topic)).await.unwrap();
        admin.close().await;
        offsets.into_iter().map(|(at, offset)| (at.partition.0, offset.0)).collect()
    }

    async fn ends(&self) -> BTreeMap<i32, i64> {
        let admin = admin(self.cluster.bootstrap()).unwrap();
        let ends = within("ends", admin.watermarks(self.topic)).await.unwrap();
        admin.close().await;
        ends.into_iter().map(|(partition, found)| (partition.0, found.end.0)).collect()
    }
}

/// One process; killed when dropped.
struct Life {
    child: Child,
    handled: Arc<Mutex<Vec<Place>>>,
    reading: Option<JoinHandle<()>>,
}

impl Life {
    fn handled(&self) -> Vec<Place> {
        self.handled.lock().unwrap().clone()
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// SIGKILL; everything that it had printed by then.
    fn kill(mut self) -> Vec<Place> {
        self.end();
        self.handled()
    }

    fn end(&mut self) {
        // Harmless when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reading) = self.reading.take() {
            let _ = reading.join();
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}
