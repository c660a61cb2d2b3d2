//! One record batch as it stands on the wire: its 61-byte header, read by hand and checked.
//!
//! A batch is kept as the bytes its producer sent. The broker writes only two fields, the base offset
//! and the leader epoch; both lie before the checksum's range, so nothing is hashed again
//! (`DefaultRecordBatch` in Apache Kafka describes the layout), except where a topic wants the time of
//! appending. Records inside are looked at only to find an offset by time, and only when they are not
//! compressed.

use bytes::{Bytes, BytesMut};

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 61;
/// Bytes before the part that the length field counts.
const LENGTH_PREFIX_BYTES: usize = 12;
/// The checksum covers everything from here on.
const CHECKSUMMED_FROM: usize = 21;

const COMPRESSION_MASK: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// A checked batch: the header's fields that a broker works with, and the bytes.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset after the last record.
    pub next_offset: i64,
    /// The latest timestamp of a record, in milliseconds since 1970.
    pub max_timestamp: i64,
    /// The first record's timestamp, in milliseconds since 1970.
    pub base_timestamp: i64,
    /// Who wrote it, when it was written by an idempotent producer.
    pub producer: Option<Sequenced>,
    /// The leader epoch it was appended in.
    pub epoch: i32,
    attributes: i16,
    bytes: Bytes,
}

/// An idempotent producer's name for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequenced {
    /// The producer's id, given by `InitProducerId`.
    pub producer_id: i64,
    /// The id's epoch.
    pub producer_epoch: i16,
    /// Sequence number of the first record.
    pub first: i32,
    /// Sequence number of the last record; after `i32::MAX` comes 0.
    pub last: i32,
}

/// Why bytes are not a batch that a log takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Too short, lengths that do not fit, or a count that does not match.
    #[error("the record batch is damaged: {0}")]
    Corrupt(&'static str),
    /// The checksum does not match.
    #[error("the record batch's checksum does not match its bytes")]
    Checksum,
    /// A message set of format 0 or 1.
    #[error("record format {0} is not supported, only 2")]
    Format(i8),
    /// The time of appending, which is the broker's to say.
    #[error("producers may not set the timestamp type to LogAppendTime")]
    Timestamp,
    /// Something that clients may not write here.
    #[error("{0}")]
    Invalid(&'static str),
}

impl Batch {
    /// Checks that `bytes` is exactly one batch.
    ///
    /// # Errors
    /// When it is none, is damaged, or is of a kind that a client may not write: a control batch, or a
    /// transactional one, since this cluster has no transactions.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        if bytes.len() < HEADER_BYTES {
            return Err(BatchError::Corrupt("it is shorter than its header"));
        }
        let magic = bytes[16] as i8;
        if magic != 2 {
            return Err(BatchError::Format(magic));
        }
        let length = i32_at(&bytes, 8);
        match usize::try_from(length).map(|length| length.checked_add(LENGTH_PREFIX_BYTES)) {
            Ok(Some(total)) if total == bytes.len() => {}
            Ok(Some(total)) if total < bytes.len() => {
                return Err(BatchError::Invalid("more than one record batch for one partition"));
            }
            _ => return Err(BatchError::Corrupt("its length does not fit")),
        }
        if crc32c::crc32c(&bytes[CHECKSUMMED_FROM..]) != i32_at(&bytes, 17) as u32 {
            return Err(BatchError::Checksum);
        }
        let attributes = i16_at(&bytes, 21);
        if attributes & CONTROL != 0 {
            return Err(BatchError::Invalid("clients may not write control batches"));
        }
        if attributes & TRANSACTIONAL != 0 {
            return Err(BatchError::Invalid("this cluster has no transactions"));
        }
        if attributes & LOG_APPEND_TIME != 0 {
            return Err(BatchError::Timestamp);
        }
        let last_delta = i32_at(&bytes, 23);
        let count = i32_at(&bytes, 57);
        if count < 1 || last_delta != count - 1 {
            return Err(BatchError::Corrupt("its record count and last offset do not match"));
        }
        // A record takes at least seven bytes; compression may hide more of them.
        let compressed = attributes & COMPRESSION_MASK != 0;
        if !compressed && (bytes.len() - HEADER_BYTES) / 7 < count as usize {
            return Err(BatchError::Corrupt("it counts more records than it has room for"));
        }
        let base_offset = i64_at(&bytes, 0);
        Ok(Self {
            base_offset,
            next_offset: base_offset.saturating_add(i64::from(count)),
            base_timestamp: i64_at(&bytes, 27),
            max_timestamp: i64_at(&bytes, 35),
            producer: Sequenced::read(&bytes, last_delta)?,
            epoch: i32_at(&bytes, 12),
            attributes,
            bytes,
        })
    }

    /// The batch at its place in a log: base offset and leader epoch written into the header.
    ///
    /// Copies nothing when the bytes are not shared, and the batch once when they are.
    pub fn placed(self, base_offset: i64, epoch: i32) -> Self {
        let count = self.next_offset - self.base_offset;
        let mut bytes = owned(self.bytes);
        bytes[0..8].copy_from_slice(&base_offset.to_be_bytes());
        bytes[12..16].copy_from_slice(&epoch.to_be_bytes());
        Self { base_offset, next_offset: base_offset + count, epoch, bytes: bytes.freeze(), ..self }
    }

    /// The batch with this time, in milliseconds since 1970, as the time of all its records
    /// (`LogAppendTime`): said in the header alone, which readers believe.
    ///
    /// Copies nothing when the bytes are not shared, and the batch once when they are.
    pub fn stamped(self, append_time: i64) -> Self {
        let attributes = self.attributes | LOG_APPEND_TIME;
        let mut bytes = owned(self.bytes);
        bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
        bytes[35..43].copy_from_slice(&append_time.to_be_bytes());
        let checksum = crc32c::crc32c(&bytes[CHECKSUMMED_FROM..]);
        bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
        Self { attributes, max_timestamp: append_time, bytes: bytes.freeze(), ..self }
    }

    /// The time at which it was appended, where the topic keeps that.
    pub fn append_time(&self) -> Option<i64> {
        (self.attributes & LOG_APPEND_TIME != 0).then_some(self.max_timestamp)
    }

    /// The bytes, as a fetch returns them.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The first record at or after `timestamp`, as `(offset, timestamp)`.
    ///
    /// In a compressed batch, which is never opened, the answer is the batch's first record: earlier
    /// than Kafka's by less than a batch, so that a reader who starts there misses nothing.
    pub fn first_at_or_after(&self, timestamp: i64) -> Option<(i64, i64)> {
        if self.max_timestamp < timestamp {
            return None;
        }
        if let Some(time) = self.append_time() {
            return Some((self.base_offset, time));
        }
        if self.attributes & COMPRESSION_MASK != 0 {
            return Some((self.base_offset, self.base_timestamp));
        }
        let mut rest = &self.bytes[HEADER_BYTES..];
        while let Some((record, after)) = record_head(rest) {
            let at = self.base_timestamp.saturating_add(record.timestamp_delta);
            if at >= timestamp {
                return Some((self.base_offset + record.offset_delta, at));
            }
            rest = after;
        }
        Some((self.base_offset, self.base_timestamp))
    }
}

fn owned(bytes: Bytes) -> BytesMut {
    bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]))
}

impl Sequenced {
    fn read(bytes: &[u8], last_delta: i32) -> Result<Option<Self>, BatchError> {
        let producer_id = i64_at(bytes, 43);
        let (producer_epoch, first) = (i16_at(bytes, 51), i32_at(bytes, 53));
        if producer_id < 0 {
            return Ok(None);
        }
        if producer_epoch < 0 || first < 0 {
            return Err(BatchError::Invalid("a producer id without an epoch or a sequence number"));
        }
        Ok(Some(Self { producer_id, producer_epoch, first, last: advance(first, last_delta) }))
    }
}

/// Sequence numbers run from 0 to `i32::MAX` and begin again.
fn advance(sequence: i32, by: i32) -> i32 {
    ((i64::from(sequence) + i64::from(by)) % (i64::from(i32::MAX) + 1)) as i32
}

struct RecordHead {
    timestamp_delta: i64,
    offset_delta: i64,
}

/// The head of the first record in `bytes`, and what follows that record; `None` at the end or when the
/// bytes make no sense (the producer's affair: the checksum was right).
fn record_head(bytes: &[u8]) -> Option<(RecordHead, &[u8])> {
    let (length, body) = varint(bytes)?;
    let length =
        usize::try_from(length).ok().filter(|length| *length <= body.len() && *length > 0)?;
    let (record, after) = body.split_at(length);
    let (timestamp_delta, rest) = varint(&record[1..])?;
    let (offset_delta, _) = varint(rest)?;
    Some((RecordHead { timestamp_delta, offset_delta }, after))
}

/// A zigzag varint of at most ten bytes.
fn varint(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(((value >> 1) as i64 ^ -((value & 1) as i64), &bytes[index + 1..]));
        }
    }
    None
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    (i64::from(i32_at(bytes, at)) << 32) | i64::from(i32_at(bytes, at + 4) as u32)
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
