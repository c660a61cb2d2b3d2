//! One member of a group: what it told of itself, what it waits for, and when its session ends.
//!
//! Knows nothing of the other members nor of the group's generation.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::protocol::StrBytes;

use super::api::{ClientInfo, GroupResponse, Ticket};
use super::refuse::{join_error, refused_sync};
use super::turn::Turn;

/// What a member costs beyond its texts: bounds the number of members, not only their content.
const MEMBER_OVERHEAD: usize = 512;
/// What one more protocol costs beyond its name and metadata.
const PROTOCOL_OVERHEAD: usize = 64;
/// The part of a client or instance id that goes into member ids. A protocol string holds 32,767
/// bytes, and an id longer than that could never be sent back.
const ID_PREFIX_CHARS_MAX: usize = 255;

/// Bytes of its own. What a request holds are slices of the whole frame, which would stay with them.
pub(super) fn own_bytes(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// A text of its own, for the same reason.
pub(super) fn own_text(text: &StrBytes) -> StrBytes {
    StrBytes::from_string(text.as_str().to_owned())
}

/// Makes member ids: unlike each other, and unlike those of another seed.
#[derive(Debug)]
pub(super) struct MemberIds {
    seed: u64,
    made: u64,
}

impl MemberIds {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, made: 0 }
    }

    /// The next id. Kafka puts the client id, or the instance id of a static member, in front.
    pub(super) fn next(&mut self, prefix: &str) -> StrBytes {
        self.made = self.made.wrapping_add(1);
        let high = mix(self.seed ^ mix(self.made));
        let low = mix(high ^ self.seed.rotate_left(32));
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        let unique = uuid::Builder::from_random_bytes(bytes).into_uuid();
        let prefix: String = prefix.chars().take(ID_PREFIX_CHARS_MAX).collect();
        StrBytes::from_string(format!("{prefix}-{unique}"))
    }
}

/// The finalizer of SplitMix64: one to one, so different counts give different ids.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// An assignment strategy that a member offers, with what it tells the leader for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Protocol {
    pub(super) name: StrBytes,
    pub(super) metadata: Bytes,
}

/// A member id that was given out and not used yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: StrBytes,
    pub(super) session: Duration,
    /// When it is forgotten.
    pub(super) until: Instant,
}

impl Pending {
    pub(super) fn weight(&self) -> usize {
        self.id.len() + PROTOCOL_OVERHEAD
    }
}

/// The request of a member that has no reply yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    Join { ticket: Ticket, version: i16 },
    Sync { ticket: Ticket },
}

impl Waiting {
    pub(super) fn ticket(self) -> Ticket {
        match self {
            Self::Join { ticket, .. } | Self::Sync { ticket } => ticket,
        }
    }
}

/// The session timeout a join asks for, unless it is negative.
pub(super) fn session_timeout(request: &JoinGroupRequest) -> Option<Duration> {
    u64::try_from(request.session_timeout_ms).ok().map(Duration::from_millis)
}

/// What a member says of itself whenever it joins.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) client: ClientInfo,
    pub(super) session: Duration,
    pub(super) rebalance: Duration,
    pub(super) protocols: Vec<Protocol>,
}

impl Profile {
    pub(super) fn of(client: &ClientInfo, request: &JoinGroupRequest) -> Self {
        let session = session_timeout(request).unwrap_or_default();
        // Version 0 has no rebalance timeout and means the session's. A timeout of zero would make
        // deadlines that never lie in the future.
        let rebalance =
            u64::try_from(request.rebalance_timeout_ms).map_or(session, Duration::from_millis);
        let protocols = request.protocols.iter().map(|protocol| Protocol {
            name: own_text(&protocol.name),
            metadata: own_bytes(&protocol.metadata),
        });
        Self {
            client: client.clone(),
            session,
            rebalance: rebalance.max(Duration::from_millis(1)),
            protocols: protocols.collect(),
        }
    }

    pub(super) fn weight(&self) -> usize {
        let protocols = self.protocols.iter();
        let protocols = protocols.map(|it| it.name.len() + it.metadata.len() + PROTOCOL_OVERHEAD);
        self.client.client_id.len() + self.client.host.len() + protocols.sum::<usize>()
    }
}

/// A member of a group.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: StrBytes,
    /// `group.instance.id` of a static member.
    pub(super) instance: Option<StrBytes>,
    pub(super) profile: Profile,
    /// What the leader of the current generation gave it.
    pub(super) assignment: Bytes,
    pub(super) waiting: Option<Waiting>,
    /// Asked to be in the generation that is being prepared.
    pub(super) joined: bool,
    /// Was told its generation and has not sent its SyncGroup.
    pub(super) sync_owed: bool,
    /// Never was in a generation.
    pub(super) new: bool,
    /// Its client knows its id. One that does not can never come back as this member.
    pub(super) id_known: bool,
    /// When its session ends, unless something else is heard of it.
    until: Instant,
}

impl Member {
    /// A member of which nothing is awaited yet; its session begins with what it does next.
    pub(super) fn new(
        id: StrBytes,
        instance: Option<StrBytes>,
        profile: Profile,
        now: Instant,
    ) -> Self {
        Self {
            id,
            instance,
            profile,
            assignment: Bytes::new(),
            waiting: None,
            joined: false,
            sync_owed: false,
            new: true,
            id_known: false,
            until: now,
        }
    }

    pub(super) fn is_static(&self) -> bool {
        self.instance.is_some()
    }

    /// Bytes it keeps.
    pub(super) fn weight(&self) -> usize {
        let instance = self.instance.as_ref().map_or(0, |instance| instance.len());
        MEMBER_OVERHEAD + self.id.len() + instance + self.profile.weight() + self.assignment.len()
    }

    /// The session starts anew.
    pub(super) fn touch(&mut self, now: Instant) {
        self.until = now + self.profile.session;
    }

    /// When its session ends. While its request waits it cannot send heartbeats, so none are
    /// expected; only the first join has a limit of its own.
    pub(super) fn session_ends(&self) -> Option<Instant> {
        (self.new || self.waiting.is_none()).then_some(self.until)
    }

    /// What it tells the leader for this protocol; empty when it does not offer it.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let mut protocols = self.profile.protocols.iter();
        let found = protocols.find(|it| it.name.as_str() == protocol);
        found.map(|it| it.metadata.clone()).unwrap_or_default()
    }

    pub(super) fn offers(&self, protocol: &str) -> bool {
        self.profile.protocols.iter().any(|it| it.name.as_str() == protocol)
    }

    /// Whether it would join again with just what it said before.
    pub(super) fn matches(&self, protocols: &[JoinGroupRequestProtocol]) -> bool {
        self.profile.protocols.len() == protocols.len()
            && self
                .profile
                .protocols
                .iter()
                .zip(protocols)
                .all(|(mine, theirs)| mine.name == theirs.name && mine.metadata == theirs.metadata)
    }

    /// Answers the request it waits for, if any, with an error.
    pub(super) fn dismiss(&mut self, turn: &mut Turn<'_>, error: ResponseError) {
        match self.waiting.take() {
            Some(Waiting::Join { ticket, version }) => {
                // An id that an error was the first to tell would be used by nobody.
                let id = if self.id_known { self.id.clone() } else { StrBytes::new() };
                let response = join_error(id, version, error);
                turn.reply(ticket, GroupResponse::Join(response));
            }
            Some(Waiting::Sync { ticket }) => {
                self.sync_owed = true;
                turn.reply(ticket, GroupResponse::Sync(refused_sync(error)));
            }
            None => {}
        }
    }

    /// Lets a join wait for the next generation; for how long is limited only for new members, see
    /// [`session_ends`](Self::session_ends). An earlier request of the same member that still
    /// waits came over a connection that its client gave up.
    pub(super) fn await_join(&mut self, turn: &mut Turn<'_>, ticket: Ticket, version: i16) {
        self.dismiss(turn, ResponseError::RebalanceInProgress);
        self.joined = true;
        self.until = turn.now + turn.settings.new_member_join_timeout;
        self.waiting = Some(Waiting::Join { ticket, version });
    }
}
