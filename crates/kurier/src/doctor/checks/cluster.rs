//! The cluster as a whole: its brokers, the topic of offsets, clocks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Check, Says, brokers, count, some};
use crate::NodeId;
use crate::doctor::facts::{BrokerFacts, Facts, Reading};
use crate::doctor::finding::{Mend, Severity, Subject};
use crate::doctor::shell::{REPLICAS, in_file, more_replicas, set};

pub(super) const BROKERS: Check = Check {
    id: "brokers",
    title: "brokers that are down",
    reads: "the brokers that are up, against those that hold partitions",
    finds: "warning: one that holds partitions is not up",
    why: "what the broker holds has a copy less, and the next one that dies may take the last, or stop writes",
    run: brokers_up,
};

fn brokers_up(facts: &Facts, says: &mut Says) {
    let up: Vec<NodeId> = facts.brokers.iter().map(|it| it.broker.id).collect();
    let down: Vec<NodeId> = facts.holders.iter().copied().filter(|id| !up.contains(id)).collect();
    if !down.is_empty() {
        let all = up.len() + down.len();
        let found = format!("{} of {} up; not up: {}", up.len(), count(all, "broker"), some(&down));
        let mend = Mend::advice(format!("start {}", brokers(&down)));
        says.say(Severity::Warning, Subject::Cluster, found, [mend]);
    }
}

pub(super) const CONTROLLER: Check = Check {
    id: "controller",
    title: "no controller",
    reads: "the controller that a broker names; one of a KRaft cluster always names some broker",
    finds: "danger: none",
    why: "without a controller no leader is elected: the partitions of the next broker that dies stand still",
    run: controller,
};

fn controller(facts: &Facts, says: &mut Says) {
    if facts.controller.is_none() {
        let advice =
            "start the controllers until most of them are up; their log says what they wait for";
        says.say(
            Severity::Danger,
            Subject::Cluster,
            "there is no controller",
            [Mend::advice(advice)],
        );
    }
}

pub(super) const OFFSETS_TOPIC: Check = Check {
    id: "offsets-topic",
    title: "commits with fewer than three copies",
    reads: "the replicas of __consumer_offsets, and its min.insync.replicas; before it is there, offsets.topic.replication.factor of the brokers",
    finds: "danger: 1 replica; warning: 2, or a commit may be kept by one replica alone",
    why: "commits live in this topic: when they are lost, every group starts over or, with auto.offset.reset=latest, passes over what it had not handled",
    run: offsets_topic,
};

fn offsets_topic(facts: &Facts, says: &mut Says) {
    let Some(offsets) = facts.internal.iter().find(|it| it.name() == OFFSETS) else {
        return offsets_topic_to_be(facts, says);
    };
    let replication = offsets.replication();
    let found = format!("{OFFSETS} has replication factor {replication}, {REPLICAS} are advised");
    match replication {
        1 => says.say(Severity::Danger, Subject::Cluster, found, [more_replicas(facts, offsets)]),
        2 => says.say(Severity::Warning, Subject::Cluster, found, [more_replicas(facts, offsets)]),
        _ => {}
    }
    let settings = offsets.settings.as_ref().map_err(Clone::clone);
    let wanted = settings.and_then(|settings| settings.number("min.insync.replicas"));
    if let Some(wanted) = says.read(&Subject::Cluster, wanted)
        && wanted < 2
        && 2 < replication
    {
        let found = format!("{OFFSETS} has min.insync.replicas={wanted}");
        let mend = set(facts, OFFSETS, "min.insync.replicas=2");
        says.say(Severity::Warning, Subject::Cluster, found, [mend]);
    }
}

fn offsets_topic_to_be(facts: &Facts, says: &mut Says) {
    const NAME: &str = "offsets.topic.replication.factor";
    let Some(replicas) = everywhere(says, facts.broker_numbers(NAME)) else { return };
    for (value, ids) in by_value(replicas) {
        let severity = match value {
            ..=1 => Severity::Danger,
            2 => Severity::Warning,
            _ => continue,
        };
        let found = format!("{NAME}={value} on {}", brokers(&ids));
        let mend = in_file(&format!("{NAME}={REPLICAS}"));
        says.say(severity, Subject::Cluster, found, [mend]);
    }
}

const OFFSETS: &str = "__consumer_offsets";

pub(super) const OFFSETS_RETENTION: Check = Check {
    id: "offsets-retention",
    title: "commits that are soon forgotten",
    reads: "offsets.retention.minutes of the brokers",
    finds: "warning: less than a day",
    why: "a group without members loses its commits after this time, and then starts over or passes over what it had not handled",
    run: offsets_retention,
};

fn offsets_retention(facts: &Facts, says: &mut Says) {
    const NAME: &str = "offsets.retention.minutes";
    let Some(minutes) = everywhere(says, facts.broker_numbers(NAME)) else { return };
    for (value, ids) in by_value(minutes).into_iter().filter(|(value, _)| *value < 24 * 60) {
        let found = format!("{NAME}={value} on {}", brokers(&ids));
        let mend = in_file(&format!("{NAME}=10080"));
        says.say(Severity::Warning, Subject::Cluster, found, [mend]);
    }
}

pub(super) const AUTO_CREATE_TOPICS: Check = Check {
    id: "auto-create-topics",
    title: "topics that come up by a misspelt name",
    reads: "auto.create.topics.enable and default.replication.factor of the brokers",
    finds: "warning: topics are created by naming them",
    why: "a misspelt name becomes a topic with the brokers' default replicas, where messages are acknowledged and nobody handles them",
    run: auto_create_topics,
};

fn auto_create_topics(facts: &Facts, says: &mut Says) {
    const NAME: &str = "auto.create.topics.enable";
    let flag = |broker: &BrokerFacts| {
        broker.settings.as_ref().map_err(Clone::clone)?.flag(NAME).map(i64::from)
    };
    let flags = facts.brokers.iter().map(|it| (it.broker.id, flag(it)));
    let Some(flags) = everywhere(says, flags) else { return };
    let on: Vec<NodeId> = flags.iter().filter(|(_, on)| *on == 1).map(|(id, _)| *id).collect();
    if on.is_empty() {
        return;
    }
    let replicas = facts.broker_numbers("default.replication.factor").find_map(|(_, it)| it.ok());
    let such = replicas.map_or_else(String::new, |replicas| {
        format!("; such topics have default.replication.factor={replicas}")
    });
    let found = format!("{NAME}=true on {}{such}", brokers(&on));
    says.say(Severity::Warning, Subject::Cluster, found, [in_file(&format!("{NAME}=false"))]);
}

pub(super) const CLOCK_SKEW: Check = Check {
    id: "clock-skew",
    title: "clocks that are ahead",
    reads: "the latest timestamp of the topics' records and of commits, against this host's clock; so only a clock that is ahead of it shows, and who is behind does not",
    finds: "warning: more than 2 s ahead",
    why: "retention, the expiry of commits and a start at a time go by these clocks, and a producer's record is refused once it is message.timestamp.after.max.ms ahead of its broker",
    run: clock_skew,
};

/// Clocks that are kept by NTP are well within it.
const SKEW: Duration = Duration::from_secs(2);

fn clock_skew(facts: &Facts, says: &mut Says) {
    let offsets = facts.internal.iter().filter(|it| it.name() == OFFSETS);
    for it in facts.topics.iter().chain(offsets) {
        let subject = super::topic(it.name());
        let latest = it.latest.as_ref().map_err(Clone::clone);
        let Some(latest) = says.read(&subject, latest) else { continue };
        let Some(record) = latest.of_record else { continue };
        let ahead = latest.asked.duration_until(record);
        if ahead <= jiff::SignedDuration::try_from(SKEW).unwrap_or_default() {
            continue;
        }
        let by_broker = it.name() == OFFSETS
            || it.settings.as_ref().is_ok_and(|settings| {
                settings.text("message.timestamp.type") == Ok("LogAppendTime")
            });
        let whose =
            if by_broker { "a broker's clock" } else { "a producer's clock, or the time it gave" };
        let found =
            format!("a record is {:.1} s ahead of this host's clock: {whose}", ahead.as_secs_f64());
        let mend = Mend::command(
            "compare the clocks of brokers, producers and this host, and keep them with NTP",
            "chronyc tracking",
        );
        says.say(Severity::Warning, subject, found, [mend]);
    }
}

pub(super) const EVERYTHING_SEEN: Check = Check {
    id: "everything-seen",
    title: "topics and groups that were not looked at",
    reads: "whether every topic and group that there is was looked at",
    finds: "not checked: those that were left out, and why",
    why: "what is not looked at may be in danger all the same",
    run: everything_seen,
};

fn everything_seen(facts: &Facts, says: &mut Says) {
    for why in facts.topics_unread.iter().chain(&facts.groups_unread) {
        says.not_checked(Subject::Cluster, why);
    }
}

/// What every broker said that could be asked; for the others it is said why not. `None`: nobody did.
fn everywhere(
    says: &mut Says,
    read: impl Iterator<Item = (NodeId, Reading<i64>)>,
) -> Option<Vec<(NodeId, i64)>> {
    let found = read.filter_map(|(id, value)| Some((id, says.read(&Subject::Broker(id), value)?)));
    let found: Vec<_> = found.collect();
    (!found.is_empty()).then_some(found)
}

/// The values there are, each with the brokers that have it.
fn by_value(found: Vec<(NodeId, i64)>) -> BTreeMap<i64, Vec<NodeId>> {
    let mut by_value = BTreeMap::<i64, Vec<NodeId>>::new();
    for (id, value) in found {
        by_value.entry(value).or_default().push(id);
    }
    by_value
}
