//! How calls wait: one thread takes the answers off librdkafka's queue and hands each to its caller.
//!
//! Owns that thread and the client. The client ends on that thread, never on one that must finish.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};
use tokio::sync::oneshot;

use super::asker::Asker;
use crate::access::{Access, hint, without_count};
use crate::config::native_config;
use crate::sys::{self, Answer, Came, Fault, Metadata, Request, Topics};
use crate::{ClientConfig, ClientError, ConfigProblems, Denial};

/// How long the thread waits at a time; it is woken when there is nothing to wait for.
const WAIT: Duration = Duration::from_secs(1);

/// Time between two looks whether this client is denied.
const LOOK: Duration = Duration::from_millis(100);

/// How long brokers that are there may take for what they are still asked when the client ends.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// How much longer than librdkafka's own timeout an answer is waited for.
const GRACE: Duration = Duration::from_millis(500);

/// The client and those who wait for it.
pub(super) struct Calls {
    /// None once handed over to the thread.
    native: Option<Arc<Native>>,
    /// Takes the last reference, so that the client ends on the thread.
    hand_over: mpsc::Sender<Arc<Native>>,
    ended: oneshot::Receiver<()>,
    properties: Vec<(String, String)>,
}

struct Native {
    admin: sys::Admin<Listener>,
    asker: Asker,
    waiting: Mutex<Waiting>,
    stopping: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    /// The ticket of the next request.
    next: usize,
    callers: BTreeMap<usize, oneshot::Sender<Answer>>,
}

impl Calls {
    /// Makes the client, which connects by itself, and starts the thread.
    pub(super) fn start(config: &ClientConfig) -> Result<Self, ConfigProblems> {
        let properties = config.admin_properties()?;
        let client: BaseProducer<Listener> = native_config(&properties)
            .create_with_context(Listener::of(&properties))
            .map_err(|error| ConfigProblems::from_kafka(&error, &properties))?;
        let native = Arc::new(Native {
            admin: sys::Admin::new(client),
            asker: Asker::default(),
            waiting: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let (hand_over, handed_over) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let served = Arc::clone(&native);
        thread::Builder::new()
            .name("kurier-admin".to_owned())
            .spawn(move || {
                serve(&served);
                drop(served);
                // The other reference; a request that is still under way may hold a third for a while.
                drop(handed_over.recv());
                // Nobody needs to wait for the end.
                let _ = end.send(());
            })
            .map_err(|error| {
                let reason = format!("the admin client's thread can't be started: {error}");
                ConfigProblems::from(crate::ConfigProblem::new("bootstrap", "", reason))
            })?;
        Ok(Self { native: Some(native), hand_over, ended, properties })
    }

    /// Asks, and waits at most `timeout` (and a little) for the answer.
    pub(super) async fn ask(
        &self,
        request: &Request<'_>,
        timeout: Duration,
    ) -> Result<Answer, Fault> {
        let native = self.native();
        let answer = {
            let (caller, answer) = oneshot::channel();
            let ticket = native.waiting().admit(caller);
            native.admin.ask(ticket, request, timeout).inspect_err(|_| {
                native.waiting().callers.remove(&ticket);
            })?;
            answer
        };
        match tokio::time::timeout(timeout.saturating_add(GRACE), answer).await {
            Ok(Ok(answer)) => answer.fault().map_or(Ok(answer), Err),
            Ok(Err(_)) | Err(_) => Err(Fault {
                code: RDKafkaErrorCode::OperationTimedOut,
                reason: "no answer came".to_owned(),
            }),
        }
    }

    /// What a broker that is up sees. librdkafka has no call for this that doesn't block.
    pub(super) async fn metadata(
        &self,
        topics: Topics,
        timeout: Duration,
    ) -> Result<Metadata, Fault> {
        let native = Arc::clone(self.native());
        blocking(move || sys::metadata(native.admin.client().client(), &topics, timeout)).await
    }

    /// Asks the coordinator of a group, as one that is no member of it. Each request has a client of its
    /// own: one that was told who the coordinator is asks that node for ever.
    pub(super) async fn of_group(
        &self,
        group: &str,
        ask: impl FnOnce(&BaseConsumer<Listener>, &str) -> Result<Answer, Fault> + Send + 'static,
    ) -> Result<Answer, Fault> {
        let (group, properties) = (group.to_owned(), self.properties.clone());
        blocking(move || {
            let client = outsider(&properties, &group)?;
            ask(&client, &group)
        })
        .await
    }

    /// As [`of_group`](Self::of_group), by a client that is shared.
    pub(super) async fn glance<T: Send + 'static>(
        &self,
        group: &str,
        ask: impl FnOnce(&BaseConsumer<Listener>, &str) -> Result<Answer, Fault> + Send + 'static,
        read: impl FnOnce(&Answer) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (group, properties) = (group.to_owned(), self.properties.clone());
        let native = Arc::clone(self.native());
        blocking(move || {
            let question = |client: &_| read(&ask(client, &group)?);
            native.asker.ask(|| outsider(&properties, &group), question)
        })
        .await
    }

    /// Notes that the cluster has just answered.
    pub(super) fn reached(&self) {
        let mut state = self.native().listener().state();
        state.access.let_in();
        (state.ever, state.all_down, state.reason) = (true, false, None);
    }

    /// Ends once it is certain that brokers do not let this client in.
    pub(super) async fn denied(&self) -> ClientError {
        loop {
            tokio::time::sleep(LOOK).await;
            let verdict = {
                let state = self.native().listener().state();
                state.access.verdict(Instant::now()).cloned()
            };
            if let Some(denial) = verdict.filter(|_| !self.was_reached()) {
                return self.explain(denial).await;
            }
        }
    }

    /// The denial that kept a call from being answered, if one did.
    pub(super) async fn denial(&self) -> Option<ClientError> {
        let denial = self.native().listener().state().access.denial().cloned();
        match denial.filter(|_| !self.was_reached()) {
            Some(denial) => Some(self.explain(denial).await),
            None => None,
        }
    }

    async fn explain(&self, denial: Denial) -> ClientError {
        let settings = self.properties.iter().cloned().collect();
        let plain = denial.clone();
        let looking = tokio::task::spawn_blocking(move || denial.looked_into(&settings));
        ClientError::Denied(looking.await.unwrap_or(plain))
    }

    /// As whom this client does things, for an error's words.
    pub(super) fn as_user(&self) -> String {
        self.native().listener().state().access.as_user()
    }

    fn was_reached(&self) -> bool {
        sys::was_reached(self.native().admin.client().client())
    }

    /// Some when no broker can be reached as far as is known, with the reason if there is one.
    pub(super) fn trouble(&self) -> Option<Option<String>> {
        let ever = self.was_reached();
        let state = self.native().listener().state();
        (state.all_down || !(state.ever || ever)).then(|| state.reason.clone())
    }

    /// Ends the client, and waits until that is done.
    pub(super) async fn close(mut self) {
        self.hand_over();
        // The thread sends, or is gone: ended either way.
        let _ = (&mut self.ended).await;
    }

    fn native(&self) -> &Arc<Native> {
        self.native.as_ref().expect("handed over only by the last call")
    }

    fn hand_over(&mut self) {
        let Some(native) = self.native.take() else { return };
        native.stopping.store(true, Ordering::Release);
        native.admin.wake();
        // Refused only by a thread that is gone, and then this was the last reference.
        let _ = self.hand_over.send(native);
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.hand_over();
    }
}

impl Native {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listener(&self) -> &Listener {
        self.admin.client().client().context()
    }

    /// Gives the next answer to whoever waits for it.
    fn hand_out(&self, wait: Duration) {
        if let Came::Answer(ticket, answer) = self.admin.next(wait) {
            let caller = self.waiting().callers.remove(&ticket);
            // A caller that is gone needs no answer.
            let _ = caller.map(|caller| caller.send(answer));
        }
    }
}

impl Waiting {
    fn admit(&mut self, caller: oneshot::Sender<Answer>) -> usize {
        let ticket = self.next;
        self.next = self.next.wrapping_add(1);
        self.callers.insert(ticket, caller);
        ticket
    }
}

/// Puts a question whose call blocks, off the runtime's own threads.
async fn blocking<T: Send + 'static>(
    question: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(question).await.unwrap_or_else(|error| Err(failed(error)))
}

/// A client with a group's name that never subscribes, so that it is no member of it.
fn outsider(properties: &[(String, String)], group: &str) -> Result<BaseConsumer<Listener>, Fault> {
    if group.contains('\0') {
        let reason = "a NUL character in the group's name".to_owned();
        return Err(Fault { code: RDKafkaErrorCode::InvalidArgument, reason });
    }
    let mut config = native_config(properties);
    let client = config.set("group.id", group).set("enable.auto.commit", "false");
    client.create_with_context(Listener::default()).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Fault {
    Fault { code: RDKafkaErrorCode::Fail, reason: error.to_string() }
}

/// The thread's work: hands out answers until it is told to stop, and then takes those that are still on their way.
///
/// What several brokers answer is put together, when the client ends, on the threads of them all, and that ends
/// the process (librdkafka 2.12.1: `rd_kafka_ListConsumerGroups_response_merge` asserts that it is alone).
fn serve(native: &Native) {
    while !native.stopping.load(Ordering::Acquire) {
        native.hand_out(WAIT);
    }
    let end = Instant::now() + LAST_ANSWERS;
    while !native.waiting().callers.is_empty() && !native.listener().state().all_down {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        native.hand_out(left.min(LOOK));
    }
}

/// What is known of the cluster being there.
#[derive(Debug, Default)]
struct Reached {
    ever: bool,
    /// librdkafka has said so, and no answer came since.
    all_down: bool,
    /// What it last said about a connection.
    reason: Option<String>,
    access: Access,
    said: Said,
}

/// Which of librdkafka's warnings were passed on: it repeats them with each attempt to connect, and what
/// they come to is in the error of the call.
#[derive(Debug, Default)]
struct Said(BTreeSet<String>);

impl Said {
    /// Warnings that are told apart.
    const MAX: usize = 64;

    /// True for what was not said before, whatever numbers it ends with.
    fn is_new(&mut self, facility: &str, line: &str) -> bool {
        let news = line.split(" (after ").next().unwrap_or(line);
        self.0.len() < Self::MAX && self.0.insert(format!("{facility}: {news}"))
    }
}

/// Hears librdkafka's errors and logs.
#[derive(Debug, Default)]
pub(super) struct Listener {
    state: Mutex<Reached>,
}

impl Listener {
    fn of(properties: &[(String, String)]) -> Self {
        let state = Reached { access: Access::of(properties), ..Reached::default() };
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, Reached> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        let mut state = self.state();
        if let Some(hint) = hint(line) {
            state.reason = Some(hint);
        }
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning
                // What a property means to producers and consumers is no news to one that is neither.
                if facility != "CONFWARN" && state.said.is_new(facility, line) =>
            {
                tracing::warn!(target: "kurier::admin", "{facility}: {line}");
            }
            _ => tracing::debug!(target: "kurier::admin", "{facility}: {line}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "kurier::admin", "{error}: {reason}");
        let mut state = self.state();
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        state.access.hear(code, reason, Instant::now());
        if code == RDKafkaErrorCode::AllBrokersDown {
            state.all_down = true;
        } else {
            state.reason = Some(hint(reason).unwrap_or_else(|| without_count(reason)));
        }
    }
}

impl ConsumerContext for Listener {}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
