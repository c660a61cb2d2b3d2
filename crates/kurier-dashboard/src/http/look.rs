//! What looking at messages takes, and how many may look at once.

use std::sync::Arc;
use std::time::Duration;

use kurier::{Admin, ClientConfig, ConfigProblems};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::reading::Reading;
use super::refused::Refused;

/// Looks at messages or dead letters that go on at once.
pub(super) const LOOKS_MAX: usize = 4;
/// Live tails at once.
pub(super) const TAILS_MAX: usize = 8;
/// How long a question to the cluster may take.
const ASK_WAIT: Duration = Duration::from_secs(2);

/// Who may look.
#[derive(Debug)]
pub(super) struct Looking {
    pub(super) admin: Arc<Admin>,
    reading: Reading,
    looks: Arc<Semaphore>,
    tails: Arc<Semaphore>,
}

/// The right to look once, and what it takes.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) admin: Arc<Admin>,
    pub(super) reading: Reading,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Looking {
    /// # Errors
    /// Every problem with the configuration.
    pub(super) fn new(client: &ClientConfig, tasks: TaskTracker) -> Result<Self, ConfigProblems> {
        let admin = Arc::new(Admin::connect(client)?.with_timeout(ASK_WAIT));
        Ok(Self {
            admin,
            reading: Reading::new(client.clone(), tasks),
            looks: Arc::new(Semaphore::new(LOOKS_MAX)),
            tails: Arc::new(Semaphore::new(TAILS_MAX)),
        })
    }

    /// # Errors
    /// When as many look as may.
    pub(super) fn once(&self) -> Result<Look, Refused> {
        let reason = || format!("{LOOKS_MAX} look at messages, which is as many as may at once");
        self.look(&self.looks, reason)
    }

    /// # Errors
    /// When there are as many tails as may be.
    pub(super) fn tail(&self) -> Result<Look, Refused> {
        let reason = || format!("{TAILS_MAX} live tails are open, which is as many as may be");
        self.look(&self.tails, reason)
    }

    fn look(
        &self,
        places: &Arc<Semaphore>,
        reason: impl FnOnce() -> String,
    ) -> Result<Look, Refused> {
        let permit = Arc::clone(places).try_acquire_owned().map_err(|_| Refused::busy(reason()))?;
        let (admin, reading) = (Arc::clone(&self.admin), self.reading.clone());
        Ok(Look { admin, reading, permit })
    }
}
