//! A consumer that handles many keys of a partition at once, each message for a random time, to be killed:
//! `keyed-reader BOOTSTRAP TOPIC GROUP CALLS SEED [careless]`. Prints `PARTITION OFFSET` for each message
//! that it has handled; ends by itself at the end of the topic. `careless` is the control: librdkafka alone,
//! which commits past the highest offset that is handled.
#![allow(clippy::print_stdout, reason = "a tool of the tests")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use kurier::{Concurrency, Context, Failure, RawDecoder, Received, SingleMessageConsumer};
use kurier_tests::random::Random;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Longest time that a message is handled.
const LONGEST: Duration = Duration::from_millis(20);
/// Between two commits, so that every life has some.
const COMMIT_EVERY: Duration = Duration::from_millis(20);

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (careless, arguments) = match arguments.as_slice() {
        [most @ .., last] if last == "careless" => (true, most),
        all => (false, all),
    };
    let [bootstrap, topic, group, calls, seed] = arguments else {
        bail!("BOOTSTRAP TOPIC GROUP CALLS SEED [careless]");
    };
    let calls: usize = calls.parse().context("CALLS")?;
    let seed: u64 = seed.parse().context("SEED")?;
    if careless {
        return commits_the_highest(bootstrap, topic, group, calls, seed).await;
    }
    let mut builder = SingleMessageConsumer::builder(bootstrap, topic)
        .group(group)
        .instance("reader")
        // The next life need not wait until this one is missed.
        .static_membership(true)
        .decoder(RawDecoder)
        .concurrency(Concurrency::PerKey(calls))
        .exit_at_end(true);
    builder.config_mut().commit_interval = COMMIT_EVERY;
    let handler = move |message: Arc<Received<Bytes>>, _: Context| {
        let (partition, offset) = (message.partition().0, message.offset().0);
        async move {
            tokio::time::sleep(time_of(seed, partition, offset)).await;
            println!("{partition} {offset}");
            Ok::<(), Failure>(())
        }
    };
    builder.run(handler, CancellationToken::new()).await?;
    Ok(())
}

fn time_of(seed: u64, partition: i32, offset: i64) -> Duration {
    let place = u64::from(partition.unsigned_abs()) << 40 | offset.unsigned_abs();
    let longest = u64::try_from(LONGEST.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(Random::new(seed ^ place.rotate_left(17)).below(longest))
}

/// As many at once, whatever their keys, and the offset after whichever is done is committed.
async fn commits_the_highest(
    bootstrap: &str,
    topic: &str,
    group: &str,
    calls: usize,
    seed: u64,
) -> anyhow::Result<()> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("group.instance.id", "reader")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[topic])?;
    let (consumer, turns) = (Arc::new(consumer), Arc::new(Semaphore::new(calls)));
    let highest = Arc::<std::sync::Mutex<HashMap<i32, i64>>>::default();
    let (committing, done) = (Arc::clone(&consumer), Arc::clone(&highest));
    let name = topic.to_owned();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(COMMIT_EVERY).await;
            let mut list = TopicPartitionList::new();
            for (partition, offset) in done.lock().expect("whole").iter() {
                let next = Offset::Offset(offset + 1);
                list.add_partition_offset(&name, *partition, next).expect("an offset");
            }
            // Before the group is joined, it can't; that is said again a moment later.
            let _ = committing.commit(&list, CommitMode::Sync);
        }
    });
    loop {
        let Ok(message) = consumer.recv().await else { continue };
        let (partition, offset) = (message.partition(), message.offset());
        let (turn, highest) = (Arc::clone(&turns).acquire_owned().await?, Arc::clone(&highest));
        tokio::spawn(async move {
            tokio::time::sleep(time_of(seed, partition, offset)).await;
            println!("{partition} {offset}");
            let mut highest = highest.lock().expect("whole");
            let known = highest.entry(partition).or_insert(offset);
            *known = offset.max(*known);
            drop(turn);
        });
    }
}
