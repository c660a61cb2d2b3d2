//! How what is settled is written down beside the file that has it: a frame a range. *Pure.*

use std::ops::Range;

use super::frame::{self, Found, Salt, Scan, Sequence};
use super::settled::Ranges;

/// The frames that say that these are settled.
pub(super) fn written(ranges: &[Range<Sequence>], salt: Salt) -> Vec<u8> {
    let mut frames = Vec::new();
    for range in ranges {
        let end = range.end.0.to_le_bytes();
        frame::push(&mut frames, salt, range.start, |out| out.extend_from_slice(&end));
    }
    frames
}

/// What frames say is settled. One that can't be read says nothing.
pub(super) fn read(frames: &[u8], salt: Salt) -> Ranges {
    let mut settled = Ranges::default();
    for found in Scan::new(frames, 0, salt) {
        if let Found::Record { sequence, body, .. } = found {
            settled.add(range(sequence, body));
        }
    }
    settled
}

/// What one frame says; an empty range when its body is something else.
pub(super) fn range(sequence: Sequence, body: &[u8]) -> Range<Sequence> {
    let end = body.try_into().map_or(sequence, |end| Sequence(u64::from_le_bytes(end)));
    sequence..end
}
