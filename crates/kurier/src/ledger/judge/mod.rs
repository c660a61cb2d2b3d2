//! The judgement. *Pure*: the events and the audit in, figures and offenders out.
//!
//! Each check is a pass over the entries, or over the records in the order of the log, and stands in a
//! file of its own.

mod assignments;
mod commits;
mod content;
mod handling;
mod offences;
mod records;
mod sending;

use std::time::Duration;

use handling::Firsts;
use offences::Offences;
use records::Records;

use super::entry::{Entry, Seq};
use super::messages::Fate;
use super::{GroupJudgement, Judgement, Ledger, Tally};

/// What every check looks at.
struct Case<'a> {
    ledger: &'a Ledger,
    records: Records,
}

pub(super) fn judge(ledger: &Ledger, at: Duration) -> Judgement {
    let case = Case { ledger, records: Records::of(ledger) };
    let mut offences = Offences::new(ledger);
    let Tally { accepted, delivered, failed, under_way } = ledger.tally;
    sending::without_outcome(&case, &mut offences);
    let log = sending::log(&case, &mut offences);
    Judgement {
        accepted,
        delivered,
        failed,
        under_way,
        corrupt: content::corrupt(&case, &mut offences),
        written_out_of_order: sending::out_of_order(&case, &mut offences),
        longest_stall: ledger.acknowledging.longest(at),
        log,
        groups: (0..ledger.groups.len()).map(|it| group(&case, it, at, &mut offences)).collect(),
        offences: offences.named(),
    }
}

fn group(
    case: &Case<'_>,
    index: usize,
    at: Duration,
    offences: &mut Offences<'_>,
) -> GroupJudgement {
    let group = &case.ledger.groups[index];
    let firsts = Firsts::of(case, index);
    let commits = commits::judge(case, index, &firsts, offences);
    let assignments = assignments::judge(case, index, offences);
    GroupJudgement {
        group: group.name.clone(),
        handled: group.count(),
        lost: handling::lost(case, index, offences),
        unhandled: handling::unhandled(case, index, &firsts, offences),
        commits: commits.told,
        commits_ahead: commits.ahead,
        commit_regressions: commits.regressions,
        out_of_order: handling::out_of_order(case, index, offences),
        skipped: assignments.skipped,
        went_back: assignments.went_back,
        duplicates: handling::duplicates(case, index, offences),
        foreign: group.foreign,
        longest_stall: group.longest_stall(at),
    }
}

impl Case<'_> {
    /// The entries with their numbers.
    fn entries(&self) -> impl Iterator<Item = (Seq, &Entry)> {
        self.ledger.entries.iter().enumerate().map(|(index, entry)| (Seq::new(index), entry))
    }
}

impl Fate {
    /// True when its sender was told that it is certainly not written.
    fn is_certain_failure(self) -> bool {
        use super::told::FailedDelivery::Definite;
        matches!(self, Self::Failed(Definite) | Self::Refused)
    }
}
