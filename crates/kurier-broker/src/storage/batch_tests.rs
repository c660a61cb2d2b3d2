use proptest::prelude::*;

use super::*;
use crate::storage::testing::{BatchSpec, sealed};

#[test]
fn a_batch_is_read_and_takes_its_place() {
    let bytes = BatchSpec::of(3).at(1_000).sequenced(7, 0, 5).build();
    let batch = Batch::parse(bytes.clone()).expect("a good batch");
    assert_eq!(batch.next_offset - batch.base_offset, 3);
    assert_eq!(batch.producer.map(|it| (it.producer_id, it.first, it.last)), Some((7, 5, 7)));
    let placed = batch.placed(40, 9);
    assert_eq!((placed.base_offset, placed.next_offset, placed.epoch), (40, 43, 9));
    assert_eq!(placed.bytes()[12..16], 9i32.to_be_bytes());
    let again =
        Batch::parse(placed.bytes().clone()).expect("still good: the checksum leaves them out");
    assert_eq!(again.base_offset, 40);
}

#[test]
fn a_stamped_batch_says_so_in_a_header_whose_checksum_fits() {
    let batch = Batch::parse(BatchSpec::of(2).at(5).build()).expect("good").stamped(9_000);
    let bytes = batch.bytes();
    assert_eq!(crc32c::crc32c(&bytes[21..]).to_be_bytes(), bytes[17..21]);
    assert_eq!((bytes[22], &bytes[35..43]), (1 << 3, &9_000i64.to_be_bytes()[..]));
    assert_eq!(batch.first_at_or_after(8_000), Some((0, 9_000)));
    let from_a_client = Batch::parse(bytes.clone()).expect_err("only a broker stamps");
    assert_eq!(from_a_client, BatchError::Timestamp);
}

#[test]
fn sequence_numbers_wrap() {
    let batch = Batch::parse(BatchSpec::of(3).sequenced(1, 0, i32::MAX - 1).build()).expect("good");
    assert_eq!(batch.producer.map(|it| it.last), Some(0));
}

#[test]
fn what_a_client_may_not_write_is_refused_by_name() {
    let good = BatchSpec::of(2).build();
    let with = |at: usize, value: &[u8]| {
        let mut bytes = good.to_vec();
        bytes[at..at + value.len()].copy_from_slice(value);
        Batch::parse(sealed(bytes)).expect_err("refused")
    };
    assert_eq!(with(16, &[1]), BatchError::Format(1));
    assert!(matches!(with(21, &CONTROL.to_be_bytes()), BatchError::Invalid(_)));
    assert!(matches!(with(21, &TRANSACTIONAL.to_be_bytes()), BatchError::Invalid(_)));
    assert!(matches!(with(57, &0i32.to_be_bytes()), BatchError::Corrupt(_)));
    assert!(matches!(with(57, &i32::MAX.to_be_bytes()), BatchError::Corrupt(_)));
    assert!(matches!(with(8, &i32::MAX.to_be_bytes()), BatchError::Corrupt(_)));
    assert!(matches!(with(8, &(-1i32).to_be_bytes()), BatchError::Corrupt(_)));
    let twice = [&good[..], &good[..]].concat();
    assert!(matches!(Batch::parse(twice.into()), Err(BatchError::Invalid(_))));
}

#[test]
fn a_flipped_byte_is_found() {
    let good = BatchSpec::of(2).build();
    for at in 16..good.len() {
        let mut bytes = good.to_vec();
        bytes[at] ^= 0x40;
        assert!(Batch::parse(bytes.into()).is_err(), "byte {at}");
    }
}

#[test]
fn a_record_is_found_by_its_time() {
    let batch = Batch::parse(BatchSpec::of(3).at(1_000).build()).expect("good").placed(10, 0);
    assert_eq!(batch.first_at_or_after(0), Some((10, 1_000)));
    assert_eq!(batch.first_at_or_after(1_001), Some((11, 1_001)));
    assert_eq!(batch.first_at_or_after(1_002), Some((12, 1_002)));
    assert_eq!(batch.first_at_or_after(1_003), None);
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), seal: bool) {
        if seal && bytes.len() >= HEADER_BYTES {
            bytes[16] = 2;
            bytes = sealed(bytes).to_vec();
        }
        if let Ok(batch) = Batch::parse(bytes.into()) {
            let _ = batch.placed(5, 1).first_at_or_after(i64::MIN);
        }
    }
}
