//! Limits: what is refused, and that what is kept stays within bounds.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{JoinGroupRequest, OffsetCommitRequest};

use super::world::{GROUP, Join, REBALANCE, SESSION, World, error, text};
use crate::group::{GroupRequest, GroupResponse};

fn refused(world: &mut World, request: JoinGroupRequest) -> Option<ResponseError> {
    let ticket = world.send(&GroupRequest::Join(request, 9));
    error(world.joined(ticket).error_code)
}

fn named(group: &str) -> JoinGroupRequest {
    Join::new().request().with_group_id(text(group).into())
}

fn commit(world: &mut World, group: &str, metadata: &str) -> Option<ResponseError> {
    let partition =
        OffsetCommitRequestPartition::default().with_committed_metadata(Some(text(metadata)));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(text("t").into())
        .with_partitions(vec![partition]);
    let request =
        OffsetCommitRequest::default().with_group_id(text(group).into()).with_topics(vec![topic]);
    match world.ask(&GroupRequest::OffsetCommit(request, 8)) {
        GroupResponse::OffsetCommit(response) => error(response.topics[0].partitions[0].error_code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn session_timeouts_have_bounds() {
    let mut world = World::new();
    for millis in [i32::MIN, -1, 0, 5_999, 1_800_001, i32::MAX] {
        let request = Join::new().request().with_session_timeout_ms(millis);
        assert_eq!(refused(&mut world, request), Some(ResponseError::InvalidSessionTimeout));
    }
    for millis in [6_000, 1_800_000] {
        let request = Join::new().request().with_session_timeout_ms(millis);
        assert_eq!(refused(&mut world, request), Some(ResponseError::MemberIdRequired));
    }
}

#[test]
fn groups_without_a_name_and_groups_of_other_nodes_are_refused() {
    let mut world = World::new();
    assert_eq!(refused(&mut world, named("")), Some(ResponseError::InvalidGroupId));
    assert_eq!(refused(&mut world, named("elsewhere")), Some(ResponseError::NotCoordinator));
    assert!(world.it.groups.is_empty());
}

#[test]
fn a_full_group_takes_nobody() {
    let mut world = World::with(|settings| settings.group_members_max = 2);
    let ids = [world.get_id(), world.get_id()];
    let full = Some(ResponseError::GroupMaxSizeReached);
    assert_eq!(refused(&mut world, Join::new().request()), full, "two were promised a place");
    let tickets = [0, 1].map(|at| world.join(&Join::new().id(&ids[at])));
    for ticket in tickets {
        assert_eq!(world.joined(ticket).error_code, 0);
    }
    assert_eq!(refused(&mut world, Join::new().request()), full);
    assert_eq!(refused(&mut world, Join::new().instance("i").request()), full);
    world.sync_all(&ids, 1);
    assert_eq!(world.heartbeat(&ids[0], 1), None, "the others do not notice");
    world.leave(&[(&ids[1], None)]);
    assert_eq!(
        refused(&mut world, Join::new().request()),
        Some(ResponseError::MemberIdRequired),
        "until one goes"
    );
}

#[test]
fn a_promised_member_that_finds_the_group_full_is_not_waited_for() {
    let mut world = World::with(|settings| settings.group_members_max = 2);
    let (ids, _) = world.stable(1);
    let promised = world.get_id();
    let other = world.join(&Join::new().version(3));
    let leader = world.join(&Join::new().id(&ids[0]));
    assert!(world.is_parked(other) && world.is_parked(leader));
    let late = world.join(&Join::new().id(&promised));
    assert_eq!(error(world.joined(late).error_code), Some(ResponseError::GroupMaxSizeReached));
    assert_eq!(world.joined(leader).members.len(), 2);
    assert_eq!(world.joined(other).generation_id, 2);
}

#[test]
fn there_are_only_so_many_groups() {
    let mut world = World::with(|settings| settings.groups_max = 2);
    assert_eq!(commit(&mut world, "a", ""), None);
    assert_eq!(refused(&mut world, named("b")), Some(ResponseError::MemberIdRequired));
    assert_eq!(refused(&mut world, named("c")), Some(ResponseError::GroupMaxSizeReached));
    assert_eq!(commit(&mut world, "c", ""), Some(ResponseError::InvalidCommitOffsetSize));
    world.pass(SESSION);
    assert_eq!(commit(&mut world, "c", ""), None, "the promise in the other is forgotten");
}

#[test]
fn a_group_of_which_nothing_is_left_makes_room() {
    let mut world = World::with(|settings| settings.groups_max = 1);
    let (ids, _) = world.stable(1);
    world.leave(&[(&ids[0], None)]);
    assert_eq!(refused(&mut world, named("other")), Some(ResponseError::MemberIdRequired));
}

#[test]
fn refused_requests_leave_no_group_behind() {
    let mut world = World::new();
    let request = Join::new().offers(&[]).request();
    assert_eq!(refused(&mut world, request), Some(ResponseError::InconsistentGroupProtocol));
    let many: Vec<String> = (0..65).map(|at| at.to_string()).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
    let request = Join::new().offers(&many).request();
    assert_eq!(refused(&mut world, request), Some(ResponseError::InvalidRequest));
    let long = "x".repeat(5000);
    assert_eq!(commit(&mut world, GROUP, &long), Some(ResponseError::OffsetMetadataTooLarge));
    assert!(world.it.groups.is_empty());
    assert_eq!((world.it.bytes, world.it.next_deadline()), (0, world.it.retention_check));
}

#[test]
fn the_bytes_of_all_groups_together_are_bounded() {
    let mut world = World::with(|settings| settings.bytes_max = 20_000);
    let big = "x".repeat(15_000);
    let full = Some(ResponseError::GroupMaxSizeReached);
    let (ids, _) = world.stable(2);
    let bigger = Join::new().offers(&[("range", &format!("{big}{big}"))]).request();
    assert_eq!(refused(&mut world, bigger.clone().with_member_id(ids[1].clone())), full);
    assert_eq!(refused(&mut world, bigger.with_group_instance_id(Some(text("i")))), full);

    let leader = world.join(&Join::new().id(&ids[0]).offers(&[("range", &big)]));
    let follower = world.join(&Join::new().id(&ids[1]));
    assert_eq!(world.joined(leader).generation_id, 2);
    world.joined(follower);
    let waits = world.sync(&ids[1], 2, &[]);
    let sync = world.sync(&ids[0], 2, &[(&ids[1], &big)]);
    assert_eq!(error(world.synced(sync).error_code), Some(ResponseError::MessageTooLarge));
    assert_eq!(error(world.synced(waits).error_code), Some(ResponseError::RebalanceInProgress));

    for at in 0.. {
        let outcome = commit(&mut world, &format!("other-{at}"), &"y".repeat(1000));
        if outcome.is_some() {
            assert_eq!(outcome, Some(ResponseError::InvalidCommitOffsetSize));
            assert!(at > 0, "there was room for one");
            break;
        }
    }
    assert!(world.it.bytes <= 20_000);
    let leader = world.join(&Join::new().id(&ids[0]).offers(&[("range", &big)]));
    assert!(world.is_parked(leader), "what is there already may stay");
    world.pass(REBALANCE);
}

#[test]
fn long_client_ids_make_member_ids_that_can_be_sent_back() {
    let mut world = World::new();
    let instance = "ä".repeat(16_000);
    let ticket = world.join(&Join::new().instance(&instance));
    assert!(world.joined(ticket).member_id.len() < 600);
}

#[test]
fn what_is_kept_is_not_the_frame_it_came_in() {
    let mut world = World::new();
    let frame = Bytes::from(vec![b'm'; 100_000]);
    let mut request = Join::new().version(3).request();
    request.protocols[0].metadata = frame.slice(0..1);
    world.send(&GroupRequest::Join(request.clone(), 3));
    drop(request);
    assert!(frame.is_unique());
}
