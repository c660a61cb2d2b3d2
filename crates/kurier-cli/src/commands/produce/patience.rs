//! How long a producer that was told to end goes on: until the second signal, a deadline, or as soon as
//! there is nothing to wait for.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kurier::{Condition, HealthHandle};

use crate::signals::Signals;

/// How long a producer that was told to end waits for its acknowledgements. Supervisors follow a SIGTERM
/// with a SIGKILL, which could say nothing of what is left.
const SHUTDOWN: Duration = Duration::from_secs(30);
/// An end that takes longer than this is told of.
const SOON: Duration = Duration::from_secs(1);
/// Time between two looks whether there is a cluster.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the end waits for.
pub struct Patience<'a> {
    signals: &'a Signals,
    told: OnceLock<Instant>,
    said: OnceLock<()>,
    kept: Option<HealthHandle>,
}

impl<'a> Patience<'a> {
    /// With the health of a producer whose messages are `kept` on disk until they are delivered: while no
    /// broker answers there is nothing to wait for, and nothing to lose.
    pub fn new(signals: &'a Signals, kept: Option<HealthHandle>) -> Self {
        Self { signals, told: OnceLock::new(), said: OnceLock::new(), kept }
    }

    /// Ends when patience does; whoever waits again has what is left of it.
    pub async fn over(&self) {
        let late = async {
            self.signals.drain.cancelled().await;
            let told = *self.told.get_or_init(Instant::now);
            tokio::time::sleep_until((told + SOON).into()).await;
            let waits = !self.is_pointless() && told.elapsed() < SHUTDOWN;
            if waits && self.said.set(()).is_ok() {
                tracing::info!(
                    "ending: waits up to {SHUTDOWN:?} for acknowledgements; a second signal ends it"
                );
            }
            while !self.is_pointless() && told.elapsed() < SHUTDOWN {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            () = late => {}
            () = self.signals.leave.cancelled() => {}
        }
    }

    fn is_pointless(&self) -> bool {
        let Some(health) = &self.kept else { return false };
        let away = |one: &Condition| matches!(one, Condition::WaitingForCluster { .. });
        health.now().conditions.iter().any(away)
    }
}
