//! What endangers at-least-once in a cluster, its topics and groups, and in a client's own settings.
//!
//! Owns [`Doctor`]. Reading (`gather`) and judging (`checks`) are apart: a check is a pure function of
//! what was read (`facts`) to what it says of it (`finding`). The table of checks, [`CHECKS`], is what
//! the help and `docs/doctor.md` are made from.

mod checks;
mod docs;
mod facts;
mod finding;
mod gather;
mod shell;

use crate::{Admin, ClientConfig, ClientError};

pub use checks::{CHECKS, Check};
pub use docs::checks_as_markdown;
pub use finding::{Diagnosis, Finding, Mend, Severity, Subject};

/// Looks at a cluster, and changes nothing in it: no record is written, no group is joined.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kurier::{Admin, ClientConfig, Doctor, Severity};
///
/// let config = ClientConfig::new("localhost:9092");
/// let admin = Admin::connect(&config)?;
/// let diagnosis = Doctor::new(config).topic("orders").examine(&admin).await?;
/// for finding in &diagnosis.findings {
///     println!("{}: {}: {}", finding.severity, finding.subject, finding.found);
/// }
/// assert_eq!(diagnosis.count(Severity::Danger), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Doctor {
    client: ClientConfig,
    topic: Option<String>,
    groups: Vec<String>,
    instances: Option<usize>,
}

impl Doctor {
    /// One that looks at every topic and group of the cluster, and at what a producer and a consumer with
    /// `client`'s properties would do; also those that kurier refuses, which then are findings.
    pub fn new(client: ClientConfig) -> Self {
        Self { client, topic: None, groups: Vec::new(), instances: None }
    }

    /// Looks at this topic alone, and at the groups that have to do with it. Default: all topics.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Looks at this group, and at no other that is not named as well. Default: every group that has
    /// committed something for one of the topics or owns one of their partitions.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// How many instances are to share each topic. Default: the members that groups have now.
    #[must_use]
    pub fn instances(mut self, instances: usize) -> Self {
        self.instances = Some(instances);
        self
    }

    /// Reads and judges. `admin`'s timeout holds for each question, and three times that for all; what
    /// is not read by then is a finding.
    ///
    /// # Errors
    /// When the cluster does not answer, the topic is not there, or this client may not see it. Anything
    /// less is a finding with [`Severity::NotChecked`].
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing behind.
    pub async fn examine(&self, admin: &Admin) -> Result<Diagnosis, ClientError> {
        let facts = gather::gather(self, admin).await?;
        let names = |topics: &[facts::TopicFacts]| {
            topics.iter().map(|topic| topic.name().to_owned()).collect()
        };
        Ok(Diagnosis {
            cluster: facts.cluster.clone(),
            brokers: facts.brokers.len(),
            topics: names(&facts.topics),
            groups: facts.groups.iter().map(|group| group.name.clone()).collect(),
            findings: checks::judge(&facts),
        })
    }
}
