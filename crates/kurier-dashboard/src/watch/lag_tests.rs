use super::*;
use crate::watch::looks::{PartitionLook, PartitionOffsets, TopicLook, TopicOffsets};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000_000 + second).expect("in range")
}

fn place(number: i32) -> Place {
    ("t".into(), number)
}

/// Topic `t` with ends.
fn ends(ends: &[i64]) -> OffsetsLook {
    let partition = |end: &i64| PartitionOffsets { next: Some(*end), ..Default::default() };
    let topic =
        TopicOffsets { partitions: ends.iter().map(partition).collect(), ..Default::default() };
    OffsetsLook { topics: [("t".into(), topic)].into(), ..Default::default() }
}

/// A group with commits in `t` and members that own partitions of it.
fn seen(committed: &[i64], members: &[&[i32]]) -> GroupSeen {
    let member = |(number, owns): (usize, &&[i32])| Member {
        id: format!("id-{number}"),
        client_id: format!("client-{number}").into(),
        instance_id: None,
        host: String::new(),
        owns: owns.iter().map(|number| place(*number)).collect(),
    };
    let described = Described {
        state: if members.is_empty() { "Empty" } else { "Stable" },
        protocol: None,
        coordinator: None,
        members: members.iter().enumerate().map(member).collect(),
    };
    GroupSeen {
        described: Ok(described),
        committed: (0..).zip(committed).map(|(number, offset)| (place(number), *offset)).collect(),
    }
}

/// Looks every 10 s at a group with one partition: its commit and the end.
fn watched(looks: &[(i64, i64)], members: &[&[i32]]) -> GroupLook {
    (0..).zip(looks).fold(GroupLook::default(), |look, (step, (committed, end))| {
        look.seen(at(10 * step), seen(&[*committed], members), Some(&ends(&[*end])), None)
    })
}

#[test]
fn how_a_lag_behaves() {
    const OWNED: &[&[i32]] = &[&[0]];
    let steps = |of: fn(i64) -> (i64, i64)| (0..10).map(of).collect::<Vec<_>>();
    type Case<'a> = (&'a str, Vec<(i64, i64)>, &'a [&'a [i32]], LagVerdict);
    let table: &[Case<'_>] = &[
        ("keeps up", steps(|step| (step, step)), OWNED, LagVerdict::Ok),
        ("keeps its distance", steps(|step| (step, step + 5)), OWNED, LagVerdict::Ok),
        ("catches up", steps(|step| (2 * step, step + 50)), OWNED, LagVerdict::Ok),
        ("falls behind", steps(|step| (step, 3 * step)), OWNED, LagVerdict::Warn),
        ("stands still behind", steps(|_| (5, 9)), OWNED, LagVerdict::Stall),
        ("stands still and falls behind", steps(|step| (5, 9 + step)), OWNED, LagVerdict::Stall),
        ("stands still at the end", steps(|_| (9, 9)), OWNED, LagVerdict::Ok),
        ("nobody is there", steps(|_| (5, 9)), &[], LagVerdict::Stop),
        ("nobody is there and nobody is missed", steps(|_| (9, 9)), &[], LagVerdict::Ok),
        (
            "went back",
            steps(|step| (if step < 8 { 50 } else { 10 }, 50)),
            OWNED,
            LagVerdict::Rewind,
        ),
        (
            "went back and returned",
            steps(|step| (if step == 5 { 1 } else { 50 }, 50)),
            OWNED,
            LagVerdict::Ok,
        ),
        ("too few looks", vec![(5, 9), (5, 9)], OWNED, LagVerdict::Unknown),
    ];
    for (what, looks, members, expected) in table {
        let look = watched(looks, members);
        let now = look.as_of.expect("looked at");
        assert_eq!(look.verdict(now), *expected, "{what}");
    }
    assert_eq!(GroupLook::default().verdict(at(0)), LagVerdict::Unknown);
}

#[test]
fn a_commit_that_went_back_is_forgotten_after_a_while() {
    let looks: Vec<_> = (0..100).map(|step| (if step == 0 { 50 } else { step }, 100)).collect();
    let look = watched(&looks[..20], &[&[0]]);
    assert_eq!(look.verdict(at(190)), LagVerdict::Rewind);
    // Short of where it was, and a quarter of an hour later.
    let looks: Vec<_> = (0..100).map(|step| (if step == 0 { 500 } else { step }, 200)).collect();
    let look = watched(&looks, &[&[0]]);
    assert_eq!(look.verdict(at(990)), LagVerdict::Ok);
}

#[test]
fn lag_is_known_where_commit_and_end_are() {
    let look = GroupLook::default().seen(at(0), seen(&[3, 8], &[]), Some(&ends(&[10])), None);
    let lags: Vec<_> = look.partitions.values().map(PartitionLag::lag).collect();
    assert_eq!((lags, look.lag()), (vec![Some(7), None], Some(7)));
    let blind = GroupLook::default().seen(at(0), seen(&[3], &[]), None, None);
    assert_eq!(blind.lag(), None);
    let none = GroupLook::default().seen(at(0), seen(&[], &[&[0]]), Some(&ends(&[10])), None);
    assert_eq!((none.lag(), none.partitions[&place(0)].end), (None, Some(10)), "no commit");
    let ahead = GroupLook::default().seen(at(0), seen(&[12], &[]), Some(&ends(&[10])), None);
    assert_eq!(ahead.lag(), Some(0), "the end is older than the commit");
}

#[test]
fn when_a_commit_moved() {
    let look = watched(&[(5, 9), (5, 9), (6, 9), (6, 9)], &[&[0]]);
    assert_eq!(look.partitions[&place(0)].moved, Some(at(20)));
    assert_eq!(watched(&[(5, 9), (5, 9)], &[&[0]]).partitions[&place(0)].moved, None);
}

#[test]
fn partitions_without_owner() {
    let partition = |number| PartitionLook { number, ..Default::default() };
    let topic = TopicLook { partitions: (0..3).map(partition).collect(), ..Default::default() };
    let cluster = ClusterLook { topics: [("t".into(), topic)].into(), ..Default::default() };
    let looked = |seen| GroupLook::default().seen(at(0), seen, None, Some(&cluster));
    let unowned = |look: &GroupLook| {
        look.without_owner().iter().map(|(_, number)| *number).collect::<Vec<_>>()
    };
    let look = looked(seen(&[1, 1], &[&[0]]));
    assert_eq!((unowned(&look), look.untouched.len()), (vec![1, 2], 1));
    assert_eq!(look.partitions[&place(0)].owner.as_deref(), Some("client-0"));
    assert_eq!(unowned(&looked(seen(&[1, 1, 1], &[&[0, 1], &[2]]))), [0; 0]);
    assert_eq!(unowned(&looked(seen(&[1, 1], &[&[]]))), [0; 0], "it may have left the topic");
    assert_eq!(unowned(&looked(seen(&[1, 1], &[]))), [0; 0], "nobody is there");
    let mut rebalancing = looked(seen(&[1, 1], &[&[0]]));
    rebalancing.state = "PreparingRebalance";
    assert_eq!(unowned(&rebalancing), [0; 0]);
}

#[test]
fn a_look_that_fails_leaves_what_was_seen() {
    let look = watched(&[(5, 9)], &[&[0]]).failed("no answer".to_owned());
    assert_eq!(
        (look.lag(), look.error.as_deref(), look.as_of),
        (Some(4), Some("no answer"), Some(at(0)))
    );
}

#[test]
fn a_group_that_is_not_described_has_a_lag_and_nobody_is_said_to_be_missing() {
    let listed = GroupLook { state: "Stable", ..Default::default() };
    let described = Err("no classic group".to_owned());
    let look =
        listed.seen(at(0), GroupSeen { described, ..seen(&[3], &[]) }, Some(&ends(&[10])), None);
    assert_eq!((look.state, look.lag(), look.members.as_ref()), ("Stable", Some(7), None));
    assert_eq!(look.error.as_deref(), Some("no classic group"));
    assert_eq!(look.verdict(at(0)), LagVerdict::Unknown);
}

/// Nobody has looked: that no commit was seen to move says nothing.
#[test]
fn a_group_that_is_not_looked_at_does_not_stall() {
    let moving: Vec<_> = (0..10).map(|step| (step, step + 5)).collect();
    let look = watched(&moving, &[&[0]]);
    assert_eq!(look.verdict(at(90)), LagVerdict::Ok);
    let silent = look.failed("no answer from its coordinator".to_owned());
    assert_eq!(silent.verdict(at(120)), LagVerdict::Ok, "as it was seen, half a minute ago");
    assert_eq!(silent.verdict(at(151)), LagVerdict::Unknown, "that is too long ago");
    assert_eq!(silent.verdict_of(at(151), &silent.partitions[&place(0)]), LagVerdict::Unknown);
    let stopped = watched(&[(5, 9); 10], &[]).failed("no answer".to_owned());
    assert_eq!(stopped.verdict(at(151)), LagVerdict::Unknown);
    assert_eq!(look.verdict(at(-3_600)), LagVerdict::Unknown, "the clock was set back");
}

/// The same as `ends`, told at a moment.
fn ends_of(told: i64, of: &[i64]) -> OffsetsLook {
    let mut look = ends(of);
    for topic in look.topics.values_mut() {
        for partition in &mut topic.partitions {
            partition.told = Some(at(told));
        }
    }
    look
}

/// While nobody tells where a partition ends, a group that reads on only seems to catch up.
#[test]
fn a_lag_from_an_end_that_was_told_long_ago_is_not_known() {
    let looks = |told: fn(i64) -> i64| {
        (0..10).fold(GroupLook::default(), |look, step| {
            let (group, ends) = (seen(&[step], &[&[0]]), ends_of(told(10 * step), &[9]));
            look.seen(at(10 * step), group, Some(&ends), None)
        })
    };
    let told = looks(|now| now);
    assert_eq!((told.lag(), told.verdict(at(90))), (Some(0), LagVerdict::Ok));
    let blind = looks(|_| 0);
    assert_eq!((blind.lag(), blind.verdict(at(90))), (None, LagVerdict::Unknown));
    assert_eq!(blind.partitions[&place(0)].end, Some(9), "it is shown as it was told");
    assert_eq!(blind.history.latest(at(90), 3), [None; 3], "nothing was seen");
}

/// A topic that was deleted and made again begins at 0, and the commits are still there: what is written
/// below them is skipped, or read again, and nobody keeps up.
#[test]
fn commits_beyond_the_end_are_not_keeping_up() {
    let looks = |of: &[(i64, i64)]| {
        (0..).zip(of).fold(GroupLook::default(), |look, (step, (committed, end))| {
            let told = 10 * step - 1;
            look.seen(
                at(10 * step),
                seen(&[*committed], &[&[0]]),
                Some(&ends_of(told, &[*end])),
                None,
            )
        })
    };
    let newer = looks(&[(10, 10), (12, 10)]);
    assert_eq!((newer.verdict(at(10)), newer.lag()), (LagVerdict::Ok, Some(0)), "the end is older");
    // The end is always the one of the look before.
    let reads_all_at_once: Vec<_> = (1..20).map(|step| (10 * step, 10 * (step - 1))).collect();
    assert_eq!(looks(&reads_all_at_once).verdict(at(180)), LagVerdict::Ok);
    let made_again = looks(&[(50, 50), (50, 3), (50, 4), (50, 5), (50, 6)]);
    assert_eq!(made_again.verdict(at(40)), LagVerdict::Ahead);
    assert_eq!(made_again.lag(), None, "how far it is behind is not known");
    let filled_up = looks(&[(50, 50), (50, 3), (50, 4), (50, 5), (50, 50)]);
    assert_eq!((filled_up.verdict(at(40)), filled_up.lag()), (LagVerdict::Ok, Some(0)));
    let read_anew = looks(&[(50, 50), (50, 3), (50, 4), (50, 5), (5, 5)]);
    assert_eq!(read_anew.verdict(at(40)), LagVerdict::Rewind);
}
