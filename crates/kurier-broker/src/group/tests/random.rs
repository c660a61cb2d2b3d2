//! Clients that come, die, leave and commit in any order, on top of a coordinator that moves: whatever
//! happens, every request is answered once, and in the end all live members share one generation.

use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::protocol::StrBytes;
use proptest::prelude::*;

use super::world::{GROUP, Join, REBALANCE, SESSION, World, error, sync_request, text};
use crate::group::member::Waiting;
use crate::group::state::Phase;
use crate::group::{GroupRequest, GroupResponse, Ticket};

/// Dynamic ones that fetch their id first, old ones that do not, and static ones.
const CLIENTS: usize = 6;
/// The first so many are dynamic.
const DYNAMIC: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Action {
    /// Does what a client does next: joins, syncs, sends a heartbeat.
    Step(usize),
    /// Joins again, as if the partitions of a topic had changed.
    Rejoin(usize),
    Commit(usize),
    Leave(usize),
    /// The process is gone; the next step is that of a new one. The node may not notice.
    Die(usize, bool),
    /// The process is gone and none takes its place.
    Stop(usize),
    CoordinatorMoves,
    Pass(u64),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let client = 0..CLIENTS;
    let action = prop_oneof![
        12 => client.clone().prop_map(Action::Step),
        2 => client.clone().prop_map(Action::Rejoin),
        2 => client.clone().prop_map(Action::Commit),
        1 => client.clone().prop_map(Action::Leave),
        2 => (client.clone(), any::<bool>()).prop_map(|(at, seen)| Action::Die(at, seen)),
        1 => client.prop_map(Action::Stop),
        1 => Just(Action::CoordinatorMoves),
        3 => (1..8000_u64).prop_map(Action::Pass),
    ];
    prop::collection::vec(action, 0..150)
}

#[derive(Debug, Default)]
struct Client {
    id: StrBytes,
    /// Its generation, once it was told one.
    generation: Option<i32>,
    /// Whom it assigns to, when it leads.
    roll: Option<Vec<StrBytes>>,
    synced: bool,
    waits: Option<Ticket>,
    stopped: bool,
}

struct Scene {
    world: World,
    clients: Vec<Client>,
}

impl Scene {
    fn new() -> Self {
        let clients = (0..CLIENTS).map(|_| Client::default()).collect();
        Self { world: World::new(), clients }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Step(at) => self.step(at),
            Action::Rejoin(at) => {
                if self.clients[at].synced && !self.clients[at].stopped {
                    self.clients[at].generation = None;
                    self.step(at);
                }
            }
            Action::Commit(at) => self.commit(at),
            Action::Leave(at) => {
                let id = self.clients[at].id.clone();
                self.world.leave(&[(&id, None)]);
                self.clients[at] =
                    Client { stopped: self.clients[at].stopped, ..Client::default() };
            }
            Action::Die(at, seen) => {
                if let (Some(ticket), true) = (self.clients[at].waits, seen) {
                    self.world.abandon(ticket);
                }
                self.clients[at] =
                    Client { stopped: self.clients[at].stopped, ..Client::default() };
            }
            Action::Stop(at) => self.clients[at].stopped = true,
            Action::CoordinatorMoves => self.world.coordinator_moved(),
            Action::Pass(millis) => self.world.pass(Duration::from_millis(millis)),
        }
        self.check();
    }

    fn join_of(at: usize) -> Join {
        match at {
            0 | 1 => Join::new(),
            2 | 3 => Join::new().version(3),
            4 => Join::new().version(5).instance("four"),
            _ => Join::new().instance("five"),
        }
    }

    fn step(&mut self, at: usize) {
        if self.clients[at].stopped {
            return;
        }
        if let Some(ticket) = self.clients[at].waits {
            let Some(reply) = self.world.replies.remove(&ticket) else { return };
            self.clients[at].waits = None;
            match reply {
                GroupResponse::Join(response) => self.joined(at, response),
                GroupResponse::Sync(response) => {
                    if self.heed(at, error(response.error_code)) {
                        let client = &mut self.clients[at];
                        let generation = client.generation.expect("synced in one");
                        let expected = format!("{generation}").into_bytes();
                        let found = &response.assignment[..];
                        assert!(found == expected, "{found:?} in generation {generation}");
                        client.synced = true;
                    }
                }
                other => panic!("{other:?}"),
            }
            return;
        }
        let client = &self.clients[at];
        let Some(generation) = client.generation else {
            let join = Self::join_of(at).id(&client.id);
            self.clients[at].synced = false;
            self.clients[at].waits = Some(self.world.join(&join));
            return;
        };
        if client.synced {
            let id = client.id.clone();
            let outcome = self.world.heartbeat(&id, generation);
            self.heed(at, outcome);
            return;
        }
        let assignment = format!("{generation}");
        let given: Vec<(&str, &str)> = client
            .roll
            .iter()
            .flatten()
            .map(|member| (member.as_str(), assignment.as_str()))
            .collect();
        let request = sync_request(&client.id, generation, &given);
        self.clients[at].waits = Some(self.world.send(&GroupRequest::Sync(request, 5)));
    }

    fn joined(&mut self, at: usize, response: kafka_protocol::messages::JoinGroupResponse) {
        if error(response.error_code) == Some(ResponseError::MemberIdRequired) {
            self.clients[at].id = response.member_id;
            return;
        }
        if !self.heed(at, error(response.error_code)) {
            return;
        }
        let client = &mut self.clients[at];
        client.generation = Some(response.generation_id);
        client.roll = (response.leader == response.member_id)
            .then(|| response.members.iter().map(|it| it.member_id.clone()).collect());
        client.id = response.member_id;
    }

    /// Does what a client does after such an outcome. Tells whether it was a success.
    fn heed(&mut self, at: usize, outcome: Option<ResponseError>) -> bool {
        let client = &mut self.clients[at];
        match outcome {
            None => return true,
            Some(ResponseError::NotCoordinator) => {}
            Some(ResponseError::RebalanceInProgress) => client.generation = None,
            Some(
                ResponseError::UnknownMemberId
                | ResponseError::IllegalGeneration
                | ResponseError::FencedInstanceId,
            ) => *client = Client { stopped: client.stopped, ..Client::default() },
            Some(other) => panic!("{other:?}"),
        }
        client.synced = false;
        false
    }

    fn commit(&mut self, at: usize) {
        let Some(generation) = self.clients[at].generation else { return };
        let request = OffsetCommitRequest::default()
            .with_group_id(text(GROUP).into())
            .with_member_id(self.clients[at].id.clone())
            .with_generation_id_or_member_epoch(generation);
        self.world.ask(&GroupRequest::OffsetCommit(request, 8));
    }

    /// What holds at any time.
    fn check(&self) {
        let it = &self.world.it;
        let weights: usize = it.groups.values().map(|entry| entry.group.weight()).sum();
        assert_eq!(it.bytes, weights);
        assert_eq!(
            it.deadlines.first().map(|(at, _)| *at),
            it.groups.values().filter_map(|entry| entry.group.next_deadline()).min()
        );
        let Some(entry) = it.groups.get(GROUP) else {
            assert!(self.world.open.is_empty());
            return;
        };
        let group = &entry.group;
        let waiting: Vec<&Waiting> =
            group.members.iter().filter_map(|member| member.waiting.as_ref()).collect();
        assert_eq!(waiting.len(), self.world.open.len(), "who is not answered waits");
        assert!(waiting.iter().all(|it| self.world.open.contains_key(&it.ticket())));
        assert_eq!(waiting.len(), it.parked.len());
        let joins = waiting.iter().filter(|it| matches!(it, Waiting::Join { .. })).count();
        let syncs = waiting.len() - joins;
        match group.phase {
            Phase::Empty => assert!(group.members.is_empty()),
            Phase::Preparing(_) => assert_eq!(syncs, 0),
            Phase::Completing => assert_eq!(joins, 0),
            Phase::Stable => assert_eq!(joins + syncs, 0),
        }
        if matches!(group.phase, Phase::Stable) {
            // A static member that is away may have missed generations; others would be out.
            let members = self.clients[..DYNAMIC]
                .iter()
                .filter(|client| client.synced && group.position(&client.id).is_some());
            for client in members {
                assert_eq!(client.generation, Some(group.generation), "one generation for all");
            }
        }
        if let Some(leader) = &group.leader {
            assert!(group.position(leader).is_some(), "the leader is a member");
        } else {
            assert!(group.members.is_empty());
        }
    }

    /// Lets the clients that are left work in peace until they agree.
    fn settle(&mut self) {
        let enough = 6 * (SESSION + REBALANCE);
        for _ in 0..enough.as_secs() {
            for at in 0..CLIENTS {
                self.act(Action::Step(at));
            }
            self.act(Action::Pass(1000));
        }
        let live: Vec<&Client> = self.clients.iter().filter(|client| !client.stopped).collect();
        let generation = live.first().and_then(|client| client.generation);
        for client in &live {
            assert!(client.synced, "{client:?}");
            assert_eq!(client.generation, generation);
        }
        let members = self.world.it.groups.get(GROUP).map_or(0, |it| it.group.members.len());
        assert_eq!(members, live.len(), "those that stopped are gone");
        assert!(self.world.open.is_empty(), "everybody was answered");
    }
}

proptest! {
    #[test]
    fn all_are_answered_once_and_agree_in_the_end(actions in actions()) {
        let mut scene = Scene::new();
        for action in actions {
            scene.act(action);
        }
        scene.settle();
    }
}
