//! SyncGroup, Heartbeat, sessions and LeaveGroup.

use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::LeaveGroupRequest;

use super::world::{GROUP, Join, REBALANCE, SESSION, World, error, sync_request, text};
use crate::group::{GroupRequest, GroupResponse};

/// A group that waits for its leader's assignments, the leader first.
fn completing(world: &mut World, members: usize) -> Vec<kafka_protocol::protocol::StrBytes> {
    let ids: Vec<_> = (0..members).map(|_| world.get_id()).collect();
    let tickets: Vec<_> = ids.iter().map(|id| world.join(&Join::new().id(id))).collect();
    for ticket in tickets {
        assert_eq!(world.joined(ticket).error_code, 0);
    }
    ids
}

#[test]
fn followers_wait_for_the_leader() {
    let mut world = World::new();
    let ids = completing(&mut world, 3);
    let followers = [world.sync(&ids[1], 1, &[]), world.sync(&ids[2], 1, &[])];
    assert!(followers.iter().all(|ticket| world.is_parked(*ticket)));
    let leader = world.sync(&ids[0], 1, &[(&ids[0], "x"), (&ids[1], "y"), ("nobody", "z")]);
    let leader = world.synced(leader);
    assert_eq!((leader.error_code, &leader.assignment[..]), (0, &b"x"[..]));
    assert_eq!(leader.protocol_name.as_deref(), Some("range"));
    assert_eq!(leader.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(world.synced(followers[0]).assignment, "y");
    assert_eq!(world.synced(followers[1]).assignment, "", "left out");
}

#[test]
fn a_sync_in_a_stable_group_gets_the_same_again() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    for _ in 0..2 {
        let ticket = world.sync(&ids[1], 1, &[]);
        assert_eq!(world.synced(ticket).assignment, "a1");
        let ticket = world.sync(&ids[0], 1, &[(&ids[1], "late")]);
        assert_eq!(world.synced(ticket).assignment, "a0", "what the leader says now is too late");
    }
}

#[test]
fn a_sync_that_does_not_fit_is_refused() {
    let mut world = World::new();
    let ids = completing(&mut world, 2);
    let refused = |world: &mut World, request, expected| {
        let ticket = world.send(&GroupRequest::Sync(request, 5));
        assert_eq!(error(world.synced(ticket).error_code), Some(expected));
    };
    let sync = |generation| sync_request(&ids[1], generation, &[]);
    refused(&mut world, sync_request("nobody", 1, &[]), ResponseError::UnknownMemberId);
    refused(&mut world, sync(0), ResponseError::IllegalGeneration);
    refused(&mut world, sync(2), ResponseError::IllegalGeneration);
    refused(
        &mut world,
        sync(1).with_protocol_type(Some(text("connect"))),
        ResponseError::InconsistentGroupProtocol,
    );
    refused(
        &mut world,
        sync(1).with_protocol_name(Some(text("sticky"))),
        ResponseError::InconsistentGroupProtocol,
    );
    refused(
        &mut world,
        sync(1).with_group_id(text("other").into()),
        ResponseError::UnknownMemberId,
    );
    refused(&mut world, sync(1).with_group_id(text("").into()), ResponseError::InvalidGroupId);
    refused(
        &mut world,
        sync(1).with_group_id(text("elsewhere").into()),
        ResponseError::NotCoordinator,
    );
    let named_by_nobody = sync(1).with_protocol_type(None).with_protocol_name(None);
    let ticket = world.send(&GroupRequest::Sync(named_by_nobody, 3));
    assert!(world.is_parked(ticket));
}

#[test]
fn a_rebalance_sends_waiting_followers_back() {
    let mut world = World::new();
    let ids = completing(&mut world, 2);
    let follower = world.sync(&ids[1], 1, &[]);
    let (_, late) = world.come();
    assert!(world.is_parked(late));
    let follower = world.synced(follower);
    assert_eq!(error(follower.error_code), Some(ResponseError::RebalanceInProgress));
    let leader = world.sync(&ids[0], 1, &[]);
    let leader = world.synced(leader);
    assert_eq!(error(leader.error_code), Some(ResponseError::RebalanceInProgress));
}

#[test]
fn a_leader_that_never_syncs_is_replaced() {
    let mut world = World::new();
    let ids = completing(&mut world, 2);
    let follower = world.sync(&ids[1], 1, &[]);
    // Its heartbeats go on, so only the time for syncs removes it.
    world.stay(&ids[..1], 1, REBALANCE);
    let refused = world.synced(follower);
    assert_eq!(error(refused.error_code), Some(ResponseError::RebalanceInProgress));
    let again = world.join(&Join::new().id(&ids[1]));
    let again = world.joined(again);
    assert_eq!((again.generation_id, &again.leader), (2, &ids[1]));
    assert_eq!(world.heartbeat(&ids[0], 2), Some(ResponseError::UnknownMemberId));
}

#[test]
fn a_follower_that_never_syncs_is_removed_from_a_stable_group() {
    let mut world = World::new();
    let ids = completing(&mut world, 2);
    let leader = world.sync(&ids[0], 1, &[]);
    world.synced(leader);
    world.stay(&ids, 1, REBALANCE - Duration::from_millis(1));
    assert_eq!(world.heartbeat(&ids[0], 1), None);
    world.stay(&ids, 1, Duration::from_millis(1));
    assert_eq!(world.heartbeat(&ids[0], 1), Some(ResponseError::RebalanceInProgress));
    assert_eq!(world.heartbeat(&ids[1], 1), Some(ResponseError::UnknownMemberId));
}

#[test]
fn a_waiting_sync_needs_no_heartbeats() {
    let mut world = World::new();
    let ids = completing(&mut world, 2);
    let follower = world.sync(&ids[1], 1, &[]);
    world.stay(&ids[..1], 1, 2 * SESSION);
    let leader = world.sync(&ids[0], 1, &[(&ids[1], "y")]);
    world.synced(leader);
    assert_eq!(world.synced(follower).assignment, "y");
    world.pass(SESSION - Duration::from_millis(1));
    assert_eq!(world.heartbeat(&ids[1], 1), None, "the session began with the reply");
}

#[test]
fn a_waiting_sync_of_a_dead_connection_is_not_answered() {
    let mut world = World::new();
    let ids = completing(&mut world, 2);
    let follower = world.sync(&ids[1], 1, &[]);
    world.abandon(follower);
    let leader = world.sync(&ids[0], 1, &[(&ids[1], "y")]);
    world.synced(leader);
    let again = world.sync(&ids[1], 1, &[]);
    assert_eq!(world.synced(again).assignment, "y");
}

#[test]
fn a_waiting_sync_is_told_that_the_coordinator_moved() {
    let mut world = World::new();
    let ids = completing(&mut world, 2);
    let follower = world.sync(&ids[1], 1, &[]);
    world.coordinator_moved();
    let refused = world.synced(follower);
    assert_eq!(error(refused.error_code), Some(ResponseError::NotCoordinator));
    world.sync_all(&ids, 1);
}

#[test]
fn heartbeats_say_where_the_group_is() {
    let mut world = World::new();
    assert_eq!(world.heartbeat("nobody", 1), Some(ResponseError::UnknownMemberId));
    let ids = completing(&mut world, 2);
    assert_eq!(world.heartbeat(&ids[1], 1), None, "while assignments are made");
    world.sync_all(&ids, 1);
    assert_eq!(world.heartbeat(&ids[1], 1), None);
    assert_eq!(world.heartbeat(&ids[1], 0), Some(ResponseError::IllegalGeneration));
    assert_eq!(world.heartbeat("nobody", 1), Some(ResponseError::UnknownMemberId));
    world.come();
    assert_eq!(world.heartbeat(&ids[1], 1), Some(ResponseError::RebalanceInProgress));
}

#[test]
fn a_session_ends_without_heartbeats() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    world.pass(SESSION / 2);
    assert_eq!(world.heartbeat(&ids[0], 1), None);
    world.pass(SESSION / 2);
    assert_eq!(world.heartbeat(&ids[0], 1), Some(ResponseError::RebalanceInProgress));
    assert_eq!(world.heartbeat(&ids[1], 1), Some(ResponseError::UnknownMemberId));
    world.pass(SESSION);
    let ticket = world.join(&Join::new().id(&ids[0]));
    assert_eq!(error(world.joined(ticket).error_code), Some(ResponseError::UnknownMemberId));
    let (_, ticket) = world.come();
    assert_eq!(world.joined(ticket).generation_id, 3, "2 was the one without members");
}

#[test]
fn all_die_at_once() {
    let mut world = World::new();
    let (ids, _) = world.stable(100);
    world.pass(SESSION);
    for id in &ids {
        assert_eq!(world.heartbeat(id, 1), Some(ResponseError::UnknownMemberId));
    }
    let (_, ticket) = world.come();
    assert_eq!(world.joined(ticket).members.len(), 1);
}

#[test]
fn as_many_come_as_go() {
    let mut world = World::new();
    let (ids, _) = world.stable(100);
    world.stay(&ids[50..], 1, SESSION);
    let promised: Vec<_> = (0..50).map(|_| world.get_id()).collect();
    let all = [&ids[50..], &promised].concat();
    let tickets: Vec<_> = all.iter().map(|id| world.join(&Join::new().id(id))).collect();
    for ticket in tickets {
        let joined = world.joined(ticket);
        assert_eq!((joined.generation_id, &joined.leader), (2, &ids[50]));
    }
    world.sync_all(&all, 2);
}

#[test]
fn a_ticket_that_was_answered_can_be_taken_back_without_harm() {
    let mut world = World::new();
    let (id, ticket) = world.come();
    world.joined(ticket);
    world.abandon(ticket);
    world.sync_all(std::slice::from_ref(&id), 1);
}

#[test]
fn one_that_leaves_rebalances_the_others() {
    let mut world = World::new();
    let (ids, _) = world.stable(3);
    assert_eq!(world.leave(&[(&ids[0], None)]), [None, None]);
    assert_eq!(world.heartbeat(&ids[1], 1), Some(ResponseError::RebalanceInProgress));
    let tickets = [1, 2].map(|at| world.join(&Join::new().id(&ids[at])));
    for ticket in tickets {
        let joined = world.joined(ticket);
        assert_eq!((joined.generation_id, &joined.leader), (2, &ids[1]));
    }
}

#[test]
fn one_that_leaves_while_it_waits_is_told_that_it_is_unknown() {
    let mut world = World::new();
    let (ids, _) = world.stable(1);
    let (late, ticket) = world.come();
    world.leave(&[(&late, None)]);
    assert_eq!(error(world.joined(ticket).error_code), Some(ResponseError::UnknownMemberId));
    let leader = world.join(&Join::new().id(&ids[0]));
    assert_eq!(world.joined(leader).members.len(), 1);
}

#[test]
fn a_promised_member_can_leave() {
    let mut world = World::new();
    let (ids, _) = world.stable(1);
    let promised = world.get_id();
    let leader = world.join(&Join::new().id(&ids[0]));
    assert!(world.is_parked(leader));
    assert_eq!(world.leave(&[(&promised, None)]), [None, None]);
    assert_eq!(world.joined(leader).generation_id, 2);
}

#[test]
fn old_clients_leave_alone() {
    for version in 0..3 {
        let mut world = World::new();
        let (ids, _) = world.stable(1);
        let mut leave = |id: &str, group: &str| {
            let request = LeaveGroupRequest::default()
                .with_group_id(text(group).into())
                .with_member_id(text(id));
            match world.ask(&GroupRequest::Leave(request, version)) {
                GroupResponse::Leave(response) => error(response.error_code),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(leave("nobody", GROUP), Some(ResponseError::UnknownMemberId));
        assert_eq!(leave("nobody", "other"), Some(ResponseError::UnknownMemberId));
        assert_eq!(leave("nobody", "elsewhere"), Some(ResponseError::NotCoordinator));
        assert_eq!(leave(&ids[0], GROUP), None);
        assert_eq!(leave(&ids[0], GROUP), Some(ResponseError::UnknownMemberId));
    }
}
