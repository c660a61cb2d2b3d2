//! What of an outbox is undelivered, and so which segments can go. *Pure.*

use std::ops::Range;

use super::frame::Sequence;
use super::segment::SegmentId;
use super::settled::Ranges;

/// A segment on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) id: SegmentId,
    /// Up to where it may be read: what lies behind is not accepted yet.
    pub(super) readable: u64,
    /// Bytes of the file that says what of it is delivered.
    pub(super) marks: u64,
    /// Nothing from this on is in it, or will be; `None` while it is written to.
    pub(super) end: Option<Sequence>,
}

/// The segments, oldest first, and what is settled: delivered, put aside, or never there.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) segments: Vec<Segment>,
    settled: Ranges,
    /// Settled and not yet written down.
    unmarked: Ranges,
    /// What the next message gets.
    next: Sequence,
}

/// What has become of a segment's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// It is there, and may be read so far.
    Readable(SegmentId, u64),
    /// Nothing more is written to it: it ends before this.
    Ended(SegmentId, Sequence),
    Gone(SegmentId),
}

impl Index {
    /// Of these segments, in which all of `settled` is settled.
    pub(super) fn new(segments: Vec<Segment>, settled: Ranges, next: Sequence) -> Self {
        Self { segments, settled, unmarked: Ranges::default(), next }
    }

    /// The number of the next message.
    pub(super) fn next(&self) -> Sequence {
        self.next
    }

    /// Takes that number.
    pub(super) fn take_next(&mut self) -> Sequence {
        let taken = self.next;
        self.next = taken.next();
        taken
    }

    /// A message is delivered, or kept elsewhere.
    pub(super) fn settle(&mut self, sequence: Sequence) {
        self.settled.add_one(sequence);
        self.unmarked.add_one(sequence);
    }

    /// There is no message to deliver here: refused, or damaged.
    pub(super) fn nothing_in(&mut self, range: Range<Sequence>) {
        self.settled.add(range);
    }

    pub(super) fn is_settled(&self, sequence: Sequence) -> bool {
        self.settled.contains(sequence)
    }

    /// How many messages before `end` are undelivered.
    pub(super) fn undelivered_before(&self, end: Sequence) -> u64 {
        end.0 - self.settled.count_in(&(Sequence(0)..end))
    }

    /// The first message that is undelivered.
    pub(super) fn oldest(&self) -> Option<Sequence> {
        let oldest = self.settled.end_of_run(Sequence(0));
        (oldest < self.next).then_some(oldest)
    }

    /// How many messages are undelivered.
    pub(super) fn undelivered(&self) -> u64 {
        self.undelivered_before(self.next)
    }

    /// Takes what the log says has become of its files.
    pub(super) fn apply(&mut self, changes: impl Iterator<Item = Change>) {
        for change in changes {
            match change {
                Change::Readable(id, readable) => match self.segment_mut(id) {
                    Some(known) => known.readable = readable,
                    None => {
                        self.segments.push(Segment { id, readable, marks: 0, end: None });
                    }
                },
                Change::Ended(id, end) => {
                    if let Some(known) = self.segment_mut(id) {
                        known.end = Some(end);
                    }
                }
                Change::Gone(id) => self.segments.retain(|segment| segment.id != id),
            }
        }
    }

    /// What belongs into the segment at this place. What was taken and is not written yet belongs into
    /// none that has ended, so that it does not keep one whose room it waits for.
    fn span(&self, place: usize) -> Range<Sequence> {
        let segment = &self.segments[place];
        segment.id.base..segment.end.unwrap_or(self.next)
    }

    /// The segments in which everything is settled, but for `active`, which is written to.
    pub(super) fn finished(&self, active: Option<SegmentId>) -> Vec<SegmentId> {
        let places = 0..self.segments.len();
        let finished = places.filter(|place| self.settled.covers(&self.span(*place)));
        let ids = finished.map(|place| self.segments[place].id);
        ids.filter(|id| Some(*id) != active).collect()
    }

    /// True when everything is settled that the segment has.
    pub(super) fn is_finished(&self, id: SegmentId) -> bool {
        self.finished(None).contains(&id)
    }

    /// True when nothing is left to deliver of the segment.
    pub(super) fn is_finished_or_gone(&self, id: SegmentId) -> bool {
        self.segments.iter().all(|segment| segment.id != id) || self.is_finished(id)
    }

    /// True when something may be settled, or is and was not written down.
    pub(super) fn is_untidy(&self) -> bool {
        !self.unmarked.is_empty() || !self.settled.covers(&(Sequence(0)..self.next))
    }

    /// What is settled and not yet written down, by segment.
    pub(super) fn unmarked(&self) -> Vec<(SegmentId, Vec<Range<Sequence>>)> {
        if self.unmarked.is_empty() {
            return Vec::new();
        }
        let of = |place: usize| {
            let ranges: Vec<_> = self.unmarked.within(&self.span(place)).collect();
            (self.segments[place].id, ranges)
        };
        (0..self.segments.len()).map(of).filter(|(_, ranges)| !ranges.is_empty()).collect()
    }

    /// The segment has these written down, with so many bytes.
    pub(super) fn marked(&mut self, id: SegmentId, ranges: &[Range<Sequence>], bytes: u64) {
        ranges.iter().for_each(|range| self.unmarked.remove(range));
        if let Some(segment) = self.segment_mut(id) {
            segment.marks += bytes;
        }
    }

    /// Bytes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.readable + segment.marks).sum()
    }

    fn segment_mut(&mut self, id: SegmentId) -> Option<&mut Segment> {
        self.segments.iter_mut().rfind(|segment| segment.id == id)
    }

    /// The segment that has this message.
    pub(super) fn segment_of(&self, sequence: Sequence) -> Option<&Segment> {
        self.segments.iter().rfind(|segment| segment.id.base <= sequence)
    }

    /// The first segment behind this one.
    pub(super) fn after(&self, id: SegmentId) -> Option<&Segment> {
        self.segments.iter().find(|segment| id.base < segment.id.base)
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Salt;
    use super::*;

    fn id(base: u64) -> SegmentId {
        SegmentId { base: Sequence(base), salt: Salt(1) }
    }

    fn index(bases: &[u64], next: u64) -> Index {
        let ends = bases[1..].iter().map(|base| Some(Sequence(*base))).chain([None]);
        let segment =
            |(base, end): (&u64, _)| Segment { id: id(*base), readable: 100, marks: 0, end };
        let segments = bases.iter().zip(ends).map(segment).collect();
        let mut settled = Ranges::default();
        settled.add(Sequence(0)..Sequence(bases[0]));
        Index::new(segments, settled, Sequence(next))
    }

    #[test]
    fn a_segment_can_go_when_all_in_it_is_settled_in_whatever_order() {
        let mut index = index(&[10, 13, 16], 18);
        assert_eq!(index.undelivered(), 8);
        for sequence in [13, 15, 10, 11] {
            index.settle(Sequence(sequence));
        }
        assert_eq!(index.finished(None), []);
        index.settle(Sequence(14));
        assert_eq!(index.finished(None), [id(13)], "the oldest is not finished, and may stay");
        index.nothing_in(Sequence(12)..Sequence(13));
        index.settle(Sequence(16));
        index.settle(Sequence(17));
        assert_eq!(index.finished(Some(id(16))), [id(10), id(13)]);
        assert!(index.is_finished(id(16)));
        assert_eq!((index.undelivered(), index.undelivered_before(Sequence(12))), (0, 0));
    }

    #[test]
    fn what_waits_to_be_written_keeps_no_segment_that_has_ended() {
        let mut index = index(&[0], 3);
        (0..2).for_each(|sequence| index.settle(Sequence(sequence)));
        assert_eq!(index.finished(None), []);
        index.apply([Change::Ended(id(0), Sequence(2))].into_iter());
        assert_eq!(index.finished(None), [id(0)]);
    }

    #[test]
    fn what_is_settled_is_written_down_once_with_its_own_segment() {
        let mut index = index(&[0, 2], 4);
        index.settle(Sequence(1));
        index.settle(Sequence(2));
        let range = |from, to| Sequence(from)..Sequence(to);
        let due = index.unmarked();
        assert_eq!(due, [(id(0), vec![range(1, 2)]), (id(2), vec![range(2, 3)])]);
        index.marked(id(0), &due[0].1, 28);
        assert_eq!(index.bytes(), 228);
        index.settle(Sequence(3));
        assert_eq!(index.unmarked(), [(id(2), vec![range(2, 4)])]);
    }
}
