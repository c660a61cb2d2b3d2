//! The collectors, one a concern, and what is asked of them.
//!
//! Owns [`Watch`], whose answers are made of what the collectors saw last: none of them waits for Kafka.
//! Each collector (`collect`) asks the cluster at its own pace and within its own deadline, and publishes
//! on the board (`board`) a snapshot (`looks`) that nobody changes any more. What a snapshot means is
//! decided by pure parts: `history`, `lag`, `judge`, `changes`, `brokers`; how it is shown, by `shown`.

mod board;
mod brokers;
mod changes;
mod collect;
mod history;
mod journal;
mod judge;
mod lag;
mod looks;
mod offsets;
#[cfg(test)]
pub(crate) mod samples;
mod shown;
mod turns;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use kurier::{Admin, ClientConfig, ConfigProblems};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::exporter;
use crate::view::{
    BrokerRow, ClientProcess, DeadLetterTopic, EventKind, Events, GroupDetail, GroupRow, Overview,
    Panel, Problem, Rows, RowsAsked, Severity, TopicDetail, TopicRow,
};
use board::Board;
pub use board::Versions;
pub(crate) use history::History;
pub(crate) use journal::{EVENTS_MAX, Note, TEXT_MAX as EVENT_TEXT_MAX};
pub(crate) use judge::Age;
pub(crate) use lag::{GroupLook, PartitionLag};
pub(crate) use looks::{ClusterLook, GroupsLook, OffsetsLook, PartitionLook, PartitionOffsets};
use shown::{Order, TopicParts};

/// How long [`Watch::close`] waits for collectors that have a question under way.
const CLOSE: Duration = Duration::from_secs(5);

/// What to watch, and how often to look.
#[derive(Debug, Clone)]
pub struct WatchConfig {
    /// How the cluster is reached.
    pub client: ClientConfig,
    /// The addresses as the page shows them: without any secret.
    pub bootstrap_shown: String,
    /// Where our own clients are asked for `/metrics` and `/readyz`: `host:port` each.
    pub clients: Vec<String>,
    /// Topics that are known to hold dead letters, besides those called `….dlq`.
    pub dead_letters: Vec<String>,
    /// How many messages were lost, by a proof that runs beside the clients, once it has come to that.
    pub lost: Arc<OnceLock<u64>>,
    /// Whether writing actions are possible: a token was set.
    pub writable: bool,
    /// How often each collector looks, and how long it waits for an answer.
    pub pace: Pace,
}

impl WatchConfig {
    /// Watches the cluster that `client` names, at the default pace.
    pub fn new(client: ClientConfig) -> Self {
        Self {
            bootstrap_shown: client.bootstrap.clone(),
            client,
            clients: Vec::new(),
            dead_letters: Vec::new(),
            lost: Arc::default(),
            writable: false,
            pace: Pace::default(),
        }
    }
}

/// How long a collector pauses between two looks, by concern, and how long any answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Brokers, topics, partitions. Default: 2 s.
    pub cluster: Duration,
    /// First and next offsets. Default: 3 s.
    pub offsets: Duration,
    /// Groups, members, commits. Default: 3 s.
    pub groups: Duration,
    /// Settings of topics. Default: 30 s.
    pub settings: Duration,
    /// Our own clients. Default: 2 s.
    pub clients: Duration,
    /// How long an answer is waited for. Default: 2 s.
    pub deadline: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            cluster: Duration::from_secs(2),
            offsets: Duration::from_secs(3),
            groups: Duration::from_secs(3),
            settings: Duration::from_secs(30),
            clients: Duration::from_secs(2),
            deadline: Duration::from_secs(2),
        }
    }
}

/// What the collectors see. Cheap to clone; every answer but [`close`](Self::close) is made of snapshots
/// and waits for nobody.
#[derive(Clone)]
pub struct Watch {
    board: Arc<Board>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Watch {
    /// Starts the collectors, and does not wait for the cluster: one that is not there shows as the
    /// error of each panel. To be called within a tokio runtime.
    ///
    /// # Errors
    /// Every problem with the client's configuration.
    pub fn start(config: WatchConfig) -> Result<Self, ConfigProblems> {
        let mut client = config.client.clone();
        // A connection that is dead without a word is noticed after this time; librdkafka's default is a minute.
        let millis = 2 * config.pace.deadline.as_millis();
        client.properties.entry("socket.timeout.ms".to_owned()).or_insert(millis.to_string());
        let admin = Admin::connect(&client)?.with_timeout(config.pace.deadline);
        let board = Arc::new(Board::new(config, Timestamp::now()));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(collect::run(Arc::clone(&board), admin, stop.clone()));
        Ok(Self { board, tasks, stop })
    }

    /// `/api/v1/overview`.
    pub fn overview(&self, now: Timestamp) -> Overview {
        let config = &self.board.config;
        Overview {
            now,
            version: env!("CARGO_PKG_VERSION"),
            bootstrap: config.bootstrap_shown.clone(),
            writable: config.writable,
            status: self.board.judge(now),
            cluster: {
                let settings = self.board.settings.kept().data;
                self.board.cluster.kept().panel(|look| shown::cluster(look, settings.as_deref()))
            },
            traffic: self.board.offsets.kept().panel(shown::traffic),
            lag: self.board.groups.kept().panel(shown::lag),
            clients: self.board.clients.kept().panel(|look| look.totals.clone()),
        }
    }

    /// `/api/v1/brokers`: every broker that was ever seen.
    pub fn brokers(&self) -> Panel<Vec<BrokerRow>> {
        self.board.cluster.kept().panel(shown::brokers)
    }

    /// `/api/v1/topics`.
    ///
    /// # Errors
    /// A column that the list is not sorted by.
    pub fn topics(&self, asked: &RowsAsked) -> Result<Panel<Rows<TopicRow>>, Problem> {
        let order = Order::asked(asked, shown::TOPIC_COLUMNS)?;
        let rows = shown::topics(&self.topic_parts());
        Ok(rows.map(|rows| order.part(rows, asked, |row| &row.name)))
    }

    /// `/api/v1/topics/{topic}`; none for a topic that is not there as far as is known.
    pub fn topic(&self, name: &str) -> Option<TopicDetail> {
        shown::topic(&self.topic_parts(), name)
    }

    /// `/api/v1/groups`.
    ///
    /// # Errors
    /// A column that the list is not sorted by.
    pub fn groups(&self, asked: &RowsAsked) -> Result<Panel<Rows<GroupRow>>, Problem> {
        let order = Order::asked(asked, shown::GROUP_COLUMNS)?;
        let rows = shown::groups(&self.board.groups.kept(), Timestamp::now());
        Ok(rows.map(|rows| order.part(rows, asked, |row| &row.name)))
    }

    /// `/api/v1/groups/{group}`; none for a group that is not there as far as is known.
    pub fn group(&self, name: &str) -> Option<GroupDetail> {
        shown::group(&self.board.groups.kept(), name, Timestamp::now())
    }

    /// `/api/v1/clients`.
    pub fn clients(&self) -> Panel<Vec<ClientProcess>> {
        self.board.clients.kept().panel(|look| look.processes.clone())
    }

    /// `/api/v1/dead-letters`.
    pub fn dead_letter_topics(&self) -> Panel<Vec<DeadLetterTopic>> {
        shown::dead_letter_topics(&self.topic_parts())
    }

    /// `/api/v1/events`: those after an id, of some kinds or of all when none is named.
    pub fn events(&self, after: Option<u64>, kinds: &[EventKind]) -> Events {
        self.board.journal().events(after, kinds)
    }

    /// Enters in the journal what somebody did, and says it in the log: the journal forgets.
    pub fn note(&self, kind: EventKind, severity: Severity, subject: String, text: String) {
        // As they are written in a program: names of groups may have anything in them.
        tracing::info!(?subject, ?text, "the dashboard was used to change something");
        self.board.note(Timestamp::now(), vec![Note { kind, severity, subject, text }]);
    }

    /// What `/api/v1/stream` waits for: counts how often each part was published.
    pub fn changes(&self) -> watch::Receiver<Versions> {
        self.board.changes()
    }

    /// `/livez`: why this can't see any more what it is for, if so. Only a new one can.
    pub fn died(&self) -> Option<String> {
        self.board.died.get().cloned()
    }

    /// `/readyz`: whether the cluster was seen lately, and a line for each collector.
    pub fn readiness(&self, now: Timestamp) -> (bool, String) {
        judge::readiness(now, &self.board.ages())
    }

    /// `/metrics`: the cluster under `kafka_exporter`'s names.
    pub fn metrics(&self) -> String {
        let board = &self.board;
        exporter::page(
            Timestamp::now(),
            &exporter::Facts {
                ages: &board.ages(),
                cluster: board.cluster.kept().data.as_deref(),
                offsets: board.offsets.kept().data.as_deref(),
                groups: board.groups.kept().data.as_deref(),
            },
        )
    }

    fn topic_parts(&self) -> TopicParts {
        let (board, config) = (&self.board, &self.board.config);
        let clients = board.clients.kept().data;
        let theirs = clients.iter().flat_map(|look| &look.dead_letters);
        TopicParts {
            cluster: board.cluster.kept(),
            offsets: board.offsets.kept(),
            settings: board.settings.kept(),
            groups: board.groups.kept(),
            dead_letters: config.dead_letters.iter().chain(theirs).cloned().collect(),
        }
    }

    /// Stops the collectors, for this and all clones, and waits until they are gone: 5 s at most for
    /// those that have a question under way.
    pub async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(CLOSE, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "collectors did not end within {CLOSE:?}");
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("config", &self.board.config).finish_non_exhaustive()
    }
}
