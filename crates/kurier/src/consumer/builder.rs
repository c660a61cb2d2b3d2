//! The builder that both kinds of consumer share: what is to be consumed, by whom, and how a run ends.

use std::marker::PhantomData;
use std::time::Duration;

use super::event::Listener;
use super::{Batches, ConsumerEvent};
use crate::config::BatchRules;
use crate::handler::Decides;
use crate::{ConsumerConfig, Decoder, HealthHandle, Monitor, RetryPolicy, Security, StartFrom};

/// What becomes of a run when a message can't be handled and there is no dead-letter topic for it. Its
/// partition stops in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// The other partitions go on; the report lists the one that stopped.
    #[default]
    Stop,
    /// The run ends as if it had been asked to; the report lists the partition.
    Exit,
}

/// A consumer in the making; from [`SingleMessageConsumer::builder`](super::SingleMessageConsumer::builder)
/// or [`BatchMessageConsumer::builder`](super::BatchMessageConsumer::builder). Defaults are those of
/// [`ConsumerConfig`]. Everything is checked by `run`, which reports every problem at once.
#[derive(Debug)]
#[must_use = "a consumer does nothing until it runs"]
pub struct ConsumerBuilder<K, D> {
    pub(super) config: ConsumerConfig,
    pub(super) decoder: D,
    pub(super) ends: EndRules,
    pub(super) batch: BatchRules,
    pub(super) decides: Option<Decides>,
    pub(super) listener: Listener,
    pub(super) health: HealthHandle,
    pub(super) monitor: Option<Monitor>,
    kind: PhantomData<fn() -> K>,
}

/// When a run ends by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EndRules {
    pub(crate) at_end: bool,
    /// With `at_end`: nothing that came after the run began is handed to a handler.
    pub(crate) nothing_later: bool,
    pub(crate) idle: Option<Duration>,
    pub(crate) on_failure: OnFailure,
}

impl<K, D> ConsumerBuilder<K, D> {
    pub(super) fn new(config: ConsumerConfig, decoder: D) -> Self {
        Self {
            config,
            decoder,
            ends: EndRules::default(),
            batch: BatchRules::default(),
            decides: None,
            listener: Listener::default(),
            health: HealthHandle::default(),
            monitor: None,
            kind: PhantomData,
        }
    }

    /// The group, shared by all instances. Default: the kind's own, see the consumer.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.config.group = group.into();
        self
    }

    /// This instance's name within the group; the client is called `<group>-<instance>`. Default: the
    /// host's name.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.config.instance = instance.into();
        self
    }

    /// Whether the instance's name is also its static membership (`group.instance.id`): a restart
    /// within the session timeout then moves no partition, but a crash is noticed only after it, and
    /// two processes with one name fence each other, which ends the older one's run with an error.
    /// Default: no.
    pub fn static_membership(mut self, yes: bool) -> Self {
        self.config.static_membership = yes;
        self
    }

    /// How values are read. Default: messages with text content.
    pub fn decoder<E: Decoder>(self, decoder: E) -> ConsumerBuilder<K, E> {
        let Self { config, ends, batch, decides, listener, health, monitor, .. } = self;
        let kind = PhantomData;
        ConsumerBuilder { config, decoder, ends, batch, decides, listener, health, monitor, kind }
    }

    /// How often, and how far apart, a failed message is tried again, and after which errors. Default: 5
    /// attempts, 100 ms to 30 s, after every error. Then it goes to the [dead-letter topic](Self::dead_letter),
    /// or its partition stops.
    pub fn retry(mut self, policy: &RetryPolicy) -> Self {
        self.decides.clone_from(&policy.decides);
        self.config.retry_attempts = policy.attempts() as usize;
        self.config.retry_backoff_min = policy.shortest();
        self.config.retry_backoff_max = policy.longest();
        self
    }

    /// The topic that messages go to which can't be handled: after the last attempt, a rejection, a panic in
    /// the last attempt, or when the value can't be read. Default: none, and their partition stops.
    ///
    /// The copy has the message's own bytes, and headers that say where it comes from and why it is there
    /// ([`DeadLetter`](crate::DeadLetter)). Only when every in-sync replica has it does the message count as
    /// handled; until then its partition waits, others flow, and health says so
    /// ([`Condition::DeadLetterWaiting`](crate::Condition)). When the copy is refused for ever (too large for
    /// the topic, not authorised), the partition stops. A message that comes again after a crash between copy
    /// and commit is copied again.
    ///
    /// The topic must be there when the run begins, unless
    /// [`create_dead_letter`](Self::create_dead_letter) says otherwise, and must not be compacted. It is
    /// one for all topics that are consumed, and none of them.
    pub fn dead_letter(mut self, topic: impl Into<String>) -> Self {
        self.config.dead_letter = Some(topic.into());
        self
    }

    /// Whether the dead-letter topic is created when it is not there: with as many partitions and replicas
    /// as the topic that is consumed has, its `min.insync.replicas`, room for its largest message with the
    /// headers, and without an end of retention, since a dead letter may be the last copy of its message
    /// until someone has looked at it. Default: no.
    pub fn create_dead_letter(mut self, yes: bool) -> Self {
        self.config.create_dead_letter = yes;
        self
    }

    /// Where the group begins in a partition it has no commit for. Default: at the earliest record.
    ///
    /// [`StartFrom::Latest`] and [`StartFrom::Time`] are resolved when the partition is assigned, and
    /// the position found is committed at once. No message is handled before the group has stored it, so
    /// that a crash after that passes nothing over; until then this instance remembers it, also when it
    /// loses the partition and gets it back. A partition that is added to a topic after
    /// the group began is read from its beginning, whatever is said here and whoever runs then: commits say how many
    /// partitions there were, beside their positions. Where they don't, since another tool has set the positions, or an
    /// earlier kurier has, that holds for partitions that are added while this instance runs.
    pub fn from(mut self, from: StartFrom) -> Self {
        self.config.from = from;
        self
    }

    /// Ends the run once every partition of this instance is handled up to the end it had when the run
    /// began. Default: no.
    ///
    /// Ends are taken once, for all partitions of the topics, which must exist by then. With other
    /// members in the group each leaves when its own part is done, and hands it over if another comes
    /// later; an instance that the group gives no partition leaves after 3 s. One whose partitions were
    /// taken away waits for what it is given next. A partition that stopped counts as done; the report
    /// lists it.
    pub fn exit_at_end(mut self, yes: bool) -> Self {
        self.ends.at_end = yes;
        self
    }

    /// As [`exit_at_end`](Self::exit_at_end), and what has come since is left alone: no handler is given it,
    /// and nothing is committed past it.
    pub(crate) fn only_to_end(mut self) -> Self {
        (self.ends.at_end, self.ends.nothing_later) = (true, true);
        self
    }

    /// Ends the run after `silence` without a message, handlers being idle. Default: never. The clock
    /// starts with the first assignment, and anew after times in which nothing could come: without
    /// brokers, without the partitions that a rebalance took, or while the process was frozen.
    pub fn idle_exit(mut self, silence: Duration) -> Self {
        self.ends.idle = Some(silence);
        self
    }

    /// What becomes of the run when a partition stops at a message. Default: the others go on.
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.ends.on_failure = on_failure;
        self
    }

    /// TLS and SASL. Default: neither.
    pub fn security(mut self, security: Security) -> Self {
        self.config.client.security = security;
        self
    }

    /// One of librdkafka's properties, by name or alias; those that would break a promise are refused.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.client.properties.insert(name.into(), value.into());
        self
    }

    /// Several of librdkafka's properties.
    pub fn properties(
        mut self,
        properties: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        for (name, value) in properties {
            self = self.property(name, value);
        }
        self
    }

    /// The function that is told what happens. It must not block: it is called on the thread or task
    /// where it happened. Default: none. One function; a second call replaces the first.
    pub fn on_event(mut self, tell: impl Fn(&ConsumerEvent) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(tell);
        self
    }

    /// Longest time from the stop signal to the end of the run. Default: 25 s. Most of it is for
    /// handlers at work, the rest for the last commit and for leaving the group.
    pub fn shutdown_deadline(mut self, deadline: Duration) -> Self {
        self.config.shutdown_deadline = deadline;
        self
    }

    /// Where the health of the run is to be read; also after the builder has become a run, and after
    /// that run has ended. A clone of the builder, which becomes another run, has another.
    pub fn health(&self) -> HealthHandle {
        self.health.clone()
    }

    /// Puts the run under `monitor`, from its beginning on. Default: none.
    pub fn monitor(mut self, monitor: &Monitor) -> Self {
        self.monitor = Some(monitor.clone());
        self
    }

    /// Time without progress in reading, though there is more to read, after which the health is not
    /// live. Default: 60 s.
    pub fn stall_after(mut self, stall_after: Duration) -> Self {
        self.config.stall_after = stall_after;
        self
    }

    /// The configuration so far, to read.
    pub fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// The configuration so far, to change what has no method of its own.
    pub fn config_mut(&mut self) -> &mut ConsumerConfig {
        &mut self.config
    }
}

impl<D> ConsumerBuilder<Batches, D> {
    /// A batch is full at `count` messages, or `wait` after its first one. Default: 100, 1 s.
    pub fn batch(mut self, count: usize, wait: Duration) -> Self {
        self.batch = BatchRules { count, wait, ..self.batch };
        self
    }

    /// A batch is full at `bytes` of keys, values and headers; one message may exceed it alone.
    /// Default: 1 MiB.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch.bytes = bytes;
        self
    }
}

impl<K, D: Clone> Clone for ConsumerBuilder<K, D> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            decoder: self.decoder.clone(),
            ends: self.ends,
            batch: self.batch,
            decides: self.decides.clone(),
            listener: self.listener.clone(),
            health: HealthHandle::default(),
            monitor: self.monitor.clone(),
            kind: PhantomData,
        }
    }
}

/// One topic or several, by name.
#[derive(Debug, Clone)]
pub struct Topics(pub(crate) Vec<String>);

impl From<&str> for Topics {
    fn from(topic: &str) -> Self {
        Self(vec![topic.to_owned()])
    }
}

impl From<String> for Topics {
    fn from(topic: String) -> Self {
        Self(vec![topic])
    }
}

impl From<&String> for Topics {
    fn from(topic: &String) -> Self {
        Self(vec![topic.clone()])
    }
}

impl<S: Into<String>> From<Vec<S>> for Topics {
    fn from(topics: Vec<S>) -> Self {
        Self(topics.into_iter().map(Into::into).collect())
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for Topics {
    fn from(topics: [S; N]) -> Self {
        Self(topics.into_iter().map(Into::into).collect())
    }
}
