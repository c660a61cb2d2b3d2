//! Health in plain words.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::{Condition, Health, InWork, Liveness, Readiness};
use crate::StoppedPartition;

impl Display for Health {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.is_live(), self.is_ready()) {
            (true, true) => f.write_str("live and ready")?,
            (true, false) => listed(f, "live, not ready", &self.conditions)?,
            (false, _) => listed(f, "not live, not ready", &self.conditions)?,
        }
        match self.in_work.first() {
            Some(oldest) => write!(f, "; longest in work: {oldest}"),
            None => Ok(()),
        }
    }
}

impl Display for Liveness {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::NotLive(conditions) => listed(f, "not live", conditions),
        }
    }
}

impl Display for Readiness {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::NotReady(conditions) => listed(f, "not ready", conditions),
        }
    }
}

impl Display for InWork {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { partition, offset, attempt, busy, adrift } = self;
        write!(f, "{partition} offset {offset}, attempt {attempt}, for {}", Span(*busy))?;
        if *adrift { f.write_str(", though its partition was taken away") } else { Ok(()) }
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            // What the client says of it is the same in more words.
            Self::Fenced { .. } => f.write_str("fenced: another process has this instance's name"),
            Self::Failed { reason } => write!(f, "the client can't go on: {reason}"),
            Self::ThreadSilent { silent } => {
                write!(f, "the client's thread has been silent for {}", Span(*silent))
            }
            Self::ReadingStalled { partition, reached, end, silent } => {
                let silent = Span(*silent);
                write!(
                    f,
                    "nothing was read from {partition} for {silent}, though it ends at {end}"
                )?;
                match reached {
                    Some(reached) => write!(f, " and was read to {reached}"),
                    None => f.write_str(" and nothing of it was read"),
                }
            }
            Self::PartitionStopped(StoppedPartition { partition, offset, reason, .. }) => {
                write!(f, "{partition} stopped at offset {offset}: {reason}")
            }
            Self::WaitingForCluster { reason, waited } => {
                write!(f, "waiting for the cluster for {} ({reason})", Span(*waited))
            }
            Self::Remaking { reason, waited } => {
                write!(f, "another client is being made for {} ({reason})", Span(*waited))
            }
            Self::OutboxNotTaking { reason, waited } => {
                write!(f, "the outbox takes no new messages for {} ({reason})", Span(*waited))
            }
            Self::OutboxDamaged { first, more } => {
                write!(f, "the outbox is damaged: {first}")?;
                if 0 < *more { write!(f, "; and {more} more places") } else { Ok(()) }
            }
            Self::DeadLetterWaiting { topic, letters, reason, waited } => {
                let waited = Span(*waited);
                let what = if *letters == 1 { "a message waits" } else { "messages wait" };
                let many = if *letters == 1 { String::new() } else { format!("{letters} ") };
                write!(f, "{many}{what} for the dead-letter topic {topic} for {waited} ({reason})")
            }
            Self::WaitingForTopics { topics } => {
                write!(f, "waiting for topics: {}", topics.join(", "))
            }
            Self::WithoutLeader { partitions, more, waited } => {
                let names: Vec<_> = partitions.iter().map(ToString::to_string).collect();
                write!(f, "no leader for {}: {}", Span(*waited), names.join(", "))?;
                if 0 < *more { write!(f, " and {more} more") } else { Ok(()) }
            }
            Self::NotAssigned => f.write_str("the group has not given this member its share yet"),
            Self::Draining => f.write_str("draining: the run is ending"),
            Self::Ended(ended) => write!(f, "the run has ended: {ended}"),
            Self::NotStarted => f.write_str("not started"),
        }
    }
}

fn listed(f: &mut Formatter<'_>, what: &str, conditions: &[Condition]) -> fmt::Result {
    for (index, condition) in conditions.iter().enumerate() {
        let before = if index == 0 { format!("{what}: ") } else { "; ".to_owned() };
        write!(f, "{before}{condition}")?;
    }
    Ok(())
}

/// A time as people say it: 350 ms, 12 s.
struct Span(Duration);

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => write!(f, "{} ms", self.0.as_millis()),
            seconds => write!(f, "{seconds} s"),
        }
    }
}
