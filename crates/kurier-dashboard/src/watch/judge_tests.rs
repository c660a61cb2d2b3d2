use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::watch::board::Slot;
use crate::watch::brokers::Brokers;
use crate::watch::looks::{PartitionLook, TopicLook, TopicSettings};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

/// Brokers 1 to 3, seen at 0; those in `away` are gone since 10. Partitions of topic `t`, whose replicas are
/// on 1 and 2: their leader, 0 for none, and how many are in sync.
fn cluster(away: &[i32], partitions: &[(i32, usize)]) -> ClusterLook {
    let listed = |away: &[i32]| -> BTreeMap<i32, String> {
        let ids = (1..=3).filter(|id| !away.contains(id));
        ids.map(|id| (id, format!("broker-{id}:9092"))).collect()
    };
    let mut brokers = Brokers::default();
    brokers.see(at(0), &listed(&[]), &BTreeMap::new());
    brokers.see(at(10), &listed(away), &BTreeMap::new());
    let partition = |(leader, in_sync): &(i32, usize)| PartitionLook {
        leader: (*leader != 0).then_some(*leader),
        replicas: [1, 2].into(),
        in_sync: [1, 2][..*in_sync].into(),
        ..Default::default()
    };
    let partitions = partitions.iter().map(partition).collect();
    let topic = TopicLook { partitions, ..Default::default() };
    ClusterLook { brokers, topics: [("t".into(), topic)].into(), ..Default::default() }
}

fn min_isr(min: usize) -> SettingsLook {
    let topic = TopicSettings { min_insync_replicas: Some(min), ..Default::default() };
    SettingsLook { topics: [(Arc::from("t"), topic)].into() }
}

/// The state at `now`, of a cluster seen at 20, and offsets with an error or none.
fn judged(
    now: i64,
    cluster: ClusterLook,
    settings: SettingsLook,
    blind: Option<&str>,
) -> (State, Vec<String>) {
    let slots = (Slot::empty(""), Slot::empty(""), Slot::empty(""));
    slots.0.seen(at(20), cluster, None);
    let offsets = OffsetsLook { unanswered: blind.map(str::to_owned), ..Default::default() };
    slots.1.seen(at(20), offsets, None);
    slots.2.seen(at(20), settings, None);
    let known = Known {
        cluster: &slots.0.kept(),
        offsets: &slots.1.kept(),
        settings: &slots.2.kept(),
        pace: &Pace::default(),
    };
    state(at(now), &known)
}

#[test]
fn the_state_and_why() {
    let whole: &[(i32, usize)] = &[(1, 2), (2, 2)];
    type Case<'a> =
        (i64, &'a [i32], &'a [(i32, usize)], usize, Option<&'a str>, State, &'a [&'a str]);
    let table: &[Case<'_>] = &[
        (22, &[], whole, 1, None, State::Healthy, &[]),
        (22, &[], whole, 2, None, State::Healthy, &[]),
        (
            22,
            &[2],
            &[(1, 1), (1, 1)],
            1,
            None,
            State::Degraded,
            &["broker 2 has not been there for 12 s", "2 of 2 partitions lack replicas in sync"],
        ),
        (
            22,
            &[2],
            &[(1, 1), (0, 1)],
            2,
            Some("1 partition did not answer"),
            State::Degraded,
            &[
                "1 of 2 partitions have no leader",
                "2 of 2 partitions have fewer replicas in sync than acks=all needs",
                "broker 2 has not been there for 12 s",
                "1 partition did not answer",
                "2 of 2 partitions lack replicas in sync",
            ],
        ),
        (22, &[3], whole, 1, None, State::Degraded, &["broker 3 has not been there for 12 s"]),
        (
            60,
            &[],
            whole,
            1,
            None,
            State::Down,
            &["the cluster has not answered for 40 s: no look has ended since"],
        ),
    ];
    for (now, away, partitions, min, blind, expected, reasons) in table {
        let (state, why) = judged(*now, cluster(away, partitions), min_isr(*min), *blind);
        assert_eq!(
            (state, &*why),
            (*expected, &*reasons.map_to_owned()),
            "{away:?} {partitions:?}"
        );
    }
}

trait Owned {
    fn map_to_owned(&self) -> Vec<String>;
}

impl Owned for [&str] {
    fn map_to_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

#[test]
fn a_broker_that_holds_nothing_and_stays_away_was_taken_out() {
    let (slots, pace) = ((Slot::empty(""), Slot::empty(""), Slot::empty("")), Pace::default());
    let judged = |away: &[i32], now| {
        slots.0.seen(at(now), cluster(away, &[(1, 2)]), None);
        let (cluster, offsets, settings) = (slots.0.kept(), slots.1.kept(), slots.2.kept());
        let known =
            Known { cluster: &cluster, offsets: &offsets, settings: &settings, pace: &pace };
        state(at(now), &known).0
    };
    assert_eq!(judged(&[3], 609), State::Degraded);
    assert_eq!(judged(&[3], 611), State::Healthy);
    assert_eq!(judged(&[2], 611), State::Degraded, "it holds a replica");
}

#[test]
fn what_was_never_seen_is_unknown_until_a_look_has_failed() {
    let slots: (Slot<ClusterLook>, _, _) =
        (Slot::empty("not yet"), Slot::empty(""), Slot::empty(""));
    let pace = Pace::default();
    let judged = || {
        let (cluster, offsets, settings) = (slots.0.kept(), slots.1.kept(), slots.2.kept());
        state(
            at(0),
            &Known { cluster: &cluster, offsets: &offsets, settings: &settings, pace: &pace },
        )
    };
    assert_eq!(judged(), (State::Unknown, vec!["not yet".to_owned()]));
    slots.0.failed("no broker answered".to_owned());
    assert_eq!(judged(), (State::Down, vec!["no broker answered".to_owned()]));
}

#[test]
fn counts_are_unknown_while_a_setting_is() {
    let look = cluster(&[], &[(1, 2), (0, 1), (1, 1)]);
    let counts = Counts::of(&look, None);
    assert_eq!((counts.partitions, counts.offline, counts.under_replicated), (3, 1, 2));
    assert_eq!((counts.under_min_isr, counts.at_min_isr), (None, None));
    assert_eq!(Counts::of(&look, Some(&SettingsLook::default())).at_min_isr, None);
    let counts = Counts::of(&look, Some(&min_isr(2)));
    assert_eq!((counts.under_min_isr, counts.at_min_isr), (Some(2), Some(1)));
}

#[test]
fn ready_while_the_cluster_was_seen_lately() {
    let part = |name, as_of: Option<i64>, error: Option<&str>| Age {
        name,
        as_of: as_of.map(at),
        error: error.map(str::to_owned),
        limit: Duration::from_secs(8),
    };
    let ready = |now, parts: &[Age]| readiness(at(now), parts);
    let (yes, lines) =
        ready(7, &[part("cluster", Some(0), None), part("groups", None, Some("no"))]);
    assert_eq!((yes, &*lines), (true, "cluster: seen 7 s ago\ngroups: never seen; no\n"));
    assert!(!ready(9, &[part("cluster", Some(0), Some("away"))]).0);
    assert!(!ready(9, &[part("cluster", None, None), part("groups", Some(9), None)]).0);
}

#[test]
fn offsets_that_nobody_tells_any_more_are_a_reason_though_the_cluster_answers() {
    let judged = |as_of: Option<i64>, error: Option<&str>, now: i64| {
        let slots = (Slot::empty(""), Slot::empty("not yet"), Slot::empty(""));
        slots.0.seen(at(now), cluster(&[], &[(1, 2)]), None);
        slots.2.seen(at(now), min_isr(1), None);
        if let Some(as_of) = as_of {
            slots.1.seen(at(as_of), OffsetsLook::default(), None);
        }
        if let Some(error) = error {
            slots.1.failed(error.to_owned());
        }
        let known = Known {
            cluster: &slots.0.kept(),
            offsets: &slots.1.kept(),
            settings: &slots.2.kept(),
            pace: &Pace::default(),
        };
        state(at(now), &known)
    };
    let reason = |text: &str| (State::Degraded, vec![text.to_owned()]);
    let healthy = (State::Healthy, Vec::new());
    assert_eq!(judged(None, None, 20), healthy, "the first look takes a few seconds");
    assert_eq!(judged(Some(0), Some("timed out"), 9), healthy, "one look that failed");
    assert_eq!(
        judged(Some(0), Some("timed out"), 20),
        reason("no partition's offsets have been told for 20 s: timed out")
    );
    assert_eq!(
        judged(None, Some("timed out"), 20),
        reason("no partition's offsets were ever told: timed out")
    );
    assert_eq!(judged(Some(0), None, 20), healthy, "a round may be long");
    assert_eq!(
        judged(Some(0), None, 60),
        reason("no partition's offsets have been told for 60 s: no look has ended since")
    );
}

/// A clock that was set back makes what was seen last look new for as long as it was set back.
#[test]
fn what_was_seen_in_the_future_is_not_fresh() {
    let age = |as_of: i64| Age {
        name: "cluster",
        as_of: Some(at(as_of)),
        error: None,
        limit: Duration::from_secs(8),
    };
    assert!(age(3).is_fresh(at(0)), "clocks are corrected by a little");
    assert!(!age(3_600).is_fresh(at(0)));
    assert!(!readiness(at(0), &[age(3_600)]).0);
    let (judged, why) = judged(-3_600, cluster(&[], &[(1, 2)]), min_isr(1), None);
    assert_eq!(judged, State::Down, "{why:?}");
    assert!(!why[0].contains('-'), "{why:?}");
    let away = cluster(&[2], &[(1, 2)]);
    assert!(brokers(at(0), &away)[0].ends_with("for 0 s"), "{:?}", brokers(at(0), &away));
}

/// Names of groups may have anything in them, and errors name groups.
#[test]
fn each_part_is_one_line_whatever_its_error_says() {
    let age = Age {
        name: "groups",
        as_of: Some(at(0)),
        error: Some("describe group a\ncluster: seen 0 s ago\r\u{1b}[2J".to_owned()),
        limit: Duration::from_secs(8),
    };
    let (_, lines) = readiness(at(1), &[age]);
    assert_eq!(lines.lines().count(), 1, "{lines:?}");
    assert!(!lines.trim_end_matches('\n').contains(char::is_control), "{lines:?}");
}
