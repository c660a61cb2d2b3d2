//! A judgement as text for a person: the figures, and for each offender what happened around it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use super::entry::{Entry, MemberNo, MessageNo, Place, What};
use super::evidence::what;
use super::{Judgement, Ledger, Offence, OffenceKind};
use crate::Offset;

/// Longest history of one offender.
const LINES: usize = 24;
/// How many events of its partition (commits, assignments) and notes are told before the offence, and
/// after it.
const FRAME: usize = 3;

impl Ledger {
    /// The judgement in words: a line with the figures, then the first offenders of each kind. For
    /// those that must not be, what was told of the message and of the records beside it, and the
    /// partition's commits and assignments nearest to the offence.
    pub fn account(&self, judgement: &Judgement) -> String {
        let histories = Histories::of(self, judgement);
        let mut text = format!("{judgement}\n");
        for kind in OffenceKind::ALL {
            let count = judgement.count(kind);
            let named = judgement.offences.iter().enumerate().filter(|(_, it)| it.kind == kind);
            let mut heading = Some(format!("\n{kind}: {count}\n"));
            for (index, offence) in named {
                text += &heading.take().unwrap_or_default();
                let _ = writeln!(text, "  {offence}");
                for seq in histories.lines(index) {
                    let _ = writeln!(text, "    {}", self.line(*seq));
                }
            }
        }
        text
    }

    /// An event in words.
    fn line(&self, seq: usize) -> String {
        let Entry { at, what: event } = self.entries[seq];
        let mut line = format!("{:>12.6} s  event {seq}: {}", at.as_secs_f64(), what(event));
        let by = |by: MemberNo| {
            let member = self.names.of_member(by);
            format!(" by {:?} of {}", member.name, self.groups[member.group].name)
        };
        match event {
            What::Assigned(who, partition)
            | What::Revoked(who, partition)
            | What::Lost(who, partition) => {
                line += &format!(" {}{}", self.names.of_partition(partition), by(who));
            }
            What::Started { by: who, .. } | What::Handled { by: who, .. } => line += &by(who),
            What::Committed { by: who, next } => {
                line += &format!(" {}{}", self.names.of_place(next), by(who));
            }
            What::Note(note) => line += &format!(": {}", self.names.of_note(note)),
            _ => {}
        }
        if let Some(message) = event.message() {
            line += &format!(": message {}", self.messages[message].id);
        }
        if let Some(place) = event.place() {
            line += &format!(" at {}", self.names.of_place(place));
        }
        line
    }
}

/// The events around each offender, by the offence's index in the judgement.
struct Histories(HashMap<usize, Vec<usize>>);

impl Histories {
    fn of(ledger: &Ledger, judgement: &Judgement) -> Self {
        let mut wanted = Wanted::default();
        let must_not_be = |offence: &Offence| offence.kind.must_not_be();
        let offenders = judgement.offences.iter().enumerate().filter(|(_, it)| must_not_be(it));
        for (index, offence) in offenders.clone() {
            wanted.add(ledger, index, offence);
        }
        let mut found: HashMap<usize, BTreeSet<usize>> = HashMap::new();
        let mut frames = Vec::new();
        for (seq, entry) in ledger.entries.iter().enumerate() {
            for index in wanted.by(entry.what) {
                found.entry(index).or_default().insert(seq);
            }
            if is_frame(entry.what) {
                frames.push(seq);
            }
        }
        let mut histories = HashMap::new();
        for (index, offence) in offenders {
            let own = found.remove(&index).unwrap_or_default();
            histories.insert(index, history(ledger, offence, own, &frames));
        }
        Self(histories)
    }

    fn lines(&self, index: usize) -> &[usize] {
        self.0.get(&index).map_or(&[], |lines| lines)
    }
}

/// Which offenders an event belongs to.
#[derive(Default)]
struct Wanted {
    messages: BTreeMap<MessageNo, Vec<usize>>,
    places: BTreeMap<Place, Vec<usize>>,
}

impl Wanted {
    fn add(&mut self, ledger: &Ledger, index: usize, offence: &Offence) {
        if let Some(message) = offence.message.and_then(|id| ledger.messages.find(id)) {
            self.messages.entry(message).or_default().push(index);
        }
        if let Some(place) = offence.position.as_ref().and_then(|it| ledger.names.find(it)) {
            for offset in place.offset.0.saturating_sub(1)..=place.offset.0.saturating_add(1) {
                let beside = Place { offset: Offset(offset), ..place };
                self.places.entry(beside).or_default().push(index);
            }
        }
    }

    fn by(&self, event: What) -> impl Iterator<Item = usize> {
        let by_message = event.message().and_then(|message| self.messages.get(&message));
        let by_place = event.place().and_then(|place| self.places.get(&place));
        by_message.into_iter().chain(by_place).flatten().copied()
    }
}

fn is_frame(event: What) -> bool {
    matches!(
        event,
        What::Assigned(..)
            | What::Revoked(..)
            | What::Lost(..)
            | What::Committed { .. }
            | What::Note(_)
    )
}

/// An offender's own events and those that frame it, in their order and not too many.
fn history(
    ledger: &Ledger,
    offence: &Offence,
    own: BTreeSet<usize>,
    frames: &[usize],
) -> Vec<usize> {
    let partition = offence.position.as_ref().and_then(|it| ledger.names.find(it));
    let near = |seq: &&usize| match ledger.entries[**seq].what {
        What::Assigned(_, it) | What::Revoked(_, it) | What::Lost(_, it) => {
            partition.is_some_and(|place| place.partition == it)
        }
        What::Committed { next, .. } => {
            partition.is_some_and(|place| place.partition == next.partition)
        }
        _ => true,
    };
    let event = offence.event.and_then(|event| usize::try_from(event).ok());
    let anchor = event.or(own.last().copied()).unwrap_or(ledger.entries.len());
    let at = frames.partition_point(|seq| *seq < anchor);
    let before = frames[..at].iter().rev().filter(near).take(FRAME);
    // The offence itself may be the first of these.
    let after = frames[at..].iter().filter(near).take(FRAME);
    let mut lines: BTreeSet<usize> = own.into_iter().take(LINES - 2 * FRAME).collect();
    lines.extend(before.chain(after).copied());
    lines.into_iter().collect()
}
