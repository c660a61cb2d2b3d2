//! What a consumer says of its health while things happen to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kurier::{
    Condition, ConsumeError, ConsumeReport, ConsumerBuilder, Context, Ended, Failure, Health,
    HealthHandle, Message, MessageDecoder, MessageProducer, NewTopic, OutgoingRecord, PartitionId,
    RawDecoder, Received, Single, SingleMessageConsumer, TopicPartition,
};
use kurier_tests::binary::Kurier;
use kurier_tests::cluster::{NODES, TestCluster, admin, cluster, create_topic};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::within;

const TOPIC: &str = "orders";
const GROUP: &str = "workers";

/// A consumer in this process.
struct Running {
    health: HealthHandle,
    shutdown: CancellationToken,
    run: JoinHandle<Result<ConsumeReport, ConsumeError>>,
}

impl Running {
    /// Starts one that handles each message when `gate` is open.
    fn start(cluster: &dyn TestCluster, instance: &str, gate: &CancellationToken) -> Self {
        Self::run(member(cluster, instance), gate)
    }

    fn run(builder: ConsumerBuilder<Single, RawDecoder>, gate: &CancellationToken) -> Self {
        let (health, shutdown, gate) = (builder.health(), CancellationToken::new(), gate.clone());
        let handler = move |_: Arc<Received<_>>, _: Context| {
            let gate = gate.clone();
            async move {
                gate.cancelled().await;
                Ok::<(), Failure>(())
            }
        };
        let run = tokio::spawn(builder.run(handler, shutdown.clone()));
        Self { health, shutdown, run }
    }

    async fn until(&self, what: &str, is: impl Fn(&Health) -> bool) -> Health {
        until(what, &self.health, is).await
    }

    async fn stop(self) -> ConsumeReport {
        self.shutdown.cancel();
        within("the end", self.run).await.unwrap().unwrap()
    }
}

fn member(cluster: &dyn TestCluster, instance: &str) -> ConsumerBuilder<Single, RawDecoder> {
    SingleMessageConsumer::builder(cluster.bootstrap(), TOPIC)
        .group(GROUP)
        .instance(instance)
        .property("session.timeout.ms", "10000")
        .property("heartbeat.interval.ms", "500")
        .decoder(RawDecoder)
}

async fn until(what: &str, health: &HealthHandle, is: impl Fn(&Health) -> bool) -> Health {
    within(what, async {
        loop {
            let now = health.now();
            if is(&now) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// Asks the cluster until it says yes.
async fn until_it_says(what: &str, yes: impl AsyncFn() -> bool) {
    within(what, async {
        while !yes().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// True when the group has handled and committed all there is in `partitions` partitions.
async fn all_handled(cluster: &dyn TestCluster, partitions: usize) -> bool {
    let admin = admin(cluster.bootstrap()).unwrap();
    let lag = admin.lag(GROUP).await;
    admin.close().await;
    let rows = lag.map_or_else(|_| Vec::new(), |lag| lag.rows);
    rows.len() == partitions && rows.iter().all(|row| row.lag() == Some(0))
}

fn open() -> CancellationToken {
    let gate = CancellationToken::new();
    gate.cancel();
    gate
}

async fn send(cluster: &dyn TestCluster, values: &[(i32, &str)]) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    for (partition, value) in values {
        let record = FutureRecord::<(), _>::to(TOPIC).partition(*partition).payload(*value);
        within("sending", producer.send(record, Duration::from_secs(60))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_from_the_first_assignment_until_it_drains() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 1).await.unwrap();
    send(&*cluster, &[(0, "slow")]).await;
    let gate = CancellationToken::new();
    let consumer = Running::start(&*cluster, "1", &gate);
    consumer.until("not assigned", |it| it.conditions == [Condition::NotAssigned]).await;
    let busy = consumer.until("at work", |it| !it.in_work.is_empty()).await;
    assert!(busy.is_ready(), "{busy}");
    consumer.shutdown.cancel();
    let draining = consumer.until("draining", |it| !it.is_ready()).await;
    assert_eq!(draining.conditions, [Condition::Draining]);
    assert!(draining.is_live() && !draining.in_work.is_empty(), "{draining}");
    gate.cancel();
    let health = consumer.health.clone();
    assert_eq!(consumer.stop().await.handled, 1);
    assert_eq!(health.now().conditions, [Condition::Ended(Ended::Shutdown)]);
}

/// More members than partitions: the one that has none is ready, and has it when the other is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_a_partition_is_ready_and_takes_over() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 1).await.unwrap();
    let members = [("1", open()), ("2", open())]
        .map(|(instance, gate)| Running::start(&*cluster, instance, &gate));
    for member in &members {
        member.until("ready", Health::is_ready).await;
    }
    until_it_says("both are in the group", async || {
        shares(&*cluster).await.values().copied().collect::<BTreeSet<_>>() == [0, 1].into()
    })
    .await;
    assert!(members.iter().all(|member| member.health.now().is_ready()), "also without a share");
    let second_has_it = shares(&*cluster).await.get("workers-2") == Some(&1);
    let [first, second] = members;
    let (owner, idle) = if second_has_it { (second, first) } else { (first, second) };
    assert_eq!(owner.stop().await.handled, 0);
    send(&*cluster, &[(0, "for the other one")]).await;
    until_it_says("the take-over", async || all_handled(&*cluster, 1).await).await;
    assert!(idle.health.now().is_ready());
    assert_eq!(idle.stop().await.handled, 1);
}

/// How many partitions each member of the group has, by its client's name.
async fn shares(cluster: &dyn TestCluster) -> BTreeMap<String, usize> {
    let admin = admin(cluster.bootstrap()).unwrap();
    let group = admin.describe_group(GROUP).await;
    admin.close().await;
    let members = group.map_or_else(|_| Vec::new(), |group| group.members);
    members.into_iter().map(|member| (member.client_id, member.partitions.len())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_brokers_it_names_the_reason_and_is_ready_again_by_itself() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 3).await.unwrap();
    let consumer = Running::start(&*cluster, "1", &open());
    consumer.until("ready", Health::is_ready).await;
    for node in NODES.iter().rev() {
        cluster.kill(*node).await.unwrap();
    }
    let waits = |it: &Health| {
        it.conditions.iter().any(|one| matches!(one, Condition::WaitingForCluster { .. }))
    };
    let waiting = consumer.until("it waits", waits).await;
    assert!(waiting.is_live() && !waiting.is_ready(), "a restart would not help: {waiting}");
    within("the start of all nodes", cluster.start_all()).await.unwrap();
    consumer.until("ready again", Health::is_ready).await;
    send(&*cluster, &[(0, "a"), (1, "b"), (2, "c")]).await;
    until_it_says("all is handled", async || all_handled(&*cluster, 3).await).await;
    assert!(consumer.health.now().is_ready());
    assert_eq!(consumer.stop().await.handled, 3, "one and the same run");
}

/// The one replica of some partitions is down. Those of the other nodes go on, and so say both sides.
/// That it is not said where others can lead, `coordinator` shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_nobody_can_lead_cost_readiness_and_the_others_go_on() {
    const PARTITIONS: i32 = 3;
    let cluster = cluster().await.unwrap();
    let asking = admin(cluster.bootstrap()).unwrap();
    let topic = NewTopic::new(TOPIC).partitions(PARTITIONS as u32).replication(1);
    asking.create_topic(&topic).await.unwrap();
    let topic = asking.wait_for_topic(TOPIC, Duration::from_secs(60)).await.unwrap();
    let consumer = member(&*cluster, "1").stall_after(Duration::from_secs(5));
    let consumer = Running::run(consumer, &open());
    let producer = MessageProducer::builder(cluster.bootstrap());
    let sending = producer.health();
    let producer = within("a producer", producer.build()).await.unwrap();
    send_each(&producer, PARTITIONS).await;
    until_it_says("all is handled", async || all_handled(&*cluster, 3).await).await;

    let doomed = topic.partitions[0].leader.unwrap();
    let led = topic.partitions.iter().filter(|one| one.leader == Some(doomed));
    let lost: Vec<_> = led.map(|one| TopicPartition::new(TOPIC, one.partition)).collect();
    cluster.kill(doomed).await.unwrap();
    let killed = Instant::now();
    send_each(&producer, PARTITIONS).await;
    let lacking = |it: &Health| {
        it.conditions.iter().any(|one| {
            matches!(one, Condition::WithoutLeader { partitions, more: 0, .. } if *partitions == lost)
        })
    };
    let ill = consumer.until("the consumer says so", lacking).await;
    let ill_too = until("the producer says so", &sending, lacking).await;
    let told = killed.elapsed();
    assert!(ill.is_live() && !ill.is_ready(), "{ill}");
    assert!(ill_too.is_live() && !ill_too.is_ready(), "{ill_too}");
    let others = PARTITIONS as usize - lost.len();
    until_it_says("the others go on", async || {
        let offsets = asking.group_offsets(GROUP).await.unwrap_or_default();
        offsets.values().filter(|offset| offset.0 == 2).count() == others
    })
    .await;

    cluster.start(doomed).await.unwrap();
    consumer.until("ready again", Health::is_ready).await;
    until("the producer is too", &sending, Health::is_ready).await;
    let report = within("a close", producer.close(Duration::from_secs(60))).await;
    assert_eq!(report.unsent, []);
    until_it_says("all is handled", async || all_handled(&*cluster, 3).await).await;
    // Where the node also coordinated the group, what was not committed comes again.
    assert!(2 * PARTITIONS as u64 <= consumer.stop().await.handled);
    eprintln!(
        "{:?}: {} of {PARTITIONS} without a leader, told {told:.1?} after: {ill}",
        cluster.kind(),
        lost.len()
    );
}

/// One record to each partition, not awaited.
async fn send_each(producer: &MessageProducer, partitions: i32) {
    for partition in (0..partitions).map(PartitionId) {
        let value = Some("x".into());
        let record =
            OutgoingRecord { value, partition: Some(partition), ..OutgoingRecord::default() };
        // What becomes of it, the group's offsets tell.
        drop(within("accepting", producer.send_record(TOPIC, &record)).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_topic_and_then_a_stopped_partition_are_named() {
    let cluster = cluster().await.unwrap();
    let builder = SingleMessageConsumer::builder(cluster.bootstrap(), TOPIC)
        .group(GROUP)
        .decoder(MessageDecoder::default());
    let (health, shutdown) = (builder.health(), CancellationToken::new());
    let handler = |_: Arc<Received<Message>>, _: Context| async { Ok::<(), Failure>(()) };
    let run = tokio::spawn(builder.run(handler, shutdown.clone()));
    let missing = Condition::WaitingForTopics { topics: vec![TOPIC.to_owned()] };
    let waiting = until("it waits", &health, |it| it.conditions.contains(&missing)).await;
    assert!(waiting.is_live() && !waiting.is_ready(), "{waiting}");
    create_topic(&*cluster, TOPIC, 2).await.unwrap();
    until("ready", &health, Health::is_ready).await;
    send(&*cluster, &[(1, "not a message")]).await;
    let ill = until("stopped", &health, |it| !it.is_ready()).await;
    let [Condition::PartitionStopped(stopped)] = &ill.conditions[..] else { panic!("{ill}") };
    assert_eq!((stopped.partition.partition.0, stopped.offset.0), (1, 0));
    assert!(ill.is_live(), "a restart would meet the same message: {ill}");
    shutdown.cancel();
    assert_eq!(within("the end", run).await.unwrap().unwrap().stopped.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_static_member_is_neither_live_nor_ready() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 1).await.unwrap();
    let start = || Running::run(member(&*cluster, "x").static_membership(true), &open());
    let first = start();
    first.until("ready", Health::is_ready).await;
    let second = start();
    let fenced = first.until("not live", |it| !it.is_live()).await;
    assert!(matches!(fenced.conditions[..], [Condition::Fenced { .. }, ..]), "{fenced}");
    assert!(!fenced.is_ready());
    let failed = within("its end", first.run).await.unwrap().unwrap_err();
    assert!(matches!(failed, ConsumeError::Failed { .. }) && !failed.is_retriable(), "{failed}");
    assert!(!first.health.now().is_live(), "nor after its end: {}", first.health.now());
    second.until("ready", Health::is_ready).await;
    second.stop().await;
}

/// One of them gets the only partition; the other one learns that the topic is there all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_that_waited_for_one_partition_are_both_ready() {
    let cluster = cluster().await.unwrap();
    let both = ["1", "2"].map(|instance| Running::start(&*cluster, instance, &open()));
    let missing = Condition::WaitingForTopics { topics: vec![TOPIC.to_owned()] };
    for member in &both {
        member.until("it waits", |it| it.conditions.contains(&missing)).await;
    }
    create_topic(&*cluster, TOPIC, 1).await.unwrap();
    for member in &both {
        member.until("ready", Health::is_ready).await;
    }
    for member in both {
        member.stop().await;
    }
}

/// A process with this instance's name.
fn process(cluster: &dyn TestCluster, more: &[&str]) -> Kurier {
    let mut args = vec!["consume", "single", TOPIC, "--group", GROUP, "--instance", "x"];
    args.extend(["-X", "session.timeout.ms=10000", "-X", "heartbeat.interval.ms=500"]);
    args.extend(more);
    Kurier::start(cluster.bootstrap(), &args).unwrap()
}

fn good() -> String {
    Message::new("hello").unwrap().to_json().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_with_one_static_name_the_first_ends_and_says_so() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 1).await.unwrap();
    send(&*cluster, &[(0, &good())]).await;
    let mut first = process(&*cluster, &["--static-membership"]);
    first.wait_for_lines(1).await.unwrap();
    let second = process(&*cluster, &["--static-membership"]);
    let ended = within("the first", first.wait()).await.unwrap();
    eprintln!("{:?}, fenced: {}", cluster.kind(), ended.talk.lines().last().unwrap_or_default());
    assert_eq!(ended.status.code(), Some(7), "{}", ended.talk);
    assert!(ended.talk.contains("another process has this instance's name"), "{}", ended.talk);
    // The second has its place.
    send(&*cluster, &[(0, &good())]).await;
    let handled = || !second.lines().is_empty();
    crate::until("the second handles", handled).await;
    let ended = second.stop().await.unwrap();
    assert_eq!(ended.status.code(), Some(143), "{}", ended.talk);
}

/// The control: the same without static membership. Both are members, and live on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_two_processes_with_one_name_share_without_static_membership() {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 2).await.unwrap();
    let both = [process(&*cluster, &[]), process(&*cluster, &[])];
    let admin = admin(cluster.bootstrap()).unwrap();
    until_it_says("one partition each", async || {
        admin.describe_group(GROUP).await.is_ok_and(|group| {
            group.members.len() == 2 && group.members.iter().all(|it| it.partitions.len() == 1)
        })
    })
    .await;
    admin.close().await;
    send(&*cluster, &[(0, &good()), (1, &good())]).await;
    crate::until("both handle", || both.iter().all(|it| !it.lines().is_empty())).await;
    for process in both {
        let ended = process.stop().await.unwrap();
        assert_eq!(ended.status.code(), Some(143), "{}", ended.talk);
    }
}
