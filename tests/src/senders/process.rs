//! A sender that is a `kurier produce`: whole messages go in as lines, reports come out as lines.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use kurier::{DeliveryProfile, Message, Offset, PartitionId, Receipt};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Wants;
use crate::binary::Kurier;
use crate::cluster::PATIENCE;

/// A process, and the task that writes to its standard input. Dropped, both end.
#[derive(Debug)]
pub struct ProcessSender {
    wants: Wants,
    unsettled: Arc<Mutex<Unsettled>>,
    kurier: Kurier,
    feeding: Feeding,
}

#[derive(Debug)]
struct Feeding {
    enough: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Drop for Feeding {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ProcessSender {
    pub fn start(wants: Wants) -> anyhow::Result<Self> {
        let unsettled = Arc::<Mutex<Unsettled>>::default();
        let (kurier, feeding) = wants.launch(&unsettled)?;
        Ok(Self { wants, unsettled, kurier, feeding })
    }

    pub fn runs(&mut self) -> anyhow::Result<()> {
        self.kurier.runs()
    }

    pub fn enough(&self) {
        self.feeding.enough.cancel();
    }

    /// Killed when several messages are on their way. What was written to it and had no answer, which is
    /// known when all it printed is read, is written to the next.
    pub async fn kill_and_restart(&mut self) -> anyhow::Result<usize> {
        let end = Instant::now() + PATIENCE;
        while lock(&self.unsettled).lines.len() < self.wants.keys.names.len() / 2 {
            self.runs()?;
            ensure!(Instant::now() < end, "never are several messages on their way");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.kurier.kill()?;
        self.feeding.task.abort();
        // Aborted; or an error, that of writing to what is dead.
        let _ = (&mut self.feeding.task).await;
        let left = lock(&self.unsettled).lines.len();
        (self.kurier, self.feeding) = self.wants.launch(&self.unsettled)?;
        Ok(left)
    }

    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.enough();
        (&mut self.feeding.task).await??;
        let ended = self.kurier.wait().await?;
        ensure!(ended.status.success(), "kurier produce: {}: {}", ended.status, ended.talk);
        let left = lock(&self.unsettled).lines.len();
        ensure!(left == 0, "kurier produce ended well and {left} messages have no outcome");
        Ok(())
    }
}

impl Wants {
    fn launch(&self, unsettled: &Arc<Mutex<Unsettled>>) -> anyhow::Result<(Kurier, Feeding)> {
        let profile = match self.sending.profile {
            DeliveryProfile::Default => "default",
            DeliveryProfile::OneInFlight => "one-in-flight",
            other => bail!("kurier produce has no {other:?}"),
        };
        let args = ["produce", &self.topic, "--input", "ndjson", "--key", KEY];
        let mut args = [&args[..], &["--report", "each", "--delivery", profile]].concat();
        let set: Vec<_> =
            self.sending.properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
        args.extend(set.iter().flat_map(|set| ["-X", set]));
        let (books, settling) = (Arc::clone(&self.books), Arc::clone(unsettled));
        let topic = Arc::<str>::from(&*self.topic);
        let mut kurier = Kurier::telling(&self.bootstrap, &args, move |line| {
            // A failure stays unsettled, and shows when the process ends.
            if let Some((id, receipt)) = delivered(&line, &topic) {
                books.settled(id, &Ok(receipt));
                lock(&settling).settle(id);
            }
        })?;
        let input = OwnedFd::from(kurier.input().context("its standard input is a pipe")?);
        let input = pipe::Sender::from_owned_fd(input)?;
        let enough = CancellationToken::new();
        let (wants, unsettled, until) = (self.clone(), Arc::clone(unsettled), enough.clone());
        let task = tokio::spawn(async move { wants.feed(input, &unsettled, &until).await });
        Ok((kurier, Feeding { enough, task }))
    }

    /// Writes what has no outcome yet, in its order, then new messages until it is enough.
    async fn feed(
        &self,
        mut input: pipe::Sender,
        unsettled: &Mutex<Unsettled>,
        enough: &CancellationToken,
    ) -> anyhow::Result<()> {
        let again: Vec<Bytes> = lock(unsettled).lines.values().cloned().collect();
        for line in again {
            input.write_all(&line).await?;
        }
        let mut clock = self.keys.clock();
        while enough.run_until_cancelled(clock.tick()).await.is_some() {
            for key in &self.keys.names {
                let content = json!({ KEY: std::str::from_utf8(key)? });
                let message = Message::new(content)?.with_key(key.clone());
                let line = Bytes::from(message.to_json()? + "\n");
                // What is written to the process is its to deliver, or the next one's.
                self.books.intended(&message)?;
                self.books.sent(message.id());
                lock(unsettled).add(message.id(), line.clone());
                input.write_all(&line).await?;
            }
        }
        Ok(())
    }
}

/// The field of the content that is the message's key.
const KEY: &str = "key";

/// The messages that were written to the process and have no outcome, in their order.
#[derive(Debug, Default)]
struct Unsettled {
    lines: BTreeMap<u64, Bytes>,
    places: HashMap<Uuid, u64>,
    added: u64,
}

impl Unsettled {
    fn add(&mut self, id: Uuid, line: Bytes) {
        self.added += 1;
        self.lines.insert(self.added, line);
        self.places.insert(id, self.added);
    }

    fn settle(&mut self, id: Uuid) {
        // A message that was written again may be reported again.
        if let Some(place) = self.places.remove(&id) {
            self.lines.remove(&place);
        }
    }
}

/// What a line of `--report each` says, if it tells of a delivery.
fn delivered(line: &Value, topic: &Arc<str>) -> Option<(Uuid, Receipt)> {
    if line["event"] != "delivered" {
        return None;
    }
    let id = line["id"].as_str()?.parse().ok()?;
    let partition = PartitionId(i32::try_from(line["partition"].as_i64()?).ok()?);
    let offset = line["offset"].as_i64().map(Offset);
    Some((id, Receipt { topic: Arc::clone(topic), partition, offset, timestamp: None }))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
