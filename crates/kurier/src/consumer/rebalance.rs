//! Rebalances: partitions are taken in, drained and let go, one turn after another.
//!
//! The group waits for the answer to a turn; meanwhile rounds go on, and with them everything that is
//! not part of the turn. A revoke stops its lanes, waits for the messages in their handlers' hands, but
//! not longer than the drain deadline, commits, and lets go. What was lost commits nothing: it is
//! another's already.

use std::time::{Duration, Instant};

use rdkafka::Offset as KafkaOffset;
use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;

use super::ConsumerEvent;
use super::context::{Client, Turn};
use super::held::Held;
use super::poll::Keeper;
use super::start::{QUESTION, list_of};
use crate::sys::PartitionFeed;
use crate::{Offset, StartFrom, TopicPartition};

/// Pause before a commit that the group was not ready for is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// Partitions on their way out.
#[derive(Debug)]
pub(super) struct Leaving {
    partitions: Vec<TopicPartition>,
    lost: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Handlers finish what they have in their hands.
    Draining { until: Instant },
    /// The next commit is asked at `next`; all of them end at `until`.
    Committing { next: Instant, until: Instant, asked: bool },
    /// Nothing is left to wait for.
    Done,
}

impl Keeper {
    /// Goes on with the turn at hand, then begins the next.
    pub(super) fn rebalance(&mut self) {
        loop {
            if self.leaving.is_some() && !self.leave() {
                return;
            }
            // A turn that could not be answered is left for the close.
            if self.failed.is_some() && !self.closing {
                return;
            }
            match self.turns.pop_front() {
                None => return,
                Some(Turn::Assign(partitions)) => self.take_in(partitions),
                Some(Turn::Revoke { partitions, lost }) => self.begin_leaving(partitions, lost),
            }
        }
    }

    fn take_in(&mut self, partitions: Vec<TopicPartition>) {
        if self.closing {
            // It is answered, for the group waits, but nothing is read any more.
            let starts: Vec<_> = partitions.into_iter().map(|one| (one, None)).collect();
            if let Err(error) = assign(&self.client, &starts) {
                tracing::warn!(%error, "a rebalance while closing");
            }
            return;
        }
        // The group is there again, and has given to somebody what was lost while it was away.
        self.report.uncommitted.clear();
        let starts = match self.starts(&partitions) {
            Ok(starts) => starts,
            Err(error) => {
                self.failed.get_or_insert(error);
                return self.turns.push_front(Turn::Assign(partitions));
            }
        };
        // A beginning is found again, by whoever comes next; any other place only when it is committed.
        let is_found_again = self.config.from == StartFrom::Earliest;
        for (partition, start) in &starts {
            let wake = self.common.mailbox.wake();
            let Some(feed) = PartitionFeed::split(&self.client, partition.clone(), wake) else {
                let doing = format!("read {partition}");
                let reason = "librdkafka has no queue for it".to_owned();
                let code = rdkafka::error::RDKafkaErrorCode::UnknownPartition;
                self.failed.get_or_insert(crate::ClientError::Kafka { doing, code, reason });
                return self.turns.push_front(Turn::Assign(partitions));
            };
            let lane = self.new_lane(partition, start.filter(|_| !is_found_again));
            self.note_outset(partition, *start);
            let held = Held::new(feed, lane, Instant::now());
            self.held.insert(partition.clone(), held);
        }
        self.topics.hurry();
        if let Err(error) = assign(&self.client, &starts) {
            self.fail(&error, || format!("take in {}", listed(&partitions)));
        }
        self.ends.given(Instant::now());
        self.waiting.assigned(&partitions, &self.common.listener);
        self.vitals.unassigned = false;
        self.show_now(Instant::now());
        let owned = self.owned();
        self.log_turn("assigned", &partitions, &owned);
        self.common.figures.assigned.add(1);
        self.common.listener.tell(|| ConsumerEvent::Assigned { partitions, owned });
    }

    fn begin_leaving(&mut self, partitions: Vec<TopicPartition>, lost: bool) {
        for partition in &partitions {
            if let Some(held) = self.held.get_mut(partition) {
                held.halt();
            }
        }
        let until = Instant::now() + self.config.effective_drain_deadline();
        let stage = if lost { Stage::Done } else { Stage::Draining { until } };
        self.leaving = Some(Leaving { partitions, lost, stage });
    }

    /// One step of the partitions on their way out; true when they are gone.
    fn leave(&mut self) -> bool {
        let Some(mut leaving) = self.leaving.take() else { return true };
        let now = Instant::now();
        // A hint only: past `max.poll.interval.ms` it still says no (tried).
        if !leaving.lost && self.client.assignment_lost() {
            leaving.lost = true;
            leaving.stage = Stage::Done;
        }
        if let Stage::Draining { until } = leaving.stage
            && (until <= now || self.drained(&leaving.partitions))
        {
            let longest = self.config.commit_deadline.min(self.config.effective_drain_deadline());
            leaving.stage = Stage::Committing { next: now, until: now + longest, asked: false };
        }
        if let Stage::Committing { .. } = leaving.stage {
            self.commit_leaving(&mut leaving, now);
        }
        if let Stage::Done = leaving.stage {
            self.let_go(leaving);
            return true;
        }
        self.leaving = Some(leaving);
        false
    }

    fn drained(&self, partitions: &[TopicPartition]) -> bool {
        partitions.iter().filter_map(|partition| self.held.get(partition)).all(|held| held.ended)
    }

    fn commit_leaving(&mut self, leaving: &mut Leaving, now: Instant) {
        let Stage::Committing { next, until, asked } = leaving.stage else { return };
        if self.committer.in_flight() {
            return;
        }
        let open = |partition: &&TopicPartition| self.tracker.committable(partition).is_some();
        let left: Vec<&TopicPartition> = leaving.partitions.iter().filter(open).collect();
        let refusals = || left.iter().filter_map(|partition| self.refused.get(partition));
        if left.is_empty() {
            leaving.stage = Stage::Done;
        } else if asked && refusals().any(|refused| refused.means_lost()) {
            leaving.lost = true;
            leaving.stage = Stage::Done;
        } else if asked && (until <= now || !refusals().any(|refused| refused.may_pass())) {
            leaving.stage = Stage::Done;
        } else if next <= now {
            self.committer.begin_for(&self.client, &self.tracker, left, until);
            leaving.stage = Stage::Committing { next: now + AGAIN, until, asked: true };
        }
    }

    /// Lets go of what is still on its way out: the time for it is over.
    pub(super) fn let_go_now(&mut self) {
        if let Some(leaving) = self.leaving.take() {
            self.let_go(leaving);
        }
    }

    fn let_go(&mut self, leaving: Leaving) {
        let Leaving { partitions, lost, .. } = leaving;
        for partition in &partitions {
            if let Some(owed) = self.tracker.owed(partition) {
                self.not_stored(partition, owed.position, lost);
            }
            if let Some(position) = self.tracker.position(partition) {
                self.seen.reached(partition, position);
            }
            self.tracker.end(partition);
            self.refused.remove(partition);
            if let Some(held) = self.held.remove(partition)
                && !held.ended
            {
                self.adrift.push(held.adrift(partition));
            }
        }
        if let Err(error) = unassign(&self.client, &partitions) {
            self.fail(&error, || format!("let go of {}", listed(&partitions)));
        }
        if self.held.is_empty() {
            self.ends.all_taken();
        }
        // What was lost, the group took from a member it holds for dead; the next share makes it one.
        self.vitals.unassigned |= lost;
        self.show_now(Instant::now());
        let owned = self.owned();
        self.log_turn(if lost { "lost" } else { "revoked" }, &partitions, &owned);
        let figures = &self.common.figures;
        (if lost { &figures.lost } else { &figures.revoked }).add(1);
        self.common.listener.tell(|| {
            if lost {
                ConsumerEvent::Lost { partitions, owned }
            } else {
                ConsumerEvent::Revoked { partitions, owned }
            }
        });
    }

    /// Before the close, a position that goes with its partition is the next owner's work: it is given
    /// again what the position would have spared it. A run that is closing leaves it; and so does one whose cluster is
    /// away, where the client itself gives up what it had, and there is no next owner until a broker says so.
    fn not_stored(&mut self, partition: &TopicPartition, position: Offset, lost: bool) {
        if self.closing || (lost && self.waiting.cluster.is_some()) {
            self.report.uncommitted.insert(partition.clone(), position);
        } else {
            tracing::warn!(%partition, %position, "taken away before this position was stored");
        }
    }

    /// Takes `partitions`, which are held, out of the assignment and in again: each is read from where the tracker
    /// says that reading stands, or from the group's position, which is asked for anew.
    pub(super) fn read_anew(&self, partitions: &[TopicPartition]) -> KafkaResult<()> {
        let start = |one: &TopicPartition| (one.clone(), self.tracker.reached(one));
        match self.client.rebalance_protocol() {
            RebalanceProtocol::Cooperative => {
                let starts: Vec<_> = partitions.iter().map(start).collect();
                unassign(&self.client, partitions).and_then(|()| assign(&self.client, &starts))
            }
            // Such an assignment is made as a whole.
            RebalanceProtocol::Eager => {
                let starts: Vec<_> = self.held.keys().map(start).collect();
                assign(&self.client, &starts)
            }
            // No member any more: the next assignment begins.
            RebalanceProtocol::None => Ok(()),
        }
    }

    /// Reads partitions that are held from other places on. Nothing comes any more of what was fetched before.
    pub(super) fn seek(&self, places: &[(TopicPartition, Offset)]) -> KafkaResult<()> {
        self.beat();
        let places = places.iter().map(|(one, place)| (one, KafkaOffset::Offset(place.0)));
        let sought = self.client.seek_partitions(list_of(places)?, QUESTION)?;
        sought.elements().iter().try_for_each(|one| one.error())
    }

    fn owned(&self) -> Vec<TopicPartition> {
        let mut owned: Vec<TopicPartition> = self.held.keys().cloned().collect();
        owned.sort_unstable();
        owned
    }

    fn log_turn(&self, what: &str, partitions: &[TopicPartition], owned: &[TopicPartition]) {
        tracing::info!(
            group = %self.config.group,
            instance = %self.config.instance,
            what,
            partitions = %listed(partitions),
            owned = %listed(owned),
            "rebalance"
        );
    }
}

/// Answers an assign. Partitions without a start are read from the group's position.
pub(super) fn assign(
    client: &Client,
    starts: &[(TopicPartition, Option<Offset>)],
) -> KafkaResult<()> {
    let place = |start: Option<Offset>| {
        start.map_or(KafkaOffset::Invalid, |start| KafkaOffset::Offset(start.0))
    };
    let list = list_of(starts.iter().map(|(one, start)| (one, place(*start))))?;
    match client.rebalance_protocol() {
        RebalanceProtocol::Cooperative => client.incremental_assign(&list),
        _ => client.assign(&list),
    }
}

/// Answers a revoke.
pub(super) fn unassign(client: &Client, partitions: &[TopicPartition]) -> KafkaResult<()> {
    let list = list_of(partitions.iter().map(|one| (one, KafkaOffset::Invalid)))?;
    match client.rebalance_protocol() {
        RebalanceProtocol::Cooperative => client.incremental_unassign(&list),
        _ => client.unassign(),
    }
}

/// "orders[0,1,2] payments[0]"
pub(super) fn listed(partitions: &[TopicPartition]) -> String {
    let mut sorted: Vec<&TopicPartition> = partitions.iter().collect();
    sorted.sort_unstable();
    let topics = sorted.chunk_by(|left, right| left.topic == right.topic).map(|of_topic| {
        let numbers: Vec<String> =
            of_topic.iter().map(|partition| partition.partition.to_string()).collect();
        format!("{}[{}]", of_topic[0].topic, numbers.join(","))
    });
    let listed: Vec<String> = topics.collect();
    if listed.is_empty() { "none".to_owned() } else { listed.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PartitionId;

    #[test]
    fn partitions_are_listed_by_topic() {
        let all = [("b", 1), ("a", 0), ("b", 0)]
            .map(|(topic, number)| TopicPartition::new(topic, PartitionId(number)));
        assert_eq!(listed(&all), "a[0] b[0,1]");
        assert_eq!(listed(&[]), "none");
    }
}
