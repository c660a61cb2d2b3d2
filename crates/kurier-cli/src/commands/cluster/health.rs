//! `kurier cluster health`: whether every partition has a leader and all its replicas.

use std::time::{Duration, Instant};

use kurier::{Admin, ClientError, TopicDescription};
use serde_json::json;

use crate::args::{Global, Output};
use crate::commands;
use crate::exit::Exit;
use crate::output::{self, counted};
use crate::signals::Signals;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Prints the health once, or with one of the two whenever it changes, until it is good or for ever.
///
/// # Errors
/// When a single look fails, or standard output cannot be written.
pub async fn run(
    watch: bool,
    exit_when_healthy: bool,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let admin = commands::admin(global)?;
    let exit = if exit_when_healthy {
        // Without --timeout it waits as long as it takes, as one who starts a cluster wants it.
        let end = global.timeout.map(|timeout| Instant::now() + timeout);
        follow(&admin, &Until::Healthy(end), global.output, signals).await?
    } else if watch {
        follow(&admin, &Until::Stopped, global.output, signals).await?
    } else {
        let health = Health::of(&admin.list_topics().await?);
        output::unless_unread(health.print(global.output))?;
        health.exit()
    };
    admin.close().await;
    Ok(exit)
}

/// How long health is followed, beside signals.
enum Until {
    Stopped,
    /// Or until then.
    Healthy(Option<Instant>),
}

/// The exit code is that of the last look. A cluster that does not answer is one more thing that is wrong
/// with it.
async fn follow(
    admin: &Admin,
    until: &Until,
    form: Output,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let mut last: Option<Health> = None;
    while !signals.drain.is_cancelled() {
        let health = tokio::select! {
            () = signals.drain.cancelled() => break,
            topics = admin.list_topics() => match topics {
                Ok(topics) => Health::of(&topics),
                Err(error) => Health::unknown(&error),
            },
        };
        if last.as_ref() != Some(&health) {
            health.print(form)?;
        }
        let (is_good, over) = match until {
            Until::Stopped => (false, false),
            Until::Healthy(end) => {
                (health.exit() == Exit::Done, end.is_some_and(|end| end <= Instant::now()))
            }
        };
        if is_good || over {
            return Ok(health.exit());
        }
        last = Some(health);
        tokio::select! {
            () = signals.drain.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    Ok(match last.as_ref().map(Health::exit) {
        Some(Exit::Done) | None => signals.exit(),
        Some(unhealthy) => unhealthy,
    })
}

/// What is wrong with a cluster, and how large it is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Health {
    problems: Vec<String>,
    topics: usize,
    partitions: usize,
    /// No broker answered.
    unreachable: bool,
}

impl Health {
    fn of(topics: &[TopicDescription]) -> Self {
        Self {
            problems: topics.iter().flat_map(ailments).collect(),
            topics: topics.len(),
            partitions: topics.iter().map(|topic| topic.partitions.len()).sum(),
            unreachable: false,
        }
    }

    fn unknown(error: &ClientError) -> Self {
        let unreachable = matches!(error, ClientError::Unreachable { .. });
        Self { problems: vec![error.to_string()], unreachable, ..Self::default() }
    }

    fn print(&self, form: Output) -> std::io::Result<()> {
        let Self { problems, topics, partitions, .. } = self;
        if form == Output::Json {
            output::json(&json!({
                "healthy": problems.is_empty(), "problems": problems,
                "topics": topics, "partitions": partitions,
            }))?;
        } else if problems.is_empty() {
            let (topics, partitions) =
                (counted(*topics, "topic"), counted(*partitions, "partition"));
            output::text(&format!("healthy: {topics}, {partitions}, every replica in sync\n"))?;
        } else {
            output::text(&format!("{}\n", problems.join("\n")))?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        match (self.unreachable, self.problems.is_empty()) {
            (true, _) => Exit::Unreachable,
            (false, true) => Exit::Done,
            (false, false) => Exit::Unhealthy,
        }
    }
}

fn ailments(topic: &TopicDescription) -> Vec<String> {
    let ailing = topic.partitions.iter().filter_map(|it| {
        let (name, number) = (&topic.name, it.partition);
        match it.leader {
            None => Some(format!("{name} {number}: no leader")),
            Some(_) if it.isr.len() < it.replicas.len() => Some(format!(
                "{name} {number}: {} of {} replicas in sync",
                it.isr.len(),
                it.replicas.len()
            )),
            Some(_) => None,
        }
    });
    ailing.collect()
}
