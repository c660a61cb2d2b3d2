//! Clients that come, die, leave and commit in any order, on top of a coordinator that moves, held
//! against what a group promises whatever happens:
//!
//! - all members of a stable group are in one generation, which gives each partition to one of them and
//!   does not think again, and no partition has two owners that live;
//! - what an assignor of everything (eager) gave is all there; with one that takes away first
//!   (cooperative) it is in the end;
//! - who does its part in time is never told that it is unknown, fenced or of another generation;
//! - a commit is taken from a member of the present generation, and from no other;
//! - every request is answered once, and in the end all live members agree.
//!
//! Each seed is a story of its own; a failure names its seed and the shortest story that fails.

mod checks;
mod client;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::world::{World, error, sync_request};
use crate::group::{GroupRequest, GroupResponse, Ticket};
use client::{Client, Regime};

/// Dynamic ones that fetch their id first, old ones that do not, and static ones.
const CLIENTS: usize = 6;
/// The first so many are dynamic.
const DYNAMIC: usize = 4;
/// Partitions that they share; no multiple of what can be clients.
const PARTITIONS: u32 = 7;
/// Stories told at each test.
const SEEDS: u64 = 2_000;

#[derive(Debug, Clone, Copy)]
enum Action {
    /// Does what a client does next: joins, syncs, sends a heartbeat.
    Step(usize),
    /// Every client does what it does next, so often that they may agree.
    StepAll(usize),
    /// Joins again, as if the partitions of a topic had changed.
    Rejoin(usize),
    Commit(usize),
    /// Commits as a member of the generation before, as a request does that was long on its way.
    CommitLate(usize),
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
        3 => (1..8_usize).prop_map(Action::StepAll),
        2 => client.clone().prop_map(Action::Rejoin),
        2 => client.clone().prop_map(Action::Commit),
        1 => client.clone().prop_map(Action::CommitLate),
        1 => client.clone().prop_map(Action::Leave),
        2 => (client.clone(), any::<bool>()).prop_map(|(at, seen)| Action::Die(at, seen)),
        1 => client.prop_map(Action::Stop),
        1 => Just(Action::CoordinatorMoves),
        3 => (1..8000_u64).prop_map(Action::Pass),
    ];
    prop::collection::vec(action, 0..120)
}

struct Scene {
    world: World,
    regime: Regime,
    clients: Vec<Client>,
    /// The offset that was committed last, in the members' belief.
    committed: Option<i64>,
    next_offset: i64,
    /// The highest generation that was seen, and who had which partition in it, once it was stable.
    generation: i32,
    given: Option<Given>,
}

/// Who has a partition: the name of a static member, the id of another.
type Given = BTreeMap<u32, StrBytes>;

impl Scene {
    fn new(regime: Regime) -> Self {
        let clients = (0..CLIENTS).map(|_| Client::default()).collect();
        let world = World::new();
        Self { world, regime, clients, committed: None, next_offset: 1, generation: 0, given: None }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Step(at) => self.step(at),
            Action::StepAll(times) => {
                for at in (0..CLIENTS).cycle().take(times * CLIENTS) {
                    self.step(at);
                    self.check();
                }
            }
            Action::Rejoin(at) => {
                if self.clients[at].synced && !self.clients[at].stopped {
                    self.clients[at].generation = None;
                    self.step(at);
                }
            }
            Action::Commit(at) => self.commit(at, 0),
            Action::CommitLate(at) => self.commit(at, 1),
            Action::Leave(at) => {
                let id = self.clients[at].id.clone();
                self.world.leave(&[(&id, None)]);
                self.clients[at].die();
            }
            Action::Die(at, seen) => {
                if let (Some(ticket), true) = (self.clients[at].waits, seen) {
                    self.world.abandon(ticket);
                }
                self.clients[at].die();
            }
            Action::Stop(at) => {
                self.clients[at].stopped = true;
                self.clients[at].owned.clear();
            }
            Action::CoordinatorMoves => self.world.coordinator_moved(),
            Action::Pass(millis) => self.world.pass(Duration::from_millis(millis)),
        }
        self.notice_the_late();
        self.check();
    }

    fn step(&mut self, at: usize) {
        if self.clients[at].stopped {
            return;
        }
        if let Some(ticket) = self.clients[at].waits {
            self.read_reply(at, ticket);
            return;
        }
        let Some(generation) = self.clients[at].generation else {
            let join = self.clients[at].join(at, self.regime);
            self.wait_for(at, |world| world.join(&join));
            return;
        };
        let client = &self.clients[at];
        let id = client.id.clone();
        if client.synced {
            let outcome = self.world.heartbeat(&id, generation);
            if outcome.is_none() {
                self.clients[at].heard = Some(self.world.now);
            }
            self.heed(at, outcome);
            return;
        }
        let given = client.assign(self.regime);
        let given: Vec<(&str, &str)> =
            given.iter().map(|(id, partitions)| (id.as_str(), partitions.as_str())).collect();
        let mut request = sync_request(&id, generation, &given);
        request.protocol_name = client.protocol.clone();
        self.wait_for(at, |world| world.send(&GroupRequest::Sync(request, 5)));
    }

    fn wait_for(&mut self, at: usize, send: impl FnOnce(&mut World) -> Ticket) {
        let ticket = send(&mut self.world);
        let client = &mut self.clients[at];
        client.synced = false;
        client.waits = Some(ticket);
        // As in Kafka, a sync that comes amid a rebalance does not prolong the session.
        let in_vain = matches!(
            self.world.replies.get(&ticket),
            Some(GroupResponse::Sync(reply)) if reply.error_code != 0
        );
        if in_vain {
            self.world.answered_at.remove(&ticket);
        } else {
            client.heard = Some(self.world.now);
        }
    }

    fn read_reply(&mut self, at: usize, ticket: Ticket) {
        let Some(reply) = self.world.replies.remove(&ticket) else { return };
        let client = &mut self.clients[at];
        client.waits = None;
        client.heard = self.world.answered_at.remove(&ticket).or(client.heard);
        match reply {
            GroupResponse::Join(response) => self.joined(at, response),
            GroupResponse::Sync(response) => self.synced(at, &response),
            other => panic!("{other:?}"),
        }
    }

    fn joined(&mut self, at: usize, response: JoinGroupResponse) {
        let outcome = error(response.error_code);
        if outcome == Some(ResponseError::MemberIdRequired) {
            self.clients[at].id = response.member_id;
        } else if self.heed(at, outcome) {
            self.clients[at].joined(response);
        }
    }

    fn synced(&mut self, at: usize, response: &SyncGroupResponse) {
        if !self.heed(at, error(response.error_code)) {
            return;
        }
        let given = client::read_assignment(&response.assignment);
        let client = &mut self.clients[at];
        assert_eq!(Some(given.generation), client.generation, "an assignment of another one");
        client.synced = true;
        let lost = client.owned.difference(&given.partitions).next().is_some();
        client.owned = given.partitions;
        if lost {
            // What it let go can be given to others now.
            client.generation = None;
        }
    }

    /// Does what a client does after such an outcome. Tells whether it was a success.
    fn heed(&mut self, at: usize, outcome: Option<ResponseError>) -> bool {
        let now = self.world.now;
        let client = &mut self.clients[at];
        client.is_not_wronged(at, outcome);
        match outcome {
            None => {
                client.late = client.has_let_run_out(now);
                return true;
            }
            Some(ResponseError::NotCoordinator) => {}
            Some(ResponseError::RebalanceInProgress) => client.generation = None,
            Some(_) => client.die(),
        }
        client.synced = false;
        false
    }

    /// Notes who has let its session run out: the coordinator may put it out now.
    fn notice_the_late(&mut self) {
        let World { now, open, answered_at, .. } = &self.world;
        for client in &mut self.clients {
            match client.waits {
                // While a request waits its member is not asked for heartbeats.
                Some(ticket) if open.contains_key(&ticket) => continue,
                Some(ticket) => client.heard = answered_at.get(&ticket).copied().or(client.heard),
                None => {}
            }
            client.late |= client.has_let_run_out(*now);
        }
    }
}

/// One story.
fn tell(regime: Regime, actions: Vec<Action>) {
    let mut scene = Scene::new(regime);
    for action in actions {
        scene.act(action);
    }
    scene.settle();
}

#[test]
fn a_group_keeps_its_promises_whatever_its_members_do() {
    let mut regimes_told = BTreeSet::new();
    for seed in 0..SEEDS {
        let regime = Regime::of(seed);
        regimes_told.insert(regime);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config {
            cases: 1,
            failure_persistence: None,
            max_shrink_iters: 5_000,
            ..Config::default()
        };
        let told = TestRunner::new_with_rng(config, random).run(&actions(), |actions| {
            tell(regime, actions);
            Ok(())
        });
        if let Err(failure) = told {
            panic!("seed {seed}, {regime:?}: {failure}");
        }
    }
    assert_eq!(regimes_told.len(), 3);
}
