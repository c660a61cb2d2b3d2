//! Whether brokers let a client in, and whether it trusts them: what librdkafka says of credentials and
//! certificates, sorted, and when it is final. Pure but for [`Denial::looked_into`].
//!
//! librdkafka goes on for ever after a wrong password or a certificate it does not trust, and says the same
//! error of one broker again only after 30 s. A client that no broker has let in yet has one of them set
//! wrong, so it ends [`FINAL_AFTER`] the first refusal. One that was let in before goes on: credentials or
//! certificates are being exchanged, broker by broker, and waiting costs nothing that was accepted.

use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

use crate::sys::{BadCertificate, bad_certificate};

/// How long after the first refusal a client that was never let in gives up: time for librdkafka to try
/// again, each second at least, and every broker that was named.
pub(crate) const FINAL_AFTER: Duration = Duration::from_secs(3);
/// Longest time to find out what is wrong with a certificate.
const LOOK_INTO: Duration = Duration::from_secs(2);

/// A broker does not let this client in, or this client does not trust the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denial {
    /// Whose fault it is, as far as can be told.
    pub cause: DenialCause,
    /// `host:port` of the broker.
    pub broker: String,
    /// librdkafka's words.
    pub said: String,
    /// Who this client says it is: `user "orders" (SCRAM-SHA-512)`, if it says so.
    pub user: Option<String>,
}

/// Why a client and a broker do not come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DenialCause {
    /// The user is unknown, or the password is wrong; a broker does not tell which.
    Credentials,
    /// The broker does not take this SASL mechanism.
    Mechanism,
    /// No trusted certificate authority vouches for the broker's certificate.
    UntrustedCertificate,
    /// The broker's certificate is for another host.
    HostName,
    /// The broker's certificate is past its time, or its time has not come.
    CertificateTime,
    /// The broker wants a certificate from this client, or another one.
    ClientCertificate,
    /// Client and broker do not agree on TLS.
    Tls,
}

impl DenialCause {
    /// The cause, if what librdkafka says is a denial. The words are those of librdkafka 2.12.1
    /// (`rdkafka_ssl.c`, `rdkafka_broker.c`) and OpenSSL 3.
    fn of(code: RDKafkaErrorCode, reason: &str) -> Option<Self> {
        use RDKafkaErrorCode as C;
        match code {
            C::Authentication if reason.contains("mechanism handshake failed") => {
                Some(Self::Mechanism)
            }
            C::Authentication | C::SaslAuthenticationFailed => Some(Self::Credentials),
            C::UnsupportedSASLMechanism => Some(Self::Mechanism),
            C::SSL if reason.contains("certificate verify failed") => {
                Some(Self::UntrustedCertificate)
            }
            // TLS 1.3 tells a client that its certificate is not taken after the handshake is done, and
            // librdkafka calls that a failure of the transport.
            C::SSL | C::BrokerTransportFailure => match alert(reason) {
                Some(41..=46 | 48 | 49 | 116) => Some(Self::ClientCertificate),
                Some(_) => Some(Self::Tls),
                None if code == C::SSL => Some(Self::Tls),
                None => None,
            },
            _ => None,
        }
    }

    /// By OpenSSL's `X509_V_ERR_…` (`x509_vfy.h`).
    fn of_certificate(error: i32) -> Self {
        match error {
            62..=64 => Self::HostName,
            9 | 10 | 13 | 14 => Self::CertificateTime,
            _ => Self::UntrustedCertificate,
        }
    }

    /// What to do.
    fn advice(self) -> &'static str {
        match self {
            Self::Credentials => "check sasl.username and the password, and that they go together",
            Self::Mechanism => "set sasl.mechanism to one that the broker names",
            Self::UntrustedCertificate => {
                "set ssl.ca.location to the certificate of the authority that signed it"
            }
            Self::HostName => {
                "connect by a name that the certificate has, or have the name added to it"
            }
            Self::CertificateTime => "renew the broker's certificate, or set this machine's clock",
            Self::ClientCertificate => {
                "set ssl.certificate.location and ssl.key.location to a certificate of an authority that the broker trusts"
            }
            Self::Tls => {
                "compare security.protocol and the ssl properties with the broker's listener"
            }
        }
    }
}

/// The number of a TLS alert (RFC 8446, 6) in OpenSSL's words.
fn alert(reason: &str) -> Option<u8> {
    let (_, rest) = reason.split_once("SSL alert number ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

impl Denial {
    /// The same, with the cause that OpenSSL gives for a certificate that failed. Connects with
    /// `settings` for that, and blocks for [`LOOK_INTO`] at most.
    pub(crate) fn looked_into(mut self, settings: &rdkafka::ClientConfig) -> Self {
        if self.cause == DenialCause::UntrustedCertificate
            && let Some(BadCertificate { broker, error }) = bad_certificate(settings, LOOK_INTO)
        {
            self.cause = DenialCause::of_certificate(error);
            self.broker = broker;
        }
        self
    }

    /// librdkafka's code for it.
    pub(crate) fn code(&self) -> RDKafkaErrorCode {
        match self.cause {
            DenialCause::Credentials | DenialCause::Mechanism => RDKafkaErrorCode::Authentication,
            _ => RDKafkaErrorCode::SSL,
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cause, broker, said, user } = self;
        let user = user.as_deref().unwrap_or("this client");
        match cause {
            DenialCause::Credentials => {
                write!(
                    f,
                    "broker {broker} does not let {user} in: unknown user or wrong password"
                )?;
            }
            DenialCause::Mechanism => {
                write!(f, "broker {broker} does not let {user} in: not by this SASL mechanism")?;
            }
            DenialCause::UntrustedCertificate => write!(
                f,
                "the certificate of broker {broker} is not trusted: no authority known here vouches for it"
            )?,
            DenialCause::HostName => {
                write!(f, "the certificate of broker {broker} is for another host name")?;
            }
            DenialCause::CertificateTime => {
                write!(f, "the certificate of broker {broker} has expired or is not valid yet")?;
            }
            DenialCause::ClientCertificate => write!(
                f,
                "broker {broker} wants a client certificate, and takes none or not the one it was given"
            )?,
            DenialCause::Tls => write!(f, "no TLS connection to broker {broker}")?,
        }
        write!(f, "; {} ({said})", cause.advice())
    }
}

/// What a client knows of being let in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    user: Option<String>,
    let_in: bool,
    denied: Option<(Instant, Denial)>,
}

impl Access {
    /// Of a client with these properties.
    pub(crate) fn of(properties: &[(String, String)]) -> Self {
        let of =
            |wanted| properties.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        let mechanism = of("sasl.mechanism").map_or("SASL", String::as_str);
        let user = of("sasl.username").map(|user| format!("user {user:?} ({mechanism})"));
        Self { user, ..Self::default() }
    }

    /// Notes what librdkafka says, if it is a denial; returns it then.
    pub(crate) fn hear(
        &mut self,
        code: RDKafkaErrorCode,
        reason: &str,
        now: Instant,
    ) -> Option<&Denial> {
        let cause = DenialCause::of(code, reason)?;
        let (broker, said) = parted(reason);
        let denial = Denial { cause, broker, said, user: self.user.clone() };
        let since = self.denied.as_ref().map_or(now, |(since, _)| *since);
        Some(&self.denied.insert((since, denial)).1)
    }

    /// A broker has let this client in, or has answered it.
    pub(crate) fn let_in(&mut self) {
        self.let_in = true;
        self.denied = None;
    }

    /// True while there is a denial of a client that was never let in.
    pub(crate) fn in_doubt(&self) -> bool {
        !self.let_in && self.denied.is_some()
    }

    /// The denial, once it is final.
    pub(crate) fn verdict(&self, now: Instant) -> Option<&Denial> {
        let (since, denial) = self.denied.as_ref().filter(|_| self.in_doubt())?;
        (FINAL_AFTER <= now.saturating_duration_since(*since)).then_some(denial)
    }

    /// The last denial of a client that was never let in, final or not.
    pub(crate) fn denial(&self) -> Option<&Denial> {
        self.denied.as_ref().filter(|_| self.in_doubt()).map(|(_, denial)| denial)
    }

    /// As whom something is done, for an error's words: ` as user "orders" (PLAIN)`, or nothing.
    pub(crate) fn as_user(&self) -> String {
        self.user.as_ref().map_or_else(String::new, |user| format!(" as {user}"))
    }
}

/// What may be set wrong when a broker ends a connection that was never good for an answer. A guess only:
/// a proxy before a broker that is down does the same, so it is said and never final.
pub(crate) fn hint(line: &str) -> Option<String> {
    let ended = line.contains("Disconnected") || line.contains("closed by peer");
    let guess = match line.rsplit_once("in state ")?.1 {
        state if state.starts_with("SSL_HANDSHAKE") => "is its listener one without TLS?",
        state if state.starts_with("APIVERSION_QUERY") => "does its listener want TLS?",
        state if state.starts_with("UP") => "does its listener want SASL?",
        _ => return None,
    };
    let line = line
        .strip_prefix("[thrd:")
        .and_then(|rest| rest.split_once("]: "))
        .map_or(line, |(_, rest)| rest);
    let (broker, said) = parted(line);
    ended.then(|| {
        format!("broker {broker} ends the connection; {guess} See security.protocol ({said})")
    })
}

/// A reason without how often it came again unsaid: librdkafka's "(after 3ms in state CONNECT, 4 identical error(s)
/// suppressed)" is another text each time, and no news to whoever reads it.
pub(crate) fn without_count(reason: &str) -> String {
    let counted = |reason: &str| {
        let (before, after) = reason.split_once(" identical error(s) suppressed")?;
        Some(format!("{}{after}", before.rsplit_once(", ")?.0))
    };
    counted(reason).unwrap_or_else(|| reason.to_owned())
}

/// librdkafka says "sasl_ssl://HOST:PORT/bootstrap: WORDS (after 3ms in state …)": the broker's address, and
/// the words.
fn parted(reason: &str) -> (String, String) {
    let (broker, said) = reason.split_once(": ").unwrap_or(("", reason));
    let address = broker.rsplit_once("://").map_or(broker, |(_, address)| address);
    let address = address.split_once('/').map_or(address, |(address, _)| address);
    let said = said.rsplit_once(" (after ").map_or(said, |(said, _)| said);
    // What follows says of every fault of a certificate what is right of one.
    let said = said.split(": broker certificate could not be verified").next().unwrap_or(said);
    (address.to_owned(), said.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use RDKafkaErrorCode as C;

    use super::*;

    const WRONG_PASSWORD: &str = "sasl_ssl://127.0.0.1:9093/bootstrap: SASL authentication error: \
        Authentication failed: Invalid username or password (after 301ms in state AUTH_REQ)";

    fn access() -> Access {
        let properties = [("sasl.mechanism", "PLAIN"), ("sasl.username", "orders")];
        Access::of(&properties.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    #[test]
    fn what_librdkafka_says_is_sorted_by_whose_fault_it_is() {
        let table = [
            (C::Authentication, WRONG_PASSWORD, Some(DenialCause::Credentials)),
            (
                C::Authentication,
                "b: SASL OAUTHBEARER mechanism handshake failed: …: broker's supported mechanisms: PLAIN",
                Some(DenialCause::Mechanism),
            ),
            (
                C::SSL,
                "b: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: …",
                Some(DenialCause::UntrustedCertificate),
            ),
            (
                C::BrokerTransportFailure,
                "b: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42 (after 0ms in state APIVERSION_QUERY)",
                Some(DenialCause::ClientCertificate),
            ),
            (
                C::SSL,
                "b: SSL handshake failed: error:0A000410:SSL routines::ssl/tls alert handshake failure: SSL alert number 40",
                Some(DenialCause::Tls),
            ),
            (
                C::SSL,
                "b: SSL handshake failed: error:0A00010B:SSL routines::wrong version number",
                Some(DenialCause::Tls),
            ),
            (C::BrokerTransportFailure, "b: Connect to ipv4#… failed: Connection refused", None),
            (C::AllBrokersDown, "1/1 brokers are down", None),
        ];
        for (code, reason, cause) in table {
            assert_eq!(DenialCause::of(code, reason), cause, "{reason}");
        }
    }

    #[test]
    fn a_client_that_was_never_let_in_gives_up_after_a_while() {
        let (mut access, begun) = (access(), Instant::now());
        assert_eq!(access.verdict(begun), None);
        assert!(access.hear(C::BrokerTransportFailure, "b: Connection refused", begun).is_none());
        assert!(access.hear(C::Authentication, WRONG_PASSWORD, begun).is_some());
        assert_eq!(access.verdict(begun + FINAL_AFTER / 2), None, "it may have been a slow moment");
        // Another broker's refusal begins nothing anew.
        access.hear(C::Authentication, WRONG_PASSWORD, begun + FINAL_AFTER / 2);
        let verdict = access.verdict(begun + FINAL_AFTER).unwrap();
        assert_eq!(verdict.broker, "127.0.0.1:9093");
        assert_eq!(
            verdict.to_string(),
            "broker 127.0.0.1:9093 does not let user \"orders\" (PLAIN) in: unknown user or wrong \
             password; check sasl.username and the password, and that they go together (SASL \
             authentication error: Authentication failed: Invalid username or password)"
        );
    }

    #[test]
    fn a_client_that_was_let_in_before_goes_on() {
        let (mut access, begun) = (access(), Instant::now());
        access.let_in();
        assert!(access.hear(C::Authentication, WRONG_PASSWORD, begun).is_some(), "it is said");
        assert_eq!(access.verdict(begun + FINAL_AFTER * 100), None);
    }

    #[test]
    fn a_connection_that_ends_too_soon_is_a_hint_and_no_denial() {
        let line = "[thrd:127.0.0.1:9093/bootstrap]: 127.0.0.1:9093/bootstrap: Disconnected: connection \
            closed by peer: receive 0 after POLLIN (after 0ms in state APIVERSION_QUERY)";
        let hint = hint(line).unwrap();
        assert!(
            hint.starts_with(
                "broker 127.0.0.1:9093 ends the connection; does its listener want TLS?"
            ),
            "{hint}"
        );
        assert_eq!(DenialCause::of(C::BrokerTransportFailure, line), None);
        assert_eq!(super::hint("b: Connect to ipv4#… failed (after 0ms in state CONNECT)"), None);
    }

    #[test]
    fn how_often_a_reason_came_again_is_not_part_of_it() {
        let once = "b: Connect to ipv4#… failed: Connection refused (after 0ms in state CONNECT)";
        let often = once.replace("T)", "T, 4 identical error(s) suppressed)");
        assert_eq!(
            (without_count(&often), without_count(once)),
            (once.to_owned(), once.to_owned())
        );
    }

    #[test]
    fn a_denial_that_passes_is_forgotten() {
        let (mut access, begun) = (access(), Instant::now());
        access.hear(C::Authentication, WRONG_PASSWORD, begun);
        access.let_in();
        assert_eq!(access.verdict(begun + FINAL_AFTER), None);
    }

    #[test]
    fn the_verdict_on_a_certificate_names_its_fault() {
        for (error, cause) in [
            (62, DenialCause::HostName),
            (64, DenialCause::HostName),
            (10, DenialCause::CertificateTime),
            (18, DenialCause::UntrustedCertificate),
            (20, DenialCause::UntrustedCertificate),
        ] {
            assert_eq!(DenialCause::of_certificate(error), cause, "{error}");
        }
    }
}
