//! The state of the cluster in a word and a few reasons, and whether the dashboard is ready. *Pure.*

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Pace;
use super::board::Kept;
use super::looks::{ClusterLook, OffsetsLook, SettingsLook};
use crate::view::State;

/// After what time a broker that is away and holds nothing is no reason any more: it was taken out.
const TAKEN_OUT: SignedDuration = SignedDuration::from_mins(10);

/// For how long no look at offsets need have ended: with many partitions or a slow leader one takes long.
const BLIND: Duration = Duration::from_secs(30);

/// How many brokers are named one by one.
const NAMED: usize = 5;

/// What is known when the state is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) cluster: &'a Kept<ClusterLook>,
    pub(crate) offsets: &'a Kept<OffsetsLook>,
    pub(crate) settings: &'a Kept<SettingsLook>,
    pub(crate) pace: &'a Pace,
}

/// The state, and why, the worst first.
pub(crate) fn state(now: Timestamp, known: &Known<'_>) -> (State, Vec<String>) {
    let Some(cluster) = known.cluster.data.as_deref() else {
        return match &known.cluster.error {
            Some(error) if known.cluster.asked => (State::Down, vec![error.clone()]),
            error => (State::Unknown, error.iter().cloned().collect()),
        };
    };
    if let Some(silence) = silence(now, known.cluster, known.pace) {
        return (State::Down, vec![silence]);
    }
    let counts = Counts::of(cluster, known.settings.data.as_deref());
    let mut reasons = Vec::new();
    let mut partitions = |count: usize, what: &str| {
        if 0 < count {
            reasons.push(format!("{count} of {} partitions {what}", counts.partitions));
        }
    };
    partitions(counts.offline, "have no leader");
    partitions(
        counts.under_min_isr.unwrap_or(0),
        "have fewer replicas in sync than acks=all needs",
    );
    reasons.extend(brokers(now, cluster));
    reasons.extend(blindness(now, known));
    if 0 < counts.under_replicated {
        let (count, of) = (counts.under_replicated, counts.partitions);
        reasons.push(format!("{count} of {of} partitions lack replicas in sync"));
    }
    let state = if reasons.is_empty() { State::Healthy } else { State::Degraded };
    (state, reasons)
}

/// Whether the dashboard knows the cluster as it is: a look at it, the first of `parts`, that is not too
/// old. The lines say how old each part is.
pub(crate) fn readiness(now: Timestamp, parts: &[Age]) -> (bool, String) {
    let mut lines = String::new();
    for part in parts {
        let seen = match part.seconds(now) {
            Some(seconds) => format!("seen {seconds:.0} s ago"),
            None => "never seen".to_owned(),
        };
        let error = part.error.as_ref().map(|error| format!("; {error}")).unwrap_or_default();
        // Whatever is named in an error stays within its line.
        let error = error.replace(char::is_control, " ");
        lines += &format!("{}: {seen}{error}\n", part.name);
    }
    (parts.first().is_some_and(|cluster| cluster.is_fresh(now)), lines)
}

/// How old a part is.
#[derive(Debug, Clone)]
pub(crate) struct Age {
    pub(crate) name: &'static str,
    pub(crate) as_of: Option<Timestamp>,
    pub(crate) error: Option<String>,
    /// How old it may be: two looks.
    pub(crate) limit: Duration,
}

impl Age {
    pub(crate) fn of<T>(name: &'static str, kept: &Kept<T>, every: Duration, pace: &Pace) -> Self {
        let limit = 2 * (every + pace.deadline);
        Self { name, as_of: kept.as_of, error: kept.error.clone(), limit }
    }

    /// Whether a single thing of it was told lately enough. What was told in the future was told before a
    /// clock was set back, nobody knows how long ago.
    pub(crate) fn allows(&self, now: Timestamp, told: Option<Timestamp>) -> bool {
        let seconds = told.map(|told| now.duration_since(told).as_secs_f64().abs());
        seconds.is_some_and(|seconds| seconds <= self.limit.as_secs_f64())
    }

    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.allows(now, self.as_of)
    }

    pub(crate) fn seconds(&self, now: Timestamp) -> Option<f64> {
        Some(now.duration_since(self.as_of?).as_secs_f64())
    }
}

/// That the cluster has not answered for too long.
fn silence(now: Timestamp, cluster: &Kept<ClusterLook>, pace: &Pace) -> Option<String> {
    let age = Age::of("cluster", cluster, pace.cluster, pace);
    if age.is_fresh(now) {
        return None;
    }
    let seconds = age.seconds(now).unwrap_or(0.0);
    let error = age.error.as_deref().unwrap_or(NO_LOOK);
    if seconds < 0.0 {
        return Some(format!("the cluster has not answered since the clock was set back: {error}"));
    }
    Some(format!("the cluster has not answered for {seconds:.0} s: {error}"))
}

/// Why nothing is newer, of a part that does not say.
const NO_LOOK: &str = "no look has ended since";

/// Leaders that did not say how far their partitions reach, or that nobody has for too long.
fn blindness(now: Timestamp, known: &Known<'_>) -> Option<String> {
    let (offsets, pace) = (known.offsets, known.pace);
    let mut age = Age::of("offsets", offsets, pace.offsets, pace);
    if !offsets.asked || age.is_fresh(now) {
        return offsets.data.as_ref()?.unanswered.clone();
    }
    let Some(seconds) = age.seconds(now) else {
        return Some(format!("no partition's offsets were ever told: {}", age.error?));
    };
    let told_why = age.error.take();
    age.limit = age.limit.max(BLIND);
    if told_why.is_none() && age.is_fresh(now) {
        return None;
    }
    let (seconds, why) = (seconds.max(0.0), told_why.as_deref().unwrap_or(NO_LOOK));
    Some(format!("no partition's offsets have been told for {seconds:.0} s: {why}"))
}

/// Brokers that are away, unless they were taken out.
fn brokers(now: Timestamp, cluster: &ClusterLook) -> Vec<String> {
    let holds = |id: i32| cluster.partitions().any(|(_, one)| one.replicas.contains(&id));
    let away = cluster.brokers.iter().filter(|(_, known)| !known.up);
    let away = away.filter(|(id, known)| now.duration_since(known.since) < TAKEN_OUT || holds(*id));
    let mut lines: Vec<_> = away
        .map(|(id, known)| {
            let seconds = now.duration_since(known.since).as_secs().max(0);
            match &known.error {
                Some(error) => {
                    format!("broker {id} has taken no connections for {seconds} s: {error}")
                }
                None => format!("broker {id} has not been there for {seconds} s"),
            }
        })
        .collect();
    if NAMED < lines.len() {
        let more = lines.len() - NAMED;
        lines.truncate(NAMED);
        lines.push(format!("{more} more brokers are away"));
    }
    lines
}

/// Partitions counted by what is wrong with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) partitions: usize,
    pub(crate) offline: usize,
    pub(crate) under_replicated: usize,
    /// None while the setting of a topic is not known.
    pub(crate) under_min_isr: Option<usize>,
    pub(crate) at_min_isr: Option<usize>,
}

impl Counts {
    pub(crate) fn of(cluster: &ClusterLook, settings: Option<&SettingsLook>) -> Self {
        let mut counts = Self {
            under_min_isr: settings.map(|_| 0),
            at_min_isr: settings.map(|_| 0),
            ..Self::default()
        };
        for (name, topic) in &cluster.topics {
            let min = settings
                .and_then(|settings| settings.topics.get(name))
                .and_then(|topic| topic.min_insync_replicas);
            for partition in &topic.partitions {
                counts.partitions += 1;
                counts.offline += usize::from(partition.leader.is_none());
                counts.under_replicated += usize::from(partition.is_under_replicated());
                let in_sync = partition.in_sync.len();
                let add = |count: Option<usize>, is: fn(usize, usize) -> bool| {
                    Some(count? + usize::from(is(in_sync, min?)))
                };
                counts.under_min_isr = add(counts.under_min_isr, |in_sync, min| in_sync < min);
                counts.at_min_isr = add(counts.at_min_isr, |in_sync, min| in_sync == min);
            }
        }
        counts
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
