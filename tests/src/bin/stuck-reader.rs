//! A consumer whose handlers never end, to see how much it takes in all the same:
//! `stuck-reader BOOTSTRAP TOPIC MEMORY_BYTES LANE_BYTES [HANDLERS]`: a message of each partition at a time, or by key with
//! so many handlers. Prints a line for each message that it has begun.
#![allow(clippy::print_stdout, reason = "a tool of the tests")]

use std::sync::Arc;

use anyhow::{Context as _, bail};
use kurier::{Concurrency, Context, Failure, RawDecoder, Received, SingleMessageConsumer};
use tokio_util::sync::CancellationToken;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, topic, memory, lane, handlers @ ..] = arguments.as_slice() else {
        bail!("BOOTSTRAP TOPIC MEMORY_BYTES LANE_BYTES [HANDLERS]");
    };
    // The bound may be exceeded by one fetch in each partition; 64 KiB make that small.
    let mut builder = SingleMessageConsumer::builder(bootstrap, topic)
        .group(format!("stuck-{}", std::process::id()))
        .decoder(RawDecoder)
        .property("max.partition.fetch.bytes", "65536");
    builder.config_mut().memory_bytes = memory.parse().context("MEMORY_BYTES")?;
    builder.config_mut().lane_bytes_max = lane.parse().context("LANE_BYTES")?;
    if let Some(handlers) = handlers.first() {
        builder = builder.concurrency(Concurrency::PerKey(handlers.parse().context("HANDLERS")?));
    }
    let never = |message: Arc<Received<bytes::Bytes>>, _: Context| {
        println!("{}", message.partition());
        std::future::pending::<Result<(), Failure>>()
    };
    builder.run(never, CancellationToken::new()).await?;
    Ok(())
}
