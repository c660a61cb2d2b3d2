//! The group's coordinator is away for ten minutes: longer than any session, and than anything that a
//! client keeps of it.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::run::{GROUP, Run};
use crate::cluster::Role;

/// How long.
const AWAY: Duration = Duration::from_secs(600);
/// Messages that are acknowledged in each of its minutes, at least, and again when it is back.
const EACH_MINUTE: u64 = 500;

/// Kills it, and starts it again when the time is over; nobody else is started again.
///
/// # Errors
/// When nobody takes over, or the load does not go on.
pub async fn coordinator_away(run: &mut Run<'_>) -> anyhow::Result<()> {
    let role = Role::Coordinator(GROUP.to_owned());
    let away = role.holder(run.cluster).await?.context("the group has no coordinator")?;
    let begun = Instant::now();
    run.books.note(&format!("node {away} is killed"));
    run.cluster.kill(away).await?;
    let heir = role.passes_on(run.cluster, away).await?;
    let took = begun.elapsed().as_secs_f64();
    run.notes.push(format!("node {away} away, {heir} took over in {took:.1} s"));
    let mut minute = begun;
    while minute < begun + AWAY {
        run.goes_on("the load without the coordinator", EACH_MINUTE).await?;
        minute += Duration::from_secs(60);
        tokio::time::sleep_until(minute).await;
    }
    run.cluster.start(away).await?;
    run.goes_on("the load when it is back", EACH_MINUTE).await
}
