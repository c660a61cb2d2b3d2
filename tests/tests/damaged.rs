//! What a network or a disk has broken: it is fetched again, and nothing is passed over because of it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kurier::{
    Context, Ended, Failure, Message, MessageProducer, Offset, OnFailure, PartitionId, Received,
    SingleMessageConsumer, TopicPartition, TopicReader,
};
use kurier_broker::EmbeddedCluster;
use kurier_tests::waits::{until, within};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Message as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const TOPIC: &str = "orders";
/// What the message says that is to be broken, and at which offset it stands. Every message is a batch of its own.
const MARK: &str = "break this";
const MARKED: i64 = 4;
const MESSAGES: i64 = 8;
/// In a batch of one record (Kafka's protocol guide, "Record Batch"): where the batch's version is, where the record begins,
/// and where the value of a record with so many bytes and without a key begins in it.
const VERSION_AT: usize = 16;
const RECORD_AT: usize = 61;
const VALUE_AT: usize = 8;

/// A cluster of one node whose messages are there, and a relay that clients take for the node.
struct Scene {
    cluster: EmbeddedCluster,
    relay: Arc<Relay>,
    bootstrap: String,
}

/// Flips a bit in answers, `ahead` bytes before [`MARK`].
struct Relay {
    ahead: usize,
    /// So often still.
    left: AtomicU32,
}

impl Relay {
    async fn serve(self: Arc<Self>, listener: TcpListener, broker: String) {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let broker = TcpStream::connect(&broker).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_broker, mut to_broker) = broker.into_split();
            tokio::spawn(async move { copy(&mut from_client, &mut to_broker).await });
            let relay = Arc::clone(&self);
            tokio::spawn(async move {
                let mut bytes = vec![0; 1 << 20];
                while let Ok(count @ 1..) = from_broker.read(&mut bytes).await {
                    relay.damage(&mut bytes[..count]);
                    if to_client.write_all(&bytes[..count]).await.is_err() {
                        break;
                    }
                }
            });
        }
    }

    fn damage(&self, answer: &mut [u8]) {
        let marked = answer.windows(MARK.len()).position(|bytes| bytes == MARK.as_bytes());
        let Some(place) = marked.and_then(|at| at.checked_sub(self.ahead)) else { return };
        let one_less = |left: u32| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            answer[place] ^= 0x40;
        }
    }
}

impl Scene {
    /// Breaks the marked message so many times, `ahead` bytes before its mark.
    async fn set(ahead: impl FnOnce(&str) -> usize, times: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let builder = EmbeddedCluster::builder().nodes(1).topic(TOPIC, 1);
        let cluster = builder.advertise(1, "127.0.0.1", address.port()).start().await.unwrap();
        let marked = Message::new(format!("{MARK}, {}", "a long message ".repeat(30))).unwrap();
        let ahead = ahead(&marked.to_json().unwrap());
        let relay = Arc::new(Relay { ahead, left: AtomicU32::new(times) });
        tokio::spawn(Arc::clone(&relay).serve(listener, cluster.bootstrap()));
        let bootstrap = address.to_string();
        let producer = MessageProducer::builder(&*bootstrap).property("compression.type", "none");
        let producer = producer.build().await.unwrap();
        for number in 0..MESSAGES {
            let plain = Message::new("plain").unwrap();
            let message = if number == MARKED { &marked } else { &plain };
            producer.send(TOPIC, message).await.unwrap().await.unwrap();
        }
        Self { cluster, relay, bootstrap }
    }

    fn damaged(&self, times: u32) -> u32 {
        times - self.relay.left.load(Ordering::Relaxed)
    }
}

/// In the value, so that the batch's checksum is wrong.
fn in_the_value(_: &str) -> usize {
    0
}

/// The batch's version, so that it is of an unknown one.
fn in_the_version(json: &str) -> usize {
    RECORD_AT - VERSION_AT + VALUE_AT + json.find(MARK).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_broken_on_its_way_is_fetched_again_and_everything_is_handled_once() {
    for place in [in_the_value, in_the_version] {
        let scene = Scene::set(place, 2).await;
        let (seen, stop) = (Arc::<Mutex<Vec<i64>>>::default(), CancellationToken::new());
        let run = consumer(&scene, &seen, &stop);
        until("all are handled", || MESSAGES as usize <= seen.lock().unwrap().len()).await;
        stop.cancel();
        within("the end", run).await.unwrap().unwrap();
        assert_eq!(*seen.lock().unwrap(), (0..MESSAGES).collect::<Vec<_>>(), "each once, in order");
        assert_eq!(scene.damaged(2), 2);
        scene.cluster.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_broken_stops_its_partition_and_nothing_behind_it_is_handled() {
    for place in [in_the_value, in_the_version] {
        let scene = Scene::set(place, 1_000).await;
        let (seen, stop) = (Arc::<Mutex<Vec<i64>>>::default(), CancellationToken::new());
        let run = consumer(&scene, &seen, &stop);
        let report = within("the end", run).await.unwrap().unwrap();
        assert_eq!(report.ended, Ended::PartitionStopped);
        assert_eq!(*seen.lock().unwrap(), (0..MARKED).collect::<Vec<_>>());
        let stopped = &report.stopped[0];
        assert_eq!((stopped.offset.0, stopped.attempts), (MARKED, 5), "{stopped:?}");
        assert!(stopped.reason.starts_with("it can't be read: "), "{stopped:?}");
        let committed: Vec<i64> = report.committed.values().map(|offset| offset.0).collect();
        assert_eq!(committed, [MARKED]);
        scene.cluster.close().await;
    }
}

/// Whoever looks at a topic is told where it can't be read, and shown nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_ends_with_an_error_that_says_where_the_damage_is() {
    for place in [in_the_value, in_the_version] {
        let scene = Scene::set(place, 1).await;
        let all =
            [(TopicPartition::new(TOPIC, PartitionId(0)), (Offset(0), Some(Offset(MESSAGES))))];
        let reader = TopicReader::read(&kurier::ClientConfig::new(&*scene.bootstrap), all.into());
        let mut reader = reader.unwrap();
        for offset in 0..MARKED {
            assert_eq!(
                within("a record", reader.next()).await.unwrap().unwrap().offset().0,
                offset
            );
        }
        let error = within("an error", reader.next()).await.unwrap().unwrap_err();
        assert!(error.to_string().contains("orders[0] at offset 4"), "{error}");
        assert!(within("the end", reader.next()).await.is_none());
        within("close", reader.close()).await;
        scene.cluster.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_librdkafka_alone_passes_over_what_it_can_not_read() {
    let scene = Scene::set(in_the_version, 1_000).await;
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &scene.bootstrap)
        .set("group.id", "control")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    client.subscribe(&[TOPIC]).unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let mut offsets = Vec::new();
        while offsets.last() != Some(&(MESSAGES - 1)) {
            // What it says of the batch is not a message, nor is nothing for a while.
            if let Some(Ok(message)) = client.poll(Duration::from_secs(1)) {
                offsets.push(message.offset());
            }
        }
        offsets
    });
    let read = within("the last message", read).await.unwrap();
    assert_eq!(read, (0..MESSAGES).filter(|offset| *offset != MARKED).collect::<Vec<_>>());
    scene.cluster.close().await;
}

fn consumer(
    scene: &Scene,
    seen: &Arc<Mutex<Vec<i64>>>,
    stop: &CancellationToken,
) -> tokio::task::JoinHandle<Result<kurier::ConsumeReport, kurier::ConsumeError>> {
    let notes = Arc::clone(seen);
    let handler = move |message: Arc<Received<Message>>, _: Context| {
        notes.lock().unwrap().push(message.offset().0);
        std::future::ready(Ok::<(), Failure>(()))
    };
    let builder = SingleMessageConsumer::builder(&*scene.bootstrap, TOPIC);
    tokio::spawn(builder.on_failure(OnFailure::Exit).run(handler, stop.clone()))
}
