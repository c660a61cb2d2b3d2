//! librdkafka's properties: canonical names, secrets, and what librdkafka itself says of a value.
//!
//! Owns the names; which of them are refused is the business of `refused`.

use std::collections::BTreeMap;

use rdkafka::error::KafkaError;

use super::ConfigProblem;

/// Alias → the name kurier uses. From the `_RK_C_ALIAS` rows of librdkafka 2.12.1's
/// `rdkafka_conf.c`; a test finds an alias that is missing here.
const ALIASES: &[(&str, &str)] = &[
    ("metadata.broker.list", "bootstrap.servers"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"),
    ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("message.send.max.retries", "retries"),
    ("compression.codec", "compression.type"),
    ("request.required.acks", "acks"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("auto.commit.enable", "enable.auto.commit"),
];

/// Properties whose values are never shown.
const SECRETS: &[&str] = &[
    "sasl.password",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
];

/// The one name of a property that may be an alias.
pub fn canonical_name(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, canonical)| canonical)
}

/// `properties` by canonical name. A property given under two names is a problem: librdkafka would
/// take whichever comes last.
pub(super) fn canonical(
    properties: &BTreeMap<String, String>,
    problems: &mut Vec<ConfigProblem>,
) -> BTreeMap<String, String> {
    let mut canonical = BTreeMap::new();
    for (name, value) in properties {
        let (name, value) = (canonical_name(name.trim()), value.trim());
        match canonical.insert(name.to_owned(), value.to_owned()) {
            Some(other) if other != value => {
                let reason = format!("given twice, also as {:?}", shown(name, &other));
                problems.push(ConfigProblem::new(name, value, reason));
            }
            _ => {}
        }
    }
    canonical
}

/// True for properties whose values are never shown, and for what may be one of them misspelt.
pub fn is_secret(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    let name = canonical_name(&name);
    let sasl = name.starts_with("sasl.") && !SASL_SHOWN.iter().any(|shown| name.starts_with(shown));
    sasl || SECRETS.contains(&name) || SECRET_PARTS.iter().any(|part| name.contains(part))
}

/// Of SASL's properties, those that are no secret.
const SASL_SHOWN: &[&str] = &["sasl.mechanism", "sasl.username", "sasl.kerberos."];
/// What the names of other secrets have in them.
const SECRET_PARTS: &[&str] = &["pass", "secret", "key.pem"];

/// The value as it may be shown.
pub fn shown<'v>(name: &str, value: &'v str) -> &'v str {
    if is_secret(name) && !value.is_empty() { "(hidden)" } else { value }
}

/// `own` over `base`.
pub(super) fn merge(
    base: Vec<(&'static str, String)>,
    own: BTreeMap<String, String>,
) -> Vec<(String, String)> {
    let mut merged: BTreeMap<String, String> =
        base.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    merged.extend(own);
    merged.into_iter().collect()
}

/// librdkafka's own opinion of one value, with its words.
pub(super) fn accepted_by_librdkafka(name: &str, value: &str) -> Result<(), String> {
    let mut probe = rdkafka::ClientConfig::new();
    probe.set(name, value);
    match probe.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, reason, _, _)) => Err(reason),
        Err(error) => Err(error.to_string()),
    }
}

/// Brokers are given, and each looks like `host:port`, `host` or `protocol://host:port`.
pub(super) fn check_bootstrap(bootstrap: &str, problems: &mut Vec<ConfigProblem>) {
    let mut reason = None;
    for address in bootstrap.split(',').map(str::trim) {
        let host = address.rsplit_once("://").map_or(address, |(_, host)| host);
        // An IPv6 address stands in brackets; only what follows them is a port.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, Some(port)),
            _ => (host, None),
        };
        if name.is_empty() {
            reason = Some("every broker is host:port, separated by commas".to_owned());
        } else if let Some(port) = port
            && !port.parse::<u16>().is_ok_and(|port| port != 0)
        {
            reason = Some(format!("{port:?} is no port (1 to 65535)"));
        }
    }
    if let Some(reason) = reason {
        problems.push(ConfigProblem::new("bootstrap", bootstrap, reason));
    }
}

/// Kafka's rule for topic names, checked here so that it fails before anything is sent.
pub(crate) fn check_topic_name(topic: &str) -> Result<(), &'static str> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if topic.is_empty() || 249 < topic.len() {
        Err("a topic's name has 1 to 249 characters")
    } else if topic == "." || topic == ".." || !topic.bytes().all(legal) {
        Err("a topic's name is made of letters, digits, '.', '_' and '-'")
    } else {
        Ok(())
    }
}

/// The configuration of rdkafka with these properties, and librdkafka's log at `info` so that what is
/// shown is decided by our log's filter. Says what of it is insecure.
pub(crate) fn native_config(properties: &[(String, String)]) -> rdkafka::ClientConfig {
    super::secure::warn(properties);
    let mut config: rdkafka::ClientConfig = properties.iter().cloned().collect();
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Info);
    config
}

/// librdkafka names the property in back quotes ("`fetch.max.bytes` must be >= …").
pub(super) fn problem_of(error: &KafkaError, given: &[(String, String)]) -> ConfigProblem {
    let value_of = |name: &str| {
        let canonical = canonical_name(name);
        given.iter().find(|(n, _)| n == canonical).map_or("", |(_, value)| value.as_str())
    };
    match error {
        KafkaError::ClientConfig(_, reason, name, value) => ConfigProblem::new(name, value, reason),
        KafkaError::ClientCreation(reason) => {
            // Files that it can't read are named without the quotes ("ssl.ca.location failed: …").
            let named = given.iter().map(|(name, _)| name.as_str());
            let named = named.filter(|name| reason.starts_with(&format!("{name} failed")));
            let name = reason.split('`').nth(1).or(named.max()).unwrap_or("librdkafka");
            ConfigProblem::new(name, value_of(name), reason)
        }
        other => ConfigProblem::new("librdkafka", "", other.to_string()),
    }
}
