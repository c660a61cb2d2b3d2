//! What the nodes of a cluster share: who is up, the topics, the groups, and who waits for what.
//!
//! Pure but for the channels on which waiting group requests are answered: time is an argument, and
//! nothing here knows a socket. [`Core`](crate::core::Core) holds it behind its lock.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::group::{
    ClientInfo, Effect, GroupCoordinator, GroupRequest, GroupResponse, GroupSettings, Surroundings,
    Ticket,
};
use crate::settings::TopicSettings;
use crate::storage::{MoveError, NodeId, Partition};
use crate::topic::{Topic, TopicError};

/// More than a cluster gives out while it lives, so that the next one gives out others.
const PRODUCER_IDS_A_SECOND: i64 = 1_000_000;

/// How the cluster behaves; set once, by its builder.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// Most bytes of batches that one partition keeps.
    pub partition_bytes_max: usize,
    /// Partitions of a topic whose creator names no number.
    pub partitions_default: i32,
    /// How long a replica may be behind before it leaves the in-sync set.
    pub replica_lag_max: Duration,
    /// Most partitions of all topics.
    pub partitions_max: usize,
    /// What clients are told otherwise than it is.
    pub pretended: Pretended,
}

/// What clients are told otherwise than it is: clusters that are set up wrongly, to be looked at.
#[derive(Debug, Clone, Default)]
pub struct Pretended {
    /// Settings that DescribeConfigs shows with another value.
    pub settings: BTreeMap<String, String>,
    /// Nodes whose address is told as another one.
    pub addresses: BTreeMap<NodeId, (String, u16)>,
    /// Whether there is said to be no controller.
    pub no_controller: bool,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            partition_bytes_max: 256 << 20,
            partitions_default: 3,
            replica_lag_max: Duration::from_secs(30),
            partitions_max: 10_000,
            pretended: Pretended::default(),
        }
    }
}

/// One node, as the others know it.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// Where it listens.
    pub port: u16,
    /// Whether it answers.
    pub up: bool,
    /// Whether its replicas stopped following.
    pub frozen: bool,
}

/// The state of a cluster.
#[derive(Debug)]
pub struct State {
    /// How the cluster behaves.
    pub settings: ClusterSettings,
    /// Its id, as clients see it.
    pub cluster_id: String,
    /// Every node, up or not.
    pub nodes: BTreeMap<NodeId, Node>,
    /// Every topic by its name.
    pub topics: BTreeMap<String, Topic>,
    /// When the clock lets time pass next.
    pub wakes: Option<Instant>,
    /// When a replica may have been behind for too long: not later than the earliest of the partitions'
    /// deadlines, which are too many to be asked for each after every request.
    laggards_due: Option<Instant>,
    groups: GroupCoordinator,
    parked: HashMap<Ticket, oneshot::Sender<GroupResponse>>,
    next_ticket: u64,
    next_producer_id: i64,
    first_leader_epoch: i32,
    topics_created: usize,
}

impl State {
    /// A cluster of these nodes, all up, without topics.
    pub fn new(settings: ClusterSettings, ports: impl IntoIterator<Item = u16>) -> Self {
        // Clients may still know another cluster at these ports. They take a leader of a lower epoch for an outdated one
        // (KIP-320), and a producer's id that is given out twice has its records taken for those of the other.
        let begun = seconds_since_2020();
        let node = |port| Node { port, up: true, frozen: false };
        Self {
            settings,
            cluster_id: Uuid::new_v4().simple().to_string(),
            nodes: (1..).map(NodeId).zip(ports.into_iter().map(node)).collect(),
            topics: BTreeMap::new(),
            wakes: None,
            laggards_due: None,
            groups: GroupCoordinator::new(GroupSettings::default()),
            parked: HashMap::new(),
            next_ticket: 0,
            next_producer_id: i64::from(begun) * PRODUCER_IDS_A_SECOND,
            first_leader_epoch: begun,
            topics_created: 0,
        }
    }

    /// The nodes that answer.
    pub fn live(&self) -> impl Iterator<Item = (NodeId, Node)> + '_ {
        self.nodes.iter().filter(|(_, node)| node.up).map(|(id, node)| (*id, *node))
    }

    /// The node that stands for the controller: the first that is up.
    pub fn controller(&self) -> Option<NodeId> {
        let pretended = &self.settings.pretended;
        self.live().next().map(|(id, _)| id).filter(|_| !pretended.no_controller)
    }

    /// Where clients that came to `host` are told to find a node.
    pub fn advertised(&self, id: NodeId, host: IpAddr) -> (String, i32) {
        match self.settings.pretended.addresses.get(&id) {
            Some((host, port)) => (host.clone(), i32::from(*port)),
            None => {
                let port = self.nodes.get(&id).map_or(-1, |node| i32::from(node.port));
                (host.to_string(), port)
            }
        }
    }

    /// The node that coordinates a group: one that its name chooses, or the next that is up.
    pub fn coordinator(&self, group: &str) -> Option<NodeId> {
        coordinator(&self.nodes, group)
    }

    /// A partition by topic and number.
    pub fn partition(&self, topic: &str, index: i32) -> Option<&Partition> {
        partition(&self.topics, topic, index)
    }

    /// A partition, if `node` leads it and `epoch` (−1: not checked) is the epoch it leads in.
    ///
    /// # Errors
    /// As Kafka answers a client whose metadata is not of today.
    pub fn led_by(
        &mut self,
        node: NodeId,
        topic: &str,
        index: i32,
        epoch: i32,
    ) -> Result<&mut Partition, ResponseError> {
        let index = usize::try_from(index).map_err(|_| ResponseError::UnknownTopicOrPartition)?;
        let partition = self
            .topics
            .get_mut(topic)
            .and_then(|topic| topic.partitions.get_mut(index))
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        if epoch >= 0 && epoch < partition.epoch() {
            Err(ResponseError::FencedLeaderEpoch)
        } else if epoch > partition.epoch() {
            Err(ResponseError::UnknownLeaderEpoch)
        } else if partition.leader() != Some(node) {
            Err(ResponseError::NotLeaderOrFollower)
        } else {
            Ok(partition)
        }
    }

    /// How groups are coordinated.
    pub fn group_settings(&self) -> &GroupSettings {
        self.groups.settings()
    }

    /// A number that no producer had before.
    pub fn new_producer_id(&mut self) -> i64 {
        self.next_producer_id += 1;
        self.next_producer_id - 1
    }

    /// Makes a topic; its partitions' first replicas go round the nodes that are up.
    ///
    /// # Errors
    /// When the name, a number or the settings are not possible.
    pub fn create_topic(
        &mut self,
        now: Instant,
        name: &str,
        partitions: i32,
        replicas: i16,
        settings: TopicSettings,
    ) -> Result<(), TopicError> {
        let (count, replicas) = self.check_topic(name, partitions, replicas, &settings)?;
        let shift = self.topics_created;
        self.topics_created += 1;
        let topic = Topic { id: Uuid::new_v4(), replicas, shift, settings, partitions: Vec::new() };
        self.topics.insert(name.to_owned(), topic);
        self.grow(now, name, count);
        Ok(())
    }

    /// How many partitions and replicas a new topic would have.
    ///
    /// # Errors
    /// As [`create_topic`](Self::create_topic).
    pub fn check_topic(
        &self,
        name: &str,
        partitions: i32,
        replicas: i16,
        settings: &TopicSettings,
    ) -> Result<(usize, usize), TopicError> {
        Topic::check_name(name)?;
        if self.topics.contains_key(name) {
            return Err(TopicError::Exists);
        }
        let live = self.live().count();
        let replicas = match replicas {
            -1 => live.min(3),
            replicas => usize::try_from(replicas).unwrap_or_default(),
        };
        if replicas == 0 || replicas > live {
            return Err(TopicError::Replicas { found: replicas, live });
        }
        settings.check(replicas)?;
        let count = if partitions == -1 { self.settings.partitions_default } else { partitions };
        let count = usize::try_from(count).unwrap_or_default();
        self.check_partitions(count, count)?;
        Ok((count, replicas))
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// When the topic is unknown or the number is not above the present one.
    pub fn add_partitions(
        &mut self,
        now: Instant,
        name: &str,
        count: i32,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        let topic = self.topics.get(name).ok_or(TopicError::Unknown)?;
        let present = topic.partitions.len();
        let count = usize::try_from(count).unwrap_or_default();
        if count <= present {
            return Err(TopicError::Fewer { present });
        }
        self.check_partitions(count, count - present)?;
        if !validate_only {
            self.grow(now, name, count);
        }
        Ok(())
    }

    /// Sets a topic to something else.
    ///
    /// # Errors
    /// When the topic is unknown or the settings do not fit its replicas.
    pub fn alter_topic(
        &mut self,
        now: Instant,
        name: &str,
        settings: TopicSettings,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        let topic = self.topics.get_mut(name).ok_or(TopicError::Unknown)?;
        settings.check(topic.replicas)?;
        if validate_only {
            return Ok(());
        }
        topic.settings = settings;
        let settings = topic.partition_settings(&self.settings);
        topic.partitions.iter_mut().for_each(|partition| partition.alter(now, settings));
        self.laggards_due = self.partitions_due();
        Ok(())
    }

    /// Deletes a topic and the offsets that groups have committed for it.
    pub fn delete_topic(&mut self, name: &str) -> bool {
        let known = self.topics.remove(name).is_some();
        if known {
            self.groups.topic_deleted(name);
        }
        known
    }

    /// A node stops answering: what it led is led by others from here.
    pub fn node_down(&mut self, now: Instant, id: NodeId) {
        let before = self.coordinators();
        if let Some(node) = self.nodes.get_mut(&id) {
            node.up = false;
        }
        self.each_partition(|partition| partition.node_down(now, id));
        self.coordinators_moved(now, &before);
    }

    /// A node answers again, follows, and leads again where it is the preferred replica.
    pub fn node_up(&mut self, now: Instant, id: NodeId) {
        let before = self.coordinators();
        if let Some(node) = self.nodes.get_mut(&id) {
            node.up = true;
        }
        self.each_partition(|partition| {
            partition.node_up(now, id);
            partition.prefer(now);
        });
        self.coordinators_moved(now, &before);
    }

    /// Another replica leads a partition.
    ///
    /// # Errors
    /// When there is no such partition, or the replica may not lead.
    pub fn move_leader(
        &mut self,
        now: Instant,
        topic: &str,
        index: i32,
        node: NodeId,
    ) -> Result<(), MoveError> {
        let index = usize::try_from(index).map_err(|_| MoveError::UnknownPartition)?;
        let partitions = self.topics.get_mut(topic).map(|topic| &mut topic.partitions);
        let partition = partitions.and_then(|all| all.get_mut(index));
        let partition = partition.ok_or(MoveError::UnknownPartition)?;
        partition.move_leader(now, node)?;
        let deadline = partition.next_deadline();
        self.laggard_due(deadline);
        Ok(())
    }

    /// The replicas on a node stop following, or follow again.
    pub fn set_frozen(&mut self, now: Instant, id: NodeId, frozen: bool) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.frozen = frozen;
        }
        self.each_partition(|partition| partition.set_frozen(now, id, frozen));
    }

    /// Hands a request to the group coordinator; the answer comes on the channel, at once or later.
    pub fn group(
        &mut self,
        now: Instant,
        node: NodeId,
        client: &ClientInfo,
        request: &GroupRequest,
    ) -> (Ticket, oneshot::Receiver<GroupResponse>) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let (reply, answer) = oneshot::channel();
        self.parked.insert(ticket, reply);
        let Self { groups, nodes, topics, .. } = self;
        let surroundings = Surroundings {
            coordinates: &|group| coordinator(nodes, group) == Some(node),
            partition_exists: &|topic, index| partition(topics, topic, index).is_some(),
        };
        let effects = groups.handle(now, ticket, client, request, surroundings);
        self.reply(effects);
        (ticket, answer)
    }

    /// The connection that waits for this ticket is gone.
    pub fn abandon(&mut self, now: Instant, ticket: Ticket) {
        if self.parked.remove(&ticket).is_some() {
            let effects = self.groups.abandon(now, ticket);
            self.reply(effects);
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Instant) {
        if self.laggards_due.is_some_and(|due| due <= now) {
            self.each_partition(|partition| {
                partition.tick(now);
            });
        }
        let effects = self.groups.tick(now);
        self.reply(effects);
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.laggards_due.into_iter().chain(self.groups.next_deadline()).min()
    }

    /// A partition was changed, and this is its deadline now.
    pub fn laggard_due(&mut self, deadline: Option<Instant>) {
        self.laggards_due = self.laggards_due.into_iter().chain(deadline).min();
    }

    fn partitions_due(&self) -> Option<Instant> {
        let partitions = self.topics.values().flat_map(|topic| &topic.partitions);
        partitions.filter_map(Partition::next_deadline).min()
    }

    fn check_partitions(&self, found: usize, more: usize) -> Result<(), TopicError> {
        let present: usize = self.topics.values().map(|topic| topic.partitions.len()).sum();
        let room = self.settings.partitions_max.saturating_sub(present);
        if found == 0 || more > room { Err(TopicError::Partitions { found, room }) } else { Ok(()) }
    }

    fn grow(&mut self, now: Instant, name: &str, count: usize) {
        let live: Vec<NodeId> = self.live().map(|(id, _)| id).collect();
        let frozen: Vec<NodeId> =
            self.nodes.iter().filter(|(_, node)| node.frozen).map(|(id, _)| *id).collect();
        let Some(topic) = self.topics.get_mut(name) else { return };
        let settings = topic.partition_settings(&self.settings);
        for index in topic.partitions.len()..count {
            let first = index + topic.shift;
            let nodes: Vec<NodeId> = live
                .iter()
                .cycle()
                .skip(first % live.len().max(1))
                .take(topic.replicas.min(live.len()))
                .copied()
                .collect();
            let mut partition = Partition::new(settings, &nodes, self.first_leader_epoch);
            for node in &frozen {
                partition.set_frozen(now, *node, true);
            }
            topic.partitions.push(partition);
        }
    }

    fn each_partition(&mut self, mut each: impl FnMut(&mut Partition)) {
        for topic in self.topics.values_mut() {
            topic.partitions.iter_mut().for_each(&mut each);
        }
        self.laggards_due = self.partitions_due();
    }

    fn coordinators(&self) -> Vec<(String, Option<NodeId>)> {
        let names = self.groups.names().map(str::to_owned);
        names.map(|name| (name.clone(), self.coordinator(&name))).collect()
    }

    fn coordinators_moved(&mut self, now: Instant, before: &[(String, Option<NodeId>)]) {
        for (group, node) in before {
            if self.coordinator(group) != *node {
                let effects = self.groups.coordinator_moved(now, group);
                self.reply(effects);
            }
        }
    }

    fn reply(&mut self, effects: Vec<Effect>) {
        for Effect::Reply(ticket, response) in effects {
            if let Some(waiting) = self.parked.remove(&ticket) {
                // A receiver that is gone has abandoned its ticket; nobody reads the reply.
                let _ = waiting.send(response);
            }
        }
    }
}

/// Into a 32-bit leader epoch they fit until 2088.
fn seconds_since_2020() -> i32 {
    const UNTIL_2020: Duration = Duration::from_secs(1_577_836_800);
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().saturating_sub(UNTIL_2020);
    i32::try_from(since.as_secs()).unwrap_or(i32::MAX)
}

fn coordinator(nodes: &BTreeMap<NodeId, Node>, group: &str) -> Option<NodeId> {
    let mut hasher = DefaultHasher::new();
    group.hash(&mut hasher);
    let count = nodes.len() as u64;
    let first = usize::try_from(hasher.finish() % count.max(1)).unwrap_or_default();
    let from_first = nodes.iter().cycle().skip(first).take(nodes.len());
    from_first.filter(|(_, node)| node.up).map(|(id, _)| *id).next()
}

fn partition<'a>(
    topics: &'a BTreeMap<String, Topic>,
    topic: &str,
    index: i32,
) -> Option<&'a Partition> {
    topics.get(topic)?.partitions.get(usize::try_from(index).ok()?)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
