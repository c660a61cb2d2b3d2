//! Whether the security settings of a client fit together, over all that it was given.
//!
//! librdkafka ignores what its protocol does not use, so a password without SASL, or an authority without
//! TLS, would only show as a connection that is refused, or that is not encrypted.

use std::collections::BTreeMap;

use super::ConfigProblem;

/// Adds to `problems` what does not fit together in `given`, by canonical name.
pub(super) fn check(given: &BTreeMap<&str, &str>, problems: &mut Vec<ConfigProblem>) {
    let protocol = given.get("security.protocol").copied().unwrap_or("plaintext");
    let protocol = protocol.to_ascii_lowercase();
    let (sasl, tls) = (protocol.starts_with("sasl_"), protocol.ends_with("ssl"));
    let mut check = Check { given, problems };
    check.without(
        "sasl.",
        sasl,
        "has no effect without security.protocol=sasl_ssl (or sasl_plaintext)",
    );
    check.without("ssl.", tls, "has no effect without security.protocol=ssl or sasl_ssl");
    if sasl {
        check.sasl();
    }
    for [one, other] in PAIRS {
        check.pair(one, other);
    }
    for name in FILES {
        check.file(name);
    }
}

/// Each needs the other, or what stands for it.
const PAIRS: &[[&[&str]; 2]] = &[
    [&["ssl.certificate.location", "ssl.certificate.pem"], &["ssl.key.location", "ssl.key.pem"]],
    [&["ssl.key.location", "ssl.key.pem"], &["ssl.certificate.location", "ssl.certificate.pem"]],
];

/// Files that have to be there.
const FILES: &[&str] = &[
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.crl.location",
    "ssl.keystore.location",
];

struct Check<'a> {
    given: &'a BTreeMap<&'a str, &'a str>,
    problems: &'a mut Vec<ConfigProblem>,
}

impl Check<'_> {
    fn without(&mut self, family: &str, used: bool, reason: &str) {
        if used {
            return;
        }
        let idle = self.given.iter().filter(|(name, _)| name.starts_with(family));
        let problems = idle.map(|(name, value)| ConfigProblem::new(name, value, reason));
        self.problems.extend(problems);
    }

    fn sasl(&mut self) {
        let named = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
        match self.given.get("sasl.mechanism") {
            None => self.missing(
                "sasl.mechanism",
                "is needed for SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
            ),
            Some(mechanism) if !named.contains(mechanism) => {
                let reason = "PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are possible: the librdkafka that is compiled in has no Kerberos and fetches no tokens";
                self.problems.push(ConfigProblem::new("sasl.mechanism", mechanism, reason));
            }
            Some(_) => {}
        }
        for name in ["sasl.username", "sasl.password"] {
            if self.given.get(name).is_none_or(|value| value.is_empty()) {
                self.missing(name, "is needed for SASL");
            }
        }
    }

    fn pair(&mut self, one: &[&str], other: &[&str]) {
        let has = |names: &[&str]| names.iter().any(|name| self.given.contains_key(name));
        if has(one) && !has(other) {
            let reason = format!("is needed with {}", one[0]);
            self.missing(other[0], &reason);
        }
    }

    fn file(&mut self, name: &str) {
        let Some(path) = self.given.get(name).filter(|path| **path != "probe") else { return };
        if let Err(error) = std::fs::metadata(path) {
            self.problems.push(ConfigProblem::new(name, path, error.to_string()));
        }
    }

    fn missing(&mut self, name: &str, reason: &str) {
        self.problems.push(ConfigProblem::new(name, "", reason));
    }
}

/// Says what is not checked or not hidden, each time a client is made.
pub(super) fn warn(properties: &[(String, String)]) {
    let is = |name: &str, value: &str| {
        properties.iter().any(|(given, set)| given == name && set.eq_ignore_ascii_case(value))
    };
    if is("enable.ssl.certificate.verification", "false") {
        tracing::warn!(
            "insecure: the certificates of brokers are not checked, anybody can play the cluster"
        );
    } else if is("ssl.endpoint.identification.algorithm", "none") {
        tracing::warn!("insecure: the host names in the certificates of brokers are not checked");
    }
    if is("security.protocol", "sasl_plaintext") && is("sasl.mechanism", "PLAIN") {
        tracing::warn!("insecure: the password goes over the network in the clear");
    }
}

#[cfg(test)]
mod tests {
    use crate::{ClientConfig, Mechanism, Pem, Sasl, Secret, Tls, Verify};

    /// The names of what is wrong, in order.
    fn wrong(config: &ClientConfig) -> Vec<String> {
        match config.admin_properties() {
            Ok(_) => Vec::new(),
            Err(problems) => problems.problems().iter().map(|one| one.name.clone()).collect(),
        }
    }

    fn with(properties: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new("localhost:9093");
        let owned = properties.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        config.properties = owned.collect();
        config
    }

    #[test]
    fn everything_that_does_not_fit_together_is_told_at_once() {
        let config = with(&[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "GSSAPI"),
            ("ssl.ca.location", "/no/such/ca.pem"),
            ("ssl.certificate.location", "/no/such/client.pem"),
        ]);
        let expected = [
            "sasl.mechanism",
            "sasl.username",
            "sasl.password",
            "ssl.key.location",
            "ssl.ca.location",
            "ssl.certificate.location",
        ];
        assert_eq!(wrong(&config), expected);
    }

    #[test]
    fn what_the_protocol_does_not_use_is_a_problem_and_not_ignored() {
        assert_eq!(wrong(&with(&[("sasl.username", "orders")])), ["sasl.username"]);
        let config = with(&[("security.protocol", "ssl"), ("sasl.password", "secret")]);
        assert_eq!(wrong(&config), ["sasl.password"]);
        assert_eq!(wrong(&with(&[("ssl.key.pem", "x"), ("ssl.certificate.pem", "x")])).len(), 2);
    }

    #[test]
    fn checks_of_certificates_are_switched_off_by_their_insecure_names_only() {
        for (name, value) in [
            ("enable.ssl.certificate.verification", "false"),
            ("ssl.endpoint.identification.algorithm", "none"),
        ] {
            let mut config = with(&[("security.protocol", "ssl"), (name, value)]);
            assert_eq!(wrong(&config), [name]);
            config.properties.remove(name);
            assert_eq!(wrong(&config), [""; 0]);
        }
        let mut config = ClientConfig::new("localhost:9093");
        config.security.tls = Some(Tls::new());
        config.security.verify = Verify::InsecureNothing;
        let properties = config.admin_properties().expect("a named opt-in");
        let off = ("enable.ssl.certificate.verification".to_owned(), "false".to_owned());
        assert!(properties.contains(&off));
    }

    #[test]
    fn the_protocol_follows_from_what_is_set() {
        let mut config = ClientConfig::new("localhost:9093");
        let protocol = |config: &ClientConfig| {
            let properties = config.admin_properties().expect("fits together");
            let is = |(name, _): &(String, String)| name == "security.protocol";
            properties.into_iter().find(is).map(|(_, value)| value)
        };
        assert_eq!(protocol(&config), None);
        config.security.tls = Some(Tls::trusting(Pem::text("-----BEGIN CERTIFICATE-----")));
        assert_eq!(protocol(&config).as_deref(), Some("ssl"));
        let sasl = Sasl::new(Mechanism::ScramSha256, "orders", Secret::new("secret"));
        config.security.sasl = Some(sasl);
        assert_eq!(protocol(&config).as_deref(), Some("sasl_ssl"));
        config.security.tls = None;
        assert_eq!(protocol(&config).as_deref(), Some("sasl_plaintext"));
        config.properties.insert("sasl.username".to_owned(), "other".to_owned());
        assert_eq!(wrong(&config), ["sasl.username"], "given twice");
    }
}
