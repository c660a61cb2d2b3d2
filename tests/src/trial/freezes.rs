//! Two of three nodes are frozen and thawed, over and over. What they lead stands still, and what the
//! third one leads finds too few replicas.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::run::{Run, TOPIC};
use crate::cluster::{NODES, Role};

/// How often.
const ROUNDS: u32 = 10;
/// How long two nodes are frozen: longer than a broker's session (9 s) and than a follower may be behind
/// (30 s), `broker.session.timeout.ms` and `replica.lag.time.max.ms`.
const FROZEN: Duration = Duration::from_secs(45);
/// How long they are thawed.
const THAWED: Duration = Duration::from_secs(20);
/// Messages that are acknowledged after each thaw.
const AFTER: u64 = 200;

/// The leader of partition 0 and one more, [`ROUNDS`] times.
///
/// # Errors
/// When nobody leads, or the load does not go on after a thaw.
pub async fn freeze_two(run: &mut Run<'_>) -> anyhow::Result<()> {
    for round in 1..=ROUNDS {
        let role = Role::Leader(TOPIC.to_owned(), 0);
        let leader = role.holder(run.cluster).await?.context("nobody leads")?;
        let other = NODES.into_iter().find(|node| *node != leader).context("one node only")?;
        run.books.note(&format!("nodes {leader} and {other} are frozen"));
        for node in [leader, other] {
            run.cluster.pause(node).await?;
        }
        tokio::time::sleep(FROZEN).await;
        let thawed = Instant::now();
        for node in [leader, other] {
            run.cluster.resume(node).await?;
        }
        run.goes_on("the load after a thaw", AFTER).await?;
        run.notes.push(format!("{round}: on after {:.1} s", thawed.elapsed().as_secs_f64()));
        tokio::time::sleep_until(thawed + THAWED).await;
    }
    Ok(())
}
