//! What can be set, checked once, with every problem reported.
//!
//! Owns the plain structs [`ClientConfig`], [`Security`], [`ProducerConfig`] and [`ConsumerConfig`], the table of
//! options that documents and help are made from ([`OPTIONS`]), the list of refused properties
//! ([`REFUSED`]) and the lists of effective properties given to librdkafka. It talks to no broker and
//! reads no environment.

mod batch;
mod consumer;
mod options;
mod producer;
mod properties;
mod refused;
mod secure;
mod security;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use consumer::{Concurrency, ConsumerConfig, StartFrom};
pub use options::{Bounds, OPTIONS, OptionSpec, Side, Unit};
pub use producer::{DeliveryProfile, ProducerConfig};
pub use refused::{REFUSED, Refusal, Scope};
pub use security::{Identity, Mechanism, Pem, Sasl, Secret, Security, Tls, Verify};

pub(crate) use batch::BatchRules;
pub(crate) use producer::MESSAGE_OVERHEAD_BYTES;
pub use properties::{canonical_name, is_secret, shown};
pub(crate) use properties::{check_topic_name, native_config};

/// The default of an outbox's limit.
pub(crate) const fn outbox_bytes_default() -> u64 {
    options::OUTBOX_BYTES_MAX.default_count() as u64
}

/// What every client of a cluster has: where it is, what it calls itself, and librdkafka's own
/// properties that kurier has no option for (sockets, batching, …).
///
/// Properties are librdkafka's, by name or alias
/// (<https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md>). They win over
/// kurier's defaults; those that would break a promise are refused, see [`REFUSED`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientConfig {
    /// `host:port` of one or more brokers, separated by commas. Kafka: `bootstrap.servers`.
    pub bootstrap: String,
    /// The name brokers log and show. Default: chosen by the kind of client. Kafka: `client.id`.
    pub client_id: Option<String>,
    /// TLS and SASL. Default: neither. librdkafka's properties for it are taken too, but not both.
    pub security: Security,
    /// librdkafka's properties, passed through. Default: none.
    pub properties: BTreeMap<String, String>,
}

impl ClientConfig {
    /// A client of the cluster at `bootstrap` with nothing else set.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            client_id: None,
            security: Security::default(),
            properties: BTreeMap::new(),
        }
    }

    /// The properties a client that neither produces nor consumes gets, checked.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn admin_properties(&self) -> Result<Vec<(String, String)>, ConfigProblems> {
        let mut problems = Vec::new();
        let own = self.checked_properties(Scope::Client, &mut problems);
        let own = ConfigProblems::or(own, problems)?;
        Ok(properties::merge(self.base_properties("kurier-admin")?, own))
    }

    /// What both sides set, whatever the profile.
    fn base_properties(
        &self,
        client_id: &str,
    ) -> Result<Vec<(&'static str, String)>, ConfigProblems> {
        let mut problems = Vec::new();
        let security = self.security.properties(&mut problems);
        let mut base = vec![
            // Without it the OpenSSL that is compiled in looks for authorities where none are.
            ("ssl.ca.location", "probe".to_owned()),
            ("bootstrap.servers", self.bootstrap.trim().to_owned()),
            ("client.id", self.client_id.clone().unwrap_or_else(|| client_id.to_owned())),
            // A typo must not create a topic with one replica.
            ("allow.auto.create.topics", "false".to_owned()),
            // A dead peer behind a silent network is noticed; librdkafka's default is off.
            ("socket.keepalive.enable", "true".to_owned()),
            ("reconnect.backoff.ms", "100".to_owned()),
            // librdkafka's default of 10 s can come on top of every outage: acknowledgements stood still
            // for 13 s after connections were cut (tried).
            ("reconnect.backoff.max.ms", "1000".to_owned()),
        ];
        base.extend(security);
        ConfigProblems::or(base, problems)
    }

    /// The caller's properties by their canonical names; adds to `problems` what librdkafka would
    /// not take, what is given twice and what is refused in `scope`.
    fn checked_properties(
        &self,
        scope: Scope,
        problems: &mut Vec<ConfigProblem>,
    ) -> BTreeMap<String, String> {
        properties::check_bootstrap(&self.bootstrap, problems);
        let own = properties::canonical(&self.properties, problems);
        for (name, value) in &own {
            if let Some(refusal) = refused::refusal(scope, name, value) {
                problems.push(ConfigProblem::new(name, value, refusal.explanation()));
            } else if let Err(reason) = properties::accepted_by_librdkafka(name, value) {
                problems.push(ConfigProblem::new(name, value, reason));
            }
        }
        self.check_security(&own, problems);
        own
    }

    fn check_security(&self, own: &BTreeMap<String, String>, problems: &mut Vec<ConfigProblem>) {
        let security = self.security.properties(problems);
        let mut given: BTreeMap<&str, &str> =
            own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for (name, value) in &security {
            if given.insert(name, value).is_some() {
                let reason = "given twice, as a property and in security";
                problems.push(ConfigProblem::new(name, value, reason));
            }
        }
        secure::check(&given, problems);
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: BTreeMap<&str, &str> = self
            .properties
            .iter()
            .map(|(name, value)| (name.as_str(), properties::shown(name, value)))
            .collect();
        f.debug_struct("ClientConfig")
            .field("bootstrap", &self.bootstrap)
            .field("client_id", &self.client_id)
            .field("security", &self.security)
            .field("properties", &shown)
            .finish()
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} = {value:?}: {reason}")]
#[non_exhaustive]
pub struct ConfigProblem {
    /// The option or property, as the caller may name it.
    pub name: String,
    /// The value that was found; a secret's value is not shown.
    pub value: String,
    /// Why it can't be, and what can.
    pub reason: String,
}

impl ConfigProblem {
    /// Problem `reason` with `value` of `name`.
    pub fn new(name: &str, value: &str, reason: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: properties::shown(name, value).to_owned(),
            reason: reason.into(),
        }
    }
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblems(Vec<ConfigProblem>);

impl ConfigProblems {
    /// The problems, in the order of the checks.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.0
    }

    /// The problems, to add others to them.
    pub(crate) fn into_problems(self) -> Vec<ConfigProblem> {
        self.0
    }

    /// `value` if there are no problems.
    pub(crate) fn or<V>(value: V, problems: Vec<ConfigProblem>) -> Result<V, Self> {
        if problems.is_empty() { Ok(value) } else { Err(Self(problems)) }
    }

    /// librdkafka's refusal of a whole configuration, which single values did not show.
    pub(crate) fn from_kafka(
        error: &rdkafka::error::KafkaError,
        given: &[(String, String)],
    ) -> Self {
        Self(vec![properties::problem_of(error, given)])
    }
}

impl From<ConfigProblem> for ConfigProblems {
    fn from(problem: ConfigProblem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if 0 < index {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblems {}
