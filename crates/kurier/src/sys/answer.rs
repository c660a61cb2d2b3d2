//! What the answers to admin requests say, copied out of librdkafka's memory.

use rdkafka::TopicPartitionList;
use rdkafka::bindings as rd;
use rdkafka::error::RDKafkaErrorCode;
use uuid::Uuid;

use super::admin::{Answer, Fault};
use super::topics::{Described, TopicId};
use super::{error_code, text};
use crate::admin::{
    Broker, ConfigEntry, ConfigSource, GroupDescription, GroupListing, GroupMember, GroupState,
    NodeId,
};
use crate::ids::{Offset, PartitionId, TopicPartition};

/// What was said of one topic's or broker's settings.
#[derive(Debug)]
pub(crate) struct SettingsOf {
    pub(crate) is_broker: bool,
    /// A broker's is its number.
    pub(crate) name: String,
    pub(crate) settings: Result<Vec<ConfigEntry>, Fault>,
}

/// What became of each partition.
pub(crate) type ByPartition<T> = Vec<(TopicPartition, Result<T, RDKafkaErrorCode>)>;

impl Answer {
    /// The error of the whole request. What else the answer says is only read when there is none.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let (code, reason) = self.0.error();
        (code != RDKafkaErrorCode::NoError).then_some(Fault { code, reason })
    }

    /// What became of the one topic that was to be created or deleted, or to get partitions.
    pub(crate) fn topic_changed(&self) -> Result<(), Fault> {
        let event = self.0.0.as_ptr();
        let mut count = 0;
        // SAFETY: the event is alive and owns all that is read; here and in all functions below. A
        // result of another kind reads as null.
        let mut changed = unsafe {
            let created = rd::rd_kafka_event_CreateTopics_result(event);
            let deleted = rd::rd_kafka_event_DeleteTopics_result(event);
            let grown = rd::rd_kafka_event_CreatePartitions_result(event);
            let topics = if !created.is_null() {
                rd::rd_kafka_CreateTopics_result_topics(created, &mut count)
            } else if !deleted.is_null() {
                rd::rd_kafka_DeleteTopics_result_topics(deleted, &mut count)
            } else if !grown.is_null() {
                rd::rd_kafka_CreatePartitions_result_topics(grown, &mut count)
            } else {
                return Err(missing());
            };
            all(topics, count, |topic| match error_code(rd::rd_kafka_topic_result_error(topic)) {
                None => Ok(()),
                Some(code) => {
                    let reason = text(rd::rd_kafka_topic_result_error_string(topic));
                    Err(Fault { code, reason })
                }
            })
        };
        changed.pop().unwrap_or_else(|| Err(missing()))
    }

    /// The settings of the one topic that was asked for.
    pub(crate) fn configs(&self) -> Result<Vec<ConfigEntry>, Fault> {
        self.settings().pop().map_or_else(|| Err(missing()), |answered| answered.settings)
    }

    /// The settings of each topic and broker that was asked for.
    pub(crate) fn settings(&self) -> Vec<SettingsOf> {
        let mut count = 0;
        // SAFETY: see `topic_changed`.
        unsafe {
            let result = rd::rd_kafka_event_DescribeConfigs_result(self.0.0.as_ptr());
            if result.is_null() {
                return Vec::new();
            }
            let resources = rd::rd_kafka_DescribeConfigs_result_resources(result, &mut count);
            all(resources, count, |resource| SettingsOf {
                is_broker: rd::rd_kafka_ConfigResource_type(resource)
                    == rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER,
                name: text(rd::rd_kafka_ConfigResource_name(resource)),
                settings: settings(resource),
            })
        }
    }

    /// What was said of the topics that were asked for.
    pub(crate) fn described_topics(&self) -> Described {
        let (mut described, mut count) = (Described::default(), 0);
        // SAFETY: see `topic_changed`.
        let topics = unsafe {
            let result = rd::rd_kafka_event_DescribeTopics_result(self.0.0.as_ptr());
            if result.is_null() {
                return described;
            }
            let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            all(topics, count, |topic| topic_description(topic))
        };
        for (name, id, leaderless) in topics {
            described.leaderless.extend(leaderless);
            described.ids.extend(id.map(|id| (name, id)));
        }
        described
    }

    /// The groups that were found, and what was wrong where some could not be asked for.
    pub(crate) fn groups(&self) -> (Vec<GroupListing>, Vec<Fault>) {
        let (mut found, mut failed) = (0, 0);
        // SAFETY: see `topic_changed`.
        unsafe {
            let result = rd::rd_kafka_event_ListConsumerGroups_result(self.0.0.as_ptr());
            if result.is_null() {
                return (Vec::new(), vec![missing()]);
            }
            let groups = rd::rd_kafka_ListConsumerGroups_result_valid(result, &mut found);
            let groups = all(groups, found, |group| GroupListing {
                name: text(rd::rd_kafka_ConsumerGroupListing_group_id(group)),
                state: group_state(rd::rd_kafka_ConsumerGroupListing_state(group)),
                simple: rd::rd_kafka_ConsumerGroupListing_is_simple_consumer_group(group) != 0,
            });
            let errors = rd::rd_kafka_ListConsumerGroups_result_errors(result, &mut failed);
            (groups, all(errors, failed, |error| fault(error)).into_iter().flatten().collect())
        }
    }

    /// The one group that was asked for.
    pub(crate) fn group(&self) -> Result<GroupDescription, Fault> {
        let mut count = 0;
        // SAFETY: see `topic_changed`.
        let mut groups = unsafe {
            let result = rd::rd_kafka_event_DescribeConsumerGroups_result(self.0.0.as_ptr());
            if result.is_null() {
                return Err(missing());
            }
            let groups = rd::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count);
            all(groups, count, |group| {
                match fault(rd::rd_kafka_ConsumerGroupDescription_error(group)) {
                    Some(fault) => Err(fault),
                    None => Ok(group_description(group)),
                }
            })
        };
        groups.pop().unwrap_or_else(|| Err(missing()))
    }

    /// What the one group that was asked for has committed; partitions without a commit are left out.
    pub(crate) fn group_offsets(&self) -> Result<ByPartition<Offset>, Fault> {
        let mut count = 0;
        // SAFETY: see `topic_changed`.
        let mut groups = unsafe {
            let result = rd::rd_kafka_event_ListConsumerGroupOffsets_result(self.0.0.as_ptr());
            if result.is_null() {
                return Err(missing());
            }
            let groups = rd::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count);
            all(groups, count, |group| match fault(rd::rd_kafka_group_result_error(group)) {
                Some(fault) => Err(fault),
                None => Ok(partitions(rd::rd_kafka_group_result_partitions(group))),
            })
        };
        let mut offsets = groups.pop().unwrap_or_else(|| Err(missing()))?;
        offsets.retain(|(_, offset)| !matches!(offset, Ok(Offset(..0))));
        Ok(offsets)
    }

    /// What is stored beside the positions of the one group that was asked for.
    pub(crate) fn group_notes(&self) -> Vec<(TopicPartition, Vec<u8>)> {
        let mut count = 0;
        // SAFETY: see `topic_changed`.
        unsafe {
            let result = rd::rd_kafka_event_ListConsumerGroupOffsets_result(self.0.0.as_ptr());
            if result.is_null() {
                return Vec::new();
            }
            let groups = rd::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count);
            let notes = |group| notes_of(rd::rd_kafka_group_result_partitions(group));
            all(groups, count, notes).into_iter().flatten().collect()
        }
    }

    /// The offsets that were asked for; -1 where there is none at or after the moment.
    pub(crate) fn offsets(&self) -> ByPartition<Offset> {
        let mut count = 0;
        // SAFETY: see `topic_changed`.
        unsafe {
            let result = rd::rd_kafka_event_ListOffsets_result(self.0.0.as_ptr());
            if result.is_null() {
                return Vec::new();
            }
            let infos = rd::rd_kafka_ListOffsets_result_infos(result, &mut count);
            all(infos, count, |info| offset_of(info))
        }
    }

    /// As [`offsets`](Self::offsets), with the timestamps in milliseconds that came with them in place of
    /// the offsets; -1 for none.
    pub(crate) fn offset_times(&self) -> ByPartition<i64> {
        let mut count = 0;
        // SAFETY: see `topic_changed`.
        unsafe {
            let result = rd::rd_kafka_event_ListOffsets_result(self.0.0.as_ptr());
            if result.is_null() {
                return Vec::new();
            }
            let infos = rd::rd_kafka_ListOffsets_result_infos(result, &mut count);
            all(infos, count, |info| {
                let (name, offset) = offset_of(info);
                (name, offset.map(|_| rd::rd_kafka_ListOffsetsResultInfo_timestamp(info)))
            })
        }
    }
}

/// Reads each of `count` things that `items` points at.
///
/// # Safety
/// `items` is null, or points at `count` pointers that `read` may be given.
pub(super) unsafe fn all<T, R>(
    items: *mut *const T,
    count: usize,
    read: impl Fn(*const T) -> R,
) -> Vec<R> {
    if items.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts(items, count) }.iter().map(|&item| read(item)).collect()
}

/// # Safety
/// `resource` is alive.
unsafe fn settings(
    resource: *const rd::rd_kafka_ConfigResource_t,
) -> Result<Vec<ConfigEntry>, Fault> {
    // SAFETY: the caller's; it owns its entries.
    unsafe {
        if let Some(code) = error_code(rd::rd_kafka_ConfigResource_error(resource)) {
            let reason = text(rd::rd_kafka_ConfigResource_error_string(resource));
            return Err(Fault { code, reason });
        }
        let mut count = 0;
        let entries = rd::rd_kafka_ConfigResource_configs(resource, &mut count);
        Ok(all(entries, count, |entry| config_entry(entry)))
    }
}

/// # Safety
/// `entry` is alive, as are the pointers given to all functions below.
unsafe fn config_entry(entry: *const rd::rd_kafka_ConfigEntry_t) -> ConfigEntry {
    use rd::rd_kafka_ConfigSource_t as Source;
    // SAFETY: the caller's; a value that is not shown is null.
    unsafe {
        let value = rd::rd_kafka_ConfigEntry_value(entry);
        ConfigEntry {
            name: text(rd::rd_kafka_ConfigEntry_name(entry)),
            value: (!value.is_null()).then(|| text(value)),
            sensitive: rd::rd_kafka_ConfigEntry_is_sensitive(entry) == 1,
            source: match rd::rd_kafka_ConfigEntry_source(entry) {
                Source::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG => ConfigSource::Topic,
                Source::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_BROKER_CONFIG
                | Source::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER_CONFIG
                | Source::RD_KAFKA_CONFIG_SOURCE_STATIC_BROKER_CONFIG => ConfigSource::Broker,
                Source::RD_KAFKA_CONFIG_SOURCE_DEFAULT_CONFIG => ConfigSource::Default,
                _ => ConfigSource::Unknown,
            },
        }
    }
}

/// A topic's name, its id, and its partitions without a leader.
///
/// # Safety
/// See [`config_entry`].
unsafe fn topic_description(
    topic: *const rd::rd_kafka_TopicDescription_t,
) -> (String, Option<TopicId>, Vec<TopicPartition>) {
    // SAFETY: the caller's; it owns its id and its partitions.
    unsafe {
        let name = text(rd::rd_kafka_TopicDescription_name(topic));
        let id = rd::rd_kafka_TopicDescription_topic_id(topic);
        let halves = (
            rd::rd_kafka_Uuid_most_significant_bits(id),
            rd::rd_kafka_Uuid_least_significant_bits(id),
        );
        let id = Uuid::from_u64_pair(halves.0.cast_unsigned(), halves.1.cast_unsigned());
        let mut count = 0;
        let partitions = rd::rd_kafka_TopicDescription_partitions(topic, &mut count);
        let leaderless = all(partitions, count, |partition| {
            let leader = rd::rd_kafka_TopicPartitionInfo_leader(partition);
            let number = rd::rd_kafka_TopicPartitionInfo_partition(partition);
            leader.is_null().then(|| TopicPartition::new(&*name, PartitionId(number)))
        });
        let leaderless = leaderless.into_iter().flatten().collect();
        (name, (!id.is_nil()).then_some(TopicId(id)), leaderless)
    }
}

/// # Safety
/// See [`config_entry`].
unsafe fn broker(node: *const rd::rd_kafka_Node_t) -> Broker {
    // SAFETY: the caller's; the host may be null.
    unsafe {
        Broker {
            id: NodeId(rd::rd_kafka_Node_id(node)),
            host: text(rd::rd_kafka_Node_host(node)),
            port: rd::rd_kafka_Node_port(node),
        }
    }
}

/// # Safety
/// See [`config_entry`].
unsafe fn group_description(
    group: *const rd::rd_kafka_ConsumerGroupDescription_t,
) -> GroupDescription {
    // SAFETY: the caller's; members are counted by librdkafka; an assignment may be null.
    unsafe {
        let members = 0..rd::rd_kafka_ConsumerGroupDescription_member_count(group);
        let coordinator = rd::rd_kafka_ConsumerGroupDescription_coordinator(group);
        GroupDescription {
            name: text(rd::rd_kafka_ConsumerGroupDescription_group_id(group)),
            state: group_state(rd::rd_kafka_ConsumerGroupDescription_state(group)),
            protocol: optional(text(rd::rd_kafka_ConsumerGroupDescription_partition_assignor(
                group,
            ))),
            coordinator: (!coordinator.is_null()).then(|| broker(coordinator)),
            members: members
                .map(|index| member(rd::rd_kafka_ConsumerGroupDescription_member(group, index)))
                .collect(),
        }
    }
}

/// # Safety
/// See [`config_entry`].
unsafe fn member(member: *const rd::rd_kafka_MemberDescription_t) -> GroupMember {
    // SAFETY: the caller's; the instance id and the assignment may be null.
    unsafe {
        let assignment = rd::rd_kafka_MemberDescription_assignment(member);
        let assigned = if assignment.is_null() {
            Vec::new()
        } else {
            partitions(rd::rd_kafka_MemberAssignment_partitions(assignment))
        };
        GroupMember {
            id: text(rd::rd_kafka_MemberDescription_consumer_id(member)),
            client_id: text(rd::rd_kafka_MemberDescription_client_id(member)),
            instance_id: optional(text(rd::rd_kafka_MemberDescription_group_instance_id(member))),
            host: text(rd::rd_kafka_MemberDescription_host(member)),
            partitions: assigned.into_iter().map(|(partition, _)| partition).collect(),
        }
    }
}

/// # Safety
/// `list` is null or alive.
pub(super) unsafe fn partitions(
    list: *const rd::rd_kafka_topic_partition_list_t,
) -> ByPartition<Offset> {
    // SAFETY: the caller's; the list's elements are `cnt` in number.
    unsafe {
        if list.is_null() || (*list).elems.is_null() {
            return Vec::new();
        }
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        let elements = std::slice::from_raw_parts((*list).elems, count);
        let mut all: ByPartition<_> = elements.iter().map(|element| partition(element)).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }
}

/// What is stored with each position of `list`, in bytes: others may have stored what is no text.
pub(crate) fn notes(list: &TopicPartitionList) -> Vec<(TopicPartition, Vec<u8>)> {
    // SAFETY: the list is alive.
    unsafe { notes_of(list.ptr()) }
}

/// # Safety
/// `list` is null or alive.
unsafe fn notes_of(
    list: *const rd::rd_kafka_topic_partition_list_t,
) -> Vec<(TopicPartition, Vec<u8>)> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's; the list has as many elements as it says; a note has as many bytes, or is null.
    unsafe {
        let list = &*list;
        let count = usize::try_from(list.cnt).unwrap_or(0);
        let elements = (0..count).map(|index| &*list.elems.add(index));
        let note = |element: &rd::rd_kafka_topic_partition_t| {
            let bytes = element.metadata.cast::<u8>();
            (!bytes.is_null())
                .then(|| std::slice::from_raw_parts(bytes, element.metadata_size).to_vec())
        };
        elements.filter_map(|element| Some((partition(element).0, note(element)?))).collect()
    }
}

/// # Safety
/// The element's list is alive.
unsafe fn partition(
    element: &rd::rd_kafka_topic_partition_t,
) -> (TopicPartition, Result<Offset, RDKafkaErrorCode>) {
    // SAFETY: the caller's.
    let topic = unsafe { text(element.topic) };
    let offset = error_code(element.err).map_or(Ok(Offset(element.offset)), Err);
    (TopicPartition::new(topic, PartitionId(element.partition)), offset)
}

/// # Safety
/// See [`config_entry`].
unsafe fn offset_of(
    info: *const rd::rd_kafka_ListOffsetsResultInfo_t,
) -> (TopicPartition, Result<Offset, RDKafkaErrorCode>) {
    // SAFETY: the caller's; it owns its partition.
    let (name, offset) =
        unsafe { partition(&*rd::rd_kafka_ListOffsetsResultInfo_topic_partition(info)) };
    // Partitions whose leader gave no answer stay as they were prepared, without an error (librdkafka
    // 2.12.1, `rd_kafka_ListOffsets_response_merge`).
    let unanswered = |offset: &Offset| *offset == Offset(rd::RD_KAFKA_OFFSET_INVALID.into());
    match offset {
        Ok(offset) if unanswered(&offset) => (name, Err(RDKafkaErrorCode::OperationTimedOut)),
        offset => (name, offset),
    }
}

fn group_state(state: rd::rd_kafka_consumer_group_state_t) -> GroupState {
    use rd::rd_kafka_consumer_group_state_t as State;
    match state {
        State::RD_KAFKA_CONSUMER_GROUP_STATE_PREPARING_REBALANCE => GroupState::PreparingRebalance,
        State::RD_KAFKA_CONSUMER_GROUP_STATE_COMPLETING_REBALANCE => {
            GroupState::CompletingRebalance
        }
        State::RD_KAFKA_CONSUMER_GROUP_STATE_STABLE => GroupState::Stable,
        State::RD_KAFKA_CONSUMER_GROUP_STATE_DEAD => GroupState::Dead,
        State::RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY => GroupState::Empty,
        _ => GroupState::Unknown,
    }
}

/// # Safety
/// `error` is null or alive.
pub(super) unsafe fn fault(error: *const rd::rd_kafka_error_t) -> Option<Fault> {
    if error.is_null() {
        return None;
    }
    // SAFETY: the caller's.
    let (code, reason) =
        unsafe { (rd::rd_kafka_error_code(error), text(rd::rd_kafka_error_string(error))) };
    error_code(code).map(|code| Fault { code, reason })
}

fn optional(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// For an answer that says nothing about what was asked, which librdkafka does not give.
pub(super) fn missing() -> Fault {
    let reason = "the answer says nothing about what was asked".to_owned();
    Fault { code: RDKafkaErrorCode::BadMessage, reason }
}
