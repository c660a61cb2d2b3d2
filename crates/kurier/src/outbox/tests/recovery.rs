//! What a start finds of processes that died, disks that lied and folders that are away.

use std::io;

use super::life::after_death;
use super::*;
use crate::outbox::disk::Append;
use crate::outbox::lock::Lock;

/// Three segments at least, as a process that died has left them.
async fn several_segments(count: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = OutboxConfig::from(dir.path()).bytes_max(8 * 200);
    let used = Used::on(Arc::new(RealDisk), &config);
    for value in numbers(count) {
        used.send(&value).await.unwrap();
    }
    let dead = after_death(dir.path());
    assert!(3 <= files(dead.path(), ".segment").len());
    dead
}

/// Only the last segment can have been torn: the one before it was whole when the last was begun.
#[tokio::test]
async fn a_segment_that_ends_too_early_before_another_is_damaged_and_not_torn() {
    let dir = several_segments(12).await;
    let first = files(dir.path(), ".segment").remove(0);
    let whole = std::fs::read(&first).unwrap();
    for (what, bytes) in [
        ("shorter", whole[..whole.len() - 1].to_vec()),
        ("zeros", [&whole[..whole.len() - 30], &[0; 30]].concat()),
        ("headless", whole[..20].to_vec()),
        ("empty", Vec::new()),
        ("all zeros", vec![0; whole.len()]),
    ] {
        let copy = after_death(dir.path());
        let path = copy.path().join(first.file_name().unwrap());
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(OutboxStatus::read(copy.path()).unwrap().damaged.len(), 1, "{what}");
        let used = Used::open(copy.path());
        assert_eq!(used.said("Damaged"), 1, "{what}");
        let values = used.values();
        assert!(values.is_sorted_by_key(|value| value.len()) && values.len() < 12, "{what}");
        assert_eq!(values.last().unwrap(), "message 11", "{what}");
        used.deliver(0..12);
        used.end();
        let again = Used::open(copy.path());
        assert_eq!((again.values(), again.said("Damaged")), (vec![], 0), "{what}");
    }
}

/// A power cut can leave a file longer than what was written to it.
#[tokio::test]
async fn a_segment_that_was_never_written_to_is_no_damage() {
    let dir = several_segments(12).await;
    let name = "00000000000000000012-00000000000000aa.segment";
    std::fs::write(dir.path().join(name), [0; 4096]).unwrap();
    let used = Used::open(dir.path());
    assert_eq!((used.values(), used.said("Damaged")), (numbers(12), 0));
    assert!(!dir.path().join(name).exists());
}

/// One that kept the bytes aside died, or had no room, before it had done so.
#[tokio::test]
async fn damaged_bytes_that_were_kept_in_part_are_kept_whole_and_told() {
    let dir = several_segments(12).await;
    let first = files(dir.path(), ".segment").remove(0);
    let mut bytes = std::fs::read(&first).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&first, &bytes).unwrap();
    let damage = OutboxStatus::read(dir.path()).unwrap().damaged.remove(0);
    std::fs::write(&damage.kept_in, b"").unwrap();
    let used = Used::open(dir.path());
    assert_eq!(used.said("Damaged"), 1);
    assert!(bytes.ends_with(&std::fs::read(&damage.kept_in).unwrap()));
    assert_eq!(std::fs::metadata(&damage.kept_in).unwrap().len(), damage.bytes);
}

/// Whoever asks for health has no time for a disk.
#[tokio::test]
async fn what_is_said_of_damage_and_of_no_outbox_is_what_was_found_and_asks_no_disk() {
    let dir = several_segments(12).await;
    let first = files(dir.path(), ".segment").remove(0);
    let mut bytes = std::fs::read(&first).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&first, &bytes).unwrap();
    let before = OutboxStatus::read(dir.path()).unwrap().damaged.remove(0);
    assert!(!before.is_kept && !before.to_string().contains("kept in"), "{before}");
    Used::open(dir.path()).end();
    let after = OutboxStatus::read(dir.path()).unwrap().damaged.remove(0);
    assert!(after.is_kept && after.to_string().contains("; kept in "), "{after}");
    std::fs::remove_file(&after.kept_in).unwrap();
    assert!(after.to_string().contains("; kept in "), "{after}");
    assert!(!before.to_string().contains("kept in"), "{before}");

    let nowhere = dir.path().join("nowhere");
    let missing = OutboxStatus::look_for(&nowhere).unwrap_err();
    std::fs::create_dir(&nowhere).unwrap();
    assert!(missing.to_string().ends_with("there is no such folder"), "{missing}");
    let empty = OutboxStatus::look_for(&nowhere).unwrap_err();
    std::fs::remove_dir(&nowhere).unwrap();
    assert!(empty.to_string().ends_with("has kept messages in this folder"), "{empty}");
}

#[tokio::test]
async fn what_was_begun_and_not_finished_counts_for_nothing_and_goes() {
    let dir = several_segments(12).await;
    let name = "00000000000000000003-00000000000000aa.unfinished";
    std::fs::write(dir.path().join(name), b"half").unwrap();
    let used = Used::open(dir.path());
    assert_eq!((used.values(), used.said("Damaged")), (numbers(12), 0));
    assert!(!dir.path().join(name).exists());
}

/// As with a volume that is gone for a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_that_are_away_for_a_while_are_waited_for_and_not_passed_over() {
    let dir = several_segments(12).await;
    let used = Used::open(dir.path());
    let mut reader = Reader::new(&used.outbox);
    let elsewhere = tempfile::tempdir().unwrap();
    let segments = files(dir.path(), ".segment");
    let there = |path: &PathBuf| elsewhere.path().join(path.file_name().unwrap());
    for path in &segments {
        std::fs::rename(path, there(path)).unwrap();
    }
    let reads = tokio::task::spawn_blocking(move || read(&mut reader));
    let longer_than_a_look = Duration::from_millis(300);
    tokio::time::sleep(longer_than_a_look).await;
    assert_eq!(used.outbox.undelivered_before(Sequence(12)), 12);
    for path in &segments {
        std::fs::rename(there(path), path).unwrap();
    }
    assert_eq!(within("the first", reads).await.unwrap(), (0, "message 0".to_owned()));
    assert_eq!(used.values(), numbers(12));
}

/// Whoever looks who has the outbox must not keep anybody from it.
#[test]
fn those_who_look_keep_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::SeqCst) {
                    let _ = Lock::holder(dir.path());
                }
            });
        }
        let refused = (0..2_000).filter(|_| Lock::take(dir.path()).is_err()).count();
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(refused, 0);
    });
}

/// A disk on which writes wait for the gate.
#[derive(Debug)]
struct Slow(Arc<Mutex<()>>);

struct SlowFile(Box<dyn Append>, Arc<Mutex<()>>);

impl Disk for Slow {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        Ok(Box::new(SlowFile(RealDisk.create(path)?, Arc::clone(&self.0))))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        RealDisk.open(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }
}

impl Append for SlowFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        drop(self.1.lock().unwrap());
        self.0.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "only the disk's own thread waits for it")]
async fn what_is_being_written_counts_towards_the_limit() {
    let (dir, gate) = (tempfile::tempdir().unwrap(), Arc::new(Mutex::new(())));
    let config = OutboxConfig::from(dir.path()).bytes_max(4000).when_full(WhenFull::Refuse);
    let used = Used::on(Arc::new(Slow(Arc::clone(&gate))), &config);
    let headers = Headers::new();
    let large = "x".repeat(1000);
    let shut = gate.lock().unwrap();
    let mut waiting = vec![used.outbox.take(&entry(&large, &headers), |_| {}).await.unwrap()];
    // It is being written: the file is there.
    while files(dir.path(), ".segment").is_empty() {
        std::thread::yield_now();
    }
    while let Ok(acceptance) = used.outbox.take(&entry(&large, &headers), |_| {}).await {
        waiting.push(acceptance);
    }
    drop(shut);
    for acceptance in waiting {
        within("acceptance", acceptance).await.unwrap();
    }
    let written: u64 =
        files(dir.path(), ".segment").iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(2000 < written && written <= 4000 + super::segment::HEADER as u64, "{written}");
}

/// Nobody need send to find out that there is room again.
#[tokio::test]
async fn an_outbox_that_was_full_says_so_once_there_is_room_also_when_nobody_sends() {
    let dir = tempfile::tempdir().unwrap();
    let config = OutboxConfig::from(dir.path()).bytes_max(1000).when_full(WhenFull::Refuse);
    let used = Used::on(Arc::new(RealDisk), &config);
    let mut sent = 0;
    while within("an answer", used.send("0123456789")).await.is_ok() {
        sent += 1;
    }
    assert_eq!((used.said("NotTaking"), used.said("Taking")), (1, 0));
    used.deliver(0..sent);
    used.until_said("Taking").await;
}
