//! Requests that are answered topic by topic, so that one topic's part can be refused alone.

use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    ProduceRequest, ProduceResponse,
};
use kafka_protocol::protocol::Request;

use super::{fetch, offsets, produce, topics};
use crate::faults::rules::Refusal;
use crate::group;

/// A request of which parts can be taken away and refused.
pub trait ByTopic: Request<Response: Default> + Clone {
    /// The topics that it names.
    fn topics(&self) -> Vec<String>;

    /// Takes one topic's part out, or everything.
    fn take(&mut self, topic: Option<&str>) -> Self;

    /// The answer that refuses all of it.
    fn refused(&self, refusal: &Refusal) -> Self::Response;

    /// Adds the topics of another answer.
    fn join(response: &mut Self::Response, more: Self::Response);

    /// What is left of it is not to wait for anything new: there is something to answer.
    fn hurry(&mut self) {}

    /// Whether the client waits for an answer.
    fn wants_answer(&self) -> bool {
        true
    }
}

/// The methods that look alike everywhere: `$list` holds the topics of the request, `$name` the name of
/// one, `$answers` the topics of the response.
macro_rules! listed {
    ($list:ident, $name:ident, $answers:ident) => {
        fn topics(&self) -> Vec<String> {
            self.$list.iter().map(|topic| topic.$name.to_string()).collect()
        }

        fn take(&mut self, topic: Option<&str>) -> Self {
            let mut taken = self.clone();
            let wanted = |name: &str| topic.is_none_or(|topic| topic == name);
            taken.$list.retain(|topic| wanted(&topic.$name));
            self.$list.retain(|topic| !wanted(&topic.$name));
            taken
        }

        joined!($answers);
    };
}

macro_rules! joined {
    ($answers:ident) => {
        fn join(response: &mut Self::Response, more: Self::Response) {
            response.$answers.extend(more.$answers);
        }
    };
}

impl ByTopic for ProduceRequest {
    listed!(topic_data, name, responses);

    fn refused(&self, refusal: &Refusal) -> ProduceResponse {
        produce::refused(self, refusal)
    }

    fn wants_answer(&self) -> bool {
        self.acks != 0
    }
}

impl ByTopic for FetchRequest {
    listed!(topics, topic, responses);

    fn refused(&self, refusal: &Refusal) -> FetchResponse {
        fetch::refused(self, refusal.error)
    }

    fn hurry(&mut self) {
        self.max_wait_ms = 0;
    }
}

impl ByTopic for ListOffsetsRequest {
    listed!(topics, name, topics);

    fn refused(&self, refusal: &Refusal) -> ListOffsetsResponse {
        offsets::refused_list(self, refusal.error)
    }
}

impl ByTopic for OffsetForLeaderEpochRequest {
    listed!(topics, topic, topics);

    fn refused(&self, refusal: &Refusal) -> OffsetForLeaderEpochResponse {
        offsets::refused_for_epoch(self, refusal.error)
    }
}

impl ByTopic for DeleteRecordsRequest {
    listed!(topics, name, topics);

    fn refused(&self, refusal: &Refusal) -> DeleteRecordsResponse {
        offsets::refused_delete(self, refusal.error)
    }
}

impl ByTopic for OffsetCommitRequest {
    listed!(topics, name, topics);

    fn refused(&self, refusal: &Refusal) -> OffsetCommitResponse {
        group::commit_response(self, |_, _| Err(refusal.error))
    }
}

impl ByTopic for CreateTopicsRequest {
    listed!(topics, name, topics);

    fn refused(&self, refusal: &Refusal) -> CreateTopicsResponse {
        topics::refused_create(self, refusal.error)
    }
}

impl ByTopic for CreatePartitionsRequest {
    listed!(topics, name, results);

    fn refused(&self, refusal: &Refusal) -> CreatePartitionsResponse {
        topics::refused_grow(self, refusal.error)
    }
}

/// Versions from 6 on name topics by name or id; an id stands for itself here.
impl ByTopic for DeleteTopicsRequest {
    fn topics(&self) -> Vec<String> {
        let named = self.topic_names.iter().map(|name| name.to_string());
        named.chain(self.topics.iter().map(topics::name_or_id)).collect()
    }

    fn take(&mut self, topic: Option<&str>) -> Self {
        let mut taken = self.clone();
        let wanted = |name: &str| topic.is_none_or(|topic| topic == name);
        taken.topic_names.retain(|name| wanted(name));
        self.topic_names.retain(|name| !wanted(name));
        taken.topics.retain(|state| wanted(&topics::name_or_id(state)));
        self.topics.retain(|state| !wanted(&topics::name_or_id(state)));
        taken
    }

    fn refused(&self, refusal: &Refusal) -> DeleteTopicsResponse {
        topics::refused_delete(self, refusal.error)
    }

    joined!(responses);
}
