//! What a check says: how bad, about what, and how to mend it.

use std::fmt;

use super::Check;
use crate::NodeId;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Accepted messages can be lost, or nothing is delivered or handled.
    Danger,
    /// At-least-once holds, and something less is wrong, or little is left until it does not.
    Warning,
    /// Worth knowing.
    Note,
    /// What the check needs could not be read; the finding says why.
    NotChecked,
}

impl Severity {
    /// The severity in words: `danger`, `warning`, `note`, `not checked`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Danger => "danger",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::NotChecked => "not checked",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// The cluster as a whole.
    Cluster,
    /// One broker.
    Broker(NodeId),
    /// One topic.
    Topic(String),
    /// One group.
    Group(String),
    /// This client's own settings.
    Client,
}

impl Subject {
    /// Which of them it is: `cluster`, `broker`, `topic`, `group`, `client`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Broker(_) => "broker",
            Self::Topic(_) => "topic",
            Self::Group(_) => "group",
            Self::Client => "client",
        }
    }

    /// The name of the broker, topic or group.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Cluster | Self::Client => None,
            Self::Broker(id) => Some(id.to_string()),
            Self::Topic(name) | Self::Group(name) => Some(name.clone()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.kind()),
            None => f.write_str(self.kind()),
        }
    }
}

/// A way to mend what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mend {
    /// What to do, in words.
    pub advice: String,
    /// The command that does it, to be pasted into a shell; `None` where no command can.
    pub command: Option<String>,
}

impl Mend {
    /// Something to do that no command does.
    pub(super) fn advice(advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), command: None }
    }

    /// Something to do, and the command that does it.
    pub(super) fn command(advice: impl Into<String>, command: impl Into<String>) -> Self {
        Self { advice: advice.into(), command: Some(command.into()) }
    }
}

/// One thing that a check says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The check that says it.
    pub check: &'static Check,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// What was found, with the figure; or why the check could not be made.
    pub found: String,
    /// How to mend it, the best way first. Empty for what was not checked.
    pub mends: Vec<Mend>,
}

/// Everything the checks say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The cluster's id, if it has one.
    pub cluster: Option<String>,
    /// How many brokers are up.
    pub brokers: usize,
    /// The topics that were looked at, by name; Kafka's own are not among them.
    pub topics: Vec<String>,
    /// The groups that were looked at, by name.
    pub groups: Vec<String>,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// How many findings are that bad.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}
