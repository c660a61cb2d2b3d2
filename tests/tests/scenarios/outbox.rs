//! Processes with an outbox that die: what was accepted is in Kafka after the next start. And what an
//! outbox says of itself while the cluster is away.

use std::path::Path;
use std::time::{Duration, Instant};

use kurier::{METRICS, Message, MessageProducer, Monitor};
use kurier_tests::cluster::{NODES, cluster, create_topic, wait_until_in_sync};
use kurier_tests::killed::{kill, producers_are_killed};

use crate::{until, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_had_accepted_is_in_the_log_after_the_next_start() {
    producers_are_killed("outbox-killed", 0..20).await;
}

/// The same with the disk forgotten between two processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_what_is_on_disk_the_same_kills_lose() {
    let toll = kill("outbox-forgotten", 0..20, |dir| {
        for file in std::fs::read_dir(dir).unwrap() {
            let file = file.unwrap();
            if file.file_name() != "lock" {
                std::fs::remove_file(file.path()).unwrap();
            }
        }
    })
    .await;
    eprintln!("{} lost", toll.lost());
    assert!(0 < toll.lost());
}

const TOPIC: &str = "outbox-depth";
const AWAY: u32 = 40;

/// A producer with an outbox, and what it says.
struct Told {
    producer: MessageProducer,
    monitor: Monitor,
}

impl Told {
    async fn open(bootstrap: &str, dir: &Path) -> Self {
        let monitor = Monitor::default();
        let builder = MessageProducer::builder(bootstrap).outbox(dir).monitor(&monitor);
        Self { producer: builder.build().await.unwrap(), monitor }
    }

    async fn send(&self, count: u32) {
        for number in 0..count {
            let message = Message::new(format!("message {number}")).unwrap();
            drop(self.producer.send(TOPIC, &message).await.unwrap());
        }
    }

    /// A figure that one producer has.
    fn figure(&self, name: &str) -> f64 {
        let (page, series) = (self.monitor.metrics(), format!("{name}{{"));
        let line = page.lines().find(|line| line.starts_with(&series));
        let line = line.unwrap_or_else(|| panic!("no {name} in\n{page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    fn depth(&self) -> f64 {
        self.figure("kurier_outbox_undelivered_records")
    }

    /// That the age is the one of the first message that waits, sent after `before` and stored by `stored`.
    fn ages_since(&self, before: Instant, stored: Instant) {
        let least = stored.elapsed().as_secs_f64();
        let age = self.figure("kurier_outbox_oldest_age_seconds");
        let most = before.elapsed().as_secs_f64();
        // The clock of messages counts milliseconds, and marks may be a step apart.
        assert!(least - 0.002 <= age && age <= most + 0.102, "{least} <= {age} <= {most}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outbox_tells_how_much_waits_and_for_how_long_and_is_empty_again_after_an_outage() {
    let (cluster, dir) = (cluster().await.unwrap(), tempfile::tempdir().unwrap());
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let first = Told::open(cluster.bootstrap(), dir.path()).await;
    first.send(5).await;
    until("the first are delivered", || first.depth() == 0.0).await;
    assert_eq!(first.figure("kurier_outbox_oldest_age_seconds"), 0.0);
    let shown = METRICS.iter().filter(|spec| spec.name.starts_with("kurier_outbox_"));
    let page = first.monitor.metrics();
    assert!(shown.clone().all(|spec| page.contains(spec.name)) && 0 < shown.count(), "{page}");
    let (bytes, limit) = (first.figure("kurier_outbox_size_bytes"), 2_f64.powi(30));
    assert_eq!(first.figure("kurier_outbox_limit_bytes"), limit);

    for node in NODES {
        cluster.kill(node).await.unwrap();
    }
    let before = Instant::now();
    first.send(1).await;
    let stored = Instant::now();
    first.send(AWAY - 1).await;
    assert_eq!(first.depth(), f64::from(AWAY));
    assert!(bytes < first.figure("kurier_outbox_size_bytes"));
    first.ages_since(before, stored);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    first.ages_since(before, stored);
    let report = first.producer.close(Duration::ZERO).await;
    assert_eq!(report.kept, u64::from(AWAY));

    let second = Told::open(cluster.bootstrap(), dir.path()).await;
    assert_eq!(second.depth(), f64::from(AWAY), "what the first has left");
    second.ages_since(before, stored);
    cluster.start_all().await.unwrap();
    within("in sync", wait_until_in_sync(&*cluster)).await.unwrap();
    until("all is delivered", || second.depth() == 0.0).await;
    assert_eq!(second.figure("kurier_outbox_oldest_age_seconds"), 0.0);
    assert_eq!(second.figure("kurier_outbox_put_aside_records"), 0.0);
    assert_eq!(second.producer.close(Duration::from_secs(30)).await.kept, 0);
}
