//! What a client of the model knows and does: joins, and assigns when it leads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::JoinGroupResponse;
use kafka_protocol::protocol::StrBytes;

use super::PARTITIONS;
use crate::group::Ticket;
use crate::group::tests::world::{Join, SESSION};

/// How members take partitions from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Regime {
    /// Each lets go of everything before it joins, and the leader gives everything anew.
    Eager,
    /// Each keeps what it has; the leader takes away in one generation and gives in the next
    /// (KIP-429).
    Cooperative,
    /// On the way from one to the other: some offer both protocols, some the old one alone, and all
    /// do as in the old one.
    Upgrading,
}

impl Regime {
    pub(super) fn of(seed: u64) -> Self {
        [Self::Eager, Self::Cooperative, Self::Upgrading][(seed % 3) as usize]
    }
}

const RANGE: &str = "range";
const STICKY: &str = "cooperative-sticky";

#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) id: StrBytes,
    /// Its generation, once it was told one.
    pub(super) generation: Option<i32>,
    pub(super) protocol: Option<StrBytes>,
    /// Whom it assigns to and what they own, when it leads.
    roll: Option<Vec<(StrBytes, BTreeSet<u32>)>>,
    pub(super) synced: bool,
    /// What it works on.
    pub(super) owned: BTreeSet<u32>,
    pub(super) waits: Option<Ticket>,
    /// When the coordinator heard of it last, or it of the coordinator.
    pub(super) heard: Option<Instant>,
    /// Whether its session ran out: it may be told anything then.
    pub(super) late: bool,
    pub(super) stopped: bool,
    /// How many processes there were before this one.
    lives: u32,
}

pub(super) struct Assignment {
    pub(super) generation: i32,
    pub(super) partitions: BTreeSet<u32>,
}

impl Client {
    /// A new process takes the place of the one before.
    pub(super) fn die(&mut self) {
        *self = Self { stopped: self.stopped, lives: self.lives + 1, ..Self::default() };
    }

    /// Whether the coordinator has not heard of it for a session.
    pub(super) fn has_let_run_out(&self, now: Instant) -> bool {
        self.heard.is_some_and(|heard| SESSION <= now - heard)
    }

    /// The request with which client number `at` joins.
    pub(super) fn join(&mut self, at: usize, regime: Regime) -> Join {
        let join = match at {
            0 | 1 => Join::new(),
            2 | 3 => Join::new().version(3),
            4 => Join::new().version(5).instance("four"),
            _ => Join::new().instance("five"),
        };
        if regime != Regime::Cooperative {
            self.owned.clear();
        }
        let owned = write(&self.owned);
        let offers: &[&str] = match regime {
            Regime::Eager => &[RANGE],
            Regime::Cooperative => &[STICKY],
            Regime::Upgrading if self.lives == 0 => &[RANGE],
            Regime::Upgrading => &[STICKY, RANGE],
        };
        let offers: Vec<(&str, &str)> = offers.iter().map(|name| (*name, owned.as_str())).collect();
        join.id(&self.id).offers(&offers)
    }

    pub(super) fn joined(&mut self, response: JoinGroupResponse) {
        self.generation = Some(response.generation_id);
        self.roll = (response.leader == response.member_id).then(|| {
            let members = response.members.iter();
            members.map(|it| (it.member_id.clone(), read(&it.metadata))).collect()
        });
        self.protocol = response.protocol_name;
        self.id = response.member_id;
    }

    /// What the leader gives to whom; nothing from others.
    pub(super) fn assign(&self, regime: Regime) -> Vec<(StrBytes, String)> {
        let (Some(roll), Some(generation)) = (&self.roll, self.generation) else {
            return Vec::new();
        };
        let given = match regime {
            Regime::Cooperative => without_taking(roll),
            Regime::Eager | Regime::Upgrading => in_turn(roll),
        };
        let line = |partitions: &BTreeSet<u32>| format!("{generation}:{}", write(partitions));
        given.iter().map(|(id, partitions)| (id.clone(), line(partitions))).collect()
    }

    /// Who does its part in time is never told that it is none of the group's.
    pub(super) fn is_not_wronged(&self, at: usize, outcome: Option<ResponseError>) {
        match outcome {
            None | Some(ResponseError::NotCoordinator | ResponseError::RebalanceInProgress) => {}
            Some(
                put_out @ (ResponseError::UnknownMemberId
                | ResponseError::IllegalGeneration
                | ResponseError::FencedInstanceId),
            ) => assert!(self.late, "client {at} is told {put_out:?}: {self:?}"),
            Some(other) => panic!("client {at} is told {other:?}: {self:?}"),
        }
    }
}

type Given = BTreeMap<StrBytes, BTreeSet<u32>>;

fn in_turn(roll: &[(StrBytes, BTreeSet<u32>)]) -> Given {
    let mut given: Given = roll.iter().map(|(id, _)| (id.clone(), BTreeSet::new())).collect();
    for (partition, (id, _)) in (0..PARTITIONS).zip(roll.iter().cycle()) {
        given.entry(id.clone()).or_default().insert(partition);
    }
    given
}

/// Each keeps its fair share of what it alone owns; what nobody owns is given to those who have least;
/// the rest waits for its owners to let go.
fn without_taking(roll: &[(StrBytes, BTreeSet<u32>)]) -> Given {
    let share = (PARTITIONS as usize).div_ceil(roll.len().max(1));
    let owners =
        |partition: &u32| roll.iter().filter(|(_, owned)| owned.contains(partition)).count();
    let keeps = |owned: &BTreeSet<u32>| {
        owned.iter().copied().filter(|partition| owners(partition) == 1).take(share).collect()
    };
    let mut given: Given = roll.iter().map(|(id, owned)| (id.clone(), keeps(owned))).collect();
    for partition in (0..PARTITIONS).filter(|partition| owners(partition) == 0) {
        if let Some(least) = given.values_mut().min_by_key(|partitions| partitions.len()) {
            least.insert(partition);
        }
    }
    given
}

/// What a leader of the model wrote; nothing of no generation when it wrote nothing.
pub(super) fn read_assignment(bytes: &[u8]) -> Assignment {
    let text = std::str::from_utf8(bytes).expect("text");
    let (generation, partitions) = text.split_once(':').unwrap_or(("-1", ""));
    let generation = generation.parse().expect("a number");
    Assignment { generation, partitions: read(partitions.as_bytes()) }
}

fn write(partitions: &BTreeSet<u32>) -> String {
    partitions.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn read(bytes: &[u8]) -> BTreeSet<u32> {
    let text = std::str::from_utf8(bytes).expect("text");
    text.split(',').filter(|it| !it.is_empty()).map(|it| it.parse().expect("a number")).collect()
}
