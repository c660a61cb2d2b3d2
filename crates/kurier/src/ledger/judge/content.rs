//! Whether what was seen is what was sent.

use std::collections::HashSet;

use super::super::entry::{MessageNo, Place, Seq};
use super::super::{How, OffenceKind, Wrong};
use super::Case;
use super::offences::{About, Offences};

/// Messages that somebody saw otherwise than they were sent. One that is wrong in several ways counts
/// once; one that is only missing is not corrupt but lost.
pub(super) fn corrupt(case: &Case<'_>, offences: &mut Offences<'_>) -> u64 {
    let mut bad = Bad { case, offences, messages: HashSet::new() };
    bad.in_the_log();
    bad.by_acknowledgement();
    bad.as_seen();
    bad.messages.len() as u64
}

struct Bad<'a, 'b> {
    case: &'a Case<'a>,
    offences: &'a mut Offences<'b>,
    messages: HashSet<MessageNo>,
}

impl Bad<'_, '_> {
    /// Records whose key or value differs, or where a consumer saw another message.
    fn in_the_log(&mut self) {
        let ledger = self.case.ledger;
        for record in self.case.records.audited() {
            if let Some(message) = record.message
                && ledger.differs(message, record.content)
            {
                let words = || "in the log, its key or value is not what was sent".to_owned();
                self.add(message, Some(record.place), None, words);
            }
            let seen =
                ledger.messages.at(record.place).filter(|seen| Some(*seen) != record.message);
            let acknowledged = |seen: &MessageNo| ledger.messages[*seen].acknowledged;
            if let Some(seen) = seen.filter(|seen| acknowledged(seen) != Some(record.place)) {
                let words = || "was seen at a place where the log holds something else".to_owned();
                self.add(seen, Some(record.place), None, words);
            }
        }
    }

    /// Messages that are not where Kafka said: something else is there, or they stand elsewhere only.
    fn by_acknowledgement(&mut self) {
        let ledger = self.case.ledger;
        let mut present = vec![false; ledger.messages.len()];
        let found = self.case.records.iter().filter_map(|record| record.message);
        found.for_each(|message| present[message.index()] = true);
        for (number, message) in ledger.messages.iter() {
            let Some(place) = message.acknowledged.filter(|it| self.case.records.is_audited(*it))
            else {
                continue;
            };
            match self.case.records.at(place) {
                Some(record) if record.message == Some(number) => {}
                Some(record) => {
                    let other = record.message.map(|other| ledger.messages[other].id.to_string());
                    let other = other.unwrap_or_else(|| "a record without an id".to_owned());
                    let words = || format!("its acknowledged offset holds {other}");
                    self.add(number, Some(place), None, words);
                }
                None if present[number.index()] => {
                    let words =
                        || "its acknowledged offset holds nothing, it stands elsewhere".into();
                    self.add(number, Some(place), None, words);
                }
                None => {}
            }
        }
    }

    /// What was wrong when it was seen. Who of two stands at a place, the audit knows better.
    fn as_seen(&mut self) {
        let ledger = self.case.ledger;
        for Wrong { after, message, place, how } in &ledger.wrong {
            let after = after.checked_sub(1).map(Seq::new);
            match how {
                How::Content => {
                    let words =
                        || "as it was seen, its key or value is not what was sent".to_owned();
                    self.add(*message, *place, after, words);
                }
                How::TakenBy(_) if place.is_some_and(|it| self.settled(it, *message)) => {}
                How::TakenBy(other) => {
                    let other = ledger.messages[*other].id;
                    let words = || format!("is said to stand where {other} stands");
                    self.add(*message, *place, after, words);
                }
            }
        }
    }

    /// True when the audit found the message there, or something else that was judged by then.
    fn settled(&self, place: Place, message: MessageNo) -> bool {
        self.case.records.is_audited(place)
            && (self.case.records.message_at(place) == Some(message)
                || self.messages.contains(&message))
    }

    fn add(
        &mut self,
        message: MessageNo,
        place: Option<Place>,
        event: Option<Seq>,
        words: impl FnOnce() -> String,
    ) {
        if self.messages.insert(message) {
            let about = About { message: Some(message), place, event, ..About::default() };
            self.offences.add(OffenceKind::Corrupt, about, words);
        }
    }
}
