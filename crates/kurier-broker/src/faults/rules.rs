//! The table of faults: a request's facts in, what is to be done to it out. Pure but for the counters,
//! which others watch.

use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use tokio::sync::watch;

use super::{Fault, FaultAction};
use crate::storage::NodeId;

/// Names a rule for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(u64);

/// All faults of a cluster, in the order they were added.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    next_id: u64,
}

#[derive(Debug)]
struct Rule {
    id: RuleId,
    fault: Fault,
    action: FaultAction,
    fired: watch::Sender<u64>,
}

/// What rules look at in a request.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// What is asked.
    pub api: ApiKey,
    /// Who is asked.
    pub node: NodeId,
    /// What the asking client calls itself.
    pub client: &'a str,
    /// The topics it is about; `None` when its answer is not given topic by topic.
    pub topics: Option<Vec<String>>,
}

/// What is to be done to a request.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// How long it waits first.
    pub delay: Duration,
    /// The parts of it that are not processed.
    pub refusals: Vec<Refusal>,
    /// What becomes of it then.
    pub ending: Ending,
}

/// A part of a request, and what is answered to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// One topic's part, or all that no other refusal is for.
    pub topic: Option<String>,
    /// The error.
    pub error: ResponseError,
    /// What says so.
    pub action: FaultAction,
}

/// What becomes of a request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is answered.
    #[default]
    Answer,
    /// It is dropped with its connection.
    Drop,
    /// It is processed, and its answer is dropped with its connection.
    DropReply,
}

impl Rules {
    /// Adds a rule; the receiver tells how often it has fired.
    pub fn add(&mut self, fault: Fault, action: FaultAction) -> (RuleId, watch::Receiver<u64>) {
        let id = RuleId(self.next_id);
        self.next_id += 1;
        let (fired, watching) = watch::channel(0);
        if fault.times != Some(0) {
            self.rules.push(Rule { id, fault, action, fired });
        }
        (id, watching)
    }

    /// Removes a rule, if it is there still.
    pub fn clear(&mut self, id: RuleId) {
        self.rules.retain(|rule| rule.id != id);
    }

    /// Removes all rules.
    pub fn clear_all(&mut self) {
        self.rules.clear();
    }

    /// Whether any rule is for this API: where none is, a request's facts need not be gathered.
    pub fn concern(&self, api: ApiKey) -> bool {
        self.rules.iter().any(|rule| rule.fault.api == api)
    }

    /// Holds a request against the rules, and counts those that fire.
    pub fn judge(&mut self, facts: &Facts<'_>) -> Plan {
        let mut plan = Plan::default();
        // The topics that no rule has refused yet.
        let mut open = facts.topics.clone();
        for rule in &self.rules {
            if !rule.is_for(facts, open.as_deref()) {
                continue;
            }
            rule.fired.send_modify(|fired| *fired += 1);
            match rule.action {
                FaultAction::Delay(delay) => plan.delay = plan.delay.saturating_add(delay),
                FaultAction::Drop => plan.ending = Ending::Drop,
                FaultAction::DropReply => plan.ending = Ending::DropReply,
                FaultAction::Error(_)
                | FaultAction::InvalidRecords { .. }
                | FaultAction::HideTopic => {}
            }
            let mut ended = plan.ending != Ending::Answer;
            if let Some(error) = rule.action.error() {
                let topic = rule.fault.topic.clone();
                let left = |other: &String| topic.as_ref().is_some_and(|topic| topic != other);
                open.iter_mut().for_each(|open| open.retain(left));
                ended = open.as_ref().is_none_or(Vec::is_empty);
                plan.refusals.push(Refusal { topic, error, action: rule.action.clone() });
            }
            if ended {
                break;
            }
        }
        self.rules.retain(|rule| !rule.used_up());
        plan
    }
}

impl Rule {
    fn is_for(&self, facts: &Facts<'_>, open: Option<&[String]>) -> bool {
        let Fault { api, client, node, topic, .. } = &self.fault;
        let about = match self.action.error() {
            Some(_) => open,
            None => facts.topics.as_deref(),
        };
        let topics = match (topic, about) {
            (Some(topic), about) => about.is_some_and(|about| about.contains(topic)),
            // Where errors stand on topics, there must be one for the error to stand on.
            (None, Some(about)) => self.action.error().is_none() || !about.is_empty(),
            (None, None) => true,
        };
        *api == facts.api
            && client.as_ref().is_none_or(|client| client == facts.client)
            && node.is_none_or(|node| NodeId(node) == facts.node)
            && topics
    }

    fn used_up(&self) -> bool {
        self.fault.times.is_some_and(|times| *self.fired.borrow() >= times)
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
