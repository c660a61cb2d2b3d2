//! Groups, and what is known of one.

use jiff::Timestamp;
use kurier::Replay;

use crate::view::{GroupDetail, GroupPartition, GroupRow, LagVerdict, MemberRow, Panel};
use crate::watch::board::Kept;
use crate::watch::lag::{GroupLook, Member, Place};
use crate::watch::looks::GroupsLook;
use crate::watch::shown::rows::Columns;

/// The columns by which groups are sorted.
pub(crate) const COLUMNS: &Columns<GroupRow> = &[
    ("members", |a, b| a.members.cmp(&b.members)),
    ("lag", |a, b| a.lag.cmp(&b.lag)),
    ("state", |a, b| a.state.cmp(&b.state)),
];

/// All groups, by name.
pub(crate) fn groups(groups: &Kept<GroupsLook>, now: Timestamp) -> Panel<Vec<GroupRow>> {
    groups.panel(|look| look.groups.iter().map(|(name, group)| row(name, group, now)).collect())
}

/// A group; none when it is not there as far as is known.
pub(crate) fn group(groups: &Kept<GroupsLook>, name: &str, now: Timestamp) -> Option<GroupDetail> {
    let group = groups.data.as_ref()?.groups.get(name)?;
    let partition =
        |((topic, number), lag): (&Place, &crate::watch::lag::PartitionLag)| GroupPartition {
            topic: topic.to_string(),
            partition: *number,
            committed: lag.committed,
            end: lag.end,
            lag: lag.lag(),
            owner: lag.owner.as_ref().map(ToString::to_string),
            moved: lag.moved,
            verdict: group.verdict_of(now, lag),
            history: lag.history.series(),
        };
    let looked = group.as_of.is_some();
    Some(GroupDetail {
        group: Panel {
            as_of: group.as_of,
            error: group
                .error
                .clone()
                .or_else(|| (!looked).then(|| "not looked at yet".to_owned())),
            data: Some(row(name, group, now)),
        },
        coordinator: group.coordinator.clone(),
        protocol: group.protocol.clone(),
        members: group.members.iter().flatten().map(member).collect(),
        partitions: group.partitions.iter().map(partition).collect(),
        untouched: group.untouched.iter().map(place).collect(),
        history: looked.then(|| group.history.series()),
    })
}

fn row(name: &str, group: &GroupLook, now: Timestamp) -> GroupRow {
    GroupRow {
        name: name.to_owned(),
        replay: Replay::is_group_name(name),
        state: group.state.to_owned(),
        members: group.members.as_ref().map(Vec::len),
        topics: group.topics().into_iter().map(ToString::to_string).collect(),
        lag: group.lag(),
        verdict: if group.as_of.is_some() { group.verdict(now) } else { LagVerdict::Unknown },
        without_owner: group.without_owner().len(),
        as_of: group.as_of,
        error: group.error.clone(),
    }
}

fn member(member: &Member) -> MemberRow {
    MemberRow {
        id: member.id.clone(),
        client_id: member.client_id.to_string(),
        instance_id: member.instance_id.clone(),
        host: member.host.clone(),
        partitions: member.owns.iter().map(place).collect(),
    }
}

fn place((topic, number): &Place) -> String {
    format!("{topic}-{number}")
}
