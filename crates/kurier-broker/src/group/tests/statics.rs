//! Members with an instance id: restarts, fencing, absence.

use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::HeartbeatRequest;
use kafka_protocol::protocol::StrBytes;

use super::world::{GROUP, Join, REBALANCE, SESSION, World, error, sync_request, text};
use crate::group::GroupRequest;

/// A stable group of static members `i0`, `i1`, …, the leader first, in generation 2.
fn stable(world: &mut World, members: usize) -> Vec<StrBytes> {
    let tickets: Vec<_> =
        (0..members).map(|at| world.join(&Join::new().instance(&format!("i{at}")))).collect();
    // Static members do not fetch their id first, so the first one had a generation of its own.
    let first = world.joined(tickets[0]).member_id;
    let again = world.join(&Join::new().instance("i0").id(&first));
    let mut ids = vec![world.joined(again).member_id];
    ids.extend(tickets[1..].iter().map(|ticket| world.joined(*ticket).member_id));
    world.sync_all(&ids, 2);
    ids
}

fn heartbeat(
    world: &mut World,
    id: &str,
    instance: &str,
    generation: i32,
) -> Option<ResponseError> {
    let request = HeartbeatRequest::default()
        .with_group_id(text(GROUP).into())
        .with_generation_id(generation)
        .with_member_id(text(id))
        .with_group_instance_id(Some(text(instance)));
    world.heartbeat_with(request)
}

#[test]
fn a_restarted_follower_keeps_its_assignment_and_nobody_notices() {
    let mut world = World::new();
    let ids = stable(&mut world, 2);
    let ticket = world.join(&Join::new().instance("i1").offers(&[("range", "other owned")]));
    let joined = world.joined(ticket);
    assert_eq!((joined.error_code, joined.generation_id, joined.skip_assignment), (0, 2, false));
    assert_ne!(joined.member_id, ids[1]);
    assert!(joined.members.is_empty());
    assert_eq!(heartbeat(&mut world, &ids[0], "i0", 2), None);
    let sync = world.sync(&joined.member_id, 2, &[]);
    assert_eq!(world.synced(sync).assignment, "a1");
    assert_eq!(
        heartbeat(&mut world, &ids[1], "i1", 2),
        Some(ResponseError::FencedInstanceId),
        "its former self is fenced"
    );
    assert_eq!(world.heartbeat(&ids[1], 2), Some(ResponseError::UnknownMemberId));
}

#[test]
fn a_restarted_leader_keeps_its_assignment_whatever_its_version() {
    for version in 5..=9 {
        let mut world = World::new();
        let ids = stable(&mut world, 2);
        let ticket = world.join(&Join::new().instance("i0").version(version));
        let joined = world.joined(ticket);
        assert_eq!((joined.error_code, joined.generation_id), (0, 2));
        if version == 9 {
            assert!(joined.skip_assignment);
            assert_eq!((&joined.leader, joined.members.len()), (&joined.member_id, 2));
        } else {
            assert_eq!((&joined.leader, joined.members.len()), (&ids[0], 0), "takes no assignment");
        }
        let sync = world.sync(&joined.member_id, 2, &[]);
        assert_eq!(world.synced(sync).assignment, "a0");
        assert_eq!(heartbeat(&mut world, &ids[1], "i1", 2), None);
        let again = world.join(&Join::new().instance("i0").id(&joined.member_id));
        assert!(world.is_parked(again), "it leads still: its next join is a rebalance");
    }
}

#[test]
fn a_restarted_member_that_changes_the_strategy_rebalances() {
    let mut world = World::new();
    let ticket = world.join(&Join::new().instance("i0").offers(&[("range", ""), ("sticky", "")]));
    let id = world.joined(ticket).member_id;
    world.sync_all(&[id], 1);
    let ticket = world.join(&Join::new().instance("i0").offers(&[("sticky", ""), ("range", "")]));
    let joined = world.joined(ticket);
    assert_eq!((joined.generation_id, joined.protocol_name.as_deref()), (2, Some("sticky")));
}

#[test]
fn two_with_the_same_instance_the_waiting_one_is_fenced() {
    let mut world = World::new();
    let ids = stable(&mut world, 2);
    let first = world.join(&Join::new().instance("i0").id(&ids[0]));
    assert!(world.is_parked(first));
    let second = world.join(&Join::new().instance("i0"));
    assert_eq!(error(world.joined(first).error_code), Some(ResponseError::FencedInstanceId));
    let other = world.join(&Join::new().instance("i1").id(&ids[1]));
    let second = world.joined(second);
    assert_eq!((second.generation_id, &second.leader), (3, &second.member_id));
    assert_eq!(world.joined(other).members.len(), 0);
}

#[test]
fn a_restart_while_assignments_are_made_rebalances() {
    let mut world = World::new();
    let ids = stable(&mut world, 2);
    let tickets = [0, 1].map(|at| {
        let instance = format!("i{at}");
        world.join(&Join::new().instance(&instance).id(&ids[at]))
    });
    for ticket in tickets {
        assert_eq!(world.joined(ticket).generation_id, 3);
    }
    let sync = world.sync(&ids[1], 3, &[]);
    let ticket = world.join(&Join::new().instance("i1"));
    assert!(world.is_parked(ticket));
    assert_eq!(error(world.synced(sync).error_code), Some(ResponseError::FencedInstanceId));
    let leader = world.join(&Join::new().instance("i0").id(&ids[0]));
    assert_eq!(world.joined(leader).generation_id, 4);
    assert_eq!(world.joined(ticket).generation_id, 4);
}

#[test]
fn a_static_member_outlives_a_rebalance_but_not_its_session() {
    let mut world = World::new();
    let long = Duration::from_secs(300);
    let down = Join { session: long, ..Join::new() }.instance("down");
    let ticket = world.join(&down);
    world.joined(ticket);
    let (id, leader) = world.come();
    world.pass(REBALANCE);
    let joined = world.joined(leader);
    assert_eq!((joined.generation_id, &joined.leader), (2, &id));
    let names: Vec<_> =
        joined.members.iter().filter_map(|it| it.group_instance_id.clone()).collect();
    assert_eq!(names, [text("down")], "it is assigned partitions although it did not join");
    world.sync_all(std::slice::from_ref(&id), 2);
    // The 60 s of the rebalance were silence.
    world.stay(std::slice::from_ref(&id), 2, long - REBALANCE - Duration::from_secs(3));
    assert_eq!(world.heartbeat(&id, 2), None, "it owes no sync either");
    world.stay(std::slice::from_ref(&id), 2, Duration::from_secs(3));
    assert_eq!(world.heartbeat(&id, 2), Some(ResponseError::RebalanceInProgress));
}

#[test]
fn a_rebalance_with_only_absent_static_members_is_postponed() {
    let mut world = World::new();
    let long = Join { session: 10 * REBALANCE, ..Join::new() };
    let ticket = world.join(&long.clone().instance("i0"));
    let id = world.joined(ticket).member_id;
    world.sync_all(std::slice::from_ref(&id), 1);
    let (gone, ticket) = world.come();
    assert_eq!(world.leave(&[(&gone, None)]), [None, None]);
    assert_eq!(error(world.joined(ticket).error_code), Some(ResponseError::UnknownMemberId));
    world.pass(3 * REBALANCE);
    let ticket = world.join(&long.instance("i0").id(&id));
    assert_eq!(world.joined(ticket).generation_id, 2);
}

#[test]
fn a_member_that_missed_its_first_generation_waits_in_the_next_like_others() {
    let mut world = World::with(|settings| {
        settings.new_member_join_timeout = Duration::from_secs(1);
    });
    let parked = {
        world.get_id();
        world.join(&Join::new().instance("i"))
    };
    world.abandon(parked);
    world.pass(Duration::from_millis(250));
    let again = world.join(&Join::new().instance("i"));
    assert!(world.is_parked(again), "the one it missed has no assignments yet");
    world.pass(2 * SESSION);
    assert_eq!(world.joined(again).generation_id, 2);
}

#[test]
fn wrong_instance_ids_are_told_apart() {
    let mut world = World::new();
    let ids = stable(&mut world, 2);
    assert_eq!(heartbeat(&mut world, &ids[0], "i1", 2), Some(ResponseError::FencedInstanceId));
    assert_eq!(heartbeat(&mut world, &ids[0], "other", 2), Some(ResponseError::UnknownMemberId));
    let sync = sync_request("old", 2, &[]).with_group_instance_id(Some(text("i1")));
    let sync = world.send(&GroupRequest::Sync(sync, 5));
    assert_eq!(error(world.synced(sync).error_code), Some(ResponseError::FencedInstanceId));
    let join = world.join(&Join::new().instance("i1").id("old"));
    assert_eq!(error(world.joined(join).error_code), Some(ResponseError::FencedInstanceId));
    let join = world.join(&Join::new().instance("other").id("old"));
    assert_eq!(error(world.joined(join).error_code), Some(ResponseError::UnknownMemberId));
}

#[test]
fn static_members_leave_by_instance() {
    let mut world = World::new();
    let ids = stable(&mut world, 3);
    let errors = world.leave(&[
        ("", Some("i1")),
        ("old", Some("i2")),
        ("", Some("other")),
        ("", None),
        (&ids[2], Some("i2")),
    ]);
    assert_eq!(
        errors,
        [
            None,
            None,
            Some(ResponseError::FencedInstanceId),
            Some(ResponseError::UnknownMemberId),
            Some(ResponseError::UnknownMemberId),
            None,
        ]
    );
    assert_eq!(heartbeat(&mut world, &ids[0], "i0", 2), Some(ResponseError::RebalanceInProgress));
    let leader = world.join(&Join::new().instance("i0").id(&ids[0]));
    assert_eq!(world.joined(leader).members.len(), 1);
}

#[test]
fn a_restarted_process_that_dies_before_its_reply_can_come_back() {
    let mut world = World::new();
    let ids = stable(&mut world, 2);
    let leader = world.join(&Join::new().instance("i0").id(&ids[0]));
    let restarted = world.join(&Join::new().instance("i1"));
    assert_eq!(world.joined(leader).generation_id, 3);
    world.joined(restarted);
    let parked = world.join(&Join::new().instance("new"));
    world.abandon(parked);
    let again = world.join(&Join::new().instance("new"));
    assert!(world.is_parked(again));
    world.pass(SESSION);
    assert_eq!(world.joined(again).members.len(), 1);
}
