//! `kurier demo`: a cluster, a producer and consumers under trouble, and a verdict on every message.
//!
//! [`plan`] says what happens when, [`stage`] has the cast, [`window`] is the dashboard over it, [`witness`] writes
//! down what becomes of each message, [`story`] tells it, [`audit`] reads what is there in the end, [`report`] is
//! the verdict.

mod audit;
mod plan;
mod report;
mod sender;
mod stage;
mod story;
mod window;
mod witness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use plan::{Plan, Step};
use report::Report;
use stage::Stage;
use story::Story;
pub use window::Wanted;
use witness::Witness;

use crate::exit::UsageError;
use crate::output;
use crate::settings::{Settings, Source};

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Demo {
    /// The user's own cluster; `None` starts an embedded one.
    pub cluster: Option<Named>,
    /// How long that cluster is waited for.
    pub patience: Duration,
    /// How long messages are sent.
    pub length: Duration,
    /// Leaves the cluster and the dashboard running afterwards, or the topic on the user's cluster.
    pub keep: bool,
    /// The dashboard over it.
    pub dashboard: Wanted,
    /// Prints one JSON object instead of a table; the story goes to standard error.
    pub json: bool,
    /// Sends as many do who lose messages, `acks=1`, with followers that have stopped following: must
    /// end with loss.
    pub control: bool,
    /// Draws a live line of counters, where standard error is a terminal.
    pub progress: bool,
}

/// A cluster of the user's.
#[derive(Debug, Clone)]
pub struct Named {
    pub bootstrap: String,
    /// Where it was named, unless on the command line.
    pub by: Option<String>,
}

/// The cluster the user named for this. One that stands in a file of settings is not written to without
/// a word.
///
/// # Errors
/// When it is to be reached by TLS or SASL, which the demo does not speak.
pub fn cluster(settings: &Settings) -> Result<Option<Named>, UsageError> {
    let named = settings.bootstrap_at_hand().map(|(bootstrap, source)| Named {
        bootstrap: bootstrap.to_owned(),
        by: (!matches!(source, Source::Flag(_))).then(|| source.to_string()),
    });
    if named.is_some() && settings.is_secured_at_hand() {
        return Err(UsageError("the demo speaks neither TLS nor SASL".to_owned()));
    }
    Ok(named)
}

/// Longest wait for what was sent to be delivered and handled, without any progress.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the demo. True when nothing was lost and the order held.
///
/// # Errors
/// When the cast could not be set up, or the verdict not be written.
pub async fn run(demo: Demo, interrupted: CancellationToken) -> anyhow::Result<bool> {
    let story = Arc::new(Story::new(demo.json, demo.progress));
    let witness = Arc::new(Witness::new(Arc::clone(&story)));
    let mut stage = Stage::set(&demo, &story, &witness).await?;
    let plan = Plan::new(demo.length, demo.cluster.is_none(), demo.control);
    play(&plan, &mut stage, &story, &witness, &interrupted).await?;
    story.tell("no more messages are sent; what is under way arrives");
    stage.finish_sending(PATIENCE).await;
    settle(&story, &witness).await;
    let kills = stage.kills();
    stage.close_consumers(PATIENCE).await;
    if let Err(error) = stage.audit(&story).await {
        story.tell(&format!("the topic can't be read again, handlers alone decide: {error:#}"));
    }
    let report = Report::new(&witness, kills);
    stage.judged(report.lost());
    if !report.holds() {
        story.tell(&format!("the evidence is kept in {}", report.keep(&witness)?.display()));
        if !demo.control {
            story.tell(&report.account(&witness));
        }
    }
    story.end();
    output::unless_unread(report.write(demo.json))?;
    if demo.keep && !interrupted.is_cancelled() {
        stage.keep(&story, &interrupted).await;
    }
    stage.close().await;
    Ok(report.holds())
}

async fn play(
    plan: &Plan,
    stage: &mut Stage,
    story: &Story,
    witness: &Witness,
    interrupted: &CancellationToken,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    for (at, step) in plan.steps() {
        let due = tokio::time::sleep_until((begun + *at).into());
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = &mut due => break,
                () = tokio::time::sleep(Duration::from_millis(100)) => story.counters(witness),
                () = interrupted.cancelled() => {
                    story.tell("interrupted: the verdict on what was sent until now follows");
                    return Ok(());
                }
            }
        }
        match step {
            Step::Kill(node) => stage.kill(*node, story).await?,
            Step::Start(node) => stage.start(*node, story).await?,
            Step::FreezeOthers(node) => stage.freeze_others(*node, true, story).await?,
            Step::ThawOthers(node) => stage.freeze_others(*node, false, story).await?,
            Step::Join => stage.join(story)?,
            Step::Leave => stage.leave(story).await,
            Step::End => {}
        }
    }
    Ok(())
}

/// Waits until every message is accounted for, or nothing has happened for a while.
async fn settle(story: &Story, witness: &Witness) {
    let mut progress = (witness.progress(), Instant::now());
    while !witness.is_complete() && progress.1.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(50)).await;
        story.counters(witness);
        let now = witness.progress();
        if now != progress.0 {
            progress = (now, Instant::now());
        }
    }
}
