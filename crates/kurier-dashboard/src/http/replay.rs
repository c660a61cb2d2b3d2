//! Dead letters sent again on request: told first, then done by a task that outlives the request, one at a
//! time for a topic.
//!
//! A replay that is broken off, by time or by the dashboard's end, loses nothing: the same one goes on where
//! it stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use kurier::{
    ClientConfig, LeftBehind, Replay, ReplayEnd, ReplayError, ReplayProgress, ReplayReport,
    Selection,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bounds::{self, Waits};
use super::refused::Refused;
use crate::view::{ReplayAnswer, ReplayAsked};

/// How long a dry run looks; a large topic is not looked at to its end.
pub(super) const LOOK_WAIT: Duration = Duration::from_secs(8);
/// How long a request waits for the end of its replay, which goes on.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(8);
/// How long a replay goes on.
pub(super) const RUN_MAX: Duration = Duration::from_secs(5 * 60);
/// Replays at once.
pub(super) const RUNS_MAX: usize = 2;
/// Replays whose outcome is kept, one for a topic.
const KEPT_MAX: usize = 100;
/// Targets that a dry run names.
const TARGETS_MAX: usize = 100;
/// How long a question to the cluster may take.
const ASK_WAIT: Duration = Duration::from_secs(5);

/// The replays that run, and how those ended that ran last.
#[derive(Debug)]
pub(super) struct Replays {
    client: ClientConfig,
    runs: Mutex<BTreeMap<String, Run>>,
    tasks: TaskTracker,
    /// Ends them with what is on its way acknowledged and committed.
    stop: CancellationToken,
    /// Ends them at once.
    leave: CancellationToken,
    waits: Waits,
}

/// One of them.
#[derive(Debug, Clone)]
struct Run {
    since: Timestamp,
    to: Vec<String>,
    progress: ReplayProgress,
    outcome: watch::Receiver<Option<Result<ReplayAnswer, Refused>>>,
}

impl Replays {
    pub(super) fn new(
        client: ClientConfig,
        tasks: TaskTracker,
        (stop, leave): (CancellationToken, CancellationToken),
        waits: Waits,
    ) -> Self {
        Self { client, runs: Mutex::default(), tasks, stop, leave, waits }
    }

    /// What a replay would do, as far as that can be looked at in [`Waits::preview`].
    ///
    /// # Errors
    /// When what is asked for makes no sense, or the cluster does not answer.
    pub(super) async fn told(
        &self,
        topic: &str,
        asked: &ReplayAsked,
    ) -> Result<ReplayAnswer, Refused> {
        let since = Timestamp::now();
        let replay = self.meant(topic, asked)?;
        let over = self.stop.child_token();
        let (mut count, mut to) = (0, BTreeSet::new());
        let previewing = replay.preview(over.clone(), |planned| {
            count += 1;
            if to.len() < TARGETS_MAX && !to.contains(&planned.target) {
                to.insert(planned.target.clone());
            }
        });
        let wait = self.waits.preview;
        let report = bounded(previewing, &over, wait).await;
        let report = report.map_err(refused)?;
        let stopped = match report.ended {
            ReplayEnd::Stopped => Some(format!(
                "not everything was looked at: that takes longer than {}",
                bounds::time(wait)
            )),
            _ => None,
        };
        let to = to.into_iter().collect();
        let told = answer(&report, since, to, stopped);
        Ok(ReplayAnswer { done: false, replayed: count, ..told })
    }

    /// Replays, and waits for the end as long as a request may; `ended` is told of it in any case.
    ///
    /// # Errors
    /// When what is asked for makes no sense, a replay of the topic is running, as many run as may, or it
    /// failed.
    pub(super) async fn done(
        &self,
        topic: &str,
        asked: &ReplayAsked,
        ended: impl FnOnce(&Result<ReplayAnswer, Refused>) + Send + 'static,
    ) -> Result<ReplayAnswer, Refused> {
        let replay = self.meant(topic, asked)?;
        let (finish, outcome) = watch::channel(None);
        let run = Run {
            since: Timestamp::now(),
            to: asked.to.iter().cloned().collect(),
            progress: replay.progress(),
            outcome,
        };
        self.begin(topic, run.clone())?;
        let (over, leave) = (self.stop.child_token(), self.leave.clone());
        let (since, to, longest) = (run.since, run.to.clone(), self.waits.replay);
        self.tasks.spawn(async move {
            let outcome = tokio::select! {
                report = bounded(replay.run(over.clone()), &over, longest) => match report {
                    Ok(report) => {
                        let stopped = (report.ended == ReplayEnd::Stopped).then(|| stopped(&report));
                        Ok(answer(&report, since, to, stopped))
                    }
                    Err(error) => Err(refused(error)),
                },
                () = leave.cancelled() => Err(Refused::too_slow(
                    "the dashboard ended; the same replay goes on where it was, and may send again what it sent last",
                )),
            };
            ended(&outcome);
            // Whoever asked may be gone.
            finish.send_replace(Some(outcome));
        });
        let mut outcome = run.outcome.clone();
        let ending = outcome.wait_for(Option::is_some);
        // When it takes longer, what it has done so far is the answer.
        let _ = tokio::time::timeout(self.waits.replay_answer, ending).await;
        run.now()
    }

    /// How far the replay of a topic is, or how it ended that ran last.
    ///
    /// # Errors
    /// When there was none, or it failed.
    pub(super) fn of(&self, topic: &str) -> Result<ReplayAnswer, Refused> {
        let run = self.runs().get(topic).cloned();
        let none = || Refused::not_there(format!("no replay of {topic} was begun here"));
        run.ok_or_else(none)?.now()
    }

    /// Notes a run, unless it may not be.
    fn begin(&self, topic: &str, run: Run) -> Result<(), Refused> {
        let mut runs = self.runs();
        if let Some(running) = runs.get(topic).filter(|run| run.is_running()) {
            let (since, sent) = (running.since, running.progress.replayed());
            let reason =
                format!("a replay of {topic} is running since {since}, {sent} sent again so far");
            return Err(Refused::new(StatusCode::CONFLICT, reason));
        }
        if RUNS_MAX <= runs.values().filter(|run| run.is_running()).count() {
            let reason = format!("{RUNS_MAX} replays are running, which is as many as may at once");
            return Err(Refused::busy(reason));
        }
        if KEPT_MAX <= runs.len() && !runs.contains_key(topic) {
            let ended = runs.iter().filter(|(_, run)| !run.is_running());
            let oldest = ended.min_by_key(|(_, run)| run.since).map(|(topic, _)| topic.clone());
            if let Some(oldest) = oldest {
                runs.remove(&oldest);
            }
        }
        runs.insert(topic.to_owned(), run);
        Ok(())
    }

    fn meant(&self, topic: &str, asked: &ReplayAsked) -> Result<Replay, Refused> {
        let ReplayAsked { to, cause, error, max, dry_run: _ } = asked;
        let mut selection = Selection::default();
        selection.error.clone_from(error);
        if let Some(cause) = cause {
            let cause = cause.parse();
            let cause = cause.map_err(|error| Refused::asked_wrong(format!("cause: {error}")))?;
            selection.cause = Some(cause);
        }
        let mut replay = Replay::of(self.client.bootstrap.as_str(), topic)
            .selection(selection)
            .timeout(ASK_WAIT);
        *replay.client_mut() = self.client.clone();
        if let Some(to) = to {
            replay = replay.to(to);
        }
        match max {
            Some(0) => return Err(Refused::asked_wrong("max: 1 or more, or none")),
            Some(max) => replay = replay.max(*max),
            None => {}
        }
        Ok(replay)
    }

    /// The map is whole after any panic: each change is one insertion or one removal.
    fn runs(&self) -> MutexGuard<'_, BTreeMap<String, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// A run whose task is gone without a word has ended too.
    fn is_running(&self) -> bool {
        self.outcome.borrow().is_none() && self.outcome.has_changed().is_ok()
    }

    fn now(&self) -> Result<ReplayAnswer, Refused> {
        if let Some(outcome) = &*self.outcome.borrow() {
            return outcome.clone();
        }
        let (replayed, passed_over) = (self.progress.replayed(), self.progress.passed_over());
        let left = match self.progress.left() {
            0 => Vec::new(),
            left => vec![("so far".to_owned(), left)],
        };
        Ok(ReplayAnswer {
            done: false,
            running: self.is_running(),
            since: self.since,
            replayed,
            passed_over,
            left,
            to: self.to.clone(),
            stopped: None,
        })
    }
}

/// What comes of `work`, which is told after `limit` that it is over.
async fn bounded<T>(work: impl Future<Output = T>, over: &CancellationToken, limit: Duration) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = work.as_mut() => done,
        () = tokio::time::sleep(limit) => {
            over.cancel();
            work.await
        }
    }
}

fn stopped(report: &ReplayReport) -> String {
    let remaining = report.remaining;
    format!("it stopped before its end: the same replay goes on with the {remaining} that remain")
}

/// Of a replay that is done.
fn answer(
    report: &ReplayReport,
    since: Timestamp,
    to: Vec<String>,
    stopped: Option<String>,
) -> ReplayAnswer {
    let LeftBehind { kinds, .. } = &report.left;
    ReplayAnswer {
        done: true,
        running: false,
        since,
        replayed: report.replayed,
        passed_over: report.passed_over,
        left: kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
        to,
        stopped,
    }
}

fn refused(error: ReplayError) -> Refused {
    match error {
        ReplayError::Cluster { source, .. } => source.into(),
        ReplayError::OwnTopic { .. } | ReplayError::NoTarget { .. } => {
            Refused::asked_wrong(error.to_string())
        }
        error => Refused::new(StatusCode::BAD_GATEWAY, chain(&error)),
    }
}

/// An error and what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
