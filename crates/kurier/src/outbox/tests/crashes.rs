//! Processes that die between any two calls to the disk, also amid what goes wrong with it: what was
//! accepted by then is there, in order, and what was refused is not.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::life::after_death;
use super::*;
use crate::outbox::disk::Append;

/// A disk that keeps what would be left after each call.
#[derive(Debug, Default)]
pub(super) struct Witness {
    dir: PathBuf,
    /// Syncs of files fail.
    sync_fails: AtomicBool,
    accepted: Mutex<Vec<String>>,
    pub(super) left: Mutex<Vec<Left>>,
}

/// What a process that dies after a call leaves, and what it had accepted.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) after: String,
    pub(super) dir: tempfile::TempDir,
    accepted: Vec<String>,
}

#[derive(Debug, Clone)]
struct Watched(Arc<Witness>);

struct WatchedFile {
    file: Box<dyn Append>,
    witness: Arc<Witness>,
}

impl Witness {
    pub(super) fn of(dir: &Path) -> (Arc<Self>, Arc<dyn Disk>) {
        let witness = Arc::new(Self { dir: dir.to_owned(), ..Self::default() });
        (Arc::clone(&witness), Arc::new(Watched(witness)))
    }

    fn sees<T>(&self, after: &str, result: io::Result<T>) -> io::Result<T> {
        let (after, accepted) = (after.to_owned(), self.accepted.lock().unwrap().clone());
        let left = Left { after, dir: after_death(&self.dir), accepted };
        self.left.lock().unwrap().push(left);
        result
    }

    /// Whoever opens what is left finds all that was accepted, in order, and nothing of `never`.
    fn assert_all_is_left(&self, what: &str, never: &[String]) {
        for Left { after, dir, accepted } in &*self.left.lock().unwrap() {
            let next = Used::open(dir.path());
            let values = next.values();
            assert!(values.starts_with(accepted), "{what}, {after}: {accepted:?}, {values:?}");
            assert!(!values.iter().any(|one| never.contains(one)), "{what}, {after}: {values:?}");
            assert_eq!(next.said("Damaged"), 0, "{what}, {after}");
        }
    }
}

impl Disk for Watched {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        let file = self.0.sees("create", RealDisk.create(path))?;
        Ok(Box::new(WatchedFile { file, witness: Arc::clone(&self.0) }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        let file = self.0.sees("open", RealDisk.open(path))?;
        Ok(Box::new(WatchedFile { file, witness: Arc::clone(&self.0) }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.sees("remove", RealDisk.remove(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.sees("rename", RealDisk.rename(from, to))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sees("sync of the folder", RealDisk.sync_dir(path))
    }
}

impl Append for WatchedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Not all at once, so that there is a death within.
        let written = self.file.write(&bytes[..bytes.len().div_ceil(2)]);
        self.witness.sees("write", written)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.witness.sync_fails.load(Ordering::SeqCst) {
            return self.witness.sees("failed sync", Err(io::Error::other("input/output error")));
        }
        self.witness.sees("sync", self.file.sync())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.witness.sees("truncate", self.file.truncate(length))
    }
}

async fn send(used: &Used, witness: &Witness, value: &str) -> bool {
    let sent = used.send(value).await.is_ok();
    if sent {
        witness.accepted.lock().unwrap().push(value.to_owned());
    }
    sent
}

const MODES: [OutboxSync; 3] =
    [OutboxSync::Always, OutboxSync::Interval(Duration::from_millis(100)), OutboxSync::Never];

/// Small segments, so that there are several.
fn config(dir: &Path, sync: OutboxSync) -> OutboxConfig {
    OutboxConfig::from(dir).bytes_max(8 * 300).sync(sync)
}

#[tokio::test]
async fn whoever_dies_between_two_calls_to_the_disk_leaves_what_was_accepted() {
    for sync in MODES {
        let dir = tempfile::tempdir().unwrap();
        let (witness, disk) = Witness::of(dir.path());
        let used = Used::on(disk, &config(dir.path(), sync));
        for value in numbers(9) {
            assert!(send(&used, &witness, &value).await);
        }
        used.end();
        witness.assert_all_is_left(&format!("{sync:?}"), &[]);
    }
}

/// Without a sync what was accepted survives the process, and so it must while it is written anew.
#[tokio::test]
async fn whoever_dies_while_syncs_fail_leaves_what_was_accepted() {
    for (before, sync) in [0, 1, 4, 7].into_iter().flat_map(|n| MODES.map(|sync| (n, sync))) {
        let what = format!("{sync:?}, {before} before");
        let dir = tempfile::tempdir().unwrap();
        let (witness, disk) = Witness::of(dir.path());
        let used = Used::on(disk, &config(dir.path(), sync));
        for value in numbers(before) {
            assert!(send(&used, &witness, &value).await);
        }
        witness.sync_fails.store(true, Ordering::SeqCst);
        let sends = async {
            for value in numbers(before + 3).split_off(before as usize) {
                assert!(send(&used, &witness, &value).await);
            }
        };
        let mends = async {
            if sync != OutboxSync::Never {
                within(&what, used.until_said("NotTaking")).await;
                // Once more in vain.
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            witness.sync_fails.store(false, Ordering::SeqCst);
        };
        within(&what, async { tokio::join!(sends, mends) }).await;
        if sync != OutboxSync::Never {
            within(&what, used.until_said("Taking")).await;
        }
        assert_eq!(used.values(), numbers(before + 3), "{what}");
        used.end();
        witness.assert_all_is_left(&what, &[]);
    }
}

/// What was refused has its sender's attention already: it must not come all the same.
#[tokio::test]
async fn what_was_refused_while_syncs_failed_never_comes_whatever_the_mode() {
    for sync in MODES.into_iter().chain([OutboxSync::Interval(Duration::ZERO)]) {
        let what = format!("{sync:?}");
        let dir = tempfile::tempdir().unwrap();
        let (witness, disk) = Witness::of(dir.path());
        let config = config(dir.path(), sync).when_full(WhenFull::Refuse);
        let used = Used::on(disk, &config);
        witness.sync_fails.store(true, Ordering::SeqCst);
        let mut refused = Vec::new();
        for value in numbers(4) {
            if !within(&what, send(&used, &witness, &value)).await {
                refused.push(value);
            }
        }
        witness.sync_fails.store(false, Ordering::SeqCst);
        within("room", async { while !send(&used, &witness, "after").await {} }).await;
        let accepted = witness.accepted.lock().unwrap().clone();
        assert_eq!(used.values(), accepted, "{what}");
        used.end();
        assert_eq!(Used::open(dir.path()).values(), accepted, "{what}");
    }
}
