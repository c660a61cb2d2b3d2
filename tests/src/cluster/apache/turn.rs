//! One started cluster for all scenarios of a test binary, which take turns.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use kurier::NodeId;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::super::{Asked, Done, Kind, TestCluster};
use super::ApacheKafka;
use crate::proxy::Route;

/// The shared cluster, for the length of one scenario.
pub struct Turn(OwnedMutexGuard<Option<ApacheKafka>>);

/// Waits for the scenario before, and heals what it left.
pub async fn turn(jars: &Path) -> anyhow::Result<Turn> {
    static SHARED: OnceLock<Arc<Mutex<Option<ApacheKafka>>>> = OnceLock::new();
    let mut shared = Arc::clone(SHARED.get_or_init(Arc::default)).lock_owned().await;
    match &*shared {
        Some(kafka) => kafka.heal().await?,
        None => *shared = Some(ApacheKafka::start(jars).await?),
    }
    Ok(Turn(shared))
}

impl Turn {
    fn kafka(&self) -> &ApacheKafka {
        self.0.as_ref().expect("a turn begins with a started cluster")
    }
}

impl TestCluster for Turn {
    fn kind(&self) -> Kind {
        self.kafka().kind()
    }
    fn version(&self) -> String {
        self.kafka().version()
    }
    fn bootstrap(&self) -> &str {
        self.kafka().bootstrap()
    }
    fn kill(&self, node: NodeId) -> Done<'_> {
        self.kafka().kill(node)
    }
    fn stop(&self, node: NodeId) -> Done<'_> {
        self.kafka().stop(node)
    }
    fn start(&self, node: NodeId) -> Done<'_> {
        self.kafka().start(node)
    }
    fn start_all(&self) -> Done<'_> {
        self.kafka().start_all()
    }
    fn pause(&self, node: NodeId) -> Done<'_> {
        self.kafka().pause(node)
    }
    fn resume(&self, node: NodeId) -> Done<'_> {
        self.kafka().resume(node)
    }
    fn controller(&self) -> Asked<'_, Option<NodeId>> {
        self.kafka().controller()
    }
    fn routes(&self) -> Vec<Route> {
        self.kafka().routes()
    }
}
