//! Makes cases: valid requests with something wrong.

use kurier_broker::fuzzing::Example;

use crate::random::Random;

/// The bytes before a request's body: length, API, version, correlation.
const HEAD: usize = 12;

/// One case.
pub fn case(random: &mut Random, examples: &[Example]) -> Vec<u8> {
    let example = random.pick(examples);
    let mut stream = example.stream.clone();
    match random.below(12) {
        0 => {}
        1..=4 => edit(random, &mut stream, HEAD),
        5 => edit(random, &mut stream, 4),
        6 => cut(random, &mut stream),
        7 => repeat(random, &mut stream),
        8 => {
            let other = random.pick(examples);
            splice(random, &mut stream, &other.stream);
        }
        9 => {
            let other = random.pick(examples);
            stream[4..8].copy_from_slice(&other.stream[4..8]);
        }
        10 => noise(random, &mut stream),
        _ => return batches(random, examples),
    }
    let length = u32::try_from(stream.len() - 4).unwrap_or(u32::MAX);
    stream[..4].copy_from_slice(&length.to_be_bytes());
    if random.below(40) == 0 {
        edit(random, &mut stream[..4], 0);
    }
    stream
}

/// Numbers at which counts and lengths change their meaning.
const ODD: &[i64] = &[
    i64::MIN,
    i32::MIN as i64,
    i16::MIN as i64,
    -2,
    -1,
    0,
    1,
    2,
    127,
    128,
    255,
    16_384,
    i16::MAX as i64,
    65_535,
    100_001,
    i32::MAX as i64,
    u32::MAX as i64,
    i64::MAX,
];

/// Writes other bytes or odd numbers in some places.
fn edit(random: &mut Random, bytes: &mut [u8], from: usize) {
    for _ in 0..=random.below(6) {
        let at = from + random.below(bytes.len().saturating_sub(from));
        let odd = random.pick(ODD).to_be_bytes();
        let width = *random.pick(&[1, 1, 1, 2, 4, 8]);
        for (place, value) in bytes.iter_mut().skip(at).zip(&odd[8 - width..]) {
            *place = *value;
        }
        if random.below(3) == 0
            && let Some(place) = bytes.get_mut(at)
        {
            *place = random.byte();
        }
    }
}

/// Takes the end away, or some of the middle.
fn cut(random: &mut Random, stream: &mut Vec<u8>) {
    let from = 4 + random.below(stream.len() - 4);
    let to = if random.below(2) == 0 { stream.len() } else { from + random.below(9) };
    stream.drain(from..to.min(stream.len()));
}

/// Says some of it again, now and then very often.
fn repeat(random: &mut Random, stream: &mut Vec<u8>) {
    let from = HEAD + random.below(stream.len() - HEAD);
    let to = (from + 1 + random.below(40)).min(stream.len());
    let times = *random.pick(&[1, 1, 1, 2, 10, 1_000]);
    let again = stream[from..to].repeat(times);
    stream.splice(to..to, again);
}

/// Ends as another request does.
fn splice(random: &mut Random, stream: &mut Vec<u8>, other: &[u8]) {
    stream.truncate(HEAD + random.below(stream.len() - HEAD));
    stream.extend(&other[HEAD + random.below(other.len() - HEAD)..]);
}

/// A body of small numbers and zeros, as real ones have, with a wild one here and there.
fn noise(random: &mut Random, stream: &mut Vec<u8>) {
    stream.truncate(HEAD);
    for _ in 0..random.below(80) {
        stream.push(match random.below(8) {
            0 => random.byte(),
            1..=3 => random.below(4).to_be_bytes()[7],
            _ => 0,
        });
    }
}

/// Record batches that are wrong behind a checksum that is right.
fn batches(random: &mut Random, examples: &[Example]) -> Vec<u8> {
    const CHECKSUM: usize = 17;
    const CHECKSUMMED: usize = 21;
    let with_batches: Vec<&Example> = examples.iter().filter(|it| !it.batches.is_empty()).collect();
    let example = random.pick(&with_batches);
    let mut stream = example.stream.clone();
    for range in &example.batches {
        let batch = &mut stream[range.clone()];
        edit(random, batch, CHECKSUMMED);
        let checksum = crc32c::crc32c(&batch[CHECKSUMMED..]);
        batch[CHECKSUM..CHECKSUMMED].copy_from_slice(&checksum.to_be_bytes());
    }
    stream
}
