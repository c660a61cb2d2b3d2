//! All processes that are or were asked, by the names they were given by and the addresses those have.
//! *Pure.*
//!
//! Each address of a name is a process of its own: a service that is scaled has several. An address that
//! never answered counts only where none of its name ever did, and then stands for the name.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

use super::process::{Answer, Process};
use super::track::Sums;
use crate::view::{ClientProcess, ClientTotals, EventKind, Severity};
use crate::watch::Note;

/// What became of asking one name.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) name: String,
    /// What each of its addresses answered, or why there are none.
    pub(super) found: Result<Vec<OfAddress>, String>,
}

/// What one address answered, or why it did not.
pub(super) type OfAddress = (SocketAddr, Result<Answer, String>);

/// How long a process is shown whose name leads elsewhere: it was stopped, or has another address. One
/// that its name leads to is shown for as long as it does.
const LEFT_KEPT: Duration = Duration::from_secs(2 * 60);
/// How many of them.
const LEFT_MAX: usize = 50;

/// Where a process is asked. One without an address stands for a name of which nobody ever answered.
type Place = (String, Option<SocketAddr>);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Roll {
    processes: BTreeMap<Place, Process>,
    /// Those whose names lead elsewhere, and since when.
    left: BTreeMap<Place, Timestamp>,
    /// What those did that are not shown any more.
    forgotten: Sums,
    rounds: u64,
}

impl Roll {
    /// All names were asked. Returns what happened.
    pub(super) fn round(&mut self, now: Timestamp, asked: Vec<Asked>) -> Vec<Note> {
        let mut notes = Vec::new();
        for Asked { name, found } in asked {
            let failed = match found {
                Ok(answers) => self.take(now, &name, answers, &mut notes),
                Err(error) => {
                    self.all_went(now, &name, &error, &mut notes);
                    Some(error)
                }
            };
            self.stand_in(now, name, failed, &mut notes);
        }
        self.forget(now);
        self.rounds += 1;
        notes
    }

    pub(super) fn show(&self) -> Vec<ClientProcess> {
        self.processes.iter().map(|(place, process)| process.show(&shown(place))).collect()
    }

    pub(super) fn dead_letters(&self) -> BTreeSet<String> {
        self.processes.values().flat_map(Process::dead_letters).map(str::to_owned).collect()
    }

    pub(super) fn totals(&self) -> ClientTotals {
        let mut sums = self.forgotten;
        self.processes.values().for_each(|process| sums += process.sums());
        let there = self.processes.values().filter(|process| process.is_there()).count();
        let Sums { delivered, failed, handled, retried, dead_lettered } = sums;
        let gone = self.processes.len() - there;
        ClientTotals { there, gone, delivered, failed, handled, retried, dead_lettered, lost: None }
    }

    /// Returns why one of the addresses does not answer, if one does not.
    fn take(
        &mut self,
        now: Timestamp,
        name: &str,
        answers: Vec<(SocketAddr, Result<Answer, String>)>,
        notes: &mut Vec<Note>,
    ) -> Option<String> {
        let there: Vec<SocketAddr> = answers.iter().map(|(address, _)| *address).collect();
        self.went_elsewhere(now, name, &there, notes);
        let mut failed = None;
        for (address, answer) in answers {
            let place = (name.to_owned(), Some(address));
            let subject = subject(&place);
            self.left.remove(&place);
            match answer {
                Ok(answer) => {
                    let process =
                        self.processes.entry(place).or_insert_with(|| Process::new(now, None));
                    let told = process.answered(now, &subject, answer);
                    // Whoever is there at the start is no news.
                    let first = self.rounds == 0;
                    notes.extend(told.into_iter().filter(|_| !first));
                }
                Err(error) => {
                    if let Some(process) = self.processes.get_mut(&place) {
                        notes.extend(process.went(now, &subject, Severity::Error, error.clone()));
                    }
                    failed.get_or_insert(error);
                }
            }
        }
        failed
    }

    /// Those of a name that it does not lead to any more.
    fn went_elsewhere(
        &mut self,
        now: Timestamp,
        name: &str,
        there: &[SocketAddr],
        notes: &mut Vec<Note>,
    ) {
        for (place, process) in of_name(&mut self.processes, name) {
            if place.1.is_some_and(|address| !there.contains(&address)) {
                let error = "its name leads elsewhere".to_owned();
                notes.extend(process.went(now, &subject(place), Severity::Warning, error));
                self.left.entry(place.clone()).or_insert(now);
            }
        }
    }

    fn all_went(&mut self, now: Timestamp, name: &str, error: &str, notes: &mut Vec<Note>) {
        for (place, process) in of_name(&mut self.processes, name) {
            if place.1.is_some() {
                notes.extend(process.went(now, &subject(place), Severity::Error, error.to_owned()));
            }
        }
    }

    /// A name of which no address ever answered is shown all the same.
    fn stand_in(
        &mut self,
        now: Timestamp,
        name: String,
        failed: Option<String>,
        notes: &mut Vec<Note>,
    ) {
        let known = of_name(&mut self.processes, &name).any(|(place, _)| place.1.is_some());
        let place = (name, None);
        if known {
            self.processes.remove(&place);
            return;
        }
        let error = failed.unwrap_or_else(|| "its name has no address".to_owned());
        let subject = subject(&place);
        match self.processes.entry(place) {
            Entry::Vacant(new) => {
                let text = format!("it does not answer: {error}");
                notes.push(Note::new(EventKind::Client, Severity::Warning, subject, text));
                new.insert(Process::new(now, Some(error)));
            }
            Entry::Occupied(mut known) => {
                known.get_mut().went(now, &subject, Severity::Warning, error);
            }
        }
    }

    /// Those that left long ago, and of too many the first that left.
    fn forget(&mut self, now: Timestamp) {
        self.left.values_mut().for_each(|since| *since = (*since).min(now));
        let mut left: Vec<(Timestamp, Place)> =
            self.left.iter().map(|(place, since)| (*since, place.clone())).collect();
        left.sort_by(|a, b| b.cmp(a));
        for (number, (since, place)) in left.into_iter().enumerate() {
            if since + LEFT_KEPT <= now || LEFT_MAX <= number {
                self.left.remove(&place);
                if let Some(process) = self.processes.remove(&place) {
                    self.forgotten += process.sums();
                }
            }
        }
    }
}

fn of_name<'a>(
    processes: &'a mut BTreeMap<Place, Process>,
    name: &'a str,
) -> impl Iterator<Item = (&'a Place, &'a mut Process)> {
    processes.iter_mut().filter(move |((its, _), _)| its == name)
}

fn subject(place: &Place) -> String {
    format!("client {}", shown(place))
}

/// As a person knows it: the name, and which of its addresses.
fn shown((name, address): &Place) -> String {
    match address {
        // The name is the address.
        Some(address) if name.parse() == Ok(*address) => name.clone(),
        Some(address) => format!("{name} ({})", address.ip()),
        None => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scrape::figures::{Figures, ProducerFigures};

    const SERVICE: &str = "consumer:9464";
    const LITERAL: &str = "127.0.0.1:9464";

    fn at(seconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn address(last: u8) -> SocketAddr {
        ([10, 0, 0, last], 9464).into()
    }

    fn answer(acked: f64) -> Result<Answer, String> {
        let producer = ProducerFigures { acked, ..ProducerFigures::default() };
        let figures =
            Figures { producers: [("p".to_owned(), producer)].into(), ..Figures::default() };
        Ok(Answer { figures, ready: Some(true), checks: Vec::new() })
    }

    fn refused() -> Result<Answer, String> {
        Err("refused".to_owned())
    }

    fn service(found: &[(u8, Result<Answer, String>)]) -> Vec<Asked> {
        let found = found.iter().map(|(last, answer)| (address(*last), answer.clone()));
        vec![Asked { name: SERVICE.to_owned(), found: Ok(found.collect()) }]
    }

    /// What is shown: each address and whether it is there.
    fn rows(roll: &Roll) -> Vec<(String, bool)> {
        roll.show().into_iter().map(|row| (row.address, row.there)).collect()
    }

    fn row(address: &str, there: bool) -> (String, bool) {
        (address.to_owned(), there)
    }

    fn of_service(last: u8, there: bool) -> (String, bool) {
        row(&format!("{SERVICE} (10.0.0.{last})"), there)
    }

    fn texts(notes: &[Note]) -> Vec<String> {
        notes.iter().map(|note| format!("{}: {}", note.subject, note.text)).collect()
    }

    #[test]
    fn each_address_of_a_name_is_shown_and_one_that_never_answered_only_if_no_other_did() {
        let mut roll = Roll::default();
        let told =
            roll.round(at(0), service(&[(1, answer(1.0)), (2, answer(2.0)), (3, refused())]));
        assert_eq!(texts(&told), [""; 0], "who is there at the start is no news");
        assert_eq!(rows(&roll), [of_service(1, true), of_service(2, true)]);
        let told =
            roll.round(at(2), service(&[(1, answer(1.0)), (2, answer(2.0)), (3, answer(4.0))]));
        assert_eq!(texts(&told), [format!("client {SERVICE} (10.0.0.3): it answers")]);
        let totals = roll.totals();
        assert_eq!((totals.there, totals.gone, totals.delivered), (3, 0, 7.0));
        let told =
            roll.round(at(4), service(&[(1, refused()), (2, answer(2.0)), (3, answer(4.0))]));
        assert_eq!(
            texts(&told),
            [format!("client {SERVICE} (10.0.0.1): it does not answer: refused")]
        );
        assert_eq!(told[0].severity, Severity::Error);
        let totals = roll.totals();
        assert_eq!((totals.there, totals.gone, totals.delivered), (2, 1, 7.0));
    }

    #[test]
    fn a_name_of_which_nobody_ever_answered_is_shown_until_somebody_does() {
        let unknown = |name: &str| {
            vec![Asked { name: name.to_owned(), found: Err("no such name".to_owned()) }]
        };
        let mut roll = Roll::default();
        let told = roll.round(at(0), unknown(SERVICE));
        assert_eq!(texts(&told), [format!("client {SERVICE}: it does not answer: no such name")]);
        assert_eq!(told[0].severity, Severity::Warning);
        roll.round(at(2), service(&[(1, refused())]));
        assert_eq!(rows(&roll), [row(SERVICE, false)]);
        assert_eq!(roll.show()[0].error.as_deref(), Some("refused"));
        assert_eq!(roll.show()[0].since, at(0));
        roll.round(at(4), service(&[]));
        assert_eq!(roll.show()[0].error.as_deref(), Some("its name has no address"));
        roll.round(at(100_000), service(&[(1, refused())]));
        assert_eq!(rows(&roll), [row(SERVICE, false)], "for as long as it takes");
        roll.round(at(100_002), service(&[(1, answer(1.0))]));
        assert_eq!(rows(&roll), [of_service(1, true)]);
        roll.round(at(100_004), unknown(SERVICE));
        assert_eq!(rows(&roll), [of_service(1, false)]);
    }

    #[test]
    fn a_literal_address_is_its_own_name() {
        let mut roll = Roll::default();
        let literal = LITERAL.parse().expect("an address");
        let asked =
            |answer| vec![Asked { name: LITERAL.to_owned(), found: Ok(vec![(literal, answer)]) }];
        roll.round(at(0), asked(refused()));
        assert_eq!(rows(&roll), [row(LITERAL, false)]);
        roll.round(at(2), asked(answer(1.0)));
        assert_eq!(rows(&roll), [row(LITERAL, true)]);
    }

    #[test]
    fn who_has_left_is_shown_for_a_while_and_what_it_did_counts_for_ever() {
        let mut roll = Roll::default();
        roll.round(at(0), service(&[(1, answer(1.0)), (2, answer(2.0)), (3, answer(4.0))]));
        // 2 does not answer, and the name does not lead to 3 any more.
        let told = roll.round(at(2), service(&[(1, answer(1.0)), (2, refused())]));
        assert_eq!(told.len(), 2);
        let left = &told[0];
        assert_eq!(
            (left.severity, left.subject.ends_with("(10.0.0.3)")),
            (Severity::Warning, true)
        );
        let again = |roll: &mut Roll, seconds| {
            let told = roll.round(at(seconds), service(&[(1, answer(1.0)), (2, refused())]));
            assert_eq!(texts(&told), [""; 0]);
            rows(roll)
        };
        let all = [of_service(1, true), of_service(2, false), of_service(3, false)];
        assert_eq!(again(&mut roll, 121), all);
        assert_eq!(again(&mut roll, 122), all[..2]);
        assert_eq!(again(&mut roll, 100_000), all[..2], "its name still leads there");
        assert_eq!(roll.totals().delivered, 7.0);
        assert!(roll.left.is_empty());
        let back = roll.round(at(100_002), service(&[(1, answer(1.0)), (2, answer(2.0))]));
        assert_eq!(texts(&back), [format!("client {SERVICE} (10.0.0.2): it answers again")]);
        assert_eq!(roll.totals().delivered, 7.0);
    }

    #[test]
    fn those_that_have_left_are_few_and_the_first_that_left_go_first() {
        let mut roll = Roll::default();
        for number in 0..200_u8 {
            roll.round(at(u64::from(number) / 2), service(&[(number, answer(1.0))]));
        }
        let shown = rows(&roll);
        assert!(shown.len() <= LEFT_MAX + 1, "{}", shown.len());
        assert!(shown.contains(&of_service(199, true)) && shown.contains(&of_service(198, false)));
        assert!(!shown.contains(&of_service(0, false)));
        assert_eq!(roll.totals().delivered, 200.0);
    }
}
