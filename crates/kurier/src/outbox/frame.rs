//! How records lie in a file: each in a frame of its own with two checksums. *Pure.*
//!
//! ```text
//! length of the body  u32 ┐
//! sequence            u64 ├ head, 20 bytes, little-endian
//! CRC-32C of the head u32 │  of the salt and the two fields before
//! CRC-32C of the body u32 ┘  of the salt and the body
//! body
//! ```
//!
//! A head with a checksum of its own tells a frame that was not written to its end from one that was
//! damaged: only a whole head is believed about the length. The salt is chosen by the process that
//! writes, so that a message whose content is a piece of an outbox is not taken for a frame when frames
//! are looked for behind damage.

use std::ops::Range;

/// Names one record of an outbox; they count up in the order of acceptance, also from one process to
/// the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sequence(pub(crate) u64);

impl Sequence {
    /// The one behind.
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What checksums begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt(pub(crate) u64);

impl Salt {
    /// The checksum of `bytes` under this salt.
    pub(super) fn checksum(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.0.to_le_bytes()), bytes)
    }
}

/// Bytes before the body.
pub(super) const HEAD: usize = 20;

/// Appends one frame whose body is what `write` appends.
pub(super) fn push(
    out: &mut Vec<u8>,
    salt: Salt,
    sequence: Sequence,
    write: impl FnOnce(&mut Vec<u8>),
) {
    let at = out.len();
    out.resize(at + HEAD, 0);
    write(out);
    // A body is at most a message, of which the largest that can be set is 1 GB.
    let length = u32::try_from(out.len() - at - HEAD).unwrap_or(u32::MAX);
    let body = salt.checksum(&out[at + HEAD..]);
    let head = &mut out[at..at + HEAD];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..12].copy_from_slice(&sequence.0.to_le_bytes());
    let checksum = salt.checksum(&head[..12]);
    head[12..16].copy_from_slice(&checksum.to_le_bytes());
    head[16..].copy_from_slice(&body.to_le_bytes());
}

/// What a piece of a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A whole record, and where its frame ends.
    Record { sequence: Sequence, body: &'a [u8], end: usize },
    /// Bytes that are no frame, up to the next whole one or the end. The sequence is known when the head
    /// is whole.
    Damaged { at: Range<usize>, sequence: Option<Sequence> },
    /// The beginning of a frame that was not written to its end, or room that was never written to.
    Torn { at: usize },
}

/// Reads frames one after another. Whatever the bytes are, it ends, and allocates nothing.
#[derive(Debug, Clone)]
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    salt: Salt,
}

impl<'a> Scan<'a> {
    /// Of `bytes`, beginning at `at`.
    pub(super) fn new(bytes: &'a [u8], at: usize, salt: Salt) -> Self {
        Self { bytes, at, salt }
    }

    fn frame(&self, at: usize) -> Frame<'a> {
        let rest = self.bytes.get(at..).unwrap_or_default();
        let Some((head, rest)) = rest.split_first_chunk::<HEAD>() else {
            return Frame::Cut;
        };
        if number(head, 12) != self.salt.checksum(&head[..12]) {
            return Frame::NoHead;
        }
        let mut sequence = [0; 8];
        sequence.copy_from_slice(&head[4..12]);
        let sequence = Sequence(u64::from_le_bytes(sequence));
        let length = number(head, 0) as usize;
        match rest.get(..length) {
            None => Frame::Cut,
            Some(body) if number(head, 16) != self.salt.checksum(body) => {
                Frame::BadBody { sequence, end: at + HEAD + length }
            }
            Some(body) => Frame::Whole { sequence, body, end: at + HEAD + length },
        }
    }

    /// Where the first whole frame begins from here on.
    pub(super) fn whole_from(&self, from: usize) -> Option<usize> {
        let whole = |at: &usize| matches!(self.frame(*at), Frame::Whole { .. });
        (from..self.bytes.len()).find(whole)
    }
}

enum Frame<'a> {
    Whole { sequence: Sequence, body: &'a [u8], end: usize },
    BadBody { sequence: Sequence, end: usize },
    NoHead,
    Cut,
}

fn number(head: &[u8; HEAD], at: usize) -> u32 {
    u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

impl<'a> Iterator for Scan<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let at = self.at;
        let rest = self.bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let (found, next) = match self.frame(at) {
            Frame::Whole { sequence, body, end } => (Found::Record { sequence, body, end }, end),
            Frame::BadBody { sequence, end } => {
                (Found::Damaged { at: at..end, sequence: Some(sequence) }, end)
            }
            Frame::Cut => (Found::Torn { at }, self.bytes.len()),
            // After a power cut a file can be longer than what was written to it.
            Frame::NoHead if rest.iter().all(|byte| *byte == 0) => {
                (Found::Torn { at }, self.bytes.len())
            }
            Frame::NoHead => {
                let end = self.whole_from(at + 1).unwrap_or(self.bytes.len());
                (Found::Damaged { at: at..end, sequence: None }, end)
            }
        };
        self.at = next;
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: Salt = Salt(0x5eed);

    fn file(bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for (sequence, body) in (0..).zip(bodies) {
            push(&mut bytes, SALT, Sequence(sequence), |out| out.extend_from_slice(body));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn four() -> Vec<Vec<u8>> {
        let embedded = file(&[b"inner".to_vec()]).0;
        vec![b"first".to_vec(), Vec::new(), embedded[1..].to_vec(), vec![0; 40]]
    }

    fn records(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let whole = |found| match found {
            Found::Record { sequence, body, .. } => Some((sequence.0, body.to_vec())),
            _ => None,
        };
        Scan::new(bytes, 0, SALT).filter_map(whole).collect()
    }

    /// A file that ends anywhere is whole up to the last frame that is, and torn behind it.
    #[test]
    fn a_file_that_ends_at_any_byte_loses_the_torn_record_alone() {
        let bodies = four();
        let (bytes, ends) = file(&bodies);
        for length in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= length).count() - 1;
            let cut = &bytes[..length];
            let found = records(cut);
            let expected: Vec<_> = (0..).zip(bodies[..whole].iter().cloned()).collect();
            assert_eq!(found, expected, "cut at {length}");
            let torn = Scan::new(cut, 0, SALT).find(|one| matches!(one, Found::Torn { .. }));
            let expected = (length != ends[whole]).then(|| Found::Torn { at: ends[whole] });
            assert_eq!(torn, expected, "cut at {length}");
        }
    }

    #[test]
    fn a_bit_that_flips_anywhere_costs_its_own_record_alone_and_is_seen() {
        let bodies = four();
        let (bytes, ends) = file(&bodies);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let hit = ends.iter().filter(|end| **end <= bit / 8).count() - 1;
            let expected: Vec<_> = (0..)
                .zip(bodies.iter().cloned())
                .filter(|(sequence, _)| *sequence != hit as u64)
                .collect();
            assert_eq!(records(&flipped), expected, "bit {bit}");
            let others: Vec<_> = Scan::new(&flipped, 0, SALT)
                .filter(|found| !matches!(found, Found::Record { .. }))
                .collect();
            let [Found::Damaged { at, .. }] = &others[..] else {
                panic!("bit {bit}: {others:?}");
            };
            assert_eq!(*at, ends[hit]..ends[hit + 1], "bit {bit}");
        }
    }

    /// Without the checksum of the head a length that grew would swallow what is behind it.
    #[test]
    fn control_without_the_checksum_of_the_head_a_flipped_length_hides_the_records_behind_it() {
        let (mut bytes, _) = file(&four());
        bytes[2] ^= 1;
        let head = SALT.checksum(&bytes[..12]).to_le_bytes();
        bytes[12..16].copy_from_slice(&head);
        assert_eq!(records(&bytes), []);
    }

    #[test]
    fn room_that_was_never_written_to_is_torn_and_no_damage() {
        let (mut bytes, ends) = file(&four());
        bytes.extend([0; 4096]);
        let last = Scan::new(&bytes, 0, SALT).last();
        assert_eq!(last, Some(Found::Torn { at: ends[4] }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end_without_a_gap(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut at = 0;
            for found in Scan::new(&bytes, 0, SALT) {
                at = match found {
                    Found::Record { end, .. } => end,
                    Found::Damaged { at: damage, .. } => {
                        prop_assert_eq!(damage.start, at);
                        damage.end
                    }
                    Found::Torn { at: torn } => {
                        prop_assert_eq!(torn, at);
                        bytes.len()
                    }
                };
            }
            prop_assert_eq!(at, bytes.len());
        }

        #[test]
        fn what_is_written_reads_back(bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20)) {
            let expected: Vec<_> = (0..).zip(bodies.iter().cloned()).collect();
            prop_assert_eq!(records(&file(&bodies).0), expected);
        }
    }
}
