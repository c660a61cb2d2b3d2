//! The journal of events: the newest are kept, ids count up. *Pure.*

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::view::{Event, EventKind, Events, Severity};

/// How many events are kept.
pub(crate) const EVENTS_MAX: usize = 5_000;

/// Bytes of what an event is about, and of what happened: names of groups and their members may be long.
const SUBJECT_MAX: usize = 600;
pub(crate) const TEXT_MAX: usize = 1_000;

/// Something that happened, before it has a time and a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) kind: EventKind,
    pub(crate) severity: Severity,
    pub(crate) subject: String,
    pub(crate) text: String,
}

impl Note {
    /// Notes what happened to `subject`.
    pub(crate) fn new(
        kind: EventKind,
        severity: Severity,
        subject: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        Self { kind, severity, subject: subject.into(), text: text.into() }
    }
}

/// What happened, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    events: VecDeque<Event>,
    /// How many there were ever: the id of the newest.
    ever: u64,
}

impl Journal {
    /// Enters what happened.
    pub(crate) fn enter(&mut self, at: Timestamp, notes: Vec<Note>) {
        for Note { kind, severity, subject, text } in notes {
            if self.events.len() == EVENTS_MAX {
                self.events.pop_front();
            }
            self.ever += 1;
            let (subject, text) = (shortened(subject, SUBJECT_MAX), shortened(text, TEXT_MAX));
            self.events.push_back(Event { id: self.ever, at, kind, severity, subject, text });
        }
    }

    /// Those after an id, of some kinds or of all when none is named; newest first.
    pub(crate) fn events(&self, after: Option<u64>, kinds: &[EventKind]) -> Events {
        let wanted = |event: &&Event| {
            after.is_none_or(|after| after < event.id)
                && (kinds.is_empty() || kinds.contains(&event.kind))
        };
        Events {
            events: self.events.iter().rev().filter(wanted).cloned().collect(),
            forgotten: self.ever - self.events.len() as u64,
        }
    }
}

/// As much of a text as is kept.
fn shortened(mut text: String, most: usize) -> String {
    if most < text.len() {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(count: usize) -> Journal {
        let mut journal = Journal::default();
        for number in 1..=count {
            let kind = if number % 2 == 0 { EventKind::Leader } else { EventKind::Client };
            let note = Note::new(kind, Severity::Info, format!("number {number}"), "happened");
            journal.enter(Timestamp::UNIX_EPOCH, vec![note]);
        }
        journal
    }

    #[test]
    fn newest_first_after_an_id_and_by_kind() {
        let ids = |after, kinds: &[EventKind]| {
            let events = journal(6).events(after, kinds).events;
            events.iter().map(|event| event.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(None, &[]), [6, 5, 4, 3, 2, 1]);
        assert_eq!(ids(Some(4), &[]), [6, 5]);
        assert_eq!(ids(None, &[EventKind::Leader]), [6, 4, 2]);
        assert_eq!(ids(Some(4), &[EventKind::Client, EventKind::Leader]), [6, 5]);
        assert_eq!(ids(Some(9), &[]), [0; 0]);
    }

    /// A group's name and its members' are as long as their owners like.
    #[test]
    fn an_event_is_as_long_as_a_page_shows_it() {
        let mut journal = Journal::default();
        let long = "é".repeat(100_000);
        journal.enter(
            Timestamp::UNIX_EPOCH,
            vec![Note::new(EventKind::Rebalance, Severity::Info, long.clone(), long)],
        );
        let event = journal.events(None, &[]).events.remove(0);
        assert!(
            event.subject.len() < 1_000 && event.subject.ends_with('…'),
            "{}",
            event.subject.len()
        );
        assert!(event.text.len() < 2_000 && event.text.ends_with('…'), "{}", event.text.len());
    }

    #[test]
    fn the_oldest_are_forgotten_and_counted() {
        let events = journal(EVENTS_MAX + 3).events(None, &[]);
        assert_eq!((events.events.len(), events.forgotten), (EVENTS_MAX, 3));
        assert_eq!(events.events.last().map(|event| event.id), Some(4));
        assert_eq!(journal(2).events(None, &[]).forgotten, 0);
    }
}
