//! What the scenarios of consumers share: a topic that is filled partition by partition, members whose
//! handlers do what the scenario says, and a diary of what each of them told.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a scenario stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use kurier::{
    Batch, BatchMessageConsumer, Batches, Closed, ConsumeError, ConsumeReport, ConsumerBuilder,
    ConsumerConfig, ConsumerEvent, Context, Failure, Judgement, Message, MessageDecoder,
    OffenceKind, Offset, Outcomes, PartitionId, Receipt, Received, Single, SingleMessageConsumer,
    TopicPartition,
};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::audit;
use crate::books::Books;
use crate::cluster::{TestCluster, admin, cluster, create_topic, leader};
use crate::waits::within;

/// The one topic.
pub const TOPIC: &str = "orders";

/// What a handler is given.
pub type Given = Arc<Received<Message>>;
/// What it answers.
pub type Answer = Result<(), Failure>;

/// One cluster, one topic, one group, and the books of the run.
#[allow(missing_debug_implementations, reason = "clusters and librdkafka's producer have none")]
pub struct Scene {
    /// What it runs on.
    pub cluster: Box<dyn TestCluster>,
    /// What was sent and handled.
    pub books: Arc<Books>,
    /// The group that is to handle everything.
    pub group: String,
    producer: FutureProducer,
}

impl Scene {
    /// The topic with so many empty partitions. The group's name is the scenario's own: on Apache Kafka
    /// a member that a scenario before has left behind is in nobody's way then.
    pub async fn set(group: &str, partitions: u32) -> Self {
        Self::on(cluster().await.unwrap(), group, partitions).await
    }

    /// The same on a cluster that is there already.
    pub async fn on(cluster: Box<dyn TestCluster>, group: &str, partitions: u32) -> Self {
        create_topic(&*cluster, TOPIC, partitions).await.unwrap();
        let books = Arc::new(Books::new(&[group]));
        let producer = producer(cluster.bootstrap());
        Self { cluster, books, group: group.to_owned(), producer }
    }

    /// The addresses of all nodes.
    pub fn bootstrap(&self) -> &str {
        self.cluster.bootstrap()
    }

    /// `each` more messages in each of these partitions.
    pub async fn fill(&self, partitions: impl IntoIterator<Item = i32>, each: usize) {
        self.fill_by(&self.producer, partitions, each).await;
    }

    /// The same, of so many keys in turn in each partition.
    pub async fn fill_keys(
        &self,
        partitions: impl IntoIterator<Item = i32>,
        each: usize,
        keys: usize,
    ) {
        let key = |partition, number| format!("key {} of {partition}", number % keys);
        self.fill_with(&self.producer, partitions, each, key).await;
    }

    async fn fill_by(
        &self,
        producer: &FutureProducer,
        partitions: impl IntoIterator<Item = i32>,
        each: usize,
    ) {
        let key = |partition, _| format!("partition {partition}");
        self.fill_with(producer, partitions, each, key).await;
    }

    async fn fill_with(
        &self,
        producer: &FutureProducer,
        partitions: impl IntoIterator<Item = i32>,
        each: usize,
        key: impl Fn(i32, usize) -> String,
    ) {
        let mut sent = Vec::new();
        for partition in partitions {
            for number in 0..each {
                let key = Bytes::from(key(partition, number));
                let message = Message::new(number.to_string()).unwrap().with_key(key.clone());
                let json = message.to_json().unwrap();
                self.books.intended(&message).unwrap();
                let record = FutureRecord::to(TOPIC).partition(partition).key(&key[..]);
                let delivery = producer.send_result(record.payload(&json));
                sent.push((message.id(), delivery.map_err(|(error, _)| error).unwrap()));
                self.books.sent(message.id());
            }
        }
        for (id, delivery) in sent {
            let delivery = within("filling", delivery).await.unwrap();
            let delivery = delivery.map_err(|(error, _)| error).unwrap();
            let receipt = Receipt {
                topic: TOPIC.into(),
                partition: PartitionId(delivery.partition),
                offset: Some(Offset(delivery.offset)),
                timestamp: None,
            };
            self.books.settled(id, &Ok(receipt));
        }
    }

    /// `each` messages in a partition that was just added, as soon as one node leads it.
    pub async fn fill_when_known(&self, partition: i32, each: usize) {
        let led = async {
            let index = usize::try_from(partition).unwrap();
            while leader(&*self.cluster, TOPIC, index).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within("a leader", led).await;
        // A new client: the one that is there already does not know of the partition.
        self.fill_by(&producer(self.bootstrap()), [partition], each).await;
    }

    /// Deletes the topic, and creates one of the same name.
    pub async fn make_topic_anew(&self, partitions: u32) {
        let admin = admin(self.bootstrap()).unwrap();
        within("deleting", admin.delete_topic(TOPIC)).await.unwrap();
        admin.close().await;
        let made = async {
            // A name is free again only when every replica is deleted.
            while create_topic(&*self.cluster, TOPIC, partitions).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within("the new topic", made).await;
    }

    /// One record whose value is this text, whatever it is. The books know nothing of it.
    pub async fn send_bytes(&self, partition: i32, value: &str) {
        let record = FutureRecord::<(), _>::to(TOPIC).partition(partition).payload(value);
        within("sending", self.producer.send(record, Duration::from_secs(60))).await.unwrap();
    }

    /// A single consumer of the topic that a rebalance and a death reach within seconds.
    pub fn member(&self, name: &str) -> ConsumerBuilder<Single, MessageDecoder> {
        let builder = SingleMessageConsumer::builder(self.bootstrap(), TOPIC);
        let mut builder = builder.group(&self.group).instance(name);
        quicken(builder.config_mut());
        builder
    }

    /// The same in batches.
    pub fn batch_member(&self, name: &str) -> ConsumerBuilder<Batches, MessageDecoder> {
        let builder = BatchMessageConsumer::builder(self.bootstrap(), TOPIC);
        let mut builder = builder.group(&self.group).instance(name);
        quicken(builder.config_mut());
        builder
    }

    /// Runs a member; the books are told what it tells, and compare what its handler is given.
    pub fn run<H, F>(&self, builder: ConsumerBuilder<Single, MessageDecoder>, handler: H) -> Watched
    where
        H: Fn(Given, Context) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let (books, group) = (Arc::clone(&self.books), builder.config().group.clone());
        let entering = move |message: Given, context: Context| {
            books.received(&group, &message);
            handler(message, context)
        };
        let (diary, stop) = (Arc::<Diary>::default(), CancellationToken::new());
        let tell = self.listener(builder.config(), &diary);
        let run = builder.on_event(tell).run(entering, stop.clone());
        Watched { diary, stop, run: tokio::spawn(run) }
    }

    /// Runs a member in batches; the handler answers message by message.
    pub fn run_batches(
        &self,
        builder: ConsumerBuilder<Batches, MessageDecoder>,
        answer: impl Fn(&Received<Message>, &Context) -> Answer + Send + Sync + 'static,
    ) -> Watched {
        let (books, group) = (Arc::clone(&self.books), builder.config().group.clone());
        let entering = move |batch: Arc<Batch<Message>>, context: Context| {
            let outcomes = batch.outcomes(|message| {
                books.received(&group, message);
                answer(message, &context)
            });
            std::future::ready(Ok::<Outcomes, Failure>(outcomes))
        };
        let (diary, stop) = (Arc::<Diary>::default(), CancellationToken::new());
        let tell = self.listener(builder.config(), &diary);
        let run = builder.on_event(tell).run(entering, stop.clone());
        Watched { diary, stop, run: tokio::spawn(run) }
    }

    /// Books and diary are told the same.
    fn listener(
        &self,
        config: &ConsumerConfig,
        diary: &Arc<Diary>,
    ) -> impl Fn(&ConsumerEvent) + Send + Sync + 'static {
        let books = self.books.listener(&config.group, &config.instance);
        let diary = Arc::clone(diary);
        move |event| {
            books(event);
            diary.0.lock().unwrap().push(event.clone());
        }
    }

    /// What the group has committed, partition by partition, where that is past the beginning. A member
    /// commits that it stands at 0 too.
    pub async fn committed(&self) -> BTreeMap<i32, i64> {
        let admin = admin(self.bootstrap()).unwrap();
        let offsets = within("offsets", admin.group_offsets(&self.group)).await.unwrap();
        admin.close().await;
        past_the_beginning(&offsets)
    }

    /// Waits until exactly this is committed, see [`committed`](Self::committed).
    pub async fn until_committed(&self, wanted: &BTreeMap<i32, i64>) {
        self.until_committed_by(&self.group, wanted).await;
    }

    /// The same of another group.
    pub async fn until_committed_by(&self, group: &str, wanted: &BTreeMap<i32, i64>) {
        let admin = admin(self.bootstrap()).unwrap();
        let same = async {
            loop {
                match admin.group_offsets(group).await {
                    Ok(offsets) if past_the_beginning(&offsets) == *wanted => return,
                    _ => {}
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within(&format!("the commit of {wanted:?}"), same).await;
        admin.close().await;
    }

    /// Reads the topic and tells the figures. Nothing may be lost, unhandled, passed over or out of its
    /// order, and at no moment may a commit have been ahead.
    pub async fn judge(&self, figures: &str) -> Judgement {
        self.judge_but_for(&[], figures).await
    }

    /// Reads the topic and tells what a control has done: it must have lost messages, and committed past them.
    pub async fn judge_careless(&self) {
        audit::enter(&self.books, self.bootstrap(), TOPIC).await.unwrap();
        let verdict = self.books.judge();
        eprintln!("{:?}, control: {verdict}", self.cluster.kind());
        assert!(0 < verdict.groups[0].lost && 0 < verdict.commits_ahead(), "{verdict}");
    }

    /// As [`judge`](Self::judge), where these are meant to be.
    pub async fn judge_but_for(&self, allowed: &[OffenceKind], figures: &str) -> Judgement {
        audit::enter(&self.books, self.bootstrap(), TOPIC).await.unwrap();
        let verdict = self.books.judge();
        let commits = verdict.groups[0].commits;
        let kind = self.cluster.kind();
        eprintln!("{kind:?}, {}: {figures}; {commits} commits, {verdict}", self.group);
        self.books.expect_holds_but_for(&verdict, allowed);
        verdict
    }
}

fn producer(bootstrap: &str) -> FutureProducer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .create()
        .unwrap()
}

fn past_the_beginning(offsets: &BTreeMap<TopicPartition, Offset>) -> BTreeMap<i32, i64> {
    let numbers = offsets.iter().map(|(at, offset)| (at.partition.0, offset.0));
    numbers.filter(|(_, offset)| 0 < *offset).collect()
}

/// Times that a scenario can wait for. 6 s is the shortest session that Apache Kafka allows.
fn quicken(config: &mut ConsumerConfig) {
    config.session_timeout = Duration::from_secs(6);
    config.heartbeat_interval = Duration::from_millis(300);
    config.poll_interval_max = Duration::from_secs(6);
    config.commit_interval = Duration::from_millis(100);
}

/// A member at work, and its diary. Dropped, its handlers are dropped with it, and it leaves the group.
#[derive(Debug)]
pub struct Watched {
    /// What it has told.
    pub diary: Arc<Diary>,
    stop: CancellationToken,
    run: JoinHandle<Result<ConsumeReport, ConsumeError>>,
}

impl Watched {
    /// Asks it to end, and waits until it has.
    pub async fn stop(self) -> ConsumeReport {
        self.stop.cancel();
        self.end().await
    }

    /// Asks it to end, and waits until it has, however that is: with brokers that don't answer its client
    /// may not be closed.
    pub async fn stop_somehow(mut self) -> ConsumeReport {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits until it ends by itself.
    pub async fn end(mut self) -> ConsumeReport {
        let report = self.ended().await;
        assert_eq!(report.closed, Closed::Clean);
        report
    }

    async fn ended(&mut self) -> ConsumeReport {
        within("the end of a member", &mut self.run).await.unwrap().unwrap()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.run.abort();
    }
}

/// Everything a member told, in order.
#[derive(Debug, Default)]
pub struct Diary(Mutex<Vec<ConsumerEvent>>);

impl Diary {
    /// What `pick` makes of each event.
    pub fn picked<T>(&self, pick: impl Fn(&ConsumerEvent) -> Option<T>) -> Vec<T> {
        self.0.lock().unwrap().iter().filter_map(pick).collect()
    }

    /// Offsets of this partition that were handled, in order.
    pub fn handled(&self, partition: i32) -> Vec<i64> {
        self.picked(|event| match event {
            ConsumerEvent::Handled { partition: of, offset, .. } if *of == at(partition) => {
                Some(offset.0)
            }
            _ => None,
        })
    }

    /// Offsets of this partition that the handler was called with, and which attempt it was.
    pub fn begun(&self, partition: i32) -> Vec<(i64, u32)> {
        self.picked(|event| match event {
            ConsumerEvent::HandlingStarted { partition: of, offset, attempt }
                if *of == at(partition) =>
            {
                Some((offset.0, *attempt))
            }
            _ => None,
        })
    }

    /// Positions of this partition past its beginning that the group has stored.
    pub fn committed(&self, partition: i32) -> Vec<i64> {
        self.picked(|event| match event {
            ConsumerEvent::Committed { partition: of, offset }
                if *of == at(partition) && 0 < offset.0 =>
            {
                Some(offset.0)
            }
            _ => None,
        })
    }

    /// The partitions it has, by what it said last; `None` before it has said anything.
    pub fn owned(&self) -> Option<Vec<i32>> {
        let owned = self.picked(|event| match event {
            ConsumerEvent::Assigned { owned, .. }
            | ConsumerEvent::Revoked { owned, .. }
            | ConsumerEvent::Lost { owned, .. } => {
                Some(owned.iter().map(|one| one.partition.0).collect())
            }
            _ => None,
        });
        owned.into_iter().next_back()
    }

    /// Rebalances that took partitions away.
    pub fn taken_away(&self) -> usize {
        let away = |event: &ConsumerEvent| {
            matches!(event, ConsumerEvent::Revoked { .. } | ConsumerEvent::Lost { .. })
        };
        self.picked(|event| away(event).then_some(())).len()
    }

    /// Messages that were handled after their partition had been taken away.
    pub fn too_late(&self) -> usize {
        let late = |event: &ConsumerEvent| matches!(event, ConsumerEvent::HandledTooLate { .. });
        self.picked(|event| late(event).then_some(())).len()
    }
}

/// A partition of the topic.
pub fn at(partition: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, PartitionId(partition))
}

/// A handler that takes everything.
pub fn take(_: Given, _: Context) -> std::future::Ready<Answer> {
    std::future::ready(Ok(()))
}

/// The partition and the offset of a message.
pub fn place(message: &Received<Message>) -> (i32, i64) {
    (message.partition().0, message.offset().0)
}
