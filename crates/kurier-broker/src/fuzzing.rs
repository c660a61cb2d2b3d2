//! The path of a request without sockets, for fuzzing: bytes as they come on a connection in, and
//! whether the answer is one out. Only there with the feature `fuzzing`.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use tokio::runtime::Runtime;

use crate::api::{self, Call, Refused};
use crate::control;
use crate::core::Core;
use crate::faults::{BY_TOPIC, Fault, FaultAction, Faults};
use crate::settings::TopicSettings;
use crate::state::{ClusterSettings, State};
use crate::storage::NodeId;
use crate::wire::answers::answer_in;
use crate::wire::examples::{batches, examples, frame};
use crate::wire::frame::{self as frames, Incoming};

/// A node with little room, a few topics and no socket.
#[derive(Debug)]
pub struct Target {
    call: Call,
    /// Timers belong to one; nobody waits for them.
    runtime: Runtime,
}

/// What became of the bytes; all of these are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// They were answered, and the answer reads back.
    Answered {
        /// What was asked.
        api: ApiKey,
        /// Bytes of the answer.
        bytes: usize,
    },
    /// They ask for no answer, or one of another cluster's own.
    Unanswered,
    /// The answer waits for time or for others; the client has gone since.
    Waits,
    /// They are no request, and close their connection.
    Closed,
    /// They end within a request.
    Incomplete,
}

/// What must not become of any bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The answer is none to that request.
    #[error("the answer to {api:?} version {version} does not read back: {reason}")]
    Unreadable {
        /// What was asked.
        api: ApiKey,
        /// In which version.
        version: i16,
        /// What the reader says.
        reason: String,
    },
    /// There should be an answer, and the codec refuses it.
    #[error("{0}")]
    Unencodable(String),
    /// The answer names another request.
    #[error("the answer to {0:?} names another request")]
    Correlation(ApiKey),
}

/// Whether the node does wrong things on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It does not.
    Right,
    /// It refuses one of its topics in every API that can.
    Faulty,
}

/// Bytes as a client sends them, and where in them record batches lie.
#[derive(Debug, Clone)]
pub struct Example {
    /// A request with its length before it.
    pub stream: Vec<u8>,
    /// Whole record batches.
    pub batches: Vec<Range<usize>>,
}

/// A valid request of every API in every version.
#[must_use]
pub fn corpus() -> Vec<Example> {
    let stream = |(key, version, body): (i16, i16, Bytes)| {
        let frame = frame(key, version, &body);
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let stream = [&length.to_be_bytes()[..], &frame].concat();
        let found = batches().into_iter().filter_map(|batch| {
            let at = stream.windows(batch.len()).position(|bytes| bytes == batch)?;
            Some(at..at + batch.len())
        });
        let batches = found.collect();
        Example { stream, batches }
    };
    examples().into_iter().map(stream).collect()
}

impl Target {
    /// A node whose topics and groups the corpus names.
    ///
    /// # Panics
    /// When the system gives no timer.
    #[must_use]
    pub fn new(behaviour: Behaviour) -> Self {
        let settings = ClusterSettings {
            partition_bytes_max: 64 << 10,
            partitions_max: 200,
            ..ClusterSettings::default()
        };
        let mut state = State::new(settings, [9092, 9093, 9094]);
        let now = Instant::now();
        for name in ["name", "other"] {
            let made = state.create_topic(now, name, 3, 3, TopicSettings::default());
            made.expect("a small topic");
        }
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let core = Arc::new(Core::new(state));
        if behaviour == Behaviour::Faulty {
            let faults = Faults::new(Arc::clone(&core));
            for api in BY_TOPIC {
                let action = FaultAction::Error(ResponseError::KafkaStorageError);
                faults.add(Fault::on(*api).topic("name"), action).expect("answered by topic");
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        Self {
            call: Call { core, node: NodeId(1), host, peer: host },
            runtime: runtime.expect("a timer"),
        }
    }

    /// Does with bytes what a connection does with the first request in them. A request that would wait
    /// is taken back, as when its client goes.
    ///
    /// # Errors
    /// When it is answered, and not as it should be.
    pub fn feed(&mut self, stream: &[u8]) -> Result<Outcome, Wrong> {
        self.call.core.change(|state| state.tick(Instant::now()));
        let Ok(size) = frames::size(stream) else { return Ok(Outcome::Closed) };
        let Some(frame) = size.and_then(|size| stream.get(4..4 + size)) else {
            return Ok(Outcome::Incomplete);
        };
        let frame = Bytes::copy_from_slice(frame);
        let request = match frames::parse(&frame) {
            Ok(Incoming::Kafka(request)) => request,
            Ok(Incoming::UnknownApiVersions { correlation }) => {
                return match api::unknown_api_versions(correlation) {
                    Ok(answer) => checked(ApiKey::ApiVersions, 0, correlation, answer),
                    Err(error) => Err(Wrong::Unencodable(error.to_string())),
                };
            }
            Ok(Incoming::Control { correlation, body }) => {
                let nobody = Weak::new();
                let mut answer = pin!(control::answer(correlation, &body, &nobody));
                let _answer = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                return Ok(Outcome::Unanswered);
            }
            Err(_) => return Ok(Outcome::Closed),
        };
        let (api, version, correlation) = (request.key, request.version, request.correlation);
        let _timers = self.runtime.enter();
        let mut answer = pin!(api::answer(&self.call, request));
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(Some(answer))) => checked(api, version, correlation, answer),
            Poll::Ready(Ok(None)) => Ok(Outcome::Unanswered),
            Poll::Ready(Err(Refused::Encode(error))) => Err(Wrong::Unencodable(error.to_string())),
            Poll::Ready(Err(_)) => Ok(Outcome::Closed),
            Poll::Pending => Ok(Outcome::Waits),
        }
    }
}

fn checked(api: ApiKey, version: i16, correlation: i32, answer: Bytes) -> Result<Outcome, Wrong> {
    let bytes = answer.len();
    if answer.get(4..8) != Some(&correlation.to_be_bytes()[..]) {
        return Err(Wrong::Correlation(api));
    }
    match answer_in(api, version, answer) {
        Ok(_) => Ok(Outcome::Answered { api, bytes }),
        Err(reason) => Err(Wrong::Unreadable { api, version, reason }),
    }
}
