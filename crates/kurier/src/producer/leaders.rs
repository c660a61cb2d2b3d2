//! Whether the partitions that messages wait for have a leader.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::producer::Producer;

use super::client::Line;
use super::event::ProducerEvent;
use super::silence::Blame;
use super::worker::Worker;

/// Time between two questions while something is unsent and no leader is known to be missing.
const EVERY: Duration = Duration::from_secs(10);
/// The same while nothing is delivered.
const IN_SILENCE: Duration = Duration::from_secs(1);

impl Worker {
    /// Asks now and then, never waits, and tells what has changed. `idle`: nothing is unsent.
    pub(super) fn look_for_leaders(&mut self, idle: bool) {
        let now = Instant::now();
        let Line { leaders, client, .. } = &mut self.line;
        let topics = || if idle { BTreeSet::new() } else { self.topics.names() };
        let every = if self.silence.is_told() { IN_SILENCE } else { EVERY };
        leaders.look(client.client(), every, now, topics);
        self.silence.blame(if leaders.blames_leaders() { Blame::Leaders } else { Blame::Cluster });
        let leaderless: BTreeSet<_> = leaders.missing(now).into_keys().collect();
        if leaderless != self.leaderless {
            let named: Vec<String> = leaderless.iter().map(ToString::to_string).collect();
            tracing::warn!(partitions = named.join(", "), "partitions without a leader");
            let partitions = || leaderless.iter().cloned().collect();
            self.on_event.tell(|| ProducerEvent::WithoutLeader { partitions: partitions() });
            self.leaderless = leaderless;
        }
    }
}
