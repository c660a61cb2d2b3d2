//! A sender in this process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kurier::{Message, MessageProducer};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Wants;

/// A producer and the task that feeds it; dropped, the task is aborted.
#[derive(Debug)]
pub struct TaskSender {
    enough: CancellationToken,
    feeding: JoinHandle<anyhow::Result<()>>,
}

/// Longer than any fault lasts, since the default profile never gives up.
const LONGEST_DELIVERY: Duration = Duration::from_secs(180);

impl TaskSender {
    pub async fn start(wants: Wants) -> anyhow::Result<Self> {
        let producer = MessageProducer::builder(&*wants.bootstrap)
            .delivery(wants.sending.profile)
            .properties(wants.sending.properties.iter().copied())
            .build()
            .await?;
        let enough = CancellationToken::new();
        let until = enough.clone();
        let feeding = tokio::spawn(async move { feed(producer, &wants, &until).await });
        Ok(Self { enough, feeding })
    }

    pub fn runs(&self) -> anyhow::Result<()> {
        ensure!(!self.feeding.is_finished(), "it ended by itself");
        Ok(())
    }

    pub fn enough(&self) {
        self.enough.cancel();
    }

    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.enough();
        (&mut self.feeding).await?
    }
}

impl Drop for TaskSender {
    fn drop(&mut self) {
        self.feeding.abort();
    }
}

async fn feed(
    producer: MessageProducer,
    wants: &Wants,
    enough: &CancellationToken,
) -> anyhow::Result<()> {
    let Wants { topic, books, keys, .. } = wants;
    let mut deliveries = JoinSet::new();
    let mut clock = keys.clock();
    for round in 0_u64.. {
        if enough.run_until_cancelled(clock.tick()).await.is_none() {
            break;
        }
        for key in &keys.names {
            let message = Message::new(round.to_string())?.with_key(key.clone());
            let id = message.id();
            // Entered before it is sent: the answer may be faster than this task.
            books.intended(&message)?;
            let delivery = match producer.send(topic, &message).await {
                Ok(delivery) => delivery,
                Err(error) => {
                    books.refused(id);
                    return Err(error.into());
                }
            };
            books.sent(id);
            let books = Arc::clone(books);
            deliveries.spawn(async move { books.settled(id, &delivery.await) });
        }
        while let Some(done) = deliveries.try_join_next() {
            done?;
        }
    }
    let all = async {
        while let Some(done) = deliveries.join_next().await {
            done?;
        }
        Ok::<(), tokio::task::JoinError>(())
    };
    tokio::time::timeout(LONGEST_DELIVERY, all).await.context("deliveries do not end")??;
    let report = producer.close(Duration::from_secs(30)).await;
    ensure!(report.unsent.is_empty(), "unsent at the end: {:?}", report.unsent);
    Ok(())
}
