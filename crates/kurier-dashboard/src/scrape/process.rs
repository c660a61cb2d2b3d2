//! One process that is asked: whether it is there, what its clients do, and what of it is an event. *Pure.*

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use jiff::Timestamp;

use super::figures::Figures;
use super::track::{ConsumerTrack, ProducerTrack, Sums, Tracks, Trouble};
use crate::view::{ClientProcess, EventKind, Severity};
use crate::watch::Note;

/// What a process answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    pub(super) figures: Figures,
    /// Whether it says it is ready, if it says anything.
    pub(super) ready: Option<bool>,
    /// The lines of that.
    pub(super) checks: Vec<String>,
}

/// Between two events of one kind about one client, however often it happens.
const PAUSE: Duration = Duration::from_secs(30);

/// A process.
#[derive(Debug)]
pub(super) struct Process {
    there: bool,
    since: Timestamp,
    as_of: Option<Timestamp>,
    error: Option<String>,
    ready: Option<bool>,
    checks: Vec<String>,
    producers: Tracks<ProducerTrack>,
    consumers: Tracks<ConsumerTrack>,
    told: BTreeMap<(EventKind, String), Telling>,
}

/// What was told last, and has happened since.
#[derive(Debug)]
struct Telling {
    at: Timestamp,
    since: f64,
}

impl Process {
    /// One that has not answered yet.
    pub(super) fn new(now: Timestamp, error: Option<String>) -> Self {
        Self {
            there: false,
            since: now,
            as_of: None,
            error,
            ready: None,
            checks: Vec::new(),
            producers: Tracks::default(),
            consumers: Tracks::default(),
            told: BTreeMap::new(),
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.there
    }

    /// It answered.
    pub(super) fn answered(&mut self, now: Timestamp, subject: &str, answer: Answer) -> Vec<Note> {
        let client = |severity, text: &str| Note::new(EventKind::Client, severity, subject, text);
        let mut notes = Vec::new();
        if !self.there {
            self.since = now;
            let text = if self.as_of.is_some() { "it answers again" } else { "it answers" };
            notes.push(client(Severity::Info, text));
        } else if self.ready == Some(true) && answer.ready == Some(false) {
            notes.push(client(Severity::Warning, &not_ready(&answer.checks)));
        } else if self.ready == Some(false) && answer.ready == Some(true) {
            notes.push(client(Severity::Info, "it is ready again"));
        }
        (self.there, self.as_of, self.error) = (true, Some(now), None);
        (self.ready, self.checks) = (answer.ready, answer.checks);
        for (name, trouble) in self.producers.see(now, &answer.figures.producers) {
            self.tell(now, subject, &format!("producer {name}"), trouble, &mut notes);
        }
        for (name, trouble) in self.consumers.see(now, &answer.figures.consumers) {
            self.tell(now, subject, &format!("consumer {name}"), trouble, &mut notes);
        }
        self.tell_the_rest(now, subject, &mut notes);
        notes
    }

    /// It did not answer, or is not where it was. `severity` of that, if it is new.
    pub(super) fn went(
        &mut self,
        now: Timestamp,
        subject: &str,
        severity: Severity,
        error: String,
    ) -> Option<Note> {
        let note = self.there.then(|| {
            let text = format!("it does not answer: {error}");
            Note::new(EventKind::Client, severity, subject, text)
        });
        if self.there {
            (self.there, self.since, self.ready) = (false, now, None);
            self.checks.clear();
        }
        self.error = Some(error);
        note
    }

    pub(super) fn sums(&self) -> Sums {
        let mut sums = self.producers.sums();
        sums += self.consumers.sums();
        sums
    }

    /// Topics that its consumers write dead letters to.
    pub(super) fn dead_letters(&self) -> impl Iterator<Item = &str> {
        self.consumers.tracks().filter_map(ConsumerTrack::letters_in)
    }

    pub(super) fn show(&self, address: &str) -> ClientProcess {
        ClientProcess {
            address: address.to_owned(),
            there: self.there,
            since: self.since,
            as_of: self.as_of,
            error: self.error.clone(),
            ready: self.ready,
            checks: self.checks.clone(),
            producers: self.producers.show(self.there),
            consumers: self.consumers.show(self.there),
        }
    }

    /// Counts what happened, and tells the first of a kind at once.
    fn tell(
        &mut self,
        now: Timestamp,
        subject: &str,
        client: &str,
        trouble: Trouble,
        notes: &mut Vec<Note>,
    ) {
        for (kind, count) in [
            (EventKind::DeliveryFailure, trouble.failed),
            (EventKind::HandlerFailure, trouble.stopped_at),
            (EventKind::DeadLetter, trouble.dead_lettered),
        ] {
            if count <= 0.0 {
                continue;
            }
            match self.told.entry((kind, client.to_owned())) {
                Entry::Occupied(mut told) => {
                    told.get_mut().since += count;
                }
                Entry::Vacant(never) => {
                    notes.push(happened(kind, subject, client, count));
                    never.insert(Telling { at: now, since: 0.0 });
                }
            }
        }
    }

    /// Tells what has happened since something was told, once a while has passed.
    fn tell_the_rest(&mut self, now: Timestamp, subject: &str, notes: &mut Vec<Note>) {
        self.told.retain(|(kind, client), told| {
            // It is no longer than a pause until the next, also when a clock was set back.
            told.at = told.at.min(now);
            if now < told.at + PAUSE {
                return true;
            }
            let again = 0.0 < told.since;
            if again {
                notes.push(happened(*kind, subject, client, told.since));
                *told = Telling { at: now, since: 0.0 };
            }
            again
        });
    }
}

fn happened(kind: EventKind, subject: &str, client: &str, count: f64) -> Note {
    let messages = if count == 1.0 { "1 message".to_owned() } else { format!("{count} messages") };
    let (severity, text) = match kind {
        EventKind::DeliveryFailure => {
            (Severity::Error, format!("{client} gave up {messages}: whoever sent them was told"))
        }
        EventKind::HandlerFailure => {
            (Severity::Error, format!("{client} stopped at {messages} that can't be handled"))
        }
        _ => (Severity::Warning, format!("{client} put {messages} into the dead-letter topic")),
    };
    Note::new(kind, severity, subject, text)
}

/// The checks that fail; a line of them is `failing consumer g-1: partitions: …`.
fn not_ready(checks: &[String]) -> String {
    let mut failing = checks.iter().filter_map(|line| line.strip_prefix("failing "));
    match (failing.next(), failing.count()) {
        (None, _) => "it is not ready".to_owned(),
        (Some(first), 0) => format!("it is not ready: {first}"),
        (Some(first), more) => format!("it is not ready: {first}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scrape::figures::{ConsumerFigures, ProducerFigures};

    fn at(seconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn answer(acked: f64, failed: f64, dead_lettered: f64) -> Answer {
        let failed = [("MessageTimedOut".to_owned(), failed)].into();
        let producer = ProducerFigures { acked, failed, ..ProducerFigures::default() };
        let consumer = ConsumerFigures { dead_lettered, ..ConsumerFigures::default() };
        let producers = [("p".to_owned(), producer)].into();
        let consumers = [("g-1".to_owned(), consumer)].into();
        let figures = Figures { producers, consumers };
        Answer { figures, ready: Some(true), checks: Vec::new() }
    }

    fn texts(notes: &[Note]) -> Vec<&str> {
        notes.iter().map(|note| note.text.as_str()).collect()
    }

    #[test]
    fn what_it_has_come_to_survives_its_restarts() {
        let mut process = Process::new(at(0), None);
        assert_eq!(texts(&process.answered(at(0), "it", answer(10.0, 0.0, 0.0))), ["it answers"]);
        assert!(process.went(at(2), "it", Severity::Error, "refused".to_owned()).is_some());
        assert!(process.went(at(4), "it", Severity::Error, "refused".to_owned()).is_none());
        let shown = process.show("it");
        assert_eq!((shown.there, shown.since, shown.as_of), (false, at(2), Some(at(0))));
        assert_eq!((shown.error.as_deref(), shown.ready), (Some("refused"), None));
        assert_eq!(shown.producers[0].acked_per_second, None, "nothing is known of now");
        assert_eq!(shown.producers[0].acked, 10.0);
        let back = process.answered(at(6), "it", answer(3.0, 0.0, 0.0));
        assert_eq!(texts(&back), ["it answers again"]);
        assert_eq!(process.sums().delivered, 13.0);
        // A process that has just begun knows none of its clients.
        process.answered(at(8), "it", Answer::default());
        assert_eq!((process.show("it").producers.len(), process.sums().delivered), (0, 13.0));
        process.answered(at(10), "it", answer(20.0, 0.0, 0.0));
        assert_eq!((process.show("it").producers[0].acked, process.sums().delivered), (33.0, 33.0));
    }

    #[test]
    fn trouble_is_told_at_once_then_summed_up_and_what_was_before_is_not_told() {
        let mut process = Process::new(at(0), None);
        process.answered(at(0), "it", answer(0.0, 5.0, 7.0));
        let told = process.answered(at(2), "it", answer(0.0, 6.0, 7.0));
        assert_eq!(texts(&told), ["producer p gave up 1 message: whoever sent them was told"]);
        assert_eq!((told[0].kind, told[0].severity), (EventKind::DeliveryFailure, Severity::Error));
        assert_eq!(texts(&process.answered(at(4), "it", answer(0.0, 8.0, 7.0))), [""; 0]);
        let told = process.answered(at(32), "it", answer(0.0, 10.0, 9.0));
        let letters = "consumer g-1 put 2 messages into the dead-letter topic";
        let failures = "producer p gave up 4 messages: whoever sent them was told";
        assert_eq!(texts(&told), [letters, failures]);
        assert_eq!(texts(&process.answered(at(90), "it", answer(0.0, 10.0, 9.0))), [""; 0]);
        assert_eq!(process.told.len(), 0, "nothing is remembered of what is over");
    }

    /// A process that was started again between two looks, at the same address: its counters of messages are
    /// below what they were, and others may be above it all the same.
    #[test]
    fn all_counters_of_a_client_begin_anew_together() {
        let mut process = Process::new(at(0), None);
        process.answered(at(0), "it", answer(100.0, 2.0, 3.0));
        let told = process.answered(at(2), "it", answer(20.0, 5.0, 3.0));
        assert_eq!(texts(&told), ["producer p gave up 5 messages: whoever sent them was told"]);
        let sums = process.sums();
        assert_eq!((sums.delivered, sums.failed), (120.0, 7.0));
    }

    #[test]
    fn trouble_is_told_though_the_clock_was_set_back() {
        let mut process = Process::new(at(3_600), None);
        process.answered(at(3_600), "it", answer(0.0, 0.0, 0.0));
        assert_eq!(process.answered(at(3_602), "it", answer(0.0, 1.0, 0.0)).len(), 1);
        process.answered(at(10), "it", answer(0.0, 3.0, 0.0));
        let told = process.answered(at(41), "it", answer(0.0, 3.0, 0.0));
        assert_eq!(texts(&told), ["producer p gave up 2 messages: whoever sent them was told"]);
    }

    /// A page is as its sender likes, and is asked for every two seconds for ever.
    #[test]
    fn a_producer_with_ever_new_reasons_does_not_grow() {
        let mut process = Process::new(at(0), None);
        for round in 0..50_u32 {
            let failed = (0..20).map(|number| (format!("{round}-{number}"), 1.0)).collect();
            let producer = ProducerFigures { failed, ..ProducerFigures::default() };
            let producers = [("p".to_owned(), producer)].into();
            let figures = Figures { producers, ..Figures::default() };
            let answer = Answer { figures, ready: None, checks: Vec::new() };
            process.answered(at(2 * u64::from(round)), "it", answer);
        }
        let shown = process.show("it").producers.remove(0).failed;
        assert!(shown.len() <= 101, "{} reasons", shown.len());
        assert_eq!(process.sums().failed, 1_000.0, "all are counted");
    }

    #[test]
    fn what_a_client_did_that_came_since_the_last_look_is_told() {
        let mut process = Process::new(at(0), None);
        process.answered(at(0), "it", Answer::default());
        let told = process.answered(at(2), "it", answer(5.0, 0.0, 1.0));
        assert_eq!(texts(&told), ["consumer g-1 put 1 message into the dead-letter topic"]);
    }

    #[test]
    fn that_it_is_not_ready_is_told_with_the_first_reason() {
        let mut process = Process::new(at(0), None);
        process.answered(at(0), "it", answer(0.0, 0.0, 0.0));
        let lines =
            ["ok consumer g-1: client", "failing consumer g-1: topics: no t", "failing x: y"];
        let not = Answer {
            ready: Some(false),
            checks: lines.map(str::to_owned).into(),
            ..answer(0.0, 0.0, 0.0)
        };
        let told = process.answered(at(2), "it", not);
        assert_eq!(texts(&told), ["it is not ready: consumer g-1: topics: no t; and 1 more"]);
        assert_eq!(process.show("it").checks, lines);
        let told = process.answered(at(4), "it", answer(0.0, 0.0, 0.0));
        assert_eq!(texts(&told), ["it is ready again"]);
    }
}
