//! Builds a producer: settings in, a running client and its thread out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::MessageProducer;
use super::books::Books;
use super::client::{Line, Maker, Reaper};
use super::delivery::DeliveryReport;
use super::error::BuildError;
use super::event::ProducerEvent;
use super::keeper::{Feeder, Keeper};
use super::remake::Again;
use super::silence::Silence;
use super::topics::KnownTopics;
use super::traced::TraceSource;
use super::worker::{OnFatal, Stop, Worker};
use crate::access::Access;
use crate::config::native_config;
use crate::health::{HealthHandle, OwnHandle};
use crate::listener::Listener;
use crate::metrics::{self, Figures, ProducerFigures, Watch};
use crate::outbox::{News, Teller};
use crate::{
    ConfigProblems, DeliveryProfile, Monitor, OutboxConfig, ProducerConfig, Security, TraceContext,
    outbox,
};

/// A producer in the making; from [`MessageProducer::builder`]. Defaults are those of
/// [`ProducerConfig`]. Everything is checked by [`build`](Self::build), which reports every problem at
/// once.
#[derive(Debug, Clone)]
#[must_use = "a producer does nothing until it is built"]
pub struct ProducerBuilder {
    config: ProducerConfig,
    on_event: Listener<ProducerEvent>,
    on_delivery: Listener<DeliveryReport>,
    health: OwnHandle,
    monitor: Option<Monitor>,
    trace: TraceSource,
    /// Other than the profile says, for the tests.
    on_fatal: Option<OnFatal>,
}

impl ProducerBuilder {
    pub(super) fn new(config: ProducerConfig) -> Self {
        let (on_event, on_delivery) = (Listener::default(), Listener::default());
        let health = OwnHandle::default();
        let (monitor, trace, on_fatal) = (None, TraceSource::default(), None);
        Self { config, on_event, on_delivery, health, monitor, trace, on_fatal }
    }

    /// Takes the protection away, for controls.
    #[cfg(test)]
    pub(super) fn on_fatal(mut self, on_fatal: OnFatal) -> Self {
        self.on_fatal = Some(on_fatal);
        self
    }

    /// How messages are retried. Default: [`DeliveryProfile::Default`].
    pub fn delivery(mut self, delivery: DeliveryProfile) -> Self {
        self.config.delivery = delivery;
        self
    }

    /// The name that brokers log. Default: `kurier-producer`.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.config.client.client_id = Some(client_id.into());
        self
    }

    /// TLS and SASL. Default: neither.
    pub fn security(mut self, security: Security) -> Self {
        self.config.client.security = security;
        self
    }

    /// One of librdkafka's properties. Those that break the promise are refused by name.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.client.properties.insert(name.into(), value.into());
        self
    }

    /// Several of librdkafka's properties.
    pub fn properties(
        mut self,
        properties: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        let properties = properties.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.config.client.properties.extend(properties);
        self
    }

    /// Bytes accepted and not yet delivered, at which `send` waits. Default: 192 MiB.
    pub fn memory_bytes(mut self, bytes: usize) -> Self {
        self.config.memory_bytes = bytes;
        self
    }

    /// Messages accepted and not yet delivered, at which `send` waits. Default: 500,000.
    pub fn memory_messages(mut self, messages: usize) -> Self {
        self.config.memory_messages = messages;
        self
    }

    /// The largest message: key, value and headers, in bytes. Default: 1,000,000.
    pub fn message_bytes_max(mut self, bytes: usize) -> Self {
        self.config.message_bytes_max = bytes;
        self
    }

    /// How long a batch waits for more messages. Default: 5 ms.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.config.linger = linger;
        self
    }

    /// When an accepted message is given up. Default: never.
    pub fn delivery_deadline(mut self, deadline: Duration) -> Self {
        self.config.delivery_deadline = Some(deadline);
        self
    }

    /// Time without a delivery, with messages waiting, after which the producer says that it waits.
    /// Default: 3 s.
    pub fn stall_after(mut self, stall_after: Duration) -> Self {
        self.config.stall_after = stall_after;
        self
    }

    /// The configuration so far, to change what has no method of its own.
    pub fn config_mut(&mut self) -> &mut ProducerConfig {
        &mut self.config
    }

    /// Keeps every message on disk, in this folder, from its acceptance until it is delivered. A path, or
    /// an [`OutboxConfig`] for more choices. Default: none. Not with the classic profile nor with a
    /// delivery deadline, which give messages up.
    pub fn outbox(mut self, outbox: impl Into<OutboxConfig>) -> Self {
        self.config.outbox = Some(outbox.into());
        self
    }

    /// A function that is told of events, on the producer's own threads: it must not block.
    pub fn on_event(mut self, listener: impl Fn(&ProducerEvent) + Send + Sync + 'static) -> Self {
        self.on_event = Listener::new(listener);
        self
    }

    /// Where the health of the producer is to be read; also after it is built, and after it is closed.
    /// A clone of the builder, which becomes another producer, has another.
    pub fn health(&self) -> HealthHandle {
        self.health.get()
    }

    /// Puts the producer under `monitor` from [`build`](Self::build) on. Default: none.
    pub fn monitor(mut self, monitor: &Monitor) -> Self {
        self.monitor = Some(monitor.clone());
        self
    }

    /// A function that says where its caller is in a trace; `send` and its kin ask it, on the task that
    /// calls them. What it says goes with the message as its header `traceparent` ([W3C Trace Context]),
    /// whose 66 bytes count as the message's. A message that has such a header already keeps it, and
    /// nobody is asked. Default: none, and messages go with the headers they have.
    ///
    /// [W3C Trace Context]: https://www.w3.org/TR/trace-context/
    pub fn trace_context(
        mut self,
        current: impl Fn() -> Option<TraceContext> + Send + Sync + 'static,
    ) -> Self {
        self.trace = TraceSource::new(current);
        self
    }

    /// A function that is told of every delivery and failure, on the producer's own threads: it must not
    /// block. With an outbox it hears of messages of an earlier process too, and not of those that stay
    /// in the outbox. Cheaper than awaiting each [`Delivery`](super::Delivery).
    pub fn on_delivery(
        mut self,
        listener: impl Fn(&DeliveryReport) + Send + Sync + 'static,
    ) -> Self {
        self.on_delivery = Listener::new(listener);
        self
    }

    /// Builds it. The cluster need not be there: messages wait for it. Cancel safe.
    ///
    /// # Errors
    /// Every problem of the configuration, those of the outbox, or the system's when it has no thread to
    /// give.
    pub async fn build(mut self) -> Result<MessageProducer, BuildError> {
        let watch = self.monitor.as_ref().map_or(Watch::Nobody, |_| Watch::Someone);
        let figures = Arc::new(ProducerFigures::new(watch));
        metrics::ask_statistics(watch, &mut self.config.client.properties);
        self.on_event = self.on_event.with_health(self.health.get(), Arc::clone(&figures));
        let properties = self.config.properties()?;
        let config = self.config.checked()?;
        if let Some(monitor) = &self.monitor {
            let name = properties.iter().find(|(name, _)| name == "client.id");
            let name = name.map_or("", |(_, name)| name);
            monitor.watch(name, &self.health.get(), Figures::Producer(Arc::clone(&figures)));
        }
        let keeper = open_outbox(config.outbox.as_ref(), &self.on_event).await?;
        if let Some(keeper) = &keeper {
            figures.has_outbox(keeper.outbox.depth_gauge());
        }
        let maker = Maker::new(native_config(&properties), Arc::clone(&figures));
        let made = maker.make();
        let client = made.map_err(|error| ConfigProblems::from_kafka(&error, &properties))?;
        let client = Arc::new(client);
        let (bytes, messages) = (config.memory_bytes, config.memory_messages);
        let books = Books::new(bytes, messages, Arc::clone(&client), Arc::clone(&figures));
        let books = Arc::new(books);
        let (topics, stop) = (Arc::new(KnownTopics::default()), Arc::new(Stop::default()));
        let (ended, end) = oneshot::channel();
        let on_fatal = self.on_fatal.unwrap_or(match config.delivery {
            DeliveryProfile::Default => OnFatal::Remake,
            DeliveryProfile::OneInFlight => OnFatal::GiveUp,
        });
        let feeder = keeper.as_ref().map(|keeper| {
            let (keeper, books) = (Arc::clone(keeper), Arc::clone(&books));
            let on_delivery = self.on_delivery.clone();
            Feeder { keeper, books, config: config.clone(), on_delivery }
        });
        let feeder = feeder.map(spawn_feeder).transpose()?;
        let worker = Worker {
            line: Line::new(client),
            maker,
            on_fatal,
            books: Arc::clone(&books),
            figures,
            topics: Arc::clone(&topics),
            stop: Arc::clone(&stop),
            deadline: config.delivery_deadline,
            silence: Silence::new(config.stall_after, self.on_event.clone()),
            leaderless: BTreeSet::new(),
            on_event: self.on_event,
            on_delivery: self.on_delivery,
            again: Again::new(),
            reaper: Reaper::new(),
            access: Access::of(&properties),
            refused: None,
            unsent: None,
            keeper: keeper.clone().zip(feeder),
        };
        std::thread::Builder::new()
            .name("kurier-producer".to_owned())
            .spawn(move || worker.run(ended))
            .map_err(|error| {
                if let Some(keeper) = &keeper {
                    keeper.outbox.stop_reading();
                }
                BuildError::Thread(error)
            })?;
        let (trace, end) = (self.trace, tokio::sync::Mutex::new(Some(end)));
        Ok(MessageProducer { config, on_fatal, books, topics, stop, trace, keeper, end })
    }
}

/// Opens the outbox, if there is to be one, off the runtime: it reads all that is there.
async fn open_outbox(
    config: Option<&OutboxConfig>,
    on_event: &Listener<ProducerEvent>,
) -> Result<Option<Arc<Keeper>>, BuildError> {
    let Some(config) = config.cloned() else { return Ok(None) };
    let told = on_event.clone();
    let teller = Teller::new(move |news| {
        told.tell(|| match news {
            News::NotTaking { reason } => {
                ProducerEvent::OutboxNotTaking { reason: reason.to_string() }
            }
            News::Taking => ProducerEvent::OutboxTaking,
            News::Damaged(damage) => ProducerEvent::OutboxDamaged(damage),
        });
    });
    let opened = tokio::task::spawn_blocking(move || outbox::open(&config, teller)).await;
    let outbox = opened.map_err(|error| BuildError::Thread(std::io::Error::other(error)))??;
    let undelivered = outbox.undelivered_before(outbox.next());
    if 0 < undelivered {
        tracing::info!(undelivered, "the outbox has messages of an earlier process");
        on_event.tell(|| ProducerEvent::OutboxReplaying { undelivered });
    }
    Ok(Some(Arc::new(Keeper::new(outbox))))
}

fn spawn_feeder(feeder: Feeder) -> Result<JoinHandle<()>, BuildError> {
    let thread = std::thread::Builder::new().name("kurier-outbox-reader".to_owned());
    thread.spawn(move || feeder.run()).map_err(BuildError::Thread)
}
