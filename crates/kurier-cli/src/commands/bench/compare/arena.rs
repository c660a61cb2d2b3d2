//! Where contestants have their turns: topics, groups, and what is needed on disk.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use kurier::{Admin, ClientError};

use super::super::payload::Payloads;
use super::contest::{Run, Side};
use super::peers::{Contestant, Task, fill};
use super::watched;
use crate::args::{CompareArgs, Global};
use crate::commands::scratch::{Scratch, unique};

/// The cluster, the settings, and the topics that are read.
pub(super) struct Arena {
    pub(super) admin: Admin,
    bootstrap: String,
    messages: u64,
    size: usize,
    partitions: u32,
    linger: Duration,
    compression: String,
    /// Payloads, a file of them, and a folder for what a contestant needs; removed in the end.
    scratch: PathBuf,
    payload: String,
    /// Topics that are read: bare records, and kurier's messages.
    filled: [Option<String>; 2],
    /// Topics that are there until the end, or until their turn is over.
    made: Mutex<Vec<String>>,
}

impl Arena {
    /// Writes the payloads.
    ///
    /// # Errors
    /// When the folder can't be written, or the configuration is not right.
    pub(super) fn open(args: &CompareArgs, global: &Global) -> anyhow::Result<Self> {
        let scratch = args.out.join(unique("scratch"));
        std::fs::create_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
        let payloads = Payloads::new(args.size, 0, 1);
        std::fs::write(payloads_in(&scratch), payloads.lines())?;
        Ok(Self {
            admin: crate::commands::admin(global)?,
            bootstrap: global.bootstrap().to_owned(),
            messages: args.messages,
            size: args.size,
            partitions: args.partitions,
            linger: args.linger,
            compression: args.compression.clone(),
            payload: payloads.text(0).to_owned(),
            scratch,
            filled: [None, None],
            made: Mutex::default(),
        })
    }

    /// Fills the topics that these contestants read, if any does.
    ///
    /// # Errors
    /// When one can't be made or filled.
    pub(super) async fn fill(&mut self, contestants: &[Contestant]) -> anyhow::Result<()> {
        for typed in [false, true] {
            let reads = |it: &Contestant| it.side == Side::Consume && it.typed == typed;
            if !contestants.iter().any(reads) {
                continue;
            }
            let topic = self.make().await?;
            self.filled[usize::from(typed)] = Some(topic.clone());
            let payloads = payloads_in(&self.scratch);
            let task = self.task(&topic, "", self.messages, &payloads);
            tracing::info!("fills topic {topic} with {} messages", self.messages);
            let filling = watched::run(fill(typed, &task)?).await;
            filling.map_err(|reason| anyhow::anyhow!("fill topic {topic}: {reason}"))?;
        }
        Ok(())
    }

    /// One turn. A topic that was written is deleted, and so is the group.
    ///
    /// # Errors
    /// Why it does not count, in words.
    pub(super) async fn turn(&self, contestant: &Contestant) -> Result<Run, String> {
        let messages = (self.messages / contestant.share).max(1);
        match contestant.side {
            Side::Produce => {
                let made = self.make().await;
                let topic = made.map_err(|error| format!("no topic for it: {error}"))?;
                let run = self.run(contestant, &topic, "", messages).await;
                let there = self.there(&topic).await;
                self.delete(&topic).await;
                let (run, there) = (run?, there?);
                if there < messages {
                    return Err(format!("the topic has {there} of {messages} messages"));
                }
                Ok(run)
            }
            Side::Consume => {
                let topic = self.filled[usize::from(contestant.typed)].as_deref();
                let group = unique("kurier-bench");
                let run = self.run(contestant, topic.unwrap_or_default(), &group, messages).await;
                // kurier's own deletes its own; another's may not have left yet, and then stays.
                if let Err(error) = self.admin.delete_group(&group).await {
                    tracing::debug!("group {group}: {error}");
                }
                run
            }
        }
    }

    async fn run(
        &self,
        contestant: &Contestant,
        topic: &str,
        group: &str,
        messages: u64,
    ) -> Result<Run, String> {
        let payloads = payloads_in(&self.scratch);
        let command = contestant.command(&self.task(topic, group, messages, &payloads));
        let ended = watched::run(command).await?;
        let told = contestant.read(&ended.said)?;
        if told.messages < messages {
            return Err(format!("did {} of {messages} messages", told.messages));
        }
        Ok(Run {
            messages: told.messages,
            // A clock of milliseconds may see no time at all.
            messages_per_second: told.messages as f64 / told.seconds.max(0.001),
            whole_seconds: ended.seconds,
            cost: ended.cost,
        })
    }

    fn task<'a>(
        &'a self,
        topic: &'a str,
        group: &'a str,
        messages: u64,
        payloads: &'a Path,
    ) -> Task<'a> {
        Task {
            bootstrap: &self.bootstrap,
            topic,
            group,
            messages,
            size: self.size,
            linger_ms: self.linger.as_millis(),
            compression: &self.compression,
            payloads,
            payload: &self.payload,
            scratch: &self.scratch,
        }
    }

    async fn there(&self, topic: &str) -> Result<u64, String> {
        let watermarks = self.admin.watermarks(topic).await.map_err(|error| error.to_string())?;
        let there: i64 = watermarks.values().map(|it| it.end.0).sum();
        Ok(u64::try_from(there).unwrap_or(0))
    }

    async fn make(&self) -> Result<String, ClientError> {
        let topic = Scratch::make(&self.admin, "kurier-bench", self.partitions).await?.topic;
        self.made().push(topic.clone());
        Ok(topic)
    }

    fn made(&self) -> MutexGuard<'_, Vec<String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn delete(&self, topic: &str) {
        self.made().retain(|made| made != topic);
        if let Err(error) = self.admin.delete_topic(topic).await {
            tracing::warn!("topic {topic} stays: {error:#}");
        }
    }

    /// Deletes what is left, also of a turn that was broken off.
    pub(super) async fn close(self) {
        let left = self.made().clone();
        for topic in &left {
            self.delete(topic).await;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.scratch) {
            tracing::warn!("{} stays: {error}", self.scratch.display());
        }
        self.admin.close().await;
    }
}

fn payloads_in(scratch: &Path) -> PathBuf {
    scratch.join("payloads.txt")
}
