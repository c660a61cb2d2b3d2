//! TLS and SASL as plain data, and the properties librdkafka gets for them.
//!
//! Owns the structs. Whether what is set fits together is checked in `secure`, over these and the
//! properties that are passed through, since either may say it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::ConfigProblem;

/// How a client proves who it is, and sees that brokers are who they say. Default: neither, in the clear.
/// Kafka's `security.protocol` follows from what is set: `plaintext`, `ssl`, `sasl_plaintext`, `sasl_ssl`.
///
/// ```
/// use kurier::{Mechanism, Pem, ProducerConfig, Sasl, Secret, Tls};
///
/// let mut config = ProducerConfig::new("kafka1:9093,kafka2:9093");
/// config.client.security.tls = Some(Tls::trusting(Pem::file("/etc/kafka/ca.pem")));
/// let password = Secret::from_file("/run/secrets/orders");
/// config.client.security.sasl = Some(Sasl::new(Mechanism::ScramSha512, "orders", password));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Security {
    /// Connections are encrypted, and brokers show a certificate. Default: no.
    pub tls: Option<Tls>,
    /// The client says who it is by name and password. Default: no.
    pub sasl: Option<Sasl>,
    /// What of a broker's certificate is checked. Default: everything.
    pub verify: Verify,
}

/// The certificates of TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// The authorities that may vouch for brokers. Default: the system's. Kafka: `ssl.ca.location`.
    pub ca: Option<Pem>,
    /// The certificate of this client, for brokers that ask for one. Default: none.
    pub identity: Option<Identity>,
}

impl Tls {
    /// Trusts the authorities of the system.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these authorities and no others.
    pub fn trusting(ca: Pem) -> Self {
        Self { ca: Some(ca), identity: None }
    }
}

/// Something in PEM: a file, or the text itself.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pem {
    /// The file.
    File(PathBuf),
    /// The text.
    Text(String),
}

impl Pem {
    /// What is in this file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }

    /// This text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// A text may be a private key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(_) => f.write_str("Text(hidden)"),
        }
    }
}

/// A certificate with its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The certificate, with those between it and the authority. Kafka: `ssl.certificate.location`.
    pub certificate: Pem,
    /// The private key. Kafka: `ssl.key.location`.
    pub key: Pem,
    /// The key's password, if it has one. Kafka: `ssl.key.password`.
    pub key_password: Option<Secret>,
}

impl Identity {
    /// A certificate with a key that has no password.
    pub fn new(certificate: Pem, key: Pem) -> Self {
        Self { certificate, key, key_password: None }
    }
}

/// A user and how it proves itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sasl {
    /// How. Kafka: `sasl.mechanism`.
    pub mechanism: Mechanism,
    /// The user. Kafka: `sasl.username`.
    pub user: String,
    /// The password. Kafka: `sasl.password`.
    pub password: Secret,
}

impl Sasl {
    /// `user` with `password`.
    pub fn new(mechanism: Mechanism, user: impl Into<String>, password: Secret) -> Self {
        Self { mechanism, user: user.into(), password }
    }
}

/// A SASL mechanism. GSSAPI (Kerberos) and OAUTHBEARER are refused: the librdkafka that is compiled in
/// has no Kerberos and fetches no tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// The password itself: only over TLS, or everybody on the way can read it.
    Plain,
    /// A proof of knowing the password (RFC 7677).
    ScramSha256,
    /// As [`ScramSha256`](Self::ScramSha256), with SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// As Kafka calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// A password, or where it is. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Source);

#[derive(Clone, PartialEq, Eq)]
enum Source {
    Value(String),
    File(PathBuf),
}

impl Secret {
    /// This one.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Source::Value(value.into()))
    }

    /// What is in this file, without the end of its last line; read when a client is made.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// The secret itself.
    ///
    /// # Errors
    /// Why the file can't be read; it names the file.
    pub fn read(&self) -> Result<String, String> {
        match &self.0 {
            Source::Value(value) => Ok(value.clone()),
            Source::File(path) => read(path),
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(line.to_owned())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Value(_) => f.write_str("Secret(hidden)"),
            Source::File(path) => write!(f, "Secret(of {})", path.display()),
        }
    }
}

/// What of a broker's certificate is checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verify {
    /// A trusted authority vouches for it, and it is for the host that was connected to.
    #[default]
    Full,
    /// A trusted authority vouches for it, whatever host it is for: whoever has any certificate of that
    /// authority can play the broker. Said in the log each time.
    InsecureAnyHost,
    /// Nothing: anybody can play the broker, and is given the password. Said in the log each time.
    InsecureNothing,
}

impl Security {
    /// librdkafka's properties for this; a secret that can't be read is a problem.
    pub(super) fn properties(
        &self,
        problems: &mut Vec<ConfigProblem>,
    ) -> Vec<(&'static str, String)> {
        let mut properties = Vec::new();
        let mut secret = |name: &'static str, secret: &Secret| match secret.read() {
            Ok(value) => Some((name, value)),
            Err(reason) => {
                problems.push(ConfigProblem::new(name, "", reason));
                None
            }
        };
        match (&self.tls, &self.sasl) {
            (None, None) => {}
            (Some(_), None) => properties.push(("security.protocol", "ssl".to_owned())),
            (None, Some(_)) => properties.push(("security.protocol", "sasl_plaintext".to_owned())),
            (Some(_), Some(_)) => properties.push(("security.protocol", "sasl_ssl".to_owned())),
        }
        if let Some(Tls { ca, identity }) = &self.tls {
            properties.extend(ca.as_ref().map(|ca| pem("ssl.ca.location", "ssl.ca.pem", ca)));
            if let Some(Identity { certificate, key, key_password }) = identity {
                properties.push(pem(
                    "ssl.certificate.location",
                    "ssl.certificate.pem",
                    certificate,
                ));
                properties.push(pem("ssl.key.location", "ssl.key.pem", key));
                let password = key_password.as_ref();
                properties.extend(password.and_then(|one| secret("ssl.key.password", one)));
            }
        }
        if let Some(Sasl { mechanism, user, password }) = &self.sasl {
            properties.push(("sasl.mechanism", mechanism.name().to_owned()));
            properties.push(("sasl.username", user.clone()));
            properties.extend(secret("sasl.password", password));
        }
        match self.verify {
            Verify::Full => {}
            Verify::InsecureAnyHost => {
                properties.push(("ssl.endpoint.identification.algorithm", "none".to_owned()));
            }
            Verify::InsecureNothing => {
                properties.push(("enable.ssl.certificate.verification", "false".to_owned()));
            }
        }
        properties
    }
}

fn pem(location: &'static str, text: &'static str, pem: &Pem) -> (&'static str, String) {
    match pem {
        Pem::File(path) => (location, path.display().to_string()),
        Pem::Text(given) => (text, given.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientConfig;

    #[test]
    fn no_secret_is_shown() {
        let mut config = ClientConfig::new("localhost:9093");
        let key = Pem::text("-----BEGIN PRIVATE KEY----- s3cret");
        let mut identity = Identity::new(Pem::file("client.pem"), key);
        identity.key_password = Some(Secret::new("s3cret"));
        let tls = Tls { ca: None, identity: Some(identity) };
        config.security.tls = Some(tls);
        let sasl = Sasl::new(Mechanism::Plain, "orders", Secret::new("s3cret"));
        config.security.sasl = Some(sasl);
        for name in ["sasl.password", "ssl.key.password", "sasl.jaas.config", "sasl.pasword"] {
            config.properties.insert(name.to_owned(), "s3cret".to_owned());
        }
        let shown = format!("{config:?} {config:#?}");
        assert!(shown.contains("orders") && !shown.contains("s3cret"), "{shown}");
        let problems = config.admin_properties().expect_err("they are given twice, or misspelt");
        let shown = format!("{problems} {problems:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn a_secret_in_a_file_ends_before_the_end_of_its_line() {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("kurier-secret-{}", std::process::id()));
        let read = |text: &str| {
            std::fs::write(&path, text).expect("written");
            Secret::from_file(&path).read()
        };
        assert_eq!(read("pass word\n"), Ok("pass word".to_owned()));
        assert_eq!(read("pass word \r\n"), Ok("pass word ".to_owned()));
        assert_eq!(read("password"), Ok("password".to_owned()));
        assert!(read("\n").expect_err("empty").contains("is empty"));
        std::fs::remove_file(&path).expect("removed");
        assert!(Secret::from_file(&path).read().expect_err("gone").contains("kurier-secret-"));
    }
}
