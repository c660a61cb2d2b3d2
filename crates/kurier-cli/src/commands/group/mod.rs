//! `kurier group`: list, describe, lag, reset, delete. The figures are those of Kafka's own
//! `kafka-consumer-groups`.

mod lag;
mod members;
mod plan;
mod reset;
mod saved;

use kurier::{Admin, ClientError, GroupLag, LagRow};
use serde_json::{Value, json};

use crate::args::{Global, GroupCommand, Output};
use crate::exit::Exit;
use crate::output::{self, counted, known};
use crate::signals::Signals;

/// Does what was asked.
///
/// # Errors
/// When it cannot be done.
pub async fn run(
    command: GroupCommand,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let admin = super::admin(global)?;
    let is_json = global.output == Output::Json;
    let mut exit = Exit::Done;
    match command {
        GroupCommand::List => {
            let groups = admin.list_groups().await?;
            if is_json {
                for group in &groups {
                    output::json(&json!({ "group": group.name, "state": group.state.name() }))?;
                }
            } else {
                let row = |group: &kurier::GroupListing| {
                    vec![group.name.clone(), group.state.to_string()]
                };
                output::table(&["GROUP", "STATE"], &groups.iter().map(row).collect::<Vec<_>>())?;
            }
        }
        GroupCommand::Describe { group } => {
            let lag = admin.lag(&group).await?;
            if is_json { output::json(&described(&lag))? } else { describe(&lag)? }
        }
        GroupCommand::Lag { group, watch } => {
            exit = lag::run(&group, &watch, &admin, (global, signals)).await?;
        }
        GroupCommand::Reset(args) => exit = reset::run(args, &admin, global.output).await?,
        GroupCommand::Delete { groups } => {
            for group in &groups {
                if let Err(error) = delete(&admin, group, is_json).await {
                    tracing::error!("{error:#}");
                    exit = Exit::of(&error);
                }
            }
        }
    }
    admin.close().await;
    Ok(exit)
}

/// Whether a group is not there: one that is watched may come.
fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(ClientError::is_unknown_group)
}

async fn delete(admin: &Admin, group: &str, is_json: bool) -> anyhow::Result<()> {
    members::refuse_members(&admin.describe_group(group).await?, "deleted")?;
    admin.delete_group(group).await?;
    let told = if is_json {
        output::json(&json!({ "group": group, "deleted": true }))
    } else {
        output::text(&format!("deleted {group} and all it had committed\n"))
    };
    Ok(output::unless_unread(told)?)
}

fn describe(lag: &GroupLag) -> std::io::Result<()> {
    let group = &lag.group;
    let coordinator = group.coordinator.as_ref().map(kurier::Broker::address);
    output::text(&format!(
        "group {}: {}, {}, protocol {}, coordinator {}\n",
        group.name,
        group.state,
        counted(group.members.len(), "member"),
        known(group.protocol.as_ref()),
        known(coordinator)
    ))?;
    let row = |row: &LagRow| {
        let member = row.member.as_ref();
        vec![
            row.partition.topic.to_string(),
            row.partition.partition.to_string(),
            known(row.committed.map(|offset| offset.0)),
            known(row.end.map(|offset| offset.0)),
            known(row.lag()),
            known(member.map(|member| &member.id)),
            known(member.map(|member| &member.client_id)),
            known(member.map(|member| &member.host)),
        ]
    };
    let headings = ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "CLIENT", "HOST"];
    output::table(&headings, &lag.rows.iter().map(row).collect::<Vec<_>>())
}

fn described(lag: &GroupLag) -> Value {
    let group = &lag.group;
    json!({
        "group": group.name, "state": group.state.name(), "protocol": group.protocol,
        "coordinator": group.coordinator.as_ref().map(kurier::Broker::address),
        "members": group.members.len(), "partitions": rows(lag),
    })
}

fn rows(lag: &GroupLag) -> Vec<Value> {
    let row = |row: &LagRow| {
        let member = row.member.as_ref();
        json!({
            "topic": &*row.partition.topic, "partition": row.partition.partition.0,
            "committed": row.committed.map(|offset| offset.0), "end": row.end.map(|offset| offset.0),
            "lag": row.lag(), "member": member.map(|member| &member.id),
            "client": member.map(|member| &member.client_id), "host": member.map(|member| &member.host),
        })
    };
    lag.rows.iter().map(row).collect()
}
