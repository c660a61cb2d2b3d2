//! Settings of topics and brokers, and the latest timestamps of topics.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Asking, askable};
use crate::doctor::facts::{Latest, Reach, Reading, Settings, Unread};
use crate::{Broker, NodeId, TopicDescription};

/// Topics in one question.
const TOPICS_AT_ONCE: usize = 100;

/// The settings of each topic and of each broker, in their order.
///
/// Topics are asked of the first broker that can be reached, together with its own settings: librdkafka
/// would ask the controller, which may be one that cannot be.
pub(super) async fn settings(
    asking: &Asking<'_>,
    brokers: &[(Broker, Reach)],
    names: &[&str],
) -> (Vec<Reading<Settings>>, Vec<Reading<Settings>>) {
    let connected = |(_, reach): &&(Broker, Reach)| *reach == Reach::Connected;
    let via = brokers.iter().find(connected).map(|(broker, _)| broker.id);
    let mut topics: BTreeMap<String, Reading<Settings>> = BTreeMap::new();
    for names in names.chunks(TOPICS_AT_ONCE) {
        match asking.ask(asking.admin.settings(via, names)).await {
            Ok(read) => topics.extend(read.topics.into_iter().map(|(name, read)| {
                (name, read.map(super::settings).map_err(|error| Unread(error.to_string())))
            })),
            Err(why) => {
                topics.extend(names.iter().map(|name| ((*name).to_owned(), Err(why.clone()))));
            }
        }
    }
    let mut own = Vec::new();
    for (broker, reach) in brokers {
        own.push(match reach {
            Reach::Connected => broker_settings(asking, broker.id).await,
            _ => Err(Unread("the broker can't be reached, see advertised-listeners".to_owned())),
        });
    }
    let missing = || Err(Unread("the answer does not tell of it".to_owned()));
    let of_topics = names.iter().map(|name| topics.remove(*name).unwrap_or_else(missing));
    (of_topics.collect(), own)
}

async fn broker_settings(asking: &Asking<'_>, id: NodeId) -> Reading<Settings> {
    let read = asking.ask(asking.admin.settings(Some(id), &[])).await?;
    match read.broker {
        Some(Ok(entries)) => Ok(super::settings(entries)),
        Some(Err(error)) => Err(Unread(error.to_string())),
        None => Err(Unread("the answer does not tell of it".to_owned())),
    }
}

/// The latest timestamp of a topic's records, as far as brokers that can be reached have them.
pub(super) async fn latest(
    asking: &Asking<'_>,
    topic: &TopicDescription,
    reachable: &BTreeSet<NodeId>,
) -> Reading<Latest> {
    let (partitions, others) = askable(topic, reachable);
    if partitions.is_empty() && 0 < others {
        return Err(Unread("no broker that leads a partition of it can be reached".to_owned()));
    }
    let found = asking.ask(asking.admin.latest_times(&partitions)).await?;
    let asked = Timestamp::now();
    let mut of_record = None;
    let mut refused = None;
    for (_, time) in found {
        match time {
            Ok(time) => of_record = of_record.max(time),
            Err(fault) => refused = Some(fault),
        }
    }
    match (of_record, refused) {
        (None, Some(fault)) => Err(Unread(format!("read the latest timestamps: {}", fault.reason))),
        (of_record, _) => Ok(Latest { of_record, asked }),
    }
}
