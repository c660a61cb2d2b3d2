//! The faults, each carried out under load and seen to have struck before it is lifted.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use kurier::{Admin, PartitionId};
use tokio::time::Instant;

use super::absence::coordinator_away;
use super::freezes::freeze_two;
use super::run::{GROUP, PARTITIONS, Run, TOPIC};
use super::{Fault, How, Target};
use crate::cluster::{NODES, Role, add_partitions, ask_until_right, wait_until_in_sync};

/// Messages that are acknowledged between one thing that happens and the next.
const BETWEEN: u64 = 500;

/// How long a frozen node is frozen.
const FROZEN: Duration = Duration::from_secs(30);

/// How long two nodes are dead.
const DOWN: Duration = Duration::from_secs(60);

/// Does it to the cluster or the clients of `run`; what was down is up again when it returns.
///
/// # Errors
/// When it could not be done, or was not seen to have struck.
pub async fn strike(fault: Fault, run: &mut Run<'_>) -> anyhow::Result<()> {
    match fault {
        Fault::Node(how, target) => node(run, how, target).await,
        Fault::FiveBounces => five_bounces(run).await,
        Fault::EachNodeRestarted => each_node_restarted(run).await,
        Fault::TwoNodesDown => two_nodes_down(run).await,
        Fault::TwoNodesFreeze => freeze_two(run).await,
        Fault::CoordinatorAway => coordinator_away(run).await,
        Fault::SendersKilled => senders_killed(run).await,
        Fault::MembersKilled => members_killed(run).await,
        Fault::MembersComeAndGo => members_come_and_go(run).await,
        Fault::PartitionsAdded => partitions_added(run).await,
        Fault::Careless => Ok(()),
    }
}

async fn node(run: &mut Run<'_>, how: How, target: Target) -> anyhow::Result<()> {
    let role = match target {
        Target::Leader => Role::Leader(TOPIC.to_owned(), 0),
        Target::Controller => Role::Controller,
        Target::Coordinator => Role::Coordinator(GROUP.to_owned()),
    };
    let cluster = run.cluster;
    let hit = role.holder(cluster).await?.context("nobody has this role here")?;
    let struck = Instant::now();
    run.books.note(&format!("node {hit} is hit: {how}"));
    match how {
        How::Stopped => cluster.stop(hit).await?,
        How::Killed => cluster.kill(hit).await?,
        How::Frozen => cluster.pause(hit).await?,
    }
    let heir = role.passes_on(cluster, hit).await?;
    run.notes.push(format!("node {hit} hit, {heir} took over in {}", seconds(struck.elapsed())));
    run.goes_on("the load after the fault", BETWEEN).await?;
    if how == How::Frozen {
        tokio::time::sleep_until(struck + FROZEN).await;
        cluster.resume(hit).await
    } else {
        cluster.start(hit).await
    }
}

/// Without waiting for the node to be in sync again before the next is killed.
async fn five_bounces(run: &mut Run<'_>) -> anyhow::Result<()> {
    let mut hit = Vec::new();
    for _ in 0..5 {
        let role = Role::Leader(TOPIC.to_owned(), 0);
        let leader = role.holder(run.cluster).await?.context("nobody ever leads")?;
        run.books.note(&format!("node {leader} is killed"));
        run.cluster.kill(leader).await?;
        run.cluster.start(leader).await?;
        hit.push(leader.to_string());
        run.goes_on("the load after a bounce", BETWEEN).await?;
    }
    run.notes.push(format!("nodes {} hit", hit.join(", ")));
    Ok(())
}

async fn each_node_restarted(run: &mut Run<'_>) -> anyhow::Result<()> {
    for node in NODES {
        run.cluster.stop(node).await?;
        run.cluster.start(node).await?;
        wait_until_in_sync(run.cluster).await?;
        run.goes_on("the load after a restart", BETWEEN).await?;
    }
    Ok(())
}

async fn two_nodes_down(run: &mut Run<'_>) -> anyhow::Result<()> {
    for node in &NODES[..2] {
        run.books.note(&format!("node {node} is killed"));
        run.cluster.kill(*node).await?;
    }
    let dead = Instant::now();
    let (_, before, _) = run.books.counts();
    tokio::time::sleep_until(dead + DOWN).await;
    let (_, after, _) = run.books.counts();
    let alone = after - before;
    run.cluster.start_all().await?;
    run.notes.push(format!("{alone} acknowledged while one node was alone"));
    ensure!(alone < 100, "{alone} messages were acknowledged by a node that was alone");
    run.goes_on("the load after both are back", BETWEEN).await
}

async fn senders_killed(run: &mut Run<'_>) -> anyhow::Result<()> {
    let mut again = 0;
    for round in 0..3 {
        again += run.senders.kill_and_restart(round % 2).await?;
        run.goes_on("the load after a producer died", BETWEEN).await?;
    }
    run.notes.push(format!("{again} messages had no answer and were sent again"));
    ensure!(again > 0, "no producer had work under way when it was killed");
    Ok(())
}

async fn members_killed(run: &mut Run<'_>) -> anyhow::Result<()> {
    for _ in 0..3 {
        let doomed = run.fleet.members().swap_remove(0);
        run.fleet.kill(&doomed).await?;
        run.fleet.start()?;
        run.fleet.wait_until_shared(PARTITIONS as usize).await?;
        run.goes_on("the load after a member died", BETWEEN).await?;
    }
    Ok(())
}

/// Eight times; at the end there are as many as before.
async fn members_come_and_go(run: &mut Run<'_>) -> anyhow::Result<()> {
    let mut clock = tokio::time::interval(Duration::from_secs(5));
    for round in 0..8 {
        clock.tick().await;
        if round % 2 == 0 {
            run.fleet.start()?;
        } else {
            let leaving = run.fleet.members().swap_remove(0);
            run.fleet.stop(&leaving).await?;
        }
        run.fleet.all_run().await?;
    }
    run.fleet.wait_until_shared(PARTITIONS as usize).await
}

/// Waits until the new partitions have owners and messages.
async fn partitions_added(run: &mut Run<'_>) -> anyhow::Result<()> {
    let more = PARTITIONS as usize + 3;
    add_partitions(run.cluster, TOPIC, more).await?;
    run.fleet.wait_until_shared(more).await?;
    let used = async |admin: &Admin| {
        let ends = admin.watermarks(TOPIC).await?;
        let new = PartitionId(i32::try_from(PARTITIONS)?);
        let used = ends.range(new..).filter(|(_, found)| found.end.0 > 0).count();
        ensure!(used > 0, "no new partition has a message");
        Ok(used)
    };
    let used = ask_until_right(run.cluster.bootstrap(), used).await?;
    run.notes.push(format!("{used} of 3 new partitions were used at once"));
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
