//! A process whose handlers do not keep up takes in what it announced, and no more.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kurier_tests::cluster::{Kind, cluster, create_topic};
use kurier_tests::process;
use kurier_tests::scene::TOPIC;
use kurier_tests::waits::{until, within};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

const PARTITIONS: usize = 200;
const MIB: usize = 1 << 20;
const MESSAGE_BYTES: usize = 8 << 10;
/// In each partition: 1 MiB.
const EACH: usize = 128;
/// What the process is told to keep to, and what one fetch may add in each partition.
const MEMORY_BYTES: usize = 4 * MIB;
const LANE_BYTES: usize = 64 << 10;
const FETCH_BYTES: usize = 64 << 10;
/// What is announced to share `MEMORY_BYTES`; more partitions exceed it in proportion.
const SHARERS: usize = 16;
/// Code, stacks, librdkafka's own buffers: an idle process has a third of it.
const PROCESS_BYTES: usize = 64 * MIB;

fn announced() -> usize {
    PARTITIONS * (MEMORY_BYTES / SHARERS + LANE_BYTES + FETCH_BYTES) + PROCESS_BYTES
}

/// A consumer in a process of its own; killed when dropped.
struct Reader {
    child: Child,
    begun: Arc<AtomicUsize>,
}

impl Reader {
    fn start(bootstrap: &str, memory: usize, more: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stuck-reader"));
        command.args([bootstrap, TOPIC, &memory.to_string(), &LANE_BYTES.to_string()]).args(more);
        command.stdout(Stdio::piped());
        let mut child = process::spawn(command).unwrap();
        let begun = Arc::<AtomicUsize>::default();
        let (count, lines) = (Arc::clone(&begun), child.stdout.take().unwrap());
        // Ends with the pipe, which ends with the process.
        std::thread::spawn(move || {
            for _ in BufReader::new(lines).lines().map_while(Result::ok) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { child, begun }
    }

    /// The most that it ever had in memory: `VmHWM` of proc(5).
    fn peak(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Waits until it has begun every partition and takes in no more.
    async fn until_full(&self) -> usize {
        let all = || self.begun.load(Ordering::Relaxed) == PARTITIONS;
        until("every partition is begun", all).await;
        within("its fill", async {
            let (mut peak, mut since) = (self.peak(), Instant::now());
            while since.elapsed() < Duration::from_secs(3) {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let now = self.peak();
                if peak < now {
                    (peak, since) = (now, Instant::now());
                }
            }
            peak
        })
        .await
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Harmless when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fill(bootstrap: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        // Batches that fit into one fetch: a larger one is fetched whole, whatever the bound.
        .set("batch.num.messages", "7")
        .set("linger.ms", "5")
        .create()
        .unwrap();
    let value = "x".repeat(MESSAGE_BYTES);
    for _ in 0..EACH {
        for partition in 0..i32::try_from(PARTITIONS).unwrap() {
            let mut record = BaseRecord::<(), str>::to(TOPIC).partition(partition).payload(&value);
            while let Err((_, back)) = producer.send(record) {
                producer.poll(Duration::from_millis(10));
                record = back;
            }
        }
    }
    producer.flush(Duration::from_secs(120)).unwrap();
}

/// Two hundred partitions of which more is there than may be taken in, and a process that may take in all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_partitions_that_wait_stay_within_the_announced_bound() {
    let cluster = cluster().await.unwrap();
    if cluster.kind() == Kind::ApacheKafka {
        return crate::not_run("the memory of a consumer is the same on any cluster");
    }
    create_topic(&*cluster, TOPIC, u32::try_from(PARTITIONS).unwrap()).await.unwrap();
    let bootstrap = cluster.bootstrap().to_owned();

    within("filling", tokio::task::spawn_blocking(move || fill(&bootstrap))).await.unwrap();

    // One message of a partition at a time; by key, of which each message here has none, so that the order is that of
    // the partition and each has one at work.
    let mut peaks = Vec::new();
    for more in [vec![], vec![PARTITIONS.to_string()]] {
        let bounded = Reader::start(cluster.bootstrap(), MEMORY_BYTES, &more);
        peaks.push(bounded.until_full().await);
    }
    // The control: nothing but the bound keeps it from taking in everything.
    let unbounded = Reader::start(cluster.bootstrap(), 1 << 30, &[]);
    until("the control takes in more", || announced() < unbounded.peak()).await;
    let (there, bound) = (PARTITIONS * EACH * MESSAGE_BYTES / MIB, announced() / MIB);
    let peaks: Vec<usize> = peaks.into_iter().map(|peak| peak / MIB).collect();
    eprintln!("{PARTITIONS} partitions, {there} MiB, bound {bound} MiB: peaks {peaks:?} MiB");
    assert!(peaks.iter().all(|peak| *peak <= bound), "{peaks:?} MiB");
}
