//! Disks that are full, fail, or write half: nothing that was accepted is lost, nothing that was refused
//! comes, and all goes on by itself.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::life::after_death;
use super::*;
use crate::outbox::disk::Append;

/// A disk on which things go wrong when they are told to.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Bytes that still fit, if there is an end to them.
    pub(super) room: Mutex<Option<u64>>,
    /// Syncs of files that still succeed, if there is an end to them; each that fails has lost what was
    /// written since the last.
    syncs: Mutex<Option<u64>>,
    /// No file can be made: the folder is read-only.
    read_only: AtomicUsize,
    /// No sync comes back.
    hangs: AtomicUsize,
    synced: AtomicU64,
    /// Which files they were of, by the names they had then.
    synced_files: Mutex<Vec<PathBuf>>,
    /// The names that files were given later.
    renamed: Mutex<Vec<(PathBuf, PathBuf)>>,
    /// Folders whose names were made durable.
    named: Mutex<Vec<PathBuf>>,
}

#[derive(Debug, Clone)]
struct Faulty(Arc<Faults>);

struct FaultyFile {
    file: Box<dyn Append>,
    path: PathBuf,
    faults: Arc<Faults>,
    /// Bytes at the last sync.
    safe: u64,
}

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        if self.0.read_only.load(Ordering::SeqCst) != 0 {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        self.wrap(RealDisk.create(path)?, path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        if self.0.read_only.load(Ordering::SeqCst) != 0 {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        self.wrap(RealDisk.open(path)?, path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let length = std::fs::metadata(path).map_or(0, |file| file.len());
        RealDisk.remove(path)?;
        self.0.gives_back(length);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let length = std::fs::metadata(to).map_or(0, |file| file.len());
        RealDisk.rename(from, to)?;
        self.0.renamed.lock().unwrap().push((from.to_owned(), to.to_owned()));
        self.0.gives_back(length);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.named.lock().unwrap().push(path.to_owned());
        RealDisk.sync_dir(path)
    }
}

impl Faulty {
    fn wrap(&self, file: Box<dyn Append>, path: &Path) -> io::Result<Box<dyn Append>> {
        let safe = std::fs::metadata(path)?.len();
        let (path, faults) = (path.to_owned(), Arc::clone(&self.0));
        Ok(Box::new(FaultyFile { file, path, faults, safe }))
    }
}

impl FaultyFile {
    fn path(&self) -> PathBuf {
        let renamed = self.faults.renamed.lock().unwrap();
        let last = renamed.iter().rfind(|(from, _)| *from == self.path);
        last.map_or_else(|| self.path.clone(), |(_, to)| to.clone())
    }
}

impl Append for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.faults.room.lock().unwrap();
        let fits = room.map_or(bytes.len(), |room| bytes.len().min(room as usize));
        if fits == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // Half of it, so that every write is a short one.
        let written = self.file.write(&bytes[..fits.div_ceil(2)])?;
        if let Some(room) = &mut *room {
            *room -= written as u64;
        }
        Ok(written)
    }

    fn sync(&mut self) -> io::Result<()> {
        while self.faults.hangs.load(Ordering::SeqCst) != 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let path = self.path();
        let length = std::fs::metadata(&path)?.len();
        if let Some(left) = &mut *self.faults.syncs.lock().unwrap() {
            if *left == 0 {
                // As Linux does: the pages count as clean from now on, and are not what was written.
                let mut bytes = std::fs::read(&path)?;
                bytes[self.safe as usize..].fill(0);
                std::fs::write(&path, bytes)?;
                return Err(io::Error::other("input/output error"));
            }
            *left -= 1;
        }
        self.faults.synced.fetch_add(1, Ordering::SeqCst);
        self.faults.synced_files.lock().unwrap().push(path);
        self.safe = length;
        self.file.sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let before = std::fs::metadata(self.path())?.len();
        self.file.truncate(length)?;
        self.faults.gives_back(before - length);
        Ok(())
    }
}

pub(super) fn faulty() -> (Arc<Faults>, Arc<dyn Disk>) {
    let faults = Arc::new(Faults::default());
    (Arc::clone(&faults), Arc::new(Faulty(faults)))
}

impl Faults {
    fn gives_back(&self, bytes: u64) {
        if let Some(room) = &mut *self.room.lock().unwrap() {
            *room += bytes;
        }
    }

    fn fail(&self, what: &str) {
        match what {
            "full" => *self.room.lock().unwrap() = Some(70),
            "fsync" => *self.syncs.lock().unwrap() = Some(0),
            _ => self.read_only.store(1, Ordering::SeqCst),
        }
    }

    fn mend(&self) {
        *self.room.lock().unwrap() = None;
        *self.syncs.lock().unwrap() = None;
        self.read_only.store(0, Ordering::SeqCst);
    }
}

const TROUBLES: [&str; 3] = ["full", "fsync", "read-only"];

/// So that the next message needs a new file, whatever goes wrong.
const SMALL: u64 = 200;

#[tokio::test]
async fn senders_wait_while_the_disk_fails_and_nothing_is_lost() {
    for trouble in TROUBLES {
        let dir = tempfile::tempdir().unwrap();
        let (faults, disk) = faulty();
        let mut config = OutboxConfig::from(dir.path());
        if trouble == "read-only" {
            config = config.bytes_max(SMALL * 8);
        }
        let used = Used::on(disk, &config);
        for value in numbers(4) {
            used.send(&value).await.unwrap();
        }
        faults.fail(trouble);
        let later = numbers(7).split_off(4);
        let sends = futures(&used, &later);
        let mends = async {
            used.until_said("NotTaking").await;
            // Whoever dies now has what was accepted, and nothing else.
            let dead = after_death(dir.path());
            assert_eq!(Used::open(dead.path()).values()[..4], numbers(4)[..], "{trouble}");
            faults.mend();
        };
        within(trouble, async { tokio::join!(sends, mends) }).await;
        within(trouble, used.until_said("Taking")).await;
        assert_eq!(used.values(), numbers(7), "{trouble}");
        let dead = after_death(dir.path());
        let next = Used::open(dead.path());
        assert_eq!((next.values(), next.said("Damaged")), (numbers(7), 0), "{trouble}");
    }
}

async fn futures(used: &Used, values: &[String]) {
    for value in values {
        used.send(value).await.unwrap();
    }
}

#[tokio::test]
async fn senders_are_refused_while_the_disk_fails_and_what_was_refused_never_comes() {
    for trouble in TROUBLES {
        let dir = tempfile::tempdir().unwrap();
        let (faults, disk) = faulty();
        let mut config = OutboxConfig::from(dir.path()).when_full(WhenFull::Refuse);
        if trouble == "read-only" {
            config = config.bytes_max(SMALL * 8);
        }
        let used = Used::on(disk, &config);
        for value in numbers(4) {
            used.send(&value).await.unwrap();
        }
        faults.fail(trouble);
        let mut accepted = numbers(4);
        // What still fits is accepted.
        let refused = loop {
            let value = format!("late {}", accepted.len());
            match within(trouble, used.send(&value)).await {
                Ok(_) => accepted.push(value),
                Err(refused) => break refused,
            }
        };
        assert!(refused.to_string().contains("can't be written"), "{trouble}: {refused}");
        for _ in 0..3 {
            within(trouble, used.send("refused")).await.unwrap_err();
        }
        assert_eq!(used.said("NotTaking"), 1, "{trouble}");
        let dead = after_death(dir.path());
        assert_eq!(Used::open(dead.path()).values(), accepted, "{trouble}");
        faults.mend();
        within(trouble, used.until_said("Taking")).await;
        accepted.push("after".to_owned());
        used.send("after").await.unwrap();
        assert_eq!(used.values(), accepted, "{trouble}");
        used.deliver(0..used.outbox.next().0);
        used.end();
        let next = Used::open(dir.path());
        assert_eq!((next.values(), next.said("Damaged")), (vec![], 0), "{trouble}");
    }
}

/// The room that is waited for is that of what is delivered, also in the process after.
#[tokio::test]
async fn a_full_disk_has_room_again_once_what_is_on_it_is_delivered() {
    for restarted in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (faults, disk) = faulty();
        let mut used = Used::on(Arc::clone(&disk), &OutboxConfig::from(dir.path()));
        for value in numbers(4) {
            used.send(&value).await.unwrap();
        }
        if restarted {
            used.end();
            used = Used::on(disk, &OutboxConfig::from(dir.path()));
        }
        *faults.room.lock().unwrap() = Some(10);
        let later = numbers(7).split_off(4);
        let sends = futures(&used, &later);
        let delivers = async {
            used.until_said("NotTaking").await;
            used.deliver(0..4);
        };
        within("room", async { tokio::join!(sends, delivers) }).await;
        assert_eq!(used.values(), later);
    }
}

/// Were the file that failed to sync trusted again, what it has lost would count as accepted.
#[tokio::test]
async fn control_a_file_whose_sync_has_failed_has_lost_what_was_written_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let (faults, disk) = faulty();
    let path = dir.path().join("file");
    let mut file = disk.create(&path).unwrap();
    file.write_all(b"safe").unwrap();
    file.sync().unwrap();
    file.write_all(b"lost").unwrap();
    faults.fail("fsync");
    file.sync().unwrap_err();
    faults.mend();
    file.sync().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"safe\0\0\0\0");
}

#[tokio::test]
async fn one_sync_serves_all_that_wait_and_none_is_made_where_none_was_asked_for() {
    let headers = Headers::new();
    let modes = [
        (OutboxSync::Always, 1..60),
        (OutboxSync::Interval(Duration::from_secs(3600)), 0..1),
        (OutboxSync::Never, 0..1),
    ];
    for (sync, allowed) in modes {
        let dir = tempfile::tempdir().unwrap();
        let (faults, disk) = faulty();
        let used = Used::on(disk, &OutboxConfig::from(dir.path()).sync(sync));
        let mut waiting = Vec::new();
        for value in numbers(300) {
            waiting.push(used.outbox.take(&entry(&value, &headers), |_| {}).await.unwrap());
        }
        for acceptance in waiting {
            within("acceptance", acceptance).await.unwrap();
        }
        let synced = faults.synced.load(Ordering::SeqCst);
        assert!(allowed.contains(&synced), "{sync:?}: {synced} for 300 messages");
        let dead = after_death(dir.path());
        assert_eq!(Used::open(dead.path()).values(), numbers(300), "{sync:?}");
        used.end();
    }
}

#[tokio::test]
async fn with_an_interval_what_was_accepted_and_not_synced_is_written_anew_when_the_sync_fails() {
    let dir = tempfile::tempdir().unwrap();
    let (faults, disk) = faulty();
    let sync = OutboxSync::Interval(Duration::from_millis(50));
    let used = Used::on(disk, &OutboxConfig::from(dir.path()).sync(sync));
    faults.fail("fsync");
    for value in numbers(3) {
        used.send(&value).await.unwrap();
    }
    let mut reader = Reader::new(&used.outbox);
    assert_eq!(read(&mut reader), (0, "message 0".to_owned()));
    used.until_said("NotTaking").await;
    faults.mend();
    within("it", used.until_said("Taking")).await;
}

/// The process that was to make the sync up was killed: the next one does, before anything else.
#[tokio::test]
async fn with_an_interval_what_a_killed_process_had_not_synced_is_synced_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let sync = OutboxSync::Interval(Duration::from_secs(3600));
    let config = |dir: &Path| OutboxConfig::from(dir).bytes_max(SMALL * 8).sync(sync);
    let used = Used::on(Arc::new(RealDisk), &config(dir.path()));
    for value in numbers(12) {
        used.send(&value).await.unwrap();
    }
    let dead = after_death(dir.path());
    let left = files(dead.path(), ".segment");
    assert!(2 < left.len(), "{left:?}");
    let (faults, disk) = faulty();
    let next = Used::on(Arc::clone(&disk), &config(dead.path()));
    let mut synced = faults.synced_files.lock().unwrap().clone();
    synced.retain(|path| left.contains(path));
    assert_eq!(synced, left);
    assert_eq!(next.values(), numbers(12));
    next.end();

    // What can't be made safe is not taken for it.
    let dead = after_death(dir.path());
    faults.fail("fsync");
    let teller = Teller::new(|_| {});
    let refused = open_on(disk, &config(dead.path()), teller).map(drop).unwrap_err();
    assert!(refused.to_string().contains("input/output error"), "{refused}");
}

/// What was accepted without a sync survives the process also while there is no room for what comes next.
#[tokio::test]
async fn with_an_interval_a_full_disk_takes_nothing_back_that_was_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let (faults, disk) = faulty();
    let sync = OutboxSync::Interval(Duration::from_secs(3600));
    let used = Used::on(disk, &OutboxConfig::from(dir.path()).sync(sync));
    for value in numbers(3) {
        used.send(&value).await.unwrap();
    }
    *faults.room.lock().unwrap() = Some(10);
    let dies = async {
        used.until_said("NotTaking").await;
        let dead = after_death(dir.path());
        assert_eq!(Used::open(dead.path()).values(), numbers(3));
        faults.mend();
    };
    let (sent, ()) = within("it", async { tokio::join!(used.send("message 3"), dies) }).await;
    sent.unwrap();
    assert_eq!(used.values(), numbers(4));
    used.end();
    assert_eq!(Used::open(dir.path()).values(), numbers(4));
}

/// A segment that was begun a moment ago holds nothing yet; what is in the one before counts on.
#[tokio::test]
async fn with_an_interval_a_new_segment_takes_nothing_from_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let sync = OutboxSync::Interval(Duration::from_secs(3600));
    let config = OutboxConfig::from(dir.path()).bytes_max(SMALL * 8).sync(sync);
    let used = Used::on(Arc::new(RealDisk), &config);
    for value in numbers(12) {
        used.send(&value).await.unwrap();
    }
    let dead = after_death(dir.path());
    let segments = files(dead.path(), ".segment");
    assert!(2 < segments.len(), "{segments:?}");
    let last = segments.last().unwrap();
    let base: u64 = last.file_name().unwrap().to_str().unwrap()[..20].parse().unwrap();
    std::fs::OpenOptions::new().write(true).open(last).unwrap().set_len(32).unwrap();
    assert_eq!(Used::open(dead.path()).values(), numbers(base));
    assert!(0 < base && base < 12, "{base}");
}

/// One batch failed and waits, and others wait behind it.
#[tokio::test]
async fn whoever_waits_for_a_disk_that_fails_hears_of_the_end() {
    for mended in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (faults, disk) = faulty();
        let used = Used::on(disk, &OutboxConfig::from(dir.path()));
        used.send("message 0").await.unwrap();
        *faults.room.lock().unwrap() = Some(10);
        let ends = async {
            used.until_said("NotTaking").await;
            let headers = Headers::new();
            let behind = used.outbox.take(&entry("message 2", &headers), |_| {}).await.unwrap();
            if mended {
                faults.mend();
            }
            used.end();
            behind.await
        };
        let (first, behind) =
            within("an answer", async { tokio::join!(used.send("message 1"), ends) }).await;
        let stored = if mended { numbers(3) } else { numbers(1) };
        assert_eq!((first.is_ok(), behind.is_ok()), (mended, mended));
        assert_eq!(used.outbox.kept(), stored.len() as u64);
        assert_eq!(Used::open(dir.path()).values(), stored);
    }
}

/// Nobody was told that it is safe.
#[tokio::test]
async fn what_a_disk_that_hangs_has_not_taken_does_not_count_as_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (faults, disk) = faulty();
    let used = Used::on(disk, &OutboxConfig::from(dir.path()).sync(OutboxSync::Always));
    used.send("message 0").await.unwrap();
    faults.hangs.store(1, Ordering::SeqCst);
    let headers = Headers::new();
    let waits = used.outbox.take(&entry("message 1", &headers), |_| {}).await.unwrap();
    used.outbox.end(Duration::from_millis(200));
    assert_eq!(used.outbox.kept(), 1);
    faults.hangs.store(0, Ordering::SeqCst);
    within("the disk", waits).await.unwrap();
    assert_eq!(used.outbox.kept(), 2);
}

#[tokio::test]
async fn folders_that_were_not_there_have_durable_names() {
    let dir = tempfile::tempdir().unwrap();
    let (faults, disk) = faulty();
    let (above, outbox) = (dir.path().join("above"), dir.path().join("above/outbox"));
    Used::on(disk, &OutboxConfig::from(outbox.as_path())).end();
    let named = faults.named.lock().unwrap().clone();
    for parent in [dir.path(), above.as_path()] {
        assert!(named.iter().any(|one| one == parent), "{parent:?}: {named:?}");
    }
}
