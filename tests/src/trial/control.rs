//! The control of the trial: what a careless producer loses.

use std::time::Duration;

use bytes::Bytes;
use kurier::{Message, NodeId, Offset, PartitionId, Receipt};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::audit;
use crate::books::Books;
use crate::cluster::{NODES, Role, TestCluster};

/// A producer that takes one replica's word.
struct Careless(FutureProducer);

/// How much is sent before, and how much after the followers stopped following.
const EACH: usize = 100;

/// Sends with `acks=1`, lets the followers stand still, sends more, kills the leader, and enters in the
/// books what is left.
///
/// # Errors
/// When the cluster does not do what is asked of it.
pub async fn careless_acks_1(
    cluster: &dyn TestCluster,
    topic: &str,
    books: &Books,
) -> anyhow::Result<NodeId> {
    let careless = Careless::new(cluster.bootstrap())?;
    careless.send(topic, books, EACH).await?;
    let doomed = crate::cluster::leader(cluster, topic, 0).await?;
    let followers = NODES.into_iter().filter(|node| *node != doomed);
    for follower in followers.clone() {
        cluster.pause(follower).await?;
    }
    careless.send(topic, books, EACH).await?;
    books.note("the leader is killed");
    cluster.kill(doomed).await?;
    for follower in followers {
        cluster.resume(follower).await?;
    }
    Role::Leader(topic.to_owned(), 0).passes_on(cluster, doomed).await?;
    audit::enter(books, cluster.bootstrap(), topic).await?;
    Ok(doomed)
}

impl Careless {
    fn new(bootstrap: &str) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        Ok(Self(config.set("bootstrap.servers", bootstrap).set("acks", "1").create()?))
    }

    async fn send(&self, topic: &str, books: &Books, count: usize) -> anyhow::Result<()> {
        let key = Bytes::from_static(b"key");
        for number in 0..count {
            let message = Message::new(number.to_string())?.with_key(key.clone());
            let json = message.to_json()?;
            books.intended(&message)?;
            books.sent(message.id());
            let record = FutureRecord::to(topic).partition(0).key(&key[..]).payload(&json);
            let sent = self.0.send(record, Duration::from_secs(30)).await;
            let place = sent.map_err(|(error, _)| error)?;
            let receipt = Receipt {
                topic: topic.into(),
                partition: PartitionId(place.partition),
                offset: Some(Offset(place.offset)),
                timestamp: None,
            };
            books.settled(message.id(), &Ok(receipt));
        }
        Ok(())
    }
}
