//! Files that end too early, and bits that flip.

use super::*;

/// A folder with one segment of these messages, as a process that died has left it.
async fn left(values: &[String]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let used = Used::open(dir.path());
    for value in values {
        used.send(value).await.unwrap();
    }
    super::life::after_death(dir.path())
}

fn segment(dir: &Path) -> PathBuf {
    let [segment] = &files(dir, ".segment")[..] else { panic!("one segment") };
    segment.clone()
}

#[tokio::test]
async fn a_segment_that_ends_at_any_byte_of_the_last_message_loses_that_one_alone() {
    let dir = left(&numbers(3)).await;
    let (whole, path) = (std::fs::read(segment(dir.path())).unwrap(), segment(dir.path()));
    let last = whole.len() - left_length(&path, 2).await;
    for length in last..whole.len() {
        let copy = tempfile::tempdir().unwrap();
        std::fs::write(copy.path().join(path.file_name().unwrap()), &whole[..length]).unwrap();
        assert_eq!(OutboxStatus::read(copy.path()).unwrap().torn_bytes, (length - last) as u64);
        let used = Used::open(copy.path());
        assert_eq!(used.values(), numbers(2), "cut at {length}");
        assert_eq!(*used.news.lock().unwrap(), [""; 0], "a torn end is no damage");
        used.send("new").await.unwrap();
        used.end();
        let again = Used::open(copy.path());
        assert_eq!(again.values(), ["message 0", "message 1", "new"]);
        assert_eq!(*again.news.lock().unwrap(), [""; 0]);
    }
}

/// How long the last message's frame is, in a segment of messages like it.
async fn left_length(path: &Path, before: u64) -> usize {
    let shorter = left(&numbers(before)).await;
    std::fs::metadata(path).unwrap().len() as usize
        - std::fs::read(segment(shorter.path())).unwrap().len()
}

#[tokio::test]
async fn a_bit_that_flips_at_any_byte_is_reported_kept_and_costs_one_message_at_most() {
    let dir = left(&numbers(4)).await;
    let (whole, path) = (std::fs::read(segment(dir.path())).unwrap(), segment(dir.path()));
    for byte in 0..whole.len() {
        let copy = tempfile::tempdir().unwrap();
        let mut flipped = whole.clone();
        flipped[byte] ^= 1 << (byte % 8);
        std::fs::write(copy.path().join(path.file_name().unwrap()), &flipped).unwrap();
        let used = Used::open(copy.path());
        assert_eq!(used.said("Damaged"), 1, "byte {byte}");
        let values = used.values();
        let lost: Vec<String> =
            numbers(4).into_iter().filter(|value| !values.contains(value)).collect();
        assert_eq!(
            lost.len(),
            usize::from(super::segment::HEADER <= byte),
            "byte {byte}: {values:?}"
        );
        assert!(values.is_sorted(), "byte {byte}: {values:?}");
        let kept = files(copy.path(), "damaged");
        assert_eq!(kept.len(), 1, "byte {byte}");
        let kept = std::fs::read(&kept[0]).unwrap();
        assert!(flipped.windows(kept.len()).any(|window| window == kept), "byte {byte}");
        // It is no obstacle to what is new, nor to the segment's end, and is said once.
        let new = used.send("new").await.unwrap();
        used.deliver(0..new.0);
        used.end();
        let again = Used::open(copy.path());
        assert_eq!(again.values(), ["new"], "byte {byte}");
        assert_eq!(again.said("Damaged"), 0, "byte {byte}");
        assert_eq!(files(copy.path(), ".segment").len(), 1, "byte {byte}");
    }
}

/// Between recovery and reading a disk can go bad too.
#[tokio::test]
async fn damage_that_comes_about_while_it_is_used_is_reported_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let used = Used::open(dir.path());
    for value in numbers(3) {
        used.send(&value).await.unwrap();
    }
    let path = segment(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(9).position(|window| window == b"message 1").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut reader = Reader::new(&used.outbox);
    assert_eq!((read(&mut reader).0, read(&mut reader).0), (0, 2));
    assert_eq!(used.said("Damaged"), 1);
    assert_eq!(used.outbox.undelivered_before(Sequence(3)), 2, "nobody waits for what is lost");
}

#[tokio::test]
async fn marks_that_are_damaged_repeat_messages_and_lose_none() {
    let dir = tempfile::tempdir().unwrap();
    let used = Used::open(dir.path());
    for value in numbers(3) {
        used.send(&value).await.unwrap();
    }
    used.deliver([0, 2]);
    used.end();
    let marks = files(dir.path(), ".delivered").remove(0);
    let whole = std::fs::read(&marks).unwrap();
    for byte in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[byte] ^= 0x10;
        std::fs::write(&marks, &flipped).unwrap();
        let copy = super::life::after_death(dir.path());
        let values = Used::open(copy.path()).values();
        assert!(values.contains(&"message 1".to_owned()) && values.len() == 2, "{values:?}");
    }
}

#[tokio::test]
async fn what_a_later_version_has_written_is_refused_and_left_alone() {
    let dir = left(&numbers(2)).await;
    let path = segment(dir.path());
    let id = super::segment::SegmentId::of_file(path.file_name().unwrap().to_str().unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8..12].copy_from_slice(&9_u32.to_le_bytes());
    let checksum = id.unwrap().salt.checksum(&bytes[..28]).to_le_bytes();
    bytes[28..32].copy_from_slice(&checksum);
    std::fs::write(&path, &bytes).unwrap();
    let refused = open(&OutboxConfig::from(dir.path()), Teller::new(|_| {})).unwrap_err();
    assert!(refused.to_string().contains("later kurier (format 9)"), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}
