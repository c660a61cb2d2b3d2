//! The keys of kurier.toml, each once. The names of the variables follow from them.

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// With a dot for the table it is in.
    pub name: &'static str,
    /// librdkafka's property, or kurier's own name.
    pub property: &'static str,
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A path; in a file relative to that file.
    Path,
    /// The path of a file with a secret in it.
    SecretFile,
    /// The name of a variable with a secret in it.
    SecretVariable,
}

impl Key {
    /// `KURIER_SASL_USER` for `sasl.user`.
    pub fn variable(&self) -> String {
        format!("KURIER_{}", self.name.to_ascii_uppercase().replace('.', "_"))
    }
}

/// The addresses of the cluster.
pub const BOOTSTRAP: &str = "bootstrap";
/// How long to wait for it.
pub const TIMEOUT: &str = "timeout";
/// What of certificates is checked.
pub const VERIFY: &str = "tls.verify";

const fn key(name: &'static str, property: &'static str, kind: Kind) -> Key {
    Key { name, property, kind }
}

/// Every key, for all or in a profile. `profile`, `profiles` and `properties` stand beside them.
pub const KEYS: &[Key] = &[
    key("bootstrap", BOOTSTRAP, Kind::Text),
    key("timeout", TIMEOUT, Kind::Text),
    key("protocol", "security.protocol", Kind::Text),
    key("tls.ca_file", "ssl.ca.location", Kind::Path),
    key("tls.certificate_file", "ssl.certificate.location", Kind::Path),
    key("tls.key_file", "ssl.key.location", Kind::Path),
    key("tls.key_password_file", "ssl.key.password", Kind::SecretFile),
    key("tls.key_password_env", "ssl.key.password", Kind::SecretVariable),
    key("tls.verify", VERIFY, Kind::Text),
    key("sasl.mechanism", "sasl.mechanism", Kind::Text),
    key("sasl.user", "sasl.username", Kind::Text),
    key("sasl.password_file", "sasl.password", Kind::SecretFile),
    key("sasl.password_env", "sasl.password", Kind::SecretVariable),
];
