//! What a look at offsets comes to: how far partitions reach, how fast they grow. *Pure.*

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::looks::{ClusterLook, OffsetsLook, PartitionOffsets, TopicOffsets};

/// What was told of partitions in one round; what is missing was not told.
#[derive(Debug, Default)]
pub(crate) struct OffsetsTold {
    pub(crate) first: BTreeMap<Arc<str>, BTreeMap<i32, i64>>,
    pub(crate) next: BTreeMap<Arc<str>, BTreeMap<i32, i64>>,
}

impl OffsetsLook {
    /// What is known after a round. Topics that the cluster does not have any more are forgotten;
    /// partitions that were not told of keep what was told last, without a rate.
    pub(crate) fn seen(&self, now: Timestamp, told: &OffsetsTold, cluster: &ClusterLook) -> Self {
        let mut look = Self { history: self.history.clone(), ..Self::default() };
        for (name, topic) in &cluster.topics {
            let before = self.topics.get(name);
            let numbers = topic.partitions.iter().map(|partition| partition.number);
            let count = numbers.max().map_or(0, |number| number.saturating_add(1));
            let partitions = (0..count).map(|number| {
                let place = usize::try_from(number).unwrap_or(usize::MAX);
                let before = before.and_then(|topic| topic.partitions.get(place));
                let of = |told: &BTreeMap<Arc<str>, BTreeMap<i32, i64>>| {
                    told.get(name).and_then(|topic| topic.get(&number)).copied()
                };
                grown(now, before.copied().unwrap_or_default(), of(&told.first), of(&told.next))
            });
            let history = before.map(|topic| topic.history.clone()).unwrap_or_default();
            let mut topic = TopicOffsets { partitions: partitions.collect(), history };
            let rate = topic.rate();
            topic.history.enter(now, rate);
            look.rate = sum(look.rate, rate);
            look.topics.insert(Arc::clone(name), topic);
        }
        look.history.enter(now, look.rate);
        look
    }
}

impl TopicOffsets {
    /// Messages a second, over the partitions of which it is known.
    pub(crate) fn rate(&self) -> Option<f64> {
        let known = self.partitions.iter().filter_map(|partition| partition.rate);
        known.fold(None, |all, rate| sum(all, Some(f64::from(rate))))
    }

    /// Offsets between first and next, when that is known of each partition.
    pub(crate) fn messages(&self) -> Option<i64> {
        self.partitions.iter().map(|partition| Some(partition.next? - partition.first?)).sum()
    }
}

fn grown(
    now: Timestamp,
    before: PartitionOffsets,
    first: Option<i64>,
    next: Option<i64>,
) -> PartitionOffsets {
    let Some(next) = next else {
        return PartitionOffsets { first: first.or(before.first), rate: None, ..before };
    };
    let rate = before.next.zip(before.told).and_then(|(earlier, told)| {
        let seconds = now.duration_since(told).as_secs_f32();
        // A log that is shorter than before was cut off or made anew: nothing is known of it.
        (0.0 < seconds && earlier <= next).then(|| (next - earlier) as f32 / seconds)
    });
    PartitionOffsets { first: first.or(before.first), next: Some(next), rate, told: Some(now) }
}

/// Adds what is known.
fn sum(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::looks::{PartitionLook, TopicLook};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn cluster(topics: &[(&str, i32)]) -> ClusterLook {
        let topic = |count| TopicLook {
            partitions: (0..count)
                .map(|number| PartitionLook { number, ..Default::default() })
                .collect(),
            ..Default::default()
        };
        let topics = topics.iter().map(|(name, count)| ((*name).into(), topic(*count)));
        ClusterLook { topics: topics.collect(), ..Default::default() }
    }

    /// Everything that is told starts at 0.
    fn told(next: &[(&str, i32, i64)]) -> OffsetsTold {
        let mut told = OffsetsTold::default();
        for (topic, partition, next) in next {
            told.first.entry((*topic).into()).or_default().insert(*partition, 0);
            told.next.entry((*topic).into()).or_default().insert(*partition, *next);
        }
        told
    }

    fn end(look: &OffsetsLook, topic: &str, partition: i32) -> Option<i64> {
        look.partition(topic, partition).and_then(|told| told.next)
    }

    #[test]
    fn a_rate_takes_two_looks() {
        let cluster = cluster(&[("a", 1), ("b", 1)]);
        let one = OffsetsLook::default().seen(at(0), &told(&[("a", 0, 10), ("b", 0, 5)]), &cluster);
        assert_eq!((one.rate, one.topics["a"].rate()), (None, None));
        assert_eq!((one.topics["a"].messages(), end(&one, "b", 0)), (Some(10), Some(5)));
        let two = one.seen(at(4), &told(&[("a", 0, 30), ("b", 0, 5)]), &cluster);
        assert_eq!((two.topics["a"].rate(), two.topics["b"].rate()), (Some(5.0), Some(0.0)));
        assert_eq!(two.rate, Some(5.0));
        assert_eq!(two.history.series().values, [Some(5.0)]);
    }

    #[test]
    fn a_partition_that_is_not_told_of_keeps_its_end_and_blinds_no_other() {
        let cluster = cluster(&[("a", 2)]);
        let all = told(&[("a", 0, 10), ("a", 1, 10)]);
        let one = OffsetsLook::default().seen(at(0), &all, &cluster);
        let two = one.seen(at(2), &told(&[("a", 0, 12)]), &cluster);
        let partitions = &two.topics["a"].partitions;
        assert_eq!((partitions[0].next, partitions[0].rate), (Some(12), Some(1.0)));
        assert_eq!((partitions[1].next, partitions[1].rate), (Some(10), None));
        assert_eq!(partitions[1].told, Some(at(0)), "it says how old that is");
        let three = two.seen(at(4), &told(&[("a", 0, 12), ("a", 1, 18)]), &cluster);
        assert_eq!(three.topics["a"].partitions[1].rate, Some(2.0), "over all that time");
    }

    #[test]
    fn what_was_never_told_is_not_known() {
        let look =
            OffsetsLook::default().seen(at(0), &told(&[("a", 0, 10)]), &cluster(&[("a", 2)]));
        assert_eq!((look.topics["a"].messages(), look.topics["a"].rate()), (None, None));
        assert_eq!(
            (end(&look, "a", 1), end(&look, "a", 7), end(&look, "b", 0)),
            (None, None, None)
        );
        let empty = look.seen(at(1), &told(&[]), &cluster(&[]));
        assert_eq!((empty.topics.len(), empty.rate), (0, None));
    }

    #[test]
    fn a_log_that_is_shorter_than_before_has_no_rate() {
        let cluster = cluster(&[("a", 1)]);
        let one = OffsetsLook::default().seen(at(0), &told(&[("a", 0, 10)]), &cluster);
        let two = one.seen(at(2), &told(&[("a", 0, 3)]), &cluster);
        assert_eq!((two.topics["a"].rate(), end(&two, "a", 0)), (None, Some(3)));
    }
}
