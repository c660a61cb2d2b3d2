//! A group of `kurier consume` processes, watched from outside: the lines they print, and what Kafka
//! says they have committed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kurier::Admin;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::books::Books;
use crate::cluster;

/// Enters the lines of one process, each once. When they are entered makes no difference, only that
/// they are in their order.
#[derive(Debug)]
pub struct Follower {
    books: Arc<Books>,
    group: String,
    instance: String,
    entered: usize,
}

impl Follower {
    /// Follows a process that has not printed anything yet.
    pub fn new(books: &Arc<Books>, group: &str, instance: &str) -> Self {
        books.prints(group, instance);
        let (books, group, instance) = (Arc::clone(books), group.to_owned(), instance.to_owned());
        Self { books, group, instance, entered: 0 }
    }

    /// Enters those of `lines`, all that the process has printed so far, that are new.
    ///
    /// # Errors
    /// When one is no line of `kurier consume`.
    pub fn enter(&mut self, lines: &[Value]) -> anyhow::Result<()> {
        for line in lines.iter().skip(self.entered) {
            self.books.printed(&self.group, &self.instance, line)?;
        }
        self.entered = self.entered.max(lines.len());
        Ok(())
    }

    /// The process has ended, having printed `lines`.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    pub fn end(mut self, lines: &[Value]) -> anyhow::Result<()> {
        self.enter(lines)?;
        self.books.ended(&self.group, &self.instance);
        Ok(())
    }
}

/// Reads a group's committed offsets again and again, and enters them. Dropped, it ends without a last look.
#[derive(Debug)]
pub struct Sampler {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

/// Pause between two samples.
const EVERY: Duration = Duration::from_millis(50);

impl Sampler {
    /// Begins to sample.
    ///
    /// # Errors
    /// When there is no client for it.
    pub fn start(bootstrap: &str, books: &Arc<Books>, group: &str) -> anyhow::Result<Self> {
        let (bootstrap, stop) = (bootstrap.to_owned(), CancellationToken::new());
        let (books, group, stopped) = (Arc::clone(books), group.to_owned(), stop.clone());
        let mut admin = cluster::admin(&bootstrap)?;
        let task = tokio::spawn(async move {
            while !stopped.is_cancelled() {
                admin = sample(admin, &bootstrap, &books, &group).await?;
                tokio::time::sleep(EVERY).await;
            }
            // Nothing is committed any more, so this is the last word.
            sample(admin, &bootstrap, &books, &group).await?.close().await;
            Ok(())
        });
        Ok(Self { stop, task })
    }

    /// Takes a last sample and ends. To be called when the group's processes have ended.
    ///
    /// # Errors
    /// When Kafka did not answer, however often it was asked.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        (&mut self.task).await?.context("sampling what was committed")
    }
}

/// A coordinator that is moving or dead is asked for again, by a new client: see
/// [`ask_until_right`](cluster::ask_until_right).
async fn sample(
    mut admin: Admin,
    bootstrap: &str,
    books: &Books,
    group: &str,
) -> anyhow::Result<Admin> {
    let asked = std::time::Instant::now();
    loop {
        match admin.group_offsets(group).await {
            Ok(committed) => {
                books.sampled(group, committed);
                return Ok(admin);
            }
            Err(error) if error.is_retriable() && asked.elapsed() < cluster::PATIENCE => {
                admin.close().await;
                tokio::time::sleep(EVERY).await;
                admin = cluster::admin(bootstrap)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}
