//! What is sent: payloads that no codec finds anything in, unless it is meant to. Pure.

use bytes::Bytes;

/// Payloads made ahead, taken in turn: making one while measuring would be measured too.
#[derive(Debug, Clone)]
pub struct Payloads {
    /// One behind the other.
    block: Bytes,
    size: usize,
}

/// Bytes of payloads made ahead: more than a batch holds, so that within one no payload comes twice.
const BLOCK_BYTES: usize = 4 << 20;
/// And never fewer than this, however large they are.
const COUNT_MIN: usize = 8;
/// Nor more.
const COUNT_MAX: usize = 32_768;
/// Six bits a byte: JSON and lines of text hold them as they are.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Payloads {
    /// Payloads of `size` bytes, at least one, each random but for the first `same` percent, which are
    /// the same in all. The same seed makes the same ones.
    pub fn new(size: usize, same: u8, seed: u64) -> Self {
        let size = size.max(1);
        let count = (BLOCK_BYTES / size).clamp(COUNT_MIN, COUNT_MAX);
        let mut random = Random(seed);
        let common: Vec<u8> =
            (0..size * usize::from(same.min(100)) / 100).map(|_| random.letter()).collect();
        let mut block = Vec::with_capacity(size * count);
        for _ in 0..count {
            block.extend_from_slice(&common);
            block.extend((common.len()..size).map(|_| random.letter()));
        }
        Self { block: block.into(), size }
    }

    /// The payload of message `number`: shared memory, no copy.
    pub fn get(&self, number: u64) -> Bytes {
        let from = self.index(number) * self.size;
        self.block.slice(from..from + self.size)
    }

    /// The same as text.
    pub fn text(&self, number: u64) -> &str {
        let from = self.index(number) * self.size;
        // Nothing but LETTERS is in it.
        std::str::from_utf8(&self.block[from..from + self.size]).unwrap_or_default()
    }

    /// All of them, one a line, for peers that read a file.
    pub fn lines(&self) -> Vec<u8> {
        let mut lines = Vec::with_capacity(self.block.len() + self.block.len() / self.size);
        for payload in self.block.chunks(self.size) {
            lines.extend_from_slice(payload);
            lines.push(b'\n');
        }
        lines
    }

    fn index(&self, number: u64) -> usize {
        let count = (self.block.len() / self.size) as u64;
        // Below the count, which is a usize.
        (number % count) as usize
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators"): a benchmark needs
/// no better one, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn letter(&mut self) -> u8 {
        // The highest six bits.
        LETTERS[(self.next() >> 58) as usize]
    }
}

/// What a message says of itself where its way is measured to the end: whose it is, which one, and when
/// it was to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Tells the messages of this run from others in the topic.
    pub run: u32,
    /// From 0.
    pub number: u64,
    /// When it was to be sent, in nanoseconds from the beginning of the run.
    pub due: u64,
}

/// Bytes of a stamp: three numbers in hexadecimal.
pub const STAMP_BYTES: usize = 8 + 16 + 16;

impl Stamp {
    /// As text, which goes to the beginning of a payload.
    pub fn text(&self) -> String {
        format!("{:08x}{:016x}{:016x}", self.run, self.number, self.due)
    }

    /// The stamp at the beginning of a payload; `None` where there is none.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(payload.get(..STAMP_BYTES)?).ok()?;
        let number = |from, to| u64::from_str_radix(text.get(from..to)?, 16).ok();
        Some(Self {
            run: u32::try_from(number(0, 8)?).ok()?,
            number: number(8, 24)?,
            due: number(24, 40)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn payloads_have_their_size_differ_and_are_the_same_again_for_a_seed() {
        let payloads = Payloads::new(200, 0, 7);
        let some: HashSet<Bytes> = (0..5_000).map(|number| payloads.get(number)).collect();
        assert_eq!(some.len(), 5_000, "as many as a batch of a megabyte holds");
        assert!(some.iter().all(|payload| payload.len() == 200));
        assert_eq!(payloads.get(3), Payloads::new(200, 0, 7).get(3));
        assert_ne!(payloads.get(3), Payloads::new(200, 0, 8).get(3));
        assert_eq!(payloads.text(4).as_bytes(), payloads.get(4));
    }

    #[test]
    fn letters_are_about_equally_frequent_and_nothing_else_is_there() {
        let mut counts = [0_u32; 256];
        let payloads = Payloads::new(100, 0, 1);
        for number in 0..1_000 {
            payloads.get(number).iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        }
        let found: u32 = LETTERS.iter().map(|letter| counts[usize::from(*letter)]).sum();
        assert_eq!(found, 100_000);
        // 1562.5 of each; this is more than ten standard deviations.
        for letter in LETTERS {
            let count = counts[usize::from(*letter)];
            assert!((1_100..2_000).contains(&count), "{}: {count}", char::from(*letter));
        }
    }

    #[test]
    fn the_compressible_share_is_the_same_in_all() {
        let payloads = Payloads::new(200, 25, 7);
        let (first, second) = (payloads.get(0), payloads.get(1));
        assert_eq!(first[..50], second[..50]);
        assert_ne!(first[50..], second[50..]);
        let all = Payloads::new(10, 100, 7);
        assert_eq!(all.get(0), all.get(1));
    }

    #[test]
    fn small_and_large_ones_come_in_turn_for_ever() {
        for size in [0, 1, 3_000_000] {
            let payloads = Payloads::new(size, 0, 7);
            assert_eq!(payloads.get(u64::MAX).len(), size.max(1));
        }
        let payloads = Payloads::new(200, 0, 7);
        let lines = payloads.lines();
        let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines[..3], [payloads.get(0), payloads.get(1), payloads.get(2)]);
        let count = lines.len() - 1;
        assert_eq!(payloads.get(count as u64), payloads.get(0));
    }

    #[test]
    fn a_stamp_reads_as_it_was_written_and_other_text_is_none() {
        let stamp = Stamp { run: 0xfeed, number: 123_456, due: u64::MAX };
        let text = stamp.text() + "rest";
        assert_eq!(text.len(), STAMP_BYTES + 4);
        assert_eq!(Stamp::read(text.as_bytes()), Some(stamp));
        for text in ["", "0000feed", &"z".repeat(60), &"é".repeat(60)] {
            assert_eq!(Stamp::read(text.as_bytes()), None, "{text}");
        }
    }
}
