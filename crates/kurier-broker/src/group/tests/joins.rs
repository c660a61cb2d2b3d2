//! JoinGroup: ids, first generations, rebalances, lost replies and lost connections.

use std::time::Duration;

use kafka_protocol::error::ResponseError;

use super::world::{Join, REBALANCE, SESSION, World, error};

#[test]
fn a_new_member_gets_its_id_first() {
    let mut world = World::new();
    let id = world.get_id();
    assert!(id.starts_with("client-"), "{id}");
    let ticket = world.join(&Join::new().id(&id));
    let joined = world.joined(ticket);
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_eq!((&joined.leader, &joined.member_id), (&id, &id));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(joined.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(joined.members.len(), 1);
}

#[test]
fn old_clients_join_without_an_id_and_read_every_reply() {
    for version in 0..4 {
        let mut world = World::new();
        let ticket = world.join(&Join::new().version(version));
        let joined = world.joined(ticket);
        assert_eq!((joined.error_code, joined.generation_id), (0, 1));
        assert!(joined.protocol_name.is_some(), "null cannot be read before version 7");
        let refused = world.join(&Join::new().version(version).id("nobody"));
        assert_eq!(
            error(world.joined(refused).error_code),
            Some(ResponseError::UnknownMemberId),
            "version {version}"
        );
    }
}

#[test]
fn ids_differ_between_members_and_seeds() {
    let ids = |seed| {
        let mut world = World::with(|settings| settings.member_id_seed = seed);
        [world.get_id(), world.get_id()]
    };
    assert_eq!(ids(1), ids(1));
    assert_ne!(ids(1)[0], ids(1)[1]);
    assert_ne!(ids(1)[0], ids(2)[0]);
}

#[test]
fn an_unknown_id_does_not_join() {
    let mut world = World::new();
    let ticket = world.join(&Join::new().id("nobody"));
    assert_eq!(error(world.joined(ticket).error_code), Some(ResponseError::UnknownMemberId));
    world.stable(1);
    let ticket = world.join(&Join::new().id("nobody"));
    assert_eq!(error(world.joined(ticket).error_code), Some(ResponseError::UnknownMemberId));
}

#[test]
fn members_that_start_together_share_their_first_generation() {
    let mut world = World::new();
    let (ids, generation) = world.stable(3);
    assert_eq!(generation, 1);
    assert_eq!(world.heartbeat(&ids[2], 1), None);
}

#[test]
fn only_the_leader_sees_the_members() {
    let mut world = World::new();
    let ids = [world.get_id(), world.get_id()];
    let first = world.join(&Join::new().id(&ids[0]).offers(&[("range", "x")]));
    let second = world.join(&Join::new().id(&ids[1]).offers(&[("range", "y")]));
    let (first, second) = (world.joined(first), world.joined(second));
    assert_eq!(first.leader, ids[0]);
    assert_eq!(second.leader, ids[0]);
    let seen: Vec<_> = first.members.iter().map(|it| (&it.member_id, &it.metadata[..])).collect();
    assert_eq!(seen, [(&ids[0], &b"x"[..]), (&ids[1], &b"y"[..])]);
    assert!(second.members.is_empty());
}

#[test]
fn a_promised_member_that_never_comes_costs_the_grace_once() {
    let mut world = World::new();
    world.get_id();
    let (_, ticket) = world.come();
    assert!(world.is_parked(ticket));
    world.pass(Duration::from_millis(249));
    assert!(world.is_parked(ticket));
    world.pass(Duration::from_millis(1));
    assert_eq!(world.joined(ticket).generation_id, 1);
}

#[test]
fn the_initial_delay_is_extended_by_new_members_up_to_the_rebalance_timeout() {
    let delay = Duration::from_secs(3);
    let mut world = World::with(|settings| settings.initial_rebalance_delay = delay);
    let (_, first) = world.come();
    world.pass(delay - Duration::from_millis(1));
    let (_, second) = world.come();
    world.pass(delay);
    assert!(world.is_parked(first), "the second came in the first window");
    world.pass(Duration::from_millis(1));
    assert_eq!(world.joined(first).generation_id, 1);
    assert_eq!(world.joined(second).generation_id, 1);

    let mut world = World::with(|settings| settings.initial_rebalance_delay = delay);
    let mut tickets = Vec::new();
    for _ in 0..REBALANCE.as_secs() {
        tickets.push(world.come().1);
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.joined(tickets[0]).generation_id, 1, "not for ever");
}

#[test]
fn a_join_in_a_stable_group_rebalances_it() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    let (late, ticket) = world.come();
    assert!(world.is_parked(ticket));
    assert_eq!(world.heartbeat(&ids[0], 1), Some(ResponseError::RebalanceInProgress));
    let again: Vec<_> = ids.iter().map(|id| world.join(&Join::new().id(id))).collect();
    let joined = world.joined(ticket);
    assert_eq!((joined.generation_id, &joined.leader), (2, &ids[0]));
    for ticket in again {
        assert_eq!(world.joined(ticket).generation_id, 2);
    }
    world.sync_all(&[ids[0].clone(), ids[1].clone(), late], 2);
}

#[test]
fn who_does_not_rejoin_in_time_is_out() {
    let mut world = World::new();
    let (ids, _) = world.stable(3);
    let (late, ticket) = world.come();
    let again = world.join(&Join::new().id(&ids[1]));
    // The others send heartbeats, so their sessions live, but they never join.
    world.stay(&[ids[0].clone(), ids[2].clone()], 1, REBALANCE);
    let joined = world.joined(again);
    assert_eq!((joined.generation_id, &joined.leader), (2, &ids[1]), "the leader is another now");
    assert_eq!(joined.members.len(), 2);
    assert_eq!(world.joined(ticket).member_id, late);
    assert_eq!(world.heartbeat(&ids[0], 2), Some(ResponseError::UnknownMemberId));
}

#[test]
fn a_dead_member_does_not_hold_a_rebalance_longer_than_its_session() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    let (_, ticket) = world.come();
    let again = world.join(&Join::new().id(&ids[1]));
    world.pass(SESSION - Duration::from_millis(1));
    assert!(world.is_parked(ticket));
    world.pass(Duration::from_millis(1));
    assert_eq!(world.joined(ticket).generation_id, 2);
    assert_eq!(world.joined(again).members.len(), 2);
}

#[test]
fn the_leader_that_joins_again_always_rebalances_a_follower_only_with_news() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    let same = world.join(&Join::new().id(&ids[1]));
    let joined = world.joined(same);
    assert_eq!((joined.generation_id, joined.members.len()), (1, 0));
    assert_eq!(world.heartbeat(&ids[0], 1), None, "nothing happened");

    let changed = world.join(&Join::new().id(&ids[1]).offers(&[("range", "other")]));
    assert!(world.is_parked(changed));
    let leader = world.join(&Join::new().id(&ids[0]));
    assert_eq!(world.joined(changed).generation_id, 2);
    assert_eq!(world.joined(leader).members[1].metadata, "other");
    world.sync_all(&ids, 2);

    let leader = world.join(&Join::new().id(&ids[0]));
    assert!(world.is_parked(leader));
    assert_eq!(world.heartbeat(&ids[1], 2), Some(ResponseError::RebalanceInProgress));
}

#[test]
fn a_join_whose_reply_got_lost_is_answered_again() {
    let mut world = World::new();
    let ids = [world.get_id(), world.get_id()];
    let tickets = [0, 1].map(|at| world.join(&Join::new().id(&ids[at])));
    for ticket in tickets {
        world.joined(ticket);
    }
    let leader = world.join(&Join::new().id(&ids[0]));
    assert_eq!(world.joined(leader).members.len(), 2);
    let follower = world.join(&Join::new().id(&ids[1]));
    let follower = world.joined(follower);
    assert_eq!((follower.generation_id, follower.members.len()), (1, 0));
    world.sync_all(&ids, 1);
}

#[test]
fn a_second_join_of_a_member_takes_the_place_of_the_first() {
    let mut world = World::new();
    world.stable(1);
    let (id, first) = world.come();
    let second = world.join(&Join::new().id(&id));
    assert_eq!(error(world.joined(first).error_code), Some(ResponseError::RebalanceInProgress));
    assert!(world.is_parked(second));
}

#[test]
fn the_strategy_is_one_that_all_offer_and_most_prefer() {
    let mut world = World::new();
    let offers: [&[(&str, &str)]; 3] = [
        &[("own", ""), ("range", ""), ("sticky", "")],
        &[("sticky", ""), ("range", "")],
        &[("sticky", ""), ("range", "")],
    ];
    let ids = offers.map(|_| world.get_id());
    let tickets = [0, 1, 2].map(|at| world.join(&Join::new().id(&ids[at]).offers(offers[at])));
    for ticket in tickets {
        assert_eq!(world.joined(ticket).protocol_name.as_deref(), Some("sticky"));
    }
}

#[test]
fn protocols_without_a_common_one_are_inconsistent() {
    let mut world = World::new();
    let expect = |world: &mut World, join: &Join, expected| {
        let ticket = world.join(join);
        assert_eq!(error(world.joined(ticket).error_code), Some(expected));
    };
    let inconsistent = ResponseError::InconsistentGroupProtocol;
    expect(&mut world, &Join::new().offers(&[]), inconsistent);
    let (ids, _) = world.stable(2);
    expect(&mut world, &Join::new().offers(&[("other", "")]), inconsistent);
    expect(&mut world, &Join::new().id(&ids[1]).offers(&[("other", "")]), inconsistent);
    assert_eq!(world.heartbeat(&ids[0], 1), None, "the group is left alone");
}

#[test]
fn a_promised_id_is_forgotten_after_a_session() {
    let mut world = World::new();
    let id = world.get_id();
    world.pass(SESSION);
    let ticket = world.join(&Join::new().id(&id));
    assert_eq!(error(world.joined(ticket).error_code), Some(ResponseError::UnknownMemberId));
}

#[test]
fn a_rebalance_waits_for_promised_members() {
    let mut world = World::new();
    let (ids, _) = world.stable(1);
    let promised = world.get_id();
    let leader = world.join(&Join::new().id(&ids[0]));
    assert!(world.is_parked(leader));
    let last = world.join(&Join::new().id(&promised));
    assert_eq!(world.joined(leader).members.len(), 2);
    assert_eq!(world.joined(last).generation_id, 2);
}

#[test]
fn a_member_whose_connection_died_before_it_knew_its_id_is_gone() {
    let mut world = World::new();
    let (ids, _) = world.stable(1);
    let nameless = world.join(&Join::new().version(3));
    assert!(world.is_parked(nameless));
    world.abandon(nameless);
    let leader = world.join(&Join::new().id(&ids[0]));
    assert_eq!(world.joined(leader).members.len(), 1, "nobody waited for it");
}

#[test]
fn a_member_whose_connection_died_stays_until_its_session_ends() {
    let mut world = World::new();
    let (ids, _) = world.stable(1);
    let (_, ticket) = world.come();
    world.abandon(ticket);
    let leader = world.join(&Join::new().id(&ids[0]));
    let joined = world.joined(leader);
    assert_eq!((joined.generation_id, joined.members.len()), (2, 2));
    world.stay(&ids, 2, SESSION);
    assert_eq!(world.heartbeat(&ids[0], 2), Some(ResponseError::RebalanceInProgress));
    let leader = world.join(&Join::new().id(&ids[0]));
    assert_eq!(world.joined(leader).members.len(), 1);
}

#[test]
fn a_leader_whose_connection_died_does_not_lead_the_next_generation() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    let leader = world.join(&Join::new().id(&ids[0]));
    world.abandon(leader);
    let other = world.join(&Join::new().id(&ids[1]));
    let joined = world.joined(other);
    assert_eq!((joined.generation_id, &joined.leader, joined.members.len()), (2, &ids[1], 2));
}

#[test]
fn a_new_member_does_not_wait_for_ever() {
    let mut world = World::with(|settings| {
        settings.new_member_join_timeout = Duration::from_secs(20);
    });
    let (ids, _) = world.stable(1);
    let (_, ticket) = world.come();
    world.stay(&ids, 1, Duration::from_secs(20));
    assert_eq!(error(world.joined(ticket).error_code), Some(ResponseError::UnknownMemberId));
}

#[test]
fn a_new_member_that_joins_again_over_another_connection_needs_no_heartbeats() {
    let mut world = World::new();
    let (ids, _) = world.stable(1);
    let (late, ticket) = world.come();
    world.abandon(ticket);
    let again = world.join(&Join::new().id(&late));
    world.stay(&ids, 1, 2 * SESSION);
    assert!(world.is_parked(again));
    let leader = world.join(&Join::new().id(&ids[0]));
    assert_eq!(world.joined(leader).members.len(), 2);
    assert_eq!(world.joined(again).generation_id, 2);
}

#[test]
fn the_longest_rebalance_timeout_counts() {
    let mut world = World::new();
    let ids = [world.get_id(), world.get_id()];
    let long = Join { rebalance: 2 * REBALANCE, ..Join::new() };
    world.join(&long.clone().id(&ids[0]));
    world.join(&Join::new().id(&ids[1]));
    world.sync_all(&ids, 1);
    let (_, ticket) = world.come();
    world.stay(&ids, 1, 2 * REBALANCE - Duration::from_secs(1));
    assert!(world.is_parked(ticket));
    world.stay(&ids, 1, Duration::from_secs(1));
    assert_eq!(world.joined(ticket).members.len(), 1);
}

#[test]
fn when_the_coordinator_moves_nobody_waits_and_the_group_goes_on() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    let (late, ticket) = world.come();
    let nameless = world.join(&Join::new().version(2));
    world.pass(SESSION / 2);
    world.coordinator_moved();
    for ticket in [ticket, nameless] {
        assert_eq!(error(world.joined(ticket).error_code), Some(ResponseError::NotCoordinator));
    }
    world.pass(SESSION - Duration::from_millis(1));
    assert_eq!(
        world.heartbeat(&ids[0], 1),
        Some(ResponseError::RebalanceInProgress),
        "sessions began anew, the generation is the same"
    );
    let all = [ids[0].clone(), ids[1].clone(), late];
    let tickets = [0, 1, 2].map(|at| world.join(&Join::new().id(&all[at])));
    for ticket in tickets {
        assert_eq!(world.joined(ticket).generation_id, 2);
    }
    world.sync_all(&all, 2);
}
