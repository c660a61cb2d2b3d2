//! The ledger: a pure judge of one run. It is told what was accepted, delivered and handled, and says
//! what was lost, handled twice or out of order.
//!
//! It owns no clock and does no I/O: time is the [`Duration`] since the run began, passed in. Loss is
//! judged per group, since every group is promised every message: a message is *lost* to a group when
//! Kafka acknowledged it and the group has not handled it. A message whose delivery failed is not lost
//! (its sender was told), and one that is still under way is not either (its sender was not told yet);
//! both are counted apart.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::{Offset, PartitionId};

/// What happened to the messages of one run; [`judge`](Ledger::judge) says whether that is right.
///
/// Memory is about 100 bytes a message plus 8 for each group.
#[derive(Debug, Default)]
pub struct Ledger {
    messages: Vec<Entry>,
    by_id: HashMap<Uuid, usize>,
    /// Position of the last message accepted for each key, and the highest place it was written to.
    keys: HashMap<Bytes, usize>,
    key_states: Vec<KeyState>,
    groups: Vec<Group>,
    under_way: usize,
    progress: Stall,
    written_out_of_order: u64,
}

#[derive(Debug)]
struct Entry {
    key: usize,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    UnderWay,
    Delivered,
    Failed,
}

#[derive(Debug, Default)]
struct KeyState {
    /// The place in Kafka of the latest delivered message of the key, by order of acceptance.
    latest_written: Option<(usize, PartitionId, Offset)>,
}

#[derive(Debug)]
struct Group {
    name: String,
    /// How often each message was handled, by index of the message.
    times: Vec<u32>,
    /// The latest message handled of each key, by index of the message.
    latest: HashMap<usize, usize>,
    out_of_order: u64,
    foreign: u64,
}

/// The longest time without an acknowledgement while a message waited for one.
#[derive(Debug, Default)]
struct Stall {
    waiting_since: Option<Duration>,
    longest: Duration,
}

impl Ledger {
    /// An empty ledger for a run that `groups` are to handle completely.
    pub fn new<G: Into<String>>(groups: impl IntoIterator<Item = G>) -> Self {
        Self {
            groups: groups.into_iter().map(|name| Group::new(name.into())).collect(),
            ..Self::default()
        }
    }

    /// The producer accepted message `id` of `key`; the calls' order is the order of acceptance, which
    /// is the order that the key's messages must keep. A second call for the same id is ignored.
    pub fn accepted(&mut self, id: Uuid, key: &Bytes, at: Duration) {
        let index = self.messages.len();
        if *self.by_id.entry(id).or_insert(index) != index {
            return;
        }
        let key = match self.keys.get(key) {
            Some(&known) => known,
            None => {
                self.key_states.push(KeyState::default());
                self.keys.insert(key.clone(), self.key_states.len() - 1);
                self.key_states.len() - 1
            }
        };
        self.messages.push(Entry { key, fate: Fate::UnderWay });
        if self.under_way == 0 {
            self.progress.waiting_since = Some(at);
        }
        self.under_way += 1;
    }

    /// Kafka acknowledged message `id` at `place`, when it named one (a duplicate sequence answer names
    /// no offset).
    pub fn delivered(&mut self, id: Uuid, place: Option<(PartitionId, Offset)>, at: Duration) {
        let Some(index) = self.settle(id, Fate::Delivered, at) else { return };
        let Some((partition, offset)) = place else { return };
        let state = &mut self.key_states[self.messages[index].key];
        match state.latest_written {
            // A key that changes its partition has no order to compare.
            Some((before, there, latest)) if there == partition => {
                if (before < index) == (latest < offset) {
                    if before < index {
                        state.latest_written = Some((index, partition, offset));
                    }
                } else {
                    self.written_out_of_order += 1;
                }
            }
            _ => state.latest_written = Some((index, partition, offset)),
        }
    }

    /// The delivery of message `id` failed and its sender was told.
    pub fn failed(&mut self, id: Uuid, at: Duration) {
        let _ = self.settle(id, Fate::Failed, at);
    }

    /// `group` handled message `id` with success. A group that [`new`](Self::new) was not told of is
    /// ignored; an id that was never accepted counts as foreign.
    pub fn handled(&mut self, group: &str, id: Uuid) {
        let Some(group) = self.groups.iter_mut().find(|known| known.name == group) else { return };
        match self.by_id.get(&id) {
            Some(&index) => group.handled(index, self.messages[index].key),
            None => group.foreign += 1,
        }
    }

    /// True when every acknowledged message was handled by every group and none is under way.
    pub fn is_complete(&self) -> bool {
        self.under_way == 0 && self.groups.iter().all(|group| self.lost_to(group).next().is_none())
    }

    /// How many messages were accepted, delivered, and are still under way.
    pub fn counts(&self) -> (u64, u64, u64) {
        let delivered = self.count(Fate::Delivered);
        (self.messages.len() as u64, delivered, self.under_way as u64)
    }

    /// The judgement on everything told so far; `at` closes a stall that still lasts.
    pub fn judge(&self, at: Duration) -> Judgement {
        let still =
            self.progress.waiting_since.map_or(Duration::ZERO, |since| at.saturating_sub(since));
        Judgement {
            accepted: self.messages.len() as u64,
            delivered: self.count(Fate::Delivered),
            failed: self.count(Fate::Failed),
            under_way: self.under_way as u64,
            written_out_of_order: self.written_out_of_order,
            longest_stall: self.progress.longest.max(still),
            groups: self.groups.iter().map(|group| self.judge_group(group)).collect(),
        }
    }

    fn judge_group(&self, group: &Group) -> GroupJudgement {
        GroupJudgement {
            group: group.name.clone(),
            handled: group.times.iter().filter(|times| **times > 0).count() as u64,
            lost: self.lost_to(group).count() as u64,
            duplicates: group.times.iter().map(|times| u64::from(times.saturating_sub(1))).sum(),
            out_of_order: group.out_of_order,
            foreign: group.foreign,
        }
    }

    fn lost_to<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = usize> + 'a {
        self.messages.iter().enumerate().filter_map(|(index, entry)| {
            let handled = group.times.get(index).is_some_and(|times| *times > 0);
            (entry.fate == Fate::Delivered && !handled).then_some(index)
        })
    }

    fn count(&self, fate: Fate) -> u64 {
        self.messages.iter().filter(|entry| entry.fate == fate).count() as u64
    }

    /// The index of a message that was under way and no longer is.
    fn settle(&mut self, id: Uuid, fate: Fate, at: Duration) -> Option<usize> {
        let index = *self.by_id.get(&id)?;
        let entry = &mut self.messages[index];
        if entry.fate != Fate::UnderWay {
            return None;
        }
        entry.fate = fate;
        self.under_way -= 1;
        self.progress.step(at, self.under_way > 0);
        Some(index)
    }
}

impl Group {
    fn new(name: String) -> Self {
        Self { name, times: Vec::new(), latest: HashMap::new(), out_of_order: 0, foreign: 0 }
    }

    fn handled(&mut self, index: usize, key: usize) {
        if self.times.len() <= index {
            self.times.resize(index + 1, 0);
        }
        let times = &mut self.times[index];
        *times = times.saturating_add(1);
        if *times > 1 {
            // A message given again goes back in time; the order is that of first handling.
            return;
        }
        let latest = self.latest.entry(key).or_insert(index);
        if *latest > index {
            self.out_of_order += 1;
        } else {
            *latest = index;
        }
    }
}

impl Stall {
    fn step(&mut self, at: Duration, more_wait: bool) {
        if let Some(since) = self.waiting_since {
            self.longest = self.longest.max(at.saturating_sub(since));
        }
        self.waiting_since = more_wait.then_some(at);
    }
}

/// What a [`Ledger`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Messages that the producer accepted.
    pub accepted: u64,
    /// Messages that Kafka acknowledged.
    pub delivered: u64,
    /// Messages whose delivery failed, which their sender was told.
    pub failed: u64,
    /// Messages without an outcome yet.
    pub under_way: u64,
    /// Messages that stand in their partition before an earlier message of their key.
    pub written_out_of_order: u64,
    /// The longest time without an acknowledgement while a message waited for one.
    pub longest_stall: Duration,
    /// What each group made of it.
    pub groups: Vec<GroupJudgement>,
}

/// What a [`Ledger`] found for one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupJudgement {
    /// The group's name.
    pub group: String,
    /// Messages handled at least once.
    pub handled: u64,
    /// Messages acknowledged by Kafka and never handled.
    pub lost: u64,
    /// How often a message was handled again.
    pub duplicates: u64,
    /// Messages first handled after a later message of their key.
    pub out_of_order: u64,
    /// Messages handled that the ledger never saw accepted.
    pub foreign: u64,
}

impl Judgement {
    /// Messages lost to at least one group: the sum over groups, so that one message lost to two groups
    /// counts twice.
    pub fn lost(&self) -> u64 {
        self.groups.iter().map(|group| group.lost).sum()
    }

    /// Violations of the order per key, in Kafka and at the handlers.
    pub fn order_violations(&self) -> u64 {
        self.written_out_of_order + self.groups.iter().map(|group| group.out_of_order).sum::<u64>()
    }

    /// True when nothing was lost, nothing was out of order, and every message has an outcome.
    pub fn holds(&self) -> bool {
        self.lost() == 0 && self.order_violations() == 0 && self.under_way == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Bytes = Bytes::from_static(b"a");
    const B: Bytes = Bytes::from_static(b"b");

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn place(offset: i64) -> Option<(PartitionId, Offset)> {
        Some((PartitionId(0), Offset(offset)))
    }

    /// A ledger that accepted one message of key `a` for each id.
    fn with(ids: &[Uuid]) -> Ledger {
        let mut ledger = Ledger::new(["single", "batch"]);
        for id in ids {
            ledger.accepted(*id, &A, ms(0));
        }
        ledger
    }

    fn ids(n: usize) -> Vec<Uuid> {
        (0..n).map(|_| Uuid::new_v4()).collect()
    }

    #[test]
    fn a_run_in_which_every_group_handles_everything_holds() {
        let ids = ids(3);
        let mut ledger = with(&ids);
        for (offset, id) in ids.iter().enumerate() {
            ledger.delivered(*id, place(offset as i64), ms(1));
            ledger.handled("single", *id);
            assert!(!ledger.is_complete(), "the other group has not handled it");
            ledger.handled("batch", *id);
        }
        assert!(ledger.is_complete());
        let judgement = ledger.judge(ms(2));
        assert!(judgement.holds(), "{judgement:?}");
        assert_eq!(judgement.groups[1].handled, 3);
    }

    #[test]
    fn an_acknowledged_message_that_one_group_never_handled_is_lost() {
        let ids = ids(2);
        let mut ledger = with(&ids);
        for id in &ids {
            ledger.delivered(*id, None, ms(1));
            ledger.handled("single", *id);
        }
        ledger.handled("batch", ids[1]);
        let judgement = ledger.judge(ms(2));
        assert_eq!((judgement.groups[0].lost, judgement.groups[1].lost), (0, 1));
        assert!(!judgement.holds() && !ledger.is_complete());
    }

    #[test]
    fn a_failed_delivery_is_no_loss_and_an_open_one_is_not_complete() {
        let ids = ids(2);
        let mut ledger = with(&ids);
        ledger.failed(ids[0], ms(1));
        let judgement = ledger.judge(ms(2));
        assert_eq!((judgement.failed, judgement.under_way, judgement.lost()), (1, 1, 0));
        assert!(!judgement.holds());
    }

    #[test]
    fn only_the_first_handling_has_an_order() {
        let ids = ids(3);
        let mut ledger = with(&ids);
        for index in [0, 2, 0, 1, 2] {
            ledger.handled("single", ids[index]);
        }
        let judgement = ledger.judge(ms(0));
        assert_eq!(judgement.groups[0].duplicates, 2);
        assert_eq!(judgement.groups[0].out_of_order, 1, "message 1 came after message 2");
    }

    #[test]
    fn keys_have_no_order_among_each_other() {
        let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
        let mut ledger = Ledger::new(["g"]);
        ledger.accepted(one, &A, ms(0));
        ledger.accepted(two, &B, ms(0));
        ledger.delivered(two, place(0), ms(1));
        ledger.delivered(one, place(1), ms(1));
        ledger.handled("g", two);
        ledger.handled("g", one);
        assert!(ledger.judge(ms(1)).holds());
    }

    #[test]
    fn a_later_message_written_before_an_earlier_one_is_a_violation_whichever_report_comes_first() {
        for reports in [[(0, 7), (1, 3)], [(1, 3), (0, 7)]] {
            let ids = ids(2);
            let mut ledger = with(&ids);
            for (index, offset) in reports {
                ledger.delivered(ids[index], place(offset), ms(1));
            }
            assert_eq!(ledger.judge(ms(1)).written_out_of_order, 1, "{reports:?}");
        }
    }

    #[test]
    fn a_stall_is_a_wait_for_an_acknowledgement_not_an_idle_producer() {
        let ids = ids(3);
        let mut ledger = Ledger::new(["g"]);
        ledger.accepted(ids[0], &A, ms(0));
        ledger.delivered(ids[0], None, ms(10));
        ledger.accepted(ids[1], &A, ms(5_000));
        ledger.accepted(ids[2], &A, ms(5_001));
        ledger.delivered(ids[1], None, ms(5_200));
        assert_eq!(ledger.judge(ms(5_300)).longest_stall, ms(200));
        assert_eq!(ledger.judge(ms(6_000)).longest_stall, ms(800), "it still lasts");
    }

    #[test]
    fn what_was_never_accepted_is_foreign_and_a_second_acceptance_counts_once() {
        let id = Uuid::new_v4();
        let mut ledger = with(&[id]);
        ledger.accepted(id, &A, ms(0));
        ledger.handled("single", Uuid::new_v4());
        let judgement = ledger.judge(ms(0));
        assert_eq!((judgement.accepted, judgement.groups[0].foreign), (1, 1));
    }
}
