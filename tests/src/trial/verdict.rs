//! What a trial came to: the figures of its books, and whether they are those that were required.

use std::time::Duration;

use kurier::Judgement;

use super::Case;
use crate::books::LOG;
use crate::cluster::Kind;

/// One line of the table of results.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was tried.
    pub case: &'static Case,
    /// On which kind of cluster.
    pub kind: Kind,
    /// How long it took.
    pub took: Duration,
    /// What was seen on the way: whom the fault hit, and how it showed.
    pub notes: Vec<String>,
    /// What it came to.
    pub verdict: Verdict,
}

/// What a trial came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All that is required holds; of the control, that something was lost.
    Holds(Figures),
    /// These requirements do not.
    Fails(Figures, Vec<String>),
    /// It did not come to an end.
    Broken(String),
    /// It can't be tried on this kind of cluster.
    NotHere(&'static str),
}

/// The figures of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Messages that a producer accepted.
    pub accepted: u64,
    /// Messages that Kafka acknowledged.
    pub delivered: u64,
    /// Messages whose sender was told that they failed.
    pub failed: u64,
    /// Messages without an outcome.
    pub under_way: u64,
    /// Acknowledged messages that are not in the log.
    pub lost: u64,
    /// Acknowledged messages that the group never handled.
    pub unhandled: u64,
    /// Messages behind a later one of their key, in the log or at the handlers.
    pub out_of_order: u64,
    /// How often a message is in the log again.
    pub written_twice: u64,
    /// How often a message was handled again.
    pub handled_twice: u64,
    /// The longest time without an acknowledgement while something waited for one.
    pub longest_stall: Duration,
}

/// What a run must have acknowledged to say anything.
const ENOUGH: u64 = 5_000;

impl Figures {
    /// Those of a judgement.
    pub fn of(judgement: &Judgement) -> Self {
        let (log, groups): (Vec<_>, Vec<_>) =
            judgement.groups.iter().partition(|group| group.group == LOG);
        Self {
            accepted: judgement.accepted,
            delivered: judgement.delivered,
            failed: judgement.failed,
            under_way: judgement.under_way,
            lost: log.iter().map(|log| log.lost).sum(),
            unhandled: groups.iter().map(|group| group.lost).sum(),
            out_of_order: judgement.order_violations(),
            written_twice: log.iter().map(|log| log.duplicates).sum(),
            handled_twice: groups.iter().map(|group| group.duplicates).sum(),
            longest_stall: judgement.longest_stall,
        }
    }

    /// Whether they are what `case` requires.
    pub fn verdict(self, case: &Case) -> Verdict {
        let broken = if case.is_control() { self.control() } else { self.broken(case) };
        if broken.is_empty() { Verdict::Holds(self) } else { Verdict::Fails(self, broken) }
    }

    fn control(&self) -> Vec<String> {
        let blind = "nothing was lost, so this trial sees no loss".to_owned();
        if self.lost == 0 { vec![blind] } else { Vec::new() }
    }

    fn broken(&self, case: &Case) -> Vec<String> {
        let classic = case.senders.0 == kurier::DeliveryProfile::OneInFlight;
        // A message that failed for good may be in the log behind later ones of its key.
        let order = !(case.changes_partitions() || classic && self.failed > 0);
        let zero = [
            (self.lost, "lost", true),
            (self.unhandled, "unhandled", true),
            (self.under_way, "without an outcome", true),
            (self.out_of_order, "out of order", order),
            (self.failed, "given up by the default profile", !classic),
        ];
        let mut broken: Vec<String> = zero
            .into_iter()
            .filter(|(count, _, required)| *required && *count > 0)
            .map(|(count, what, _)| format!("{count} {what}"))
            .collect();
        if self.delivered < ENOUGH {
            broken.push(format!("{} acknowledged, {ENOUGH} wanted", self.delivered));
        }
        broken
    }
}

impl Row {
    /// True for one that says nothing bad: it holds, or can't be tried here.
    pub fn is_good(&self) -> bool {
        matches!(self.verdict, Verdict::Holds(_) | Verdict::NotHere(_))
    }
}
