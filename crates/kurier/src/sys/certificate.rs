//! Why a broker's certificate was not accepted: OpenSSL's own verdict, which librdkafka's error leaves out
//! ("certificate verify failed", whatever was wrong).
//!
//! It takes a client of its own, since librdkafka tells it to a callback that is set before a client is
//! made. The verdict stands: the callback only writes it down.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::bindings as rd;
use rdkafka::client::Client;
use rdkafka::types::RDKafkaType;

/// What was wrong with the certificate of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadCertificate {
    /// `host:port`.
    pub(crate) broker: String,
    /// OpenSSL's `X509_V_ERR_…`.
    pub(crate) error: i32,
}

/// Connects with these settings, and says what is wrong with the first certificate that is not accepted.
/// Blocks for at most `wait`. `None`: none was wrong, or the client could not be made.
pub(crate) fn bad_certificate(
    settings: &rdkafka::ClientConfig,
    wait: Duration,
) -> Option<BadCertificate> {
    let native = settings.create_native_config().ok()?;
    // SAFETY: the configuration is ours until the client takes it over, and `verdict` fits the type.
    unsafe { rd::rd_kafka_conf_set_ssl_cert_verify_cb(native.ptr(), Some(verdict)) };
    let kind = RDKafkaType::RD_KAFKA_PRODUCER;
    let client = Client::new(settings, native, kind, Witness::default()).ok()?;
    let end = Instant::now() + wait;
    loop {
        // Makes it connect. The answer is the callback's; that no broker answers is why we ask.
        let reached = client.fetch_metadata(None, LOOK).is_ok();
        let seen = client.context().seen().take();
        if seen.is_some() || reached || end <= Instant::now() {
            return seen;
        }
    }
}

/// Time between two looks at what the callback has written down.
const LOOK: Duration = Duration::from_millis(200);

/// The first that was wrong.
#[derive(Default)]
struct Witness(Mutex<Option<BadCertificate>>);

impl Witness {
    fn seen(&self) -> MutexGuard<'_, Option<BadCertificate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Witness {}

/// librdkafka's `ssl_cert_verify_cb`: called for each certificate of a chain with OpenSSL's verdict, which
/// stands when it is returned as it is.
unsafe extern "C" fn verdict(
    _client: *mut rd::rd_kafka_t,
    broker: *const c_char,
    _id: i32,
    error: *mut c_int,
    _depth: c_int,
    _certificate: *const c_char,
    _size: usize,
    _reason: *mut c_char,
    _reason_size: usize,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: librdkafka gives a valid error and a terminated name for the length of the call. The opaque
    // is the client's context, which rdkafka sets and keeps until librdkafka's threads have ended.
    let (error, broker, witness) =
        unsafe { (*error, CStr::from_ptr(broker), &*opaque.cast::<Witness>()) };
    if error != 0 {
        let broker = broker.to_string_lossy().into_owned();
        witness.seen().get_or_insert(BadCertificate { broker, error });
    }
    c_int::from(error == 0)
}
