//! Sends a message and handles it. Needs a cluster: `kurier cluster run --topic python-topic`.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::sync::Arc;
use std::time::Duration;

use kurier::{
    Context, Failure, Message, MessageDecoder, MessageProducer, Received, SingleMessageConsumer,
};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let producer = MessageProducer::builder("localhost:9092").build().await?;
    let message = Message::new("hello")?.with_key("greetings");
    let receipt = producer.send("python-topic", &message).await?.await?;
    println!("delivered to partition {} at {:?}", receipt.partition, receipt.offset);
    assert!(producer.close(Duration::from_secs(10)).await.unsent.is_empty());

    let handler = |received: Arc<Received<Message>>, _: Context| async move {
        println!("{:?}", received.value().map(Message::content));
        Ok::<(), Failure>(()) // handled: may be committed. An error is retried, and never passed over.
    };
    let report = SingleMessageConsumer::builder("localhost:9092", "python-topic")
        .decoder(MessageDecoder::<String>::default())
        .exit_at_end(true)
        .run(handler, CancellationToken::new())
        .await?;
    println!("{} handled", report.handled);
    Ok(())
}
