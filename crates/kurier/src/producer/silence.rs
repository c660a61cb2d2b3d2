//! Whether the cluster is there: says once that it is waited for, and once that it is back.

use std::time::{Duration, Instant};

use super::event::ProducerEvent;
use crate::listener::Listener;

/// What is known of the cluster's silence.
#[derive(Debug)]
pub(super) struct Silence {
    stall_after: Duration,
    on_event: Listener<ProducerEvent>,
    said: bool,
    delivered: bool,
    blame: Blame,
    /// What librdkafka said of brokers being down, until it is looked into.
    suspicion: Option<(Instant, String)>,
    since: Instant,
    probed: Instant,
}

/// What to blame when nothing is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The cluster: it does not answer.
    Cluster,
    /// That partitions have no leader. A broker says so, so the cluster answers.
    Leaders,
}

/// Time between two questions whether the cluster is there, while nothing else would tell.
const PROBE_EVERY: Duration = Duration::from_secs(1);

impl Silence {
    /// Silence counts from now, and is told of after `stall_after`.
    pub(super) fn new(stall_after: Duration, on_event: Listener<ProducerEvent>) -> Self {
        let now = Instant::now();
        Self {
            stall_after,
            on_event,
            said: false,
            delivered: false,
            blame: Blame::Cluster,
            suspicion: None,
            since: now,
            probed: now,
        }
    }

    /// Something was delivered.
    pub(super) fn delivered(&mut self) {
        self.delivered = true;
    }

    /// What is to blame from now on.
    pub(super) fn blame(&mut self, blame: Blame) {
        self.blame = blame;
    }

    /// True when it was said that the cluster is waited for.
    pub(super) fn is_told(&self) -> bool {
        self.said
    }

    /// librdkafka says that brokers are down; late at times, when one is back already.
    pub(super) fn suspect(&mut self, reason: String) {
        self.suspicion.get_or_insert((Instant::now(), reason));
    }

    /// Notices silence, and its end: with messages waiting by their deliveries, else by asking, which
    /// `reached` does.
    pub(super) fn watch(&mut self, idle: bool, reached: impl FnOnce() -> bool) {
        let now = Instant::now();
        let answers = std::mem::take(&mut self.delivered) || self.blame == Blame::Leaders;
        if answers || (idle && !self.said) {
            self.since = now;
        }
        if answers {
            self.suspicion = None;
            self.back();
        }
        let silent = now - self.since;
        if !self.said && self.stall_after <= silent {
            let reason = self.suspicion.take();
            let reason = reason.map(|(_, reason)| reason);
            let reason =
                reason.unwrap_or_else(|| format!("nothing was delivered for {silent:.1?}"));
            self.wait_for_cluster(reason);
        }
        let in_doubt = self.said || self.suspicion.is_some();
        if in_doubt && idle && PROBE_EVERY <= now - self.probed {
            self.probed = now;
            let reached = reached();
            let suspicion = self.suspicion.take();
            match suspicion {
                _ if reached => self.back(),
                // One question without an answer may be a slow moment.
                Some((since, _)) if now - since < self.stall_after => self.suspicion = suspicion,
                Some((_, reason)) => self.wait_for_cluster(reason),
                None => {}
            }
        }
    }

    fn wait_for_cluster(&mut self, reason: String) {
        if !self.said {
            self.said = true;
            tracing::warn!(reason, "waiting for the cluster");
            self.on_event.tell(|| ProducerEvent::WaitingForCluster { reason });
        }
    }

    fn back(&mut self) {
        self.since = Instant::now();
        if !std::mem::take(&mut self.said) {
            return;
        }
        tracing::info!("the cluster is back");
        self.on_event.tell(|| ProducerEvent::ClusterBack);
    }
}
