//! What the dashboard's collectors see of a cluster that is hurt, and what they never do: wait for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kurier::{ClientConfig, NodeId, Offset, PartitionId, TopicPartition};
use kurier_broker::{Api, Fault, FaultAction};
use kurier_dashboard::view::{EventKind, Overview, PartitionRow, State};
use kurier_dashboard::{Watch, WatchConfig};
use kurier_tests::cluster::{NODES, TestCluster, admin, cluster, create_topic, wait_until_in_sync};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::within;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 6;
const GROUP: &str = "workers";

/// How soon the death of a broker shows.
const SHOWN: Duration = Duration::from_secs(15);

/// A topic with a message in each partition, a group that has read none of them, and a watch.
struct Watched {
    cluster: Box<dyn TestCluster>,
    watch: Watch,
    /// The longest that any answer took.
    slowest: Duration,
}

impl Watched {
    async fn start() -> Self {
        let cluster = cluster().await.unwrap();
        create_topic(&*cluster, TOPIC, PARTITIONS as u32).await.unwrap();
        send_to_all(&*cluster).await;
        let commits: BTreeMap<_, _> = (0..PARTITIONS)
            .map(|number| (TopicPartition::new(TOPIC, PartitionId(number)), Offset(0)))
            .collect();
        let admin = admin(cluster.bootstrap()).unwrap();
        for set in admin.set_group_offsets(GROUP, &commits).await.unwrap().into_values() {
            set.unwrap();
        }
        admin.close().await;
        let watch = watch(cluster.bootstrap());
        let mut watched = Self { cluster, watch, slowest: Duration::ZERO };
        watched.until("healthy and all of it seen", LONG, all_seen).await;
        watched
    }

    /// Asks for everything a page shows until the overview is as wanted, and notes how long answers take.
    async fn until(
        &mut self,
        what: &str,
        limit: Duration,
        is: impl Fn(&Overview) -> bool,
    ) -> Overview {
        let end = Instant::now() + limit;
        loop {
            let asked = Instant::now();
            let now = self.watch.overview(Timestamp::now());
            let _ = (self.watch.brokers(), self.watch.topic(TOPIC), self.watch.group(GROUP));
            let _ = (self.watch.metrics(), self.watch.readiness(Timestamp::now()));
            self.slowest = self.slowest.max(asked.elapsed());
            if is(&now) {
                return now;
            }
            assert!(Instant::now() < end, "not {what} within {limit:?}: {now:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn partitions(&self) -> Vec<PartitionRow> {
        self.watch.topic(TOPIC).unwrap().partitions.data.unwrap()
    }

    async fn end(self) {
        assert!(self.slowest < Duration::from_secs(1), "an answer took {:?}", self.slowest);
        within("the watch's end", self.watch.close()).await;
    }
}

const LONG: Duration = Duration::from_secs(60);

fn watch(bootstrap: &str) -> Watch {
    Watch::start(WatchConfig::new(ClientConfig::new(bootstrap))).unwrap()
}

fn all_seen(now: &Overview) -> bool {
    let lag = now.lag.data.as_ref().and_then(|lag| lag.total);
    now.status.state == State::Healthy
        && lag == Some(i64::from(PARTITIONS))
        && now.cluster.data.as_ref().is_some_and(|cluster| cluster.under_min_isr == Some(0))
        && now.traffic.data.as_ref().is_some_and(|traffic| traffic.messages_per_second.is_some())
}

async fn send_to_all(cluster: &dyn TestCluster) {
    let producer: FutureProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    for partition in 0..PARTITIONS {
        let record = FutureRecord::<(), _>::to(TOPIC).partition(partition).payload("x");
        within("sending", producer.send(record, LONG)).await.unwrap();
    }
}

fn down(watch: &Watch) -> Vec<i32> {
    let brokers = watch.brokers().data.unwrap_or_default();
    brokers.iter().filter(|broker| !broker.up).map(|broker| broker.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_shows_stays_listed_and_keeps_nothing_else_from_being_seen() {
    let mut watched = Watched::start().await;
    watched.cluster.kill(NodeId(2)).await.unwrap();
    let (killed, killed_at) = (Instant::now(), Timestamp::now());
    while down(&watched.watch) != [2] {
        watched.until("answering", SHOWN, |_| true).await;
        assert!(killed.elapsed() < SHOWN, "{:?} is down", down(&watched.watch));
    }
    let shown = killed.elapsed();
    let now = watched.until("degraded", SHOWN, |now| now.status.state == State::Degraded).await;
    assert!(now.status.reasons.iter().any(|why| why.contains("broker 2")), "{:?}", now.status);
    let cluster = now.cluster.data.unwrap();
    assert_eq!((cluster.brokers_up, cluster.brokers_known), (2, 3));
    // The control: the cluster itself does not know of a third broker any more.
    let unlisted = async || {
        let admin = admin(watched.cluster.bootstrap()).unwrap();
        let info = admin.cluster_info().await;
        admin.close().await;
        info.is_ok_and(|info| info.brokers.len() == 2)
    };
    within("the cluster's own list", async { while !unlisted().await {} }).await;
    assert_eq!(watched.watch.brokers().data.unwrap().len(), 3);

    // Everything else is seen anew: each partition's end, the group, the cluster.
    send_to_all(&*watched.cluster).await;
    let total = Some(2 * i64::from(PARTITIONS));
    watched.until("seen anew", LONG, |now| now.lag.data.as_ref().unwrap().total == total).await;
    let ends: Vec<_> = watched.partitions().iter().map(|one| (one.next, one.told)).collect();
    assert!(
        ends.iter().all(|(next, told)| *next == Some(2) && Some(killed_at) < *told),
        "{ends:?}"
    );
    let events = watched.watch.events(None, &[EventKind::BrokerDown]).events;
    assert_eq!(events.len(), 1, "{events:?}");
    eprintln!("broker 2 shown down after {shown:?}; slowest answer {:?}", watched.slowest);

    watched.cluster.start(NodeId(2)).await.unwrap();
    wait_until_in_sync(&*watched.cluster).await.unwrap();
    watched.until("healthy again", LONG, |now| now.status.state == State::Healthy).await;
    assert_eq!(down(&watched.watch), [0; 0]);
    watched.end().await;
}

/// The partitions of a leader that does not answer keep what was known of them; the others are seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_does_not_answer_blinds_its_own_partitions_alone() {
    let mut watched = Watched::start().await;
    let Some(faults) = watched.cluster.faults() else {
        return crate::not_run("a broker of Apache Kafka leads until it is dead");
    };
    let fault = Fault::on(Api::ListOffsets).node(2);
    let fault = faults.add(fault, FaultAction::Delay(Duration::from_secs(600))).unwrap();
    let since = Timestamp::now();
    let silent = |now: &Overview| {
        let traffic = now.traffic.error.as_ref();
        traffic.is_some_and(|error| error.contains("broker 2 leads"))
    };
    watched.until("telling of broker 2", LONG, silent).await;
    send_to_all(&*watched.cluster).await;
    let seen = |partition: &PartitionRow| partition.next == Some(2) && Some(since) < partition.told;
    let of_others =
        |rows: &[PartitionRow]| rows.iter().filter(|row| row.leader != Some(2)).all(seen);
    while !of_others(&watched.partitions()) {
        watched.until("answering", LONG, |_| true).await;
    }
    let blind: Vec<_> =
        watched.partitions().into_iter().filter(|row| row.leader == Some(2)).collect();
    assert!(!blind.is_empty());
    for row in blind {
        assert_eq!((row.next, row.rate), (Some(1), None), "as it was known, without a rate");
    }
    let state = watched.watch.overview(Timestamp::now()).status;
    assert_eq!(state.state, State::Degraded, "{state:?}");
    assert_eq!(down(&watched.watch), [0; 0], "it takes connections");

    fault.clear();
    let healthy =
        |now: &Overview| now.status.state == State::Healthy && now.traffic.error.is_none();
    watched.until("healthy again", LONG, healthy).await;
    assert!(watched.partitions().iter().all(seen));
    watched.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_while_the_first_address_is_dead() {
    let watched = Watched::start().await;
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let second = watch(&format!("{dead},{}", watched.cluster.bootstrap()));
    within("seeing all through the other addresses", async {
        while !all_seen(&second.overview(Timestamp::now())) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    second.close().await;
    watched.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_wholly_away_leaves_what_was_seen_with_its_age_and_comes_back() {
    let mut watched = Watched::start().await;
    assert!(watched.watch.readiness(Timestamp::now()).0);
    for node in NODES {
        watched.cluster.kill(node).await.unwrap();
    }
    let away = Timestamp::now();
    let is_down = |now: &Overview| {
        let errors = [&now.cluster.error, &now.traffic.error, &now.lag.error];
        now.status.state == State::Down && errors.iter().all(|error| error.is_some())
    };
    let now = watched.until("down", LONG, is_down).await;
    eprintln!(
        "said to be down after {:#}: {:?}",
        Timestamp::now().duration_since(away),
        now.status
    );
    let (cluster, lag) = (now.cluster.data.unwrap(), now.lag.data.unwrap());
    assert_eq!((cluster.brokers_known, cluster.topics), (3, known_topics(&watched)));
    assert_eq!(lag.total, Some(i64::from(PARTITIONS)), "what was seen last");
    let age = Duration::from_secs(4);
    assert!(now.cluster.as_of.unwrap() < away + age && now.lag.as_of.unwrap() < away + age);
    assert!(watched.partitions().iter().all(|row| row.next == Some(1)));
    assert!(!watched.watch.readiness(Timestamp::now()).0);
    let watch = watched.watch.clone();
    let left_out = |_: &Overview| !watch.metrics().contains("kafka_consumergroup_lag");
    watched.until("without old figures", LONG, left_out).await;

    watched.cluster.start_all().await.unwrap();
    wait_until_in_sync(&*watched.cluster).await.unwrap();
    let back = Instant::now();
    watched.until("healthy again", LONG, all_seen).await;
    eprintln!("healthy again after {:?}; slowest answer {:?}", back.elapsed(), watched.slowest);
    assert!(watched.watch.readiness(Timestamp::now()).0);
    let watch = watched.watch.clone();
    let back = |_: &Overview| watch.metrics().contains("kafka_consumergroup_lag{");
    watched.until("with figures again", LONG, back).await;
    let events = watched.watch.events(None, &[EventKind::Cluster]).events;
    assert_eq!(events.len(), 2, "{events:?}");
    watched.end().await;
}

fn known_topics(watched: &Watched) -> usize {
    let asked = kurier_dashboard::view::RowsAsked::default();
    watched.watch.topics(&asked).unwrap().data.unwrap().total
}

/// A cluster that was never there: it says so, and nothing is pretended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_was_never_there_is_down_and_every_panel_says_why() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let watch = watch(&dead.to_string());
    within("the end of the first look", async {
        while watch.overview(Timestamp::now()).status.state != State::Down {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let now = watch.overview(Timestamp::now());
    assert!(now.status.reasons[0].contains("Connection refused"), "{:?}", now.status);
    assert!(now.cluster.data.is_none() && now.traffic.data.is_none() && now.lag.data.is_none());
    assert!(now.cluster.error.is_some() && now.traffic.error.is_some() && now.lag.error.is_some());
    assert!(watch.topic(TOPIC).is_none() && watch.group(GROUP).is_none());
    within("the watch's end", watch.close()).await;
}
