//! Committed offsets that were read from Kafka while processes were handling, and when they may be
//! entered. *Pure.*
//!
//! A process prints what it handled, then commits; the commit may be seen before the line has come
//! through the pipe. Entered at once, a sample would look like a commit ahead of its handler. It waits
//! until each process has printed a message that was sent after the sample was taken: its lines come in
//! order, so everything it printed before the commit is entered by then.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use kurier::{Offset, TopicPartition};

/// Offsets by partition.
pub type Committed = BTreeMap<TopicPartition, Offset>;

/// The samples of all groups that wait.
#[derive(Debug, Default)]
pub struct Samples(HashMap<String, Group>);

#[derive(Debug, Default)]
struct Group {
    printing: BTreeSet<String>,
    waiting: VecDeque<Sample>,
    last: Committed,
}

#[derive(Debug)]
struct Sample {
    /// How many events there were when it was taken.
    taken: u64,
    committed: Committed,
    waits_for: BTreeSet<String>,
}

impl Samples {
    /// A process of the group begins to print.
    pub fn begins(&mut self, group: &str, instance: &str) {
        self.group(group).printing.insert(instance.to_owned());
    }

    /// A sample was taken after `taken` events. Returns those that may be entered now, in order. One that
    /// says the same as the one before it is dropped.
    pub fn sampled(&mut self, group: &str, taken: u64, committed: Committed) -> Vec<Committed> {
        let group = self.group(group);
        if group.last != committed {
            group.last.clone_from(&committed);
            let waits_for = group.printing.clone();
            group.waiting.push_back(Sample { taken, committed, waits_for });
        }
        group.ready()
    }

    /// A process printed a message whose intent to be sent was event `sent`; None when this run did not
    /// send it.
    pub fn printed(&mut self, group: &str, instance: &str, sent: Option<u64>) -> Vec<Committed> {
        let group = self.group(group);
        for sample in &mut group.waiting {
            if sent.is_none_or(|sent| sent < sample.taken) {
                break;
            }
            sample.waits_for.remove(instance);
        }
        group.ready()
    }

    /// A process has ended, and all it printed is entered.
    pub fn ended(&mut self, group: &str, instance: &str) -> Vec<Committed> {
        let group = self.group(group);
        group.printing.remove(instance);
        for sample in &mut group.waiting {
            sample.waits_for.remove(instance);
        }
        group.ready()
    }

    fn group(&mut self, name: &str) -> &mut Group {
        self.0.entry(name.to_owned()).or_default()
    }
}

impl Group {
    /// What waits for nobody any more. An earlier sample never waits for more than a later one.
    fn ready(&mut self) -> Vec<Committed> {
        let waits = |sample: &Sample| !sample.waits_for.is_empty();
        let ready = self.waiting.iter().position(waits).unwrap_or(self.waiting.len());
        self.waiting.drain(..ready).map(|sample| sample.committed).collect()
    }
}

#[cfg(test)]
mod tests {
    use kurier::PartitionId;

    use super::*;

    fn at(offset: i64) -> Committed {
        [(TopicPartition::new("t", PartitionId(0)), Offset(offset))].into()
    }

    #[test]
    fn a_sample_waits_for_a_message_sent_after_it_from_every_process() {
        let mut samples = Samples::default();
        samples.begins("g", "1");
        samples.begins("g", "2");
        assert!(samples.sampled("g", 10, at(5)).is_empty());
        assert!(
            samples.printed("g", "1", Some(9)).is_empty(),
            "sent before, printed perhaps before"
        );
        assert!(samples.printed("g", "1", None).is_empty(), "nobody knows when it was sent");
        assert!(
            samples.printed("g", "1", Some(10)).is_empty(),
            "the other may have more in its pipe"
        );
        assert_eq!(samples.printed("g", "2", Some(12)), [at(5)]);
    }

    #[test]
    fn a_process_that_has_ended_holds_up_nothing_and_one_that_joins_later_neither() {
        let mut samples = Samples::default();
        samples.begins("g", "1");
        assert!(samples.sampled("g", 10, at(5)).is_empty());
        samples.begins("g", "2");
        assert!(samples.sampled("g", 20, at(7)).is_empty());
        assert_eq!(samples.ended("g", "1"), [at(5)], "2 began after it was taken");
        assert_eq!(samples.printed("g", "2", Some(20)), [at(7)]);
    }

    #[test]
    fn without_processes_a_sample_is_entered_at_once_and_only_when_it_is_new() {
        let mut samples = Samples::default();
        assert_eq!(samples.sampled("g", 1, at(5)), [at(5)]);
        assert!(samples.sampled("g", 2, at(5)).is_empty());
        assert_eq!(samples.sampled("g", 3, at(4)), [at(4)], "a regression is news");
    }
}
