//! The dashboard of a large cluster, as the process that it is: what it tells, how soon, and how much memory
//! it takes. By itself, so that nothing else is measured.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::print_stderr, reason = "a test talks to the person who runs it")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kurier::{Admin, ClientConfig, Offset, PartitionId, TopicPartition};
use kurier_broker::EmbeddedCluster;
use kurier_tests::answer::{Answer, get};
use kurier_tests::binary::Kurier;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const TOPICS: usize = 2000;
const PARTITIONS: i32 = 3;
const GROUPS: usize = 500;
/// Within which every answer comes.
const SOON: Duration = Duration::from_secs(1);
/// Within which a dead broker is shown.
const SHOWN: Duration = Duration::from_secs(15);
const MEMORY_MAX: usize = 200_000_000;
/// Of a dashboard that looks at messages as often as it may at once.
const LOOKS_MEMORY_MAX: usize = 240_000_000;
/// Answers of each path; the median counts, since other programs run on the machine too.
const ROUNDS: usize = 5;

/// What a page asks for, and what Prometheus does.
const PATHS: [&str; 13] = [
    "/",
    "/readyz",
    "/metrics",
    "/api/v1/overview",
    "/api/v1/brokers",
    "/api/v1/topics",
    "/api/v1/topics?per_page=200&sort=-rate&page=10",
    "/api/v1/topics/topic-1999",
    "/api/v1/groups?per_page=200&sort=-lag",
    "/api/v1/groups/group-499",
    "/api/v1/clients",
    "/api/v1/dead-letters",
    "/api/v1/events",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_topics_and_five_hundred_groups_are_told_soon_and_in_little_memory() {
    let cluster = (0..TOPICS).fold(EmbeddedCluster::builder(), |cluster, number| {
        cluster.topic(format!("topic-{number:04}"), PARTITIONS)
    });
    let cluster = cluster.start().await.unwrap();
    commit(&cluster).await;
    let dashboard = Dashboard::start(&cluster).await;
    dashboard.until("all is told", Duration::from_secs(60), told_all).await;
    let named = |letter, count, digits| -> BTreeSet<String> {
        (0..count).map(|number| format!("{letter}-{number:0digits$}")).collect()
    };
    assert_eq!(dashboard.names("topics").await, named("topic", TOPICS, 4));
    assert_eq!(dashboard.names("groups").await, named("group", GROUPS, 3));
    dashboard.answers_soon().await;

    cluster.kill(3).await.unwrap();
    let is_dead = |overview: &Value| overview["cluster"]["data"]["brokers_up"] == 2;
    let (shown, slow) = dashboard.until("the dead broker is shown", SHOWN, is_dead).await;
    assert!(slow < SOON, "one of ten answers took {slow:?} while a broker died");
    let brokers = dashboard.get("/api/v1/brokers").await.json();
    let row = brokers["data"].as_array().unwrap().iter().find(|row| row["id"] == 3).unwrap();
    assert_eq!(row["up"], false, "{row}");
    dashboard.answers_soon().await;
    let overview = dashboard.get("/api/v1/overview").await.json();
    assert_eq!(overview["cluster"]["data"]["topics"], TOPICS);
    assert_eq!(overview["lag"]["data"]["groups"], GROUPS);
    let peak = dashboard.kurier.resident_bytes_peak().unwrap();
    eprintln!("a dead broker was shown after {shown:?}; {} MB at most", peak / 1_000_000);
    assert!(peak < MEMORY_MAX, "{} MB were held", peak / 1_000_000);
}

/// As many looks as may be at once, at topics that cost most: many partitions, and messages that are large, or
/// so small that each takes more memory than it has bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looks_at_wide_topics_take_little_memory() {
    let cluster = EmbeddedCluster::builder().topic("large", 100).topic("small", 100);
    let cluster = cluster.start().await.unwrap();
    write(&cluster, "large", 1500, 50_000).await;
    write(&cluster, "small", 500_000, 1).await;
    for (topic, query) in [
        ("large", "limit=500"),
        ("large", "value=none"),
        ("small", "limit=500"),
        ("small", "value=none"),
    ] {
        let dashboard = Dashboard::start(&cluster).await;
        let path = format!("/api/v1/messages/{topic}?{query}");
        let look = || dashboard.looked(&path);
        let (a, b, c, d) = tokio::join!(look(), look(), look(), look());
        for answer in [a, b, c, d] {
            let (left_out, stopped) = (&answer["left_out"], &answer["stopped"]);
            assert_eq!(*left_out, Value::Array(Vec::new()), "{path}: {stopped}");
            assert_ne!(answer["scanned"], 0, "{path}: {stopped}");
        }
        let peak = dashboard.kurier.resident_bytes_peak().unwrap();
        eprintln!("{path}: {} MB at most", peak / 1_000_000);
        assert!(peak < LOOKS_MEMORY_MAX, "{} MB were held by looks at {path}", peak / 1_000_000);
    }
}

fn told_all(overview: &Value) -> bool {
    let (cluster, lag) = (&overview["cluster"], &overview["lag"]);
    let is_whole = |panel: &Value| panel["error"].is_null();
    cluster["data"]["topics"] == TOPICS
        && lag["data"]["groups"] == GROUPS
        && [cluster, lag, &overview["traffic"]].into_iter().all(is_whole)
}

/// A `kurier dashboard`.
struct Dashboard {
    kurier: Kurier,
    address: SocketAddr,
}

impl Dashboard {
    async fn start(cluster: &EmbeddedCluster) -> Self {
        let args = ["dashboard", "--listen", "127.0.0.1:0"];
        let mut kurier = Kurier::start(&cluster.bootstrap(), &args).unwrap();
        kurier.wait_for_lines(1).await.unwrap();
        let address = kurier.lines()[0]["address"].as_str().unwrap().parse().unwrap();
        Self { kurier, address }
    }

    async fn get(&self, path: &str) -> Answer {
        get(self.address, path).await
    }

    /// The same of a look, once there is room for it: a client that goes still has its place.
    async fn looked(&self, path: &str) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.get(path).await;
            if answer.status == 200 {
                return answer.json();
            }
            assert_eq!(answer.status, 429, "{path}: {answer:?}");
            assert!(begun.elapsed() < Duration::from_secs(30), "{path}: no room for a look");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks for the overview until it is so; says how long that took, and within what time nine answers of ten came.
    async fn until(
        &self,
        what: &str,
        limit: Duration,
        is_so: impl Fn(&Value) -> bool,
    ) -> (Duration, Duration) {
        let (begun, mut took) = (Instant::now(), Vec::new());
        loop {
            let answer = self.get("/api/v1/overview").await;
            took.push(answer.took);
            let overview = answer.json();
            if is_so(&overview) {
                took.sort_unstable();
                return (begun.elapsed(), took[took.len() * 9 / 10]);
            }
            assert!(begun.elapsed() < limit, "{what}: not after {limit:?}: {overview}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The names of all rows of a list, which were all looked at.
    async fn names(&self, list: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for page in 1.. {
            let path = format!("/api/v1/{list}?per_page=200&page={page}");
            let answer = self.get(&path).await.json();
            let rows = answer["data"]["rows"].as_array().unwrap();
            for row in rows {
                assert!(row.get("error").is_none_or(Value::is_null), "{row}");
                assert!(
                    names.insert(row["name"].as_str().unwrap().to_owned()),
                    "{row} comes twice"
                );
            }
            if rows.is_empty() {
                break;
            }
        }
        names
    }

    async fn answers_soon(&self) {
        for path in PATHS {
            let mut took = Vec::new();
            for _ in 0..ROUNDS {
                let answer = self.get(path).await;
                assert_eq!(answer.status, 200, "{path}: {answer:?}");
                took.push(answer.took);
            }
            took.sort_unstable();
            assert!(took[ROUNDS / 2] < SOON, "{path}: {took:?}");
        }
    }
}

/// Makes the groups: each has committed in one topic.
async fn commit(cluster: &EmbeddedCluster) {
    let admin = Arc::new(Admin::connect(&ClientConfig::new(cluster.bootstrap())).unwrap());
    let (mut committing, turns) = (JoinSet::new(), Arc::new(Semaphore::new(32)));
    for number in 0..GROUPS {
        let (admin, turns) = (Arc::clone(&admin), Arc::clone(&turns));
        committing.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            let topic: Arc<str> = format!("topic-{number:04}").into();
            let place = |number| TopicPartition::new(Arc::clone(&topic), PartitionId(number));
            let offsets: BTreeMap<_, _> =
                (0..PARTITIONS).map(|number| (place(number), Offset(0))).collect();
            let group = format!("group-{number:03}");
            let set = admin.set_group_offsets(&group, &offsets).await.unwrap();
            assert!(set.values().all(Result::is_ok), "{group}: {set:?}");
        });
    }
    committing.join_all().await;
}

/// Writes so many messages of so many bytes.
async fn write(cluster: &EmbeddedCluster, topic: &'static str, count: usize, bytes: usize) {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap()).set("linger.ms", "20");
    // A fetch brings a whole batch of each partition at least, whatever the client's bounds.
    config.set("batch.size", "100000").set("batch.num.messages", "100");
    config.set("queue.buffering.max.messages", "1000000");
    let producer: ThreadedProducer<_> = config.create().unwrap();
    let value = "x".repeat(bytes);
    let writing = tokio::task::spawn_blocking(move || {
        for number in 0..count {
            let partition = i32::try_from(number % 100).unwrap();
            let record = BaseRecord::<(), _>::to(topic).partition(partition).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(60)).unwrap();
    });
    writing.await.unwrap();
}
