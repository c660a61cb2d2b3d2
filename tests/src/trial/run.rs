//! One trial from beginning to end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kurier::Judgement;

use super::verdict::{Row, Verdict};
use super::{Case, Fault, careless_acks_1, faults};
use crate::audit;
use crate::books::Books;
use crate::cluster::{TestCluster, create_topic, wait_until_in_sync};
use crate::fleet::Fleet;
use crate::senders::{Senders, Sending};

/// The topic of every trial.
pub const TOPIC: &str = "orders";
/// Its partitions at the beginning.
pub const PARTITIONS: u32 = 6;
/// The group of every trial.
pub const GROUP: &str = "workers";
/// Its members at the beginning.
const MEMBERS: usize = 3;

/// New partitions are found by looking, by default every five minutes.
const LOOKING: (&str, &str) = ("topic.metadata.refresh.interval.ms", "1000");
/// Messages stay so long in a producer that is to be killed with some in it.
const LINGERING: (&str, &str) = ("linger.ms", "50");

/// Messages that are acknowledged before the fault.
const BEFORE: u64 = 1_500;
/// Messages that are acknowledged in all, at least.
const IN_ALL: u64 = 5_200;
/// Messages that are acknowledged after everything is in sync again, at least.
const AFTER: u64 = 500;

/// How long a load stands still at most: longer than any fault.
const PATIENCE: Duration = Duration::from_secs(240);

/// A trial under way, as a fault sees it.
pub struct Run<'a> {
    /// What it runs on.
    pub cluster: &'a dyn TestCluster,
    /// What is known of its messages.
    pub books: Arc<Books>,
    /// The group.
    pub fleet: Fleet,
    /// The producers.
    pub senders: Senders,
    /// What was seen on the way, for the table.
    pub notes: Vec<String>,
}

/// Tries `case` on a cluster that is whole and has no topics. Never fails: what went wrong is the row's
/// verdict.
pub async fn run(case: &'static Case, cluster: &dyn TestCluster) -> Row {
    let begun = Instant::now();
    let mut notes = Vec::new();
    let verdict = match case.not_on(cluster.kind()) {
        Some(why) => Verdict::NotHere(why),
        None => match tried(case, cluster, &mut notes).await {
            Ok(verdict) => verdict,
            Err(error) => Verdict::Broken(format!("{error:#}")),
        },
    };
    Row { case, kind: cluster.kind(), took: begun.elapsed(), notes, verdict }
}

async fn tried(
    case: &Case,
    cluster: &dyn TestCluster,
    notes: &mut Vec<String>,
) -> anyhow::Result<Verdict> {
    create_topic(cluster, TOPIC, PARTITIONS).await?;
    if case.fault == Fault::Careless {
        let books = Books::named(case.name, &[]);
        let hit = careless_acks_1(cluster, TOPIC, &books).await?;
        notes.push(format!("node {hit} hit"));
        return Ok(Verdict::of(books.judge(), case));
    }
    let mut run = Run::begin(case, cluster).await?;
    let struck = async {
        run.until("the load", BEFORE).await?;
        faults::strike(case.fault, &mut run).await?;
        wait_until_in_sync(cluster).await?;
        let (_, delivered, _) = run.books.counts();
        run.until("the rest of the load", IN_ALL.max(delivered + AFTER)).await
    }
    .await;
    notes.append(&mut run.notes);
    struck?;
    let (books, judgement) = run.end().await?;
    let verdict = Verdict::of(judgement, case);
    if let Verdict::Fails(judgement, _) = &verdict {
        let kept = books.keep_evidence(judgement)?;
        eprintln!("{}", std::fs::read_to_string(kept.join("account.txt"))?);
        notes.push(format!("evidence in {}", kept.display()));
    }
    Ok(verdict)
}

impl<'a> Run<'a> {
    async fn begin(case: &Case, cluster: &'a dyn TestCluster) -> anyhow::Result<Self> {
        let books = Arc::new(Books::named(case.name, &[GROUP]));
        let bootstrap = cluster.bootstrap();
        let (kind, home) = case.members;
        let fleet = Fleet::new(bootstrap, TOPIC, GROUP, &books).kind(kind).home(home);
        let mut fleet = fleet.property(LOOKING.0, LOOKING.1);
        fleet.start_many(MEMBERS)?;
        fleet.wait_until_shared(PARTITIONS as usize).await?;
        let (profile, home) = case.senders;
        let properties: &[_] = match case.fault {
            Fault::SendersKilled => &[LOOKING, LINGERING],
            _ => &[LOOKING],
        };
        let sending = Sending { profile, home, properties, ..Sending::default() };
        let senders = sending.start(bootstrap, TOPIC, &books).await?;
        Ok(Self { cluster, books, fleet, senders, notes: Vec::new() })
    }

    /// Waits until so many messages are acknowledged in all.
    ///
    /// # Errors
    /// When a client ends meanwhile, or nothing more is acknowledged for [`PATIENCE`].
    pub async fn until(&mut self, what: &str, delivered: u64) -> anyhow::Result<()> {
        let (mut seen, mut end) = (0, Instant::now() + PATIENCE);
        loop {
            let (_, now, _) = self.books.counts();
            if delivered <= now {
                return Ok(());
            }
            self.fleet.all_run().await.with_context(|| what.to_owned())?;
            self.senders.all_run().with_context(|| what.to_owned())?;
            if seen < now {
                (seen, end) = (now, Instant::now() + PATIENCE);
            }
            ensure!(Instant::now() < end, "{what}: {now} of {delivered}, and it stands still");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until so many messages more are acknowledged.
    ///
    /// # Errors
    /// As [`until`](Self::until).
    pub async fn goes_on(&mut self, what: &str, more: u64) -> anyhow::Result<()> {
        let (_, delivered, _) = self.books.counts();
        self.until(what, delivered + more).await
    }

    /// Ends the load, lets the group handle all of it, and looks at what the log really holds.
    async fn end(mut self) -> anyhow::Result<(Arc<Books>, Judgement)> {
        self.senders.finish().await.context("the producers")?;
        let (_, delivered, _) = self.books.counts();
        // What is missing in the end is the verdict's to say.
        let rest = self.fleet.wait_until_handled(delivered).await;
        self.fleet.close().await.context("the members")?;
        audit::enter(&self.books, self.cluster.bootstrap(), TOPIC).await?;
        let judgement = self.books.judge();
        if judgement.holds() {
            rest?;
        }
        Ok((self.books, judgement))
    }
}
