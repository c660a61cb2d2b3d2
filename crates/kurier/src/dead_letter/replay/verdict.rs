//! What becomes of one record of a dead-letter topic. *Pure.*

use std::fmt;

use super::Selection;
use crate::{DeadLetter, OutgoingRecord, Record};

/// What a replay goes by.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// The dead-letter topic.
    pub(super) topic: String,
    pub(super) selection: Selection,
    /// `None`: where each message comes from.
    pub(super) to: Option<String>,
    /// Messages that were given up so often are not sent again.
    pub(super) hops_max: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is not meant.
    NotSelected,
    /// It is meant, and stays where it is.
    Left(WhyLeft),
    /// It is sent again.
    Send(Box<Planned>),
}

/// A dead letter that is sent again, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned {
    /// The dead letter.
    pub letter: DeadLetter,
    /// The topic it is sent to.
    pub target: String,
}

/// Why a record that is meant stays in the dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyLeft {
    /// It is no dead letter of kurier's, so that nobody knows where it comes from.
    Foreign {
        /// What it lacks.
        reason: String,
    },
    /// It was given up as often as the limit allows: sending it again would most likely go round in a
    /// circle.
    HopLimit {
        /// How often it was given up.
        hops: u32,
    },
    /// It comes from the dead-letter topic itself.
    OwnTopic,
    /// The topic it would go to is not there.
    NoTopic {
        /// That topic.
        topic: String,
    },
    /// No broker takes it, however often it is sent.
    Refused {
        /// Why.
        reason: String,
    },
}

impl WhyLeft {
    /// The kind in a word, for counting: `foreign`, `hop-limit`, `own-topic`, `no-topic`, `refused`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "foreign",
            Self::HopLimit { .. } => "hop-limit",
            Self::OwnTopic => "own-topic",
            Self::NoTopic { .. } => "no-topic",
            Self::Refused { .. } => "refused",
        }
    }
}

impl fmt::Display for WhyLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { reason } => write!(f, "no dead letter of kurier's: {reason}"),
            Self::HopLimit { hops: 1 } => f.write_str("given up once already: the limit of hops"),
            Self::HopLimit { hops } => write!(f, "given up {hops} times: the limit of hops"),
            Self::OwnTopic => f.write_str("it comes from the dead-letter topic itself"),
            Self::NoTopic { topic } => write!(f, "the cluster has no topic {topic:?}"),
            Self::Refused { reason } => f.write_str(reason),
        }
    }
}

impl Planned {
    /// As it is sent.
    #[must_use]
    pub fn outgoing(&self) -> OutgoingRecord {
        self.letter.original()
    }
}

impl Rules {
    pub(super) fn judge(&self, record: &Record) -> Verdict {
        let letter = match DeadLetter::read(record.clone()) {
            Ok(letter) if self.selection.selects(&letter) => letter,
            Err(error) if self.selection.selects_foreign(record) => {
                let reason = format!("header {}: {}", error.header, error.reason);
                return Verdict::Left(WhyLeft::Foreign { reason });
            }
            Ok(_) | Err(_) => return Verdict::NotSelected,
        };
        if self.hops_max <= letter.hops {
            return Verdict::Left(WhyLeft::HopLimit { hops: letter.hops });
        }
        let source = || (*letter.source.topic_partition.topic).to_owned();
        let target = self.to.clone().unwrap_or_else(source);
        if target == self.topic {
            return Verdict::Left(WhyLeft::OwnTopic);
        }
        Verdict::Send(Box::new(Planned { letter, target }))
    }
}
