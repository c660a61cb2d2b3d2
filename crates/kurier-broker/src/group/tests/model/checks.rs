//! What must hold at any time, and in the end.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, TopicName};

use super::client::{Client, Regime, read_assignment};
use super::{Action, DYNAMIC, Given, PARTITIONS, Scene};
use crate::group::member::Waiting;
use crate::group::state::{Group, Phase};
use crate::group::tests::world::{GROUP, REBALANCE, SESSION, error, text};
use crate::group::{GroupRequest, GroupResponse};

const TOPIC: &str = "orders";

impl Scene {
    /// Commits as a member of the generation that is so many before its own.
    pub(super) fn commit(&mut self, at: usize, generations_ago: i32) {
        let client = &self.clients[at];
        let Some(generation) = client.generation.filter(|_| !client.stopped) else { return };
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(self.next_offset);
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(text(TOPIC)))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(text(GROUP).into())
            .with_member_id(client.id.clone())
            .with_generation_id_or_member_epoch(generation - generations_ago)
            .with_topics(vec![topic]);
        let reply = self.world.ask(&GroupRequest::OffsetCommit(request, 8));
        let GroupResponse::OffsetCommit(reply) = reply else { panic!("{reply:?}") };
        let outcome = error(reply.topics[0].partitions[0].error_code);
        let client = &self.clients[at];
        if generations_ago == 0 {
            client.is_not_wronged(at, outcome);
        }
        if outcome.is_none() {
            let group = &self.world.it.groups[GROUP].group;
            assert_eq!(generation - generations_ago, group.generation, "an old one commits");
            assert!(group.position(&client.id).is_some(), "no member commits");
            self.committed = Some(self.next_offset);
            self.next_offset += 1;
        } else if generations_ago > 0 && !client.late {
            let refused = [ResponseError::IllegalGeneration, ResponseError::RebalanceInProgress];
            assert!(outcome.is_some_and(|it| refused.contains(&it)), "{outcome:?}");
        }
    }

    pub(super) fn check(&mut self) {
        self.check_books();
        self.check_owners();
        let Some(entry) = self.world.it.groups.get(GROUP) else {
            assert!(self.world.open.is_empty());
            self.generation = 0;
            self.given = None;
            return;
        };
        let group = &entry.group;
        assert!(self.generation <= group.generation, "generations only grow");
        if self.generation < group.generation {
            self.given = None;
        }
        self.generation = group.generation;
        self.check_waiting(group);
        if let Some(leader) = &group.leader {
            assert!(group.position(leader).is_some(), "the leader is a member");
        } else {
            assert!(group.members.is_empty());
        }
        if let (Phase::Completing | Phase::Stable, Some(protocol)) = (&group.phase, &group.protocol)
        {
            assert!(group.members.iter().all(|member| member.offers(protocol)), "all can do it");
        }
        if matches!(group.phase, Phase::Stable) {
            let given = self.check_stable(group);
            if let Some(before) = self.given.replace(given) {
                assert_eq!(self.given, Some(before), "a generation does not think again");
            }
        }
    }

    /// The sums and orders that the coordinator keeps beside its groups.
    fn check_books(&self) {
        let it = &self.world.it;
        let weights: usize = it.groups.values().map(|entry| entry.group.weight()).sum();
        assert_eq!(it.bytes, weights);
        assert_eq!(
            it.deadlines.first().map(|(at, _)| *at),
            it.groups.values().filter_map(|entry| entry.group.next_deadline()).min()
        );
    }

    /// No partition has two owners that live, of whatever generation each thinks that it is.
    fn check_owners(&self) {
        let mut owned = BTreeSet::new();
        for client in self.clients.iter().filter(|client| !client.late) {
            for partition in &client.owned {
                assert!(owned.insert(partition), "partition {partition} has two owners");
            }
        }
    }

    fn check_waiting(&self, group: &Group) {
        let waiting: Vec<&Waiting> =
            group.members.iter().filter_map(|member| member.waiting.as_ref()).collect();
        assert_eq!(waiting.len(), self.world.open.len(), "who is not answered waits");
        assert!(waiting.iter().all(|it| self.world.open.contains_key(&it.ticket())));
        assert_eq!(waiting.len(), self.world.it.parked.len());
        let joins = waiting.iter().filter(|it| matches!(it, Waiting::Join { .. })).count();
        let syncs = waiting.len() - joins;
        match group.phase {
            Phase::Empty => assert!(group.members.is_empty()),
            Phase::Preparing(_) => assert_eq!(syncs, 0),
            Phase::Completing => assert_eq!(joins, 0),
            Phase::Stable => assert_eq!(joins + syncs, 0),
        }
    }

    /// Tells who has which partition.
    fn check_stable(&self, group: &Group) -> Given {
        // A static member that is away may have missed generations; others would be out.
        let members = self.clients[..DYNAMIC]
            .iter()
            .filter(|client| client.synced && group.position(&client.id).is_some());
        for client in members.filter(|client| client.generation.is_some()) {
            assert_eq!(client.generation, Some(group.generation), "one generation for all");
        }
        let mut given = Given::new();
        for member in &group.members {
            let assignment = read_assignment(&member.assignment);
            assert_eq!(assignment.generation, group.generation, "nobody's is of another one");
            for partition in assignment.partitions {
                let owner = member.instance.as_ref().unwrap_or(&member.id).clone();
                let twice = given.insert(partition, owner);
                assert_eq!(twice, None, "partition {partition} is given twice");
            }
        }
        if self.regime != Regime::Cooperative {
            assert!(given.keys().copied().eq(0..PARTITIONS), "all is given");
        }
        given
    }

    /// Lets the clients that are left work in peace until they agree.
    pub(super) fn settle(&mut self) {
        let mut seconds = 6 * (SESSION + REBALANCE).as_secs();
        while let Err(open) = self.agreed() {
            assert!(0 < seconds, "they do not agree: {open}");
            seconds -= 1;
            self.act(Action::StepAll(1));
            self.act(Action::Pass(1000));
        }
        assert!(self.world.open.is_empty(), "everybody was answered");
        self.check_committed();
    }

    /// Whether all that live are the group, in one generation, and somebody works on each partition.
    fn agreed(&self) -> Result<(), String> {
        let live: Vec<&Client> = self.clients.iter().filter(|client| !client.stopped).collect();
        let group = self.world.it.groups.get(GROUP).map(|it| &it.group);
        let generation = group.map(|group| group.generation);
        let settled = |client: &&&Client| client.synced && client.generation == generation;
        if let Some(client) = live.iter().find(|client| !settled(client)) {
            return Err(format!("{client:?} is not of {generation:?}"));
        }
        let members = group.map_or(0, |group| group.members.len());
        let owned: BTreeSet<u32> = live.iter().flat_map(|client| client.owned.clone()).collect();
        match (members, owned.len()) {
            (members, _) if members != live.len() => Err(format!("{members} members")),
            (1.., owned) if owned != PARTITIONS as usize => Err(format!("{owned} partitions")),
            _ => Ok(()),
        }
    }

    /// What was taken last is what is kept.
    fn check_committed(&self) {
        let entry = self.world.it.groups.get(GROUP);
        let kept = entry.and_then(|entry| entry.group.offsets.get(TOPIC, 0)).map(|it| it.offset);
        assert_eq!(kept, self.committed);
    }
}
