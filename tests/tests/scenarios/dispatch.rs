//! What the scenarios of producers share: one producer beside its books, a cluster that falls silent,
//! and the faults that only the embedded cluster has on request.

use std::sync::Arc;
use std::time::Duration;

use kurier::{
    Delivery, HealthHandle, Judgement, Message, MessageProducer, NodeId, OffenceKind,
    ProducerBuilder, ProducerEvent, SendError,
};
use kurier_broker::Faults;
use kurier_tests::audit::{self, Found};
use kurier_tests::books::Books;
use kurier_tests::cluster::{Kind, NODES, TestCluster, cluster, create_topic, wait_until_in_sync};
use kurier_tests::proxy::Proxy;

use crate::within;

pub const TOPIC: &str = "orders";
pub const LIMIT_TO_CLOSE: Duration = Duration::from_secs(60);

/// Why a scenario of a fault on request is not run on Apache Kafka.
pub const NO_FAULTS: &str = "Apache Kafka gives no such answer on request";

/// One producer, its cluster, and the books of what it was given.
pub struct Dispatch {
    pub cluster: Box<dyn TestCluster>,
    /// Before the nodes, where clients were asked to come through one.
    pub proxy: Option<Proxy>,
    pub books: Arc<Books>,
    pub producer: Arc<MessageProducer>,
    pub health: HealthHandle,
    pub events: Events,
}

/// What a producer told, in order.
#[derive(Clone, Default)]
pub struct Events(Arc<std::sync::Mutex<Vec<ProducerEvent>>>);

impl Events {
    /// How many of these it told so far.
    pub fn count(&self, which: impl Fn(&ProducerEvent) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| which(event)).count()
    }

    fn listener(&self) -> impl Fn(&ProducerEvent) + Send + Sync + 'static {
        let Self(events) = self.clone();
        move |event| events.lock().unwrap().push(event.clone())
    }
}

impl Dispatch {
    /// The topic with so many partitions, and a producer that is `adjusted`.
    pub async fn set(
        partitions: u32,
        adjusted: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
    ) -> Self {
        let cluster = cluster().await.unwrap();
        create_topic(&*cluster, TOPIC, partitions).await.unwrap();
        Self::on(cluster, None, adjusted).await
    }

    /// The same through a proxy, where the cluster has addresses for one.
    pub async fn behind_a_proxy(
        partitions: u32,
        adjusted: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
    ) -> Self {
        let cluster = cluster().await.unwrap();
        create_topic(&*cluster, TOPIC, partitions).await.unwrap();
        let proxy = match cluster.kind() {
            Kind::Embedded => None,
            Kind::ApacheKafka => Some(Proxy::start(cluster.routes()).await.unwrap()),
        };
        Self::on(cluster, proxy, adjusted).await
    }

    /// The same on a cluster with faults on request. `None`, and said so, where it has none.
    pub async fn with_faults(
        partitions: u32,
        adjusted: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
    ) -> Option<(Self, Faults)> {
        let cluster = cluster().await.unwrap();
        let Some(faults) = cluster.faults() else {
            crate::not_run(NO_FAULTS);
            return None;
        };
        create_topic(&*cluster, TOPIC, partitions).await.unwrap();
        Some((Self::on(cluster, None, adjusted).await, faults))
    }

    /// The same with a topic that is there already.
    pub async fn on(
        cluster: Box<dyn TestCluster>,
        proxy: Option<Proxy>,
        adjusted: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
    ) -> Self {
        let books = Arc::new(Books::new(&[]));
        let (events, settling) = (Events::default(), Arc::clone(&books));
        let bootstrap = proxy.as_ref().map_or_else(|| cluster.bootstrap().into(), Proxy::bootstrap);
        // Settled by what the producer reports, so that a delivery that nobody awaits has its outcome too.
        let builder = adjusted(MessageProducer::builder(bootstrap))
            .on_event(events.listener())
            .on_delivery(move |report| {
                if let Some(id) = report.id {
                    settling.settled(id, &report.outcome);
                }
            });
        let health = builder.health();
        let producer = Arc::new(builder.build().await.unwrap());
        Self { cluster, proxy, books, producer, health, events }
    }

    /// Where clients come to the cluster: through the proxy, if there is one.
    pub fn bootstrap(&self) -> String {
        let direct = || self.cluster.bootstrap().to_owned();
        self.proxy.as_ref().map_or_else(direct, Proxy::bootstrap)
    }

    /// Sends one message, and enters it in the books.
    pub async fn send(&self, key: &str, content: &str) -> Result<Delivery, SendError> {
        let message = Message::new(content).unwrap().with_key(key.to_owned());
        self.send_message(&message).await
    }

    /// The same with a message that is there already.
    pub async fn send_message(&self, message: &Message) -> Result<Delivery, SendError> {
        self.books.intended(message).unwrap();
        let sent = within("accepting", self.producer.send(TOPIC, message)).await;
        match &sent {
            Ok(_) => self.books.sent(message.id()),
            Err(_) => self.books.refused(message.id()),
        }
        sent
    }

    /// Sends these numbers with one key, none of them awaited.
    pub async fn send_all(&self, key: &str, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            // Its outcome goes to the books.
            drop(self.send(key, &number.to_string()).await.unwrap());
        }
    }

    /// Closes the producer, which must have delivered everything, reads the topic, and judges.
    pub async fn finish(self, figures: &str) -> (Judgement, Vec<Found>) {
        let closing = self.producer.close(LIMIT_TO_CLOSE);
        let report = within("close", closing).await;
        assert_eq!(report.unsent, [], "unsent");
        self.judge(figures).await
    }

    /// Reads the topic, and judges.
    pub async fn judge(&self, figures: &str) -> (Judgement, Vec<Found>) {
        judge(&*self.cluster, &self.books, figures).await
    }
}

/// Reads the topic, tells the figures, and judges. What is written again is allowed, and told.
pub async fn judge(
    cluster: &dyn TestCluster,
    books: &Books,
    figures: &str,
) -> (Judgement, Vec<Found>) {
    let found = audit::enter(books, cluster.bootstrap(), TOPIC).await.unwrap();
    let verdict = books.judge();
    eprintln!("{:?}: {figures}; {verdict}", cluster.kind());
    books.expect_holds(&verdict);
    (verdict, found)
}

/// No node answers any more: on Apache Kafka they are frozen, with their sockets open; those of the
/// embedded cluster die.
pub async fn silence(cluster: &dyn TestCluster) {
    for node in NODES {
        match cluster.kind() {
            Kind::ApacheKafka => cluster.pause(node).await.unwrap(),
            Kind::Embedded => cluster.kill(node).await.unwrap(),
        }
    }
}

/// All nodes are back from [`silence`], and in sync.
pub async fn end_silence(cluster: &dyn TestCluster) {
    match cluster.kind() {
        Kind::ApacheKafka => resume(cluster, &NODES).await,
        Kind::Embedded => cluster.start_all().await.unwrap(),
    }
    within("in sync", wait_until_in_sync(cluster)).await.unwrap();
}

/// These nodes go on.
pub async fn resume(cluster: &dyn TestCluster, nodes: &[NodeId]) {
    for &node in nodes {
        cluster.resume(node).await.unwrap();
    }
}

/// What a judgement says of records that stand in the log again or behind a later one of their key.
pub fn again_or_out_of_order(verdict: &Judgement) -> u64 {
    verdict.count(OffenceKind::WrittenAgain) + verdict.count(OffenceKind::WrittenOutOfOrder)
}
