//! A segment of an outbox: its name, the header it begins with, and the files beside it. *Pure.*
//!
//! The name says the same as the header, so that a damaged header costs nothing but a report.

use super::frame::{Salt, Sequence};

/// Names one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentId {
    /// Nothing before this is in the segment, and nothing from this on in an earlier one: what stands
    /// there all the same was never accepted, its write having failed.
    pub(super) base: Sequence,
    pub(super) salt: Salt,
}

/// What the first bytes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    Good,
    /// The file ends within it, or was never written to: nothing was accepted into it yet.
    Short,
    Damaged,
    /// Written by a later version of kurier.
    Newer(u32),
}

/// Bytes before the first frame.
pub(super) const HEADER: usize = 32;
const MAGIC: &[u8; 8] = b"kurier\0o";
const VERSION: u32 = 1;
const SEGMENT: &str = ".segment";
const DELIVERED: &str = ".delivered";
const UNFINISHED: &str = ".unfinished";
const SETTLED: &str = ".settled";

impl SegmentId {
    /// The name of its file.
    pub(super) fn file(self) -> String {
        format!("{}{SEGMENT}", self.stem())
    }

    /// The name of the file that says what of it is delivered.
    pub(super) fn delivered_file(self) -> String {
        format!("{}{DELIVERED}", self.stem())
    }

    /// The name of its file until that holds what the one before it was to make safe.
    pub(super) fn unfinished_file(self) -> String {
        format!("{}{UNFINISHED}", self.stem())
    }

    /// The name of the file in which damaged bytes of it are kept.
    pub(super) fn damaged_file(self, at: usize) -> String {
        format!("damaged-{}-at-{at}", self.stem())
    }

    /// The segment that has this file.
    pub(super) fn of_file(name: &str) -> Option<Self> {
        let (base, salt) = name.strip_suffix(SEGMENT)?.split_once('-')?;
        let right = base.len() == 20 && salt.len() == 16;
        let base = Sequence(base.parse().ok()?);
        let salt = Salt(u64::from_str_radix(salt, 16).ok()?);
        right.then_some(Self { base, salt })
    }

    /// What its file begins with.
    pub(super) fn header(self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..20].copy_from_slice(&self.base.0.to_le_bytes());
        header[20..28].copy_from_slice(&self.salt.0.to_le_bytes());
        let checksum = self.salt.checksum(&header[..28]);
        header[28..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// What stands at the beginning of its file.
    pub(super) fn check(self, file: &[u8]) -> Header {
        let Some(found) = file.first_chunk::<HEADER>() else { return Header::Short };
        if *found == self.header() {
            return Header::Good;
        }
        // After a power cut a file can be longer than what was written to it.
        if file.iter().all(|byte| *byte == 0) {
            return Header::Short;
        }
        let whole = self.salt.checksum(&found[..28]).to_le_bytes() == found[28..];
        let version = u32::from_le_bytes([found[8], found[9], found[10], found[11]]);
        if whole && found.starts_with(MAGIC) && VERSION < version {
            return Header::Newer(version);
        }
        Header::Damaged
    }

    fn stem(self) -> String {
        format!("{:020}-{:016x}", self.base.0, self.salt.0)
    }
}

/// True for the name of a segment's file that was never finished: it holds nothing that counts.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.ends_with(UNFINISHED)
}

/// The name of the file in which a process puts messages that no broker takes.
pub(super) fn rejected_file(salt: Salt) -> String {
    format!("rejected-{:016x}", salt.0)
}

/// The process that has written this file of rejected messages.
pub(super) fn of_rejected_file(name: &str) -> Option<Salt> {
    u64::from_str_radix(name.strip_prefix("rejected-")?, 16).ok().map(Salt)
}

/// The name of the file that says which of those are settled since.
pub(super) fn settled_file(salt: Salt) -> String {
    format!("{}{SETTLED}", rejected_file(salt))
}

/// The process whose rejected messages this file is about.
pub(super) fn of_settled_file(name: &str) -> Option<Salt> {
    of_rejected_file(name.strip_suffix(SETTLED)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SegmentId = SegmentId { base: Sequence(42), salt: Salt(0xabc) };

    #[test]
    fn a_segment_is_known_by_its_name() {
        assert_eq!(SegmentId::of_file(&ID.file()), Some(ID));
        for other in ["lock", "42-abc.segment", &ID.delivered_file(), &ID.damaged_file(7)] {
            assert_eq!(SegmentId::of_file(other), None, "{other}");
        }
        assert_eq!(of_rejected_file(&rejected_file(ID.salt)), Some(ID.salt));
        assert_eq!(of_settled_file(&settled_file(ID.salt)), Some(ID.salt));
        assert_eq!(of_rejected_file(&settled_file(ID.salt)), None);
    }

    #[test]
    fn a_header_is_good_short_damaged_or_of_a_later_version() {
        let good = ID.header();
        assert_eq!(ID.check(&good), Header::Good);
        for length in 0..HEADER {
            assert_eq!(ID.check(&good[..length]), Header::Short);
        }
        for bit in 0..HEADER * 8 {
            let mut flipped = good;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ID.check(&flipped), Header::Damaged, "bit {bit}");
        }
        let mut newer = good;
        newer[8..12].copy_from_slice(&7_u32.to_le_bytes());
        let checksum = ID.salt.checksum(&newer[..28]).to_le_bytes();
        newer[28..].copy_from_slice(&checksum);
        assert_eq!(ID.check(&newer), Header::Newer(7));
    }
}
