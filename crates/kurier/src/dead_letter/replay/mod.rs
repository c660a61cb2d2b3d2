//! Dead letters sent again to where they come from.
//!
//! A replay is a consumer of the dead-letter topic whose handler publishes: a message is committed once its
//! copy is acknowledged by all in-sync replicas, by the same code that commits for every consumer. So a
//! replay that is interrupted at any point loses nothing, and the same replay goes on where it stopped;
//! what was sent and not yet committed is sent once more.
//!
//! What is meant is in `selection`, what becomes of a record in `verdict` (both pure), sending in `sender`.

mod pace;
mod report;
mod selection;
mod sender;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::error::RDKafkaErrorCode;
use tokio_util::sync::CancellationToken;

pub use report::{LeftBehind, ReplayEnd, ReplayError, ReplayProgress, ReplayReport};
pub use selection::Selection;
use sender::Sender;
pub use verdict::{Planned, WhyLeft};
use verdict::{Rules, Verdict};

use super::writer::LETTER_BYTES_MAX;
use crate::{
    Admin, Batch, BatchMessageConsumer, ClientConfig, ClientError, Closed, ConsumeReport, Context,
    Ended, Failure, MessageProducer, Offset, PartitionId, RawDecoder, RetryPolicy, TopicPartition,
    TopicReader, Watermarks,
};

/// Sends dead letters again, each to the topic it comes from, or all to one.
///
/// Key and value are sent byte for byte, with the headers the message had, and `kurier.dlq.hops`, which
/// counts on should the message be given up again. Its key decides the partition, and its timestamp is new.
/// Every group that reads the topic is given the message, also those that had handled it.
///
/// Dead letters of one partition are sent in their order, and so those of a key keep theirs. A replay ends
/// at the end that the dead-letter topic had when it began: what fails again and comes back is not sent
/// twice by the same run.
///
/// How far it has got is kept in a consumer group, whose name follows from the topic, the selection and the
/// target ([`group_name`](Self::group_name)). The same replay goes on there, another one begins at the
/// oldest record. Kafka forgets a group that nobody has used for a while
/// (`offsets.retention.minutes`, seven days); the same replay then begins anew.
///
/// ```no_run
/// # async fn example() -> Result<(), kurier::ReplayError> {
/// use kurier::{Replay, Selection};
/// use tokio_util::sync::CancellationToken;
///
/// let mut selection = Selection::default();
/// selection.error = Some("connection refused".to_owned());
/// let replay = Replay::of("localhost:9092", "orders.dlq").selection(selection);
/// let report = replay.run(CancellationToken::new()).await?;
/// println!("{} sent again, {} left", report.replayed, report.left.count());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a replay does nothing until it runs"]
pub struct Replay {
    client: ClientConfig,
    rules: Rules,
    group: Option<String>,
    restart: bool,
    rate: Option<NonZeroU64>,
    max: Option<u64>,
    timeout: Duration,
    progress: ReplayProgress,
}

/// What the names of groups begin with.
const GROUP_PREFIX: &str = "kurier-replay.";

impl Replay {
    /// How often a message may be given up before it is not sent again, unless
    /// [`hops_max`](Self::hops_max) says otherwise.
    pub const HOPS_MAX_DEFAULT: u32 = 3;

    /// A replay of everything in `topic` on the cluster at `bootstrap`, to where each message comes from.
    pub fn of(bootstrap: impl Into<String>, topic: impl Into<String>) -> Self {
        let rules = Rules {
            topic: topic.into(),
            selection: Selection::default(),
            to: None,
            hops_max: Self::HOPS_MAX_DEFAULT,
        };
        Self {
            client: ClientConfig::new(bootstrap),
            rules,
            group: None,
            restart: false,
            rate: None,
            max: None,
            timeout: Duration::from_secs(10),
            progress: ReplayProgress::default(),
        }
    }

    /// Which of them. Default: all.
    pub fn selection(mut self, selection: Selection) -> Self {
        self.rules.selection = selection;
        self
    }

    /// The one topic they all go to. Default: each to where it comes from.
    pub fn to(mut self, topic: impl Into<String>) -> Self {
        self.rules.to = Some(topic.into());
        self
    }

    /// A message that was given up this often, or more often, is not sent again. Default: 3. So a message
    /// that fails each time is sent again twice.
    pub fn hops_max(mut self, hops: u32) -> Self {
        self.rules.hops_max = hops;
        self
    }

    /// At most this many messages a second, over all partitions. Default: no bound.
    pub fn rate(mut self, a_second: NonZeroU64) -> Self {
        self.rate = Some(a_second);
        self
    }

    /// Ends after so many messages; the next run goes on behind them. Default: no bound.
    pub fn max(mut self, messages: u64) -> Self {
        self.max = Some(messages);
        self
    }

    /// The group that keeps how far it has got. Default: see [`group_name`](Self::group_name).
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Forgets how far the group has got, and begins anew. Default: no.
    pub fn restart(mut self, yes: bool) -> Self {
        self.restart = yes;
        self
    }

    /// How long a question to the cluster may take before anything is sent, and how long the cluster must say
    /// that the topic a message comes from is not there until that is believed. Default: 10 s. While messages are
    /// sent, a cluster that is away is waited for.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The cluster and librdkafka's properties, to change them.
    pub fn client_mut(&mut self) -> &mut ClientConfig {
        &mut self.client
    }

    /// The group that keeps how far it has got: `kurier-replay.TOPIC.DIGEST`, unless another was named. The
    /// digest is that of the selection and the target; neither limits nor rates are in it.
    #[must_use]
    pub fn group_name(&self) -> String {
        let Rules { topic, selection, to, .. } = &self.rules;
        let digest = || format!("{GROUP_PREFIX}{topic}.{}", selection.digest(to.as_deref()));
        self.group.clone().unwrap_or_else(digest)
    }

    /// Whether a group of that name is such a one: it is behind by letters that no replay has come to, which
    /// nobody waits for.
    #[must_use]
    pub fn is_group_name(group: &str) -> bool {
        group.starts_with(GROUP_PREFIX)
    }

    /// Where to see how far it is, also while it runs.
    #[must_use]
    pub fn progress(&self) -> ReplayProgress {
        self.progress.clone()
    }

    /// Sends them until the end, or until `shutdown` is cancelled: then nothing more is sent, what is on its
    /// way is waited for, within the consumer's shutdown deadline of 25 s, and what is acknowledged is
    /// committed.
    ///
    /// # Errors
    /// A wrong configuration, a topic that is not there, a cluster that does not answer within the timeout
    /// at the beginning or does not let this client read or write.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing: what is not committed is sent by the next run, some of it for the second
    /// time.
    pub async fn run(self, shutdown: CancellationToken) -> Result<ReplayReport, ReplayError> {
        let admin = self.admin()?;
        let standing = async {
            self.look_for_target(&admin).await?;
            self.standing(&admin, self.restart).await
        }
        .await;
        admin.close().await;
        let standing = standing?;
        let group = self.group_name();
        let before = standing.passed();
        tracing::info!(%group, before, "how far this replay gets is kept in this group");
        // A letter may be as large as its writer lets it be: whether it is too large is for the topic to say.
        // What is on its way is in the consumer's hands too, whose bounds are lower.
        let mut producer = MessageProducer::builder(self.client.bootstrap.clone())
            .message_bytes_max(LETTER_BYTES_MAX)
            .memory_bytes(2 * LETTER_BYTES_MAX);
        producer.config_mut().client = self.client.clone();
        producer.config_mut().unknown_topic_grace = self.timeout.min(TARGET_GRACE_MAX);
        let producer = producer.build().await.map_err(ReplayError::Build)?;
        let stop = shutdown.child_token();
        let limits = (self.rate, self.max);
        let (rules, progress) = (self.rules.clone(), self.progress.clone());
        let sender = Arc::new(Sender::new(producer, rules, progress, limits, stop.clone()));
        let consumed = self.consume(&group, &sender, stop).await;
        // Nothing is on its way any more that is not given up.
        let _ = sender.producer().close(LAST_WAIT).await;
        if let Some(error) = sender.broken() {
            return Err(ReplayError::Send(error));
        }
        let consumed = consumed?;
        let remaining = self.remaining(&standing, &consumed).await;
        let has_all = self.max.is_some_and(|max| max <= self.progress.replayed());
        let ended = match consumed.ended {
            Ended::AtEnd if is_settled(&consumed) && remaining == 0 => ReplayEnd::AtEnd,
            Ended::Shutdown if is_settled(&consumed) && has_all => ReplayEnd::Enough,
            _ => ReplayEnd::Stopped,
        };
        Ok(self.report(group, before, remaining, ended))
    }

    /// What a [`run`](Self::run) from here on would send, each shown to `show`, in order within a partition.
    /// Nothing is sent, nothing committed, no group joined, and the rate is not kept. A restart is taken
    /// into account.
    ///
    /// # Errors
    /// As those of [`run`](Self::run), but for writing.
    ///
    /// # Cancel safety
    /// Dropping it does nothing.
    pub async fn preview(
        self,
        shutdown: CancellationToken,
        mut show: impl FnMut(&Planned),
    ) -> Result<ReplayReport, ReplayError> {
        let admin = self.admin()?;
        let looked = self.look(&admin).await;
        admin.close().await;
        let (standing, topics) = looked?;
        let mut reader =
            TopicReader::read(&self.client, standing.spans()).map_err(ReplayError::Read)?;
        let tally = &self.progress.0;
        let mut planned = 0;
        let ended = loop {
            let record = tokio::select! {
                biased;
                () = shutdown.cancelled() => break ReplayEnd::Stopped,
                record = reader.next() => record,
            };
            let Some(record) = record else { break ReplayEnd::AtEnd };
            let record = record.map_err(|source| self.cluster(source))?;
            match self.rules.judge(&record) {
                Verdict::NotSelected => tally.passed_over(),
                Verdict::Left(why) => tally.leave(record.position(), why),
                Verdict::Send(found) if !topics.contains(&found.target) => {
                    tally.leave(record.position(), WhyLeft::NoTopic { topic: found.target });
                }
                Verdict::Send(_) if self.max.is_some_and(|max| max <= planned) => {
                    break ReplayEnd::Enough;
                }
                Verdict::Send(found) => {
                    planned += 1;
                    show(&found);
                }
            }
        };
        reader.close().await;
        let remaining = standing.remaining(&BTreeMap::new());
        Ok(self.report(self.group_name(), standing.passed(), remaining, ended))
    }

    fn admin(&self) -> Result<Admin, ReplayError> {
        if self.rules.to.as_ref() == Some(&self.rules.topic) {
            return Err(ReplayError::OwnTopic { topic: self.rules.topic.clone() });
        }
        let admin = Admin::connect(&self.client).map_err(ReplayError::Config)?;
        Ok(admin.with_timeout(self.timeout))
    }

    async fn look(&self, admin: &Admin) -> Result<(Standing, HashSet<String>), ReplayError> {
        self.look_for_target(admin).await?;
        let mut standing = self.standing(admin, false).await?;
        if self.restart {
            standing.forget();
        }
        let topics = admin.list_topics().await.map_err(|source| self.cluster(source))?;
        Ok((standing, topics.into_iter().map(|topic| topic.name).collect()))
    }

    async fn look_for_target(&self, admin: &Admin) -> Result<(), ReplayError> {
        let Some(target) = &self.rules.to else { return Ok(()) };
        match admin.wait_for_topic(target, TARGET_GRACE).await {
            Err(error) if error.is_unknown_topic() => {
                Err(ReplayError::NoTarget { topic: target.clone() })
            }
            // It waits for a leader, as messages do.
            Ok(_) | Err(ClientError::Kafka { code: RDKafkaErrorCode::LeaderNotAvailable, .. }) => {
                Ok(())
            }
            Err(source) => Err(self.cluster(source)),
        }
    }

    async fn standing(&self, admin: &Admin, forget: bool) -> Result<Standing, ReplayError> {
        let (group, topic) = (self.group_name(), &self.rules.topic);
        let ends = admin.watermarks(topic).await.map_err(|source| self.cluster(source))?;
        if let Some(partition) = self.rules.selection.partition
            && !ends.contains_key(&partition)
        {
            let (topic, partitions) = (topic.clone(), ends.len());
            return Err(ReplayError::NoPartition { topic, partition, partitions });
        }
        let asking = async {
            if forget {
                match admin.delete_group(&group).await {
                    Err(error) if error.is_unknown_group() => {}
                    deleted => deleted?,
                }
            }
            admin.group_offsets(&group).await
        };
        let committed = asking.await.map_err(|source| self.cluster(source))?;
        Ok(Standing::new(topic, &ends, &committed))
    }

    /// Offsets that the group has not passed after a run. Another process may run the same replay and have
    /// had a part of the topic: what it has passed counts, and what it has not passed is not done.
    async fn remaining(&self, standing: &Standing, consumed: &ConsumeReport) -> u64 {
        let mut passed = consumed.committed.clone();
        if let Ok(admin) = self.admin() {
            let noted = admin.group_offsets(&self.group_name()).await;
            admin.close().await;
            for (partition, offset) in noted.unwrap_or_default() {
                let known = passed.entry(partition).or_insert(offset);
                *known = (*known).max(offset);
            }
        }
        standing.remaining(&passed)
    }

    async fn consume(
        &self,
        group: &str,
        sender: &Arc<Sender>,
        stop: CancellationToken,
    ) -> Result<ConsumeReport, ReplayError> {
        let handling = Arc::clone(sender);
        let handler = move |batch: Arc<Batch<Bytes>>, _: Context| {
            let sender = Arc::clone(&handling);
            async move { Ok::<_, Failure>(sender.handle(&batch).await) }
        };
        let mut consumer =
            BatchMessageConsumer::builder(self.client.bootstrap.clone(), self.rules.topic.as_str());
        consumer.config_mut().client = self.client.clone();
        consumer.config_mut().session_timeout = SESSION;
        consumer.config_mut().commit_interval = COMMIT_INTERVAL;
        // With a rate, what an interrupted batch sends again is a second's worth.
        let a_second = |rate: NonZeroU64| usize::try_from(rate.get()).unwrap_or(usize::MAX);
        let count = self.rate.map_or(BATCH, |rate| a_second(rate).min(BATCH));
        consumer
            .decoder(RawDecoder)
            .group(group)
            .batch(count, BATCH_WAIT)
            .retry(&RetryPolicy::exponential(ATTEMPTS, FIRST_PAUSE..=LAST_PAUSE))
            .only_to_end()
            .run(handler, stop)
            .await
            .map_err(ReplayError::Consume)
    }

    fn report(&self, group: String, before: u64, remaining: u64, ended: ReplayEnd) -> ReplayReport {
        let (replayed, passed_over) = (self.progress.replayed(), self.progress.passed_over());
        let left = self.progress.0.left();
        ReplayReport { group, before, replayed, passed_over, left, remaining, ended }
    }

    fn cluster(&self, source: ClientError) -> ReplayError {
        ReplayError::Cluster { topic: self.rules.topic.clone(), source }
    }
}

/// Messages sent before the first acknowledgement is waited for, in each partition.
const BATCH: usize = 500;
/// A batch waits so long for more of them.
const BATCH_WAIT: Duration = Duration::from_millis(50);
/// After a replay was killed, the next one waits so long until its membership has expired.
const SESSION: Duration = Duration::from_secs(10);
/// What a replay that is killed has sent since its last commit, the next one sends again.
const COMMIT_INTERVAL: Duration = Duration::from_millis(250);
/// A message that can't be sent now is tried again without end, in its place.
const ATTEMPTS: u32 = 1_000_000;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// A message whose topic is taken for missing is passed, so no broker that does not know it yet is believed
/// too soon. This is the most that a producer may be told to ask.
const TARGET_GRACE_MAX: Duration = Duration::from_secs(60);
/// How long a topic that was made a moment ago may be unknown to a broker.
const TARGET_GRACE: Duration = Duration::from_secs(2);
/// What closing the producer may take.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// True when the group stored everything and no partition was given up.
fn is_settled(report: &ConsumeReport) -> bool {
    let ConsumeReport { stopped, uncommitted, outstanding, closed, .. } = report;
    stopped.is_empty() && uncommitted.is_empty() && *outstanding == 0 && *closed == Closed::Clean
}

/// Where the topic begins and ends, and where the group goes on, when a replay begins.
struct Standing(BTreeMap<TopicPartition, Span>);

struct Span {
    begins: Offset,
    goes_on: Offset,
    ends: Offset,
}

impl Standing {
    fn new(
        topic: &str,
        ends: &BTreeMap<PartitionId, Watermarks>,
        committed: &BTreeMap<TopicPartition, Offset>,
    ) -> Self {
        let span = |(partition, marks): (&PartitionId, &Watermarks)| {
            let partition = TopicPartition::new(topic, *partition);
            let committed = committed.get(&partition).copied().unwrap_or(marks.earliest);
            let goes_on = committed.max(marks.earliest).min(marks.end);
            (partition, Span { begins: marks.earliest, goes_on, ends: marks.end })
        };
        Self(ends.iter().map(span).collect())
    }

    fn forget(&mut self) {
        for span in self.0.values_mut() {
            span.goes_on = span.begins;
        }
    }

    /// Offsets that are there and were passed before.
    fn passed(&self) -> u64 {
        self.0.values().map(|span| between(span.begins, span.goes_on)).sum()
    }

    /// Offsets that are not passed, where the group has `passed` so far since.
    fn remaining(&self, passed: &BTreeMap<TopicPartition, Offset>) -> u64 {
        let of = |(partition, span): (&TopicPartition, &Span)| {
            let at = passed.get(partition).copied().unwrap_or(span.goes_on);
            between(at.max(span.goes_on), span.ends)
        };
        self.0.iter().map(of).sum()
    }

    fn spans(&self) -> BTreeMap<TopicPartition, (Offset, Option<Offset>)> {
        let span = |(partition, span): (&TopicPartition, &Span)| {
            (partition.clone(), (span.goes_on, Some(span.ends)))
        };
        self.0.iter().map(span).collect()
    }
}

fn between(from: Offset, to: Offset) -> u64 {
    u64::try_from(to.0 - from.0).unwrap_or(0)
}
