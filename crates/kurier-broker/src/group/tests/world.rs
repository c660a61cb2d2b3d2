//! A coordinator with a clock, and clients that say little: each builder fills in the rest.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
    SyncGroupResponse,
};
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::group::{
    ClientInfo, Effect, GroupCoordinator, GroupRequest, GroupResponse, GroupSettings, Surroundings,
    Ticket,
};

pub(super) const GROUP: &str = "g";
pub(super) const SESSION: Duration = Duration::from_secs(10);
pub(super) const REBALANCE: Duration = Duration::from_secs(60);

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// The error a code stands for; none for 0.
pub(super) fn error(code: i16) -> Option<ResponseError> {
    ResponseError::try_from_code(code)
}

pub(super) struct World {
    pub(super) it: GroupCoordinator,
    pub(super) now: Instant,
    /// The topic that does not exist.
    pub(super) missing_topic: &'static str,
    /// The group that another node coordinates.
    pub(super) elsewhere: &'static str,
    next_ticket: u64,
    /// Requests without a reply, with their version.
    pub(super) open: HashMap<Ticket, i16>,
    pub(super) replies: BTreeMap<Ticket, GroupResponse>,
    /// When each of them came.
    pub(super) answered_at: HashMap<Ticket, Instant>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut GroupSettings)) -> Self {
        let mut settings = GroupSettings { member_id_seed: 7, ..GroupSettings::default() };
        change(&mut settings);
        Self {
            it: GroupCoordinator::new(settings),
            now: Instant::now(),
            missing_topic: "missing",
            elsewhere: "elsewhere",
            next_ticket: 0,
            open: HashMap::new(),
            replies: BTreeMap::new(),
            answered_at: HashMap::new(),
        }
    }

    pub(super) fn send(&mut self, request: &GroupRequest) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.open.insert(ticket, version_of(request));
        let client = ClientInfo { client_id: "client".into(), host: "/127.0.0.1".into() };
        let (missing, elsewhere) = (self.missing_topic, self.elsewhere);
        let surroundings = Surroundings {
            coordinates: &|group| group != elsewhere,
            partition_exists: &|topic, index| topic != missing && (0..100).contains(&index),
        };
        let effects = self.it.handle(self.now, ticket, &client, request, surroundings);
        self.take(effects);
        ticket
    }

    /// A request that is answered at once.
    pub(super) fn ask(&mut self, request: &GroupRequest) -> GroupResponse {
        let ticket = self.send(request);
        self.replies.remove(&ticket).expect("answered at once")
    }

    pub(super) fn take(&mut self, effects: Vec<Effect>) {
        for Effect::Reply(ticket, response) in effects {
            let version = self.open.remove(&ticket).expect("each ticket is answered once");
            encode(&response, version);
            self.replies.insert(ticket, response);
            self.answered_at.insert(ticket, self.now);
        }
    }

    /// Lets time pass, with a tick at every deadline on the way.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.it.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let effects = self.it.tick(self.now);
            self.take(effects);
            assert!(self.it.next_deadline().is_none_or(|next| next > self.now), "no progress");
        }
        self.now = end;
    }

    pub(super) fn abandon(&mut self, ticket: Ticket) {
        self.open.remove(&ticket);
        let effects = self.it.abandon(self.now, ticket);
        self.take(effects);
    }

    pub(super) fn coordinator_moved(&mut self) {
        let effects = self.it.coordinator_moved(self.now, GROUP);
        self.take(effects);
    }

    pub(super) fn join(&mut self, join: &Join) -> Ticket {
        self.send(&GroupRequest::Join(join.request(), join.version))
    }

    pub(super) fn joined(&mut self, ticket: Ticket) -> JoinGroupResponse {
        match self.replies.remove(&ticket) {
            Some(GroupResponse::Join(response)) => response,
            other => panic!("no join reply: {other:?}"),
        }
    }

    pub(super) fn synced(&mut self, ticket: Ticket) -> SyncGroupResponse {
        match self.replies.remove(&ticket) {
            Some(GroupResponse::Sync(response)) => response,
            other => panic!("no sync reply: {other:?}"),
        }
    }

    pub(super) fn is_parked(&self, ticket: Ticket) -> bool {
        self.open.contains_key(&ticket)
    }

    /// A dynamic member that gets its id first. Its join is on the way when this returns.
    pub(super) fn come(&mut self) -> (StrBytes, Ticket) {
        let id = self.get_id();
        let ticket = self.join(&Join::new().id(&id));
        (id, ticket)
    }

    pub(super) fn get_id(&mut self) -> StrBytes {
        let ticket = self.join(&Join::new());
        let response = self.joined(ticket);
        assert_eq!(error(response.error_code), Some(ResponseError::MemberIdRequired));
        response.member_id
    }

    pub(super) fn sync(&mut self, id: &str, generation: i32, given: &[(&str, &str)]) -> Ticket {
        self.send(&GroupRequest::Sync(sync_request(id, generation, given), 5))
    }

    pub(super) fn heartbeat(&mut self, id: &str, generation: i32) -> Option<ResponseError> {
        let request = HeartbeatRequest::default()
            .with_group_id(text(GROUP).into())
            .with_generation_id(generation)
            .with_member_id(text(id));
        self.heartbeat_with(request)
    }

    pub(super) fn heartbeat_with(&mut self, request: HeartbeatRequest) -> Option<ResponseError> {
        match self.ask(&GroupRequest::Heartbeat(request, 4)) {
            GroupResponse::Heartbeat(response) => error(response.error_code),
            other => panic!("no heartbeat reply: {other:?}"),
        }
    }

    /// Leaves by a request of the newest version. Tells the errors, the request's first.
    pub(super) fn leave(&mut self, members: &[(&str, Option<&str>)]) -> Vec<Option<ResponseError>> {
        let members = members.iter().map(|(id, instance)| {
            MemberIdentity::default()
                .with_member_id(text(id))
                .with_group_instance_id(instance.map(text))
        });
        let request = LeaveGroupRequest::default()
            .with_group_id(text(GROUP).into())
            .with_members(members.collect());
        match self.ask(&GroupRequest::Leave(request, 5)) {
            GroupResponse::Leave(response) => {
                let members = response.members.iter().map(|member| member.error_code);
                [response.error_code].into_iter().chain(members).map(error).collect()
            }
            other => panic!("no leave reply: {other:?}"),
        }
    }

    /// A stable group of so many dynamic members, the leader first. Its generation comes with it.
    /// Member `i` has the assignment `a<i>`.
    pub(super) fn stable(&mut self, members: usize) -> (Vec<StrBytes>, i32) {
        let ids: Vec<StrBytes> = (0..members).map(|_| self.get_id()).collect();
        let joins: Vec<Ticket> = ids.iter().map(|id| self.join(&Join::new().id(id))).collect();
        let joined: Vec<_> = joins.into_iter().map(|ticket| self.joined(ticket)).collect();
        let generation = joined[0].generation_id;
        assert!(joined.iter().all(|it| it.error_code == 0 && it.generation_id == generation));
        assert_eq!(joined[0].leader, ids[0]);
        self.sync_all(&ids, generation);
        (ids, generation)
    }

    /// Syncs of all members, the leader first.
    pub(super) fn sync_all(&mut self, ids: &[StrBytes], generation: i32) {
        let names: Vec<String> = (0..ids.len()).map(|at| format!("a{at}")).collect();
        let given: Vec<(&str, &str)> =
            ids.iter().zip(&names).map(|(id, name)| (id.as_str(), name.as_str())).collect();
        for (at, id) in ids.iter().enumerate() {
            let ticket = self.sync(id, generation, if at == 0 { &given } else { &[] });
            assert_eq!(self.synced(ticket).assignment, names[at]);
        }
    }

    /// Heartbeats of these members for so long that sessions would have ended several times.
    pub(super) fn stay(&mut self, ids: &[StrBytes], generation: i32, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.pass(Duration::from_secs(3).min(end - self.now));
            for id in ids {
                self.heartbeat(id, generation);
            }
        }
    }
}

/// A JoinGroup request.
#[derive(Debug, Clone)]
pub(super) struct Join {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) version: i16,
    pub(super) protocols: Vec<(String, String)>,
    pub(super) session: Duration,
    pub(super) rebalance: Duration,
}

impl Join {
    pub(super) fn new() -> Self {
        Self {
            id: String::new(),
            instance: None,
            version: 9,
            protocols: vec![("range".into(), "m".into())],
            session: SESSION,
            rebalance: REBALANCE,
        }
    }

    pub(super) fn id(mut self, id: &str) -> Self {
        self.id = id.into();
        self
    }

    pub(super) fn instance(mut self, instance: &str) -> Self {
        self.instance = Some(instance.into());
        self
    }

    pub(super) fn version(mut self, version: i16) -> Self {
        self.version = version;
        self
    }

    pub(super) fn offers(mut self, protocols: &[(&str, &str)]) -> Self {
        self.protocols =
            protocols.iter().map(|(name, metadata)| ((*name).into(), (*metadata).into())).collect();
        self
    }

    pub(super) fn request(&self) -> JoinGroupRequest {
        let protocols = self.protocols.iter().map(|(name, metadata)| {
            JoinGroupRequestProtocol::default()
                .with_name(text(name))
                .with_metadata(Bytes::from(metadata.clone()))
        });
        JoinGroupRequest::default()
            .with_group_id(text(GROUP).into())
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_session_timeout_ms(self.session.as_millis() as i32)
            .with_rebalance_timeout_ms(self.rebalance.as_millis() as i32)
            .with_protocol_type(text("consumer"))
            .with_protocols(protocols.collect())
    }
}

pub(super) fn sync_request(id: &str, generation: i32, given: &[(&str, &str)]) -> SyncGroupRequest {
    let given = given.iter().map(|(id, assignment)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(text(id))
            .with_assignment(Bytes::from((*assignment).to_owned()))
    });
    SyncGroupRequest::default()
        .with_group_id(text(GROUP).into())
        .with_generation_id(generation)
        .with_member_id(text(id))
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(given.collect())
}

fn version_of(request: &GroupRequest) -> i16 {
    match request {
        GroupRequest::Join(_, version)
        | GroupRequest::Sync(_, version)
        | GroupRequest::Heartbeat(_, version)
        | GroupRequest::Leave(_, version)
        | GroupRequest::OffsetCommit(_, version)
        | GroupRequest::OffsetFetch(_, version)
        | GroupRequest::Describe(_, version)
        | GroupRequest::List(_, version)
        | GroupRequest::DeleteGroups(_, version)
        | GroupRequest::OffsetDelete(_, version) => *version,
    }
}

/// Every reply must have a form in the version of its request.
fn encode(response: &GroupResponse, version: i16) {
    let mut out = BytesMut::new();
    let encoded = match response {
        GroupResponse::Join(it) => it.encode(&mut out, version),
        GroupResponse::Sync(it) => it.encode(&mut out, version),
        GroupResponse::Heartbeat(it) => it.encode(&mut out, version),
        GroupResponse::Leave(it) => it.encode(&mut out, version),
        GroupResponse::OffsetCommit(it) => it.encode(&mut out, version),
        GroupResponse::OffsetFetch(it) => it.encode(&mut out, version),
        GroupResponse::Describe(it) => it.encode(&mut out, version),
        GroupResponse::List(it) => it.encode(&mut out, version),
        GroupResponse::DeleteGroups(it) => it.encode(&mut out, version),
        GroupResponse::OffsetDelete(it) => it.encode(&mut out, version),
    };
    encoded.unwrap_or_else(|error| panic!("{error} in version {version}: {response:?}"));
}
