//! What is accepted first stands in the log first, whatever becomes of requests and answers.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use kurier::{
    Message, MessageProducer, OffenceKind, OutgoingRecord, PartitionId, ProducerBuilder, Watermarks,
};
use kurier_broker::{Api, Fault, FaultAction, ResponseError};
use kurier_tests::audit::{self, Found};
use kurier_tests::cluster::{NODES, TestCluster, add_partitions};
use kurier_tests::load::Load;
use kurier_tests::proxy::{Direction, Flow};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::careless::{careless, number};
use crate::dispatch::{Dispatch, TOPIC, again_or_out_of_order, end_silence, silence};
use crate::{careless, until, within};

/// With room for a hundred messages and no node that answers, most tasks wait for their turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sixty_four_tasks_send_at_once_stands_in_the_order_it_was_accepted() {
    const TASKS: usize = 64;
    const EACH: usize = 20;
    const ROOM: usize = 100;
    let dispatch = Dispatch::set(1, |builder| builder.memory_messages(ROOM)).await;
    let dispatch = Arc::new(dispatch);
    within("the first", dispatch.send("first", "0").await.unwrap()).await.unwrap();
    silence(&*dispatch.cluster).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let dispatch = Arc::clone(&dispatch);
        tasks.spawn(async move {
            let mut tickets = Vec::new();
            for number in 0..EACH {
                let message = number.to_string();
                let message = Message::new(&*message).unwrap().with_key(format!("task {task}"));
                let delivery = dispatch.send_message(&message).await.unwrap();
                tickets.push((message.id(), delivery.ticket()));
            }
            tickets
        });
    }
    until("a full memory", || dispatch.books.counts().2 == ROOM as u64).await;
    assert!(!tasks.is_empty() && dispatch.books.counts().0 == 1 + ROOM as u64);
    end_silence(&*dispatch.cluster).await;
    let tickets = within("the load", tasks.join_all()).await;
    let tickets: HashMap<_, _> = tickets.into_iter().flatten().collect();
    let dispatch = Arc::into_inner(dispatch).unwrap();
    let (verdict, found) = dispatch.finish("64 tasks, one partition, room for 100").await;
    assert_eq!(verdict.count(OffenceKind::WrittenAgain), 0, "{verdict}");
    let order = found.iter().skip(1).map(|record| tickets[&record.id().unwrap()]);
    let order: Vec<_> = order.collect();
    assert!(order.is_sorted() && order.len() == TASKS * EACH, "{order:?}");
}

impl Dispatch {
    /// What was written is not acknowledged for a moment, and on the embedded cluster the first request
    /// after that fails while others are behind it. So often.
    async fn lose_answers(&self, times: usize) {
        for _ in 0..times {
            let before = self.books.counts();
            if let Some(faults) = self.cluster.faults() {
                let add = |action| faults.add(Fault::on(Api::Produce).times(1), action).unwrap();
                let lost = add(FaultAction::DropReply);
                assert!(within("a lost answer", lost.reached(1)).await);
                let failed = add(FaultAction::Error(ResponseError::NotEnoughReplicas));
                assert!(within("a failed request", failed.reached(1)).await);
            }
            if let Some(proxy) = &self.proxy {
                let swallowed = || NODES.map(|node| proxy.swallowed(node).unwrap());
                let heard = swallowed();
                for node in NODES {
                    proxy.set(node, Direction::ToClient, Flow::Swallow).unwrap();
                }
                until("swallowed answers", || swallowed() != heard).await;
                for node in NODES {
                    proxy.cut(node).await.unwrap();
                }
                proxy.heal().await.unwrap();
            }
            until("the way on", || before.1 + 50 < self.books.counts().1).await;
        }
    }
}

const ROUNDS: usize = 8;
/// A connection that is lost soon after it was made is otherwise made again after up to 10 s.
const RECONNECT: (&str, &str) = ("reconnect.backoff.max.ms", "200");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_under_load_write_nothing_twice_and_change_no_order() {
    let quick =
        |builder: ProducerBuilder| builder.linger(Duration::from_millis(1)).properties([RECONNECT]);
    let dispatch = Dispatch::behind_a_proxy(1, quick).await;
    let load = Load { keys: 8, each: 400, pause: Duration::from_millis(2) };
    let load = load.start(&dispatch.producer, TOPIC, &dispatch.books);
    dispatch.lose_answers(ROUNDS).await;
    within("the load", load.finish()).await.unwrap();
    let (verdict, _) = dispatch.finish("answers lost under load").await;
    assert_eq!((verdict.failed, again_or_out_of_order(&verdict)), (0, 0), "{verdict}");
}

/// The control: without idempotence, five requests in flight, the same faults show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_five_in_flight_without_idempotence_write_again_or_out_of_order() {
    let dispatch = Dispatch::behind_a_proxy(1, |builder| builder).await;
    let client = careless(
        &dispatch.bootstrap(),
        &[
            ("enable.idempotence", "false"),
            ("max.in.flight.requests.per.connection", "5"),
            ("linger.ms", "1"),
            ("batch.num.messages", "10"),
            ("retry.backoff.ms", "20"),
            RECONNECT,
        ],
    );
    let (books, enough) = (Arc::clone(&dispatch.books), CancellationToken::new());
    let until_enough = enough.clone();
    let load = tokio::spawn(async move {
        let mut fates = JoinSet::new();
        for round in 0.. {
            let mut more = careless::send(&client, &books, round * 10..(round + 1) * 10);
            fates.spawn(async move { while more.join_next().await.is_some() {} });
            if until_enough.is_cancelled() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        fates.join_all().await;
    });
    dispatch.lose_answers(ROUNDS).await;
    enough.cancel();
    within("the load", load).await.unwrap();
    audit::enter(&dispatch.books, dispatch.cluster.bootstrap(), TOPIC).await.unwrap();
    let verdict = dispatch.books.judge();
    eprintln!("{:?}, control: {verdict}", dispatch.cluster.kind());
    assert!(0 < again_or_out_of_order(&verdict), "this suite sees no lost answer: {verdict}");
}

const GROWN: usize = 7;
const BEFORE: usize = 3;

/// Records lie in the producer's memory for 200 ms, so that some are always queued when the topic grows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_grows_keeps_each_keys_order_until_the_switch() {
    let adjusted = |builder: ProducerBuilder| {
        builder
            .linger(Duration::from_millis(200))
            .property("topic.metadata.refresh.interval.ms", "500")
    };
    let dispatch = Dispatch::set(BEFORE as u32, adjusted).await;
    let (producer, cluster) = (&dispatch.producer, &*dispatch.cluster);
    let load = Load { keys: 16, each: 100, pause: Duration::from_millis(5) };
    let load = load.start(producer, TOPIC, &dispatch.books);
    let enough = CancellationToken::new();
    let explicit = tokio::spawn(send_to_partition_1(Arc::clone(producer), enough.clone()));
    let queued_amid_the_load = || {
        let (_, delivered, under_way) = dispatch.books.counts();
        200 < delivered && 0 < under_way
    };
    until("records that are queued when the topic grows", queued_amid_the_load).await;
    add_partitions(cluster, TOPIC, GROWN).await.unwrap();
    dispatch.books.note("the topic has grown");
    within("a record in a new partition", used_after_growth(cluster)).await;
    let delivered = dispatch.books.counts().1;
    until("the way on", || delivered + 500 < dispatch.books.counts().1).await;
    enough.cancel();
    let explicit = within("those of one partition", explicit).await.unwrap();
    within("the load", load.finish()).await.unwrap();
    let (verdict, found) = dispatch.finish("3 partitions, then 7").await;
    assert_eq!((verdict.failed, again_or_out_of_order(&verdict)), (0, 0), "{verdict}");
    let moved = switches(&found).unwrap();
    eprintln!("{moved} of 16 keys moved; {explicit} records with a partition of their own");
    assert!(0 < moved, "no key has moved, so this shows nothing");
    let stayed: Vec<usize> = of_key(&found, "explicit").map(number).collect();
    assert!(stayed.iter().copied().eq(0..explicit), "{stayed:?}");
    assert!(of_key(&found, "explicit").all(|record| record.partition == 1));
}

/// The control: a partitioner that does not look at keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_in_a_topic_that_grows_a_partitioner_without_keys_keeps_no_order_of_them() {
    let dispatch = Dispatch::set(BEFORE as u32, |builder| builder).await;
    let client = careless(
        dispatch.cluster.bootstrap(),
        &[("partitioner", "random"), ("topic.metadata.refresh.interval.ms", "500")],
    );
    send_in_turn(&client, &dispatch, 0..30).await;
    add_partitions(&*dispatch.cluster, TOPIC, GROWN).await.unwrap();
    send_in_turn(&client, &dispatch, 30..60).await;
    let bootstrap = dispatch.cluster.bootstrap();
    let found = audit::enter(&dispatch.books, bootstrap, TOPIC).await.unwrap();
    let broken = switches(&found).unwrap_err();
    eprintln!("{:?}, control: {broken}", dispatch.cluster.kind());
}

/// These numbers of each of 16 keys, each delivered before the next.
async fn send_in_turn(client: &FutureProducer, dispatch: &Dispatch, numbers: Range<usize>) {
    for number in numbers {
        let mut deliveries = JoinSet::new();
        for key in (0..16).map(|key| format!("key {key}")) {
            let message = Message::new(number.to_string()).unwrap().with_key(key.clone());
            dispatch.books.intended(&message).unwrap();
            let json = message.to_json().unwrap();
            let record = FutureRecord::to(TOPIC).key(&key).payload(&json);
            deliveries.spawn(client.send_result(record).map_err(|(error, _)| error).unwrap());
        }
        within("deliveries", deliveries.join_all()).await;
    }
}

/// Sends numbers to a partition that it names, until it is enough; how many they were.
async fn send_to_partition_1(producer: Arc<MessageProducer>, enough: CancellationToken) -> usize {
    let mut number = 0;
    while !enough.is_cancelled() {
        let message = Message::new(number.to_string()).unwrap();
        let record = OutgoingRecord {
            key: Some("explicit".into()),
            value: Some(message.to_json().unwrap().into()),
            partition: Some(PartitionId(1)),
            ..OutgoingRecord::default()
        };
        drop(producer.send_record(TOPIC, &record).await.unwrap());
        number += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    number
}

/// Waits until a partition that was added has a record.
async fn used_after_growth(cluster: &dyn TestCluster) {
    let admin = kurier_tests::cluster::admin(cluster.bootstrap()).unwrap();
    let new = PartitionId(BEFORE as i32);
    let used = |ends: &BTreeMap<PartitionId, Watermarks>| {
        ends.range(new..).any(|(_, found)| 0 < found.end.0)
    };
    while !admin.watermarks(TOPIC).await.is_ok_and(|ends| used(&ends)) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    admin.close().await;
}

fn of_key<'a>(found: &'a [Found], key: &'a str) -> impl Iterator<Item = &'a Found> {
    found.iter().filter(move |record| record.key.as_deref() == Some(key.as_bytes()))
}

/// How many keys stand in two partitions. Each has one switch: what it has in the old partition was sent
/// before all that it has in the new one.
///
/// # Errors
/// The first key that is not so.
fn switches(found: &[Found]) -> Result<usize, String> {
    let mut moved = 0;
    for key in (0..16).map(|key| format!("key {key}")) {
        let mut places: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for record in of_key(found, &key) {
            places.entry(record.partition).or_default().push(number(record));
        }
        let mut runs: Vec<Vec<usize>> = places.into_values().collect();
        runs.sort_by_key(|run| run[0]);
        let all = runs.concat();
        if !all.iter().copied().eq(0..all.len()) || 2 < runs.len() {
            return Err(format!("{key}: {runs:?}"));
        }
        moved += runs.len() - 1;
    }
    Ok(moved)
}
