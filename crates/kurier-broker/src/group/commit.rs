//! OffsetCommit, OffsetFetch and OffsetDelete: who may do what to which offset, and when offsets go.
//!
//! How they are kept is in `offsets.rs`.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
};

use super::api::Surroundings;
use super::member::own_text;
use super::offsets::Committed;
use super::state::{Group, Phase};
use super::turn::Turn;

impl Group {
    /// Answers an OffsetCommit partition by partition.
    pub(super) fn commit(
        &mut self,
        turn: &mut Turn<'_>,
        request: &OffsetCommitRequest,
        surroundings: Surroundings<'_>,
    ) -> OffsetCommitResponse {
        let allowed = self.may_commit(turn, request);
        commit_response(request, |topic, partition| {
            if !(surroundings.partition_exists)(topic, partition.partition_index) {
                return Err(ResponseError::UnknownTopicOrPartition);
            }
            allowed?;
            self.commit_one(turn, topic, partition, request.retention_time_ms)
        })
    }

    fn may_commit(
        &mut self,
        turn: &Turn<'_>,
        request: &OffsetCommitRequest,
    ) -> Result<(), ResponseError> {
        let generation = request.generation_id_or_member_epoch;
        let instance = request.group_instance_id.as_ref();
        if self.is_empty() && generation < 0 {
            // Nobody else is here: a consumer that assigns itself, or an operator.
            return Ok(());
        }
        if generation < 0 && request.member_id.is_empty() && instance.is_none() {
            return Err(ResponseError::UnknownMemberId);
        }
        let at = self.member_at(&request.member_id, instance)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if matches!(self.phase, Phase::Completing) {
            // Its partitions may belong to another member already. In the preparation they do not
            // yet, and this is the last chance to commit them.
            return Err(ResponseError::RebalanceInProgress);
        }
        self.members[at].touch(turn.now);
        Ok(())
    }

    fn commit_one(
        &mut self,
        turn: &mut Turn<'_>,
        topic: &str,
        partition: &OffsetCommitRequestPartition,
        retention_ms: i64,
    ) -> Result<(), ResponseError> {
        let metadata = partition.committed_metadata.as_ref().map(own_text).unwrap_or_default();
        if metadata.chars().count() > turn.settings.offset_metadata_chars_max {
            return Err(ResponseError::OffsetMetadataTooLarge);
        }
        let committed = Committed {
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata,
            at: turn.now,
            retention: u64::try_from(retention_ms).ok().map(Duration::from_millis),
        };
        let grown = self.offsets.put(topic, partition.partition_index, committed, turn.bytes_left);
        let grown = grown.ok_or(ResponseError::InvalidCommitOffsetSize)?;
        turn.bytes_left -= grown;
        Ok(())
    }

    /// Answers an OffsetDelete. Offsets that members still build on are kept.
    pub(super) fn delete_offsets(
        &mut self,
        request: &OffsetDeleteRequest,
        surroundings: Surroundings<'_>,
    ) -> Result<OffsetDeleteResponse, ResponseError> {
        if !self.is_empty() && !self.is_of_consumers() {
            return Err(ResponseError::NonEmptyGroup);
        }
        let subscribed = self.subscribed_topics();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let index = partition.partition_index;
                let error = if !(surroundings.partition_exists)(&topic.name, index) {
                    ResponseError::UnknownTopicOrPartition.code()
                } else if subscribed.covers(&topic.name) {
                    ResponseError::GroupSubscribedToTopic.code()
                } else {
                    self.offsets.remove(&topic.name, index);
                    0
                };
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(error)
            });
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        Ok(OffsetDeleteResponse::default().with_topics(topics.collect()))
    }

    /// Forgets offsets that nobody needs any more: of an empty group when it was empty for long, of
    /// a group that never had members and of topics that no member subscribes to when the commit is
    /// long ago.
    pub(super) fn expire_offsets(&mut self, now: Instant, retention: Duration) {
        let consumers_at_work = matches!(self.phase, Phase::Stable) && self.is_of_consumers();
        if !self.is_empty() && !consumers_at_work {
            return;
        }
        let subscribed = self.subscribed_topics();
        let empty_since = self.empty_since.filter(|_| self.is_empty());
        self.offsets.retain(|topic, _, committed| {
            let (from, kept_for) = match committed.retention {
                Some(retention) => (committed.at, retention),
                None => (empty_since.unwrap_or(committed.at).max(committed.at), retention),
            };
            now.saturating_duration_since(from) < kept_for || subscribed.covers(topic)
        });
    }

    fn subscribed_topics(&self) -> Subscribed {
        if self.members.is_empty() {
            return Subscribed::To(HashSet::new());
        }
        self.subscribed().map_or(Subscribed::ToAnything, Subscribed::To)
    }
}

/// What the members of a group subscribe to.
enum Subscribed {
    To(HashSet<String>),
    ToAnything,
}

impl Subscribed {
    fn covers(&self, topic: &str) -> bool {
        match self {
            Self::To(topics) => topics.contains(topic),
            Self::ToAnything => true,
        }
    }
}

/// The reply to an OffsetCommit, with what the closure says to each partition.
pub fn commit_response(
    request: &OffsetCommitRequest,
    mut commit: impl FnMut(&str, &OffsetCommitRequestPartition) -> Result<(), ResponseError>,
) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let error = commit(&topic.name, partition).err();
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.map_or(0, |error| error.code()))
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}
