use super::*;
use crate::storage::testing::BatchSpec;

fn log_of(batches: &[(i32, i32)]) -> Log {
    let mut log = Log::new(usize::MAX);
    for (records, epoch) in batches {
        log.append(batch(*records), *epoch);
    }
    log
}

fn batch(records: i32) -> Batch {
    Batch::parse(BatchSpec::of(records).at(100).build()).expect("a good batch")
}

fn offsets(mut bytes: &[u8]) -> Vec<i64> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = i32::from_be_bytes(bytes[8..12].try_into().expect("four bytes")) as usize + 12;
        found.push(i64::from_be_bytes(bytes[..8].try_into().expect("eight bytes")));
        bytes = &bytes[length..];
    }
    found
}

#[test]
fn a_read_returns_whole_batches_from_the_one_that_holds_the_offset() {
    let log = log_of(&[(3, 0), (2, 0), (4, 0)]);
    assert_eq!(offsets(&log.read(4, 9, 1 << 20, true)), [3, 5]);
    assert_eq!(offsets(&log.read(4, 8, 1 << 20, true)), [3], "the last is not below the limit");
    assert_eq!(offsets(&log.read(9, 9, 1 << 20, true)), [] as [i64; 0]);
    assert_eq!(offsets(&log.read(0, 9, 1, true)), [0], "one comes however large");
    assert_eq!(offsets(&log.read(0, 9, 1, false)), [] as [i64; 0]);
}

#[test]
fn the_oldest_go_first_and_never_past_what_must_stay() {
    let one = batch(1).bytes().len();
    let mut log = Log::new(2 * one);
    for _ in 0..5 {
        log.append(batch(1), 0);
    }
    assert!(log.shrink(2));
    assert_eq!((log.start(), log.end(), log.bytes()), (2, 5, 3 * one));
    assert!(log.shrink(5));
    assert_eq!((log.start(), log.bytes()), (3, 2 * one));
}

#[test]
fn truncation_takes_whole_batches_and_their_epochs() {
    let mut log = log_of(&[(3, 0), (2, 1), (2, 4)]);
    log.truncate(4);
    assert_eq!(log.end(), 3);
    assert_eq!(log.append(batch(1), 6), 3);
    assert_eq!(log.epoch_end(0, 6), Some((0, 3)));
    assert_eq!(log.epoch_end(5, 6), Some((0, 3)), "the floor");
    assert_eq!(log.epoch_end(6, 6), Some((6, 4)));
    assert_eq!(log.epoch_end(7, 6), None);
}

#[test]
fn records_are_found_by_time() {
    let mut log = Log::new(usize::MAX);
    for timestamp in [100, 300, 200] {
        log.append(Batch::parse(BatchSpec::of(2).at(timestamp).build()).expect("good"), 0);
    }
    let found = |at| log.at_or_after(at, 6).map(|stamp| (stamp.offset, stamp.timestamp));
    assert_eq!(found(0), Some((0, 100)));
    assert_eq!(found(150), Some((2, 300)), "the first in the log, not the nearest in time");
    assert_eq!(found(302), None);
    assert_eq!(log.latest_timestamp(6).map(|stamp| stamp.offset), Some(3));
    assert_eq!(log.latest_timestamp(2).map(|stamp| stamp.offset), Some(1), "below the limit only");
}
