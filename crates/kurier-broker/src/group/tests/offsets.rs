//! Commits, fetches, deletions and the expiry of offsets.

use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest};

use super::world::{GROUP, Join, REBALANCE, World, error, text};
use crate::group::{GroupRequest, GroupResponse};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Metadata of a consumer that subscribes to the topic `t`.
const SUBSCRIBED_TO_T: &str = "\0\x01\0\0\0\x01\0\x01t\0\0\0\0";

fn commit_request(id: &str, generation: i32, offsets: &[(&str, i32, i64)]) -> OffsetCommitRequest {
    let topics = offsets.iter().map(|(topic, index, offset)| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*index)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(3)
            .with_committed_metadata(Some(text("note")));
        OffsetCommitRequestTopic::default()
            .with_name(text(topic).into())
            .with_partitions(vec![partition])
    });
    OffsetCommitRequest::default()
        .with_group_id(text(GROUP).into())
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(text(id))
        .with_topics(topics.collect())
}

fn send(world: &mut World, request: OffsetCommitRequest) -> Vec<Option<ResponseError>> {
    match world.ask(&GroupRequest::OffsetCommit(request, 8)) {
        GroupResponse::OffsetCommit(response) => {
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.map(|partition| error(partition.error_code)).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// A commit of one offset to partition 0 of topic `t`.
fn commit(world: &mut World, id: &str, generation: i32, offset: i64) -> Option<ResponseError> {
    send(world, commit_request(id, generation, &[("t", 0, offset)]))[0]
}

/// Every offset of the group, as topic, partition and offset.
fn all(world: &mut World) -> Vec<(String, i32, i64)> {
    let request = OffsetFetchRequest::default().with_group_id(text(GROUP).into()).with_topics(None);
    let GroupResponse::OffsetFetch(response) = world.ask(&GroupRequest::OffsetFetch(request, 7))
    else {
        panic!("no fetch reply")
    };
    assert_eq!(response.error_code, 0);
    let topics = response.topics.iter().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(|it| (topic.name.to_string(), it.partition_index, it.committed_offset))
    });
    topics.collect()
}

fn committed(world: &mut World) -> Option<i64> {
    all(world).first().map(|(_, _, offset)| *offset)
}

#[test]
fn members_commit_in_their_generation_only() {
    let mut world = World::new();
    let (ids, _) = world.stable(1);
    assert_eq!(commit(&mut world, &ids[0], 1, 10), None);
    assert_eq!(commit(&mut world, &ids[0], 0, 11), Some(ResponseError::IllegalGeneration));
    assert_eq!(commit(&mut world, &ids[0], -1, 11), Some(ResponseError::IllegalGeneration));
    assert_eq!(commit(&mut world, "nobody", 1, 11), Some(ResponseError::UnknownMemberId));
    assert_eq!(
        commit(&mut world, "", -1, 11),
        Some(ResponseError::UnknownMemberId),
        "an operator, while the group is at work"
    );
    let fenced = commit_request("old", 1, &[("t", 0, 11)]).with_group_instance_id(Some(text("i")));
    assert_eq!(send(&mut world, fenced), [Some(ResponseError::UnknownMemberId)]);
    assert_eq!(committed(&mut world), Some(10));
}

#[test]
fn a_rebalance_takes_last_commits_until_it_is_decided() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    let (_, _) = world.come();
    assert_eq!(commit(&mut world, &ids[0], 1, 10), None, "members are awaited");
    let tickets = [0, 1].map(|at| world.join(&Join::new().id(&ids[at])));
    for ticket in tickets {
        assert_eq!(world.joined(ticket).generation_id, 2);
    }
    assert_eq!(commit(&mut world, &ids[0], 1, 11), Some(ResponseError::IllegalGeneration));
    assert_eq!(commit(&mut world, &ids[0], 2, 11), Some(ResponseError::RebalanceInProgress));
    assert_eq!(committed(&mut world), Some(10));
}

#[test]
fn anybody_commits_to_a_group_without_members() {
    let mut world = World::new();
    assert_eq!(commit(&mut world, "", 5, 1), Some(ResponseError::IllegalGeneration));
    assert_eq!(all(&mut world), []);
    assert_eq!(commit(&mut world, "", -1, 1), None);
    assert_eq!(committed(&mut world), Some(1));
    let (ids, _) = world.stable(1);
    assert_eq!(commit(&mut world, "", -1, 2), Some(ResponseError::UnknownMemberId));
    world.leave(&[(&ids[0], None)]);
    assert_eq!(commit(&mut world, "", -1, 2), None);
    assert_eq!(commit(&mut world, &ids[0], 1, 3), Some(ResponseError::UnknownMemberId));
    assert_eq!(committed(&mut world), Some(2));
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut world = World::new();
    let (ids, _) = world.stable(1);
    for offset in 0..10 {
        world.pass(Duration::from_secs(9));
        assert_eq!(commit(&mut world, &ids[0], 1, offset), None);
    }
}

#[test]
fn partitions_are_judged_one_by_one() {
    let mut world = World::with(|settings| settings.offset_metadata_chars_max = 4);
    let mut request =
        commit_request("", -1, &[("t", 0, 1), ("t", 1, 2), ("missing", 0, 3), ("t", 500, 4)]);
    request.topics[1].partitions[0].committed_metadata = Some(text("notes"));
    assert_eq!(
        send(&mut world, request),
        [
            None,
            Some(ResponseError::OffsetMetadataTooLarge),
            Some(ResponseError::UnknownTopicOrPartition),
            Some(ResponseError::UnknownTopicOrPartition),
        ]
    );
    assert_eq!(all(&mut world), [("t".to_owned(), 0, 1)]);
    let other = commit_request("", -1, &[("t", 0, 1)]).with_group_id(text("elsewhere").into());
    assert_eq!(send(&mut world, other), [Some(ResponseError::NotCoordinator)]);
}

#[test]
fn fetches_tell_what_was_committed_in_every_version() {
    let mut world = World::new();
    commit(&mut world, "", -1, 7);
    for version in 1..8 {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(text("t").into())
            .with_partition_indexes(vec![0, 1]);
        let request = OffsetFetchRequest::default()
            .with_group_id(text(GROUP).into())
            .with_topics(Some(vec![topic]));
        let response = world.ask(&GroupRequest::OffsetFetch(request, version));
        let GroupResponse::OffsetFetch(response) = response else { panic!("{response:?}") };
        let [found, none] = &response.topics[0].partitions[..] else { panic!("two answers") };
        assert_eq!((found.committed_offset, found.committed_leader_epoch), (7, 3));
        assert_eq!((found.metadata.as_deref(), found.error_code), (Some("note"), 0));
        assert_eq!((none.committed_offset, none.committed_leader_epoch), (-1, -1));
        assert_eq!((none.metadata.as_deref(), none.error_code), (Some(""), 0));
    }
}

#[test]
fn one_fetch_asks_for_several_groups() {
    let mut world = World::new();
    commit(&mut world, "", -1, 7);
    for version in 8..=9 {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(text("t").into())
            .with_partition_indexes(vec![0]);
        let asked = |id, topics| {
            OffsetFetchRequestGroup::default().with_group_id(text(id).into()).with_topics(topics)
        };
        let request = OffsetFetchRequest::default().with_groups(vec![
            asked(GROUP, None),
            asked("nothing", None),
            asked("nothing", Some(vec![topic])),
            asked("elsewhere", None),
        ]);
        let response = world.ask(&GroupRequest::OffsetFetch(request, version));
        let GroupResponse::OffsetFetch(response) = response else { panic!("{response:?}") };
        let [ours, nothing, none, elsewhere] = &response.groups[..] else { panic!("four answers") };
        assert_eq!(ours.topics[0].partitions[0].committed_offset, 7);
        assert_eq!(ours.topics[0].partitions[0].committed_leader_epoch, 3);
        assert_eq!((nothing.topics.len(), nothing.error_code), (0, 0));
        assert_eq!(none.topics[0].partitions[0].committed_offset, -1);
        assert_eq!(error(elsewhere.error_code), Some(ResponseError::NotCoordinator));
    }
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut world = World::new();
    send(&mut world, commit_request("", -1, &[("t", 0, 1), ("t", 1, 2), ("u", 0, 3)]));
    world.it.topic_deleted("t");
    assert_eq!(all(&mut world), [("u".to_owned(), 0, 3)]);
}

fn delete(
    world: &mut World,
    group: &str,
    partitions: &[(&str, i32)],
) -> (Option<ResponseError>, Vec<Option<ResponseError>>) {
    let topics = partitions.iter().map(|(topic, index)| {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(*index);
        OffsetDeleteRequestTopic::default()
            .with_name(text(topic).into())
            .with_partitions(vec![partition])
    });
    let request = OffsetDeleteRequest::default()
        .with_group_id(text(group).into())
        .with_topics(topics.collect());
    match world.ask(&GroupRequest::OffsetDelete(request, 0)) {
        GroupResponse::OffsetDelete(response) => {
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            let errors = partitions.map(|partition| error(partition.error_code)).collect();
            (error(response.error_code), errors)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn offsets_are_deleted_unless_members_subscribe_to_the_topic() {
    let mut world = World::new();
    assert_eq!(delete(&mut world, "nothing", &[("t", 0)]).0, Some(ResponseError::GroupIdNotFound));
    assert_eq!(delete(&mut world, "elsewhere", &[("t", 0)]).0, Some(ResponseError::NotCoordinator));
    send(&mut world, commit_request("", -1, &[("t", 0, 1), ("u", 0, 2), ("u", 1, 3)]));
    let id = world.get_id();
    let ticket = world.join(&Join::new().id(&id).offers(&[("range", SUBSCRIBED_TO_T)]));
    world.joined(ticket);
    let deleted = delete(&mut world, GROUP, &[("t", 0), ("u", 0), ("u", 9), ("missing", 0)]);
    assert_eq!(
        deleted,
        (
            None,
            vec![
                Some(ResponseError::GroupSubscribedToTopic),
                None,
                None,
                Some(ResponseError::UnknownTopicOrPartition),
            ]
        )
    );
    assert_eq!(all(&mut world), [("t".to_owned(), 0, 1), ("u".to_owned(), 1, 3)]);
    world.leave(&[(&id, None)]);
    assert_eq!(delete(&mut world, GROUP, &[("t", 0)]), (None, vec![None]));
}

#[test]
fn metadata_that_is_no_subscription_may_be_one_to_anything() {
    let mut world = World::new();
    commit(&mut world, "", -1, 1);
    world.stable(1);
    assert_eq!(
        delete(&mut world, GROUP, &[("t", 0)]).1,
        [Some(ResponseError::GroupSubscribedToTopic)]
    );
}

#[test]
fn offsets_of_a_group_at_work_are_kept() {
    let mut world = World::with(|settings| {
        settings.session_timeout_max = 30 * DAY;
    });
    let id = world.get_id();
    let join = Join { session: 20 * DAY, ..Join::new() };
    let ticket = world.join(&join.id(&id).offers(&[("range", SUBSCRIBED_TO_T)]));
    world.joined(ticket);
    world.sync_all(std::slice::from_ref(&id), 1);
    assert_eq!(send(&mut world, commit_request(&id, 1, &[("t", 0, 1), ("u", 0, 2)])), [None, None]);
    world.pass(7 * DAY + REBALANCE * 10);
    assert_eq!(all(&mut world), [("t".to_owned(), 0, 1)], "nobody subscribes to the other");
    world.leave(&[(&id, None)]);
    world.pass(7 * DAY - REBALANCE);
    assert_eq!(committed(&mut world), Some(1), "the time begins when the last member goes");
    world.pass(REBALANCE * 11);
    assert_eq!(committed(&mut world), None);
}

#[test]
fn offsets_of_a_group_without_members_go_a_while_after_the_last_commit() {
    let mut world = World::new();
    commit(&mut world, "", -1, 1);
    world.pass(6 * DAY);
    commit(&mut world, "", -1, 2);
    world.pass(6 * DAY);
    assert_eq!(committed(&mut world), Some(2));
    world.pass(DAY + REBALANCE * 10);
    assert_eq!(committed(&mut world), None);
    assert_eq!(world.it.next_deadline(), None, "nothing is left to look after");
}

#[test]
fn an_old_client_says_how_long_its_offsets_are_kept() {
    let mut world = World::new();
    let request = commit_request("", -1, &[("t", 0, 1)]).with_retention_time_ms(1000);
    world.ask(&GroupRequest::OffsetCommit(request, 2));
    let request = commit_request("", -1, &[("t", 1, 2)]).with_retention_time_ms(i64::MAX);
    world.ask(&GroupRequest::OffsetCommit(request, 4));
    world.pass(REBALANCE * 10);
    assert_eq!(all(&mut world), [("t".to_owned(), 1, 2)]);
}
