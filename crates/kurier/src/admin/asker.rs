//! The client by which many groups are looked at: it belongs to none of them.
//!
//! Owns how long one lasts. It is shared, since hundreds of groups would else be hundreds of clients, and not
//! for long: a client that was told who a coordinator is may ask that node for ever, and one that nobody
//! polls keeps what it is told of errors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;

use super::calls::Listener;
use crate::ClientError;
use crate::sys::Fault;

/// How long one is used.
const LASTS: Duration = Duration::from_secs(60);

/// How many there may be: the one that is used now, those that questions are still put to, and those on their
/// way out. Then the one that is used now stays, until it gets on again.
const ALIVE_MAX: usize = 9;

/// The client that is used now, if there is one.
#[derive(Default)]
pub(super) struct Asker {
    made: Mutex<Option<Made>>,
    /// Grows under the lock alone.
    alive: Arc<AtomicUsize>,
}

struct Made {
    client: Arc<Shared>,
    at: Instant,
}

/// A client whose end nobody waits for. It may never come: one whose question waits for a coordinator that has
/// just died is sometimes not let go of (librdkafka 2.12.1, `rd_kafka_destroy` waits for a broker's thread).
struct Shared {
    /// None once it ends.
    client: Option<BaseConsumer<Listener>>,
    /// Counts it until it is gone.
    alive: Arc<AtomicUsize>,
}

impl Asker {
    /// Puts a question to the client that is used now, or to a new one. After an answer that could be the
    /// fault of what the client was told before, nobody else gets it.
    pub(super) fn ask<T>(
        &self,
        make: impl FnOnce() -> Result<BaseConsumer<Listener>, Fault>,
        question: impl FnOnce(&BaseConsumer<Listener>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let shared = self.client(make)?;
        let client = shared.client.as_ref().expect("taken by its end alone");
        question(client).inspect_err(|fault| {
            if ClientError::from_code("", fault.code, "").is_retriable() {
                self.retire(&shared);
            }
        })
    }

    fn client(
        &self,
        make: impl FnOnce() -> Result<BaseConsumer<Listener>, Fault>,
    ) -> Result<Arc<Shared>, Fault> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(Made { client, at }) = &*made
            && (now.duration_since(*at) < LASTS || self.are_too_many())
        {
            return Ok(Arc::clone(client));
        }
        let client = Some(make()?);
        self.alive.fetch_add(1, Ordering::Relaxed);
        let client = Arc::new(Shared { client, alive: Arc::clone(&self.alive) });
        *made = Some(Made { client: Arc::clone(&client), at: now });
        Ok(client)
    }

    fn retire(&self, client: &Arc<Shared>) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let current = made.as_ref().is_some_and(|made| Arc::ptr_eq(&made.client, client));
        if current && !self.are_too_many() {
            *made = None;
        }
    }

    fn are_too_many(&self) -> bool {
        ALIVE_MAX <= self.alive.load(Ordering::Relaxed)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let (client, alive) = (self.client.take(), Arc::clone(&self.alive));
        let end = move || {
            drop(client);
            alive.fetch_sub(1, Ordering::Relaxed);
        };
        if let Err(error) = thread::Builder::new().name("kurier-asker-end".to_owned()).spawn(end) {
            // It ended here, with the closure that was to be sent.
            self.alive.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(target: "kurier::admin", %error, "no thread to end a client on");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use rdkafka::error::RDKafkaErrorCode;

    use super::*;

    fn make() -> Result<BaseConsumer<Listener>, Fault> {
        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1").set("group.id", "g");
        let client = config.create_with_context(Listener::default());
        client.map_err(|error| {
            let reason = error.to_string();
            Fault { code: RDKafkaErrorCode::Fail, reason }
        })
    }

    fn passing() -> Fault {
        let code = RDKafkaErrorCode::NotCoordinator;
        Fault { code, reason: "elsewhere".to_owned() }
    }

    /// Each client is held by a question that waits, and retired by another that fails at once.
    #[test]
    fn however_many_are_retired_only_so_many_clients_are_there() {
        let asker = Asker::default();
        let alive = || asker.alive.load(Ordering::Relaxed);
        thread::scope(|scope| {
            let mut held = Vec::new();
            for _ in 0..3 * ALIVE_MAX {
                let (begun, begins) = mpsc::channel();
                let (release, released) = mpsc::channel::<()>();
                let asker = &asker;
                scope.spawn(move || {
                    asker.ask(make, |_| {
                        begun.send(()).expect("it waits");
                        // Until the sender is gone.
                        let _ = released.recv();
                        Ok(())
                    })
                });
                begins.recv().expect("it begins");
                held.push(release);
                assert!(asker.ask(make, |_| Err::<(), _>(passing())).is_err());
                assert!(alive() <= ALIVE_MAX, "{} clients", alive());
            }
            assert_eq!(alive(), ALIVE_MAX);
            assert!(asker.ask(make, |_| Ok(())).is_ok(), "one of them is asked");
            drop(held);
        });
        let begun = Instant::now();
        while 1 < alive() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} clients do not end", alive());
            thread::sleep(Duration::from_millis(10));
        }
        assert!(asker.ask(make, |_| Err::<(), _>(passing())).is_err());
        assert!(asker.ask(make, |_| Ok(())).is_ok(), "it gets on with a new one");
    }
}
