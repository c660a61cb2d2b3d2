//! The commands, one file or folder each.

pub mod cluster;
pub mod consume;
pub mod demo;
pub mod group;
pub mod produce;
pub mod topic;

use kurier::Admin;

use crate::args::Global;

/// A client for questions to the cluster.
///
/// # Errors
/// When the configuration is not right.
pub fn admin(global: &Global) -> anyhow::Result<Admin> {
    Ok(Admin::connect(&global.client())?.with_timeout(global.admin_timeout()))
}
