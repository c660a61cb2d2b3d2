//! What operators see and delete.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::{DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest};

use super::world::{GROUP, Join, World, error, text};
use crate::group::{GroupRequest, GroupResponse};

fn describe(world: &mut World, id: &str, version: i16) -> DescribedGroup {
    let request = DescribeGroupsRequest::default()
        .with_groups(vec![text(id).into()])
        .with_include_authorized_operations(version >= 3);
    match world.ask(&GroupRequest::Describe(request, version)) {
        GroupResponse::Describe(response) => response.groups[0].clone(),
        other => panic!("{other:?}"),
    }
}

/// Names and states of the groups that pass the filters.
fn list(world: &mut World, states: &[&str], types: &[&str]) -> Vec<(String, String)> {
    let request = ListGroupsRequest::default()
        .with_states_filter(states.iter().map(|it| text(it)).collect())
        .with_types_filter(types.iter().map(|it| text(it)).collect());
    match world.ask(&GroupRequest::List(request, 5)) {
        GroupResponse::List(response) => {
            assert_eq!(response.error_code, 0);
            let groups = response.groups.iter();
            groups.map(|it| (it.group_id.to_string(), it.group_state.to_string())).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn delete(world: &mut World, ids: &[&str]) -> Vec<Option<ResponseError>> {
    let names = ids.iter().map(|id| text(id).into()).collect();
    let request = DeleteGroupsRequest::default().with_groups_names(names);
    match world.ask(&GroupRequest::DeleteGroups(request, 2)) {
        GroupResponse::DeleteGroups(response) => {
            response.results.iter().map(|it| error(it.error_code)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stable_group_is_described_in_full_in_every_version() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    for version in 0..=6 {
        let group = describe(&mut world, GROUP, version);
        assert_eq!((group.error_code, &group.group_state[..]), (0, "Stable"));
        assert_eq!((&group.protocol_type[..], &group.protocol_data[..]), ("consumer", "range"));
        assert_eq!(group.members.len(), 2);
        let member = &group.members[1];
        assert_eq!((&member.member_id, &member.group_instance_id), (&ids[1], &None));
        assert_eq!((&member.client_id[..], &member.client_host[..]), ("client", "/127.0.0.1"));
        assert_eq!(
            (&member.member_metadata[..], &member.member_assignment[..]),
            (&b"m"[..], &b"a1"[..])
        );
        let unknown = i32::MIN;
        assert_eq!(group.authorized_operations != unknown, version >= 3);
    }
}

#[test]
fn the_state_is_named_at_every_step() {
    let mut world = World::new();
    assert_eq!(describe(&mut world, GROUP, 5).group_state, *"Dead");
    let id = world.get_id();
    assert_eq!(describe(&mut world, GROUP, 5).group_state, *"Empty");
    world.get_id();
    let ticket = world.join(&Join::new().id(&id));
    let preparing = describe(&mut world, GROUP, 5);
    assert_eq!(preparing.group_state, *"PreparingRebalance");
    assert_eq!((&preparing.protocol_data[..], preparing.members.len()), ("", 1));
    assert!(preparing.members[0].member_metadata.is_empty());
    world.pass(world.it.settings().pending_member_grace);
    world.joined(ticket);
    assert_eq!(describe(&mut world, GROUP, 5).group_state, *"CompletingRebalance");
    world.sync_all(std::slice::from_ref(&id), 1);
    assert_eq!(describe(&mut world, GROUP, 5).group_state, *"Stable");
    world.leave(&[(&id, None)]);
    let empty = describe(&mut world, GROUP, 5);
    assert_eq!((&empty.group_state[..], &empty.protocol_type[..]), ("Empty", "consumer"));
}

#[test]
fn a_group_that_does_not_exist_is_dead_and_later_an_error() {
    let mut world = World::new();
    for version in 0..=5 {
        let group = describe(&mut world, "nothing", version);
        assert_eq!((group.error_code, &group.group_state[..]), (0, "Dead"));
        assert_eq!(group.error_message, None);
    }
    let group = describe(&mut world, "nothing", 6);
    assert_eq!(error(group.error_code), Some(ResponseError::GroupIdNotFound));
    assert!(group.error_message.is_some());
    let group = describe(&mut world, "elsewhere", 5);
    assert_eq!(error(group.error_code), Some(ResponseError::NotCoordinator));
}

#[test]
fn a_group_that_is_asked_for_many_times_is_described_once() {
    let mut world = World::new();
    world.stable(1);
    let request = DescribeGroupsRequest::default().with_groups(vec![text(GROUP).into(); 1000]);
    match world.ask(&GroupRequest::Describe(request, 5)) {
        GroupResponse::Describe(response) => assert_eq!(response.groups.len(), 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut world = World::new();
    world.stable(1);
    let other = Join::new().request().with_group_id(text("other").into());
    world.send(&GroupRequest::Join(other, 9));
    let group = |id: &str, state: &str| (id.to_owned(), state.to_owned());
    assert_eq!(list(&mut world, &[], &[]), [group(GROUP, "Stable"), group("other", "Empty")]);
    assert_eq!(list(&mut world, &["stable"], &[]), [group(GROUP, "Stable")]);
    assert_eq!(list(&mut world, &["Empty"], &["Classic"]), [group("other", "Empty")]);
    assert_eq!(list(&mut world, &["Dead"], &[]), []);
    assert_eq!(list(&mut world, &[], &["consumer"]), []);
    world.elsewhere = GROUP;
    assert_eq!(list(&mut world, &[], &[]), [group("other", "Empty")]);
    for version in 0..=5 {
        world.ask(&GroupRequest::List(ListGroupsRequest::default(), version));
    }
}

#[test]
fn only_groups_without_members_are_deleted() {
    let mut world = World::new();
    let (ids, _) = world.stable(1);
    assert_eq!(
        delete(&mut world, &[GROUP, "nothing", "elsewhere"]),
        [
            Some(ResponseError::NonEmptyGroup),
            Some(ResponseError::GroupIdNotFound),
            Some(ResponseError::NotCoordinator),
        ]
    );
    world.leave(&[(&ids[0], None)]);
    assert_eq!(delete(&mut world, &[GROUP, GROUP]), [None, Some(ResponseError::GroupIdNotFound)]);
    assert_eq!(describe(&mut world, GROUP, 5).group_state, *"Dead");
    assert_eq!(world.heartbeat(&ids[0], 1), Some(ResponseError::UnknownMemberId));
}

#[test]
fn a_group_of_which_nothing_is_left_is_forgotten() {
    let mut world = World::new();
    let (ids, _) = world.stable(1);
    world.leave(&[(&ids[0], None)]);
    assert_eq!(list(&mut world, &[], &[]).len(), 1);
    world.pass(world.it.settings().offsets_retention_check_interval);
    assert_eq!(list(&mut world, &[], &[]), []);
    assert_eq!(world.it.next_deadline(), None);
}
