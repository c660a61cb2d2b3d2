//! Topics: how many copies there are, how many must be written, and what is taken.

use std::collections::BTreeSet;

use super::{Check, Says, count, some, topic};
use crate::doctor::facts::{Facts, Settings, TopicFacts};
use crate::doctor::finding::{Mend, Severity};
use crate::doctor::shell::{REPLICAS, in_file, more_replicas, set};
use crate::{PartitionDescription, TopicDescription};

pub(super) const OFFLINE_PARTITIONS: Check = Check {
    id: "offline-partitions",
    title: "partitions without a leader",
    reads: "the leader of each partition, Kafka's own topics included",
    finds: "danger: a partition has no leader",
    why: "a partition without a leader takes no message and gives none until a broker that holds it is back",
    run: offline_partitions,
};

fn offline_partitions(facts: &Facts, says: &mut Says) {
    for it in facts.topics.iter().chain(&facts.internal) {
        let offline = numbers(&it.description, |partition| partition.leader.is_none());
        if !offline.is_empty() {
            let all = it.description.partitions.len();
            let found = format!(
                "no leader: {} of {all} ({})",
                count(offline.len(), "partition"),
                some(&offline)
            );
            let holders: BTreeSet<i32> = (it.description.partitions.iter())
                .filter(|partition| partition.leader.is_none())
                .flat_map(|partition| partition.replicas.iter().map(|id| id.0))
                .collect();
            let holders: Vec<_> = holders.into_iter().collect();
            let advice = format!(
                "start a broker that holds them: {}; an unclean election instead loses records",
                some(&holders)
            );
            says.say(Severity::Danger, topic(it.name()), found, [Mend::advice(advice)]);
        }
    }
}

pub(super) const IN_SYNC_REPLICAS: Check = Check {
    id: "in-sync-replicas",
    title: "replicas that are not in sync",
    reads: "the in-sync replicas of each partition, against its replicas and min.insync.replicas",
    finds: "danger: fewer are in sync than min.insync.replicas asks for; warning: not all are in sync",
    why: "with too few replicas in sync no write with acks=all is taken, and each replica that is missing is a copy less to survive with",
    run: in_sync_replicas,
};

fn in_sync_replicas(facts: &Facts, says: &mut Says) {
    for it in facts.topics.iter().chain(&facts.internal) {
        let described = &it.description;
        let behind = numbers(described, |partition| {
            partition.leader.is_some() && partition.isr.len() < partition.replicas.len()
        });
        if behind.is_empty() {
            continue;
        }
        let settings = it.settings.as_ref().map_err(Clone::clone);
        let wanted = settings.and_then(|settings| settings.number("min.insync.replicas"));
        let wanted = says.read(&topic(it.name()), wanted);
        let wanted = wanted.and_then(|wanted| usize::try_from(wanted).ok()).unwrap_or(1);
        let refusing = numbers(described, |partition| {
            partition.leader.is_some() && partition.isr.len() < wanted
        });
        let mend = Mend::advice(
            "start the brokers that are down; look at the log of those that are up and behind",
        );
        if refusing.is_empty() {
            let (all, few) = (described.partitions.len(), behind.len());
            let found = format!(
                "not all replicas in sync: {} of {all} ({})",
                count(few, "partition"),
                some(&behind)
            );
            says.say(Severity::Warning, topic(it.name()), found, [mend]);
        } else {
            let found = format!(
                "fewer than min.insync.replicas={wanted} in sync, writes are refused: {} ({})",
                count(refusing.len(), "partition"),
                some(&refusing)
            );
            says.say(Severity::Danger, topic(it.name()), found, [mend]);
        }
    }
}

pub(super) const REPLICATION_FACTOR: Check = Check {
    id: "replication-factor",
    title: "topics with fewer than three copies",
    reads: "the replicas of each partition",
    finds: "danger: 1; warning: 2",
    why: "an acknowledged message lives on as many disks as its partition has replicas: with one, the first disk that fails takes it along; with two, one broker that is away leaves either one copy or no writes",
    run: replication_factor,
};

fn replication_factor(facts: &Facts, says: &mut Says) {
    for it in &facts.topics {
        let replication = it.replication();
        let severity = match replication {
            1 => Severity::Danger,
            2 => Severity::Warning,
            _ => continue,
        };
        let thin = numbers(&it.description, |partition| partition.replicas.len() == replication);
        let all = it.description.partitions.len();
        let found = format!(
            "replication factor {replication} ({} of {all}), {REPLICAS} are advised",
            count(thin.len(), "partition")
        );
        says.say(severity, topic(it.name()), found, [more_replicas(facts, it)]);
    }
}

pub(super) const MIN_INSYNC_REPLICAS: Check = Check {
    id: "min-insync-replicas",
    title: "acks=all that waits for too few, or too many",
    reads: "the topic's min.insync.replicas, against its replicas",
    finds: "danger: 1 while there are more replicas, or more than there are replicas; warning: as many as there are replicas",
    why: "acks=all waits for the replicas that are in sync, and min.insync.replicas is how few that may be: with 1 the leader alone acknowledges, and dies with the message; with all of them one broker that is away stops every write",
    run: min_insync_replicas,
};

fn min_insync_replicas(facts: &Facts, says: &mut Says) {
    for_settings(facts, says, |it, settings, says| {
        let subject = topic(it.name());
        let Some(wanted) = says.read(&subject, settings.number("min.insync.replicas")) else {
            return;
        };
        let replicas = i64::try_from(it.replication()).unwrap_or(i64::MAX);
        let most = i64::try_from(REPLICAS).unwrap_or(i64::MAX);
        let found = format!("min.insync.replicas={wanted} with {replicas} replicas");
        let setting = |wanted: i64| set(facts, it.name(), &format!("min.insync.replicas={wanted}"));
        if replicas < wanted {
            says.say(Severity::Danger, subject, found, [setting((replicas - 1).max(1))]);
        } else if wanted < 2 && 1 < replicas {
            // With two replicas the other value stops writes: a third comes first.
            let first = (replicas < most).then(|| more_replicas(facts, it));
            says.say(Severity::Danger, subject, found, first.into_iter().chain([setting(2)]));
        } else if wanted == replicas && 1 < replicas {
            let mend =
                if replicas < most { more_replicas(facts, it) } else { setting(replicas - 1) };
            says.say(Severity::Warning, subject, found, [mend]);
        }
    });
}

pub(super) const UNCLEAN_LEADER_ELECTION: Check = Check {
    id: "unclean-leader-election",
    title: "leaders that may lack what was acknowledged",
    reads: "the topic's unclean.leader.election.enable",
    finds: "danger: true",
    why: "a replica that is not in sync may become leader, and every acknowledged message that it does not have is gone",
    run: unclean_leader_election,
};

fn unclean_leader_election(facts: &Facts, says: &mut Says) {
    const NAME: &str = "unclean.leader.election.enable";
    for_settings(facts, says, |it, settings, says| {
        let subject = topic(it.name());
        if says.read(&subject, settings.flag(NAME)) == Some(true) {
            let mend = set(facts, it.name(), &format!("{NAME}=false"));
            says.say(Severity::Danger, subject, format!("{NAME}=true"), [mend]);
        }
    });
}

pub(super) const MESSAGE_SIZE: Check = Check {
    id: "message-size",
    title: "messages that the topic or the client does not take",
    reads: "the topic's max.message.bytes, against the client's message.max.bytes and receive.message.max.bytes and the brokers' socket.request.max.bytes",
    finds: "danger: the client sends larger messages than the topic takes, or takes smaller answers than its messages; warning: the brokers take smaller requests than the topic's messages",
    why: "a message that is larger than the topic takes is accepted by the client and refused by the broker; one that does not fit an answer stops its partition's reading",
    run: message_size,
};

fn message_size(facts: &Facts, says: &mut Says) {
    for_settings(facts, says, |it, settings, says| {
        let subject = topic(it.name());
        let Some(takes) = says.read(&subject, settings.number("max.message.bytes")) else { return };
        let (producer, consumer) = (&facts.client.producer, &facts.client.consumer);
        if let Some(sends) = says.read(&subject, producer.number("message.max.bytes"))
            && takes < sends
        {
            let found = format!(
                "max.message.bytes={takes}, and this client sends up to message.max.bytes={sends}"
            );
            let less = Mend::advice(format!("or give producers -X message.max.bytes={takes}"));
            // Batches have a header of 61 bytes, beside what each message is framed with.
            let more = set(facts, it.name(), &format!("max.message.bytes={}", sends + 48_588));
            says.say(Severity::Danger, subject.clone(), found, [more, less]);
        }
        if let Some(fits) = says.read(&subject, consumer.number("receive.message.max.bytes"))
            && fits < takes + ANSWER_OVERHEAD
        {
            let found = format!(
                "max.message.bytes={takes} does not fit this client's receive.message.max.bytes={fits}"
            );
            let enough = takes.saturating_add(ANSWER_OVERHEAD);
            let mend =
                Mend::advice(format!("give consumers -X receive.message.max.bytes={enough}"));
            says.say(Severity::Danger, subject.clone(), found, [mend]);
        }
        for (broker, limit) in facts.broker_numbers("socket.request.max.bytes") {
            // Said once for each broker, by the check that reads them all.
            if let Ok(limit) = limit
                && limit < takes
            {
                let found = format!(
                    "max.message.bytes={takes} does not fit socket.request.max.bytes={limit} of broker {broker}"
                );
                let mend =
                    in_file(&format!("socket.request.max.bytes={}", takes.saturating_mul(2)));
                says.say(Severity::Warning, subject.clone(), found, [mend]);
            }
        }
    });
}

/// What librdkafka asks for beside the largest message (`receive.message.max.bytes` in its manual).
const ANSWER_OVERHEAD: i64 = 512;

pub(super) const COMPACTION: Check = Check {
    id: "compaction",
    title: "topics that keep the last message of a key only",
    reads: "the topic's cleanup.policy",
    finds: "warning: it compacts",
    why: "of the messages of one key only the last is kept, whether the others were handled or not, and a message without a key is refused",
    run: compaction,
};

fn compaction(facts: &Facts, says: &mut Says) {
    for_settings(facts, says, |it, settings, says| {
        let subject = topic(it.name());
        let Some(policy) = says.read(&subject, settings.text("cleanup.policy")) else { return };
        if policy.split(',').any(|policy| policy.trim() == "compact") {
            let mend = set(facts, it.name(), "cleanup.policy=delete");
            let more = Mend::advice(
                "or keep it for state: give every message a key, and set min.compaction.lag.ms above the longest lag",
            );
            says.say(Severity::Warning, subject, format!("cleanup.policy={policy}"), [mend, more]);
        }
    });
}

/// Each topic with its settings; that they could not be read is said for it.
pub(super) fn for_settings(
    facts: &Facts,
    says: &mut Says,
    check: impl Fn(&TopicFacts, &Settings, &mut Says),
) {
    for it in &facts.topics {
        match &it.settings {
            Ok(settings) => check(it, settings, says),
            Err(why) => says.not_checked(topic(it.name()), why),
        }
    }
}

/// The numbers of those partitions.
fn numbers(topic: &TopicDescription, which: impl Fn(&PartitionDescription) -> bool) -> Vec<i32> {
    topic.partitions.iter().filter(|it| which(it)).map(|it| it.partition.0).collect()
}
