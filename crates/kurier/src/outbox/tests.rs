//! The outbox without a producer: what a process that dies leaves behind, disks that fail, bytes that
//! change.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod bytes;
mod crashes;
mod depth;
mod faults;
mod life;
mod recovery;
mod rejects;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::disk::{Disk, RealDisk};
use super::open::open_on;
use super::*;
use crate::Headers;

/// An outbox in use, with all it has said.
struct Used {
    outbox: Outbox,
    news: Arc<Mutex<Vec<String>>>,
}

impl Used {
    fn open(dir: &Path) -> Self {
        Self::on(Arc::new(RealDisk), &OutboxConfig::from(dir))
    }

    fn on(disk: Arc<dyn Disk>, config: &OutboxConfig) -> Self {
        let news = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&news);
        let teller = Teller::new(move |one| told.lock().unwrap().push(format!("{one:?}")));
        Self { outbox: open_on(disk, config, teller).unwrap(), news }
    }

    fn said(&self, what: &str) -> usize {
        self.news.lock().unwrap().iter().filter(|one| one.starts_with(what)).count()
    }

    async fn until_said(&self, what: &str) {
        within(what, async {
            while self.said(what) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    async fn send(&self, value: &str) -> Result<Sequence, NotStored> {
        let headers = Headers::new();
        let mut number = None;
        let entry = entry(value, &headers);
        self.outbox.take(&entry, |taken| number = Some(taken)).await?.await?;
        Ok(number.unwrap())
    }

    /// What there is to deliver, in order; reads until nothing is left.
    fn undelivered(&self) -> Vec<(u64, String)> {
        let left = self.outbox.undelivered_before(self.outbox.next());
        let mut reader = Reader::new(&self.outbox);
        (0..left).map(|_| read(&mut reader)).collect()
    }

    fn values(&self) -> Vec<String> {
        self.undelivered().into_iter().map(|(_, value)| value).collect()
    }

    fn deliver(&self, numbers: impl IntoIterator<Item = u64>) {
        self.outbox.delivered(numbers.into_iter().map(Sequence));
    }

    fn end(&self) {
        self.outbox.end(Duration::from_secs(20));
    }
}

fn entry<'a>(value: &'a str, headers: &'a Headers) -> Entry<'a, &'a Headers> {
    Entry {
        topic: "orders",
        id: None,
        key: Some(b"key"),
        value: Some(value.as_bytes()),
        headers,
        timestamp_ms: None,
        partition: None,
    }
}

fn read(reader: &mut Reader) -> (u64, String) {
    let (sequence, body) = reader.next().unwrap();
    let entry = Entry::read(body).unwrap();
    (sequence.0, String::from_utf8(entry.value.unwrap().to_vec()).unwrap())
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(40);
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

/// The files of `dir` whose names have `part`, in the order of their names.
fn files(dir: &Path, part: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().contains(part);
    let mut found: Vec<PathBuf> = all.filter(named).collect();
    found.sort();
    found
}

fn numbers(count: u64) -> Vec<String> {
    (0..count).map(|number| format!("message {number}")).collect()
}
