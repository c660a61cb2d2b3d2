//! What happened between two looks. *Pure.*
//!
//! When a broker dies, thousands of partitions may change at once: beyond a few, changes of one kind
//! become one event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::journal::Note;
use super::lag::{GroupLook, Member};
use super::looks::ClusterLook;
use crate::view::{EventKind, Severity};

/// How many changes of one kind are told one by one.
const ONE_BY_ONE: usize = 20;

/// Topics that came or went, leaders that changed, replicas that fell out of sync or came back.
pub(crate) fn of_cluster(before: &ClusterLook, after: &ClusterLook) -> Vec<Note> {
    let mut notes = listing("topic", before.topics.keys(), after.topics.keys());
    notes.extend(leaders(before, after));
    notes.extend(in_sync(before, after));
    notes
}

/// Things that are new or gone, by name.
pub(crate) fn listing<'a>(
    what: &str,
    before: impl Iterator<Item = &'a Arc<str>>,
    after: impl Iterator<Item = &'a Arc<str>>,
) -> Vec<Note> {
    let (before, after): (BTreeSet<_>, BTreeSet<_>) = (before.collect(), after.collect());
    let mut notes = Vec::new();
    for (names, text) in [(after.difference(&before), "new"), (before.difference(&after), "gone")] {
        let names: Vec<_> = names.collect();
        let note = |subject, text| Note::new(EventKind::Listing, Severity::Info, subject, text);
        if ONE_BY_ONE < names.len() {
            let text = format!("{} {what}s are {text}", names.len());
            notes.push(note(format!("{what}s"), text));
        } else {
            let each =
                names.iter().map(|name| note(format!("{what} {name}"), format!("is {text}")));
            notes.extend(each);
        }
    }
    notes
}

fn leaders(before: &ClusterLook, after: &ClusterLook) -> Vec<Note> {
    let mut changed = Vec::new();
    for (name, topic) in &after.topics {
        let Some(old) = before.topics.get(name) else { continue };
        for (partition, old) in topic.partitions.iter().zip(&old.partitions) {
            if partition.number == old.number && partition.leader != old.leader {
                changed.push((
                    format!("{name}-{}", partition.number),
                    old.leader,
                    partition.leader,
                ));
            }
        }
    }
    let note = |subject, was: Option<i32>, is: Option<i32>, has: &str| {
        let (severity, text) = match (was, is) {
            (was, None) => (Severity::Error, format!("{has} no leader; {}", led(was))),
            (was, Some(is)) => (Severity::Info, format!("{has} leader {is} now; {}", led(was))),
        };
        Note::new(EventKind::Leader, severity, subject, text)
    };
    if changed.len() <= ONE_BY_ONE {
        return changed.into_iter().map(|(name, was, is)| note(name, was, is, "has")).collect();
    }
    let mut moves: BTreeMap<_, usize> = BTreeMap::new();
    for (_, was, is) in changed {
        *moves.entry((was, is)).or_default() += 1;
    }
    let all = moves.into_iter();
    all.map(|((was, is), count)| note(format!("{count} partitions"), was, is, "have")).collect()
}

fn led(by: Option<i32>) -> String {
    by.map_or_else(
        || "nobody led before".to_owned(),
        |broker| format!("broker {broker} led before"),
    )
}

/// Per topic: how many of its partitions lost or regained replicas in sync.
fn in_sync(before: &ClusterLook, after: &ClusterLook) -> Vec<Note> {
    let mut changed = Vec::new();
    for (name, topic) in &after.topics {
        let Some(old) = before.topics.get(name) else { continue };
        let under = |look: &super::looks::TopicLook| {
            look.partitions.iter().filter(|partition| partition.is_under_replicated()).count()
        };
        let (was, is) = (under(old), under(topic));
        if was != is {
            changed.push((name, was, is, topic.partitions.len()));
        }
    }
    let note = |subject, was: usize, is: usize, of: usize| {
        let (severity, text) = match is {
            0 => (Severity::Info, "all replicas are in sync again".to_owned()),
            _ => {
                let severity = if was < is { Severity::Warning } else { Severity::Info };
                let text =
                    format!("{is} of {of} partitions lack replicas in sync; {was} did before");
                (severity, text)
            }
        };
        Note::new(EventKind::InSync, severity, subject, text)
    };
    if changed.len() <= ONE_BY_ONE {
        let each = changed.into_iter();
        return each
            .map(|(name, was, is, of)| note(format!("topic {name}"), was, is, of))
            .collect();
    }
    let (was, is, of) = changed
        .iter()
        .fold((0, 0, 0), |sums, (_, was, is, of)| (sums.0 + was, sums.1 + is, sums.2 + of));
    vec![note(format!("{} topics", changed.len()), was, is, of)]
}

/// What happened to a group: members that came or went, or partitions handed out anew.
pub(crate) fn of_group(name: &str, before: &GroupLook, after: &GroupLook) -> Option<Note> {
    let (before, after) = (before.members.as_ref()?, after.members.as_ref()?);
    let ids = |members: &[Member]| -> BTreeMap<String, Arc<str>> {
        members.iter().map(|one| (one.id.clone(), Arc::clone(&one.client_id))).collect()
    };
    let (was, is) = (ids(before), ids(after));
    let other = |these: &BTreeMap<String, Arc<str>>, than: &BTreeMap<String, Arc<str>>| {
        let names = these.iter().filter(|(id, _)| !than.contains_key(*id)).map(|(_, name)| &**name);
        shortened(&names.collect::<Vec<_>>())
    };
    let (came, went) = (other(&is, &was), other(&was, &is));
    let note = |severity, text| {
        Some(Note::new(EventKind::Rebalance, severity, format!("group {name}"), text))
    };
    let mut parts = Vec::new();
    if let Some(went) = &went {
        parts.push(format!("without {went}"));
    }
    if let Some(came) = came {
        parts.push(format!("with {came}"));
    }
    if !parts.is_empty() {
        let severity = if is.is_empty() { Severity::Warning } else { Severity::Info };
        let members =
            if is.len() == 1 { "1 member".to_owned() } else { format!("{} members", is.len()) };
        return note(
            severity,
            format!("goes on {}: {members}, {} before", parts.join(", "), was.len()),
        );
    }
    let shares = |members: &[Member]| -> BTreeMap<String, BTreeSet<_>> {
        let share = |one: &Member| (one.id.clone(), one.owns.iter().cloned().collect());
        members.iter().map(share).collect()
    };
    if shares(before) != shares(after) {
        return note(Severity::Info, "handed partitions out anew to the same members".to_owned());
    }
    None
}

/// At most three names.
fn shortened(names: &[&str]) -> Option<String> {
    match names {
        [] => None,
        [first, second, third, more @ ..] if !more.is_empty() => {
            Some(format!("{first}, {second}, {third} and {} more", more.len()))
        }
        names => Some(names.join(", ")),
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
