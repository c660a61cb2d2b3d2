//! Offenders by kind: the first of each are named.

use std::collections::BTreeMap;

use super::super::entry::{MessageNo, Place, Seq};
use super::super::offence::OFFENDERS;
use super::super::{Ledger, Offence, OffenceKind};

pub(super) struct Offences<'a> {
    ledger: &'a Ledger,
    named: BTreeMap<OffenceKind, Vec<Offence>>,
}

/// Who or what an offence is about.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct About {
    pub(super) group: Option<usize>,
    pub(super) message: Option<MessageNo>,
    pub(super) place: Option<Place>,
    /// The entry that shows it.
    pub(super) event: Option<Seq>,
}

impl<'a> Offences<'a> {
    pub(super) fn new(ledger: &'a Ledger) -> Self {
        Self { ledger, named: BTreeMap::new() }
    }

    /// Names one more, unless enough of its kind are named.
    pub(super) fn add(&mut self, kind: OffenceKind, about: About, words: impl FnOnce() -> String) {
        let of_kind = self.named.entry(kind).or_default();
        if OFFENDERS <= of_kind.len() {
            return;
        }
        let ledger = self.ledger;
        of_kind.push(Offence {
            kind,
            group: about.group.map(|index| ledger.groups[index].name.clone()),
            message: about.message.map(|number| ledger.messages[number].id),
            position: about.place.map(|place| ledger.names.of_place(place)),
            event: about.event.map(|seq| seq.index() as u64),
            words: words(),
        });
    }

    /// All that are named, by kind.
    pub(super) fn named(self) -> Vec<Offence> {
        self.named.into_values().flatten().collect()
    }
}
