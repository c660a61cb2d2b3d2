//! One run, seen from the caller: checks, starts the poll thread, hands the stop signal on, waits.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::builder::EndRules;
use super::close::{Finished, Progress};
use super::context::{Callbacks, Client};
use super::end::Ends;
use super::event::Listener;
use super::held::Room;
use super::lanes::{Common, Spawn};
use super::letters;
use super::mailbox::{Ending, Mailbox};
use super::poll::{Keeper, Parts};
use super::report::{Closed, ConsumeError, ConsumeReport, Ended};
use super::vitals;
use crate::access::Access;
use crate::config::native_config;
use crate::handler::{Context, Decides, Membership};
use crate::metrics::{self, ConsumerFigures, Figures, Shown, Watch};
use crate::{ConfigProblems, ConsumerConfig, HealthHandle, Monitor, RetryPolicy};

/// The name of the poll thread.
const POLL_THREAD: &str = "kurier-consumer";
/// What the poll thread gets beyond the deadline before it is given up: it looks at the clock at least
/// this often, unless a call of librdkafka does not come back.
const GRACE: Duration = Duration::from_secs(1);
/// Partitions the memory bound is shared by; how many there will be is not known when the client is made.
const SHARING_PARTITIONS: usize = 16;

/// Everything a run is made of.
pub(super) struct Setup {
    pub(super) config: ConsumerConfig,
    pub(super) ends: EndRules,
    /// The retry policy's rule about errors; its numbers are in the configuration.
    pub(super) decides: Option<Decides>,
    pub(super) listener: Listener,
    pub(super) health: HealthHandle,
    pub(super) monitor: Option<Monitor>,
    pub(super) room: Room,
    pub(super) spawn: Spawn,
    pub(super) shutdown: CancellationToken,
}

/// Runs until the end; see the builder's `run`.
pub(super) async fn run(setup: Setup) -> Result<ConsumeReport, ConsumeError> {
    let health = setup.health.clone();
    let outcome = begin(setup).await;
    vitals::ended(&health, &outcome);
    outcome
}

async fn begin(setup: Setup) -> Result<ConsumeReport, ConsumeError> {
    let Setup { config, ends, decides, listener, health, monitor, room, spawn, shutdown } = setup;
    let watch = monitor.as_ref().map_or(Watch::Nobody, |_| Watch::Someone);
    let mut config = config.checked()?;
    metrics::ask_statistics(watch, &mut config.client.properties);
    let properties = config.properties(SHARING_PARTITIONS)?;
    let figures = Arc::new(ConsumerFigures::new(watch, config.dead_letter.clone()));
    if let Some(monitor) = &monitor {
        let counted = Figures::Consumer(Arc::clone(&figures));
        monitor.watch(&config.effective_client_id(), &health, counted);
    }
    let deadline = config.shutdown_deadline;
    vitals::begun(&health, config.stall_after);
    let ready = letters::ready(&config, &listener, &health, &shutdown).await?;
    let Some(dead_letters) = ready else { return Ok(ConsumeReport::default()) };
    let mailbox = Arc::new(Mailbox::default());
    let common = common(&config, decides, &mailbox, listener, Arc::clone(&figures));
    let common = Arc::new(Common {
        dead_letters: dead_letters.clone(),
        shutdown: shutdown.clone(),
        ..common
    });
    let (progress, closing) = Progress::new();
    let (finish, finished) = oneshot::channel();
    let seen = Arc::clone(&progress);
    let thread = move || {
        let consumed = client(&properties, Arc::clone(&figures)).map(|client| {
            let (ends, client) = (Ends::new(ends, Instant::now()), Arc::new(client));
            let health = health.clone();
            let (access, settings) =
                (Access::of(&properties), properties.iter().cloned().collect());
            let parts = Parts {
                client,
                access,
                settings,
                config,
                common,
                spawn,
                room,
                ends,
                progress,
                health,
            };
            let mut keeper = Keeper::new(parts);
            let ended = keeper.consume();
            keeper.close(ended)
        });
        let outcome = outcome(consumed);
        vitals::ended(&health, &outcome);
        figures.show(Shown::default);
        // Nobody waits any more when the run's future was dropped.
        drop(finish.send(outcome));
    };
    thread::Builder::new()
        .name(POLL_THREAD.to_owned())
        .spawn(thread)
        .map_err(ConsumeError::Thread)?;
    let _abandon = Abandon { mailbox: Arc::clone(&mailbox), deadline };

    let finished = Finishing { finished, closing, seen, deadline };
    let (ended, until) = finished.watched(&mailbox, &shutdown).await;
    letters::close(dead_letters, until).await;
    ended
}

/// A run whose thread is at work.
struct Finishing {
    finished: oneshot::Receiver<Result<ConsumeReport, ConsumeError>>,
    /// By when it is to be over, once it is closing.
    closing: watch::Receiver<Option<Instant>>,
    seen: Arc<Progress>,
    deadline: Duration,
}

impl Finishing {
    /// Hands the stop signal on, and waits for the end; says too by when all has to be over.
    async fn watched(
        self,
        mailbox: &Mailbox,
        shutdown: &CancellationToken,
    ) -> (Result<ConsumeReport, ConsumeError>, Instant) {
        let Self { mut finished, mut closing, seen, deadline } = self;
        let over = tokio::select! {
            biased;
            ended = &mut finished => {
                return (ended.unwrap_or_else(|_| Err(panicked(&seen))), Instant::now() + deadline);
            }
            () = shutdown.cancelled() => {
                let over = Instant::now() + deadline;
                mailbox.end(Ending::Orderly(over));
                over
            }
            over = closing.wait_for(Option::is_some) => {
                over.ok().and_then(|over| *over).unwrap_or_else(Instant::now)
            }
        };
        let ended = match tokio::time::timeout_at((over + GRACE).into(), finished).await {
            Ok(ended) => ended.unwrap_or_else(|_| Err(panicked(&seen))),
            Err(_) => Ok(left_behind(&seen, "a call of librdkafka that does not come back")),
        };
        (ended, over + GRACE)
    }
}

fn outcome(consumed: Result<Finished, ConfigProblems>) -> Result<ConsumeReport, ConsumeError> {
    match consumed? {
        (report, None) => Ok(report),
        (report, Some(source)) => Err(ConsumeError::Failed { source, report: Box::new(report) }),
    }
}

fn panicked(progress: &Progress) -> ConsumeError {
    let report = left_behind(progress, "nothing: it has panicked");
    let source = crate::ClientError::Kafka {
        doing: "consume".to_owned(),
        code: rdkafka::error::RDKafkaErrorCode::Fail,
        reason: "the thread that owns the client has panicked".to_owned(),
    };
    ConsumeError::Failed { source, report: Box::new(report) }
}

fn left_behind(progress: &Progress, waiting_for: &str) -> ConsumeReport {
    let mut report = progress.noted();
    let (thread, waiting_for) = (POLL_THREAD.to_owned(), waiting_for.to_owned());
    report.closed = Closed::LeftBehind { thread, waiting_for };
    if report.ended == Ended::default() && !report.stopped.is_empty() {
        report.ended = Ended::PartitionStopped;
    }
    report
}

pub(super) fn common(
    config: &ConsumerConfig,
    decides: Option<Decides>,
    mailbox: &Arc<Mailbox>,
    listener: Listener,
    figures: Arc<ConsumerFigures>,
) -> Common {
    let attempts = u32::try_from(config.retry_attempts).unwrap_or(u32::MAX);
    let pauses = config.retry_backoff_min..=config.retry_backoff_max;
    let (group, instance) = (config.group.clone(), config.instance.clone());
    Common {
        mailbox: Arc::clone(mailbox),
        listener,
        retry: RetryPolicy::exponential(attempts, pauses).with(decides),
        dead_letters: None,
        shutdown: CancellationToken::new(),
        context: Context::new(Arc::new(Membership { group, instance })),
        retried: AtomicU64::new(0),
        figures,
    }
}

pub(super) fn client(
    properties: &[(String, String)],
    figures: Arc<ConsumerFigures>,
) -> Result<Client, ConfigProblems> {
    native_config(properties)
        .create_with_context::<_, Client>(Callbacks::new(figures))
        .map_err(|error| ConfigProblems::from_kafka(&error, properties))
}

/// When the run's future is dropped, the thread goes on alone: without handlers, to commit and to leave.
struct Abandon {
    mailbox: Arc<Mailbox>,
    deadline: Duration,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        // After the end of a run there is no one to hear it.
        self.mailbox.end(Ending::Abandoned(Instant::now() + self.deadline));
    }
}
