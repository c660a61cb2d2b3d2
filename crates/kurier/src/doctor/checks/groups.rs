//! Groups: their commits, their members, and the partitions there are for them.

use super::{Check, Says, count, group, some, time, topic};
use crate::GroupState;
use crate::doctor::facts::{Facts, GroupFacts};
use crate::doctor::finding::{Mend, Severity, Subject};
use crate::doctor::shell::{kurier, quoted};

pub(super) const COMMIT_PAST_END: Check = Check {
    id: "commit-past-end",
    title: "commits past the end of a log that was cut",
    reads: "each group's commits, against the ends of their partitions",
    finds: "danger: a commit is past the end",
    why: "the log was cut off behind the commit, by an unclean election or because the topic was made anew: new messages below the commit are not given to the group, or all old ones again",
    run: commit_past_end,
};

fn commit_past_end(facts: &Facts, says: &mut Says) {
    for it in &facts.groups {
        let subject = group(&it.name);
        // That commits could not be read is said by retention-against-lag.
        let Ok(backlog) = &it.backlog else { continue };
        let mut places = Vec::new();
        for row in backlog {
            let Some(end) = says.read(&subject, row.end.clone()) else { continue };
            if end < row.committed {
                places
                    .push(format!("{} committed {}, ends at {end}", row.partition, row.committed));
            }
        }
        if let Some(first) = places.first() {
            let name = first.split('[').next().unwrap_or_default().to_owned();
            let command = kurier(
                facts,
                &format!(
                    "group reset {} --topic {} --to earliest",
                    quoted(&it.name),
                    quoted(&name)
                ),
            );
            let mend = Mend::command(
                "find out what cut the log; then, with its members stopped, set the group back: this shows what would change, and with --execute it does",
                command,
            );
            says.say(
                Severity::Danger,
                subject,
                format!("a commit is past the end: {}", some(&places)),
                [mend],
            );
        }
    }
}

pub(super) const IDLE_GROUP: Check = Check {
    id: "idle-group",
    title: "groups that nobody works for",
    reads: "groups without members that have commits, against offsets.retention.minutes",
    finds: "warning: there is something left to handle; note: there is not; note: a group that was named is not there",
    why: "nobody handles its messages, and its commits are dropped some time after the last member left; then it starts over or, with auto.offset.reset=latest, passes over the rest",
    run: idle_group,
};

fn idle_group(facts: &Facts, says: &mut Says) {
    let minutes =
        facts.broker_numbers("offsets.retention.minutes").filter_map(|(_, it)| it.ok()).min();
    let kept = minutes.map_or_else(String::new, |minutes| {
        format!("; its commits are kept for {} after that", time(minutes.saturating_mul(60_000)))
    });
    for it in &facts.groups {
        let subject = group(&it.name);
        let description = it.description.as_ref().map_err(Clone::clone);
        let Some(description) = says.read(&subject, description) else { continue };
        let Some(description) = description else {
            let advice = Mend::advice(
                "it comes up with its first member; check the name, and that its consumers run",
            );
            says.say(Severity::Note, subject, "there is no such group", [advice]);
            continue;
        };
        let backlog = it.backlog.as_deref().unwrap_or_default();
        if description.state != GroupState::Empty || backlog.is_empty() {
            continue;
        }
        let lag: i64 = backlog
            .iter()
            .map(|row| row.end.as_ref().map_or(0, |end| (end.0 - row.committed.0).max(0)))
            .sum();
        let severity = if 0 < lag { Severity::Warning } else { Severity::Note };
        let found = format!("no members, lag {lag}{kept}");
        let mend = Mend::command(
            "see what is left, and start its consumers",
            kurier(facts, &format!("group describe {}", quoted(&it.name))),
        );
        says.say(severity, subject, found, [mend]);
    }
}

pub(super) const PARTITIONS: Check = Check {
    id: "partitions",
    title: "fewer partitions than instances",
    reads: "the partitions of a topic, against --instances; the members of a group that own none",
    finds: "warning: an instance has no partition",
    why: "a partition goes to one instance of a group: one without any handles nothing, and the lag that it was started for stays until retention reaches it",
    run: partitions,
};

fn partitions(facts: &Facts, says: &mut Says) {
    if let Some(instances) = facts.instances {
        for it in &facts.topics {
            let there = it.description.partitions.len();
            if there < instances {
                let found =
                    format!("{} for {}", count(there, "partition"), count(instances, "instance"));
                says.say(
                    Severity::Warning,
                    topic(it.name()),
                    found,
                    [more(facts, it.name(), instances)],
                );
            }
        }
        return;
    }
    for it in &facts.groups {
        without_partitions(it, facts, says);
    }
}

/// Members that have nothing, in a group that has come to rest.
fn without_partitions(it: &GroupFacts, facts: &Facts, says: &mut Says) {
    let Ok(Some(description)) = &it.description else { return };
    let members = &description.members;
    let idle: Vec<_> = members.iter().filter(|member| member.partitions.is_empty()).collect();
    if description.state != GroupState::Stable || idle.is_empty() {
        return;
    }
    let owned = members.iter().flat_map(|member| &member.partitions);
    let mut topics: Vec<String> = owned.map(|it| it.topic.to_string()).collect();
    let partitions = topics.len();
    topics.sort();
    topics.dedup();
    let names: Vec<_> = idle.iter().map(|member| member.client_id.as_str()).collect();
    let found = format!(
        "{} for {}: {} without any ({})",
        count(partitions, "partition"),
        count(members.len(), "member"),
        idle.len(),
        some(&names)
    );
    let mends = topics.first().map(|name| more(facts, name, members.len()));
    says.say(Severity::Warning, Subject::Group(it.name.clone()), found, mends);
}

fn more(facts: &Facts, name: &str, partitions: usize) -> Mend {
    let command = kurier(facts, &format!("topic alter {} --partitions {partitions}", quoted(name)));
    Mend::command(
        "add partitions, or run fewer instances; keys move to other partitions, so let the group catch up first where order counts",
        command,
    )
}
