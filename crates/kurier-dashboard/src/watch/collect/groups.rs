//! Groups, members, commits: groups are listed at one pace, and looked at in turn at another, so many at a
//! time that hundreds of them are a sweep that never stops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kurier::{Admin, ClientError, GroupDescription, GroupsFound, TopicPartition};
use tokio::task::JoinSet;

use super::{counted, joined};
use crate::view::Part;
use crate::watch::board::Board;
use crate::watch::changes;
use crate::watch::lag::{Described, GroupLook, GroupSeen, Member, Place};
use crate::watch::looks::{ClusterLook, GroupsLook};
use crate::watch::turns::Turns;

/// The least time between two publications while looks come in.
const PUBLISH: Duration = Duration::from_millis(500);

/// How much longer than it should a look may take.
const GRACE: Duration = Duration::from_secs(1);

pub(super) async fn collect(board: Arc<Board>, admin: Arc<Admin>) {
    Sweep::new(board, admin).run().await;
}

/// The groups as far as they are looked at.
struct Sweep {
    board: Arc<Board>,
    admin: Arc<Admin>,
    groups: BTreeMap<Arc<str>, Arc<GroupLook>>,
    /// Why some groups may be missing, or all.
    listing_error: Option<String>,
    /// When anything was told last.
    told: Option<Timestamp>,
    turns: Turns,
    under_way: JoinSet<Done>,
}

/// What has ended.
enum Done {
    Listed(Result<GroupsFound, ClientError>),
    Looked(Arc<str>, Result<(Result<GroupDescription, String>, Commits), String>),
}

type Commits = BTreeMap<TopicPartition, kurier::Offset>;

impl Sweep {
    fn new(board: Arc<Board>, admin: Arc<Admin>) -> Self {
        let turns = Turns::every(board.config.pace.groups);
        Self {
            board,
            admin,
            groups: BTreeMap::new(),
            listing_error: None,
            told: None,
            turns,
            under_way: JoinSet::new(),
        }
    }

    async fn run(mut self) {
        let pause = self.board.config.pace.groups;
        self.list();
        // None while they are being listed.
        let mut list_at: Option<Instant> = None;
        // None while there is nothing new.
        let mut publish_at: Option<Instant> = None;
        loop {
            let now = Instant::now();
            while let Some(name) = self.turns.next(now) {
                self.look(name);
            }
            let wakes = [list_at, publish_at, self.turns.wakes(now)].into_iter().flatten().min();
            let ended = match wakes {
                Some(at) => tokio::select! {
                    ended = self.under_way.join_next(), if !self.under_way.is_empty() => ended,
                    () = tokio::time::sleep_until(at.into()) => None,
                },
                None => self.under_way.join_next().await,
            };
            let now = Instant::now();
            match ended {
                Some(Ok(Done::Listed(found))) => {
                    self.listed(now, found);
                    list_at = Some(now + pause);
                    publish_at.get_or_insert(now);
                }
                Some(Ok(Done::Looked(name, seen))) => {
                    self.looked(now, &name, seen);
                    publish_at.get_or_insert(now + PUBLISH);
                }
                // With it this collector dies, which is told: it would go on as if it saw everything.
                Some(Err(error)) if error.is_panic() => {
                    std::panic::resume_unwind(error.into_panic())
                }
                Some(Err(_)) => return,
                None => {}
            }
            if list_at.is_some_and(|at| at <= now) {
                list_at = None;
                self.list();
            }
            if publish_at.is_some_and(|at| at <= now) {
                publish_at = None;
                self.publish();
            }
        }
    }

    fn list(&mut self) {
        let admin = Arc::clone(&self.admin);
        self.under_way.spawn(async move { Done::Listed(admin.groups_found().await) });
    }

    fn look(&mut self, name: Arc<str>) {
        let admin = Arc::clone(&self.admin);
        // Longer than it waits by itself: a look that never ended would keep its place for ever.
        let limit = 2 * self.board.config.pace.deadline + GRACE;
        self.under_way.spawn(async move {
            let seen = match tokio::time::timeout(limit, admin.glance_at_group(&name)).await {
                Ok((described, Ok(commits))) => {
                    Ok((described.map_err(|error| error.to_string()), commits))
                }
                Ok((Err(error), Err(_)) | (Ok(_), Err(error))) => Err(error.to_string()),
                Err(_) => Err(format!("the look at it did not end within {limit:?}")),
            };
            Done::Looked(name, seen)
        });
    }

    fn listed(&mut self, now: Instant, found: Result<GroupsFound, ClientError>) {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.listing_error = Some(error.to_string());
                return;
            }
        };
        let before: BTreeSet<Arc<str>> = self.groups.keys().cloned().collect();
        let mut names = BTreeSet::new();
        for group in found.groups {
            let name: Arc<str> =
                before.get(&*group.name).cloned().unwrap_or_else(|| group.name.into());
            let state = group.state.name();
            let look = self.groups.entry(Arc::clone(&name)).or_default();
            if look.state != state {
                *look = Arc::new(GroupLook { state, ..(**look).clone() });
            }
            names.insert(name);
        }
        self.listing_error = found.errors.first().map(ToString::to_string);
        if self.listing_error.is_none() {
            self.groups.retain(|name, _| names.contains(name));
        }
        self.turns.list(now, self.groups.keys());
        let at = Timestamp::now();
        if self.told.is_some() {
            let notes = changes::listing("group", before.iter(), self.groups.keys());
            self.board.note(at, notes);
        }
        self.told = Some(at);
    }

    fn looked(
        &mut self,
        now: Instant,
        name: &Arc<str>,
        seen: Result<(Result<GroupDescription, String>, Commits), String>,
    ) {
        self.turns.ended(now, name, seen.is_ok());
        // It is gone meanwhile.
        let Some(look) = self.groups.get_mut(name) else { return };
        let (offsets, cluster) = (self.board.offsets.kept().data, self.board.cluster.kept().data);
        let at = Timestamp::now();
        let new = match seen {
            Ok((described, commits)) => {
                self.told = Some(at);
                let seen = group_seen(described, &commits, cluster.as_deref());
                look.seen(at, seen, offsets.as_deref(), cluster.as_deref())
            }
            Err(error) => look.failed(error),
        };
        let note = changes::of_group(name, look, &new);
        *look = Arc::new(new);
        self.board.note(at, note.into_iter().collect());
    }

    fn publish(&self) {
        let error = self.error();
        match self.told {
            Some(told) => {
                let before = self.board.groups.kept().data;
                let history = before.map(|look| look.history.clone()).unwrap_or_default();
                let mut look = GroupsLook { groups: self.groups.clone(), history };
                look.history.enter(told, look.lag().map(|lag| lag as f64));
                self.board.groups.seen(told, look, error);
            }
            None => self.board.groups.failed(error.unwrap_or_default()),
        }
        self.board.published(Part::Groups);
    }

    /// Why not all of it is new.
    fn error(&self) -> Option<String> {
        let failed: Vec<_> = self.groups.values().filter_map(|look| look.error.as_ref()).collect();
        let failed = failed
            .first()
            .map(|error| format!("{} did not answer: {error}", counted(failed.len(), "group")));
        let never =
            self.groups.values().filter(|look| look.as_of.is_none() && look.error.is_none());
        let never = match never.count() {
            0 => None,
            count => Some(format!("{} not looked at yet", counted(count, "group"))),
        };
        let blind = match self.groups.values().map(|look| look.blind()).sum() {
            0 => None,
            count => Some(format!(
                "the ends of {} were told too long ago: the lag there is not known",
                counted(count, "partition")
            )),
        };
        joined([self.listing_error.clone(), failed, never, blind].into_iter().flatten())
    }
}

/// What was told, with the topics' names shared.
fn group_seen(
    described: Result<GroupDescription, String>,
    commits: &Commits,
    cluster: Option<&ClusterLook>,
) -> GroupSeen {
    let place = |partition: &TopicPartition| -> Place {
        let known = cluster.and_then(|cluster| cluster.topics.get_key_value(&partition.topic));
        let topic = known.map_or(&partition.topic, |(name, _)| name);
        (Arc::clone(topic), partition.partition.0)
    };
    let described = described.map(|group| Described {
        state: group.state.name(),
        protocol: group.protocol,
        coordinator: group
            .coordinator
            .map(|broker| format!("{} ({})", broker.id, broker.address())),
        members: group
            .members
            .into_iter()
            .map(|member| Member {
                owns: member.partitions.iter().map(place).collect(),
                id: member.id,
                client_id: member.client_id.into(),
                instance_id: member.instance_id,
                host: member.host,
            })
            .collect(),
    });
    let committed = commits.iter().map(|(partition, offset)| (place(partition), offset.0));
    GroupSeen { described, committed: committed.collect() }
}
