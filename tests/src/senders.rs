//! The producers of a run, as many as a scenario wants, at a steady rate, feeding the books.
//!
//! A sender is a producer in this process, or a `kurier produce`, which can be killed for real and is
//! given again what it had not acknowledged, as whoever feeds one has to. Each has keys of its own.

mod process;
mod task;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use kurier::DeliveryProfile;
use tokio::time::MissedTickBehavior;

use self::process::ProcessSender;
use self::task::TaskSender;
use crate::books::Books;
use crate::fleet::Home;

/// What is sent, by whom and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending {
    /// How many producers.
    pub senders: u32,
    /// How many keys each of them has.
    pub keys: u32,
    /// Messages a second, all of them together.
    pub rate: u32,
    /// How they are delivered.
    pub profile: DeliveryProfile,
    /// Where the producers run.
    pub home: Home,
    /// librdkafka's properties for them.
    pub properties: &'static [(&'static str, &'static str)],
}

impl Default for Sending {
    /// Two producers in this process, 1,000 messages a second, the default profile.
    fn default() -> Self {
        let profile = DeliveryProfile::Default;
        Self { senders: 2, keys: 16, rate: 1_000, profile, home: Home::Task, properties: &[] }
    }
}

/// Producers at work. Dropped, they stop without a word.
#[derive(Debug)]
pub struct Senders(Vec<Sender>);

#[derive(Debug)]
enum Sender {
    Task(TaskSender),
    Process(Box<ProcessSender>),
}

impl Sending {
    /// Begins to send to `topic`, until [`finish`](Senders::finish).
    ///
    /// # Errors
    /// When a producer can't be made.
    pub async fn start(
        self,
        bootstrap: &str,
        topic: &str,
        books: &Arc<Books>,
    ) -> anyhow::Result<Senders> {
        let mut senders = Vec::new();
        for number in 0..self.senders {
            let wants = Wants {
                bootstrap: bootstrap.to_owned(),
                topic: topic.to_owned(),
                books: Arc::clone(books),
                keys: Keys::new(number, self),
                sending: self,
            };
            senders.push(match self.home {
                Home::Task => Sender::Task(TaskSender::start(wants).await?),
                Home::Process => Sender::Process(Box::new(ProcessSender::start(wants)?)),
            });
        }
        Ok(Senders(senders))
    }
}

impl Senders {
    /// That none has ended by itself.
    ///
    /// # Errors
    /// Which one has.
    pub fn all_run(&mut self) -> anyhow::Result<()> {
        for (number, sender) in self.0.iter_mut().enumerate() {
            match sender {
                Sender::Task(sender) => sender.runs(),
                Sender::Process(sender) => sender.runs(),
            }
            .with_context(|| format!("sender {number}"))?;
        }
        Ok(())
    }

    /// Kills one of them with SIGKILL, by its number, and starts it again with what it had not
    /// acknowledged; says how many messages that were.
    ///
    /// # Errors
    /// When it is no process, or does not start.
    pub async fn kill_and_restart(&mut self, number: usize) -> anyhow::Result<usize> {
        match self.0.get_mut(number).context("there is no such sender")? {
            Sender::Process(sender) => sender.kill_and_restart().await,
            Sender::Task(_) => anyhow::bail!("sender {number} is no process"),
        }
    }

    /// Sends no more, and waits until every delivery has ended and every producer is closed.
    ///
    /// # Errors
    /// When a message was not accepted, or a producer left something undone.
    pub async fn finish(self) -> anyhow::Result<()> {
        // All of them stop before the first is waited for.
        for sender in &self.0 {
            match sender {
                Sender::Task(sender) => sender.enough(),
                Sender::Process(sender) => sender.enough(),
            }
        }
        for sender in self.0 {
            match sender {
                Sender::Task(sender) => sender.finish().await?,
                Sender::Process(sender) => sender.finish().await?,
            }
        }
        Ok(())
    }
}

/// What one sender is to do.
#[derive(Debug, Clone)]
struct Wants {
    bootstrap: String,
    topic: String,
    books: Arc<Books>,
    keys: Keys,
    sending: Sending,
}

/// The keys of one sender, and when the next round through them is due.
#[derive(Debug, Clone)]
struct Keys {
    names: Vec<Bytes>,
    every: Duration,
}

impl Keys {
    fn new(sender: u32, sending: Sending) -> Self {
        let name = |key| Bytes::from(format!("sender {sender}, key {key}"));
        let names = (0..sending.keys).map(name).collect();
        let rounds = f64::from(sending.rate) / f64::from(sending.senders * sending.keys);
        Self { names, every: Duration::from_secs(1).div_f64(rounds) }
    }

    /// Ticks once for each round. After a pause it goes on at its pace; what was missed is not made up
    /// for in one gush.
    fn clock(&self) -> tokio::time::Interval {
        let mut clock = tokio::time::interval(self.every);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        clock
    }
}
