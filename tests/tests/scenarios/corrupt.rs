//! The control of the check for corruption: what is sent is not what was meant.

use std::sync::Arc;

use bytes::Bytes;
use kurier::{Judgement, Message, MessageProducer, OffenceKind, OutgoingRecord};
use kurier_tests::audit;
use kurier_tests::books::Books;
use kurier_tests::cluster::{cluster, create_topic};

use crate::{handle_all, within};

const TOPIC: &str = "orders";
const GROUP: &str = "readers";
const CONTENT: &str = "weather";

/// Sends messages as they were entered, but for `mask`, which flips bits of one of them, where it can
/// still be read.
async fn sent_and_read(mask: u8) -> (Arc<Books>, Judgement) {
    let cluster = cluster().await.unwrap();
    create_topic(&*cluster, TOPIC, 1).await.unwrap();
    let books = Arc::new(Books::named(&format!("flipped by {mask}"), &[GROUP]));
    let producer = MessageProducer::builder(cluster.bootstrap()).build().await.unwrap();
    for number in 0..20 {
        let message = Message::new(CONTENT).unwrap().with_key("key");
        books.intended(&message).unwrap();
        let mut value = message.to_json().unwrap();
        if number == 7 {
            let first = char::from(CONTENT.as_bytes()[0] ^ mask);
            value = value.replace(CONTENT, &format!("{first}{}", &CONTENT[1..]));
        }
        let (key, value) = (Some(Bytes::from_static(b"key")), Some(value.into()));
        let record = OutgoingRecord { key, value, ..OutgoingRecord::default() };
        let delivery = producer.send_record(TOPIC, &record).await.unwrap();
        books.settled(message.id(), &within("delivery", delivery).await);
    }
    audit::enter(&books, cluster.bootstrap(), TOPIC).await.unwrap();
    handle_all(cluster.bootstrap(), TOPIC, GROUP, &books).await;
    let verdict = books.judge();
    eprintln!("{:?}, a byte flipped by {mask}: {verdict}", cluster.kind());
    (books, verdict)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_flipped_byte_is_seen_as_corrupt() {
    let (_, verdict) = sent_and_read(1).await;
    let broken: Vec<OffenceKind> = verdict.broken().collect();
    assert_eq!((broken, verdict.corrupt), (vec![OffenceKind::Corrupt], 1), "{verdict}");
    let (books, verdict) = sent_and_read(0).await;
    books.expect_holds(&verdict);
}
