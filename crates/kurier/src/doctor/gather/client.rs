//! What a client's own properties come to, by the library's own rules.

use crate::config::{canonical_name, native_config};
use crate::doctor::facts::{ClientFacts, Settings};
use crate::{ClientConfig, ConfigProblem, ConfigProblems, ConsumerConfig, ProducerConfig};

/// What is refused, and what librdkafka gets without that.
pub(super) fn facts(client: &ClientConfig) -> ClientFacts {
    let producer = |client: &ClientConfig| {
        let mut config = ProducerConfig::new(&client.bootstrap);
        config.client = client.clone();
        config.properties()
    };
    let consumer = |client: &ClientConfig| {
        let mut config = ConsumerConfig::new(&client.bootstrap, "doctor");
        config.client = client.clone();
        config.topics = vec!["doctor".to_owned()];
        config.properties(1)
    };
    let mut problems = Vec::new();
    let producer = without_problems(client, producer, &mut problems);
    let consumer = without_problems(client, consumer, &mut problems);
    ClientFacts { problems, producer, consumer }
}

/// The properties; where some are refused, those that are not over the defaults.
fn without_problems(
    client: &ClientConfig,
    properties: impl Fn(&ClientConfig) -> Result<Vec<(String, String)>, ConfigProblems>,
    problems: &mut Vec<ConfigProblem>,
) -> Settings {
    let found = properties(client).or_else(|refused| {
        let refused = refused.problems();
        problems.extend(
            refused.iter().filter(|it| !problems.contains(it)).cloned().collect::<Vec<_>>(),
        );
        let mut rest = client.clone();
        rest.properties
            .retain(|name, _| !refused.iter().any(|it| it.name == canonical_name(name.trim())));
        properties(&rest).or_else(|_| {
            rest.properties.clear();
            properties(&rest)
        })
    });
    // Nothing is left that could be refused, but for the addresses, with which no client was made.
    let mut found = found.unwrap_or_default();
    found.extend(default_of("receive.message.max.bytes", &found));
    found.into_iter().collect()
}

/// What librdkafka makes of a property that nobody has set.
fn default_of(name: &str, set: &[(String, String)]) -> Option<(String, String)> {
    if set.iter().any(|(other, _)| other == name) {
        return None;
    }
    let value = native_config(set).create_native_config().ok()?.get(name).ok()?;
    Some((name.to_owned(), value))
}
