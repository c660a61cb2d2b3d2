//! The overview and the brokers.

use std::collections::BTreeMap;

use crate::view::{BrokerRow, ClusterSummary, GroupLagRow, LagSummary, Traffic};
use crate::watch::judge::Counts;
use crate::watch::looks::{ClusterLook, GroupsLook, OffsetsLook, SettingsLook};

/// How many groups the overview names.
const WORST: usize = 10;

pub(crate) fn cluster(look: &ClusterLook, settings: Option<&SettingsLook>) -> ClusterSummary {
    let counts = Counts::of(look, settings);
    ClusterSummary {
        id: look.id.clone(),
        controller: look.controller,
        brokers_up: look.brokers.iter().filter(|(_, known)| known.up).count(),
        brokers_known: look.brokers.iter().count(),
        topics: look.topics.len(),
        partitions: counts.partitions,
        offline: counts.offline,
        under_replicated: counts.under_replicated,
        under_min_isr: counts.under_min_isr,
        at_min_isr: counts.at_min_isr,
    }
}

pub(crate) fn traffic(look: &OffsetsLook) -> Traffic {
    Traffic { messages_per_second: look.rate, history: look.history.series() }
}

pub(crate) fn lag(look: &GroupsLook) -> LagSummary {
    let behind = look.of_readers().map(|(name, group)| (name, group.lag()));
    let mut behind: Vec<_> = behind.filter(|(_, lag)| lag.is_some_and(|lag| 0 < lag)).collect();
    behind.sort_by(|(_, a), (_, b)| b.cmp(a));
    let worst = behind.into_iter().take(WORST);
    LagSummary {
        groups: look.of_readers().count(),
        total: look.lag(),
        worst: worst.map(|(name, lag)| GroupLagRow { group: name.to_string(), lag }).collect(),
        history: look.history.series(),
    }
}

pub(crate) fn brokers(look: &ClusterLook) -> Vec<BrokerRow> {
    // Leader of, holder of, in sync with.
    let mut counts: BTreeMap<i32, [usize; 3]> = BTreeMap::new();
    for (_, partition) in look.partitions() {
        let brokers = [partition.leader.as_slice(), &partition.replicas, &partition.in_sync];
        for (which, brokers) in brokers.into_iter().enumerate() {
            for broker in brokers {
                counts.entry(*broker).or_default()[which] += 1;
            }
        }
    }
    let row = |(id, known): (i32, &crate::watch::brokers::KnownBroker)| {
        let [leaders, replicas, in_sync] = counts.get(&id).copied().unwrap_or_default();
        BrokerRow {
            id,
            address: known.address.clone(),
            up: known.up,
            since: known.since,
            error: known.error.clone(),
            controller: look.controller == Some(id),
            leaders,
            replicas,
            in_sync,
        }
    };
    look.brokers.iter().map(row).collect()
}
