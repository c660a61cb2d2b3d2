//! Batches as clients make them, for tests and fuzzing.

use bytes::Bytes;

/// A batch to be made: how many records, when, by whom.
#[derive(Debug, Clone, Copy)]
pub struct BatchSpec {
    records: i32,
    timestamp: i64,
    producer: (i64, i16, i32),
}

impl BatchSpec {
    /// `records` records without a producer id.
    pub fn of(records: i32) -> Self {
        Self { records, timestamp: 0, producer: (-1, -1, -1) }
    }

    /// The first record's timestamp; each further one is a millisecond later.
    pub fn at(self, timestamp: i64) -> Self {
        Self { timestamp, ..self }
    }

    /// By an idempotent producer.
    pub fn sequenced(self, id: i64, epoch: i16, first: i32) -> Self {
        Self { producer: (id, epoch, first), ..self }
    }

    /// The bytes that a client would send.
    pub fn build(self) -> Bytes {
        let mut bytes = vec![0; 61];
        bytes[16] = 2;
        bytes[23..27].copy_from_slice(&(self.records - 1).to_be_bytes());
        bytes[27..35].copy_from_slice(&self.timestamp.to_be_bytes());
        let last = self.timestamp + i64::from(self.records) - 1;
        bytes[35..43].copy_from_slice(&last.to_be_bytes());
        bytes[43..51].copy_from_slice(&self.producer.0.to_be_bytes());
        bytes[51..53].copy_from_slice(&self.producer.1.to_be_bytes());
        bytes[53..57].copy_from_slice(&self.producer.2.to_be_bytes());
        bytes[57..61].copy_from_slice(&self.records.to_be_bytes());
        for index in 0..self.records {
            let delta = u8::try_from(index * 2).expect("few records");
            // Length 7, attributes, timestamp delta, offset delta, null key, one byte of value, no headers.
            bytes.extend([14, 0, delta, delta, 1, 2, b'x', 0]);
        }
        let length = i32::try_from(bytes.len() - 12).expect("a small batch");
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        sealed(bytes)
    }
}

/// `bytes` with the checksum that they should have.
pub fn sealed(mut bytes: Vec<u8>) -> Bytes {
    let checksum = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
    bytes.into()
}
