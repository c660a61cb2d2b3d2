//! The members of a group, as many as a scenario wants and gone as it wants, feeding the books.
//!
//! A member is a consumer in this process, which tells all that happens to it, or a `kurier consume`,
//! which can be killed for real: what it prints is what it has handled, and what its group has committed
//! is read from Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use kurier::{
    Admin, Batch, BatchMessageConsumer, Closed, ConsumeError, ConsumeReport, ConsumerBuilder,
    Context, Failure, GroupState, Message, MessageDecoder, OnFailure, Received,
    SingleMessageConsumer,
};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::binary::{Ended, Kurier};
use crate::books::Books;
use crate::cluster::{PATIENCE, ask_until_right};
use crate::follow::Sampler;

/// Which consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// One message at a time.
    Single,
    /// In batches.
    Batch,
}

/// Where a member or a sender runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// In this process. Killing it drops it: it leaves its group politely, as a crash does not.
    Task,
    /// As a `kurier` of its own. Killing it is SIGKILL.
    Process,
}

/// Members of one group that read one topic. Dropped, all of them end without a word.
#[derive(Debug)]
pub struct Fleet {
    bootstrap: String,
    topic: String,
    group: String,
    books: Arc<Books>,
    kind: MemberKind,
    home: Home,
    properties: Vec<(String, String)>,
    commits_late: bool,
    members: BTreeMap<String, Member>,
    begun: usize,
    /// There is one from the first process on.
    sampler: Option<Sampler>,
}

#[derive(Debug)]
enum Member {
    Task(Running),
    Process(Kurier),
}

/// A consumer in this process; dropped, it is aborted.
#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    run: JoinHandle<Result<ConsumeReport, ConsumeError>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.run.abort();
    }
}

impl Fleet {
    /// A fleet without members: single consumers in this process, until something else is said. A member
    /// that died is missed after 6 s, the least that Apache Kafka allows by default.
    pub fn new(bootstrap: &str, topic: &str, group: &str, books: &Arc<Books>) -> Self {
        let short = [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "1000")];
        Self {
            bootstrap: bootstrap.to_owned(),
            topic: topic.to_owned(),
            group: group.to_owned(),
            books: Arc::clone(books),
            kind: MemberKind::Single,
            home: Home::Task,
            properties: short.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            commits_late: false,
            members: BTreeMap::new(),
            begun: 0,
            sampler: None,
        }
    }

    /// Which consumer the members started from now on are.
    #[must_use]
    pub fn kind(mut self, kind: MemberKind) -> Self {
        self.kind = kind;
        self
    }

    /// Where the members started from now on run.
    #[must_use]
    pub fn home(mut self, home: Home) -> Self {
        self.home = home;
        self
    }

    /// One of librdkafka's properties for the members started from now on.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Processes started from now on commit when they give partitions up, and at no other time.
    #[must_use]
    pub fn commits_late(mut self) -> Self {
        self.commits_late = true;
        self
    }

    /// The names of the members that were started and neither stopped nor killed.
    pub fn members(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    /// Starts one more, and returns its name at once.
    ///
    /// # Errors
    /// When there is no `kurier` to start.
    pub fn start(&mut self) -> anyhow::Result<String> {
        self.begun += 1;
        let name = format!("member-{}", self.begun);
        let member = match self.home {
            Home::Task => Member::Task(self.task(&name)),
            Home::Process => Member::Process(self.process(&name)?),
        };
        if self.home == Home::Process && self.sampler.is_none() {
            self.sampler = Some(Sampler::start(&self.bootstrap, &self.books, &self.group)?);
        }
        self.members.insert(name.clone(), member);
        Ok(name)
    }

    /// Starts several.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_many(&mut self, count: usize) -> anyhow::Result<()> {
        (0..count).try_for_each(|_| self.start().map(drop))
    }

    /// Asks a member to end, SIGTERM for a process, and waits until it has.
    ///
    /// # Errors
    /// When it does not end within [`PATIENCE`], had ended before, or left something undone.
    pub async fn stop(&mut self, name: &str) -> anyhow::Result<()> {
        let ended = match self.take(name)? {
            Member::Process(kurier) => {
                let ended = stop_process(kurier).await;
                self.books.ended(&self.group, name);
                ended
            }
            Member::Task(running) => stop_task(running).await,
        };
        ended.with_context(|| name.to_owned())
    }

    /// Ends a member at once, see [`Home`].
    ///
    /// # Errors
    /// What the system says.
    pub async fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        match self.take(name)? {
            Member::Process(mut kurier) => {
                kurier.kill()?;
                self.books.ended(&self.group, name);
                Ok(())
            }
            Member::Task(mut running) => {
                running.run.abort();
                // Cancelled, or it had ended; either way it is gone now.
                let _ = (&mut running.run).await;
                Ok(())
            }
        }
    }

    /// Stops all, and enters what the group has committed in the end.
    ///
    /// # Errors
    /// As [`stop`](Self::stop), of the first that did not end well.
    pub async fn close(mut self) -> anyhow::Result<()> {
        for name in self.members() {
            self.stop(&name).await?;
        }
        match self.sampler.take() {
            Some(sampler) => sampler.finish().await,
            None => Ok(()),
        }
    }

    /// Waits until the group is stable, has exactly these members, and `partitions` of the topic's
    /// partitions have an owner, each one.
    ///
    /// # Errors
    /// What it looks like instead after [`PATIENCE`].
    pub async fn wait_until_shared(&self, partitions: usize) -> anyhow::Result<()> {
        let shared = async |admin: &Admin| self.is_shared(admin, partitions).await;
        let shared = ask_until_right(&self.bootstrap, shared).await;
        shared.with_context(|| format!("{} is not shared", self.group))
    }

    async fn is_shared(&self, admin: &Admin, partitions: usize) -> anyhow::Result<()> {
        let group = admin.describe_group(&self.group).await?;
        ensure!(group.state == GroupState::Stable, "it is {}", group.state);
        let (there, mine) = (group.members.len(), self.members.len());
        ensure!(there == mine, "{there} members of {mine}");
        let owned = || group.members.iter().flat_map(|member| &member.partitions);
        let of_topic = || owned().filter(|owned| *owned.topic == self.topic);
        let (shares, distinct) = (of_topic().count(), of_topic().collect::<BTreeSet<_>>().len());
        ensure!(distinct == partitions, "{distinct} partitions of {partitions} are owned");
        ensure!(shares == distinct, "{} partitions have two owners", shares - distinct);
        Ok(())
    }

    /// Waits until the group has handled `count` different messages.
    ///
    /// # Errors
    /// When a member ends meanwhile, or nothing more is handled for [`PATIENCE`].
    pub async fn wait_until_handled(&mut self, count: u64) -> anyhow::Result<()> {
        let (mut handled, mut end) = (0, Instant::now() + PATIENCE);
        loop {
            let now = self.books.handled_by(&self.group);
            if count <= now {
                return Ok(());
            }
            self.all_run().await?;
            if handled < now {
                (handled, end) = (now, Instant::now() + PATIENCE);
            }
            ensure!(Instant::now() < end, "{} of {count} handled, and no more come", now);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// That no member has ended by itself.
    ///
    /// # Errors
    /// How it has ended.
    pub async fn all_run(&mut self) -> anyhow::Result<()> {
        for (name, member) in &mut self.members {
            match member {
                Member::Task(running) if running.run.is_finished() => {
                    bail!("{name} ended by itself: {:?}", (&mut running.run).await);
                }
                Member::Process(kurier) => kurier.runs().with_context(|| name.clone())?,
                Member::Task(_) => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, name: &str) -> anyhow::Result<Member> {
        self.members.remove(name).with_context(|| format!("there is no {name}"))
    }

    fn task(&self, name: &str) -> Running {
        let (topic, stop) = (self.topic.as_str(), CancellationToken::new());
        let (books, group, until) = (Arc::clone(&self.books), self.group.clone(), stop.clone());
        let run = match self.kind {
            MemberKind::Single => {
                let handler = move |message: Arc<Received<Message<Value>>>, _: Context| {
                    books.received(&group, &message);
                    std::future::ready(Ok::<(), Failure>(()))
                };
                let builder = SingleMessageConsumer::builder(&*self.bootstrap, topic);
                tokio::spawn(self.configured(builder, name).run(handler, until))
            }
            MemberKind::Batch => {
                let handler = move |batch: Arc<Batch<Message<Value>>>, _: Context| {
                    batch.items().iter().for_each(|message| books.received(&group, message));
                    std::future::ready(Ok::<_, Failure>(batch.all_done()))
                };
                let builder = BatchMessageConsumer::builder(&*self.bootstrap, topic);
                tokio::spawn(self.configured(builder, name).run(handler, until))
            }
        };
        Running { stop, run }
    }

    fn configured<K, D>(
        &self,
        builder: ConsumerBuilder<K, D>,
        name: &str,
    ) -> ConsumerBuilder<K, MessageDecoder<Value>> {
        builder
            .on_event(self.books.listener(&self.group, name))
            .group(&*self.group)
            .instance(name)
            .decoder(MessageDecoder::default())
            // A partition that stops would be missed in silence.
            .on_failure(OnFailure::Exit)
            .properties(self.properties.iter().cloned())
    }

    fn process(&self, name: &str) -> anyhow::Result<Kurier> {
        let kind = match self.kind {
            MemberKind::Single => "single",
            MemberKind::Batch => "batch",
        };
        let mut args = vec!["consume", kind, &self.topic, "--group", &self.group];
        args.extend(["--instance", name, "--on-failure", "exit"]);
        if self.commits_late {
            args.extend(["--commit-interval", "1h"]);
        }
        let set: Vec<_> =
            self.properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
        args.extend(set.iter().flat_map(|set| ["-X", set]));
        self.books.prints(&self.group, name);
        let (books, group) = (Arc::clone(&self.books), self.group.clone());
        let instance = name.to_owned();
        Kurier::telling(&self.bootstrap, &args, move |line| {
            // What is not handled for that is missed in the end.
            if let Err(error) = books.printed(&group, &instance, &line) {
                eprintln!("{instance}: {error:#}");
            }
        })
    }
}

async fn stop_process(kurier: Kurier) -> anyhow::Result<()> {
    let Ended { status, talk, .. } = kurier.stop().await?;
    ensure!(status.code() == Some(143), "ended with {status}: {talk}");
    Ok(())
}

async fn stop_task(mut running: Running) -> anyhow::Result<()> {
    running.stop.cancel();
    let ended = tokio::time::timeout(PATIENCE, &mut running.run).await;
    let report = ended.context("it does not end")???;
    let clean = report.closed == Closed::Clean && report.stopped.is_empty();
    let nothing_left = report.outstanding == 0 && report.uncommitted.is_empty();
    ensure!(clean && nothing_left, "{report:?}");
    Ok(())
}
