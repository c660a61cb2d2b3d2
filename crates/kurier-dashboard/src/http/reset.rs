//! A group set to go on elsewhere on request: told first, then done, and only while it has no members.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use jiff::Timestamp;
use kurier::{Admin, Offset, PartitionId, TopicPartition};

use super::refused::Refused;
use super::spans::{Span, spans};
use crate::view::{ResetAnswer, ResetAsked, ResetMove};

/// Where the positions that are asked for are, and would be.
///
/// # Errors
/// When what is asked for makes no sense, the group is not there or has members, or a partition can't be
/// looked at.
pub(super) async fn told(
    admin: &Arc<Admin>,
    group: &str,
    asked: &ResetAsked,
) -> Result<ResetAnswer, Refused> {
    let to: To = asked.to.parse().map_err(Refused::asked_wrong)?;
    let found = admin.describe_group(group).await?;
    match found.members.len() {
        0 => {}
        members => {
            let reason = format!(
                "group {group} has {members} members: stop them first, or they go on where they are"
            );
            return Err(Refused::new(StatusCode::CONFLICT, reason));
        }
    }
    let committed = admin.group_offsets(group).await?;
    let topic = &asked.topic;
    let spans = spans(admin, topic, asked.partition, to.time()).await?;
    if let Some((partition, reason)) = spans.left_out.first() {
        let reason = format!("{topic}[{partition}]: {reason}; nothing was set");
        return Err(Refused::too_slow(reason));
    }
    Ok(ResetAnswer { done: false, moves: moves(topic, to, &spans.known, &committed) })
}

/// Sets the positions of `told`, which are of `topic`.
///
/// # Errors
/// When nobody says what became of it: some may be set.
pub(super) async fn done(
    admin: &Admin,
    group: &str,
    topic: &str,
    told: ResetAnswer,
) -> Result<ResetAnswer, Refused> {
    let mut moves = told.moves;
    let wanted = moves.iter().map(|step| (place(topic, step.partition), Offset(step.to)));
    let set = admin.set_group_offsets(group, &wanted.collect()).await?;
    for step in &mut moves {
        step.error = match set.get(&place(topic, step.partition)) {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(error.to_string()),
            None => Some("the answer says nothing about it".to_owned()),
        };
    }
    Ok(ResetAnswer { done: moves.iter().all(|step| step.error.is_none()), moves })
}

fn place(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, PartitionId(partition))
}

/// Where to. *Pure*, as all below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Earliest,
    Latest,
    Offset(i64),
    Time(Timestamp),
}

impl std::str::FromStr for To {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let offset = || text.parse().ok().filter(|offset| 0 <= *offset).map(Self::Offset);
        let time = || text.parse().ok().map(Self::Time);
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => offset()
                .or_else(time)
                .ok_or("to: earliest, latest, an offset and a time in RFC 3339 are possible"),
        }
    }
}

impl To {
    fn time(self) -> Option<Timestamp> {
        match self {
            Self::Time(time) => Some(time),
            Self::Earliest | Self::Latest | Self::Offset(_) => None,
        }
    }
}

/// Each within its log: what it has not is the nearest that it has.
fn moves(
    topic: &str,
    to: To,
    known: &BTreeMap<PartitionId, Span>,
    committed: &BTreeMap<TopicPartition, Offset>,
) -> Vec<ResetMove> {
    let step = |(partition, Span { log, at }): (&PartitionId, &Span)| ResetMove {
        partition: partition.0,
        from: committed.get(&place(topic, partition.0)).map(|offset| offset.0),
        to: match to {
            To::Earliest => log.start,
            To::Latest => log.end,
            To::Offset(offset) => offset.clamp(log.start, log.end),
            To::Time(_) => *at,
        },
        error: None,
    };
    known.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_of_four() {
        let time = "2026-01-31T12:00:00Z";
        for (text, expected) in [
            ("earliest", Some(To::Earliest)),
            ("latest", Some(To::Latest)),
            ("17", Some(To::Offset(17))),
            ("0", Some(To::Offset(0))),
            (time, time.parse().ok().map(To::Time)),
            ("2026-01-31T13:00:00+01:00", time.parse().ok().map(To::Time)),
            ("-1", None),
            ("", None),
            ("Earliest", None),
            ("2026-01-31", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn each_move_stays_within_its_log() {
        let span = |log, at| Span { log, at };
        let known: BTreeMap<_, _> =
            [(PartitionId(0), span(10..100, 40)), (PartitionId(2), span(0..0, 0))].into();
        let committed = [(place("orders", 0), Offset(50)), (place("other", 2), Offset(7))].into();
        let time = To::Time(Timestamp::UNIX_EPOCH);
        for (to, expected) in [
            (To::Earliest, [10, 0]),
            (To::Latest, [100, 0]),
            (To::Offset(70), [70, 0]),
            (To::Offset(5), [10, 0]),
            (To::Offset(i64::MAX), [100, 0]),
            (time, [40, 0]),
        ] {
            let found = moves("orders", to, &known, &committed);
            let places: Vec<_> = found.iter().map(|step| step.to).collect();
            assert_eq!(places, expected, "{to:?}");
            let from: Vec<_> = found.iter().map(|step| (step.partition, step.from)).collect();
            assert_eq!(from, [(0, Some(50)), (2, None)]);
        }
    }
}
