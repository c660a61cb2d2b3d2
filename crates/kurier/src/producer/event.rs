//! What a producer tells besides deliveries.

use std::sync::Arc;
use std::time::Instant;

use crate::health::{Absence, HealthHandle, Observed, Phase};
use crate::listener::Listener;
use crate::metrics::ProducerFigures;
use crate::{Condition, Ended, OutboxDamage, TopicPartition};

/// Something that happened to a producer. Each is said once, when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProducerEvent {
    /// No broker answers, or nothing was delivered for `stall_after`; accepted messages wait.
    WaitingForCluster {
        /// What librdkafka last said, or how long it has been silent.
        reason: String,
    },
    /// Messages are delivered again, or a broker answers again.
    ClusterBack,
    /// These partitions have had no leader for 5 s at least, and all others that messages wait for have one;
    /// none: each has one again. What is sent to them waits. Said whenever it changes.
    WithoutLeader {
        /// The partitions, by name.
        partitions: Vec<TopicPartition>,
    },
    /// The client can't go on: another is being made, and `send` waits. Said again when that one breaks
    /// before it has everything.
    Remaking {
        /// Why.
        reason: String,
    },
    /// The new client has every undelivered message, and `send` goes on.
    Remade {
        /// How many messages it was given to send again.
        replayed: usize,
    },
    /// The outbox is full or its disk fails: new messages wait or are refused. What was accepted is safe.
    OutboxNotTaking {
        /// Why.
        reason: String,
    },
    /// The outbox takes new messages again.
    OutboxTaking,
    /// The outbox has messages of an earlier process, which are sent before anything new.
    OutboxReplaying {
        /// How many. Nobody awaits their deliveries; the function set with `on_delivery` hears of them.
        undelivered: u64,
    },
    /// Bytes in the outbox can't be read. They are kept in a file of their own, and what is behind them
    /// is delivered.
    OutboxDamaged(OutboxDamage),
    /// The producer can't go on, and another client could not either; its messages have failed.
    Fatal {
        /// Why.
        reason: String,
    },
}

impl Listener<ProducerEvent> {
    /// Writes down for `health` what the events say, and, when the last clone of this is gone, that the
    /// producer has ended: its thread owns them. Counts them in `figures`.
    pub(super) fn with_health(self, health: HealthHandle, figures: Arc<ProducerFigures>) -> Self {
        health.write(|observed| observed.phase = Phase::Running);
        let health = Noted(health);
        Self::new(move |event| {
            health.0.write(|observed| event.note(observed, Instant::now()));
            figures.note(event);
            self.tell(|| event.clone());
        })
    }
}

impl ProducerEvent {
    fn note(&self, observed: &mut Observed, now: Instant) {
        match self {
            Self::WaitingForCluster { reason } => {
                observed.cluster_away = Some(Absence { since: now, reason: reason.clone() });
            }
            Self::ClusterBack => observed.cluster_away = None,
            Self::WithoutLeader { partitions } => {
                let before = std::mem::take(&mut observed.leaderless);
                let since = |one: &TopicPartition| before.get(one).copied().unwrap_or(now);
                observed.leaderless =
                    partitions.iter().map(|one| (one.clone(), since(one))).collect();
            }
            Self::Remaking { reason } => {
                let since = observed.remaking.as_ref().map_or(now, |remaking| remaking.since);
                observed.remaking = Some(Absence { since, reason: reason.clone() });
            }
            Self::Remade { .. } => observed.remaking = None,
            Self::OutboxNotTaking { reason } => {
                observed.outbox_full = Some(Absence { since: now, reason: reason.clone() });
            }
            Self::OutboxTaking => observed.outbox_full = None,
            Self::OutboxDamaged(damage) => match &mut observed.outbox_damaged {
                Some((_, more)) => *more += 1,
                none => *none = Some((damage.clone(), 0)),
            },
            Self::OutboxReplaying { .. } => {}
            Self::Fatal { reason } => {
                observed.phase = Phase::Failed(Condition::Failed { reason: reason.clone() });
            }
        }
    }
}

struct Noted(HealthHandle);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.write(|observed| {
            if observed.phase == Phase::Running {
                observed.phase = Phase::Ended(Ended::Shutdown);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use std::time::Duration;

    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::{Health, Message, MessageProducer};

    async fn until(what: &str, health: &HealthHandle, is: impl Fn(&Health) -> bool) {
        let looks = async {
            while !is(&health.now()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(60), looks).await;
        ended.unwrap_or_else(|_| panic!("{what}: {}", health.now()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_producer_is_ready_but_for_the_time_without_a_cluster() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("orders", 1, 1).unwrap();
        let builder = MessageProducer::builder(cluster.bootstrap_servers())
            .stall_after(Duration::from_millis(300));
        let (health, other) = (builder.health(), builder.clone().health());
        assert_eq!(health.now().conditions, [Condition::NotStarted]);
        let producer = builder.build().await.unwrap();
        assert!(health.now().is_ready());
        let message = Message::new("hello").unwrap();
        producer.send("orders", &message).await.unwrap().await.unwrap();
        cluster.broker_down(1).unwrap();
        let delivery = producer.send("orders", &message).await.unwrap();
        let waits = |it: &Health| {
            it.is_live() && matches!(it.conditions[..], [Condition::WaitingForCluster { .. }])
        };
        until("it waits", &health, waits).await;
        cluster.broker_up(1).unwrap();
        delivery.await.unwrap();
        until("ready again", &health, Health::is_ready).await;
        assert_eq!(producer.close(Duration::from_secs(10)).await.unsent, []);
        let ended = |it: &Health| it.conditions == [Condition::Ended(Ended::Shutdown)];
        until("ended", &health, ended).await;
        assert_eq!(other.now().conditions, [Condition::NotStarted], "a clone is another producer");
    }

    #[test]
    fn a_producer_that_can_not_go_on_is_not_live_also_after_its_end() {
        let health = HealthHandle::default();
        let listener = Listener::default().with_health(health.clone(), Arc::default());
        listener.tell(|| ProducerEvent::Fatal { reason: "out of order".to_owned() });
        drop(listener);
        let failed = Condition::Failed { reason: "out of order".to_owned() };
        assert_eq!(health.now().conditions, [failed]);
        assert!(!health.now().is_live());
    }
}
