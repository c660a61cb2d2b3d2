//! Where reading begins, and where it is to end: what is looked up before and while partitions are
//! taken in.
//!
//! librdkafka's own `auto.offset.reset` applies to a group without commits *and* to a position the topic
//! no longer has. With `latest` the second would pass messages over, so it stays `earliest`, and where a
//! group without commits begins is looked up here.
//!
//! That holds for `earliest` too. When a rebalance pauses a partition while librdkafka waits to hear where
//! it begins, it asks again after 500 ms, also when the partition has long been read on, or was taken away
//! and is back; the answer takes reading to the beginning (librdkafka 2.12.1,
//! `rd_kafka_toppar_handle_Offset`: an outdated answer starts `rktp_offset_query_tmr`, which nothing stops).
//! A partition that is taken in with an offset is never asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::poll::{Keeper, ROUND_MAX};
use super::report::Ended;
use crate::commit::Begun;
use crate::sys::notes;
use crate::{ClientError, Offset, PartitionId, StartFrom, TopicPartition};

/// Longest time for one question to the cluster.
pub(super) const QUESTION: Duration = Duration::from_secs(2);
/// Partitions in one question for offsets: what librdkafka does with an answer grows with their square.
const ASKED_AT_ONCE: usize = 500;
/// Pause between two rounds of questions.
const AGAIN: Duration = Duration::from_millis(200);

/// Partitions there were when the run began: how many each topic had.
#[derive(Debug, Default)]
pub(super) struct Survey {
    partitions: BTreeMap<String, i32>,
}

/// Where partitions begin, as far as it is known.
pub(super) type Starts = Vec<(TopicPartition, Option<Offset>)>;

impl Survey {
    fn count(&self, topic: &str) -> i32 {
        self.partitions.get(topic).copied().unwrap_or(0)
    }
}

impl Keeper {
    /// Before anything is read: which partitions there are, and where they end, as far as the rules of
    /// this run ask for it. Waits for the cluster, and, if ends are needed, for the topics.
    pub(super) fn survey(&mut self) -> Option<Ended> {
        if self.config.from == StartFrom::Earliest && !self.ends.rules.at_end {
            return None;
        }
        for topic in self.config.topics.clone() {
            loop {
                self.serve();
                self.show(Instant::now());
                if let Some(ended) = self.ended() {
                    return Some(ended);
                }
                if self.survey_topic(&topic) {
                    break;
                }
                self.common.mailbox.collect(&mut Vec::new(), AGAIN);
            }
        }
        None
    }

    /// True when everything about `topic` is known.
    fn survey_topic(&mut self, topic: &str) -> bool {
        let Ok(metadata) = self.client.fetch_metadata(Some(topic), QUESTION) else { return false };
        self.waiting.heard_from_cluster(&self.common.listener);
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let is_unled = |code: RDKafkaErrorCode| code == RDKafkaErrorCode::LeaderNotAvailable;
        if found.and_then(|found| found.error()).is_some_and(|code| is_unled(code.into())) {
            // There it is, and how many partitions it has is not said yet.
            return false;
        }
        let count = found.map_or(0, |found| found.partitions().len());
        let Ok(count @ 1..) = i32::try_from(count) else {
            self.waiting.for_topics(vec![topic.to_owned()], &self.common.listener);
            // Without it no end is known. But where a group begins in a topic that is made later is
            // known: at its first message.
            return !self.ends.rules.at_end;
        };
        if self.ends.rules.at_end {
            let partition = |number| TopicPartition::new(topic, PartitionId(number));
            let partitions: Vec<_> = (0..count).map(partition).collect();
            let Ok(ends) = self.log_ends(&partitions) else { return false };
            self.ends.targets.extend(ends);
        }
        self.survey.partitions.insert(topic.to_owned(), count);
        true
    }

    /// Where each of `partitions` begins; `None`: at the group's position, or else at the beginning.
    ///
    /// # Errors
    /// When the cluster did not answer within a quarter of `max.poll.interval.ms`, and the beginning would
    /// be the wrong place.
    pub(super) fn starts(&mut self, partitions: &[TopicPartition]) -> Result<Starts, ClientError> {
        if partitions.is_empty() {
            return Ok(Starts::new());
        }
        if self.config.from == StartFrom::Earliest {
            self.beat();
            // Asked once: librdkafka finds the same places, if not as well, and waits without limit.
            return Ok(self.look_up(partitions).unwrap_or_else(|error| {
                tracing::info!(%error, "where partitions begin is left to librdkafka");
                partitions.iter().map(|partition| (partition.clone(), None)).collect()
            }));
        }
        let (begun, longest) = (Instant::now(), self.config.poll_interval_max / 4);
        loop {
            self.beat();
            let error = match self.learn_begun(partitions).and_then(|()| self.look_up(partitions)) {
                Ok(starts) => return Ok(starts),
                Err(error) => error,
            };
            let asked_to_end = self.common.mailbox.ending().is_some();
            if asked_to_end || longest <= begun.elapsed() {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                let doing = "find where the group begins";
                return Err(ClientError::from_code(doing, code, error.to_string()));
            }
            std::thread::sleep(ROUND_MAX);
        }
    }

    /// Learns how many partitions the topics of `partitions` had when the group began: as its commits say, or else it
    /// begins now.
    fn learn_begun(&mut self, partitions: &[TopicPartition]) -> Result<(), KafkaError> {
        let unknown = |one: &&TopicPartition| !self.committer.begun.knows(&one.topic);
        let topics: BTreeSet<Arc<str>> =
            partitions.iter().filter(unknown).map(|one| Arc::clone(&one.topic)).collect();
        let of_topic = |topic: &Arc<str>| {
            let partition = |number| TopicPartition::new(&**topic, PartitionId(number));
            (0..self.survey.count(topic)).map(partition).collect::<Vec<_>>()
        };
        if !topics.is_empty() {
            let all: BTreeSet<_> =
                topics.iter().flat_map(of_topic).chain(partitions.to_vec()).collect();
            self.uncommitted(&all.into_iter().collect::<Vec<_>>())?;
        }
        for topic in &topics {
            // It is not there yet, or nobody has begun with it.
            if !self.committer.begun.knows(topic) {
                self.committer.begun.learn(topic, self.survey.count(topic));
            }
        }
        Ok(())
    }

    /// A position that was stored and is not there went with its topic: one that has the name now is another one, of
    /// which nothing is passed over.
    fn see_topics_made_anew(&mut self, uncommitted: &[TopicPartition]) -> Result<(), KafkaError> {
        let topics: BTreeSet<_> = uncommitted.iter().map(|one| Arc::clone(&one.topic)).collect();
        let stored = self.committer.stored().keys().filter(|one| topics.contains(&one.topic));
        for gone in self.uncommitted(&stored.cloned().collect::<Vec<_>>())? {
            self.committer.begun.made_anew(&gone.topic);
        }
        Ok(())
    }

    fn look_up(&mut self, partitions: &[TopicPartition]) -> Result<Starts, KafkaError> {
        let uncommitted = self.uncommitted(partitions)?;
        if self.config.from != StartFrom::Earliest {
            self.see_topics_made_anew(&uncommitted)?;
        }
        let at_beginning = |one: &TopicPartition| {
            self.config.from == StartFrom::Earliest || !self.committer.begun.had(one)
        };
        // What was looked up before is where the group begins, though it has not stored it.
        let known = |one: &TopicPartition| Some((one.clone(), self.outsets.of(one)?));
        let known: BTreeMap<_, _> = uncommitted.iter().filter_map(known).collect();
        let (added, new): (Vec<_>, Vec<_>) = (uncommitted.into_iter())
            .filter(|one| !known.contains_key(one))
            .partition(at_beginning);
        // `Latest`, and partitions without a message of that time or a later one. Asked before the time: a
        // message that is written between the two questions is found by one of them.
        let mut starts = known;
        starts.extend(self.log_ends(&new)?);
        if let StartFrom::Time(time) = self.config.from {
            let time = KafkaOffset::Offset(time.as_millisecond());
            starts.extend(self.at_time(&new, time)?);
        }
        match self.at_time(&added, KafkaOffset::Beginning) {
            Ok(beginnings) => starts.extend(beginnings),
            Err(error) => tracing::info!(%error, "a beginning is left to librdkafka"),
        }
        let start = |partition: &TopicPartition| starts.get(partition).copied();
        Ok(partitions.iter().map(|one| (one.clone(), start(one))).collect())
    }

    /// Those of `partitions` that the group has no position for. What the others' commits say of its beginning is
    /// noted, and passed on with each commit.
    fn uncommitted(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<TopicPartition>, KafkaError> {
        let mut without = Vec::new();
        if partitions.is_empty() {
            return Ok(without);
        }
        self.beat();
        let asked = partitions.iter().map(|one| (one, KafkaOffset::Invalid));
        let committed = self.client.committed_offsets(list_of(asked)?, QUESTION)?;
        for (partition, position) in answers(&committed) {
            if position?.is_none() {
                without.push(partition);
            }
        }
        for (partition, note) in notes(&committed) {
            if let Some(count) = Begun::read(&note) {
                self.committer.begun.learn(&partition.topic, count);
            }
        }
        Ok(without)
    }

    /// Where each of `partitions` ends now.
    fn log_ends(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        let ends = self.at_time(partitions, KafkaOffset::End)?;
        let answered = partitions.iter().all(|partition| ends.contains_key(partition));
        answered.then_some(ends).ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::BadMessage))
    }

    /// The first offset of each of `partitions` at or after `time`, a timestamp, the beginning or the end, where
    /// there is one.
    fn at_time(
        &self,
        partitions: &[TopicPartition],
        time: KafkaOffset,
    ) -> Result<BTreeMap<TopicPartition, Offset>, KafkaError> {
        let mut offsets = BTreeMap::new();
        for some in partitions.chunks(ASKED_AT_ONCE) {
            self.beat();
            let asked = some.iter().map(|one| (one, time));
            let found = self.client.offsets_for_times(list_of(asked)?, QUESTION)?;
            for (partition, offset) in answers(&found) {
                offsets.extend(offset?.map(|offset| (partition, offset)));
            }
        }
        Ok(offsets)
    }
}

/// A list for librdkafka.
pub(super) fn list_of<'a>(
    places: impl IntoIterator<Item = (&'a TopicPartition, KafkaOffset)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (TopicPartition { topic, partition }, place) in places {
        list.add_partition_offset(topic, partition.0, place)?;
    }
    Ok(list)
}

/// What librdkafka's list says of each partition: an error, an offset, or that there is none.
pub(super) fn answers(
    list: &TopicPartitionList,
) -> Vec<(TopicPartition, KafkaResult<Option<Offset>>)> {
    let answer = |one: TopicPartitionListElem<'_>| {
        let name = TopicPartition::new(one.topic(), PartitionId(one.partition()));
        let offset = match one.offset() {
            KafkaOffset::Offset(offset) => Some(Offset(offset)),
            _ => None,
        };
        (name, one.error().map(|()| offset))
    };
    list.elements().into_iter().map(answer).collect()
}
