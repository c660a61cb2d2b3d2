//! The command line, as clap reads it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit::{self, UsageError};
use crate::settings::Settings;

mod bench;
mod dashboard;
mod dlq;
mod handle;
mod operate;
mod outbox;

pub use bench::{
    BenchCommand, BenchConsumeArgs, BenchProduceArgs, CompareArgs, E2eArgs, LoadArgs, PlaceArgs,
    ReportArgs,
};
pub use dashboard::DashboardArgs;
pub use dlq::{By, DlqCommand, Form, ListArgs, ReplayArgs, ShowArgs};
pub use handle::HandleArgs;
pub use operate::{AlterArgs, Chosen, CreateArgs, DescribeArgs, Place, ResetArgs, Watch};
pub use outbox::{OutboxArgs, OutboxCommand, RejectsArgs};

/// At-least-once messaging on Apache Kafka.
#[derive(Debug, Parser)]
#[command(name = "kurier", version, about, after_help = exit::help(), max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes. Where it is not given, [`Settings`] says what is in its place.
#[derive(Debug, Args)]
pub struct Global {
    /// The cluster: HOST:PORT, several with commas between [env: KURIER_BOOTSTRAP] [default:
    /// localhost:9092]
    #[arg(short, long, global = true, value_name = "HOST:PORT")]
    pub bootstrap: Option<String>,
    /// The profile of kurier.toml to take; an empty name is none [env: KURIER_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// One of librdkafka's properties; those that break the promise are refused, and so are secrets
    #[arg(short = 'X', long = "property", global = true, value_name = "KEY=VALUE")]
    pub given: Vec<String>,
    /// A file of such properties, one KEY=VALUE a line, # begins a comment; -b and -X win over it
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How results are printed
    #[arg(short, long, global = true, default_value = "table")]
    pub output: Output,
    /// How long to wait for the cluster [default: 10s; produce, consume and outbox drain wait for ever]
    #[arg(long, global = true, value_name = "TIME", value_parser = patience)]
    pub timeout: Option<Duration>,
    /// Say more on standard error; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// No live line of counters; there is none either where standard error is no terminal
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// How standard error is written
    #[arg(long, global = true, default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What is in effect, of all places where settings are.
    #[arg(skip)]
    pub settings: Settings,
    /// What of certificates is checked.
    #[arg(skip)]
    pub verify: kurier::Verify,
}

impl Global {
    /// Reads the environment and the files of settings.
    ///
    /// # Errors
    /// What makes no sense in them, with file and line.
    pub fn settle(&mut self) -> Result<(), UsageError> {
        self.settings = Settings::read(self)?;
        self.settings.check_bootstrap()?;
        self.timeout = self.settings.timeout()?;
        self.verify = self.settings.verify()?;
        Ok(())
    }

    /// The cluster's addresses.
    pub fn bootstrap(&self) -> &str {
        self.settings.bootstrap_or_default()
    }

    /// How long an admin command waits.
    pub fn admin_timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(10))
    }

    /// For the library's clients.
    pub fn client(&self) -> kurier::ClientConfig {
        let mut config = kurier::ClientConfig::new(self.bootstrap());
        config.properties = self.settings.properties().into_iter().collect::<BTreeMap<_, _>>();
        config.security.verify = self.verify;
        config
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// One JSON object, or one a line
    Json,
}

/// How standard error is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// A cluster, a producer and consumers, a broker killed under load, and a verdict on every message;
    /// with --bootstrap on that cluster, else on an embedded one
    Demo(DemoArgs),
    /// The embedded cluster and its nodes
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Topics: create, list, describe, alter, delete, tail
    #[command(subcommand)]
    Topic(TopicCommand),
    /// Send messages: from files, from standard input, or samples
    Produce(ProduceArgs),
    /// Messages that wait on disk: status, drain, verify; those that no broker took: rejected, retry, discard
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// Print messages as they are handled, or hand them to a command or a webhook, and commit what was
    /// printed or handled
    // Whoever leaves out the kind sees the whole of it.
    #[command(
        subcommand,
        override_usage = "kurier consume single [OPTIONS] <TOPICS>...\n       \
        kurier consume batch [OPTIONS] <TOPICS>..."
    )]
    Consume(ConsumeCommand),
    /// Dead letters, the messages that consumers gave up: list, show, replay
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// Ask a produce or consume that runs with --metrics how it is: exit code 10 when it says no
    #[command(
        subcommand,
        override_usage = "kurier probe live [OPTIONS] <HOST:PORT>\n       \
        kurier probe ready [OPTIONS] <HOST:PORT>"
    )]
    Probe(ProbeCommand),
    /// Consumer groups: list, describe, lag, reset, delete
    #[command(subcommand)]
    Group(GroupCommand),
    /// What endangers at-least-once in a cluster, a topic, its groups and this client, and how to mend it
    #[command(after_long_help = crate::commands::doctor::help())]
    Doctor(DoctorArgs),
    /// A page that shows the cluster, its topics and groups, messages, dead letters and kurier's own clients,
    /// and stays up when brokers don't
    Dashboard(DashboardArgs),
    /// How fast: messages acknowledged, messages handled, the way from end to end, and beside other
    /// people's tools
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Profiles of kurier.toml, and which settings are in effect
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version, and that of librdkafka
    Version,
}

/// Needs no cluster: what a container's health check runs.
#[derive(Debug, Subcommand)]
pub enum ProbeCommand {
    /// Whether it should be left alone
    Live {
        /// Where it serves its health
        #[arg(value_name = "HOST:PORT", value_parser = address)]
        address: String,
    },
    /// Whether it does its work
    Ready {
        /// Where it serves its health
        #[arg(value_name = "HOST:PORT", value_parser = address)]
        address: String,
    },
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How long messages are sent
    #[arg(long = "for", value_name = "TIME", default_value = "17s", value_parser = duration)]
    pub length: Duration,
    /// Leave the cluster and the dashboard running afterwards, or the topic on your own cluster
    #[arg(long)]
    pub keep: bool,
    /// Where the dashboard listens; without it 127.0.0.1:8080, or a free port where that is taken
    #[arg(long, value_name = "HOST:PORT", value_parser = address,
        conflicts_with = "no_dashboard")]
    pub listen: Option<String>,
    /// Start no dashboard
    #[arg(long)]
    pub no_dashboard: bool,
    /// The control: acks=1 and followers that stopped following; must end with loss
    #[arg(long, hide = true)]
    pub control: bool,
}

#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Run an embedded cluster in memory until stopped
    Run {
        /// How many nodes, 1 to 9
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
        nodes: u16,
        /// The first node's port, the others follow it; 0 takes free ones
        #[arg(long, default_value_t = 9092)]
        port: u16,
        /// A topic to begin with; may be repeated
        #[arg(long = "topic", value_name = "NAME[:PARTITIONS]")]
        topics: Vec<String>,
        /// Megabytes that each partition keeps; then its oldest messages go
        #[arg(long, value_name = "MB", default_value_t = 256,
            value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
        memory: usize,
    },
    /// Kill a node: its sockets die at once
    Kill {
        /// The node's number, from 1
        #[arg(value_parser = node)]
        node: i32,
    },
    /// Stop a node: it hands over what it leads first
    Stop {
        /// The node's number, from 1
        #[arg(value_parser = node)]
        node: i32,
    },
    /// Start a node that was killed or stopped
    Start {
        /// The node's number, from 1
        #[arg(value_parser = node)]
        node: i32,
    },
    /// The nodes, of any Kafka
    Info,
    /// Whether every partition has a leader and all its replicas; exit code 10 when not
    Health {
        /// Print it whenever it changes, until stopped
        #[arg(short, long)]
        watch: bool,
        /// The same until it is healthy; --timeout says how long at most, by default for ever
        #[arg(short, long)]
        exit_when_healthy: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// Create a topic
    Create(CreateArgs),
    /// List topics
    List,
    /// Partitions, leaders, replicas, offsets and health of topics
    Describe(DescribeArgs),
    /// Give a topic more partitions, or other settings
    Alter(AlterArgs),
    /// Delete a topic and everything in it
    Delete {
        /// The topic
        name: String,
    },
    /// Print the messages of a topic as they come, without a group: nothing is committed
    Tail {
        /// The topic
        name: String,
        /// Where to begin: earliest, latest, or an RFC 3339 time
        #[arg(long, default_value = "latest", value_parser = from)]
        from: kurier::StartFrom,
        /// What the values are; one that is something else is printed as it is
        #[arg(long, default_value = "message")]
        decode: Decode,
        /// Leave at the end that the topic has now
        #[arg(long)]
        exit_at_end: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// List groups
    List,
    /// Per partition what is committed, the end, the lag, and who has it
    Describe {
        /// The group
        group: String,
    },
    /// The lag in all, with -o json per partition too; exit code 0 however large it is. Partitions
    /// without a commit are not in it, and are named
    Lag {
        /// The group
        group: String,
        #[command(flatten)]
        watch: Watch,
    },
    /// Let a group go on elsewhere: shows what would change, and changes it with --execute
    Reset(ResetArgs),
    /// Delete groups without members, and all they have committed
    Delete {
        /// The groups
        #[arg(required = true, value_name = "GROUP")]
        groups: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The topic [default: all]
    pub topic: Option<String>,
    /// A group to look at; may be repeated [default: all that have to do with the topic]
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// How many instances are to share the topic [default: the members that are there]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub instances: Option<u16>,
    /// End with 1 for a warning, and for what could not be checked, too
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// List profiles, and the file of each
    List,
    /// The settings in effect and where each is from; secrets are not shown
    Show,
}

#[derive(Debug, Args)]
pub struct ProduceArgs {
    /// The topic to send to
    pub topic: String,
    /// Files to read; - is standard input, and so is none
    pub files: Vec<PathBuf>,
    /// What a line of input is; an empty one is nothing
    #[arg(long, default_value = "lines")]
    pub input: Input,
    /// With ndjson, and only there: the field whose value is the key
    #[arg(long, value_name = "FIELD")]
    pub key: Option<String>,
    /// What comes before this on a line is the key
    #[arg(long, value_name = "TEXT", conflicts_with = "key",
        value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub key_delimiter: Option<String>,
    /// Make sample messages instead of reading: this many, or `endless`, until stopped
    #[arg(long, value_name = "N", value_parser = sample,
        conflicts_with_all = ["files", "key", "key_delimiter"])]
    pub sample: Option<Sample>,
    /// Keys of the samples, in turn: key-1 to key-N; without, they have none
    #[arg(long, value_name = "N", requires = "sample", value_parser = some)]
    pub sample_keys: Option<NonZeroU64>,
    /// Wait for the topic until someone creates it, instead of failing when it is not there
    #[arg(long)]
    pub wait_for_topic: bool,
    /// At most this many messages a second
    #[arg(long, value_name = "N", value_parser = some)]
    pub rate: Option<NonZeroU64>,
    /// How messages are retried
    #[arg(long, default_value = "default")]
    pub delivery: Delivery,
    #[command(flatten)]
    pub outbox: OutboxArgs,
    /// What to print of deliveries: nothing, a summary, a JSON line for each; with an outbox also a line
    /// for each message that is safe on disk
    #[arg(long, default_value = "summary")]
    pub report: ReportKind,
    /// Serve health and metrics over HTTP there: /livez, /readyz and /metrics; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub metrics: Option<String>,
}

/// How many samples are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    Count(u64),
    Endless,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Input {
    /// A line is the content of a new message
    Lines,
    /// A line is a whole message, or any JSON that becomes the content of a new one
    Ndjson,
    /// A line's bytes are the value as they are
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Delivery {
    /// Idempotent, retried until delivered
    Default,
    /// acks=all, retries=5, retry.backoff.ms=1000, one request in flight
    OneInFlight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportKind {
    None,
    Summary,
    Each,
}

#[derive(Debug, Subcommand)]
pub enum ConsumeCommand {
    /// One message at a time, in group single_message_group_1
    Single {
        #[command(flatten)]
        consume: ConsumeArgs,
        /// Handle so many messages at once, each key in order, instead of one of each partition. Messages
        /// without a key are in order among themselves, so one at a time
        #[arg(long, value_name = "N")]
        concurrency: Option<usize>,
    },
    /// In batches, in group batch_message_group_1
    Batch {
        #[command(flatten)]
        consume: ConsumeArgs,
        /// A batch is full with this many messages
        #[arg(long, value_name = "N", default_value_t = 100,
            value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
        batch_size: usize,
        /// Or when its first message has waited this long
        #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
        batch_wait: Duration,
        /// Refused, for clap would take it for a value of something else
        #[arg(long, hide = true, value_name = "N", value_parser = not_of_batches)]
        concurrency: Option<Infallible>,
    },
}

#[derive(Debug, Args)]
pub struct ConsumeArgs {
    /// The topics
    #[arg(required = true)]
    pub topics: Vec<String>,
    /// The group; its instances share the partitions
    #[arg(long)]
    pub group: Option<String>,
    /// This instance's name [default: the host's name]
    #[arg(long)]
    pub instance: Option<String>,
    /// Be a static member under the name of --instance: a restart costs no rebalance
    #[arg(long = "static", visible_alias = "static-membership", requires = "instance")]
    pub static_membership: bool,
    /// Time between two commits of what is handled [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub commit_interval: Option<Duration>,
    /// Leave, with exit code 10, after so long without reading though there is more [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub stall_after: Option<Duration>,
    /// Attempts at a message before it is given up [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub retries: Option<u32>,
    /// Where messages go that can't be handled or read, as they are, with headers that say why. Without,
    /// their partition stops
    #[arg(long, value_name = "TOPIC")]
    pub dead_letter: Option<String>,
    /// Create the dead-letter topic if it is not there: like the topic that is consumed, and without an
    /// end of retention
    #[arg(long, requires = "dead_letter")]
    pub create_dead_letter: bool,
    /// What becomes of the run when a partition stops because its message has nowhere to go
    #[arg(long, default_value = "stop")]
    pub on_failure: OnFailure,
    /// Leave when everything that was there at the start is handled
    #[arg(long)]
    pub exit_at_end: bool,
    /// Leave after so long without a message
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub idle_exit: Option<Duration>,
    /// Wait for the topics until someone creates them, with --exit-at-end and --idle-exit too; without those
    /// two it does in any case
    #[arg(long)]
    pub wait_for_topic: bool,
    /// Where a group without commits starts: earliest, latest, or an RFC 3339 time. A partition that is added
    /// later begins at its first message
    #[arg(long, default_value = "earliest", value_parser = from)]
    pub from: kurier::StartFrom,
    /// What the values are
    #[arg(long, default_value = "message")]
    pub decode: Decode,
    #[command(flatten)]
    pub handle: HandleArgs,
    /// Time from the first signal to the end: for what is being handled, but for the last fifth, in which
    /// commands are ended and what is handled is committed [default: 25s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub shutdown_deadline: Option<Duration>,
    /// Serve health and metrics over HTTP there: /livez, /readyz and /metrics; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub metrics: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Decode {
    /// kurier's messages: id, content, timestamp
    Message,
    /// Any JSON
    Json,
    /// UTF-8
    Text,
    /// Bytes
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFailure {
    /// The other partitions go on
    Stop,
    /// The run ends
    Exit,
}

fn not_of_batches(_: &str) -> Result<Infallible, &'static str> {
    Err("that is for `consume single`; the batches of a partition are handled one by one")
}

fn node(text: &str) -> Result<i32, &'static str> {
    text.parse().map_err(|_| "nodes are numbers from 1 on: `kurier cluster info` shows them")
}

/// Where one listens or asks. Whether a name has an address is seen then.
fn address(text: &str) -> Result<String, String> {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_host = |text: &str| !text.is_empty() && !text.contains('/');
    if text.rsplit_once(':').is_some_and(|(host, port)| is_host(host) && is_port(port)) {
        return Ok(text.to_owned());
    }
    let port = Some(text.trim_start_matches(':')).filter(|port| is_port(port));
    Err(format!("expected HOST:PORT, such as 127.0.0.1:{}", port.unwrap_or("8080")))
}

/// How many, where none would be of no use.
pub fn some(text: &str) -> Result<NonZeroU64, &'static str> {
    text.parse().map_err(|_| "expected a whole number from 1 on")
}

pub fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

fn sample(text: &str) -> Result<Sample, String> {
    match text {
        "endless" => Ok(Sample::Endless),
        count => {
            count.parse().map(Sample::Count).map_err(|_| "expected a number or endless".into())
        }
    }
}

pub fn duration(text: &str) -> Result<Duration, String> {
    let expected = "expected a time such as 500ms, 30s, 5m";
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| expected)?;
    Duration::try_from(parsed).map_err(|_| expected.to_owned())
}

/// A time that is worth waiting: in none nobody could answer.
pub fn patience(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_millis(1) {
        return Err("expected 1ms or more: nobody answers in less".to_owned());
    }
    Ok(time)
}

fn from(text: &str) -> Result<kurier::StartFrom, String> {
    match text {
        "earliest" => Ok(kurier::StartFrom::Earliest),
        "latest" => Ok(kurier::StartFrom::Latest),
        time => time.parse().map(kurier::StartFrom::Time).map_err(|_| {
            "expected earliest, latest or a time such as 2026-01-31T12:00:00Z".to_owned()
        }),
    }
}
