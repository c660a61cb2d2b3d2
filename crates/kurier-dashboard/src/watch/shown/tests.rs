use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::view::{LagVerdict, TopicRow};
use crate::watch::board::Slot;
use crate::watch::looks::{SettingsLook, TopicSettings};
use crate::watch::samples::{self, at, kept};

fn parts(settings: SettingsLook) -> TopicParts {
    TopicParts {
        cluster: kept(20, samples::cluster()),
        offsets: kept(20, samples::offsets()),
        settings: kept(15, settings),
        groups: kept(20, samples::groups()),
        dead_letters: BTreeSet::new(),
    }
}

#[test]
fn the_cluster_in_figures() {
    let summary = cluster(&samples::cluster(), None);
    let brokers = (summary.brokers_up, summary.brokers_known, summary.controller);
    assert_eq!((brokers, &*summary.id.unwrap_or_default()), ((2, 3, Some(2)), "a-cluster"));
    assert_eq!((summary.topics, summary.partitions), (2, 3));
    assert_eq!((summary.offline, summary.under_replicated, summary.under_min_isr), (1, 1, None));
}

#[test]
fn a_broker_that_died_is_a_row_with_what_it_holds() {
    let rows = brokers(&samples::cluster());
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (row.id, row.up, row.since, row.controller, row.leaders, row.replicas, row.in_sync)
        })
        .collect();
    assert_eq!(
        told,
        [
            (1, true, at(0), false, 1, 2, 2),
            (2, true, at(0), true, 1, 3, 2),
            (3, false, at(10), false, 0, 1, 1),
        ]
    );
}

#[test]
fn figures_of_topics_are_known_or_not() {
    let rows = topics(&parts(SettingsLook::default())).data.unwrap_or_default();
    let told = |row: &TopicRow| (row.name.clone(), row.messages, row.rate, row.dead_letters);
    assert_eq!(
        rows.iter().map(told).collect::<Vec<_>>(),
        [
            ("orders".to_owned(), None, Some(2.0), false),
            ("orders.dlq".to_owned(), Some(3), None, true),
        ]
    );
    assert_eq!((rows[0].offline, rows[0].under_replicated, rows[0].replication), (1, 1, 2));
    let letters = dead_letter_topics(&parts(SettingsLook::default())).data.unwrap_or_default();
    assert_eq!(letters.iter().map(|row| &*row.topic).collect::<Vec<_>>(), ["orders.dlq"]);
}

#[test]
fn what_is_known_of_a_topic() {
    let set = TopicSettings { as_of: Some(at(12)), ..Default::default() };
    let settings = SettingsLook { topics: [("orders".into(), set)].into() };
    let detail = topic(&parts(settings), "orders").expect("it is there");
    let partitions = detail.partitions.data.unwrap_or_default();
    let told: Vec<_> = partitions
        .iter()
        .map(|row| (row.leader, row.first, row.next, row.rate, row.told))
        .collect();
    assert_eq!(
        told,
        [(Some(1), Some(5), Some(35), Some(2.0), Some(at(20))), (None, None, None, None, None)]
    );
    let replicas: Vec<_> =
        partitions[1].replicas.iter().map(|one| (one.broker, one.in_sync, one.up)).collect();
    assert_eq!(replicas, [(3, true, false), (2, false, true)]);
    assert_eq!((detail.settings.as_of, detail.settings.data), (Some(at(12)), Some(Vec::new())));
    let groups = detail.groups.data.unwrap_or_default();
    assert_eq!(
        groups.iter().map(|row| (&*row.group, row.lag)).collect::<Vec<_>>(),
        [("workers", Some(4))]
    );
    let history = detail.history.data.map(|series| series.values);
    assert_eq!(history, Some(vec![None, None, Some(2.0)]));

    assert!(topic(&parts(SettingsLook::default()), "nowhere").is_none());
    let unread = topic(&parts(SettingsLook::default()), "orders").expect("it is there").settings;
    assert_eq!((unread.data, unread.error.as_deref()), (None, Some("not read yet")));
}

#[test]
fn groups_as_they_were_looked_at() {
    let looks = kept(20, samples::groups());
    let rows = groups(&looks, at(21)).data.unwrap_or_default();
    let told: Vec<_> =
        rows.iter().map(|row| (&*row.name, &*row.state, row.members, row.lag, row.as_of)).collect();
    assert_eq!(
        told,
        [
            ("idle", "Empty", None, None, None),
            ("workers", "Stable", Some(1), Some(4), Some(at(20)))
        ]
    );
    assert_eq!((rows[1].without_owner, rows[1].verdict), (1, LagVerdict::Unknown));

    let detail = group(&looks, "workers", at(21)).expect("it is there");
    assert_eq!(detail.untouched, ["orders-1"]);
    assert_eq!(detail.members[0].partitions, ["orders-0"]);
    let [partition] = &detail.partitions[..] else { panic!("{:?}", detail.partitions) };
    assert_eq!((partition.committed, partition.end, partition.lag), (Some(31), Some(35), Some(4)));
    assert_eq!(partition.owner.as_deref(), Some("workers-1"));
    let idle = group(&looks, "idle", at(21)).expect("it is there");
    assert_eq!((idle.group.error.as_deref(), idle.history), (Some("not looked at yet"), None));
    assert!(group(&looks, "nobody", at(21)).is_none());
}

#[test]
fn the_lag_of_all_groups() {
    let summary = lag(&samples::groups());
    assert_eq!((summary.groups, summary.total), (2, Some(4)));
    let worst: Vec<_> = summary.worst.iter().map(|row| (&*row.group, row.lag)).collect();
    assert_eq!(worst, [("workers", Some(4))]);
    assert_eq!(lag(&Default::default()).total, None, "nothing is not 0");

    let mut looks = samples::groups();
    let workers = Arc::clone(&looks.groups["workers"]);
    looks.groups.insert("kurier-replay.orders.dlq.e604823a249029bf".into(), workers);
    let beside = lag(&looks);
    assert_eq!((beside.groups, beside.total, beside.worst), (2, Some(4), summary.worst));
    let rows = groups(&kept(20, looks), at(21)).data.unwrap_or_default();
    assert_eq!(rows.iter().map(|row| row.replay).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn a_panel_keeps_what_was_seen_beside_why_it_is_not_newer() {
    let slot = Slot::empty("nothing was seen yet");
    let panel = slot.kept().panel(|look: &i32| *look);
    assert_eq!((panel.as_of, panel.data), (None, None));
    slot.seen(at(3), 7, None);
    slot.failed("no answer".to_owned());
    let panel = slot.kept().panel(|look| *look);
    assert_eq!(
        (panel.as_of, panel.error.as_deref(), panel.data),
        (Some(at(3)), Some("no answer"), Some(7))
    );
}
