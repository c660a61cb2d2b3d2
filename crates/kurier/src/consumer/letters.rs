//! A run's dead letters: their topic is looked at before anything is consumed, and their producer is
//! closed after everything is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::event::Listener;
use super::{ConsumeError, ConsumerEvent};
use crate::dead_letter::{self, DeadLetterTopicError, DeadLetters};
use crate::health::Absence;
use crate::{Admin, ClientError, ConsumerConfig, HealthHandle};

/// Longest time for one question about the topic.
const QUESTION: Duration = Duration::from_secs(5);
/// Pause before the cluster is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Waits until there is a cluster that has the dead-letter topic, if there is to be one, and makes its
/// producer. The outer `None`: the run is over before.
///
/// # Errors
/// When the topic can't be used.
pub(super) async fn ready(
    config: &ConsumerConfig,
    listener: &Listener,
    health: &HealthHandle,
    shutdown: &CancellationToken,
) -> Result<Option<Option<Arc<DeadLetters>>>, ConsumeError> {
    let Some(topic) = &config.dead_letter else { return Ok(Some(None)) };
    let checking = checked(config, topic, listener, health);
    tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(None),
        checked = checking => checked?,
    }
    let letters = DeadLetters::open(config, topic).await;
    Ok(Some(Some(Arc::new(letters.map_err(ConsumeError::DeadLetterProducer)?))))
}

/// Closes the producer, for which there is time until `until`.
pub(super) async fn close(letters: Option<Arc<DeadLetters>>, until: Instant) {
    if let Some(letters) = letters {
        letters.close(until).await;
    }
}

async fn checked(
    config: &ConsumerConfig,
    topic: &str,
    listener: &Listener,
    health: &HealthHandle,
) -> Result<(), ConsumeError> {
    let admin = Admin::connect(&dead_letter::client(config))?.with_timeout(QUESTION);
    let mut away: Option<Absence> = None;
    let mut missing: Option<Vec<String>> = None;
    loop {
        let reason = match dead_letter::check(&admin, config, topic).await {
            Ok(()) => break,
            Err(DeadLetterTopicError::NoModel { sources, .. }) => {
                let topics = missing.get_or_insert_with(|| {
                    tracing::warn!(
                        topics = sources.join(", "),
                        topic,
                        "waiting for topics; the dead-letter topic is made after them"
                    );
                    let topics = sources.clone();
                    listener.tell(|| ConsumerEvent::WaitingForTopics { topics });
                    sources
                });
                health.write(|observed| {
                    observed.came_round = Some(Instant::now());
                    observed.cluster_away = None;
                    observed.topics_missing = topics.iter().cloned().collect();
                });
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Err(DeadLetterTopicError::Client { source, .. }) if source.is_retriable() => {
                source.to_string()
            }
            Err(DeadLetterTopicError::Client {
                source: source @ ClientError::Denied(_), ..
            }) => {
                let report = Box::default();
                return Err(ConsumeError::Failed { source, report });
            }
            Err(error) => return Err(error.into()),
        };
        let absence = away.get_or_insert_with(|| {
            tracing::warn!(
                reason,
                topic,
                "waiting for the cluster, to look at the dead-letter topic"
            );
            listener.tell(|| ConsumerEvent::WaitingForCluster { reason: reason.clone() });
            Absence { since: Instant::now(), reason }
        });
        health.write(|observed| {
            observed.came_round = Some(Instant::now());
            observed.cluster_away = Some(absence.clone());
        });
        tokio::time::sleep(AGAIN).await;
    }
    if away.is_some() || missing.is_some() {
        tracing::info!("what was waited for is there");
        listener.tell(|| ConsumerEvent::ClusterBack);
    }
    admin.close().await;
    Ok(())
}
