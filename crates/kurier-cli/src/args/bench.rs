//! What `kurier bench` takes: what is sent, where, and how it is told.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use kurier::OutboxSync;

use super::outbox::sync;
use super::{Delivery, duration, some};

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Send messages, and count those that all in-sync replicas have acknowledged
    Produce(BenchProduceArgs),
    /// Handle and commit what is in a topic, in a group that is new and deleted afterwards
    Consume(BenchConsumeArgs),
    /// Send at a rate, handle, and measure from the time each message was to be sent until it is handled
    E2e(E2eArgs),
    /// Beside other people's tools, in turns, on the same cluster with the same settings
    Compare(CompareArgs),
}

/// What is sent.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// How many messages [default: 100000, or as many as --for has time for]
    #[arg(long, value_name = "N", conflicts_with = "length",
        value_parser = clap::value_parser!(u64).range(1..))]
    pub messages: Option<u64>,
    /// Send for so long instead
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub length: Option<Duration>,
    /// Bytes of a message's value, in all
    #[arg(long, value_name = "BYTES", default_value_t = 200,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub size: usize,
    /// Keys, in turn: key-1 to key-N; without, messages have none
    #[arg(long, value_name = "N", value_parser = some)]
    pub keys: Option<NonZeroU64>,
    /// kurier's messages, in JSON, instead of bare bytes
    #[arg(long)]
    pub typed: bool,
    /// How much of each payload is the same in all of them, for codecs to find; the rest is random
    #[arg(long, value_name = "PERCENT", default_value_t = 0,
        value_parser = clap::value_parser!(u8).range(0..=100))]
    pub compressible: u8,
    /// Other payloads for another number
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// Where to.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// A topic that is there [default: a new one, kurier-bench-…, which is deleted afterwards]
    #[arg(long, value_name = "TOPIC", conflicts_with_all = ["partitions", "keep"])]
    pub topic: Option<String>,
    /// Partitions of the new topic; it has as many replicas as there are brokers, up to three
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    pub partitions: u32,
    /// Leave the new topic there
    #[arg(long)]
    pub keep: bool,
}

/// Where it writes.
#[derive(Debug, Args)]
pub struct TargetArgs {
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Add to --topic though it has messages
    #[arg(long, requires = "topic")]
    pub add: bool,
}

/// How it is told.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Time between two lines of figures: as Kafka's perf tests print them, or with -o json an object each
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub every: Duration,
    /// A folder for windows.ndjson, with these figures, and result.json, with all there is to say
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct BenchProduceArgs {
    #[command(flatten)]
    pub load: LoadArgs,
    /// Messages a second, whatever becomes of those before; latency counts from when each was due
    /// [default: as fast as they are taken]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// Send for so long before anything is measured
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub warm_up: Duration,
    /// How messages are retried
    #[arg(long, default_value = "default")]
    pub delivery: Delivery,
    /// Keep messages on disk until they are delivered: in a new folder in this one, removed afterwards
    #[arg(long, value_name = "DIR")]
    pub outbox: Option<PathBuf>,
    /// When an accepted message is durable, as `kurier produce` says it
    #[arg(long, value_name = "always|TIME|never", default_value = "always", requires = "outbox",
        value_parser = sync)]
    pub outbox_sync: OutboxSync,
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub report: ReportArgs,
}

#[derive(Debug, Args)]
pub struct BenchConsumeArgs {
    /// What a new topic is filled with first, which is not measured
    #[command(flatten)]
    pub load: LoadArgs,
    /// In batches of up to so many, instead of one by one
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub batch: Option<usize>,
    /// A batch goes to the handler when its first message has waited this long
    #[arg(long, value_name = "TIME", default_value = "50ms", requires = "batch", value_parser = duration)]
    pub batch_wait: Duration,
    /// Up to so many handlers at once, as `kurier consume single` says it, instead of one a partition
    #[arg(long, value_name = "N", conflicts_with = "batch",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub concurrency: Option<usize>,
    /// How long a handler's call takes, not using the processor
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub work: Duration,
    /// Messages in --topic are read where they are; nothing is added
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub report: ReportArgs,
}

#[derive(Debug, Args)]
pub struct E2eArgs {
    #[command(flatten)]
    pub load: LoadArgs,
    /// Messages a second, whatever becomes of those before
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: u64,
    /// How long a handler's call takes, not using the processor
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub work: Duration,
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub report: ReportArgs,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Messages of each run
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
        value_parser = clap::value_parser!(u64).range(1..=2_147_483_647))]
    pub messages: u64,
    /// Bytes of a message's value, in all
    #[arg(long, value_name = "BYTES", default_value_t = 200,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub size: usize,
    /// How often each has its turn; the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Partitions of each topic
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    pub partitions: u32,
    /// The codec of all: none, lz4, zstd, gzip or snappy. rdkafka_performance sends one message over and
    /// over, which compresses to nothing: with a codec compare only the others
    #[arg(long, value_name = "CODEC", default_value = "none",
        value_parser = ["none", "lz4", "zstd", "gzip", "snappy"])]
    pub compression: String,
    /// How long a batch waits for more messages
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = duration)]
    pub linger: Duration,
    /// Only these contestants, by a part of their names; may be repeated
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// rdkafka_performance, librdkafka's own tool; bench/peer.sh builds it [default: the one on PATH, or
    /// beside this program]
    #[arg(long, value_name = "FILE")]
    pub rdkafka_performance: Option<PathBuf>,
    /// Kafka: its folder with bin/, or a folder with its jars, which needs java [default: its perf tests
    /// on PATH]
    #[arg(long, value_name = "DIR")]
    pub kafka: Option<PathBuf>,
    /// A Python that has confluent-kafka and kafka-python
    #[arg(long, value_name = "FILE", default_value = "python3")]
    pub python: PathBuf,
    /// Where result.json goes; what an earlier run left there is replaced
    #[arg(long, value_name = "DIR", default_value = "kurier-bench")]
    pub out: PathBuf,
}
