//! What a trial came to: a judgement on every message, and whether it is the one that was required.

use std::time::Duration;

use kurier::{DeliveryProfile, Judgement, OffenceKind};

use super::Case;
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
    Holds(Judgement),
    /// These requirements do not.
    Fails(Judgement, Vec<String>),
    /// It did not come to an end.
    Broken(String),
    /// It can't be tried on this kind of cluster.
    NotHere(&'static str),
}

/// What a run must have acknowledged to say anything.
const ENOUGH: u64 = 5_000;

impl Verdict {
    /// Whether the judgement is what `case` requires.
    pub fn of(judgement: Judgement, case: &Case) -> Self {
        let broken = if case.is_control() { blind(&judgement) } else { broken(&judgement, case) };
        if broken.is_empty() { Self::Holds(judgement) } else { Self::Fails(judgement, broken) }
    }
}

/// What is wrong with a control's judgement.
fn blind(judgement: &Judgement) -> Vec<String> {
    let blind = "nothing was lost, so this trial sees no loss".to_owned();
    if judgement.lost() == 0 { vec![blind] } else { Vec::new() }
}

fn broken(judgement: &Judgement, case: &Case) -> Vec<String> {
    let classic = case.senders.0 == DeliveryProfile::OneInFlight;
    // A message that failed for good may be in the log behind later ones of its key.
    let order_is_reported = case.changes_partitions() || classic && judgement.failed > 0;
    let order = [OffenceKind::WrittenOutOfOrder, OffenceKind::HandledOutOfOrder];
    let required = |kind: &OffenceKind| !(order_is_reported && order.contains(kind));
    let count = |kind: OffenceKind| format!("{} {kind}", judgement.count(kind));
    let mut broken: Vec<String> = judgement.broken().filter(required).map(count).collect();
    if !classic && judgement.failed > 0 {
        broken.push(format!("{} given up by the default profile", judgement.failed));
    }
    if judgement.delivered < ENOUGH {
        broken.push(format!("{} acknowledged, {ENOUGH} wanted", judgement.delivered));
    }
    broken
}

impl Row {
    /// True for one that says nothing bad: it holds, or can't be tried here.
    pub fn is_good(&self) -> bool {
        matches!(self.verdict, Verdict::Holds(_) | Verdict::NotHere(_))
    }
}
