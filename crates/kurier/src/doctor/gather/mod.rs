//! Reads what the checks judge. Decides nothing: what can't be read is noted with the reason.

mod client;
mod groups;
mod listeners;
mod topics;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Doctor;
use super::facts::{BrokerFacts, Facts, Reach, Reading, Settings, TopicFacts, Unread};
use crate::admin::Picture;
use crate::{Admin, ClientError, ConfigEntry, NodeId, TopicDescription};

/// Topics that are looked at; of more it is said that they were not.
const TOPICS_MAX: usize = 1000;

/// Questions in a row, each with the client's own timeout, that everything may take.
const TIMEOUTS: u32 = 3;

/// Everything that can be read.
///
/// # Errors
/// When the cluster does not answer, or not about the topic that was asked for.
pub(super) async fn gather(doctor: &Doctor, admin: &Admin) -> Result<Facts, ClientError> {
    let asking = Asking { admin, until: Instant::now() + admin.timeout() * TIMEOUTS };
    let Picture { cluster, mut topics } = admin.picture().await?;
    if let Some(name) = &doctor.topic
        && !topics.iter().any(|(other, topic)| other == name && topic.is_ok())
    {
        // Another broker may know one that is new; else this says what is wrong: not there, or not for us.
        let described = admin.describe_topic(name).await?;
        topics.retain(|(other, _)| other != name);
        topics.push((name.clone(), Ok(described)));
    }
    let holders: BTreeSet<NodeId> = topics
        .iter()
        .filter_map(|(_, topic)| topic.as_ref().ok())
        .flat_map(|topic| topic.partitions.iter().flat_map(|it| it.replicas.iter().copied()))
        .collect();
    let mut topics_unread = Vec::new();
    let (internal, described) = chosen(doctor, topics, &mut topics_unread);

    let reached = listeners::connect(&cluster.brokers).await;
    let reachable: BTreeSet<NodeId> = reached
        .iter()
        .filter(|(_, reach)| *reach == Reach::Connected)
        .map(|(broker, _)| broker.id)
        .collect();
    let names: Vec<&str> = internal.iter().chain(&described).map(|it| it.name.as_str()).collect();
    let (of_topics, of_brokers) = topics::settings(&asking, &reached, &names).await;
    let brokers = reached
        .into_iter()
        .zip(of_brokers)
        .map(|((broker, reach), settings)| BrokerFacts { broker, reach, settings });
    let brokers = brokers.collect();
    let mut topics = Vec::new();
    for (description, settings) in internal.into_iter().chain(described).zip(of_topics) {
        let latest = topics::latest(&asking, &description, &reachable).await;
        topics.push(TopicFacts { description, settings, latest });
    }
    let (internal, topics): (Vec<_>, Vec<_>) =
        topics.into_iter().partition(|it| it.description.internal);
    let groups = groups::groups(&asking, doctor, &topics, &reachable).await;
    Ok(Facts {
        bootstrap: doctor.client.bootstrap.clone(),
        cluster: cluster.id,
        controller: cluster.controller,
        brokers,
        topics,
        internal,
        holders,
        topics_unread,
        groups: groups.found,
        groups_unread: groups.unread,
        client: client::facts(&doctor.client),
        instances: doctor.instances,
    })
}

/// Kafka's own topics, and those that are looked at.
fn chosen(
    doctor: &Doctor,
    topics: Vec<(String, Result<TopicDescription, ClientError>)>,
    unread: &mut Vec<Unread>,
) -> (Vec<TopicDescription>, Vec<TopicDescription>) {
    let (mut internal, mut chosen) = (Vec::new(), Vec::new());
    let mut left_out = 0;
    for (name, topic) in topics {
        let wanted = doctor.topic.as_ref().is_none_or(|topic| *topic == name);
        match topic {
            Ok(topic) if topic.internal => internal.push(topic),
            Ok(_) if !wanted => {}
            Ok(_) if TOPICS_MAX <= chosen.len() => left_out += 1,
            Ok(topic) => chosen.push(topic),
            Err(error) if wanted => unread.push(Unread(error.to_string())),
            Err(_) => {}
        }
    }
    if 0 < left_out {
        let reason = format!("{left_out} topics beyond the first {TOPICS_MAX}: name one to see it");
        unread.push(Unread(reason));
    }
    (internal, chosen)
}

/// The client to ask, and until when.
struct Asking<'a> {
    admin: &'a Admin,
    until: Instant,
}

impl Asking<'_> {
    /// The answer, unless time is up before it comes.
    async fn ask<T>(&self, question: impl Future<Output = Result<T, ClientError>>) -> Reading<T> {
        let left = self.until.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, question).await {
            Ok(answer) => answer.map_err(|error| Unread(error.to_string())),
            Err(_) => Err(Unread("time was up; a longer --timeout gives more".to_owned())),
        }
    }
}

/// Settings as the checks read them. What a broker does not show is not there.
fn settings(entries: Vec<ConfigEntry>) -> Settings {
    entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
}

/// The partitions that a broker which can be reached leads.
fn askable(
    topic: &TopicDescription,
    reachable: &BTreeSet<NodeId>,
) -> (Vec<crate::TopicPartition>, usize) {
    let all = topic.topic_partitions();
    let led = topic.partitions.iter().zip(&all).filter(|(partition, _)| {
        partition.leader.is_some_and(|leader| reachable.contains(&leader))
    });
    let askable: Vec<_> = led.map(|(_, name)| name.clone()).collect();
    let others = all.len() - askable.len();
    (askable, others)
}

/// How long a connection to a broker may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
