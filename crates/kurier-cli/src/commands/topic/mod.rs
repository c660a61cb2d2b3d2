//! `kurier topic`: create, list, describe, alter, delete. What `tail` does is in `tail`.

mod ailments;
mod alter;
mod create;
mod describe;

pub use ailments::Ailment;
use kurier::{ReadUntil, TopicReader};
use serde_json::json;

use super::missing::explained;
use super::tail;
use crate::args::{Global, Output, TopicCommand};
use crate::exit::Exit;
use crate::output;
use crate::signals::Signals;

/// Does what was asked.
///
/// # Errors
/// When it cannot be done.
pub async fn run(
    command: TopicCommand,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let admin = super::admin(global)?;
    let is_json = global.output == Output::Json;
    let mut exit = Exit::Done;
    match command {
        TopicCommand::Create(args) => create::run(args, &admin, global.output).await?,
        TopicCommand::List => {
            for topic in admin.list_topics().await?.iter().filter(|topic| !topic.internal) {
                let partitions = topic.partitions.len();
                if is_json {
                    output::json(&json!({ "topic": topic.name, "partitions": partitions }))?;
                } else {
                    output::text(&format!("{}\n", topic.name))?;
                }
            }
        }
        TopicCommand::Describe(args) => {
            exit = describe::run(&args, &admin, (global, signals)).await?;
        }
        TopicCommand::Alter(args) => alter::run(args, &admin, global.output).await?,
        TopicCommand::Delete { name } => {
            explained(&admin, &name, admin.delete_topic(&name).await).await?;
            output::unless_unread(if is_json {
                output::json(&json!({ "topic": name, "deleted": true }))
            } else {
                output::text(&format!("deleted {name}\n"))
            })?;
        }
        TopicCommand::Tail { name, from, decode, exit_at_end } => {
            let until = if exit_at_end { ReadUntil::End } else { ReadUntil::Closed };
            let config = global.client();
            let reader = TopicReader::open(&admin, &config, &name, from, until).await;
            let reader = explained(&admin, &name, reader).await?;
            admin.close().await;
            return tail::run(reader, decode, signals).await;
        }
    }
    admin.close().await;
    Ok(exit)
}
