//! What a look at a group comes to: lag, owners, and how the lag behaves. *Pure.*

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::history::{History, STEP_SECONDS};
use super::looks::{ClusterLook, OffsetsLook, PartitionOffsets};
use crate::view::LagVerdict;

/// How many steps a verdict takes: a minute.
const WINDOW: usize = 6;

/// How long a commit that went back is held against a group: as long as a history.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(15);

/// How long before a look an end may have been told: a group that reads on would else seem to catch up with
/// an end that nobody tells any more.
const END_MAX: SignedDuration = SignedDuration::from_secs(30);

/// How long after a commit an end must be told that is still below it: a round of looks at offsets takes
/// some time, and counts as told at its end.
const BEYOND_MIN: SignedDuration = SignedDuration::from_secs(20);

/// What a group's coordinator says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupSeen {
    /// Who is in it, or why that is not told.
    pub(crate) described: Result<Described, String>,
    /// The next offset to read, of each partition with a commit.
    pub(crate) committed: BTreeMap<Place, i64>,
}

/// Who is in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) state: &'static str,
    pub(crate) protocol: Option<String>,
    /// `2 (kafka2:9092)`.
    pub(crate) coordinator: Option<String>,
    pub(crate) members: Vec<Member>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) client_id: Arc<str>,
    pub(crate) instance_id: Option<String>,
    pub(crate) host: String,
    pub(crate) owns: Vec<Place>,
}

/// A topic's partition.
pub(crate) type Place = (Arc<str>, i32);

/// A group, as it was seen last.
#[derive(Debug, Clone, Default)]
pub(crate) struct GroupLook {
    /// The state as it was listed or described, whichever is newer.
    pub(crate) state: &'static str,
    pub(crate) protocol: Option<String>,
    pub(crate) coordinator: Option<String>,
    /// None until it was described.
    pub(crate) members: Option<Vec<Member>>,
    /// Those with a commit or an owner.
    pub(crate) partitions: BTreeMap<Place, PartitionLag>,
    /// Those of its topics that have neither.
    pub(crate) untouched: Vec<Place>,
    /// When it was looked at, as opposed to listed.
    pub(crate) as_of: Option<Timestamp>,
    /// Why it was not looked at since.
    pub(crate) error: Option<String>,
    /// The lag over all partitions.
    pub(crate) history: History,
}

/// A group at a partition.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PartitionLag {
    pub(crate) committed: Option<i64>,
    pub(crate) end: Option<i64>,
    /// It was told too long ago: who leads it does not answer.
    pub(crate) end_is_old: bool,
    /// A commit that was beyond the end when it was seen, and when; until an end reaches it.
    beyond: Option<(i64, Timestamp)>,
    /// It is still beyond an end that was told long after.
    is_ahead: bool,
    /// The `client.id` of the member that owns it.
    pub(crate) owner: Option<Arc<str>>,
    /// When a commit moved last, as far as was seen.
    pub(crate) moved: Option<Timestamp>,
    /// Since when it is looked at.
    since: Option<Timestamp>,
    /// The furthest commit, and when it was last seen; what is older than a history is forgotten.
    furthest: Option<(i64, Timestamp)>,
    pub(crate) history: History,
}

impl PartitionLag {
    /// Messages between commit and end. An end that was told before the commit was is no news of it, nor is
    /// one that was told long ago or is far behind it.
    pub(crate) fn lag(&self) -> Option<i64> {
        if self.end_is_old || self.is_ahead {
            return None;
        }
        Some((self.end? - self.committed?).max(0))
    }

    /// Takes in the end as it was told last.
    fn reaches(&mut self, now: Timestamp, told: Option<&PartitionOffsets>, is_led: bool) {
        self.end = told.and_then(|told| told.next);
        let since = |told: Timestamp| now.duration_since(told).abs();
        let told_at = told.and_then(|told| told.told);
        // Where nobody leads, nothing is written.
        self.end_is_old = is_led && told_at.is_some_and(|told| END_MAX < since(told));
        self.is_ahead = false;
        let Some((committed, end)) = self.committed.zip(self.end).filter(|(at, end)| end < at)
        else {
            self.beyond = None;
            return;
        };
        let (first, seen) =
            self.beyond.filter(|(first, _)| end < *first).unwrap_or((committed, now));
        self.beyond = Some((first.min(committed), seen));
        self.is_ahead = told_at.is_some_and(|told| BEYOND_MIN < told.duration_since(seen));
    }

    /// How the lag behaves, at the last look.
    fn verdict(&self, now: Timestamp, has_members: Option<bool>) -> LagVerdict {
        if self.is_ahead && !self.end_is_old {
            return LagVerdict::Ahead;
        }
        let (Some(lag), Some(committed)) = (self.lag(), self.committed) else {
            return LagVerdict::Unknown;
        };
        if self.furthest.is_some_and(|(furthest, _)| committed < furthest) {
            return LagVerdict::Rewind;
        }
        if lag == 0 {
            return LagVerdict::Ok;
        }
        match has_members {
            Some(true) => {}
            Some(false) => return LagVerdict::Stop,
            None => return LagVerdict::Unknown,
        }
        let window = STEP_SECONDS * WINDOW as i64;
        let passed = |since: Timestamp| window <= now.duration_since(since).as_secs();
        if !self.since.is_some_and(passed) {
            return LagVerdict::Unknown;
        }
        if self.moved.is_none_or(passed) {
            return LagVerdict::Stall;
        }
        let lags: Vec<f64> = self.history.latest(now, WINDOW).into_iter().flatten().collect();
        let never_shrank = lags.windows(2).all(|pair| pair[0] <= pair[1]);
        let grew = lags.first() < lags.last();
        if WINDOW / 2 < lags.len() && never_shrank && grew {
            LagVerdict::Warn
        } else {
            LagVerdict::Ok
        }
    }
}

impl GroupLook {
    /// What it is after it was looked at.
    pub(crate) fn seen(
        &self,
        now: Timestamp,
        seen: GroupSeen,
        offsets: Option<&OffsetsLook>,
        cluster: Option<&ClusterLook>,
    ) -> Self {
        let (described, error) = match seen.described {
            Ok(described) => (Some(described), None),
            Err(error) => (None, Some(error)),
        };
        let members = described.as_ref().map_or(&[][..], |described| &described.members);
        let mut partitions = self.touched(now, &seen.committed, members);
        for ((topic, number), partition) in &mut partitions {
            partition.since = partition.since.or(Some(now));
            let told = offsets.and_then(|offsets| offsets.partition(topic, *number));
            let is_led = cluster.is_none_or(|cluster| cluster.is_led(topic, *number));
            partition.reaches(now, told, is_led);
            let lag = partition.lag();
            partition.history.enter(now, lag.map(|lag| lag as f64));
        }
        let untouched = untouched(&partitions, cluster);
        let mut look = Self {
            state: self.state,
            protocol: None,
            coordinator: None,
            members: None,
            partitions,
            untouched,
            as_of: Some(now),
            error,
            history: self.history.clone(),
        };
        if let Some(Described { state, protocol, coordinator, members }) = described {
            look = Self { state, protocol, coordinator, members: Some(members), ..look };
        }
        look.history.enter(now, look.lag().map(|lag| lag as f64));
        look
    }

    /// Its partitions by what it has committed and who owns them, with what was known of them before.
    fn touched(
        &self,
        now: Timestamp,
        committed: &BTreeMap<Place, i64>,
        members: &[Member],
    ) -> BTreeMap<Place, PartitionLag> {
        let mut partitions: BTreeMap<Place, PartitionLag> = BTreeMap::new();
        let at = |place: &Place| {
            let mut known = self.partitions.get(place).cloned().unwrap_or_default();
            known.owner = None;
            known
        };
        for (place, committed) in committed {
            let mut partition = at(place);
            if partition.committed.is_some_and(|before| before != *committed) {
                partition.moved = Some(now);
            }
            partition.committed = Some(*committed);
            let still_ahead = |(furthest, seen): &(i64, Timestamp)| {
                *committed < *furthest && now.duration_since(*seen) < REMEMBERED
            };
            partition.furthest = partition.furthest.filter(still_ahead).or(Some((*committed, now)));
            partitions.insert(place.clone(), partition);
        }
        for member in members {
            for place in &member.owns {
                let partition = partitions
                    .entry(place.clone())
                    .or_insert_with(|| PartitionLag { committed: None, ..at(place) });
                partition.owner = Some(Arc::clone(&member.client_id));
            }
        }
        partitions
    }

    /// What it is after it could not be looked at.
    pub(crate) fn failed(&self, error: String) -> Self {
        Self { error: Some(error), ..self.clone() }
    }

    /// How far it is behind over all partitions where that is known.
    pub(crate) fn lag(&self) -> Option<i64> {
        let known = self.partitions.values().filter_map(PartitionLag::lag);
        known.fold(None, |sum: Option<i64>, lag| Some(sum.unwrap_or(0).saturating_add(lag)))
    }

    /// The worst verdict over its partitions. It keeps up only where that is known of each it has a position in.
    pub(crate) fn verdict(&self, now: Timestamp) -> LagVerdict {
        let (mut worst, mut all_known) = (LagVerdict::Unknown, self.blind() == 0);
        for partition in self.partitions.values() {
            let verdict = self.verdict_of(now, partition);
            all_known &= partition.committed.is_none() || verdict != LagVerdict::Unknown;
            if badness(worst) < badness(verdict) {
                worst = verdict;
            }
        }
        if worst == LagVerdict::Ok && !all_known { LagVerdict::Unknown } else { worst }
    }

    /// How the lag of one of its partitions behaves, as it was when it was looked at: that nothing was seen
    /// since says nothing of it, and after a minute nothing is known.
    pub(crate) fn verdict_of(&self, now: Timestamp, partition: &PartitionLag) -> LagVerdict {
        let lately = |at: &Timestamp| {
            now.duration_since(*at).as_secs().abs() <= STEP_SECONDS * WINDOW as i64
        };
        let Some(looked) = self.as_of.filter(lately) else { return LagVerdict::Unknown };
        let has_members = self.members.as_ref().map(|members| !members.is_empty());
        partition.verdict(looked, has_members)
    }

    /// Partitions whose ends were told too long ago.
    pub(crate) fn blind(&self) -> usize {
        self.partitions.values().filter(|partition| partition.end_is_old).count()
    }

    /// Its topics.
    pub(crate) fn topics(&self) -> BTreeSet<&Arc<str>> {
        self.partitions.keys().map(|(topic, _)| topic).collect()
    }

    /// Partitions that nobody owns though others of the same topic are owned: of a topic that nobody
    /// has a part of, it can't be told whether the members still want it, and while partitions are
    /// handed out nobody owns any.
    pub(crate) fn without_owner(&self) -> Vec<&Place> {
        if self.state != "Stable" {
            return Vec::new();
        }
        let owned: BTreeSet<&Arc<str>> = self
            .partitions
            .iter()
            .filter(|(_, partition)| partition.owner.is_some())
            .map(|((topic, _), _)| topic)
            .collect();
        let unowned = self.partitions.iter().filter(|(_, partition)| partition.owner.is_none());
        let unowned = unowned.map(|(place, _)| place).chain(&self.untouched);
        unowned.filter(|(topic, _)| owned.contains(topic)).collect()
    }
}

/// The partitions of its topics that a group has neither committed nor owns.
fn untouched(
    partitions: &BTreeMap<Place, PartitionLag>,
    cluster: Option<&ClusterLook>,
) -> Vec<Place> {
    let topics: BTreeSet<&Arc<str>> = partitions.keys().map(|(topic, _)| topic).collect();
    let mut untouched = Vec::new();
    for topic in topics {
        let known = cluster.and_then(|cluster| cluster.topics.get(topic));
        for partition in known.iter().flat_map(|topic| &topic.partitions) {
            let place = (Arc::clone(topic), partition.number);
            if !partitions.contains_key(&place) {
                untouched.push(place);
            }
        }
    }
    untouched
}

/// In which order verdicts matter.
fn badness(verdict: LagVerdict) -> u8 {
    match verdict {
        LagVerdict::Unknown => 0,
        LagVerdict::Ok => 1,
        LagVerdict::Warn => 2,
        LagVerdict::Rewind => 3,
        LagVerdict::Ahead => 4,
        LagVerdict::Stall => 5,
        LagVerdict::Stop => 6,
    }
}

#[cfg(test)]
#[path = "lag_tests.rs"]
mod tests;
