//! The replicas of a partition as cursors: who is up, who follows, who is in sync.

use std::time::{Duration, Instant};

use super::NodeId;

/// The replicas of one partition, preferred leader first.
#[derive(Debug)]
pub struct Replicas {
    all: Vec<Replica>,
}

#[derive(Debug)]
struct Replica {
    node: NodeId,
    up: bool,
    frozen: bool,
    in_sync: bool,
    /// The replica has the log below this offset.
    end: i64,
    behind_since: Option<Instant>,
}

/// One replica, as descriptions show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaInfo {
    /// The node that holds it.
    pub node: NodeId,
    /// Whether the node is up.
    pub up: bool,
    /// Whether it stopped following.
    pub frozen: bool,
    /// Whether it counts for `acks=all` and may lead.
    pub in_sync: bool,
    /// The offset after the last record it has.
    pub end: i64,
}

impl Replicas {
    /// Replicas on `nodes`, all up and in sync.
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let all = nodes.into_iter().map(|node| Replica {
            node,
            up: true,
            frozen: false,
            in_sync: true,
            end: 0,
            behind_since: None,
        });
        Self { all: all.collect() }
    }

    /// Every replica, preferred leader first.
    pub fn infos(&self) -> impl Iterator<Item = ReplicaInfo> + '_ {
        self.all.iter().map(|replica| ReplicaInfo {
            node: replica.node,
            up: replica.up,
            frozen: replica.frozen,
            in_sync: replica.in_sync,
            end: replica.end,
        })
    }

    /// How many are in sync.
    pub fn in_sync(&self) -> usize {
        self.all.iter().filter(|replica| replica.in_sync).count()
    }

    /// The offset that every in-sync replica has reached.
    pub fn in_sync_end(&self) -> Option<i64> {
        self.all.iter().filter(|replica| replica.in_sync).map(|replica| replica.end).min()
    }

    /// The replica that should lead: the first that is up and in sync, and with `unclean` the first that
    /// is up when none is.
    pub fn candidate(&self, unclean: bool) -> Option<NodeId> {
        let up = || self.all.iter().filter(|replica| replica.up);
        let clean = up().find(|replica| replica.in_sync);
        clean.or_else(|| up().next().filter(|_| unclean)).map(|replica| replica.node)
    }

    /// The preferred leader, when it is up, in sync and has everything below `end`.
    pub fn preferred_ready(&self, end: i64) -> Option<NodeId> {
        let first = self.all.first()?;
        (first.up && first.in_sync && !first.frozen && first.end == end).then_some(first.node)
    }

    /// The offset up to which `node` has the log.
    pub fn end_of(&self, node: NodeId) -> i64 {
        self.all.iter().find(|replica| replica.node == node).map_or(0, |replica| replica.end)
    }

    /// `leader` has appended up to `end`, and whoever follows has it at once.
    pub fn follow(&mut self, now: Instant, leader: NodeId, end: i64) {
        for replica in &mut self.all {
            if replica.node == leader || (replica.up && !replica.frozen) {
                replica.end = end;
                replica.behind_since = None;
                replica.in_sync = true;
            } else if replica.end < end && replica.behind_since.is_none() {
                replica.behind_since = Some(now);
            }
        }
    }

    /// Those that are behind for `lag_max` leave the in-sync set; true when one did.
    pub fn drop_laggards(&mut self, now: Instant, leader: NodeId, lag_max: Duration) -> bool {
        let mut dropped = false;
        for replica in self.all.iter_mut().filter(|replica| replica.node != leader) {
            let late = replica.behind_since.is_some_and(|since| now >= since + lag_max);
            dropped |= replica.in_sync && late;
            replica.in_sync &= !late;
        }
        dropped
    }

    /// When the next replica would leave the in-sync set.
    pub fn next_laggard(&self, lag_max: Duration) -> Option<Instant> {
        let waiting = self.all.iter().filter(|replica| replica.in_sync);
        waiting.filter_map(|replica| replica.behind_since).min().map(|since| since + lag_max)
    }

    /// `node` went down: it leaves the in-sync set, unless it is the last one there, who alone knows all.
    pub fn down(&mut self, node: NodeId) {
        let alone = self.in_sync() == 1;
        if let Some(replica) = self.get_mut(node) {
            replica.up = false;
            replica.in_sync &= alone;
        }
    }

    /// `node` came up.
    pub fn up(&mut self, node: NodeId) {
        if let Some(replica) = self.get_mut(node) {
            replica.up = true;
        }
    }

    /// `node` stops following, or follows again.
    pub fn set_frozen(&mut self, node: NodeId, frozen: bool) {
        if let Some(replica) = self.get_mut(node) {
            replica.frozen = frozen;
        }
    }

    /// `leader` was elected and the log now ends at its cursor: nobody has more than that, and after an
    /// election outside the in-sync set nobody else is in it.
    pub fn elected(&mut self, leader: NodeId) {
        let end = self.end_of(leader);
        let clean = self.all.iter().any(|replica| replica.node == leader && replica.in_sync);
        for replica in &mut self.all {
            replica.end = replica.end.min(end);
            replica.behind_since = None;
            replica.in_sync = if clean { replica.in_sync } else { replica.node == leader };
        }
    }

    fn get_mut(&mut self, node: NodeId) -> Option<&mut Replica> {
        self.all.iter_mut().find(|replica| replica.node == node)
    }
}
