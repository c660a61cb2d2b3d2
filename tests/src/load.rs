//! A load that enters everything in the books: many tasks, each with a key of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kurier::{Message, MessageProducer};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::books::Books;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many tasks, each with its key.
    pub keys: u64,
    /// Messages of each key at least.
    pub each: u64,
    /// The pause after each message of a key.
    pub pause: Duration,
}

/// A load under way.
#[derive(Debug)]
pub struct Running {
    tasks: JoinSet<anyhow::Result<()>>,
    enough: CancellationToken,
}

impl Load {
    /// Begins to send to `topic`. Goes on until [`finish`](Running::finish), and for `each` messages of
    /// each key in any case.
    pub fn start(
        self,
        producer: &Arc<MessageProducer>,
        topic: &str,
        books: &Arc<Books>,
    ) -> Running {
        let enough = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for key in 0..self.keys {
            let (producer, books) = (Arc::clone(producer), Arc::clone(books));
            let (topic, enough) = (topic.to_owned(), enough.clone());
            tasks.spawn(async move {
                let key = Bytes::from(format!("key {key}"));
                let mut deliveries = JoinSet::new();
                for number in 0.. {
                    if self.each <= number && enough.is_cancelled() {
                        break;
                    }
                    let message = Message::new(number.to_string())?.with_key(key.clone());
                    let id = message.id();
                    // Entered before it is sent: the answer may be faster than this task.
                    books.intended(&message)?;
                    let delivery = match producer.send(&topic, &message).await {
                        Ok(delivery) => delivery,
                        Err(error) => {
                            books.refused(id);
                            return Err(error.into());
                        }
                    };
                    books.sent(id);
                    let books = Arc::clone(&books);
                    deliveries.spawn(async move { books.settled(id, &delivery.await) });
                    tokio::time::sleep(self.pause).await;
                }
                while let Some(done) = deliveries.join_next().await {
                    done?;
                }
                Ok(())
            });
        }
        Running { tasks, enough }
    }
}

impl Running {
    /// Lets each task end when it has sent its part, and waits for every delivery.
    ///
    /// # Errors
    /// When a message was not accepted.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.enough.cancel();
        while let Some(task) = self.tasks.join_next().await {
            task??;
        }
        Ok(())
    }
}
