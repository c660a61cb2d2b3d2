//! Every broker that was ever seen, and since when it is up or down. *Pure.*

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::journal::Note;
use crate::view::{EventKind, Severity};

/// The brokers, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Brokers(BTreeMap<i32, KnownBroker>);

/// A broker that was seen at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownBroker {
    /// `host:port`, as it was told last.
    pub(crate) address: String,
    pub(crate) up: bool,
    /// Since when it is up, or down, as far as was seen.
    pub(crate) since: Timestamp,
    /// Why it counts as down though the cluster lists it.
    pub(crate) error: Option<String>,
}

impl Brokers {
    /// Takes in which brokers the cluster lists, with their addresses, and which of these take no
    /// connections, with the reason; tells what changed. At the first look nothing has happened.
    pub(crate) fn see(
        &mut self,
        at: Timestamp,
        listed: &BTreeMap<i32, String>,
        silent: &BTreeMap<i32, String>,
    ) -> Vec<Note> {
        let (first, mut notes) = (self.0.is_empty(), Vec::new());
        for (id, address) in listed {
            let (address, error) = (address.clone(), silent.get(id).cloned());
            let now = KnownBroker { address, up: error.is_none(), since: at, error };
            let subject = format!("broker {id}");
            match self.0.get_mut(id) {
                Some(known) if known.up == now.up => {
                    *known = KnownBroker { since: known.since, ..now }
                }
                Some(known) => {
                    notes.push(turned(subject, at, known, &now));
                    *known = now;
                }
                None => {
                    if !first {
                        let text = format!("is new at {}", now.address);
                        notes.push(Note::new(EventKind::BrokerUp, Severity::Info, subject, text));
                    }
                    self.0.insert(*id, now);
                }
            }
        }
        for (id, known) in self.0.iter_mut().filter(|(id, _)| !listed.contains_key(id)) {
            let now = KnownBroker { up: false, since: at, error: None, ..known.clone() };
            if known.up {
                notes.push(turned(format!("broker {id}"), at, known, &now));
                *known = now;
            }
            known.error = None;
        }
        notes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i32, &KnownBroker)> {
        self.0.iter().map(|(id, known)| (*id, known))
    }

    pub(crate) fn get(&self, id: i32) -> Option<&KnownBroker> {
        self.0.get(&id)
    }

    /// Whether a broker is up; one that was never seen is not.
    pub(crate) fn is_up(&self, id: i32) -> bool {
        self.get(id).is_some_and(|known| known.up)
    }
}

/// What to tell of a broker that came back or went.
fn turned(subject: String, at: Timestamp, before: &KnownBroker, now: &KnownBroker) -> Note {
    let lasted = at.duration_since(before.since).as_secs().max(0);
    if now.up {
        let text = format!("is back at {} after {lasted} s", now.address);
        return Note::new(EventKind::BrokerUp, Severity::Info, subject, text);
    }
    let text = match &now.error {
        Some(error) => format!("{} takes no connections: {error}", now.address),
        None => format!("the cluster does not list it any more; it was at {}", now.address),
    };
    Note::new(EventKind::BrokerDown, Severity::Error, subject, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: [(i32, &str); 3] = [(1, "one:1"), (2, "two:2"), (3, "three:3")];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn map(entries: &[(i32, &str)]) -> BTreeMap<i32, String> {
        entries.iter().map(|(id, text)| (*id, (*text).to_owned())).collect()
    }

    fn texts(notes: &[Note]) -> Vec<String> {
        notes.iter().map(|note| format!("{} {}", note.subject, note.text)).collect()
    }

    #[test]
    fn one_that_goes_stays_listed_and_one_that_returns_is_up_since_then() {
        let mut brokers = Brokers::default();
        let none = map(&[]);
        assert_eq!(brokers.see(at(0), &map(&UP), &none), []);
        assert_eq!(brokers.see(at(2), &map(&UP), &none), []);
        let notes = brokers.see(at(10), &map(&UP[..2]), &none);
        let gone = "broker 3 the cluster does not list it any more; it was at three:3";
        assert_eq!(texts(&notes), [gone]);
        assert_eq!((notes[0].kind, notes[0].severity), (EventKind::BrokerDown, Severity::Error));
        assert_eq!(brokers.see(at(12), &map(&UP[..2]), &none), [], "told once");
        let since: Vec<_> = brokers.iter().map(|(id, one)| (id, one.up, one.since)).collect();
        assert_eq!(since, [(1, true, at(0)), (2, true, at(0)), (3, false, at(10))]);

        let moved = map(&[(1, "one:1"), (2, "two:2"), (3, "elsewhere:9")]);
        let notes = brokers.see(at(15), &moved, &none);
        assert_eq!(texts(&notes), ["broker 3 is back at elsewhere:9 after 5 s"]);
        assert!(brokers.is_up(3) && !brokers.is_up(4));
        assert_eq!(
            brokers.get(3).map(|one| (one.since, &*one.address)),
            Some((at(15), "elsewhere:9"))
        );
    }

    #[test]
    fn one_that_is_listed_and_takes_no_connections_is_down_and_says_why() {
        let mut brokers = Brokers::default();
        brokers.see(at(0), &map(&UP), &map(&[]));
        let notes = brokers.see(at(3), &map(&UP), &map(&[(2, "connection refused")]));
        assert_eq!(texts(&notes), ["broker 2 two:2 takes no connections: connection refused"]);
        let error = |brokers: &Brokers| brokers.get(2).and_then(|one| one.error.clone());
        assert_eq!(error(&brokers).as_deref(), Some("connection refused"));
        // The cluster notices too: still down, since then, for another reason.
        assert_eq!(brokers.see(at(9), &map(&[UP[0], UP[2]]), &map(&[])), []);
        assert_eq!(brokers.get(2).map(|one| (one.up, one.since)), Some((false, at(3))));
        assert_eq!(error(&brokers), None);
    }

    #[test]
    fn a_new_one_is_told_of_except_at_the_first_look() {
        let mut brokers = Brokers::default();
        brokers.see(at(0), &map(&UP[..2]), &map(&[]));
        let notes = brokers.see(at(2), &map(&UP), &map(&[]));
        assert_eq!(texts(&notes), ["broker 3 is new at three:3"]);
    }
}
