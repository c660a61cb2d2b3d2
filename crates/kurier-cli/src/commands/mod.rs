//! The commands, one file or folder each.

pub mod bench;
pub mod cluster;
pub mod consume;
pub mod dashboard;
pub mod demo;
pub mod dlq;
pub mod doctor;
pub mod group;
mod line;
mod missing;
mod monitored;
pub mod outbox;
mod pace;
pub mod probe;
pub mod produce;
pub mod profile;
mod readable;
mod scratch;
mod tail;
pub mod topic;
mod watch;

use kurier::Admin;

use crate::args::Global;

/// A client for questions to the cluster.
///
/// # Errors
/// When the configuration is not right.
pub fn admin(global: &Global) -> anyhow::Result<Admin> {
    Ok(Admin::connect(&global.client())?.with_timeout(global.admin_timeout()))
}

/// With `--timeout`: waits so long for the cluster. Without it nothing is asked: who produces or
/// consumes waits for the cluster as long as it takes.
///
/// # Errors
/// When no broker answers in time.
pub async fn reach(global: &Global) -> anyhow::Result<()> {
    if global.timeout.is_some() {
        let admin = admin(global)?;
        let reached = admin.cluster_info().await;
        admin.close().await;
        reached?;
    }
    Ok(())
}
