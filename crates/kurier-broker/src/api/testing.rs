//! A cluster without sockets, and requests to it, for the tests of handlers.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use super::Call;
use crate::core::Core;
use crate::settings::TopicSettings;
use crate::state::{ClusterSettings, State};
use crate::storage::NodeId;
use crate::wire::examples::frame;
use crate::wire::frame::{Incoming, Request, parse};

/// One node with the topics `name` and `other`.
pub fn cluster() -> Call {
    let mut state = State::new(ClusterSettings::default(), [9092]);
    for topic in ["name", "other"] {
        let made = state.create_topic(Instant::now(), topic, 1, 1, TopicSettings::default());
        made.expect("a topic");
    }
    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Call { core: Arc::new(Core::new(state)), node: NodeId(1), host, peer: host }
}

/// The request that a client called `me` sends.
pub fn request(key: i16, version: i16, body: &[u8]) -> Request {
    match parse(&frame(key, version, body)) {
        Ok(Incoming::Kafka(request)) => request,
        other => panic!("{other:?}"),
    }
}
